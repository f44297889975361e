"""Measuring a circuit: independent pieces of it, outcome probabilities or samples of each, readout errors."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qiskit.circuit import ClassicalRegister, Clbit, ControlFlowOp, Measure, Parameter, QuantumCircuit

from runner.engine import kernel
from runner.engine.aer import CLIFFORD, AerOptions, AerProgram, bits_from_counts, is_clifford
from runner.engine.branching import Branching, Density, Ensemble, splits
from runner.engine.circuits import CHANNELS, Anatomy, compact, components, dynamic_groups
from runner.engine.clifford import in_clifford_gates
from runner.engine.expressions import each_times
from runner.engine.kernel.program import Unsupported
from runner.engine.lindblad import LayerNoiseModel
from runner.engine.matrix_product import BondLimits, Losses, ProductProgram
from runner.engine.memory import beyond, fits, has_room, require
from runner.engine.noise import DeviceNoise, as_channels, confusion, error_of, misread, restrict
from runner.engine.propagation import PropagationLimits
from runner.engine.quasi_static import QuasiStatic
from runner.engine.schedule import Schedule, as_superoperators
from runner.engine.trajectories import Trajectories
from runner.errors import ConfigError

MAX_COURSES = 22
"""Up to this many qubits, measurements and resets together every course of a branching circuit is followed: 2^26
numbers are the most that `Branching` holds, and a step makes copies."""
USUAL_SHOTS = 4096
"""Shots by which a Sampler's plan, which is made before it knows them, weighs courses against trajectories."""
NO_KERNEL = "the kernel is switched off (engine=aer) or numba is not installed"
"""Why nothing compiled simulates a circuit."""
_LARGEST_TABLE = 26
_FEW_OUTCOMES = 64
"""Up to this many outcomes are counted at once, however few shots there are."""
_SHOTS_PER_OUTCOME = 8
"""From this many shots for each outcome on they are counted at once."""
_KERNEL_SECONDS = 0.15e-9
"""What the noisy kernel takes for a multiplication and addition. Measured; these only weigh ways against each other."""
_COURSE_SECONDS = 30e-9
"""… a step of a circuit that branches on one entry of one course's density matrix …"""
_DENSITY_SECONDS = 4e-9
"""… Aer for one instruction with its noise on one entry of a density matrix …"""
_AMPLITUDE_SECONDS = 11e-9
"""… on one amplitude of a trajectory …"""
_STEP_SECONDS = 2e-6
"""… and in addition for each instruction of a trajectory …"""
_DRAWN_SECONDS = 3e-5
"""… and where its noise is drawn beforehand, for which the kernel takes `_KERNEL_SECONDS` for an amplitude."""
_TRAJECTORIES = ("matrix_product_state", "stabilizer")
"""Methods without tables of outcome probabilities."""


def stream(seed: int, index: int, *where: int) -> np.random.Generator:
    """The random stream of parameter set `index` of a job, the same however the sets are batched."""
    counter = [0, *where, 0, 0, 0]
    return np.random.Generator(np.random.Philox(key=[seed, index], counter=counter[:4]))


class Streams:
    """The streams of `stream`, one after the other by one generator; a new one takes longer than few shots do."""

    def __init__(self) -> None:
        self._philox = np.random.Philox(key=0)
        self._generator = np.random.Generator(self._philox)
        self._fresh = self._philox.state

    def at(self, seed: int, index: int, *where: int) -> np.random.Generator:
        """The generator at the beginning of `stream(seed, index, *where)`; it leaves the stream it was in."""
        self._fresh["state"]["key"][:] = seed, index
        self._fresh["state"]["counter"][:] = [0, *where, 0, 0, 0][:4]
        self._philox.state = self._fresh
        return self._generator


@dataclass(frozen=True)
class Basis:
    """What is measured at once: the qubits, and the letter each is measured in."""

    letters: Mapping[int, str]

    @property
    def qubits(self) -> list[int]:
        """The measured qubits in order; outcome bit b belongs to `qubits[b]`."""
        return sorted(self.letters)


