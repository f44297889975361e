"""The API's JSON: requests read without trusting them, errors in the service's own shape."""

from __future__ import annotations

import base64
import binascii
import json
import math
import threading
import zlib
from collections import OrderedDict
from collections.abc import Callable, Collection
from hashlib import blake2b
from typing import Any, NoReturn

import numpy as np
from qiskit import QuantumCircuit
from qiskit.quantum_info import PauliList

from runner.declare.checks import shorten
from runner.declare.foreign import NUMBERS, causes, load_npy, load_qpy
from runner.engine.circuits import dissect
from runner.engine.executed import as_executed
from runner.engine.identity import canonical_text
from runner.errors import ConfigError, PlanError, RunnerError, SessionClosedError, UsageLimitError
from runner.runtime.machine import OPEN_PLAN_CODE, OPEN_PLAN_MESSAGE, OPEN_PLAN_SOLUTION, SESSION_CLOSED_CODE
from runner.serve.errors import ApiError

NOT_FOUND_CODE = 1291
CACHED_CIRCUITS, CACHED_BYTES = 128, 4 << 20
"""How many circuits are kept, and how large they may be together as QPY."""
QPY = "The QPY data in the request"
MAX_TAGS, MAX_TAG = 8, 86
MAX_DEPTH = 64
"""How deep a request may be nested; the deepest of the client's own have 12."""


def not_found(what: str, name: str) -> ApiError:
    """The answer to an unknown id."""
    return ApiError(
        404, f"{what} not found. {what} ID: {name}", code=NOT_FOUND_CODE, solution="Check the ID."
    )


def refused(error: RunnerError) -> ApiError:
    """What the runtime refused, with the service's code where it has one."""
    if isinstance(error, PlanError):
        return ApiError(400, OPEN_PLAN_MESSAGE, code=OPEN_PLAN_CODE, solution=OPEN_PLAN_SOLUTION)
    if isinstance(error, UsageLimitError):
        return ApiError(
            409,
            "Usage exceeds instance limit.",
            solution="Wait until usage is 28 days old, or use another plan.",
        )
    if isinstance(error, SessionClosedError):
        return ApiError(
            400,
            "Session has been closed.",
            code=SESSION_CLOSED_CODE,
            solution="Open another session; see its details for why this one was closed.",
        )
    return ApiError(400, " ".join(str(error).split()))


