"""The programs a client can run: the service-side estimator and sampler, and the executor of client-side primitives."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from qiskit.exceptions import QiskitError

from runner.declare.checks import shorten
from runner.declare.foreign import require_readable, require_sane_qpy
from runner.errors import ConfigError
from runner.runtime import EstimatorV2, LocalBackend, RuntimeJob, SamplerV2, Session, derive_seed
from runner.serve.errors import ApiError
from runner.serve.limits import Limits, require_finite, require_pub
from runner.serve.wire import QPY, Decoder, rehearse

SCHEMA = "v2.0"
HONOURED = {
    "default_shots", "default_precision", "seed_estimator", "simulator.seed_simulator", "execution.rep_delay",
}  # fmt: skip
HARMLESS = {
    "execution.init_qubits": (True,),
    "execution.meas_type": ("classified",),
    "dynamical_decoupling.enable": (False,),
    "twirling.enable_gates": (False,),
    "twirling.enable_measure": (False,),
    "resilience.measure_mitigation": (False,),
    "resilience.zne_mitigation": (False,),
    "resilience.pec_mitigation": (False,),
    "resilience_level": (0,),
}


@dataclass(frozen=True)
class JobRequest:
    """What POST /jobs asks for, beside the program's own parameters."""

    mode: Session | LocalBackend
    """Where it runs."""
    tags: list[str]
    """Its tags."""
    limit: int | None
    """Its own limit in QPU seconds."""
    workload: str
    """Whose seeds it gets."""


@dataclass(frozen=True)
class Submission:
    """A job on its way."""

    job: RuntimeJob
    """The runtime's job."""
    encode: Callable[[], str]
    """Makes the result as the client reads it, once the job is done."""
    notes: list[str]
    """What its log will say."""