@dataclass(frozen=True)
class SimulationOptions:
    """What decides how a measured circuit is simulated."""

    method: str
    threads: int
    noise_model: Any
    target: Any
    kernel: Callable[..., Any] | None = None
    """Makes a state-vector program of the kernel, `kernel(circuit, parameters)`; None simulates on Aer."""
    noisy_kernel: Callable[..., Any] | None = None
    """Makes a `PauliVectorKernel`, or None of what it does not know; None simulates on Aer."""
    schedule: Schedule | None = None
    """Lets idle qubits decay; None where nothing is scheduled."""
    quasi_static: QuasiStatic | None = None
    """Frequencies that are drawn for every batch of shots; None where there are none."""
    singly: bool = False
    """Shots are drawn as in runs of identity 1 and 2, see `draw_counts`."""
    fused: bool = True
    """The kernel may take gates together; False in runs of identity 1 to 4."""
    grouping: str = "qubit_wise"
    """Which terms are measured together, see `runner.engine.grouping`."""
    engine: str = "auto"
    """As `Engine` takes it."""
    trajectories: int | None = None
    """Draws of twirled noise that the shots of one circuit are shared out to; None: noise as it is."""
    propagation: PropagationLimits = field(default_factory=PropagationLimits)
    """What is left out of sums of Pauli strings."""
    bonds: BondLimits = field(default_factory=BondLimits)
    """What is left out of matrix product states."""
    layer_noise: LayerNoiseModel | None = None
    """In the place of what gates and waits do wrong in `noise_model`; with `engine=pauli` only."""

    def product_program(
        self,
        circuit: QuantumCircuit,
        parameters: Sequence[Parameter],
        largest: int,
        *,
        truncated: bool = False,
    ) -> ProductProgram | None:
        """What makes matrix product states of a unitary circuit; None where something else is to simulate it.

        With `auto` that is what no state vector has room for, where the gates themselves say that nothing is left out.

        Args:
            circuit: without noise.
            parameters: the order of values.
            largest: qubits of its largest piece.
            truncated: also where something may be left out, for nothing else simulates it.
        """
        if self.engine == "mps":
            return ProductProgram(circuit, parameters, self.bonds)
        if self.engine != "auto" or self.method != "automatic" or fits(32 << largest) or is_clifford(circuit):
            return None
        program = ProductProgram(circuit, parameters, self.bonds)
        return program if program.fits or truncated else None

    def stabilizes(self, wide: bool) -> bool:
        """May Clifford gates of all kinds be written as those that a stabilizer state takes?

        Args:
            wide: a state vector is not what automatic takes for Clifford circuits.
        """
        if self.noise_model is not None or self.quasi_static is not None or self.engine == "mps":
            return False
        return self.method == "stabilizer" or (self.method == "automatic" and wide)

    @property
    def addressed(self) -> frozenset[str]:
        """The names and labels that the noise goes by."""
        return frozenset(() if self.noise_model is None else self.noise_model.noise_instructions)

    def on(self, circuit: QuantumCircuit, qubits: Iterable[int] = ()) -> SimulationOptions:
        """The same with a device's noise cut down to the circuit's qubits and these."""
        if not isinstance(self.noise_model, DeviceNoise):
            return self
        touched, read = set(qubits), set[int]()
        for item in circuit.data:
            if item.operation.name != "barrier":
                places = read if item.operation.name == "measure" else touched
                places.update(circuit.find_bit(bit).index for bit in item.qubits)
        model = self.noise_model.of(touched, read - touched)
        if model.is_ideal():
            waits = None if self.quasi_static is None else self.schedule
            return replace(self, noise_model=None, schedule=waits)
        return replace(self, noise_model=model)


