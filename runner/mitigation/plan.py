"""A circuit and its observables, prepared once for mitigation and evaluated on the engine again and again."""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from qiskit.circuit import QuantumCircuit
from qiskit.quantum_info import PauliList

from runner.engine.observables import ObservableTerms
from runner.errors import ConfigError
from runner.mitigation import client
from runner.mitigation.client import Setting, Template
from runner.mitigation.decoding import Injected, Layout, Outcomes, Read, decode, samples
from runner.mitigation.decoupling import decoupled
from runner.mitigation.fitting import fit
from runner.mitigation.noise import Layer, labels_of
from runner.mitigation.sensitivity import Sensitivity

if TYPE_CHECKING:
    from runner.engine import Engine, EstimatorPlan, SamplerPlan

_WORD = 64
_LAYOUTS = 8


@dataclass(frozen=True)
class Placed:
    """A template and its plan on the device's own qubits."""

    template: Template
    plan: SamplerPlan

    @classmethod
    def of(
        cls,
        template: Template,
        qubits: Sequence[int],
        width: int,
        engine: Engine,
        chosen: Setting | None = None,
    ) -> Placed:
        """Put a template's qubits where they are on the device, and sequences in their waits where these are chosen."""
        circuit = on_device(template.circuit, qubits, width)
        if chosen is not None and chosen.decouples:
            circuit = decoupled(circuit, chosen.options.dynamical_decoupling, engine)
        return cls(template, engine.sampler_plan(circuit))

    def read(
        self, values: NDArray, bases: NDArray, randomizations: int, shots: int, seed: Sequence[int]
    ) -> Outcomes:
        """Carry out every randomization and configuration, flips undone."""
        drawn = self.template.draw(values, bases, randomizations, np.random.default_rng(seed))
        shape = drawn.angles.shape[:-1]
        rows = np.ascontiguousarray(drawn.angles.reshape(math.prod(shape), -1), dtype=float)
        outcomes = _words(self.plan.run(rows, shots=shots, seed=shots_seed(seed))["_meas"].array)
        outcomes = outcomes.reshape(*shape, shots, -1)
        if drawn.flips is not None:
            outcomes ^= packed(drawn.flips)[..., None, :]
        return Outcomes(outcomes, drawn.signs)


def shots_seed(seed: Sequence[int]) -> int:
    """What seeds the shots of what was drawn with this seed."""
    return int(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0] >> 1) or 1


def _words(array: NDArray) -> NDArray:
    """(…, bytes) of a `BitArray`, highest first, as words, lowest first."""
    missing = -array.shape[-1] % 8
    padded = np.concatenate([np.zeros((*array.shape[:-1], missing), dtype=np.uint8), array], axis=-1)
    return padded.view(">u8")[..., ::-1].astype(np.uint64)


def packed(bits: NDArray) -> NDArray:
    """(…, qubits) booleans as words, (…, words)."""
    missing = -bits.shape[-1] % _WORD
    padded = np.concatenate([bits, np.zeros((*bits.shape[:-1], missing), dtype=bool)], axis=-1)
    return np.packbits(padded, axis=-1, bitorder="little").view("<u8").astype(np.uint64)


