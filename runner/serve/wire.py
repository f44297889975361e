"""The API's JSON: requests read without trusting them, errors in the service's own shape."""

from __future__ import annotations

import base64
import binascii
import io
import json
import threading
import uuid
import zlib
from collections import OrderedDict
from hashlib import blake2b
from typing import Any

import numpy as np
from qiskit import QuantumCircuit

from runner.declare.foreign import load_qpy
from runner.errors import ConfigError, PlanError, RunnerError, SessionClosedError
from runner.runtime.machine import OPEN_PLAN_CODE, OPEN_PLAN_MESSAGE, OPEN_PLAN_SOLUTION, SESSION_CLOSED_CODE

MORE_INFO = "https://cloud.ibm.com/apidocs/quantum-computing#error-handling"
VALIDATION_CODE = 1208
NOT_FOUND_CODE = 1291
CACHED_CIRCUITS = 128
QPY = "The QPY data in the request"
MAX_TAGS, MAX_TAG = 8, 86


class ApiError(Exception):
    """What is wrong with a request, as the client is told it."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: int = VALIDATION_CODE,
        solution: str = "Correct the request.",
    ) -> None:
        super().__init__(message)
        self.status = status
        self.body = {
            "errors": [{"code": code, "message": message, "solution": solution, "more_info": MORE_INFO}],
            "trace": str(uuid.uuid4()),
        }


def not_found(what: str, name: str) -> ApiError:
    """The answer to an unknown id."""
    return ApiError(
        404, f"{what} not found. {what} ID: {name}", code=NOT_FOUND_CODE, solution="Check the ID."
    )


def refused(error: RunnerError) -> ApiError:
    """What the runtime refused, with the service's code where it has one."""
    if isinstance(error, PlanError):
        return ApiError(400, OPEN_PLAN_MESSAGE, code=OPEN_PLAN_CODE, solution=OPEN_PLAN_SOLUTION)
    if isinstance(error, SessionClosedError):
        return ApiError(
            400,
            "Session has been closed.",
            code=SESSION_CLOSED_CODE,
            solution="Open another session; see its details for why this one was closed.",
        )
    return ApiError(400, " ".join(str(error).split()))


def parse(body: bytes) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        ApiError: it is none.
    """
    try:
        value = json.loads(body or b"{}")
    except (ValueError, RecursionError) as error:
        raise ApiError(400, f"The request is not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise ApiError(400, f"The request must be a JSON object, not {_kind(value)}.")
    return value


def field(body: dict[str, Any], name: str, kind: type, *, required: bool = False) -> Any:
    """Return a field of a request, of the right type.

    Raises:
        ApiError: it is missing or of another type.
    """
    value = body.get(name)
    if value is None:
        if required:
            raise ApiError(400, f"'{name}' is required.")
        return None
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ApiError(400, f"'{name}' must be {_KINDS[kind]}, not {_kind(value)}.")
    return value


def tags(value: Any) -> list[str]:
    """Return a job's tags.

    Raises:
        ApiError: they are not a short list of short texts.
    """
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(tag, str) and tag for tag in value):
        raise ApiError(400, "'tags' must be a list of texts.", code=1205)
    if len(value) > MAX_TAGS or any(len(tag) > MAX_TAG for tag in value):
        raise ApiError(400, f"A job has at most {MAX_TAGS} tags of at most {MAX_TAG} characters.", code=1204)
    return value


class Decoder:
    """Turns the client's typed JSON into objects.

    Only circuits, arrays, complex numbers and observables are read; nothing in a request can name a class. The
    same circuit text gives the same object, so that a loop compiles it once.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._circuits: OrderedDict[bytes, QuantumCircuit] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(self, value: Any) -> Any:
        """Decode nested JSON.

        Raises:
            ApiError: something in it is damaged or of a type that is not accepted.
        """
        if isinstance(value, list):
            return [self(item) for item in value]
        if not isinstance(value, dict):
            return value
        if "__type__" not in value:
            return {key: self(item) for key, item in value.items()}
        kind: Any = value["__type__"]
        content: Any = value.get("__value__")
        try:
            if kind == "QuantumCircuit":
                return self._circuit(content)
            if kind == "ndarray":
                return self._array(content)
            if kind == "complex":
                return complex(*content)
            if kind == "ObservablesArray":
                return content
        except ApiError:
            raise
        except Exception as error:
            raise ApiError(400, f"A {kind} in the request cannot be read: {error}") from error
        raise ApiError(400, f"The type {kind!r} is not accepted here.")

    def _circuit(self, text: str) -> QuantumCircuit:
        key = blake2b(text.encode(), digest_size=16).digest()
        with self._lock:
            if (known := self._circuits.get(key)) is not None:
                self._circuits.move_to_end(key)
                return known
        try:
            (circuit,) = load_qpy(self.inflate(text), QPY, "")
        except ConfigError as error:
            raise ApiError(400, str(error)) from error
        if not isinstance(circuit, QuantumCircuit):
            raise ApiError(400, "The QPY data in the request is no circuit.")
        with self._lock:
            self._circuits[key] = circuit
            if len(self._circuits) > CACHED_CIRCUITS:
                self._circuits.popitem(last=False)
        return circuit

    def _array(self, content: Any) -> np.ndarray:
        if isinstance(content, str):
            return np.load(io.BytesIO(self.inflate(content)), allow_pickle=False)
        return np.array(self(content))

    def inflate(self, text: str) -> bytes:
        """Decode and decompress, up to the size a request may have when it is unpacked.

        Raises:
            ApiError: it is damaged or too large.
        """
        try:
            inflater = zlib.decompressobj()
            content = inflater.decompress(base64.b64decode(text), self.max_bytes)
        except (binascii.Error, zlib.error, ValueError) as error:
            raise ApiError(400, f"Data in the request cannot be unpacked: {error}") from error
        if inflater.unconsumed_tail:
            raise ApiError(413, f"Data in the request are larger than {self.max_bytes} bytes when unpacked.")
        return content


_KINDS: dict[type, str] = {str: "a text", int: "a whole number", dict: "an object", bool: "true or false"}


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "true or false"
    names = {str: "a text", int: "a number", float: "a number", list: "a list", dict: "an object"}
    return names.get(type(value), "null")