class Piece:
    """A part of a circuit that nothing entangles with the rest, and how it is measured in every basis.

    Args:
        anatomy: the whole circuit.
        qubits: the piece's qubits.
        bases: the bases, of the whole circuit.
        rotations: per basis, the instructions that turn it into the computational one, on the whole circuit's qubits.
        options: how to simulate.
        scheduled: per basis, the circuit together with its rotation and the decay of waiting qubits; None where the
            circuit is not scheduled.
    """

    def __init__(
        self,
        anatomy: Anatomy,
        qubits: Sequence[int],
        bases: Sequence[Basis],
        rotations: Sequence[QuantumCircuit],
        options: SimulationOptions,
        scheduled: Sequence[Anatomy] | None = None,
    ) -> None:
        self.qubits = list(qubits)
        self._where = {qubit: index for index, qubit in enumerate(self.qubits)}
        self._options = options
        self._parameters: list[Parameter] = list(anatomy.circuit.parameters)
        self.circuit = compact(anatomy, self.qubits, classical=anatomy.dynamic)
        if not anatomy.dynamic and options.stabilizes(len(self.qubits) > _LARGEST_TABLE):
            self.circuit = in_clifford_gates(self.circuit)
        self.measured = [[q for q in basis.qubits if q in self._where] for basis in bases]
        self._rotations = [self._own(rotation) for rotation in rotations]
        self._bases = bases
        self._waits = scheduled is not None
        # a qubit that only basis changes act on never waits
        used = scheduled if scheduled is not None and self.circuit.data else []
        self._scheduled = [compact(whole, self.qubits) for whole in used]
        self._channels = any(
            item.operation.name in CHANNELS
            for circuit in self._scheduled or [self.circuit]
            for item in circuit.data
        )
        self.noise_model = self._restricted_noise()

    def _own(self, rotation: QuantumCircuit) -> QuantumCircuit:
        """The part of a basis change on this piece."""
        result = QuantumCircuit(len(self.qubits), global_phase=rotation.global_phase)
        for item in rotation.data:
            acted = [rotation.find_bit(bit).index for bit in item.qubits]
            if all(qubit in self._where for qubit in acted):
                result.append(item.operation, [self._where[qubit] for qubit in acted])
        return result

    def _restricted_noise(self) -> Any:
        noise = self._options.noise_model
        if noise is None:
            return None
        names = _names([self.circuit, *self._rotations]) | {"measure"}
        return restrict(noise, self.qubits, names)

    @cached_property
    def _noisy(self) -> bool:
        """Does anything but reading go wrong?"""
        return self._channels or self._gate_noise is not None or bool(self._read_noise)

    @cached_property
    def _read_noise(self) -> dict[int, Any]:
        """What happens to each measured qubit right before it is read, where anything does."""
        if self.noise_model is None:
            return {}
        qubits = {self._where[qubit] for measured in self.measured for qubit in measured}
        found = {qubit: error_of(self.noise_model, Measure(), (qubit,)) for qubit in sorted(qubits)}
        return {qubit: error for qubit, error in found.items() if error is not None}

    @cached_property
    def has_tables(self) -> bool:
        """Can outcome probabilities be computed at all, given the method and the machine's memory?"""
        if self._options.method in _TRAJECTORIES or self._product is not None:
            return False
        if not self._noisy:
            return len(self.qubits) <= _LARGEST_TABLE
        return self._options.method in ("automatic", "density_matrix") and fits(self._density_bytes)

    def tabulates(self, shots: int | None) -> bool:
        """Are outcome probabilities computed, instead of trajectories sampled? None asks for exact values.

        Where both could be done, what takes less time by estimate is done. It depends on the circuit and the shots
        alone, so that the same job always gives the same bits.
        """
        if self._draws_noise:
            return False
        if shots is None or not self.has_tables or not self._noisy or self._options.method != "automatic":
            return self.has_tables
        return self._density_seconds <= shots * self._trajectory_seconds

    @property
    def _draws_noise(self) -> bool:
        """Is its noise twirled and drawn, for several shots at once?"""
        return self._options.trajectories is not None and self._noisy and not self._bare

    @cached_property
    def _trajectories(self) -> list[Trajectories]:
        """Per basis, what is drawn."""
        return [
            Trajectories(
                circuit,
                self._gate_noise,
                self._read_noise,
                [confusion(self.noise_model, qubit) for qubit in self._places(measured)],
                self._places(measured),
            )
            for circuit, measured in zip(self._turned(), self.measured, strict=True)
        ]

    def _of_trajectories(self, basis: int, row: NDArray, shots: int, own: np.random.Generator) -> NDArray:
        """Outcomes of a basis as read, (shots, k) booleans, the draws of noise having their share of the shots."""
        make, number = self._options.kernel, self._options.trajectories
        assert make is not None
        assert number is not None
        self.require_sampled()
        one = self._trajectories[basis]
        bits = one.samples(lambda drawn: make(drawn, self._parameters), row, number, shots, draw, own)
        return own.permutation(bits)

    @cached_property
    def _product(self) -> ProductProgram | None:
        """What makes matrix product states of it, where they are to be sampled."""
        if self._noisy or self._bare or self._options.quasi_static is not None:
            return None
        return self._options.product_program(self.circuit, self._parameters, len(self.qubits), truncated=True)

    @property
    def product(self) -> ProductProgram | None:
        """What makes matrix product states of it to be sampled; None where something else does."""
        return self._product

    @property
    def product_words(self) -> str | None:
        """That it is a matrix product, and why; None where it is not."""
        if self._product is None:
            return None
        return f"{self._product.in_words()}, {why_product(self._options)}"

    def simulation(self, shots: int | None) -> str | None:
        """How the piece is simulated, and why, in words; None of a state vector."""
        if self._product is not None:
            return self.product_words
        if self._bare:
            return None
        size = len(self.qubits)
        if not self._noisy:
            stabilized = not self.tabulates(shots) and self._method_for(tables=False) == "stabilizer"
            return stabilized_in_words(size) if stabilized and self._options.method == "automatic" else None
        where = "the compiled kernel" if self._pauli is not None else "Aer"
        if self._draws_noise:
            return (
                f"{self._options.trajectories} trajectories of {size} qubits in the compiled kernel, "
                f"{self._drawn_seconds:.2g} s each by estimate, which share the shots, noise being twirled, as "
                "backend.trajectories says"
            )
        if not self.tabulates(shots):
            if self._options.method not in ("automatic", "density_matrix"):
                return f"trajectories of {size} qubits on Aer, as method {self._options.method} says"
            if not self.has_tables:
                each = self._trajectory_seconds
                return (
                    f"trajectories of {size} qubits on Aer, {each:.2g} s each by estimate, for a density matrix has "
                    f"no room here"
                )
            return (
                f"trajectories of {size} qubits on Aer, {(shots or 1) * self._trajectory_seconds:.2g} s each by "
                f"estimate, where a density matrix takes {self._density_seconds:.2g} s"
            )
        words = (
            f"a density matrix of {size} qubits on {where}, {self._density_seconds:.2g} s each by estimate"
        )
        if shots is None or self._options.method != "automatic":
            return words
        return f"{words}, where trajectories take {shots * self._trajectory_seconds:.2g} s"

    @property
    def _density_bytes(self) -> int:
        size = len(self.qubits)
        return 16 << (2 * size)

    @cached_property
    def _num_steps(self) -> int:
        """Instructions of all bases together."""
        if self._scheduled:
            return sum(len(circuit.data) for circuit in self._scheduled)
        return sum(len(self.circuit.data) + len(rotation.data) for rotation in self._rotations)

    @property
    def _density_seconds(self) -> float:
        """About how long one parameter set takes as a density matrix."""
        if self._pauli is not None:
            return _KERNEL_SECONDS * float(self._pauli.operations)
        return _DENSITY_SECONDS * self._num_steps * 4.0 ** len(self.qubits)

    @property
    def _trajectory_seconds(self) -> float:
        """About how long one shot of every basis takes."""
        return self._num_steps * (_STEP_SECONDS + _AMPLITUDE_SECONDS * 2.0 ** len(self.qubits))

    @property
    def _drawn_seconds(self) -> float:
        """About how long one trajectory of every basis takes whose noise is drawn beforehand."""
        return self._num_steps * (_DRAWN_SECONDS + _KERNEL_SECONDS * 2.0 ** len(self.qubits))

    def _method_for(self, *, tables: bool) -> str:
        """Aer's method for outcome probabilities, or for trajectories."""
        method = self._options.method
        if method == "density_matrix" or (tables and self._noisy):
            return "density_matrix"
        if method == "automatic":
            clifford = not (tables or self._noisy) and is_clifford(self.circuit)
            return "stabilizer" if clifford else "statevector"
        return method

    def _state_bytes(self, *, tables: bool) -> int:
        """The state that is held."""
        size = len(self.qubits)
        return {"statevector": 16 << size, "density_matrix": 16 << (2 * size)}.get(
            self._method_for(tables=tables), 0
        )

    def _require_memory(self, *, tables: bool) -> None:
        kind = "density matrix" if self._method_for(tables=tables) == "density_matrix" else "state vector"
        require(self._state_bytes(tables=tables), f"a {kind} of {len(self.qubits)} qubits")

    def _require_tables(self, sets: int) -> None:
        """Ask for the state together with the outcome probabilities and what drawing from them takes."""
        size = len(self.qubits)
        widest = max(map(len, self.measured))
        tables = 8 * sets * sum(1 << len(measured) for measured in self.measured)
        undecided = self._noisy and self.has_tables and "_noisy_program" not in self.__dict__
        if undecided and has_room((16 << 2 * max(size, 2)) + 3 * tables + (16 << widest)):
            return  # whatever simulates it, which takes long to find out
        if self._pauli is not None:
            needed = self._pauli.missing_bytes + 3 * tables
        elif self._kernel is not None:
            tables = 8 * sets * len(self.measured) << size
            needed = self._kernel.missing_bytes + tables + (16 << widest)
        else:  # Aer has let go of its state when the probabilities are copied, and drawn from
            held = self._state_bytes(tables=True)
            needed = max(held + tables, 2 * tables, tables + (16 << widest))
        require(needed, f"the outcome probabilities of {size} qubits for {sets} parameter sets")

    @cached_property
    def _gate_noise(self) -> Any:
        """The noise without readout errors, which are applied to probabilities instead."""
        noise = self.noise_model
        if noise is None or not (noise._local_quantum_errors or noise._default_quantum_errors):
            return None
        names = _names([self.circuit, *self._rotations])
        result = restrict(noise, range(len(self.qubits)), names)
        result._local_readout_errors.clear()
        result._default_readout_error = None
        return result

    @cached_property
    def _bare(self) -> bool:
        """Is this a qubit nothing is done to, whose outcomes need no simulation?"""
        untouched = len(self.qubits) == 1 and not self.circuit.data and not self._read_noise
        return untouched and (
            self._gate_noise is None or not any(rotation.data for rotation in self._rotations)
        )

    def _bare_table(self, sets: int, index: int) -> NDArray:
        rotated = bool(self.measured[index]) and self._bases[index].letters[self.qubits[0]] != "Z"
        return np.tile([0.5, 0.5] if rotated else [1.0, 0.0], (sets, 1))

    @cached_property
    def _kernel(self) -> Any:
        if self._options.kernel is None or self._noisy or self._method_for(tables=True) != "statevector":
            return None
        return self._options.kernel(self.circuit, self._parameters)

    @cached_property
    def _pauli(self) -> Any:
        """The noisy kernel's program; None where the circuit has no noise, or something the kernel does not know."""
        return self._made_noisy if self._noisy and self.has_tables else None

    @property
    def _made_noisy(self) -> Any:
        """The noisy kernel's program of this piece, also where it has no noise."""
        return self._noisy_program[0]

    @cached_property
    def _noisy_program(self) -> tuple[Any, str]:
        """The noisy kernel's program, and why there is none."""
        make = self._options.noisy_kernel
        if make is None:
            return None, NO_KERNEL
        if not fits(self._density_bytes):
            return None, beyond(self._density_bytes, f"a density matrix of {len(self.qubits)} qubits")
        try:
            made = make(
                None if self._scheduled else self.circuit,
                list(zip(self._scheduled or self._rotations, map(self._places, self.measured), strict=True)),
                self._gate_noise,
                {qubit: confusion(self.noise_model, qubit) for qubit in range(len(self.qubits))}
                if self.noise_model is not None
                else {},
                self._read_noise,
                self._parameters,
            )
        except Unsupported as error:
            return None, f"the noisy kernel does not know {error}"
        return made, ""

    def _places(self, qubits: Iterable[int]) -> list[int]:
        """The qubits' own numbers in this piece."""
        return [self._where[qubit] for qubit in qubits]

    def _turned(self) -> list[QuantumCircuit]:
        """Per basis, the circuit up to the measurement."""
        if self._scheduled:
            return [circuit.copy() for circuit in self._scheduled]
        return [self.circuit.compose(rotation) for rotation in self._rotations]

    def _written_out(self) -> list[QuantumCircuit]:
        """Per basis, the circuit up to the measurement with its noise as channels."""
        turned = self._turned()
        if self._waits:
            return as_superoperators(turned, self._gate_noise)
        if self._gate_noise is None and not self._channels:
            return turned
        return [as_channels(circuit, self._gate_noise) for circuit in turned]

    @cached_property
    def _probability_program(self) -> AerProgram:
        self._require_memory(tables=True)
        circuits = []
        for circuit, measured in zip(self._written_out(), self.measured, strict=True):
            for qubit in self._places(measured):
                if qubit in self._read_noise:
                    circuit.append(self._read_noise[qubit].to_instruction(), [qubit])
            if measured:
                circuit.save_probabilities([self._where[q] for q in measured], label="p")
            else:
                circuit.save_probabilities([0], label="p")
            circuits.append(circuit)
        options = AerOptions(self._method_for(tables=True), self._options.threads)
        return AerProgram(circuits, self._parameters, options)

    def _sampled_circuits(self) -> list[QuantumCircuit]:
        """Per basis, the circuit with its measurements."""
        circuits = []
        for circuit, measured in zip(self._turned(), self.measured, strict=True):
            circuit.add_register(ClassicalRegister(max(len(measured), 1), "m"))
            for bit, qubit in enumerate(measured):
                circuit.measure(self._where[qubit], bit)
            circuits.append(circuit)
        return circuits

    @property
    def _sampling_options(self) -> AerOptions:
        return AerOptions(self._method_for(tables=False), self._options.threads, self.noise_model)

    @cached_property
    def _sampling_program(self) -> AerProgram:
        self.require_sampled()
        return AerProgram(self._sampled_circuits(), self._parameters, self._sampling_options)

    @cached_property
    def _sampling_programs(self) -> list[AerProgram]:
        """A program for each basis, for bases with shots of their own."""
        self.require_sampled()
        options = self._sampling_options
        return [AerProgram([circuit], self._parameters, options) for circuit in self._sampled_circuits()]

    def require_sampled(self) -> None:
        """Refuse a state that takes more memory than there is."""
        if self._product is not None:
            self._product.require()
        elif self._draws_noise:
            size = len(self.qubits)
            require(40 << size, f"a state vector of {size} qubits and its outcomes' probabilities")
        else:
            self._require_memory(tables=False)

    def require_analytic(self) -> None:
        """Refuse exact values where there are only trajectories.

        Raises:
            ConfigError: too many qubits, with their number.
        """
        if self.has_tables:
            self._require_tables(1)
            return
        if self._noisy and self._options.method in ("automatic", "density_matrix"):
            require(
                self._density_bytes,
                f"a density matrix of {len(self.qubits)} qubits",
                "take fewer qubits, or backend.engine=pauli, which follows expectation values under twirled noise",
            )
        raise ConfigError(
            f"the simulation method {self._options.method} has no exact values of "
            f"{'a noisy circuit' if self._noisy else f'{len(self.qubits)} qubits'}; give shots or choose density_matrix"
        )

    def products(self, values: NDArray, masks: Sequence[NDArray]) -> list[NDArray]:
        """Per basis, expectation values (B, terms) of products of what is read, ±1 each.

        Args:
            values: parameter sets.
            masks: per basis, which of its measured qubits belong to each product, (terms, k).
        """
        if self._pauli is not None and not self._bare:
            self._require_tables(len(values))
            moments = self._pauli.moments(values)
            return [
                own[:, mask @ (1 << np.arange(mask.shape[1], dtype=np.int64))]
                for own, mask in zip(moments, masks, strict=True)
            ]
        tables = self.probabilities(values)
        return [each_times(table, signs_of(mask).T) for table, mask in zip(tables, masks, strict=True)]

    @property
    def differentiable(self) -> bool:
        """Have its expectation values exact derivatives under noise?"""
        return not self.no_derivatives_because

    @property
    def no_derivatives_because(self) -> str:
        """Why they have none; empty if they have."""
        if self._bare:
            return ""
        if (because := self._noisy_program[1]) or self.has_tables:
            return because
        return f"{len(self.qubits)} of its qubits have too many outcomes for exact values"

    @property
    def moves(self) -> bool:
        """Does it depend on any parameter?"""
        circuits = [self.circuit, *self._rotations, *self._scheduled]
        return any(circuit.num_parameters for circuit in circuits)

    def product_gradients(
        self, values: NDArray, masks: Sequence[NDArray], weights: Sequence[NDArray]
    ) -> tuple[NDArray, NDArray]:
        """Weighted sums (B, S) of the `products` of all bases, and their derivatives by every parameter (B, S, P).

        Args:
            values: parameter sets.
            masks: per basis, which of its measured qubits belong to each product, (terms, k).
            weights: per basis, (B or 1, S, terms).
        """
        spread = []
        for own, measured, mask in zip(weights, self.measured, masks, strict=True):
            places = mask @ (1 << np.arange(mask.shape[1], dtype=np.int64))
            dense = np.zeros((*own.shape[:2], 1 << len(measured)))
            np.add.at(dense.T, places, own.T)
            spread.append(dense)
        return self._made_noisy.gradients(values, spread)

    def probabilities(self, values: NDArray) -> list[NDArray]:
        """Per basis, the probabilities of the outcomes as read, (B, 2^k)."""
        self.require_analytic()
        if not self._bare:
            self._require_tables(len(values))
        if self._bare:
            tables = [self._bare_table(len(values), index) for index in range(len(self.measured))]
        elif self._pauli is not None:
            tables = [_outcomes(own) for own in self._pauli.moments(values)]
        elif self._kernel is not None:
            requests = [
                [(self._where[q], basis.letters[q]) for q in measured]
                for basis, measured in zip(self._bases, self.measured, strict=True)
            ]
            tables = self._kernel.probabilities(values, requests)
        else:
            data = self._probability_program.run(values)
            tables = [np.stack([np.asarray(entry["p"]) for entry in rows]) for rows in data]
        return self._as_read(tables)

    def _as_read(self, tables: Sequence[NDArray]) -> list[NDArray]:
        """Outcome probabilities per basis, (B, 2^k), with readout errors and a sum of 1."""
        result = []
        for measured, table in zip(self.measured, tables, strict=True):
            if not measured:
                result.append(np.ones((len(table), 1)))
                continue
            table = np.clip(table, 0.0, None, out=table)
            if self.noise_model is not None and (
                self._pauli is None or self._bare
            ):  # its moments are as read
                table = misread(table, [confusion(self.noise_model, self._where[q]) for q in measured])
            table /= table.sum(axis=1, keepdims=True)
            result.append(table)
        return result

    @property
    def _first_bit(self) -> int:
        """The classical bit that the first measured qubit goes to in a sampling program."""
        return 0

    def samples(
        self,
        values: NDArray,
        shots: Sequence[int],
        seed: int,
        first: int,
        piece: int,
        losses: Losses | None = None,
    ) -> list[list[NDArray]]:
        """Per basis and parameter set, outcomes as read, (its shots, k) booleans from trajectories.

        Args:
            values: parameter sets.
            shots: of each basis.
            seed: of the job.
            first: the first set's number in the job.
            piece: this piece's number.
            losses: told what is left out of the states.
        """
        result: list[list[NDArray]] = [[] for _ in self.measured]
        for index, row in enumerate(values):
            own = stream(seed, first + index, 0, 1 + piece)
            if self._product is not None:
                state = self._product.prepared(row)
                if losses is not None:
                    losses.add(first + index, state)
                for basis, measured in enumerate(self.measured):
                    letters = {self._where[q]: self._bases[basis].letters[q] for q in measured}
                    result[basis].append(state.samples(letters, list(letters), shots[basis], own))
                continue
            if self._draws_noise:
                for basis, found in enumerate(result):
                    found.append(self._of_trajectories(basis, row, shots[basis], own))
                continue
            data = self._sampled_data(row[None, :], shots, own)
            for basis, measured in enumerate(self.measured):
                if measured:
                    width = self._first_bit + len(measured)
                    bits = bits_from_counts(data[basis][0]["counts"], width)[:, self._first_bit :]
                else:
                    bits = np.zeros((shots[basis], 0), dtype=bool)
                result[basis].append(own.permutation(bits))
        return result

    def _sampled_data(self, row: NDArray, shots: Sequence[int], own: np.random.Generator) -> list[list[Any]]:
        """What Aer gives for each basis."""
        if len(set(shots)) == 1:
            return self._sampling_program.run(row, shots=shots[0], seed=int(own.integers(1, 1 << 31)))
        seeds = own.integers(1, 1 << 31, size=len(shots)).tolist()
        return [
            program.run(row, shots=count, seed=seed)[0]
            for program, count, seed in zip(self._sampling_programs, shots, seeds, strict=True)
        ]


