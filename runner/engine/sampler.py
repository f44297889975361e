"""Samples of one measured circuit, compiled once."""

from __future__ import annotations

import keyword
import math
import threading
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qiskit.circuit import QuantumCircuit
from qiskit.primitives import BitArray, DataBin

from runner.engine import kernel
from runner.engine.aer import AerOptions, AerProgram, bits_from_memory
from runner.engine.circuits import Anatomy, compact, dissect, dynamic_groups, together
from runner.engine.classification import Classification, classify
from runner.engine.duration import scheduled_duration
from runner.engine.executed import as_executed
from runner.engine.finite import FiniteAngles
from runner.engine.identity import canonical_text, digest_of
from runner.engine.matrix_product import Losses
from runner.engine.measurement import (
    USUAL_SHOTS,
    Basis,
    BranchingPiece,
    Piece,
    SimulationOptions,
    Streams,
    draw,
    pieces_of,
    stream,
)
from runner.engine.memory import require
from runner.engine.noise import is_factorable, restrict, with_relaxation
from runner.engine.quasi_static import Drifting, require_drifting
from runner.errors import ConfigError

_CHUNK_BYTES = 64 << 20
_POINTS = 1 << 17
"""Random numbers of one-qubit pieces that are held at once (1 MiB)."""
_MANY = 1 << 20
"""From so many outcomes on drawing them saves time although the compiled loop has to be loaded."""
DISCARDED, DISTANCE = "discarded weight", "truncation distance"
"""What a Sampler's numbers call what was left out of states, beside its registers; `runner.runtime.results` knows."""