class Calibration:
    """How often each of some qubits is misread, measured as the client does it.

    Args:
        qubits: the device's numbers, ascending.
        width: how many qubits the device's circuits have.
        engine: simulates it.
    """

    def __init__(self, qubits: Iterable[int], width: int, engine: Engine) -> None:
        self.qubits = tuple(qubits)
        template = client.calibration(len(self.qubits))
        self._program = Placed.of(template, self.qubits, width, engine)

    @property
    def duration(self) -> float | None:
        """How long the circuit takes [s]."""
        return self._program.plan.duration

    def run(self, randomizations: int, shots: int, seed: int) -> Rates:
        """Measure the rates."""
        nothing = np.zeros((1, 0))
        found = self._program.read(nothing, nothing, randomizations, shots, [seed, 1]).words
        single = 1 << np.arange(_WORD, dtype=np.uint64)
        rates = np.stack(
            [
                np.bitwise_count(found[:, 0, :, place // _WORD] & single[place % _WORD]).mean(axis=1)
                for place in range(len(self.qubits))
            ]
        )  # (qubits, R)
        return misread(self.qubits, rates, shots)


@dataclass(frozen=True)
class Rates:
    """How often qubits are misread, averaged over 0 and 1, and how sure that is."""

    qubits: tuple[int, ...]
    values: NDArray
    variances: NDArray

    def of(self, qubits: Sequence[int]) -> tuple[NDArray, NDArray]:
        """Rates and variances of these qubits; of those that nobody calibrated, 0."""
        where = {qubit: place for place, qubit in enumerate(self.qubits)}
        rates, variances = np.zeros(len(qubits)), np.zeros(len(qubits))
        for place, qubit in enumerate(qubits):
            if qubit in where:
                rates[place], variances[place] = self.values[where[qubit]], self.variances[where[qubit]]
        return rates, variances

    def read(self, layout: Layout, qubits: Sequence[int]) -> Read:
        """How the readout errs in what is read of these qubits."""
        values, variances = self.of(qubits)
        support = layout.letters != 0
        factors = client.readout_factors(values, support)
        return Read(factors[layout.terms], support[layout.terms], variances)


def misread(qubits: tuple[int, ...], each: NDArray, shots: int) -> Rates:
    """How often qubits are misread.

    Args:
        qubits: these.
        each: how often in each randomization, (qubits, R).
        shots: of each randomization.
    """
    rates = each.mean(axis=1)
    if each.shape[1] > 1:
        variances = each.var(axis=1, ddof=1) / each.shape[1]
    else:
        variances = rates * (1 - rates) / max(shots - 1, 1)
    return Rates(qubits, rates, variances)


class MitigatedPlan:
    """One circuit and its observables with everything that is done against errors.

    Args:
        circuit: on the device's qubits.
        base: the plan of the same without mitigation.
        chosen: what is done.
        engine: simulates it.

    Raises:
        ConfigError: it cannot be done to this circuit.
    """

    def __init__(self, circuit: QuantumCircuit, base: EstimatorPlan, chosen: Setting, engine: Engine) -> None:
        self.base = base
        self.chosen = chosen
        self.width = circuit.num_qubits
        self.terms = base.terms
        support = self.terms.support.any(axis=0)
        self.read_qubits = tuple(np.flatnonzero(support).tolist())
        """Which of the device's qubits the observables look at."""
        self._qubits, small = _used(circuit, self.read_qubits)
        self._letters = letters_of(self.terms)[:, self._qubits]
        self._masks = packed(self.terms.support[:, self._qubits])
        self._labels = labels_of(self._letters)
        seed = int.from_bytes(bytes.fromhex(base.digest[:16]), "big")
        found = client.templates(small, dict.fromkeys(self._labels, 1.0), chosen, seed, self._qubits)
        self._programs = [Placed.of(template, self._qubits, self.width, engine, chosen) for template in found]
        self._batch = engine.batch
        self._sensitivity: Sensitivity | None = None
        if chosen.needs_noise:
            sensitivity = Sensitivity(small, self._labels, chosen, self._qubits)
            told = sensitivity.tells or chosen.pea
            self._sensitivity = sensitivity if sensitivity.follows and told else None
        self._layouts: dict[tuple[int, ...], Layout] = {}
        self._lock = threading.Lock()

    @property
    def nbytes(self) -> int:
        """About how much memory it takes."""
        return sum(program.plan.nbytes for program in self._programs) + (1 << 16)

    @property
    def overhead(self) -> float:
        """How many times more randomizations cancelling noise takes, γ² or as many as are allowed."""
        return min(self._programs[0].template.gain ** 2, self.chosen.max_overhead)

    def split(self, shots: int) -> tuple[int, int]:
        """Randomizations, and shots of each, for so many shots per basis."""
        randomizations, each = self.chosen.split(shots)
        return math.ceil(randomizations * self.overhead) if self.chosen.pec else randomizations, each

    def work(self, batch: tuple[int, ...], shots: int) -> list[tuple[int, float | None]]:
        """Executions and the circuit's duration [s] for every noise factor, without the calibration."""
        randomizations, each = self.split(shots)
        count = len(self.layout(batch).sets) * randomizations * each
        return [(count, program.plan.duration) for program in self._programs]

    def run(self, values: NDArray, *, shots: int, seed: int, rates: Rates | None) -> dict[str, NDArray]:
        """Evaluate parameter sets (*batch, P), the batch broadcast against the observables' shape.

        Args:
            values: the parameters in the order of `circuit.parameters`.
            shots: per configuration of parameters and basis, divided over the randomizations.
            seed: of randomizations and shots.
            rates: how the readout errs; None where nothing is done about it.
        """
        layout = self.layout(values.shape[:-1])
        randomizations, each = self.split(shots)
        found, counts = [], None
        for one in self.outcomes(values, shots=shots, seed=seed):
            counts = one.counts  # where some are −1, there is one noise factor
            found.append(samples(one.words, layout, self._masks, self._batch(each), counts))
        read = None if rates is None else rates.read(layout, self._qubits)
        extrapolate: Callable[..., Any] | None = None
        if self.chosen.zne:
            extrapolate = partial(fit, [self._labels[term] for term in layout.terms], self.chosen)
        points = (len(self.chosen.extrapolators), len(self.chosen.extrapolated_noise_factors))
        template = self._programs[0].template
        learned: Callable[..., NDArray] | None = None
        injected: Injected | None = None
        if self._sensitivity is not None:
            lost = self._sensitivity.lost(self._rows(values)[layout.sets], layout)
            if self._sensitivity.tells:
                learned = partial(self._sensitivity.variance, lost, layout, template.left)
            if self.chosen.pea:
                injected = self._sensitivity.injected(lost, randomizations)
        shots = randomizations * each
        gain = template.gain
        result = decode(found, shots, layout, read, points, extrapolate, gain, learned, counts, injected)
        if "untold" in result:
            result["untold"] = among_all(result["untold"], self._qubits, self.width)
        if self.chosen.pec:
            del result["raw"]  # no circuit is executed as it is
            told = {
                "randomizations": randomizations,
                "sampling_overhead": template.gain**2,
                "noise_gain": template.left,
            }
            result |= {name: np.array(value, dtype=float) for name, value in told.items()}
        return result

    def outcomes(self, values: NDArray, *, shots: int, seed: int) -> Iterator[Outcomes]:
        """What is read at each noise factor, flips undone."""
        batch = values.shape[:-1]
        layout = self.layout(batch)
        rows = self._rows(values)[layout.sets]
        randomizations, each = self.split(shots)
        for place, program in enumerate(self._programs):
            yield program.read(rows, layout.bases, randomizations, each, [seed, 0, place])

    @staticmethod
    def _rows(values: NDArray) -> NDArray:
        """Parameter sets (*batch, P) one below the other; how many they are no −1 tells where P is 0."""
        return np.asarray(values, dtype=float).reshape(math.prod(values.shape[:-1]), values.shape[-1])

    def layout(self, batch: tuple[int, ...]) -> Layout:
        """What is measured for parameter sets of this shape."""
        with self._lock:
            if batch not in self._layouts:
                if len(self._layouts) == _LAYOUTS:
                    self._layouts.pop(next(iter(self._layouts)))
                self._layouts[batch] = self._laid_out(batch)
            return self._layouts[batch]

    def _laid_out(self, batch: tuple[int, ...]) -> Layout:
        """Which bases each parameter set is measured in: the client's groups of the terms that it is to tell."""
        shape, coefficients, wanted = asked(self.terms, batch)
        groups: dict[frozenset[int], list[list[int]]] = {}
        configurations: list[tuple[int, list[int]]] = []
        for number, places in wanted.items():
            terms = frozenset(np.flatnonzero(coefficients[places].any(axis=0)).tolist())
            if terms not in groups:
                groups[terms] = self._groups(sorted(terms))
            configurations += [(number, group) for group in groups[terms]]
        identity: NDArray = np.logical_not(self._letters.any(axis=1))
        return layout_of(configurations, wanted, coefficients, identity, self._letters, shape)

    def _groups(self, terms: list[int]) -> list[list[int]]:
        """Terms that are measured at once, as the client groups them."""
        if not terms:
            return [[]]
        place = {self._labels[term]: term for term in terms}
        groups = PauliList([self._labels[term] for term in terms]).group_commuting(qubit_wise=True)
        return [[place[label] for label in group.to_labels()] for group in groups]


def asked(
    terms: ObservableTerms, batch: tuple[int, ...]
) -> tuple[tuple[int, ...], NDArray, dict[int, list[int]]]:
    """Shape of the result, coefficients of each value's terms (values, terms), and parameter set → its values.

    Args:
        terms: the observables.
        batch: the parameter sets' shape.

    Raises:
        ConfigError: the two shapes do not broadcast.
    """
    try:
        shape = np.broadcast_shapes(batch, terms.shape)
    except ValueError:
        raise ConfigError(
            f"parameter sets of shape {batch} and observables of shape {terms.shape} do not broadcast"
        ) from None
    sets = np.broadcast_to(np.arange(math.prod(batch)).reshape(batch), shape).reshape(-1)
    rows = np.broadcast_to(np.arange(len(terms.coefficients)).reshape(terms.shape), shape).reshape(-1)
    wanted: dict[int, list[int]] = {}
    for place, number in enumerate(sets.tolist()):
        wanted.setdefault(number, []).append(place)
    return shape, terms.coefficients[rows], wanted


def letters_of(terms: ObservableTerms) -> NDArray:
    """0, 1, 2, 3 for I, Z, X, Y of each term's qubits, (terms, qubits)."""
    return np.where(terms.x, 2, 0) + np.where(terms.z, 1, 0)


def on_device(circuit: QuantumCircuit, qubits: Sequence[int], width: int) -> QuantumCircuit:
    """A circuit on these of a device's qubits."""
    result = QuantumCircuit(width)
    for register in circuit.cregs:
        result.add_register(register)
    result.compose(circuit, list(qubits), circuit.clbits, inplace=True, copy=False)
    return result


def among_all(letters: NDArray, qubits: Sequence[int], width: int) -> NDArray:
    """Letters of these qubits among all of the device's, (…, qubits) → (…, width)."""
    result = np.zeros((*letters.shape[:-1], width))
    result[..., list(qubits)] = letters
    return result


def layout_of(
    configurations: Sequence[tuple[int, list[int]]],
    wanted: dict[int, list[int]],
    coefficients: NDArray,
    identity: NDArray,
    letters: NDArray,
    shape: tuple[int, ...],
) -> Layout:
    """What is measured and read.

    Args:
        configurations: the parameter set of each, and the terms that are read of it.
        wanted: parameter set → values of the result that belong to it.
        coefficients: of each value's terms, (values, terms).
        identity: which terms are the identity, (terms,).
        letters: 0, 1, 2, 3 for I, Z, X, Y of each term's qubits, (terms, qubits).
        shape: of the result.
    """
    bases: list[NDArray] = []
    starts, pairs = [0], list[int]()
    columns: tuple[list[NDArray], list[NDArray], list[NDArray]] = ([], [], [])
    for number, group in configurations:
        bases.append(letters[group].max(axis=0) if group else np.zeros(letters.shape[1], dtype=int))
        read = [term for term in group if not identity[term]]
        places = np.array(wanted[number])
        for term in read:
            own = places[coefficients[places, term] != 0]
            columns[0].append(own)
            columns[1].append(np.full(len(own), len(pairs)))
            columns[2].append(coefficients[own, term])
            pairs.append(term)
        starts.append(len(pairs))

    def joined(parts: list[NDArray], kind: type) -> NDArray:
        return np.concatenate([np.zeros(0, dtype=kind), *parts]).astype(kind)

    return Layout(
        sets=np.array([number for number, _ in configurations], dtype=int),
        bases=np.array(bases),
        starts=np.array(starts),
        terms=np.array(pairs, dtype=int),
        values=joined(columns[0], int),
        pairs=joined(columns[1], int),
        coefficients=joined(columns[2], float),
        constants=coefficients[:, identity].sum(axis=1),
        letters=letters,
        shape=shape,
    )


def layers_of(circuit: QuantumCircuit, base: EstimatorPlan, chosen: Setting) -> Counter[Layer]:
    """The layers whose noise has to be known, and how often each occurs.

    Args:
        circuit: on the device's qubits.
        base: the plan of its observables without mitigation.
        chosen: what is done.

    Raises:
        ConfigError: the client finds no layers in it.
    """
    read = np.flatnonzero(base.terms.support.any(axis=0)).tolist()
    qubits, small = _used(circuit, read)
    return client.layers(small, chosen, qubits)


def _used(circuit: QuantumCircuit, read: Iterable[int]) -> tuple[list[int], QuantumCircuit]:
    """The device's qubits that something acts on or that are read, and the circuit on these alone."""
    touched = {
        circuit.find_bit(bit).index
        for item in circuit.data
        if item.operation.name not in ("barrier", "measure")
        for bit in item.qubits
    }
    qubits = sorted(touched | set(read)) or [0]
    return qubits, translated(on_qubits(circuit, qubits))


_TURNS = frozenset(("rz", "rx", "p"))
"""One-qubit gates whose angles the client's samplers take as parameters."""


def translated(circuit: QuantumCircuit) -> QuantumCircuit:
    """The circuit with other parametrized one-qubit gates written as these; all of them are resynthesized anyway."""
    strange = {
        item.name
        for item in circuit.data
        if len(item.qubits) == 1 and item.name not in _TURNS and item.is_parameterized()
    }
    if not strange:
        return circuit
    from qiskit.circuit.equivalence_library import SessionEquivalenceLibrary
    from qiskit.transpiler import PassManager
    from qiskit.transpiler.passes import BasisTranslator

    kept = {item.name for item in circuit.data} - strange
    basis = sorted({*kept, *_TURNS, "sx", "x"})
    result: QuantumCircuit = PassManager([BasisTranslator(SessionEquivalenceLibrary, basis)]).run(circuit)
    return result


def on_qubits(circuit: QuantumCircuit, qubits: Sequence[int]) -> QuantumCircuit:
    """The circuit on these of its qubits alone; nothing acts on others."""
    where = {circuit.qubits[qubit]: place for place, qubit in enumerate(qubits)}
    result = QuantumCircuit(len(qubits), global_phase=circuit.global_phase)
    result.add_bits(circuit.clbits)
    for register in circuit.cregs:
        result.add_register(register)
    for item in circuit.data:
        acted = [where[bit] for bit in item.qubits if bit in where]
        if item.operation.name == "barrier":
            if acted:
                result.barrier(acted)
        elif len(acted) == len(item.qubits):
            result._append(item.operation, [result.qubits[place] for place in acted], item.clbits)
    return result