class BranchingPiece(Piece):
    """A part of a circuit that is measured, reset or branched on before its end."""

    def _restricted_noise(self) -> Any:
        noise = self._options.noise_model
        return None if noise is None else restrict(noise, self.qubits, noise.noise_instructions)

    @cached_property
    def _splits(self) -> float:
        return splits(self.circuit)

    @property
    def _pure(self) -> bool:
        """Is it followed as a mixture of state vectors, instead of as a density matrix?"""
        noisy = self.noise_model is not None and not self.noise_model.is_ideal()
        return not noisy and not self._channels and self._splits <= len(self.qubits)

    _pauli = None
    _product = None
    _draws_noise = False
    differentiable = False

    def simulation(self, shots: int | None) -> str | None:
        """How it is simulated, in words."""
        size = len(self.qubits)
        if self.tabulates(shots):
            kind = "mixtures of state vectors" if self._pure else "density matrices"
            return f"every course of {size} qubits that are measured, reset or branched on as {kind}"
        return f"trajectories of {size} qubits that are measured, reset or branched on, on Aer"

    @cached_property
    def has_tables(self) -> bool:
        """Is every course followed, instead of trajectories sampled?"""
        size = len(self.qubits)
        if self._options.method in _TRAJECTORIES:
            return False
        if self._pure:
            return size + self._splits <= MAX_COURSES
        return 2 * size + self._remembered <= MAX_COURSES + 4

    @property
    def _remembered(self) -> float:
        """How many classical bits tell courses from each other at most."""
        return min(self._splits, self.circuit.num_clbits)

    def require_analytic(self) -> None:
        """Refuse exact values where there are only trajectories, or too little memory.

        Raises:
            ConfigError: too many qubits, with their number.
        """
        if self.has_tables:
            self._require_memory(tables=True)
            return
        if self._options.method in _TRAJECTORIES:
            raise ConfigError(
                f"method {self._options.method} has no exact values of a circuit that measures, resets or branches; "
                "take the method automatic, or estimator=shots"
            )
        many = f"{self._splits:g}" if self._splits < math.inf else "any number of"
        raise ConfigError(
            "exact values of a circuit that measures, resets or branches take at most "
            f"{MAX_COURSES} qubits, measurements and resets together, or {MAX_COURSES // 2 + 2} qubits with noise, "
            f"got {len(self.qubits)} with {many}; take estimator=shots"
        )

    def probabilities(self, values: NDArray) -> list[NDArray]:
        """Per basis, the probabilities of the outcomes as read, (B, 2^k), over all courses."""
        self.require_analytic()
        rows = [self._outcomes(row) for row in values]
        return self._as_read([np.stack(table) for table in zip(*rows, strict=True)])

    def outcomes(self, row: NDArray) -> tuple[list[int], NDArray]:
        """For one parameter set, contents of all classical bits with the probabilities of the first basis's outcomes.

        See `Branching.outcomes`.
        """
        places = [self._where[qubit] for qubit in self.measured[0]]
        return self._followed(row, remember=True).outcomes(places)

    def _followed(self, row: NDArray, *, remember: bool = False) -> Branching:
        own = set(self.circuit.parameters)
        bound = self.circuit.assign_parameters(
            {p: float(v) for p, v in zip(self._parameters, row, strict=True) if p in own}
        )
        begin = (Ensemble if self._pure else Density).zero(len(self.qubits))
        return Branching(bound, self._gate_noise, begin, remember=remember)

    def tabulates(self, shots: int | None) -> bool:
        """Is every course followed, instead of trajectories sampled? Vectors are wherever they can be."""
        if shots is None or not self.has_tables or self._pure or self._options.method != "automatic":
            return self.has_tables
        return self._density_seconds <= shots * self._trajectory_seconds

    @property
    def _density_seconds(self) -> float:
        """About how long all courses of one parameter set take."""
        return _COURSE_SECONDS * self._num_steps * 2.0 ** (2 * len(self.qubits) + self._remembered)

    def _state_bytes(self, *, tables: bool) -> int:  # noqa: ARG002 - only asked for tables
        size = len(self.qubits)
        return 64 << (size + int(self._splits) if self._pure else 2 * size)

    def _outcomes(self, row: NDArray) -> list[NDArray]:
        """Per basis, the probabilities of what the measured qubits are, (2^k,), for one parameter set."""
        end = self._followed(row).state()
        tables = []
        for rotation, measured in zip(self._rotations, self.measured, strict=True):
            found = Branching(rotation, self._gate_noise, end).state().probabilities
            places = [self._where[qubit] for qubit in measured]
            found = found.sum(axis=tuple(q for q in range(len(self.qubits)) if q not in places))
            tables.append(found.transpose().reshape(-1))
        return tables

    @cached_property
    def _gate_noise(self) -> Any:
        """All of the noise: what is read on the way is misread as well."""
        return self.noise_model

    def require_sampled(self) -> None:
        """Refuse trajectories that take more memory than there is; Clifford circuits take next to none."""
        if self.tabulates(USUAL_SHOTS):
            self._require_memory(tables=True)
        elif (
            self._options.method in ("automatic", "statevector")
            and not _names_within(self.circuit) <= _STABILIZED
        ):
            size = len(self.qubits)
            require(16 << size, f"a state vector of {size} qubits")

    def _sampled_circuits(self) -> list[QuantumCircuit]:
        """Per basis, the circuit with its measurements."""
        circuits = []
        for rotation, measured in zip(self._rotations, self.measured, strict=True):
            circuit = self.circuit.compose(rotation)
            bits = [Clbit() for _ in range(max(len(measured), 1))]
            circuit.add_bits(bits)
            for bit, qubit in zip(bits, measured, strict=False):
                circuit.measure(self._where[qubit], bit)
            circuits.append(circuit)
        return circuits

    @property
    def _sampling_options(self) -> AerOptions:
        return AerOptions(self._options.method, self._options.threads, self.noise_model)

    @property
    def _first_bit(self) -> int:
        return self.circuit.num_clbits


