"""The engine: turns circuits into plans, and remembers the plans."""

from __future__ import annotations

import json
import pickle
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from hashlib import blake2b
from typing import Any, ClassVar

import numpy as np
from qiskit.circuit import QuantumCircuit
from qiskit.primitives.containers.observables_array import ObservablesArray
from qiskit.quantum_info import SparsePauliOp

from runner.engine import kernel
from runner.engine.aer import METHODS
from runner.engine.commuting import CommutingPlan
from runner.engine.estimator import EstimatorPlan
from runner.engine.evolution import Evolution
from runner.engine.executed import is_plain
from runner.engine.fermionic import FermionicPlan
from runner.engine.grouping import COMMUTING, GROUPINGS, QUBIT_WISE
from runner.engine.identity import canonical_text, digest_of
from runner.engine.kernel.pauli_vector import PauliVectorKernel
from runner.engine.kernel.program import Unsupported
from runner.engine.kernel.sector import SectorKernel
from runner.engine.kernel.state_vector import StateVectorKernel
from runner.engine.lindblad import LayerNoiseModel
from runner.engine.matrix_product import BondLimits
from runner.engine.measurement import SimulationOptions
from runner.engine.noise import DeviceNoise, confusion, gain_of, restrict
from runner.engine.propagation import PropagationLimits
from runner.engine.quasi_static import QuasiStatic, why_not_drifting
from runner.engine.sampler import SamplerPlan
from runner.engine.schedule import Schedule, why_not
from runner.errors import ConfigError

ENGINES = ("auto", "aer", "kernel", "mps", "pauli", "ffsim")
_RECENT = 32


