"""The programs a client can run: service-side primitives, the noise learner, and client-side primitives' executor."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from qiskit import QuantumCircuit
from qiskit.exceptions import QiskitError

from runner.declare.foreign import require_readable, require_sane_qpy
from runner.errors import ConfigError, RunnerError
from runner.mitigation.samplex import broadcast
from runner.runtime import (
    EstimatorV2,
    LocalBackend,
    NoiseLearner,
    RuntimeJob,
    SamplerV2,
    Session,
    derive_seed,
)
from runner.serve.errors import ApiError
from runner.serve.limits import Limits, most_bits, require_classified, require_finite, require_pub
from runner.serve.options import LegacyOptions, program_notes, read_learner_options, read_options
from runner.serve.wire import QPY, Decoder, rehearse

SCHEMA = "v2.0"


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
    device: str
    """What the API calls the backend."""


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
        self._run = {
            "estimator": self._estimator,
            "sampler": self._sampler,
            "noise-learner": self._learner,
            "executor": self._executor,
        }

    def names(self) -> list[str]:
        """The programs there are."""
        return list(self._run)

    def submit(self, program: str, params: dict[str, Any], request: JobRequest) -> Submission:
        """Submit a job.

        Raises:
            ApiError: the parameters cannot be read, or ask for more than the limits.
            RunnerError: the runtime refuses the job.
        """
        require_classified(params)
        try:
            return self._run[program](params, request)
        except (QiskitError, TypeError, ValueError, ArithmeticError, LookupError) as error:
            if isinstance(error, RunnerError) and not isinstance(error, ValueError):
                raise  # the runtime's own, which is Qiskit's too where a program has imported the client
            raise ApiError(400, f"The parameters cannot be read: {_first_line(error)}") from error
        except BaseException as error:
            if (
                type(error).__module__ != "pyo3_runtime"
            ):  # Qiskit's Rust code panics with what is no Exception
                raise
            raise ApiError(400, f"The parameters cannot be read: {_first_line(error)}") from error

    # -- service-side primitives ------------------------------------------------------------------------

    def _estimator(self, params: dict[str, Any], request: JobRequest) -> Submission:
        options = self._options(params, request, EstimatorV2)
        pubs: list[tuple[Any, ...]] = []

        def submitted(chosen: LegacyOptions) -> RuntimeJob:
            primitive = EstimatorV2(mode=request.mode, options=chosen.taken, workload=request.workload)
            if not pubs:
                pubs.extend(self._pubs(params, "estimator", primitive.options.default_shots))
            measured = most_bits(pubs) if primitive.options.mitigation() else 0
            primitive.admit = partial(self._limits.require_mitigated, measured)
            primitive.notice = lambda told: chosen.notes.append(f"WARNING {told}")
            return primitive.run(pubs)

        if options.level_is_said:
            return _legacy(submitted(options), options.notes)
        try:
            return _legacy(submitted(options), options.notes)
        except ConfigError as error:  # exact values, circuits with branches: nobody asked to mitigate them
            bare = options.unmitigated(" ".join(str(error).split()))
            return _legacy(submitted(bare), bare.notes)

    def _sampler(self, params: dict[str, Any], request: JobRequest) -> Submission:
        options = self._options(params, request, SamplerV2)
        primitive = SamplerV2(mode=request.mode, options=options.taken, workload=request.workload)
        pubs = self._pubs(params, "sampler", primitive.options.default_shots)
        read = max(pub[0].num_clbits for pub in pubs) if primitive.options.mitigation() else 0
        primitive.admit = partial(self._limits.require_mitigated, read)
        job = primitive.run(pubs)
        return _legacy(job, options.notes)

    def _options(
        self, params: dict[str, Any], request: JobRequest, primitive: type[EstimatorV2 | SamplerV2]
    ) -> LegacyOptions:
        """What the runtime takes of a job's options, tags and limit among them."""
        given = self._objects(params, "options", {})
        engine = primitive(mode=request.mode, workload=request.workload).backend().engine
        level = params.get("resilience_level")
        read = read_options(given, level, primitive, noisy=engine.noisy, remembers=engine.remembers)
        if type(given.get("default_shots")) is int:
            self._limits.require_executions(given["default_shots"])
        return _told(read, request)

    def _pubs(self, params: dict[str, Any], program: str, shots: int | None) -> list[tuple[Any, ...]]:
        given = params.get("pubs")
        if not isinstance(given, list) or not given:
            raise ApiError(400, "'params.pubs' must be a list of at least one PUB.")
        self._limits.require_pubs(len(given))
        decoded = self._decoder.reading()(given)
        pubs = [require_pub(pub, program, f"params.pubs[{number}]") for number, pub in enumerate(decoded)]
        self._limits.require_work(pubs, program, shots)
        return pubs

    # -- the noise learner ------------------------------------------------------------------------------

    def _learner(self, params: dict[str, Any], request: JobRequest) -> Submission:
        if "schema_version" in params:
            raise ApiError(
                400,
                "The service's own NoiseLearnerV3 is not answered here; "
                "the one of qiskit_ibm_runtime.executor_noise_learner is, and NoiseLearner.",
                solution="Import NoiseLearnerV3 from qiskit_ibm_runtime.executor_noise_learner.",
            )
        options = _told(read_learner_options(self._objects(params, "options", {})), request)
        learner = NoiseLearner(mode=request.mode, options=options.taken, workload=request.workload)
        circuits = self._circuits(params)
        learning, layers = learner.learning(), learner.layers(circuits)
        wanted = learning.most(layers)
        self._limits.require_learning(learning, wanted)
        widest = max([8, *(len(layer.qubits) for layer in wanted)])
        learner.admit = partial(self._limits.require_mitigated, widest)
        job = learner.run(circuits)
        if left := len(layers) - len(wanted):
            told = f"WARNING the noise of {left} of {len(layers)} layers is not learned; raise max_layers_to_learn"
            options.notes.append(told)
        return Submission(job, lambda: _learned(job, request.device), options.notes)

    def _circuits(self, params: dict[str, Any]) -> list[QuantumCircuit]:
        circuits = self._objects(params, "circuits", [])
        if not circuits or not all(isinstance(one, QuantumCircuit) for one in circuits):
            raise ApiError(400, "'params.circuits' must be a list of at least one circuit.")
        self._limits.require_pubs(len(circuits))
        return circuits

    def _objects(self, params: dict[str, Any], name: str, empty: Any) -> Any:
        """What a list or object of the parameters holds."""
        present = params.get(name)
        found = self._decoder.reading()(empty if present is None else present)
        if not isinstance(found, type(empty)):
            raise ApiError(400, f"'params.{name}' must be {'an object' if empty == {} else 'a list'}.")
        return found

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
        engine = sampler.backend().engine
        notes = program_notes(program.passthrough_data, noisy=engine.noisy, remembers=engine.remembers)
        return Submission(job, lambda: _program_result(job, quantum_program, extras), notes)

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
        from samplomatic.quantum_program import SamplexItem

        self._samplings += 1
        rng = np.random.default_rng(derive_seed(self._seed, "samplex", self._samplings))
        pubs: list[tuple[Any, ...]] = []
        extras: list[dict[str, Any]] = []
        for item in program.items:
            drawn: dict[str, Any] = {}
            if isinstance(item, SamplexItem):
                item.samplex.finalize()
                drawn = broadcast(item.samplex, item.samplex_arguments, tuple(item.shape), rng)
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


def _told(options: LegacyOptions, request: JobRequest) -> LegacyOptions:
    """Options, with what a request says beside them."""
    options.taken["environment"] = {"job_tags": request.tags or None}
    if request.limit is not None:
        options.taken["max_execution_time"] = request.limit
    return options


def _learned(job: RuntimeJob, device: str) -> str:
    """What was learned, of a device by its name in the API."""
    from qiskit_ibm_runtime import RuntimeEncoder

    found: Any = job.contained()
    told = {"data": found.data, "metadata": {**found.metadata, "backend": device}}
    return json.dumps(told, cls=RuntimeEncoder)


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


def _first_line(error: BaseException) -> str:
    text = str(error) if isinstance(error, ConfigError) else f"{type(error).__name__}: {error}"
    return " ".join(text.split())[:300]