class SamplerPlan:
    """One circuit with measurements, ready to be sampled; made by `Engine.sampler_plan`."""

    def __init__(self, circuit: QuantumCircuit, options: SimulationOptions) -> None:
        if options.engine == "pauli":
            raise ConfigError("engine=pauli has expectation values and no samples; take engine=mps or auto")
        if not circuit.cregs:
            raise ConfigError(
                "the sampler needs a circuit with measurements into classical registers; this has none"
            )
        for register in circuit.cregs:
            if not register.size:
                raise ConfigError(f"Classical register {register.name} is of size 0; leave it out")
            if not register.name.isidentifier():
                raise ConfigError(
                    f"Classical register names must be valid identifiers, got {register.name!r}; rename it"
                )
            if keyword.iskeyword(register.name):
                raise ConfigError(
                    f"Classical register names cannot be Python keywords, got {register.name!r}; rename it"
                )
            if hasattr(DataBin, register.name):
                raise ConfigError(
                    f"a classical register is called {register.name!r}, and results have that name for something "
                    "else; rename it"
                )
        circuit = as_executed(circuit)
        options = options.on(circuit)
        self._options = options
        schedule = options.schedule
        self.unscheduled: str | None = None if schedule is None else schedule.obstacle(circuit)
        """Why idle qubits do not decay although they do on this device; None where they do, or never do."""
        if self.unscheduled is not None:
            schedule = None
        self._schedule = schedule
        drift = options.quasi_static
        mark = [] if schedule is None else ["scheduled"]
        mark += [] if drift is None else [drift.text]
        text = canonical_text(circuit, addressed=options.addressed)
        self.digest = digest_of("sampler", text, *mark)
        self.num_parameters: int = circuit.num_parameters
        self.registers: dict[str, int] = {register.name: register.size for register in circuit.cregs}
        self.duration: float | None = scheduled_duration(circuit, options.target)
        clbit_index = {bit: index for index, bit in enumerate(circuit.clbits)}
        self._register_bits = {reg.name: [clbit_index[bit] for bit in reg] for reg in circuit.cregs}
        self._num_clbits = circuit.num_clbits
        self._parameters = list(circuit.parameters)
        declared = circuit, list(circuit.parameters)
        self._drifting: Drifting | None = None
        if drift is not None:
            require_drifting(self.unscheduled, dissect(circuit).dynamic)
            assert schedule is not None
            self._drifting = Drifting(circuit, drift, schedule, options.target, options.addressed)
            circuit = self._drifting.circuit
            self._parameters = list(circuit.parameters)
        elif schedule is not None:
            circuit = schedule.with_decay(circuit)
        elif options.noise_model is not None:
            circuit = with_relaxation(circuit, options.noise_model)
        self.classification: Classification = classify(circuit, noisy=options.noise_model is not None)
        """What the circuit is."""
        self.classification.require_known(() if options.target is None else options.target.operation_names)
        self._anatomy: Anatomy = self.classification.anatomy
        self._finite = (
            FiniteAngles(self._anatomy.circuit, self._parameters)
            if self._drifting is None
            else FiniteAngles(*declared)
        )
        self._lock = threading.RLock()
        noise = options.noise_model
        factorable = noise is None or is_factorable(noise)
        if options.trajectories is not None and (self._anatomy.dynamic or not factorable):
            why = "measures, resets or branches" if factorable else "has noise of several qubits' readout"
            raise ConfigError(
                f"stand for noise of gates and waits, and the circuit {why}; leave it out",
                key="backend.trajectories",
            )
        if not factorable:
            self._joint = self._anatomy
            self._apart = replace(self._anatomy, steps=(), final={}, dynamic=False)
            self._followed: list[Anatomy] = []
        else:
            self._apart, self._followed, self._joint = self._split()

    @property
    def nbytes(self) -> int:
        """About how much memory the plan takes."""
        return 4096 + 2048 * len(self._anatomy.steps)

    def require_finite(self, values: NDArray) -> None:
        """Refuse parameter sets (*batch, P) at which an angle is not finite.

        Raises:
            NumericalError: one is, or a value itself is not.
        """
        self._finite.require(values)

    @cached_property
    def truncates(self) -> bool:
        """Whether something may be left out of its states, so that they may be refused."""
        return self._drifting is None and any(piece.product is not None for piece in self._pieces)

    def foresee(self) -> None:
        """Find out whether a circuit without parameters would be refused for what is left out of it; keep its state.

        Raises:
            TruncationError: it would.
        """
        if self.truncates:
            for piece in self._pieces:
                if piece.product is not None:
                    piece.product.foresee(np.zeros(0))

    def run(self, values: NDArray, *, shots: int, seed: int) -> dict[str, Any]:
        """Sample parameter sets (*batch, P): one `BitArray` of the batch's shape per classical register.

        Under `DISCARDED` and `DISTANCE`, where states are matrix products: what was left out of each set's state, and
        by how much the probabilities of its outcomes may be wrong in all.
        """
        values = np.asarray(values, dtype=float)
        if values.shape[-1:] != (self.num_parameters,):
            raise ConfigError(
                f"the circuit takes {self.num_parameters} parameters, got values of shape {values.shape}"
            )
        if shots < 1:
            raise ConfigError(f"shots must be at least 1, got {shots}")
        self.require_finite(values)
        batch = values.shape[:-1]
        rows = values.reshape(math.prod(values.shape[:-1]), self.num_parameters)
        losses = Losses(len(rows))
        drifts = self._drifting is not None
        bits = self._drifted(rows, shots, seed) if drifts else self._bits(rows, shots, seed, losses)
        result: dict[str, Any] = {}
        if losses.any:
            result = {DISCARDED: losses.discarded.reshape(batch), DISTANCE: losses.distances.reshape(batch)}
        for name, columns in self._register_bits.items():
            packed = _pack(bits[:, :, columns])
            result[name] = BitArray(packed.reshape((*batch, shots, packed.shape[-1])), len(columns))
        return result

    def _bits(
        self, rows: NDArray, shots: int, seed: int, losses: Losses | None = None, first: int = 0
    ) -> NDArray:
        """Outcomes of all classical bits, (B, shots, bits); `first` is the number of the first row."""
        bits = self._piecewise_bits(rows, shots, seed, first, losses)
        if self._followed:
            bits |= self._followed_bits(rows, shots, seed)  # each of the three leaves the others' bits at 0
        if self._joint.steps or self._joint.final:
            bits |= self._joint_bits(rows, shots, seed, first)
        return bits

    def _drifted(self, rows: NDArray, shots: int, seed: int) -> NDArray:
        """The same with frequencies that are drawn for every batch of shots, the batches one after the other."""
        drifting, noise = self._drifting, self._options.quasi_static
        assert drifting is not None
        assert noise is not None
        batches, each = noise.batches(shots)
        widest = max((len(piece.measured[0]) for piece in self._pieces), default=0)
        step = max(1, int(_CHUNK_BYTES // (batches * max(8 << min(widest, 26), each * self._num_clbits))))
        found = []
        for start in range(0, len(rows), step):
            own = rows[start : start + step]
            drawn = [drifting.draw(batches, stream(seed, start + row, 0, 0, 1)) for row in range(len(own))]
            several = drifting.rows(own, np.stack(drawn))
            bits = self._bits(several, each, seed, first=start * batches)
            found.append(bits.reshape(len(own), batches * each, self._num_clbits)[:, :shots])
        return np.concatenate(found) if found else np.zeros((0, shots, self._num_clbits), dtype=bool)

    def simulation(self, shots: int) -> str | None:
        """How its largest noisy part is simulated with so many shots, in words; None where there is none."""
        said = [(len(piece.qubits), piece.simulation(shots)) for piece in self._pieces]
        return max(((size, words) for size, words in said if words is not None), default=(0, None))[1]

    def require(self) -> None:
        """Refuse what cannot be sampled here.

        Raises:
            ConfigError: too little memory, with the size.
        """
        for piece in self._pieces:
            piece.require_sampled()

    @cached_property
    def _pieces(self) -> list[Piece]:
        with self._lock:
            measured = set(self._apart.final.values())
            basis = Basis(dict.fromkeys(measured, "Z"))
            empty = QuantumCircuit(self._anatomy.circuit.num_qubits)
            scheduled = None if self._schedule is None else [self._apart]
            return pieces_of(self._apart, [basis], [empty], self._options, scheduled)

    def _piecewise_bits(
        self, rows: NDArray, shots: int, seed: int, first: int, losses: Losses | None
    ) -> NDArray:
        """Outcomes of all classical bits, (B, shots, bits), every independent piece sampled on its own."""
        bits = np.zeros((len(rows), shots, self._num_clbits), dtype=bool)
        clbit_of = {qubit: clbit for clbit, qubit in self._apart.final.items()}
        streams = Streams()
        many = bits.size > _MANY and kernel.available()
        for number, piece in enumerate(self._pieces):
            measured = piece.measured[0]
            columns = [clbit_of[qubit] for qubit in measured]
            if not piece.tabulates(shots):
                for row, outcome in enumerate(piece.samples(rows, [shots], seed, first, number, losses)[0]):
                    bits[row][:, columns] = outcome
                continue
            table, places = piece.probabilities(rows)[0], np.arange(len(columns))
            if table.shape[1] == 2:
                if many:
                    own = np.ascontiguousarray(table), bits[:, :, columns[0]]
                    kernel.loop("draw_bits")(*own, np.uint64(seed), first, 1 + number)
                else:
                    _draw_bits(table, bits[:, :, columns[0]], (seed, first, 1 + number), streams)
                continue
            for row in range(len(rows)):
                outcomes = draw(table[row], shots, streams.at(seed, first + row, 1 + number))
                bits[row][:, columns] = (outcomes[:, None] >> places) & 1
        return bits

    def _split(self) -> tuple[Anatomy, list[Anatomy], Anatomy]:
        """What is unitary, the groups whose every course is followed, and the rest, which Aer runs shot by shot."""
        nothing = replace(self._anatomy, steps=(), final={}, dynamic=False)
        if not self._anatomy.dynamic:
            return self._anatomy, [], nothing
        apart, groups = dynamic_groups(self._anatomy)
        followed = [group for group in groups if self._branching(group).tabulates(USUAL_SHOTS)]
        rest = [group for group in groups if group not in followed]
        return apart, followed, together(rest) if rest else nothing

    def _branching(self, group: Anatomy) -> BranchingPiece:
        measured = set(group.final.values())
        qubits = sorted(group.touched | measured) or [0]
        bases = [Basis(dict.fromkeys(measured, "Z"))]
        empty = QuantumCircuit(group.circuit.num_qubits)
        return BranchingPiece(group, qubits, bases, [empty], self._options)

    @cached_property
    def _branching_pieces(self) -> list[BranchingPiece]:
        with self._lock:
            return [self._branching(group) for group in self._followed]

    def _followed_bits(self, rows: NDArray, shots: int, seed: int) -> NDArray:
        """Outcomes of all classical bits, (B, shots, bits), drawn from the probabilities of all courses."""
        bits = np.zeros((len(rows), shots, self._num_clbits), dtype=bool)
        for number, (piece, group) in enumerate(zip(self._branching_pieces, self._followed, strict=True)):
            piece.require_analytic()
            clbit_of = {qubit: clbit for clbit, qubit in group.final.items()}
            columns = [clbit_of[qubit] for qubit in piece.measured[0]]
            for index, row in enumerate(rows):
                contents, table = piece.outcomes(row)
                drawn = draw(table.reshape(-1), shots, stream(seed, index, 2, 1 + number))
                course, outcome = np.divmod(drawn, table.shape[1])
                held = np.array([[content >> c & 1 for c in range(self._num_clbits)] for content in contents])
                bits[index] |= held.astype(bool)[course]
                bits[index][:, columns] = (outcome[:, None] >> np.arange(len(columns))) & 1
        return bits

    @cached_property
    def _joint_program(self) -> AerProgram:
        with self._lock:
            return self._make_joint_program()

    def _make_joint_program(self) -> AerProgram:
        anatomy, options = self._joint, self._options
        qubits = sorted(anatomy.touched | set(anatomy.final.values())) or [0]
        circuit = compact(anatomy, qubits, classical=True)
        where = {qubit: index for index, qubit in enumerate(qubits)}
        for clbit, qubit in sorted(anatomy.final.items()):
            circuit.measure(where[qubit], circuit.clbits[clbit])
        method = options.method
        if method in ("automatic", "statevector"):
            require(16 << len(qubits), f"a state vector of {len(qubits)} qubits")
        noise = options.noise_model
        if noise is not None:
            noise = restrict(noise, qubits, set(noise.noise_instructions) | {"measure", "reset"})
        return AerProgram([circuit], self._parameters, AerOptions(method, options.threads, noise))

    def _joint_bits(self, rows: NDArray, shots: int, seed: int, first: int) -> NDArray:
        """Outcomes of all classical bits, (B, shots, bits), from Aer's shot-by-shot memory."""
        result = []
        for index, row in enumerate(rows):
            own = int(stream(seed, first + index).integers(1, 1 << 31))
            data = self._joint_program.run(row[None, :], shots=shots, seed=own, memory=True)[0][0]
            memory = data.get("memory", ["0x0"] * shots)  # there is none where nothing is measured
            result.append(bits_from_memory(memory, self._num_clbits))
        return np.array(result).reshape(len(rows), shots, self._num_clbits)


def _draw_bits(table: NDArray, bits: NDArray, where: tuple[int, int, int], streams: Streams) -> None:
    """What `draw` gives of two outcomes with probabilities (B, 2), written to (B, shots); the rows at once.

    Args:
        table: weights of 0 and 1.
        bits: all 0.
        where: the seed, the number of the first row, and the place of their streams.
        streams: draws.
    """
    seed, first, place = where
    shots = bits.shape[1]
    cumulated = np.cumsum(table, axis=1)
    possible = np.flatnonzero(table[:, 1] != 0.0)
    step = max(1, _POINTS // shots)
    points = np.empty((min(step, len(possible)), shots))
    for start in range(0, len(possible), step):
        own = possible[start : start + step]
        for number, row in enumerate(own.tolist()):
            streams.at(seed, first + row, place).random(out=points[number])
        drawn = points[: len(own)]
        drawn *= cumulated[own, 1:]
        bits[own] = drawn >= cumulated[own, :1]


def _pack(bits: NDArray) -> NDArray:
    """(…, k) booleans, bit 0 first, as `BitArray` stores them: big-endian bytes, padded at the front."""
    width = bits.shape[-1]
    padding = (-width) % 8
    ordered = bits[..., ::-1]
    if padding:
        ordered = np.concatenate([np.zeros((*bits.shape[:-1], padding), dtype=bool), ordered], axis=-1)
    return np.packbits(ordered, axis=-1)
