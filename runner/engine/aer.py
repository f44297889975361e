"""The one place that talks to Aer: circuits assembled once and executed again with new angles.

The native interface (`assemble_circuits`, the controller, its config) is semi-private. It is used with the versions it
was tested with; with any other, and in tests, the same work goes through `AerSimulator.run`.
"""

from __future__ import annotations

import contextlib
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qiskit.circuit import ControlFlowOp, Parameter, ParameterExpression, QuantumCircuit
from qiskit.circuit.library import UnitaryGate
from qiskit.quantum_info import Operator

from runner.engine.apart import APART, Unsendable
from runner.engine.circuits import CHANNELS
from runner.engine.expressions import Angles
from runner.errors import ConfigError, RunnerError
from runner.record import faults
from runner.record.interruption import pause

TESTED = ((0, 17), (0, 18))
"""Minor versions of qiskit-aer whose native interface is known."""
METHODS = ("automatic", "statevector", "density_matrix", "matrix_product_state", "stabilizer")
LONG = 1.0
"""Seconds by estimate from which on a simulation goes to a process that can be ended."""
_MAX_SEED = (1 << 31) - 1
_KNOWN_ERRORS = "simulation failed on Aer"


@dataclass(frozen=True)
class AerOptions:
    """How Aer simulates; nothing here changes between the runs of a plan."""

    method: str = "automatic"
    threads: int = 1
    noise_model: Any = None
    binds_inside: bool = False
    """Aer puts in the angles of a whole batch itself; two to three times as fast for state vectors of a few qubits."""


CLIFFORD = frozenset(
    {"id", "x", "y", "z", "h", "s", "sdg", "sx", "sxdg", "cx", "cy", "cz", "swap", "barrier", "delay"}
)
"""Gates that `automatic` recognizes a stabilizer circuit by."""


def is_clifford(circuit: QuantumCircuit) -> bool:
    """Can the circuit be simulated as a stabilizer state, whatever its size?"""
    return all(item.operation.name in CLIFFORD for item in circuit.data)


def native_available() -> bool:
    """Is the installed Aer one whose native interface is known?"""
    import qiskit_aer

    return tuple(int(part) for part in qiskit_aer.__version__.split(".")[:2]) in TESTED


@lru_cache(maxsize=1)
def _notice_public() -> None:
    import qiskit_aer

    warnings.warn(
        f"qiskit-aer {qiskit_aer.__version__} is not a version the native interface was tested with; "
        "using AerSimulator.run, which is slower",
        stacklevel=4,
    )


@lru_cache(maxsize=8)
def _simulator(method: str) -> Any:
    from qiskit_aer import AerSimulator

    return AerSimulator(method=method)


@lru_cache(maxsize=8)
def gate_names(method: str = "automatic") -> frozenset[str]:
    """The names of everything Aer executes itself."""
    simulator = _simulator(method)
    names = set(simulator.operation_names) | set(simulator.configuration().basis_gates)
    return frozenset(names | {"measure", "reset", "delay", "barrier", "initialize"})


def translate(
    circuit: QuantumCircuit, *, method: str = "automatic", noise_model: Any = None
) -> QuantumCircuit:
    """The circuit with every instruction Aer does not know replaced by its definition; the others stay as they are."""
    circuit = _with_blocks(circuit, lambda block: translate(block, method=method, noise_model=noise_model))
    known = gate_names(method if noise_model is None else "automatic")
    if noise_model is not None:
        circuit = _with_noisy_matrices(circuit, frozenset(noise_model.noise_instructions) - known)
    if method == "stabilizer":
        _refuse_non_clifford(circuit, known)
    for _ in range(20):
        unknown = {
            item.operation.name
            for item in circuit.data
            if item.operation.name not in known
            and not isinstance(item.operation, ControlFlowOp)
            and not item.operation.name.startswith("save_")
        }
        if not unknown:
            return _without_free_phase(circuit)
        before = circuit
        circuit = circuit.decompose(gates_to_decompose=sorted(unknown))
        if circuit.data == before.data:
            raise ConfigError(f"Aer's method {method} cannot simulate the instruction {sorted(unknown)[0]!r}")
    raise ConfigError(f"the instruction {sorted(unknown)[0]!r} has no definition in gates Aer knows")