class Engine:
    """Simulates circuits on one (ideal or noisy) device.

    Args:
        target: the device's target; its durations give plans a duration. None has none.
        noise_model: Aer's `NoiseModel`; None is ideal.
        method: `automatic`, `statevector`, `density_matrix`, `matrix_product_state` or `stabilizer`.
        engine: `aer`, `kernel` (the compiled state-vector kernel wherever it can run the circuit), `mps` (matrix
            product states), `pauli` (Pauli strings taken backwards, noise being twirled), `ffsim` (shots of electrons
            that no gate adds or takes away), or `auto`.
        max_bond_dimension: singular values that matrix product states keep at a cut.
        truncation_threshold: squares of singular values that they leave out at a cut, in all, at every gate; None:
            as `BondLimits` has it.
        max_discarded_weight: what they may leave out altogether before the result is refused.
        pauli_threshold: coefficients, of an observable's largest one, that sums of Pauli strings leave out.
        max_pauli_terms: strings that they keep.
        max_pauli_error: what they may leave out altogether, of the sum of an observable's absolute coefficients.
        threads: how many one simulation may use.
        schedule: let qubits decay while they wait, as they do between the instructions of a scheduled circuit; None
            does so where the target knows durations and T1 or T2, and there is noise at all.
        quasi_static: frequencies that are drawn for every batch of shots, beside the noise model; None: none are.
        singly: draw shots as in runs that were begun before there was another way, to go on with one of them.
        fused: let the kernel take gates together; False rounds as in runs that were begun before it could.
        grouping: which terms are measured together, see `runner.engine.grouping`.
        trajectories: draws of twirled noise that the shots of a sampled circuit are shared out to; None: noise acts
            as it is, anew in every shot.
        layer_noise: the noise of layers of two-qubit gates, in the place of what gates and waits do wrong in the noise
            model; with `pauli` only.
        depolarized: probability that all bits of a shot are random; with `ffsim` only.
        cache_bytes: the bound on what remembered plans may take together, by estimate.
    """

    def __init__(
        self,
        target: Any = None,
        noise_model: Any = None,
        *,
        method: str = "automatic",
        engine: str = "auto",
        max_bond_dimension: int = BondLimits.max_bond_dimension,
        truncation_threshold: float | None = BondLimits.threshold,
        max_discarded_weight: float = BondLimits.max_discarded_weight,
        pauli_threshold: float = PropagationLimits.threshold,
        max_pauli_terms: int = PropagationLimits.max_terms,
        max_pauli_error: float = PropagationLimits.max_error,
        threads: int = 1,
        schedule: bool | None = None,
        quasi_static: QuasiStatic | None = None,
        singly: bool = False,
        fused: bool = True,
        grouping: str = QUBIT_WISE,
        trajectories: int | None = None,
        layer_noise: LayerNoiseModel | None = None,
        depolarized: float = 0.0,
        cache_bytes: int = 256 << 20,
    ) -> None:
        if method not in METHODS:
            raise ConfigError(f"method must be one of {', '.join(METHODS)}, got {method!r}")
        if engine not in ENGINES:
            raise ConfigError(f"engine must be one of {', '.join(ENGINES)}, got {engine!r}")
        if grouping not in GROUPINGS:
            raise ConfigError(f"grouping must be one of {', '.join(GROUPINGS)}, got {grouping!r}")
        if threads < 1:
            raise ConfigError(f"threads must be at least 1, got {threads}")
        import qiskit_aer  # noqa: F401 - first imported by a worker thread, Aer has crashed

        if quasi_static is not None and (reason := why_not_drifting(target, quasi_static, schedule)):
            raise ConfigError(f"cannot act: {reason}; leave it out", key="backend.quasi_static")
        ideal = noise_model is None or noise_model.is_ideal()
        if engine in ("mps", "pauli") and method != "automatic":
            raise ConfigError(f"engine={engine} is a method of its own, got method={method}; leave that out")
        if engine == "pauli" and quasi_static is not None:
            raise ConfigError("engine=pauli follows no frequencies that drift; take engine=auto")
        if engine == "pauli" and not kernel.available():
            raise ConfigError("engine=pauli needs numba, which is not installed; take engine=aer")
        if layer_noise is not None and engine != "pauli":
            raise ConfigError(
                f"is followed by engine=pauli only, got {engine}; take that", key="backend.layer_noise_model"
            )
        if layer_noise is not None and schedule:
            raise ConfigError(
                "is true, and waits are part of the layers whose noise is given; leave it out",
                key="backend.schedule",
            )
        if engine == "mps" and not (ideal and quasi_static is None):
            raise ConfigError("engine=mps follows no noise; take a backend without, or engine=auto")
        if trajectories is not None and not kernel.available():
            raise ConfigError("trajectories need numba, which is not installed", key="backend.trajectories")
        self.method, self.threads = method, threads
        self._options = SimulationOptions(
            method=method,
            threads=threads,
            noise_model=None if ideal else noise_model,
            target=target,
            kernel=_kernel_maker(engine, threads, fused),
            noisy_kernel=_noisy_kernel_maker(engine, threads),
            schedule=_schedule(target, ideal, False if layer_noise is not None else schedule)
            if quasi_static is None
            else Schedule(target),
            quasi_static=quasi_static,
            singly=singly,
            fused=fused,
            grouping=grouping,
            engine=engine,
            trajectories=None if ideal else trajectories,
            layer_noise=layer_noise,
            propagation=PropagationLimits(pauli_threshold, max_pauli_terms, max_pauli_error),
            bonds=BondLimits(max_bond_dimension, truncation_threshold, max_discarded_weight),
        )
        self._fermionic, self._depolarized = engine == "ffsim", depolarized
        self._labels_count = not ideal
        self._cache_bytes = cache_bytes
        self._plans: OrderedDict[str, Any] = OrderedDict()
        self._recent: OrderedDict[tuple[int, int], _Seen] = OrderedDict()
        self._digests: OrderedDict[str, str] = OrderedDict()
        """Of texts of circuits as they are given, the plan's."""
        self._lock = threading.RLock()

    @property
    def target(self) -> Any:
        """The device's instructions; None of a simulator that takes every circuit."""
        return self._options.target

    mitigates: ClassVar[bool] = True
    """Whether what is done against errors is simulated, too; where not, values are as without."""

    @property
    def noisy(self) -> bool:
        """Does anything go wrong?"""
        options = self._options
        return options.noise_model is not None or options.layer_noise is not None or self.remembers

    @property
    def remembers(self) -> bool:
        """Has the noise a memory, so that an echo can undo some of it?"""
        return self._options.quasi_static is not None

    def misreads(self, qubits: Sequence[int]) -> bool:
        """Is any of these qubits read as what it is not?"""
        noise = self._options.noise_model
        if isinstance(noise, DeviceNoise):
            noise = noise.of((), qubits)
        if noise is None:
            return False
        matrices = [confusion(noise, qubit) for qubit in qubits]
        return any(matrix is not None and not np.array_equal(matrix, np.eye(2)) for matrix in matrices)

    def batch(self, shots: int) -> int:
        """How many of so many shots are taken under the same noise, and are not independent of each other."""
        drawn = self._options.quasi_static
        return 1 if drawn is None else drawn.batches(shots)[1]

    @property
    def idle_qubits(self) -> str | None:
        """What becomes of qubits that wait: they "decay" or "do not decay", or dephase as well; None without noise."""
        if not self.noisy:
            return None
        if self._options.layer_noise is not None:
            return "err as the layers' noise model says"
        if self.remembers:
            return "decay and dephase by frequencies that drift"
        return "do not decay" if self._options.schedule is None else "decay"

    def estimator_plan(self, circuit: QuantumCircuit, observables: Any) -> EstimatorPlan | CommutingPlan:
        """The plan that evaluates these observables, remembered by structure.

        The same two objects again give the same plan at once, unless one of them was changed in place since.
        """
        if self._fermionic:
            raise ConfigError(
                "ffsim samples bitstrings and estimates nothing; use experiment=sqd or sampling, or engine=auto",
                key="backend.engine",
            )
        if self._options.trajectories is not None:
            raise ConfigError(
                "share draws of noise among shots, which standard errors of expectation values do not count; leave "
                "it out, or sample (sqd, skqd, sampling)",
                key="backend.trajectories",
            )
        kind = CommutingPlan if self._options.grouping == COMMUTING else EstimatorPlan
        if gain_of(circuit) != 1.0 and (self._options.engine != "pauli" or kind is CommutingPlan):
            raise ConfigError(
                "noise is amplified by engine=pauli only, with terms grouped qubit by qubit",
                key="backend.engine",
            )
        return self._remembered(circuit, observables, lambda: kind(circuit, observables, self._options))

    def sampler_plan(self, circuit: QuantumCircuit) -> SamplerPlan:
        """The plan that samples this circuit's measurements, remembered by structure."""
        self._require_samples()
        if self._fermionic:
            return self._remembered(
                circuit, None, lambda: FermionicPlan(circuit, self._options, self._depolarized)
            )
        return self._remembered(circuit, None, lambda: self._sampler_plan(circuit))

    def _require_samples(self) -> None:
        """Refuse to draw bitstrings with noise that only Pauli strings take.

        Raises:
            ConfigError: there is such noise.
        """
        if self._options.layer_noise is not None:
            raise ConfigError(
                "acts on expectation values of Pauli strings, and bitstrings are asked for; leave it out",
                key="backend.layer_noise_model",
            )

    def _sampler_plan(self, circuit: QuantumCircuit) -> SamplerPlan:
        """A plan, or the one of an equal circuit: a server gets a new copy for every job, and reading is quickest."""
        text = digest_of(canonical_text(circuit, addressed=self._options.on(circuit).addressed))
        plan = self._plans.get(self._digests.get(text, ""))
        if plan is None:
            plan = SamplerPlan(circuit, self._options)
            self._digests[text] = plan.digest
            if len(self._digests) > _RECENT:
                self._digests.popitem(last=False)
        return plan

    def learning_plan(self, circuit: QuantumCircuit) -> SamplerPlan:
        """The plan of a circuit that noise is learned from; rehearsals have the same, for their price depends on it."""
        self._require_samples()
        return SamplerPlan(circuit, self._options)

    def noise_digest(self, qubits: Sequence[int], names: Iterable[str]) -> str:
        """What tells the noise of these instructions on these qubits from any other."""
        model = self._options.noise_model
        if isinstance(model, DeviceNoise):
            model = model.of(qubits)
        told = {} if model is None else restrict(model, qubits, names).to_dict(serializable=True)
        errors = [
            {name: part for name, part in error.items() if name != "id"} for error in told.pop("errors", ())
        ]
        # the id is drawn at random, and Aer reads a device's gates in the order of a set
        told["errors"] = sorted(errors, key=partial(json.dumps, sort_keys=True))
        text, drifts = json.dumps(told, sort_keys=True), self._options.quasi_static
        return blake2b(f"{self.idle_qubits}|{drifts}|{text}".encode(), digest_size=8).hexdigest()

    def evolution(self, start: str, circuit: QuantumCircuit, observables: Any) -> Evolution | None:
        """The moments of a product state on which the circuit acts again and again, to be planned one by one.

        Args:
            start: the product state in bits, qubit 0 last.
            circuit: without parameters.
            observables: as of `estimator_plan`.

        Returns:
            None where states cannot be carried on, see `Evolution.of`; each moment is a circuit of its own then.
        """
        return Evolution.of(start, circuit, observables, self._options)

    def _remembered(self, circuit: QuantumCircuit, observables: Any, make: Callable[[], Any]) -> Any:
        identity = (id(circuit), id(observables))
        seen = self._recent.get(identity)
        if seen is not None and seen.still(circuit, observables, self._labels_count):
            return seen.plan
        with self._lock:
            plan = make()
            plan = self._plans.setdefault(plan.digest, plan)
            self._plans.move_to_end(plan.digest)
            self._recent[identity] = _Seen(circuit, observables, plan)
            if len(self._recent) > _RECENT:
                self._recent.popitem(last=False)
            self._evict()
        return plan

    def _evict(self) -> None:
        """Forget the plans used longest ago until the rest fits; the newest always stays."""
        total = sum(plan.nbytes for plan in self._plans.values())
        while total > self._cache_bytes and len(self._plans) > 1:
            digest, oldest = self._plans.popitem(last=False)
            total -= oldest.nbytes
            for identity in [key for key, seen in self._recent.items() if seen.plan.digest == digest]:
                del self._recent[identity]