class Programs:
    """Reads a program's parameters, submits it to the runtime, and writes its result.

    Args:
        decoder: Reads typed JSON.
        limits: What a job may ask for.
        seed: Of the randomizations of executor programs.
    """

    def __init__(self, decoder: Decoder, limits: Limits, seed: int) -> None:
        self._decoder = decoder
        self._limits = limits
        self._seed = seed
        self._samplings = 0
        self._run = {"estimator": self._estimator, "sampler": self._sampler, "executor": self._executor}

    def names(self) -> list[str]:
        """The programs there are."""
        return list(self._run)

    def submit(self, program: str, params: dict[str, Any], request: JobRequest) -> Submission:
        """Submit a job.

        Raises:
            ApiError: the parameters cannot be read, or ask for more than the limits.
            RunnerError: the runtime refuses the job.
        """
        try:
            return self._run[program](params, request)
        except (QiskitError, TypeError, ValueError, ArithmeticError, LookupError) as error:
            raise ApiError(400, f"The parameters cannot be read: {_first_line(error)}") from error
        except BaseException as error:
            if (
                type(error).__module__ != "pyo3_runtime"
            ):  # Qiskit's Rust code panics with what is no Exception
                raise
            raise ApiError(400, f"The parameters cannot be read: {_first_line(error)}") from error

    # -- service-side primitives ------------------------------------------------------------------------

    def _estimator(self, params: dict[str, Any], request: JobRequest) -> Submission:
        options, notes = self._options(params, request, EstimatorV2)
        primitive = EstimatorV2(mode=request.mode, options=options, workload=request.workload)
        primitive.admit = require_finite
        return _legacy(primitive.run(self._pubs(params, "estimator", primitive.options.default_shots)), notes)

    def _sampler(self, params: dict[str, Any], request: JobRequest) -> Submission:
        options, notes = self._options(params, request, SamplerV2)
        primitive = SamplerV2(mode=request.mode, options=options, workload=request.workload)
        primitive.admit = require_finite
        return _legacy(primitive.run(self._pubs(params, "sampler", primitive.options.default_shots)), notes)

    def _pubs(self, params: dict[str, Any], program: str, shots: int | None) -> list[tuple[Any, ...]]:
        given = params.get("pubs")
        if not isinstance(given, list) or not given:
            raise ApiError(400, "'params.pubs' must be a list of at least one PUB.")
        self._limits.require_pubs(len(given))
        decoded = self._decoder.reading()(given)
        pubs = [require_pub(pub, program, f"params.pubs[{number}]") for number, pub in enumerate(decoded)]
        self._limits.require_work(pubs, program, shots)
        return pubs

    def _options(
        self, params: dict[str, Any], request: JobRequest, primitive: type
    ) -> tuple[dict[str, Any], list[str]]:
        """The runtime's options, and a note for each of the client's that has no effect here."""
        present = params.get("options")
        given = self._decoder.reading()({} if present is None else present)
        if not isinstance(given, dict):
            raise ApiError(400, "'params.options' must be an object.")
        _require_options(given, primitive)
        flat = _flatten(given)
        for key, value in flat.items():
            if bool in map(type, HARMLESS.get(key, ())) and not isinstance(value, bool | None):
                raise ApiError(400, f"'params.options.{key}' must be true or false.")
        if type(flat.get("default_shots")) is int:
            self._limits.require_executions(flat["default_shots"])
        if params.get("resilience_level") is not None:
            flat["resilience_level"] = params["resilience_level"]
        options: dict[str, Any] = {"environment": {"job_tags": request.tags or None}}
        if request.limit is not None:
            options["max_execution_time"] = request.limit
        notes = []
        for key, value in flat.items():
            if value is None:
                continue
            if key not in HONOURED or (primitive is SamplerV2 and key == "seed_estimator"):
                if value not in HARMLESS.get(key, ()):
                    told = shorten(f"{key}={value!r}", 200)
                    notes.append(f"WARNING option {told} has no effect in the local runtime")
            elif "." in key:
                group, _, name = key.partition(".")
                options.setdefault(group, {})[name] = value
            elif key != "default_precision" or flat.get("default_shots") is None:
                options[key] = value
        return options, notes

    # -- client-side primitives -------------------------------------------------------------------------

    def _executor(self, params: dict[str, Any], request: JobRequest) -> Submission:
        from pydantic import ValidationError
        from qiskit_ibm_runtime.quantum_program.params_converters import QUANTUM_PROGRAM_PARAMS_CONVERTERS

        version = params.get("schema_version")
        if version != SCHEMA:
            raise ApiError(400, f"The executor reads schema {SCHEMA}, not {version!r}.")
        self._measure(params)
        converter = QUANTUM_PROGRAM_PARAMS_CONVERTERS[SCHEMA]
        try:
            model = converter.model.model_validate(params)
            program, options = converter.decoder(model)
        except (ValidationError, ValueError, TypeError, KeyError) as error:
            raise ApiError(400, f"The quantum program cannot be read: {_first_line(error)}") from error
        if program.meas_level != "classified":
            raise ApiError(400, f"meas_level {program.meas_level!r} cannot be simulated; use 'classified'.")
        pubs, extras = self._items(program)
        self._limits.require_pubs(len(pubs))
        self._limits.require_work(pubs, "sampler", None)
        settings: dict[str, Any] = {"environment": {"job_tags": request.tags or None}}
        if options.execution.rep_delay is not None:
            settings["execution"] = {"rep_delay": options.execution.rep_delay}
        if request.limit is not None:
            settings["max_execution_time"] = request.limit
        sampler = SamplerV2(mode=request.mode, options=settings, workload=request.workload)
        sampler.admit = require_finite
        job = sampler.run(pubs)
        quantum_program = model.quantum_program
        return Submission(job, lambda: _program_result(job, quantum_program, extras), [])

    def _measure(self, params: dict[str, Any]) -> None:
        """Refuse data that would be too large when unpacked, before the models unpack it."""
        reading = self._decoder.reading()
        circuits: dict[bytes, None] = {}
        waiting: list[Any] = [params]
        while waiting:
            value = waiting.pop()
            if isinstance(value, list):
                waiting.extend(item for item in value if isinstance(item, list | dict))
            elif isinstance(value, dict):
                for key in ("b64_data", "data"):
                    if isinstance(value.get(key), str) and ("dtype" in value or "qpy_version" in value):
                        content = reading.inflate(value[key])
                        if key == "b64_data":
                            circuits[content] = None
                waiting.extend(item for item in value.values() if isinstance(item, list | dict))
        if circuits:
            _require_readable(list(circuits), self._decoder.memory)

    def _items(self, program: Any) -> tuple[list[tuple[Any, ...]], list[dict[str, Any]]]:
        """A Sampler PUB for each item, and what its samplex drew beside the circuit's parameters."""
        from qiskit_ibm_runtime.fake_provider.executor.broadcast_sample import broadcast_sample
        from samplomatic.quantum_program import SamplexItem

        self._samplings += 1
        rng = np.random.default_rng(derive_seed(self._seed, "samplex", self._samplings))
        pubs: list[tuple[Any, ...]] = []
        extras: list[dict[str, Any]] = []
        for item in program.items:
            drawn: dict[str, Any] = {}
            if isinstance(item, SamplexItem):
                item.samplex.finalize()
                drawn = broadcast_sample(item.samplex, item.samplex_arguments, tuple(item.shape), rng)
                values = drawn.pop("parameter_values", None)
            else:
                values = item.circuit_arguments
            if values is None or (values.size == 0 and not item.circuit.num_parameters):
                shape = () if values is None else values.shape[:-1]
                values = np.zeros((*shape, 0))
            pubs.append((item.circuit, values, program.shots))
            extras.append(drawn)
        return pubs, extras