def stabilized_in_words(size: int) -> str:
    """How so many qubits are simulated, and why."""
    return f"a stabilizer state of {size} qubits on Aer, for all gates are Clifford gates"


def why_product(options: SimulationOptions) -> str:
    """Why a state is a matrix product, in words."""
    return "as engine=mps says" if options.engine == "mps" else "for a state vector has no room here"


_STABILIZED = CLIFFORD | {"measure", "reset", "if_else", "switch_case", "for_loop", "while_loop"}


def _names_within(circuit: QuantumCircuit) -> set[str]:
    """The names of all instructions, those in blocks included."""
    found = set()
    for item in circuit.data:
        found.add(item.operation.name)
        if isinstance(item.operation, ControlFlowOp):
            found = found.union(*map(_names_within, item.operation.blocks))
    return found


def pieces_of(
    anatomy: Anatomy,
    bases: Sequence[Basis],
    rotations: Sequence[QuantumCircuit],
    options: SimulationOptions,
    scheduled: Sequence[Anatomy] | None = None,
) -> list[Piece]:
    """The independent pieces of a circuit that take part in any of the measurements; arguments as of `Piece`."""
    measured = {qubit for basis in bases for qubit in basis.letters}
    dynamic: list[Anatomy] = []
    if anatomy.dynamic:
        anatomy, dynamic = dynamic_groups(anatomy)
    branched = set().union(*(part.touched for part in dynamic))
    groups = components(anatomy, (anatomy.touched | measured) - branched)
    pieces = [
        Piece(anatomy, group, bases, rotations, options, scheduled)
        for group in groups
        if any(q in measured for q in group)
    ]
    return pieces + [
        BranchingPiece(part, sorted(part.touched), bases, rotations, options)
        for part in dynamic
        if any(q in measured for q in part.touched)
    ]