def _schedule(target: Any, ideal: bool, wanted: bool | None) -> Schedule | None:
    """What lets idle qubits decay, where the device allows it.

    Raises:
        ConfigError: it is wanted and the device does not allow it.
    """
    if wanted is False:
        return None
    reason = "it has no noise" if ideal else why_not(target)
    if reason is None:
        return Schedule(target)
    if wanted:
        raise ConfigError(
            f"schedule is true, but on this device idle qubits do not decay: {reason}; remove it"
        )
    return None


def _kernel_maker(engine: str, threads: int, fused: bool) -> Callable[..., Any] | None:
    """What makes a kernel of a circuit, giving None for circuits it cannot run."""
    if engine in ("aer", "mps", "pauli"):
        return None
    if not kernel.available():
        if engine == "kernel":
            raise ConfigError("engine=kernel needs numba, which is not installed; take engine=aer")
        return None

    def make(circuit: QuantumCircuit, parameters: Any, *observable: Any) -> Any:
        with suppress(Unsupported):
            if fused:
                return SectorKernel(circuit, parameters, *observable, threads=threads)
        try:
            return StateVectorKernel(circuit, parameters, *observable, threads=threads, fused=fused)
        except Unsupported:
            return None

    return make


def _noisy_kernel_maker(engine: str, threads: int) -> Callable[..., Any] | None:
    """What makes a noisy kernel of a circuit measured in several bases, or raises `Unsupported`."""
    if engine in ("aer", "mps", "pauli") or not kernel.available():
        return None

    return partial(PauliVectorKernel, threads=threads)


