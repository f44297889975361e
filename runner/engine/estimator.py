"""Expectation values of one circuit and its observables, compiled once."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from qiskit.circuit import QuantumCircuit

from runner.engine.aer import AerOptions, AerProgram, is_clifford
from runner.engine.circuits import Anatomy, compact, components, dissect
from runner.engine.classification import Classification, classify
from runner.engine.drifting import DriftingReadout
from runner.engine.duration import scheduled_duration
from runner.engine.executed import as_executed
from runner.engine.expressions import each_times
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
    Basis,
    Piece,
    SimulationOptions,
    basis_changes,
    draw,
    draw_counts,
    pieces_of,
    signed_sums,
    signs_of,
    stabilized_in_words,
    stream,
    why_product,
)
from runner.engine.memory import fits, require
from runner.engine.noise import confusion, gain_of, with_relaxation
from runner.engine.observables import ObservableTerms, letters_of, pauli_terms, variance_bounds
from runner.engine.propagation import PropagationProgram, readout_factors
from runner.engine.quasi_static import require_drifting
from runner.engine.reading import Readable, TermOverlaps, TermReading, readable_qubit_wise
from runner.engine.shifts import parameter_sets
from runner.errors import ConfigError, TruncationError

_TABLE_BITS = 14
"""Up to this many measured qubits a basis keeps the observables' value of every outcome."""
_SPLIT_FROM = 20
"""Circuits of more active qubits than this are simulated piece by piece, if nothing connects the pieces."""
_FUSED_FROM = 14
"""Qubits of a state vector from which Aer fuses gates (its `fusion_threshold`)."""
_CHUNK_BYTES = 64 << 20


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


class SampledRows(NamedTuple):
    """What was sampled at B parameter sets."""

    means: NDArray
    """(B, S)."""
    errors: NDArray
    """Their standard errors, (B, S)."""
    variances: NDArray
    """Of one shot of each basis, mean over the sets, (S, bases)."""
    losses: Losses | None = None
    """What was left out of the states; None where nothing can be."""
    covariances: Sequence[NDArray] = ()
    """Of the terms that each basis reads, in one shot, mean over the sets, (t, t); none where nobody asked."""


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
        """How exact values are computed: statevector, density_matrix (under the noise), …; None where they are not."""
        if self._anatomy.dynamic or self._options.quasi_static is not None:
            return None
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
            self._readout.require(exact=exact)
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
        return compact(self._anatomy, self._active)

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
            return "the kernel is switched off (engine=aer) or numba is not installed"
        if self._readout.differentiable:
            return ""
        method = self._options.method
        if method not in ("automatic", "density_matrix"):
            return f"the simulation method is {method}, and it is noisy"
        return "the circuit or its noise has something the noisy kernel does not know, or is too large for it"

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
            return "the kernel is switched off (engine=aer) or numba is not installed"
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
            if self._options.quasi_static is not None:
                return DriftingReadout(
                    self._anatomy.circuit, self.terms, self._groups, self._options.quasi_static, self._options
                )
            return Readout(self._anatomy, self.terms, self._groups, self._options)

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


class ReadTerms(NamedTuple):
    """What is read off the outcomes of one basis."""

    weights: NDArray
    """What its terms count for the observables, (S, terms)."""
    masks: list[NDArray]
    """For each piece the measured qubits whose parity is a term's sign, (terms, measured)."""
    table: NDArray | None
    """What every outcome adds to each observable, (S, 2^k), if one piece has it all; None: of every shot alone."""