def _names(circuits: Iterable[QuantumCircuit]) -> set[str]:
    """The names and labels of instructions, by either of which noise may go."""
    names: set[str] = set()
    for circuit in circuits:
        for item in circuit.data:
            names.add(item.name)
            if item.label is not None:
                names.add(item.label)
    return names


def basis_changes(
    num_qubits: int, bases: Sequence[Basis], target: Any, noise_model: Any
) -> list[QuantumCircuit]:
    """The circuits that turn each basis into the computational one, in the device's own gates.

    They are translated as `BackendEstimatorV2` does it: apart from the measured circuit, by one-qubit resynthesis.
    """
    circuits = []
    for basis in bases:
        circuit = QuantumCircuit(num_qubits)
        for qubit, letter in sorted(basis.letters.items()):
            if letter == "Y":
                circuit.sdg(qubit)
            if letter in "XY":
                circuit.h(qubit)
        circuits.append(circuit)
    if noise_model is None and target is None:
        return circuits
    from qiskit.transpiler import PassManager
    from qiskit.transpiler.passes import Optimize1qGatesDecomposition

    names = target.operation_names if target is not None else noise_model.basis_gates
    return PassManager([Optimize1qGatesDecomposition(basis=list(names), target=target)]).run(circuits)


def signs_of(masks: NDArray) -> NDArray:
    """(-1)^(parity of outcome and mask), (terms, 2^k)."""
    packed = masks @ (1 << np.arange(masks.shape[1], dtype=np.int64))
    outcomes = np.arange(1 << masks.shape[1], dtype=np.int64)
    return 1.0 - 2.0 * (np.bitwise_count(packed[:, None] & outcomes[None, :]) & 1)