def _without_free_phase(circuit: QuantumCircuit) -> QuantumCircuit:
    """The circuit without a global phase that depends on parameters: nobody sees it, and Aer binds it once only."""
    phase = circuit.global_phase
    named = [item for item in circuit.data if item.operation.name == "global_phase"]
    if not any(
        isinstance(one, ParameterExpression) for one in (phase, *(p for i in named for p in i.params))
    ):
        return circuit
    result = circuit.copy_empty_like()
    result.global_phase = 0
    for item in circuit.data:
        if item.operation.name != "global_phase":
            result._append(item)
    return result


def _with_blocks(
    circuit: QuantumCircuit, change: Callable[[QuantumCircuit], QuantumCircuit]
) -> QuantumCircuit:
    """The circuit with the blocks of its branches and loops changed."""
    if not any(
        isinstance(item.operation, ControlFlowOp) for item in circuit.data if not item.is_standard_gate()
    ):
        return circuit
    result = circuit.copy_empty_like()
    for item in circuit.data:
        operation = item.operation
        if isinstance(operation, ControlFlowOp):
            item = item.replace(
                operation=operation.replace_blocks([change(block) for block in operation.blocks])
            )
        result._append(item)
    return result


def _with_noisy_matrices(circuit: QuantumCircuit, names: frozenset[str]) -> QuantumCircuit:
    """The circuit with gates that have noise, but that Aer does not know, as matrices that carry their names."""
    if not any(item.name in names for item in circuit.data):
        return circuit
    result = circuit.copy_empty_like()
    for item in circuit.data:
        if item.name in names:
            if any(isinstance(value, ParameterExpression) for value in item.params):
                raise ConfigError(
                    f"gate {item.name!r} has noise and parameters, and Aer does not know it; give the noise to the "
                    "gates of its definition, or use method density_matrix"
                )
            item = item.replace(operation=UnitaryGate(Operator(item.operation), label=item.name))
        result._append(item)
    return result


def _refuse_non_clifford(circuit: QuantumCircuit, known: frozenset[str]) -> None:
    for item in circuit.data:
        name = item.operation.name
        if name not in known and item.operation.definition is None:
            raise ConfigError(f"method stabilizer takes Clifford gates only, got {name!r}")