class Readout:
    """The terms of observables read off the outcomes of measuring the circuit in a few bases."""

    def __init__(
        self,
        anatomy: Anatomy,
        terms: ObservableTerms,
        groups: Sequence[Sequence[int]],
        options: SimulationOptions,
    ) -> None:
        self._coefficients = terms.coefficients
        self._singly = options.singly
        self._groups = [list(group) for group in groups]
        self._identity = [t for t in range(len(terms.labels)) if not terms.support[t].any()]
        bases = [Basis(letters_of(terms, group)) for group in self._groups]
        rotations = basis_changes(terms.num_qubits, bases, options.target, options.noise_model)
        scheduled = _scheduled(anatomy.circuit, rotations, terms, options)
        self._pieces: list[Piece] = pieces_of(anatomy, bases, rotations, options, scheduled)
        self._masks = [
            [terms.support[group][:, piece.measured[index]] for piece in self._pieces]
            for index, group in enumerate(self._groups)
        ]
        self._tables: dict[int, NDArray] = {}

    @property
    def pieces(self) -> Sequence[Piece]:
        """What is simulated and sampled by itself."""
        return self._pieces

    @property
    def has_tables(self) -> bool:
        """Can outcome probabilities be computed, or only trajectories be sampled?"""
        return all(piece.has_tables for piece in self._pieces)

    @property
    def nbytes(self) -> int:
        """The memory of the tables kept between runs."""
        return sum(table.nbytes for table in self._tables.values())

    @property
    def _constant(self) -> NDArray:
        return self._coefficients[:, self._identity].sum(axis=1)

    def _value_table(self, index: int) -> NDArray | None:
        """The group's contribution to each observable for every outcome, (S, 2^k), if one piece has it all."""
        mask = _only(self._masks[index])
        if mask is None:
            return None
        if index not in self._tables:
            self._tables[index] = self._coefficients[:, self._groups[index]] @ signs_of(mask)
        return self._tables[index]

    def _own(self, index: int) -> ReadTerms:
        """A basis's own group."""
        weights = self._coefficients[:, self._groups[index]]
        return ReadTerms(weights, self._masks[index], self._value_table(index))

    def read(self, index: int, masks: NDArray, weights: NDArray) -> ReadTerms:
        """Any signs that a basis tells.

        Args:
            index: the basis.
            masks: whose measured bits' parity they are, (t, qubits).
            weights: what they count, (S, t).
        """
        own = [masks[:, piece.measured[index]] for piece in self._pieces]
        mask, table = _only(own), None
        if mask is not None:
            by_mask = np.zeros((len(weights), 1 << mask.shape[1]))
            by_mask[:, mask @ (1 << np.arange(mask.shape[1], dtype=np.int64))] = weights
            table = signed_sums(by_mask)
        return ReadTerms(weights, own, table)

    def require(self, *, exact: bool) -> None:
        """Refuse pieces whose outcomes can only be sampled, or not even that."""
        for piece in self._pieces:
            if exact:
                piece.require_analytic()
            else:
                piece.require_sampled()

    def exact(self, rows: NDArray) -> NDArray:
        """The limit of infinitely many shots, (B, S)."""
        result = np.broadcast_to(self._constant, (len(rows), len(self._coefficients))).copy()
        found = [
            piece.products(rows, [masks[number] for masks in self._masks])
            for number, piece in enumerate(self._pieces)
        ]
        for index, group in enumerate(self._groups):
            expectation = np.ones((len(rows), len(group)))
            for piece, masks in enumerate(self._masks[index]):
                if masks.shape[1]:
                    expectation *= found[piece][index]
            result += each_times(expectation, self._coefficients[:, group].T)
        return result

    def simulation(self, shots: int | None) -> str | None:
        """How the largest piece that is not a state vector is simulated, in words; None where there is none."""
        said = [(len(piece.qubits), piece.simulation(shots)) for piece in self._pieces]
        return max(((size, words) for size, words in said if words is not None), default=(0, None))[1]

    @property
    def differentiable(self) -> bool:
        """Have the values exact derivatives under noise?"""
        return all(piece.differentiable for piece in self._pieces)

    def gradients(self, rows: NDArray) -> tuple[NDArray, NDArray]:
        """Exact values (B, S) and their derivatives by every parameter (B, S, P), under noise."""
        masks = [[own[number] for own in self._masks] for number in range(len(self._pieces))]
        if len(self._pieces) == 1 and self._pieces[0].moves:
            weights = [self._coefficients[None, :, group] for group in self._groups]
            values, slopes = self._pieces[0].product_gradients(rows, masks[0], weights)
            return values + self._constant, slopes
        found = [piece.products(rows, own) for piece, own in zip(self._pieces, masks, strict=True)]
        values = self.exact(rows)
        slopes = np.zeros((*values.shape, rows.shape[1]))
        for number, piece in enumerate(self._pieces):
            if piece.moves:
                weights = [self._weights_without(number, index, found) for index in range(len(self._groups))]
                slopes += piece.product_gradients(rows, masks[number], weights)[1]
        return values, slopes

    def _weights_without(self, number: int, index: int, found: Sequence[Sequence[NDArray]]) -> NDArray:
        """What each term of a basis counts beside one piece's part of it, (B or 1, S, terms)."""
        weight = self._coefficients[None, :, self._groups[index]]
        for other, masks in enumerate(self._masks[index]):
            if other != number and masks.shape[1]:
                weight = weight * found[other][index][:, None, :]
        return weight

    def sampled(
        self,
        rows: NDArray,
        shots: Sequence[int],
        seed: int,
        read: Sequence[ReadTerms] | None = None,
        *,
        learns: bool = False,
    ) -> SampledRows:
        """Means and their standard errors from so many outcomes of each basis.

        Args:
            rows: parameter sets (B, P).
            shots: of each basis.
            seed: of the job.
            read: what is read off each basis; None: its own group.
            learns: tell the covariances of what is read.
        """
        sets, bases = len(rows), len(self._groups)
        if read is None:
            read = [self._own(index) for index in range(bases)]
        observables = len(read[0].weights) if read else len(self._coefficients)
        means = np.broadcast_to(self._constant, (sets, observables)).copy()
        variances = np.zeros_like(means)
        by_basis = np.zeros((observables, bases))
        covariances = [np.zeros((one.weights.shape[1],) * 2) for one in read] if learns else []
        usual = sum(shots) / len(shots)
        widest = max((len(m) for piece in self._pieces for m in piece.measured), default=0)
        losses = Losses(sets)
        step = max(1, int(_CHUNK_BYTES // max(8 * len(self._groups) * (1 << min(widest, 26)), 1)))
        for start in range(0, sets, step):
            for row, index, drawn in self._sampled_bases(
                rows[start : start + step], start, shots, seed, losses, read
            ):
                mean, variance = drawn.moments()
                means[row] += mean
                variances[row] += variance * (usual / shots[index])
                by_basis[:, index] += variance / sets
                if learns:
                    covariances[index] += drawn.covariances() / sets
        return SampledRows(means, np.sqrt(variances / usual), by_basis, losses, covariances)

    def _sampled_bases(
        self,
        rows: NDArray,
        start: int,
        every: Sequence[int],
        seed: int,
        losses: Losses,
        read: Sequence[ReadTerms],
    ) -> Iterator[tuple[int, int, Counted | Listed]]:
        """Set, basis, and what was drawn."""
        usual = round(sum(every) / len(every))
        tabulated = [piece.tabulates(usual) for piece in self._pieces]
        tables = [
            piece.probabilities(rows) if known else None
            for piece, known in zip(self._pieces, tabulated, strict=True)
        ]
        sampled = [
            None if known else piece.samples(rows, every, seed, start, number, losses)
            for number, (piece, known) in enumerate(zip(self._pieces, tabulated, strict=True))
        ]
        for index, terms in enumerate(read):
            shots = every[index]
            for row in range(len(rows)):
                generator = stream(seed, start + row, 1 + index)
                if terms.table is not None:
                    outcomes = self._counts(index, row, tables, sampled, shots, generator)
                    yield start + row, index, Counted(terms, outcomes, shots)
                else:
                    signs = self._term_signs(index, row, tables, sampled, shots, generator, terms.masks)
                    yield start + row, index, Listed(terms, signs, shots)

    def _counts(
        self, index: int, row: int, tables: list, sampled: list, shots: int, generator: np.random.Generator
    ) -> NDArray:
        """How often each outcome of the only piece with measured qubits occurred."""
        piece = next(k for k, mask in enumerate(self._masks[index]) if mask.shape[1])
        if tables[piece] is not None:
            return draw_counts(tables[piece][index][row], shots, generator, singly=self._singly)
        bits = sampled[piece][index][row]
        outcomes = bits @ (1 << np.arange(bits.shape[1]))
        return np.bincount(outcomes, minlength=1 << bits.shape[1])

    def _term_signs(
        self,
        index: int,
        row: int,
        tables: list,
        sampled: list,
        shots: int,
        generator: np.random.Generator,
        every: Sequence[NDArray],
    ) -> NDArray:
        """Every term's ±1 in every shot, (terms, shots); `every` piece has its part of their masks."""
        parity = np.zeros((len(every[0]) if every else 0, shots), dtype=np.int64)
        for piece, masks in enumerate(every):
            if not masks.shape[1]:
                continue
            if tables[piece] is not None:
                outcomes = draw(tables[piece][index][row], shots, generator)
                packed = masks @ (1 << np.arange(masks.shape[1]))
                parity += np.bitwise_count(packed[:, None] & outcomes[None, :])
            else:
                parity += masks.astype(np.int64) @ sampled[piece][index][row].T
        return 1.0 - 2.0 * (parity & 1)


class Counted(NamedTuple):
    """How often every outcome of a basis occurred."""

    read: ReadTerms
    counts: NDArray
    """(2^k,)."""
    shots: int

    def moments(self) -> tuple[NDArray, NDArray]:
        """Mean (S,) of what the outcomes add and the variance (S,) of one shot, unbiased."""
        table = self.read.table
        assert table is not None
        square = (table * table) @ self.counts / self.shots
        return _unbiased(table @ self.counts / self.shots, square, self.shots, self.read.weights)

    def covariances(self) -> NDArray:
        """Of the terms in one shot, (terms, terms): a product of signs is the sign of what either mask has alone."""
        mask = _only(self.read.masks)
        assert mask is not None
        packed = mask @ (1 << np.arange(mask.shape[1], dtype=np.int64))
        moments = signed_sums(self.counts[None, :] / self.shots)[0]
        means = moments[packed]
        return np.asarray(moments[packed[:, None] ^ packed] - np.outer(means, means))


class Listed(NamedTuple):
    """Every term's ±1 in every shot of a basis."""

    read: ReadTerms
    signs: NDArray
    """(terms, shots)."""
    shots: int

    def moments(self) -> tuple[NDArray, NDArray]:
        """Mean (S,) of what the outcomes add and the variance (S,) of one shot, unbiased."""
        values = self.read.weights @ self.signs
        return _unbiased(values.mean(axis=1), (values * values).mean(axis=1), self.shots, self.read.weights)

    def covariances(self) -> NDArray:
        """Of the terms in one shot, (terms, terms)."""
        means = self.signs.mean(axis=1)
        return np.asarray(self.signs @ self.signs.T / self.shots - np.outer(means, means))


def _unbiased(mean: NDArray, square: NDArray, shots: int, weights: NDArray) -> tuple[NDArray, NDArray]:
    """The mean, and the variance of one shot; of a single one the most that it can be."""
    spread = np.maximum(square - mean * mean, 0.0)
    return mean, spread * shots / (shots - 1) if shots > 1 else np.abs(weights).sum(axis=1) ** 2


def _only(masks: Sequence[NDArray]) -> NDArray | None:
    """The masks of the only piece that is measured, if its outcomes are few enough for tables; None otherwise."""
    measured = [mask for mask in masks if mask.shape[1]]
    return measured[0] if len(measured) == 1 and measured[0].shape[1] <= _TABLE_BITS else None


class Propagation:
    """Observables that are taken backwards as Pauli strings, each basis through the circuit that measures it.

    Args:
        anatomy: the circuit.
        terms: the observables.
        groups: their terms by basis.
        options: how to simulate.
        parameters: the order of values.
        gain: by how much the noise of gates and waits is amplified; that of reading is not.
    """

    def __init__(
        self,
        anatomy: Anatomy,
        terms: ObservableTerms,
        groups: Sequence[Sequence[int]],
        options: SimulationOptions,
        parameters: Sequence[Any],
        gain: float = 1.0,
    ) -> None:
        self._terms, self._options, self._gain = terms, options, gain
        noise, layers = options.noise_model, options.layer_noise
        self._groups = [list(group) for group in groups]
        self._bases = self._groups
        self._alike = noise is None or layers is not None
        """Nothing goes wrong where a basis is changed, so that one circuit stands for all bases."""
        if self._alike:
            self._groups = [[t for group in self._groups for t in group]]
            self._circuits = [
                anatomy.circuit if layers is None else layers.noisy(_unmeasured(anatomy.circuit))
            ]
        else:
            bases = [Basis(letters_of(terms, group)) for group in groups]
            rotations = basis_changes(terms.num_qubits, bases, options.target, noise)
            if options.schedule is None:
                self._circuits = [anatomy.circuit.compose(rotation) for rotation in rotations]
            else:
                measured = np.flatnonzero(terms.support.any(axis=0)).tolist()
                self._circuits = options.schedule.measured_in(anatomy.circuit, rotations, measured)
        self._parameters = parameters
        self._ahead: tuple[bytes, tuple[NDArray, NDArray]] | None = None

    def foresee(self, rows: NDArray) -> None:
        """Take the observables back at parameter sets (B, P), and keep what is found for the first who asks.

        Raises:
            TruncationError: more is left out than may be.
        """
        self._ahead = None
        self._ahead = rows.tobytes(), self.values(rows)

    @cached_property
    def _programs(self) -> list[PropagationProgram]:
        limits = self._options.propagation
        noise = None if self._alike else self._options.noise_model
        return [
            PropagationProgram(one, self._parameters, limits, noise, self._gain) for one in self._circuits
        ]

    @property
    def _several(self) -> int | None:
        """The first observable of more than one string; None where there is none."""
        acting = self._terms.support.any(axis=1)
        counts = np.count_nonzero(self._terms.coefficients[:, acting], axis=1)
        return int(np.argmax(counts > 1)) if (counts > 1).any() else None

    def require(self, *, exact: bool) -> None:
        """Refuse what takes too much memory, and shots of sums, whose spread takes more than their value.

        Raises:
            ConfigError: with what to take instead.
        """
        if not exact and self._several is not None:
            raise ConfigError(
                "engine=pauli knows the spread of single Pauli strings only, and an observable has several; take "
                "estimator=exact, which is the limit of many shots"
            )
        for program in self._programs:
            program.require()

    def in_words(self) -> str:
        """How the observables are evaluated, and why."""
        layers, noise = self._options.layer_noise, self._options.noise_model
        told = "" if noise is None else ", noise and misreading being twirled"
        if layers is not None:
            told = f", damped after every layer by the noise of {layers.source} (digest {layers.text[:12]})"
            told += "" if noise is None else ", misreading being twirled"
        why = (
            "as engine=pauli says"
            if self._options.engine == "pauli"
            else "for a state vector has no room here, and a matrix product state might lose something"
        )
        return f"{self._programs[0].in_words()}{told}, {why}"

    def values(self, rows: NDArray) -> tuple[NDArray, NDArray]:
        """Values and bounds on what is left out of them, (B, S) each.

        Raises:
            TruncationError: more is left out than may be.
        """
        ahead, self._ahead = self._ahead, None
        if ahead is not None and ahead[0] == rows.tobytes():
            return ahead[1]
        terms = self._terms
        acting = terms.support.any(axis=1)
        found = np.tile(terms.coefficients[:, ~acting].sum(axis=1), (len(rows), 1))
        lost = np.zeros_like(found)
        for group, program in zip(self._groups, self._programs, strict=True):
            weights = terms.coefficients[:, group]
            if self._alike:
                x, z = terms.x[group], terms.z[group]
            else:
                x, z = np.zeros_like(terms.x[group]), terms.support[group]
            if self._options.noise_model is not None:
                weights = weights * self._read[group]
            values, gone = program.values(rows, x, z, weights)
            found += values
            lost += gone
        most = self._options.propagation.max_error
        largest = np.abs(terms.coefficients[:, acting]).sum(axis=1)
        if (lost > most * largest).any():
            worst = float((lost / np.where(largest, largest, 1.0)).max())
            raise TruncationError(
                f"Pauli strings left out may change an observable by {worst:.2g} of its largest value, more than the "
                f"{most:g} that they may; lower backend.pauli_threshold, raise backend.max_pauli_terms, or raise "
                "backend.max_pauli_error",
                larger=(
                    f"backend.pauli_threshold={self._options.propagation.threshold / 10:g}",
                    f"backend.max_pauli_terms={10 * self._options.propagation.max_terms}",
                ),
            )
        return found, lost

    @cached_property
    def _read(self) -> NDArray:
        """By how much misreading its qubits shrinks each term, (terms,)."""
        noise = self._options.noise_model
        each = readout_factors([confusion(noise, qubit) for qubit in range(self._terms.num_qubits)])
        return np.where(self._terms.support, each, 1.0).prod(axis=1)

    def basis_of(self, place: int) -> int:
        """The basis in which an observable of one string is measured; 0 of the identity."""
        acting = np.flatnonzero(self._terms.support.any(axis=1) & (self._terms.coefficients[place] != 0))
        return next((i for i, group in enumerate(self._bases) if len(acting) and acting[0] in group), 0)

    def drawn(
        self, place: int, value: float, every: Sequence[int], generator: np.random.Generator
    ) -> tuple[float, float]:
        """Mean and standard error of an observable of one string from as many shots as its basis has."""
        terms = self._terms
        acting = np.flatnonzero(terms.support.any(axis=1) & (terms.coefficients[place] != 0))
        if not len(acting):
            return value, 0.0
        scale = float(terms.coefficients[place, acting[0]])
        rest = float(terms.coefficients[place].sum()) - scale
        shots = every[self.basis_of(place)]
        chance = min(max((1 + (value - rest) / scale) / 2, 0.0), 1.0)
        mean = 2 * generator.binomial(shots, chance) / shots - 1
        spread = math.sqrt(max(1 - mean * mean, 0.0) / (shots - 1)) if shots > 1 else 1.0
        return scale * mean + rest, abs(scale) * spread


def _unmeasured(circuit: QuantumCircuit) -> QuantumCircuit:
    """The circuit without its measurements, which are final ones."""
    result = circuit.copy_empty_like()
    for item in circuit.data:
        if item.operation.name != "measure":
            result._append(item)
    return result


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


def _obstacle(circuit: QuantumCircuit, anatomy: Anatomy, options: SimulationOptions) -> str | None:
    """Why a circuit on a device whose idle qubits decay cannot be scheduled."""
    if options.schedule is None:
        return None
    if anatomy.dynamic:
        return "it measures, resets or branches before its end"
    return options.schedule.obstacle(circuit)


def _scheduled(
    circuit: QuantumCircuit,
    rotations: Sequence[QuantumCircuit],
    terms: ObservableTerms,
    options: SimulationOptions,
) -> list[Anatomy] | None:
    """The circuit as it is carried out with every basis change, all qubits of the observables being measured."""
    if options.schedule is None:
        return None
    measured = np.flatnonzero(terms.support.any(axis=0)).tolist()
    return [dissect(one) for one in options.schedule.measured_in(circuit, rotations, measured)]


def _label(x: NDArray, z: NDArray) -> str:
    return "".join("IXZY"[int(a) + 2 * int(b)] for a, b in zip(x[::-1], z[::-1], strict=True))