def signed_sums(table: NDArray) -> NDArray:
    """Σ over masks of (-1)^(parity of outcome and mask) · entry, for every outcome; (B, 2^k) as given."""
    result = table.copy()
    for bit in range(table.shape[1].bit_length() - 1):
        pairs = result.reshape(len(result), -1, 2, 1 << bit)
        even, odd = pairs[:, :, 0] + pairs[:, :, 1], pairs[:, :, 0] - pairs[:, :, 1]
        pairs[:, :, 0], pairs[:, :, 1] = even, odd
    return result


def _outcomes(moments: NDArray) -> NDArray:
    """Probabilities (B, 2^k) of outcomes, from the expectation values of all products of their signs."""
    result = signed_sums(moments)
    result /= moments.shape[1]
    return result


def draw(probabilities: NDArray, shots: int, generator: np.random.Generator) -> NDArray:
    """Independent outcomes in the order they were drawn."""
    cumulated = np.cumsum(probabilities)
    points = generator.random(shots) * cumulated[-1]
    if kernel.available():
        outcomes = np.empty(shots, dtype=np.int64)
        kernel.loop("draw")(cumulated, points, np.empty(len(cumulated), dtype=np.int64), outcomes)
        return outcomes
    return np.minimum(np.searchsorted(cumulated, points, side="right"), len(probabilities) - 1)


def draw_counts(
    probabilities: NDArray, shots: int, generator: np.random.Generator, *, singly: bool = False
) -> NDArray:
    """How often each outcome is drawn, by NumPy's `multinomial`: a million shots take no longer than a thousand.

    With few shots for each outcome drawing every one of them is quicker; with `singly` that is done from 65 outcomes.
    """
    if len(probabilities) <= (_FEW_OUTCOMES if singly else max(_FEW_OUTCOMES, shots // _SHOTS_PER_OUTCOME)):
        return generator.multinomial(shots, probabilities)
    return np.bincount(draw(probabilities, shots, generator), minlength=len(probabilities))
