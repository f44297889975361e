"""Expectation values of one circuit and its observables, compiled once."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from qiskit.circuit import QuantumCircuit

from runner.engine.aer import AerOptions, AerProgram, is_clifford
from runner.engine.backwards import Propagation
from runner.engine.circuits import Anatomy, compact, components, dissect
from runner.engine.classification import Classification, classify
from runner.engine.clifford import in_clifford_gates
from runner.engine.drifting import DriftingReadout
from runner.engine.duration import scheduled_duration
from runner.engine.executed import as_executed
from runner.engine.finite import FiniteAngles
from runner.engine.grouping import (
    QUBIT_WISE,
    groups_of,
    mean_variances_by_basis,
    variance_bounds_by_basis,
)
from runner.engine.identity import canonical_text, digest_of
from runner.engine.matrix_product import Losses, ProductProgram
from runner.engine.measurement import (
    NO_KERNEL,
    Piece,
    SimulationOptions,
    stabilized_in_words,
    stream,
    why_product,
)
from runner.engine.memory import fits, require
from runner.engine.noise import gain_of, with_relaxation
from runner.engine.observables import ObservableTerms, pauli_terms, variance_bounds
from runner.engine.quasi_static import require_drifting
from runner.engine.reading import Readable, TermOverlaps, TermReading, readable_qubit_wise
from runner.engine.readout import Readout, SampledRows
from runner.engine.shifts import parameter_sets
from runner.errors import ConfigError

_SPLIT_FROM = 20
"""Circuits of more active qubits than this are simulated piece by piece, if nothing connects the pieces."""
_FUSED_FROM = 14
"""Qubits of a state vector from which Aer fuses gates (its `fusion_threshold`)."""


class EstimatorNumbers(NamedTuple):
    """Expectation values and their standard errors (of the mean); `shots` is None where they are exact."""

    evs: NDArray
    stds: NDArray
    shots: int | None
    """Per basis; their mean where every basis has its own."""
    variances: NDArray | None = None
    """With shots for each basis: the variance of one of them, mean over the sets, (observables, bases)."""
    truncation: NDArray | None = None
    """By how much what was left out of states may have changed each value; None where nothing can be left out."""
    discarded: NDArray | None = None
    """Weight that was left out of the state of each parameter set; None likewise."""
    reading: NDArray | None = None
    """Where it was to be learned: the weights that the next job should read terms with, as `TermReading` has them."""
    reading_variances: NDArray | None = None
    """With them, the variance of one shot of each basis as it is expected, (observables, bases)."""


class EstimatorPlan:
    """One circuit and its observables, ready to be evaluated; made by `Engine.estimator_plan`.

    Final measurements of the circuit are dropped. Runs may come from several threads at once.
    """

    def __init__(self, circuit: QuantumCircuit, observables: Any, options: SimulationOptions) -> None:
        self.terms: ObservableTerms = pauli_terms(observables)
        if self.terms.num_qubits != circuit.num_qubits:
            raise ConfigError(
                f"the observables act on {self.terms.num_qubits} qubits, the circuit has {circuit.num_qubits}"
            )
        self._gain = gain_of(circuit)
        circuit = as_executed(circuit)
        options = options.on(circuit, np.flatnonzero(self.terms.support.any(axis=0)).tolist())
        self._options = options
        self._lock = threading.RLock()
        noisy = options.noise_model is not None
        kind = classify(circuit, drop_measurements=True, noisy=noisy)
        kind.require_known(() if options.target is None else options.target.operation_names)
        anatomy = kind.anatomy
        self.unscheduled: str | None = _obstacle(circuit, anatomy, options)
        """Why idle qubits do not decay although they do on this device; None where they do, or never do."""
        if options.quasi_static is not None:
            require_drifting(self.unscheduled, anatomy.dynamic)
        if self.unscheduled is not None:
            self._options = options = replace(options, schedule=None)
        mark = [] if options.schedule is None else ["scheduled"]
        mark += [] if options.quasi_static is None else [options.quasi_static.text]
        mark += [] if options.grouping == QUBIT_WISE else [options.grouping]
        mark += [] if self._gain == 1.0 else [f"noise gain {self._gain!r}"]
        mark += [] if options.layer_noise is None else [f"layer noise {options.layer_noise.text}"]
        text = canonical_text(circuit, addressed=options.addressed)
        self.digest = digest_of(text, self.terms.text(), *mark)
        self.num_parameters: int = circuit.num_parameters
        self._ahead: tuple[bytes, NDArray, Losses] | None = None
        """What `foresee` found of which parameter sets, for the first who asks."""
        self.shape: tuple[int, ...] = self.terms.shape
        self._parameters = list(circuit.parameters)
        self._finite = FiniteAngles(anatomy.circuit, self._parameters)
        if noisy and options.schedule is None and options.layer_noise is None:
            relaxed = with_relaxation(circuit, options.noise_model)
            anatomy = dissect(relaxed, drop_measurements=True, noisy=noisy)
        self._anatomy: Anatomy = anatomy
        self.classification: Classification = replace(kind, anatomy=anatomy)
        """What the circuit is."""
        self._groups = groups_of(self.terms, options.grouping)
        self.num_bases = max(len(self._groups), 1)
        """How many measurement bases a device needs: the groups of terms."""
        self.duration: float | None = self._duration(circuit, options.target)
        self.durations: tuple[float | None, ...] | None = None
        """Of each basis, where they differ by more than gates of one qubit; `duration` is their mean then."""
        self.added_two_qubit_gates: tuple[int, ...] = ()
        """Two-qubit gates that each basis takes besides the circuit; empty where none does."""

    def _duration(self, circuit: QuantumCircuit, target: Any) -> float | None:
        measured = np.flatnonzero(self.terms.support.any(axis=0)).tolist()
        return scheduled_duration(circuit, target, measured)

    @property
    def nbytes(self) -> int:
        """About how much memory the plan takes."""
        size = (
            4096 + 2048 * len(self._anatomy.steps) + self.terms.coefficients.nbytes + 8 * self.terms.x.nbytes
        )
        for part in ("_kernel", "_readout"):
            size += getattr(self.__dict__.get(part), "nbytes", 0)
        return size

    @property
    def exact_gradient(self) -> bool:
        """Can `gradient` be computed: a circuit that one of the kernels can run backwards?"""
        return not self._no_gradient_because

    @cached_property
    def largest(self) -> NDArray:
        """The most that each observable can be, the sum of its coefficients' sizes, (*shape)."""
        return np.asarray(np.abs(self.terms.coefficients).sum(axis=1).reshape(self.shape))

    @cached_property
    def variance_bounds(self) -> NDArray:
        """The most that each observable's variance by one shot per basis can be, (observables,)."""
        return variance_bounds(self.terms, self._groups)

    @cached_property
    def variance_bounds_by_basis(self) -> NDArray:
        """The same of each basis by itself, (observables, bases)."""
        return variance_bounds_by_basis(self.terms, self._groups)

    @cached_property
    def mean_variances_by_basis(self) -> NDArray:
        """Each observable's variance by one shot of each basis in a random state, (observables, bases)."""
        return mean_variances_by_basis(self.terms, self._groups)

    @cached_property
    def overlaps(self) -> TermOverlaps:
        """Which terms every basis can read beside its own."""
        return TermOverlaps(self.terms, self._readable())

    def _readable(self) -> list[Readable]:
        return readable_qubit_wise(self.terms, self._groups)

    @cached_property
    def gradient_sets(self) -> int:
        """Parameter sets of the shift job that gives the energy and its gradient on hardware."""
        return parameter_sets(self._anatomy.circuit)

    @property
    def exact_method(self) -> str | None:
        """How exact values are computed: statevector, density_matrix (under the noise), …; None where they are not.

        Of what measures, resets or branches on the way: mixture, of the states of every course, without noise.
        """
        if self._options.quasi_static is not None:
            return None
        if self._anatomy.dynamic:
            noisy = self._options.noise_model is not None
            return ("density_matrix" if noisy else "mixture") if self._readout.has_tables else None
        if self._propagation is not None:
            return "pauli_propagation"
        if self._product is not None:
            return "matrix_product_state"
        if self._by_readout and not self._readout.has_tables:
            return None
        if self._options.noise_model is not None or self._anatomy.channels:
            return "density_matrix"
        return "statevector" if self._options.method == "automatic" else self._options.method

    def run(
        self,
        values: NDArray,
        *,
        shots: int | Sequence[int] | None,
        seed: int,
        reading: TermReading | None = None,
    ) -> EstimatorNumbers:
        """Evaluate parameter sets (*batch, P), the batch broadcast against the observables' shape.

        Args:
            values: the parameters in the order of `circuit.parameters`.
            shots: per measurement basis, one number for all or one for each; None is exact.
            seed: of the job; the set at position i of the flattened batch draws from its own stream (seed, i).
            reading: what every basis adds of every term that it can read; None: of its own group all. Without shots
                that matters where bases have noise of their own.
        """
        rows, batch = self._rows(values)
        if (strings := self._strings(exact=shots is None)) is not None:
            return self._propagated(strings, rows, batch, shots, seed)
        losses = Losses(len(rows))
        if shots is None:
            ahead, self._ahead = self._ahead, None
            if ahead is not None and ahead[0] == rows.tobytes():
                _, found_exactly, losses = ahead
            elif reading is not None:
                found_exactly = self._exact_as_read(rows, losses, reading)
            else:
                found_exactly = self._exact(rows, losses)
            evs = self._spread(found_exactly, batch)
            return EstimatorNumbers(evs, np.zeros(evs.shape), None, None, *self._lost(losses, batch))
        every = _by_basis(shots, self.num_bases)
        found = self.sampled_rows(rows, every, seed, reading)
        evs, stds = self._spread(found.means, batch), self._spread(found.errors, batch)
        lost = self._lost(found.losses, batch)
        if isinstance(shots, int):
            return EstimatorNumbers(evs, stds, shots, None, *lost)
        learned = self.overlaps.learned(found.covariances, every) if found.covariances else (None, None)
        return EstimatorNumbers(evs, stds, round(sum(shots) / len(shots)), found.variances, *lost, *learned)

    def truncates(self, *, exact: bool) -> bool:
        """Whether something may be left out of its states or strings, so that values may be refused."""
        if self._strings(exact=exact) is not None:
            return True
        if exact:
            return self._product is not None
        return self._by_shots_of_products and any(piece.product is not None for piece in self._sampled_pieces)

    @property
    def _sampled_pieces(self) -> Sequence[Piece]:
        return self._readout.pieces if isinstance(self._readout, Readout) else ()

    def foresee(self, values: NDArray, *, exact: bool) -> None:
        """Find out whether parameter sets (*batch, P) would be refused for what is left out, and keep what is found.

        Args:
            values: as `run` takes them.
            exact: without shots.

        Raises:
            TruncationError: they would.
        """
        if not self.truncates(exact=exact):
            return
        rows, _ = self._rows(values)
        if (strings := self._strings(exact=exact)) is not None:
            strings.foresee(rows)
        elif exact:
            losses = Losses(len(rows))
            self._ahead = rows.tobytes(), self._exact(rows, losses), losses
        else:
            for row in rows:
                for piece in self._sampled_pieces:
                    if piece.product is not None:
                        piece.product.foresee(row)

    def _propagated(
        self,
        program: Propagation,
        rows: NDArray,
        batch: tuple[int, ...],
        shots: int | Sequence[int] | None,
        seed: int,
    ) -> EstimatorNumbers:
        """Values of Pauli strings taken backwards; shots of one string are a binomial number of ones."""
        found, lost = program.values(rows)
        bounds = self._spread(lost, batch)
        if shots is None:
            evs = self._spread(found, batch)
            return EstimatorNumbers(evs, np.zeros(evs.shape), None, None, bounds)
        every = _by_basis(shots, self.num_bases)
        means, errors = np.empty_like(found), np.empty_like(found)
        variances = np.zeros((found.shape[1], self.num_bases))
        for index in range(len(rows)):
            for place in range(found.shape[1]):
                own = stream(seed, index, 1, place)
                means[index, place], errors[index, place] = program.drawn(
                    place, found[index, place], every, own
                )
                basis = program.basis_of(place)
                variances[place, basis] += errors[index, place] ** 2 * every[basis] / len(rows)
        usual = shots if isinstance(shots, int) else round(sum(shots) / len(shots))
        told = None if isinstance(shots, int) else variances
        return EstimatorNumbers(self._spread(means, batch), self._spread(errors, batch), usual, told, bounds)

    def _lost(self, losses: Losses | None, batch: tuple[int, ...]) -> tuple[NDArray | None, NDArray | None]:
        """By how much each value may be wrong for what was left out, and the weight left out of each set's state."""
        if losses is None or not losses.any:
            return None, None
        acting = self.terms.support.any(axis=1)
        largest = np.abs(self.terms.coefficients[:, acting]).sum(axis=1)
        bounds = 2 * losses.distances[:, None] * largest
        return self._spread(bounds, batch), losses.discarded.reshape(batch)

    def require_finite(self, values: NDArray) -> None:
        """Refuse parameter sets (*batch, P) at which an angle is not finite.

        Raises:
            NumericalError: one is, or a value itself is not.
        """
        self._finite.require(values)

    def _rows(self, values: NDArray) -> tuple[NDArray, tuple[int, ...]]:
        """Parameter sets (*batch, P) one under the other, (B, P), and the shape of the batch."""
        values = np.asarray(values, dtype=float)
        shape = values.shape
        if shape[-1:] != (self.num_parameters,):
            raise ConfigError(
                f"the circuit takes {self.num_parameters} parameters, got values of shape {shape}"
            )
        self.require_finite(values)
        batch = shape[:-1]
        return (values if len(batch) == 1 else values.reshape(math.prod(batch), self.num_parameters)), batch

    def require(self, *, exact: bool) -> None:
        """Refuse what cannot be evaluated here, before anything is.

        Raises:
            ConfigError: noise or branches on too many qubits for exact values, or too little memory; with the size.
        """
        if (strings := self._strings(exact=exact)) is not None:
            strings.require(exact=exact)
        elif exact and self._product is not None:
            self._product.require()
        elif self._by_readout or not exact:
            self._demanding.require(exact=exact)
        elif not self._no_kernel_because:
            size = len(self._active)
            require(
                16 << size, f"a state vector of {size} qubits"
            )  # at the least: the kernel has a copy of it

    def simulation(self, shots: int | None) -> str | None:
        """How its largest noisy or branching part is simulated, and why, in words; None where there is none."""
        if (strings := self._strings(exact=shots is None)) is not None:
            return strings.in_words()
        if shots is None and self._product is not None:
            return f"{self._product.in_words()}, {why_product(self._options)}"
        if shots is None and self._stabilized:
            return stabilized_in_words(len(self._active))
        noisy = self._noisy or not self.classification.unitary
        wide = shots is not None and self._by_shots_of_products
        return self._readout.simulation(shots) if noisy or wide else None

    def gradient(self, values: NDArray) -> tuple[NDArray, NDArray]:
        """Exact values (*shape) and their derivatives by every parameter (*shape, P), by the adjoint method."""
        if self._no_gradient_because:
            raise ConfigError(f"no adjoint gradient: {self._no_gradient_because}")
        rows, batch = self._rows(values)
        evs, slopes = (self._readout if self._noisy else self._kernel).gradients(rows)
        return self._spread(evs, batch), self._spread(slopes, batch)

    def _spread(self, table: NDArray, batch: tuple[int, ...]) -> NDArray:
        """(B, S, …) brought to the broadcast shape of the batch and the observables."""
        shape = self.shape
        rest = table.shape[2:]
        if not shape:
            return table.reshape((*batch, *rest))
        if not batch:
            return table[0].reshape((*shape, *rest))
        if math.prod(batch) == 1 or math.prod(shape) == 1:
            return table.reshape((*np.broadcast_shapes(batch, shape), *rest))
        try:
            sets, elements = np.broadcast_arrays(
                np.arange(table.shape[0]).reshape(batch), np.arange(table.shape[1]).reshape(shape)
            )
        except ValueError:
            raise ConfigError(
                f"parameter sets of shape {batch} and observables of shape {shape} do not broadcast"
            ) from None
        return table[sets, elements]

    # exact ------------------------------------------------------------------------------------------------------

    def _exact_as_read(self, rows: NDArray, losses: Losses, reading: TermReading) -> NDArray:
        """What shots read so come to, (B, S): bases that turn every qubit by itself leave all others as they are."""
        del reading
        return self._exact(rows, losses)

    def _exact(self, rows: NDArray, losses: Losses) -> NDArray:
        if self._product is not None:
            return self._of_products(self._product, rows, losses)
        if self._by_readout:
            return self._exact_readout(rows)
        if self._kernel is not None:
            return self._kernel.energies(rows)
        (data,) = self._expectation_program.run(rows)
        labels = self._labels
        return np.array([entry[label] for entry in data for label in labels]).reshape(len(data), len(labels))

    def _of_products(self, program: ProductProgram, rows: NDArray, losses: Losses) -> NDArray:
        """Exact values of matrix product states, (B, S)."""
        (x, z), coefficients = self.reduced
        values = np.zeros((len(rows), len(coefficients)))
        for index, row in enumerate(rows):
            state = program.prepared(row)
            losses.add(index, state)
            values[index] = coefficients @ state.expectations(x, z)
        return values

    def _strings(self, *, exact: bool) -> Propagation | None:
        """What takes the observables backwards, if they are evaluated so: by shots only where that is asked for."""
        return self._propagation if exact or self._options.engine == "pauli" else None

    @cached_property
    def _propagation(self) -> Propagation | None:
        """What takes the observables backwards, where `engine=pauli` asks for it or nothing else has room."""
        if self._options.engine != "pauli" and not self._too_wide:
            return None
        with self._lock:
            if not self.classification.unitary and not self._anatomy.channels:
                raise ConfigError(
                    f"the circuit {self.classification.in_words}, and Pauli strings are taken back through unitary "
                    "circuits only; take engine=auto"
                )
            return Propagation(
                self._anatomy, self.terms, self._groups, self._options, self._parameters, self._gain
            )

    @cached_property
    def _too_wide(self) -> bool:
        """Is it a noiseless circuit that no state vector has room for, nor is it Clifford or a product exactly?"""
        options = self._options
        if options.engine != "auto" or options.method != "automatic" or options.kernel is None:
            return False
        if self._noisy or options.quasi_static is not None or not self.classification.unitary:
            return False
        if fits(32 << max(map(len, components(self._anatomy, self._active)))):
            return False
        return self._product is None and not is_clifford(self.compact)

    @cached_property
    def _stabilized(self) -> bool:
        """Are exact values those of a stabilizer state?"""
        wide = not self._by_readout and len(self._active) > _SPLIT_FROM
        return wide and self._options.method == "automatic" and is_clifford(self.compact)

    @cached_property
    def _product(self) -> ProductProgram | None:
        """What makes matrix product states of the circuit for exact values; None where something else computes them."""
        with self._lock:
            options = self._options
            if self._noisy or options.quasi_static is not None or not self.classification.unitary:
                return None
            largest = max(map(len, components(self._anatomy, self._active)))
            return options.product_program(self.compact, self._parameters, largest)

    @property
    def _by_shots_of_products(self) -> bool:
        """May samples be drawn from matrix product states?"""
        return self._options.engine == "mps" or len(self._active) > _SPLIT_FROM

    @cached_property
    def _labels(self) -> list[str]:
        """What Aer calls the observables."""
        return [f"o{index}" for index in range(len(self.reduced[1]))]

    @cached_property
    def _by_readout(self) -> bool:
        """Exact values from outcome probabilities: noise, branches, or a large circuit that falls into pieces."""
        options = self._options
        if options.noise_model is not None or options.quasi_static or not self.classification.unitary:
            return True
        if options.method not in ("automatic", "statevector"):
            return False
        return len(self._active) > _SPLIT_FROM and len(components(self._anatomy, self._active)) > 1

    @cached_property
    def _active(self) -> list[int]:
        return sorted(self._anatomy.touched) or [0]

    @property
    def in_one_piece(self) -> bool:
        """Whether the kernel runs it as one state, and every qubit takes part."""
        if self._no_kernel_because or len(self._active) < self._anatomy.circuit.num_qubits:
            return False
        return len(components(self._anatomy, self._active)) == 1

    @cached_property
    def reduced(self) -> tuple[tuple[NDArray, NDArray], NDArray]:
        """Terms on the active qubits, the others being |0⟩: ((x, z), coefficients), equal terms added up."""
        terms, active = self.terms, self._active
        idle = np.ones(terms.num_qubits, dtype=bool)
        idle[active] = False
        alive = ~terms.x[:, idle].any(axis=1)
        both = np.concatenate([terms.x[alive][:, active], terms.z[alive][:, active]], axis=1)
        if not len(both):
            both = np.zeros((1, 2 * len(active)), dtype=bool)
            coefficients = np.zeros((len(terms.coefficients), 1))
        else:
            both, where = np.unique(both, axis=0, return_inverse=True)
            coefficients = np.zeros((len(terms.coefficients), len(both)))
            np.add.at(coefficients.T, where.reshape(-1), terms.coefficients[:, alive].T)
        return (both[:, : len(active)], both[:, len(active) :]), coefficients

    @cached_property
    def compact(self) -> QuantumCircuit:
        """The circuit on the active qubits."""
        circuit = compact(self._anatomy, self._active)
        wide = len(self._active) > _SPLIT_FROM
        if self._anatomy.dynamic or self._options.engine == "pauli" or not self._options.stabilizes(wide):
            return circuit
        return in_clifford_gates(circuit)

    @property
    def _noisy(self) -> bool:
        """Is there noise in the simulation, or in the circuit itself?"""
        options = self._options
        noise = (options.noise_model, options.quasi_static, options.layer_noise)
        return any(one is not None for one in noise) or self._anatomy.channels

    @cached_property
    def _no_gradient_because(self) -> str:
        """Why nothing runs this circuit backwards; empty if something does."""
        if self._options.quasi_static is not None:
            return "frequencies are drawn for every batch of shots"
        if not self._noisy or self._anatomy.dynamic:
            known = self._no_kernel_because or self._kernel is not None
            return (
                self._no_kernel_because
                if known
                else "the circuit has an instruction the kernel does not know"
            )
        if self._options.engine == "pauli":
            return "Pauli strings are taken backwards"
        if self._options.noisy_kernel is None:
            return NO_KERNEL
        if self._demanding.differentiable:
            return ""
        method = self._options.method
        if method not in ("automatic", "density_matrix"):
            return f"the simulation method is {method}, and it is noisy"
        return self._demanding.no_derivatives_because

    @cached_property
    def _no_kernel_because(self) -> str:
        """Why the kernel does not run this circuit; empty if it does."""
        options = self._options
        if options.noise_model is not None or options.quasi_static is not None:
            return "the simulation is noisy"
        if words := self.classification.in_words:
            return f"the circuit {words}"
        if options.method not in ("automatic", "statevector"):
            return f"the simulation method is {options.method}"
        if options.engine == "pauli" or self._propagation is not None:
            return "Pauli strings are taken backwards"
        if options.engine == "mps" or self._product is not None:
            return "it is followed as a matrix product state"
        if options.kernel is None:
            return NO_KERNEL
        if len(self._active) > _SPLIT_FROM and is_clifford(self.compact):
            return "it is simulated as a stabilizer state"
        if self._by_readout:
            return f"{len(self._active)} qubits are too many for the kernel"
        return ""

    @cached_property
    def _kernel(self) -> Any:
        with self._lock:
            if self._no_kernel_because:
                return None
            assert self._options.kernel is not None
            (x, z), coefficients = self.reduced
            return self._options.kernel(self.compact, self._parameters, x, z, coefficients)

    @cached_property
    def _expectation_program(self) -> AerProgram:
        with self._lock:
            return self._make_expectation_program()

    def _make_expectation_program(self) -> AerProgram:
        from qiskit.quantum_info import SparsePauliOp
        from qiskit_aer.library import SaveExpectationValue

        circuit = self.compact.copy()
        size = circuit.num_qubits
        method = self._options.method
        if self._stabilized:
            method = "stabilizer"
        if method in ("automatic", "statevector"):
            require(16 << size, f"a state vector of {size} qubits")
        elif method == "density_matrix":
            require(16 << (2 * size), f"a density matrix of {size} qubits")
        (x, z), coefficients = self.reduced
        for index, row in enumerate(coefficients):
            used = np.flatnonzero(row)
            labels = [_label(x[t], z[t]) for t in used] or ["I" * size]
            operator = SparsePauliOp(labels, row[used] if len(used) else [0.0])
            circuit.append(SaveExpectationValue(operator, label=self._labels[index]), range(size))
        # from fourteen qubits on Aer fuses gates, and others in a batch than alone, which would change the last bits
        together = method in ("automatic", "statevector") and size < _FUSED_FROM
        options = AerOptions(method, self._options.threads, binds_inside=together)
        return AerProgram([circuit], self._parameters, options)

    # by measuring -----------------------------------------------------------------------------------------------

    @cached_property
    def _readout(self) -> Readout | DriftingReadout:
        with self._lock:
            return self._reading_of(self._groups)

    def _reading_of(self, groups: Sequence[Sequence[int]]) -> Readout | DriftingReadout:
        options = self._options
        if options.quasi_static is not None:
            return DriftingReadout(self._anatomy.circuit, self.terms, groups, options.quasi_static, options)
        return Readout(self._anatomy, self.terms, groups, options)

    @property
    def _demanding(self) -> Readout | DriftingReadout:
        """What is asked how much memory it takes, and whether it has derivatives."""
        return self._readout

    def _exact_readout(self, rows: NDArray) -> NDArray:
        return self._readout.exact(rows)

    def sampled_rows(
        self, rows: NDArray, shots: Sequence[int], seed: int, reading: TermReading | None = None
    ) -> SampledRows:
        """Parameter sets (B, P) from so many shots of each basis, its terms read as said."""
        if isinstance(self._readout, DriftingReadout):
            assert reading is None, "refused where it is declared"
            return SampledRows(*self._readout.sampled(rows, shots, seed))
        if reading is None:
            return self._readout.sampled(rows, shots, seed)
        parts = self.overlaps.by_basis(reading.weights)
        signs = [(basis.masks, part) for basis, part in zip(self.overlaps.readable, parts, strict=True)]
        return self.read_rows(rows, shots, seed, signs, learns=reading.learns)

    def read_rows(
        self,
        rows: NDArray,
        shots: Sequence[int],
        seed: int,
        signs: Sequence[tuple[NDArray, NDArray]],
        *,
        learns: bool,
    ) -> SampledRows:
        """Weighted sums of the signs that each basis tells.

        Args:
            rows: parameter sets (B, P).
            shots: of each basis.
            seed: of the job.
            signs: per basis whose measured bits' parity each sign is, (t, qubits), and their weights, (S, t).
            learns: tell the covariances of the signs.
        """
        readout = self._readout
        assert isinstance(readout, Readout)
        read = [readout.read(index, masks, weights) for index, (masks, weights) in enumerate(signs)]
        return readout.sampled(rows, shots, seed, read, learns=learns)

    def exact_rows(self, rows: NDArray, losses: Losses) -> NDArray:
        """Exact values of parameter sets (B, P), (B, S)."""
        return self._exact(rows, losses)


def _obstacle(circuit: QuantumCircuit, anatomy: Anatomy, options: SimulationOptions) -> str | None:
    """Why a circuit on a device whose idle qubits decay cannot be scheduled."""
    if options.schedule is None:
        return None
    if anatomy.dynamic:
        return "it measures, resets or branches before its end"
    return options.schedule.obstacle(circuit)


def _label(x: NDArray, z: NDArray) -> str:
    return "".join("IXZY"[int(a) + 2 * int(b)] for a, b in zip(x[::-1], z[::-1], strict=True))


def _by_basis(shots: int | Sequence[int], bases: int) -> Sequence[int]:
    """Shots of each basis.

    Raises:
        ConfigError: of some there are none, or there are not as many bases.
    """
    every = [shots] * bases if isinstance(shots, int) else shots
    if len(every) != bases:
        raise ConfigError(f"shots are one number, or one for each of {bases} bases, got {len(every)} of them")
    if min(every) < 1:
        raise ConfigError(f"shots must be at least 1, got {min(every)}")
    return every