def parse(body: bytes, max_values: int) -> dict[str, Any]:
    """Read a JSON object of finite numbers and texts that are Unicode.

    Raises:
        ApiError: it is none, is nested deeper than any request, or has more values than the server has memory for.
    """
    values = sum(body.count(mark) for mark in b",[{")
    if values > max_values:
        raise ApiError(413, f"The request has more than {max_values} values; serve with max_memory=… MiB.")
    try:
        value = json.loads(body.decode() or "{}", parse_constant=_no_number, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        why = "a whole number has too many digits" if "set_int_max_str_digits" in str(error) else error
        raise ApiError(400, f"The request is not valid JSON: {why}") from error
    if not isinstance(value, dict):
        raise ApiError(400, f"The request must be a JSON object, not {_kind(value)}.")
    _require_plain(value)
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a field is said twice")
    return found


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def _require_plain(value: Any) -> None:
    """Refuse what JSON can say and no answer could repeat: infinite numbers, half characters, a thousand brackets."""
    layer, depth = [value], 0
    while layer:
        depth += 1
        if depth > MAX_DEPTH:
            raise ApiError(400, f"The request is nested more than {MAX_DEPTH} deep.")
        inner: list[Any] = []
        for item in layer:
            if isinstance(item, dict):
                inner.extend(item)
                inner.extend(item.values())
            elif isinstance(item, list):
                inner.extend(item)
            elif isinstance(item, float) and not math.isfinite(item):
                raise ApiError(400, "The request is not valid JSON: a number is too large.")
            elif isinstance(item, str) and not item.isascii():
                _require_characters(item)
        layer = inner


def _require_characters(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ApiError(400, "The request is not valid JSON: a text has half a character.") from None


def require_fields(body: dict[str, Any], names: Collection[str], of: str) -> None:
    """Refuse fields that a request does not have, which nothing here would honour.

    Raises:
        ApiError: there is one.
    """
    for name in body:
        if name not in names:
            told = f"it has {', '.join(names)}" if names else "it has none"
            raise ApiError(400, f"{shorten(ascii(name), 60)} is no field of {of}; {told}.")


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

    Only circuits, arrays, complex numbers, observables and learned noise are read; nothing in a request can name
    any other class. The
    same circuit text gives the same object, so that a loop compiles it once.

    Args:
        max_bytes: What all data of a request may have when they are unpacked.
        memory: What loading one circuit may take beyond what the process has.
    """

    def __init__(self, max_bytes: int, memory: int) -> None:
        self.max_bytes = max_bytes
        self.memory = memory
        self._circuits: OrderedDict[bytes, tuple[QuantumCircuit, int]] = OrderedDict()
        self._cached = 0
        self._lock = threading.Lock()

    def reading(self) -> Unpacking:
        """Begin with a request."""
        return Unpacking(self)

    def known(self, key: bytes) -> QuantumCircuit | None:
        """A circuit that was loaded before."""
        with self._lock:
            if key not in self._circuits:
                return None
            self._circuits.move_to_end(key)
            return self._circuits[key][0]

    def keep(self, key: bytes, circuit: QuantumCircuit, size: int) -> None:
        """Remember a circuit of `size` bytes, and forget old ones where these are too many or too large."""
        with self._lock:
            self._cached += size - self._circuits.get(key, (None, 0))[1]
            self._circuits[key] = circuit, size
            while len(self._circuits) > 1 and (
                len(self._circuits) > CACHED_CIRCUITS or self._cached > CACHED_BYTES
            ):
                self._cached -= self._circuits.popitem(last=False)[1][1]


def _is_pair(content: Any) -> bool:
    return (
        isinstance(content, list)
        and len(content) == 2
        and all(isinstance(part, int | float) and not isinstance(part, bool) for part in content)
    )


def _has_data(content: Any) -> bool:
    return isinstance(content, dict) and "data" in content


_WRITTEN: dict[Any, tuple[Callable[[Any], bool], str]] = {
    "QuantumCircuit": (lambda content: isinstance(content, str), "text, packed QPY"),
    "complex": (_is_pair, "two numbers, its real and imaginary part"),
    "NoiseLearnerResult": (_has_data, "a mapping with data"),
}
"""Type → what is recognized as a value of it, and that in words."""


class Unpacking:
    """The data of one request, which share what there is room for when they are unpacked."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self._left = decoder.max_bytes

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
        if kind in _WRITTEN and not _WRITTEN[kind][0](content):
            raise ApiError(
                400, f"A {kind} in the request must be {_WRITTEN[kind][1]}; write it as the client does."
            )
        try:
            if kind == "QuantumCircuit":
                return self._circuit(content)
            if kind == "ndarray":
                return self._array(content)
            if kind == "complex":
                return complex(*content)
            if kind == "ObservablesArray":
                return content
            if kind == "NoiseLearnerResult":
                return self(content["data"])
            if kind in ("_json", "settings") and value.get("__class__") in _LEARNED:
                return _LEARNED[value["__class__"]](self(content))
        except (TypeError, ValueError, AttributeError) as error:
            raise ApiError(400, f"A {kind} in the request cannot be read: {error}") from error
        raise ApiError(400, f"The type {kind!r} is not accepted here.")

    def _circuit(self, text: str) -> QuantumCircuit:
        key = blake2b(text.encode(), digest_size=16).digest()
        if (known := self._decoder.known(key)) is not None:
            return known
        content = self.inflate(text)
        try:
            (circuit,) = load_qpy(content, QPY, "", memory=self._decoder.memory, rehearse=rehearse)
        except ConfigError as error:
            raise ApiError(400, str(error)) from error
        if not isinstance(circuit, QuantumCircuit):
            raise ApiError(400, "The QPY data in the request is no circuit.")
        self._decoder.keep(key, circuit, len(content))
        return circuit

    def _array(self, content: Any) -> np.ndarray:
        if isinstance(content, str):
            try:
                return load_npy(self.inflate(content), "An array in the request", "")
            except ConfigError as error:
                raise ApiError(400, str(error)) from error
        array = np.array(self(content))
        if array.dtype.kind not in NUMBERS:
            raise ApiError(400, "An array in the request has something else than numbers.")
        return array

    def inflate(self, text: str) -> bytes:
        """Decode and decompress, up to the size a request may have when all of it is unpacked.

        Raises:
            ApiError: it is damaged or too large.
        """
        try:
            inflater = zlib.decompressobj()
            content = inflater.decompress(base64.b64decode(text), self._left + 1)
        except (binascii.Error, zlib.error, ValueError) as error:
            raise ApiError(400, f"Data in the request cannot be unpacked: {error}") from error
        if len(content) > self._left:
            most = self._decoder.max_bytes
            raise ApiError(413, f"The data in the request are larger than {most} bytes when unpacked.")
        if not inflater.eof:
            raise ApiError(400, "Data in the request cannot be unpacked: they are cut off")
        self._left -= len(content)
        return content


def rehearse(circuit: object) -> None:
    """Write a circuit out as planning a job does, to see whether there is room; what else is wrong, planning says.

    Raises:
        ConfigError: it is too large.
        MemoryError: there is no room.
    """
    if not isinstance(circuit, QuantumCircuit):
        return
    try:
        executed = as_executed(circuit)
        canonical_text(executed)
        dissect(executed)
    except (
        Exception
    ) as error:  # definitions of gates fail in many ways, all of them again when they are planned
        if isinstance(error, ConfigError) or any(isinstance(one, MemoryError) for one in causes(error)):
            raise


def _layer_error(parts: dict[str, Any]) -> Any:
    from qiskit_ibm_runtime.results import LayerError

    if not isinstance(parts["circuit"], QuantumCircuit):
        raise ValueError("its circuit is none")
    return LayerError(parts["circuit"], [int(qubit) for qubit in parts["qubits"]], parts["error"])


def _pauli_error(parts: dict[str, Any]) -> Any:
    from qiskit_ibm_runtime.results import PauliLindbladError

    return PauliLindbladError(parts["generators"], parts["rates"])


_LEARNED: dict[str, Callable[[dict[str, Any]], Any]] = {
    "LayerError": _layer_error,
    "PauliLindbladError": _pauli_error,
    "PauliList": lambda parts: PauliList([str(label) for label in parts["data"]]),
}
"""What makes the client's objects of learned noise, by the names of their classes."""
_KINDS: dict[type, str] = {
    str: "a text", int: "a whole number", dict: "an object", list: "a list", bool: "true or false",
}  # fmt: skip


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "true or false"
    return "a number" if isinstance(value, int | float) else _KINDS.get(type(value), "null")