class AerProgram:
    """Circuits over the same parameters, assembled once.

    Args:
        circuits: with their `save_…` instructions or measurements; all over (a part of) `parameters`.
        parameters: the order of the values given to `run`.
        options: method, threads and noise.
        native: use the native interface; decided by the version of Aer if not given.
    """

    def __init__(
        self,
        circuits: Sequence[QuantumCircuit],
        parameters: Sequence[Parameter],
        options: AerOptions,
        *,
        native: bool | None = None,
    ) -> None:
        self.options = options
        self._recipe = partial(AerProgram, list(circuits), list(parameters), options, native=native)
        self._seconds: float | None = None
        self.native = native_available() if native is None else native
        if not self.native and native is None:
            _notice_public()
        self._simulator = _simulator(options.method)
        self._circuits = [
            translate(circuit, method=options.method, noise_model=options.noise_model) for circuit in circuits
        ]
        # Aer fuses channels of large density matrices into ones that its eigensolver then refuses
        self._fusion = not any(item.operation.name in CHANNELS for one in self._circuits for item in one.data)
        self._parameters = list(parameters)
        self._lock = threading.Lock()
        if self.native:
            self._assemble()

    def _assemble(self) -> None:
        from qiskit_aer.backends.aer_compiler import CircuitHeader, assemble_circuits, generate_aer_config
        from qiskit_aer.backends.backend_utils import LIBRARY_DIR

        compiled, noise = self._simulator._compile(list(self._circuits), noise_model=self.options.noise_model)
        flat = list(compiled)
        self._aer_circuits, index_maps = assemble_circuits(flat)
        for index, circuit in enumerate(self._aer_circuits):
            circuit.circ_id = index
            circuit.set_header(CircuitHeader())  # it comes back with every result, and nobody reads it
        self._bindings: list[tuple[list[tuple[int, int]], Angles]] = []
        for circuit, index_map in zip(flat, index_maps, strict=True):
            slots, expressions = _slots(circuit, index_map)
            self._bindings.append((slots, Angles(self._parameters, expressions)))
        self._noise = noise.to_dict(serializable=True) if noise is not None else {}
        config = generate_aer_config(
            flat,
            self._simulator.options,
            max_parallel_threads=self.options.threads,
            max_parallel_experiments=1,
            method=self.options.method,
            fusion_enable=self._fusion,
        )
        config.library_dir = LIBRARY_DIR
        config.max_memory_mb = 1 << 40  # memory was asked for before; Aer only knows the machine's total
        self._config = config
        self._controller = self._simulator._controller
        self._bindable = any(slots for slots, _ in self._bindings)

    def run(
        self, values: NDArray, *, shots: int = 1, seed: int = 1, memory: bool = False
    ) -> list[list[dict[str, Any]]]:
        """The data of every circuit for every parameter set: `[circuit][set] → {label: value}`."""
        with self._lock:
            if faults.ACTIVE:
                _break(faults.reach("aer"))
            pause()
            data = self._run(values, shots, seed, memory)
        if len(self._circuits) == 1:
            return [data]
        sets = len(values)
        return [data[k * sets : (k + 1) * sets] for k in range(len(self._circuits))]

    def _run(self, values: NDArray, shots: int, seed: int, memory: bool) -> list[dict[str, Any]]:
        """Here, or in a process that can be ended where it takes long: Aer itself cannot be interrupted."""
        amount = len(values) * shots if self._by_shots else len(values)
        each = self._seconds if self._seconds is not None else self._estimated_seconds
        began = time.perf_counter()
        data = None
        if amount * each > LONG:
            with contextlib.suppress(Unsendable):
                data = APART.run(self, self._recipe, values, shots, seed, memory)
        if data is None:
            data = self.run_here(values, shots, seed, memory)
        self._seconds = (time.perf_counter() - began) / max(amount, 1)
        return data

    def run_here(self, values: NDArray, shots: int, seed: int, memory: bool) -> list[dict[str, Any]]:
        """The data of every circuit for every parameter set, one after the other, computed in this process."""
        return (self._run_native if self.native else self._run_public)(values, shots, seed, memory)

    @cached_property
    def _by_shots(self) -> bool:
        """Does every shot take its own simulation?"""
        noisy = self.options.noise_model is not None and self.options.method != "density_matrix"
        return noisy or any(map(_branches, self._circuits))

    @cached_property
    def _estimated_seconds(self) -> float:
        """About how long one parameter set, or one shot of it, takes; what was measured counts more later on."""
        total = 0.0
        for circuit in self._circuits:
            size = circuit.num_qubits
            numbers = {"density_matrix": 4.0**size, "stabilizer": 8.0 * size}.get(self.options.method)
            if numbers is None and self.options.method == "matrix_product_state":
                numbers = 2.0 ** min(1.5 * size, 100)
            total += len(circuit.data) * (2e-6 + 4e-9 * (2.0**size if numbers is None else numbers))
        return total

    def _run_native(self, values: NDArray, shots: int, seed: int, memory: bool) -> list[dict[str, Any]]:
        config, sets = self._config, len(values)
        config.shots, config.memory, config.seed_simulator = shots, memory, _aer_seed(seed)
        config.runtime_parameter_bind_enable = self.options.binds_inside and sets > 1
        if self._bindable:
            config.parameterizations = [
                list(zip(slots, angles(values).T.tolist(), strict=True)) for slots, angles in self._bindings
            ]
        results = _checked(self._controller.execute(self._aer_circuits, self._noise, config))
        if len(results) == sets * len(self._circuits):
            return [result["data"] for result in results]
        if not self._bindable:
            return [result["data"] for result in results for _ in range(sets)]
        return self._one_by_one(values, shots, seed, memory)

    def _one_by_one(self, values: NDArray, shots: int, seed: int, memory: bool) -> list[dict[str, Any]]:
        """Circuits of which only some have parameters: Aer returns unequal numbers of results."""
        rows = [
            self._run_native(values[index : index + 1], shots, seed, memory) for index in range(len(values))
        ]
        return [row[k] for k in range(len(self._circuits)) for row in rows]

    def _run_public(self, values: NDArray, shots: int, seed: int, memory: bool) -> list[dict[str, Any]]:
        bound = []
        for circuit in self._circuits:
            own = set(circuit.parameters)
            for row in values:
                binding = {p: float(v) for p, v in zip(self._parameters, row, strict=True) if p in own}
                bound.append(circuit.assign_parameters(binding))
        result = self._simulator.run(
            bound,
            shots=shots,
            seed_simulator=_aer_seed(seed),
            memory=memory,
            noise_model=self.options.noise_model,
            max_parallel_threads=self.options.threads,
            max_memory_mb=1 << 40,
            fusion_enable=self._fusion,
        ).result()
        if not result.success:
            raise RunnerError(
                f"{_KNOWN_ERRORS}: {_first_error([r.status for r in result.results], result.status)}"
            )
        return [experiment.data.to_dict() for experiment in result.results]