def _require_readable(contents: list[bytes], memory: int) -> None:
    """What the models will load, loaded as they do it, in one process that may die.

    Raises:
        ApiError: it claims to be huge, or is more than the limits.
    """
    from ibm_quantum_schemas.common.qpy import ANNOTATION_FACTORIES
    from qiskit import qpy

    def attempt() -> None:
        try:
            for content in contents:
                for circuit in qpy.load(io.BytesIO(content), annotation_factories=ANNOTATION_FACTORIES):
                    rehearse(circuit)
        except ConfigError:
            raise
        except Exception as error:
            raise ConfigError(f"{QPY} is damaged ({type(error).__name__})") from error

    try:
        for content in contents:
            require_sane_qpy(content, QPY, "")
        require_readable(attempt, sum(map(len, contents)), QPY, "", memory=memory)
    except ConfigError as error:
        raise ApiError(400, str(error)) from error


def _require_options(given: dict[str, Any], primitive: type) -> None:
    """Refuse values that the client's own options do not take; what they do not know is told in the job's log.

    Raises:
        ApiError: there is one.
    """
    from pydantic import ValidationError
    from qiskit_ibm_runtime import options

    known = options.EstimatorOptions if primitive is EstimatorV2 else options.SamplerOptions
    exact = given.get("default_precision") == 0  # an extension of ours
    present = {
        key: value
        for key, value in given.items()
        if value is not None and not (exact and key == "default_precision")
    }
    try:
        known(**present)
    except ValidationError as error:
        wrong = [one for one in error.errors() if one["type"] not in _UNTOLD]
        if wrong:
            place = ".".join(str(part) for part in wrong[0]["loc"] if str(part) in _names(given))
            told = shorten(ascii(wrong[0]["input"]), 60)
            raise ApiError(400, f"'params.options.{place}' cannot be {told}: {wrong[0]['msg']}.") from error
    limit = given.get("max_execution_time")
    if limit is not None and (type(limit) is not int or limit < 1):
        raise ApiError(
            400, "'params.options.max_execution_time' must be a whole number of at least 1 second."
        )


_UNTOLD = ("unexpected_keyword_argument", "is_instance_of")
"""Errors of pydantic about options that are experimental, and about the other types of a union."""


def _names(given: Mapping[str, Any]) -> set[str]:
    return {part for key in _flatten(given) for part in key.split(".")}


def _legacy(job: RuntimeJob, notes: list[str]) -> Submission:
    from qiskit_ibm_runtime import RuntimeEncoder

    return Submission(job, lambda: json.dumps(job.contained(), cls=RuntimeEncoder), notes)


def _program_result(job: RuntimeJob, program: Any, extras: list[dict[str, Any]]) -> str:
    from ibm_quantum_schemas.common import CompressedTensorModel
    from ibm_quantum_schemas.executor import version_2_0 as models

    result = job.contained()
    data, parts = [], []
    for number, (pub, drawn) in enumerate(zip(result, extras, strict=True)):
        arrays = {**drawn, **{name: bits.to_bool_array(order="little") for name, bits in pub.data.items()}}
        data.append(
            models.QuantumProgramResultItemModel(
                results={name: CompressedTensorModel.from_numpy(array) for name, array in arrays.items()},
                metadata=models.ItemMetadataModel(),
            )
        )
        shape = pub.data.shape
        size = math.prod(shape)
        parts.append(
            models.ChunkPart(
                idx_item=number, size=size, permutation=list(range(len(shape))), element_range=(0, size, 1)
            )
        )
    record, clock = job.record, job.service.clock
    assert record.qpu_started is not None
    assert record.finished is not None
    span = models.ChunkSpan(
        start=clock.date(record.qpu_started), stop=clock.date(record.finished), parts=parts
    )
    return models.QuantumProgramResultModel(
        data=data,
        metadata=models.MetadataModel(chunk_timing=[span]),
        passthrough_data=program.passthrough_data,
        semantic_role=program.semantic_role,
    ).model_dump_json()


def _flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat.update(_flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _first_line(error: BaseException) -> str:
    text = str(error) if isinstance(error, ConfigError) else f"{type(error).__name__}: {error}"
    return " ".join(text.split())[:300]