class _Seen:
    """A circuit and observables as they were when their plan was made."""

    __slots__ = ("_circuit", "_content", "_copy", "_observables", "_state", "plan")

    def __init__(self, circuit: QuantumCircuit, observables: Any, plan: Any) -> None:
        self._circuit = circuit
        self._copy = circuit.copy()
        self._state = None if all(is_plain(item) for item in circuit.data) else _state(circuit)
        self._observables = observables
        self._content = content(observables)
        self.plan = plan

    def still(self, circuit: QuantumCircuit, observables: Any, labels: bool) -> bool:
        """Are these the very objects, unchanged? Labels only count where noise goes by them."""
        if circuit is not self._circuit or observables is not self._observables:
            return False
        copy = self._copy
        if circuit.cregs != copy.cregs or circuit.global_phase != copy.global_phase:
            return False
        if self._state is None:
            if circuit.data != copy.data or (labels and _labels(circuit) != _labels(copy)):
                return False
        elif self._state != _state(circuit):
            return False
        return self._content is not None and content(observables) == self._content


def _labels(circuit: QuantumCircuit) -> list[str | None]:
    return [item.label for item in circuit.data]


def _state(circuit: QuantumCircuit) -> Any:
    """Everything that gates are made of, to the bit; qiskit compares their data roughly, and some not at all.

    Something new each time for what cannot be told, which is then never found unchanged.
    """
    try:
        return [
            (item.name, item.params, item.label, item.qubits, item.clbits)
            if item.is_standard_gate()
            else (pickle.dumps(item.operation), item.qubits, item.clbits)
            for item in circuit.data
        ]
    except Exception as error:  # whatever a user's gate raises, it cannot be told
        return error


def content(observables: Any) -> Any:
    """What observables say, in a form that is quickly made and compared; None for kinds it does not know.

    An `ObservablesArray` cannot change and is equal to itself alone, so it is its own content.
    """
    if observables is None:
        return ""  # the Sampler's
    if isinstance(observables, str):
        return observables
    if isinstance(observables, ObservablesArray):
        return observables
    if isinstance(observables, SparsePauliOp):
        paulis = observables.paulis
        # a sum keeps the phases of its Paulis in the coefficients
        return paulis.z.tobytes(), paulis.x.tobytes(), observables.coeffs.tobytes()
    if isinstance(observables, list | tuple):
        parts = tuple(content(part) for part in observables)
        return None if None in parts else parts
    return None