def _branches(circuit: QuantumCircuit) -> bool:
    """Does something follow a measurement, or is something reset?"""
    measured = False
    for item in circuit.data:
        if item.operation.name == "measure":
            measured = True
        elif item.operation.name != "barrier" and (measured or item.clbits or item.operation.name == "reset"):
            return True
    return False


def _break(action: str | None) -> None:
    """Fail as Aer does, for tests: by an exception, or by a result that only says so."""
    if action == "raise":
        from qiskit_aer import AerError

        raise AerError("a fault for tests")
    if action == "refuse":
        _checked({"success": False, "results": [{"status": "ERROR: a fault for tests"}]})


def _slots(circuit: QuantumCircuit, index_map: Sequence[int]) -> tuple[list[tuple[int, int]], list[Any]]:
    """Where angles go in an assembled circuit, and what they are."""
    from qiskit_aer.backends.controller_wrappers import AerConfig

    slots: list[tuple[int, int]] = []
    expressions: list[Any] = []
    phase = circuit.global_phase
    if isinstance(phase, ParameterExpression) and phase.parameters:
        slots.append((AerConfig.GLOBAL_PHASE_POS, -1))
        expressions.append(phase)
    for index, item in enumerate(circuit.data):
        for position, value in enumerate(item.operation.params):
            if isinstance(value, ParameterExpression) and value.parameters:
                slots.append((index_map[index], position))
                expressions.append(value)
    return slots, expressions


def _aer_seed(seed: int) -> int:
    """Aer takes 31 bits, and 0 would mean none."""
    return seed % _MAX_SEED + 1


def _checked(output: Any) -> list[dict[str, Any]]:
    """The results, or the error Aer only mentions."""
    if not isinstance(output, dict):
        raise RunnerError(f"{_KNOWN_ERRORS}: no valid output")
    results = output.get("results", [])
    if not output.get("success", False):
        status = _first_error(
            [str(result.get("status", "")) for result in results], str(output.get("status", ""))
        )
        raise RunnerError(f"{_KNOWN_ERRORS}: {status}")
    return results


def _first_error(statuses: Sequence[Any], overall: Any) -> str:
    for status in statuses:
        if "ERROR" in str(status).upper():
            return " ".join(str(status).split())
    return " ".join(str(overall).split())


def bits_from_counts(counts: dict[str, int], width: int) -> NDArray:
    """Counts with hexadecimal keys as one row of booleans per shot, bit 0 first; in sorted order of outcome."""
    keys = sorted(counts, key=lambda key: int(key, 16))
    size = (width + 7) // 8
    rows = np.frombuffer(b"".join(int(key, 16).to_bytes(size, "little") for key in keys), dtype=np.uint8)
    bits = np.unpackbits(rows.reshape(len(keys), size), axis=1, bitorder="little")[:, :width].astype(bool)
    return np.repeat(bits, [counts[key] for key in keys], axis=0)


def bits_from_memory(memory: Sequence[str], width: int) -> NDArray:
    """Per-shot outcomes in hexadecimal as one row of booleans per shot, bit 0 first."""
    size = (width + 7) // 8
    rows = np.frombuffer(b"".join(int(key, 16).to_bytes(size, "little") for key in memory), dtype=np.uint8)
    return np.unpackbits(rows.reshape(len(memory), size), axis=1, bitorder="little")[:, :width].astype(bool)
