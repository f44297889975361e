"""The devices of the local service: real backends' snapshots, generic ones, ideal ones, and whatever is
attached.
"""

from __future__ import annotations

import copy
import math
import re
import threading
import warnings
import weakref
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray
from qiskit.circuit import ParameterExpression, QuantumCircuit
from qiskit.circuit.library import get_standard_gate_name_mapping
from qiskit.providers import BackendV2, Options
from qiskit.providers.exceptions import QiskitBackendNotFoundError
from qiskit.transpiler import Target

from runner.declare.checks import nearest
from runner.engine import DeviceNoise
from runner.errors import ConfigError, ConfigWarning, installed
from runner.mitigation import Calibration, LearningPlan, MitigatedPlan, SampledPlan, layers_of
from runner.runtime import circuits
from runner.runtime.learning import given_noise

if TYPE_CHECKING:
    from qiskit.circuit import Parameter, Qubit
    from qiskit.primitives.containers import ObservablesArrayLike
    from qiskit.providers import JobV1
    from qiskit_aer.noise import NoiseModel
    from qiskit_ibm_runtime.models import BackendStatus

    from runner.engine import Engine, EstimatorPlan, SamplerPlan
    from runner.engine.evolution import Moment
    from runner.engine.reading import TermReading
    from runner.mitigation import Layer, Learning, SamplerSetting, Setting
    from runner.runtime.circuits import CircuitJob
    from runner.runtime.service import LocalRuntimeService

    Noise: TypeAlias = DeviceNoise | NoiseModel
    NoiseMaker: TypeAlias = Callable[[], Noise | None]

Compiled = TypeVar("Compiled", "EstimatorPlan", "SamplerPlan")
Kept = TypeVar("Kept")

GENERIC = re.compile(r"generic_(\d+)(?:_(full|line|ring|grid))?")
SEED_OF_GENERIC = 1
IDEAL_QUBITS = 1000
"""More than can be simulated; what is too large is refused when its memory is known."""
SIMULATED_OPERATIONS = {"barrier", "delay"}


class BackendNotFoundError(ConfigError, QiskitBackendNotFoundError):
    """There is no such backend; caught as ours or as Qiskit's."""

    def __init__(self, message: str, *, key: str | None = None) -> None:
        super().__init__(message, key=key)
        self.message = self.args[0]

    def __str__(self) -> str:
        return str(self.args[0])


class Planned:
    """Observables in the place of which their plan stands (`LocalBackend.planned`)."""

    __slots__ = ("backend", "plan", "reading", "shots")

    def __init__(
        self,
        backend: LocalBackend,
        plan: EstimatorPlan | Moment,
        shots: tuple[int, ...] | None = None,
        reading: TermReading | None = None,
    ) -> None:
        self.backend = backend
        self.plan = plan
        self.shots = shots
        """Of each basis; None: all have as many."""
        self.reading = reading
        """What every basis adds of every term that it can read; None: of its own group all."""

    def allotted(self, shots: tuple[int, ...], reading: TermReading | None = None) -> Planned:
        """Return the same with so many shots of each basis, and with terms read as said."""
        return Planned(self.backend, self.plan, shots, reading)


class Shelf(Generic[Kept]):
    """The last few of what takes long to make."""

    def __init__(self, most: int = 32) -> None:
        self._most = most
        self._kept: OrderedDict[object, Kept] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: object, make: Callable[[], Kept]) -> Kept:
        """Return what is kept under a key, made if it is not there."""
        with self._lock:
            if key not in self._kept:
                self._kept[key] = make()
            self._kept.move_to_end(key)
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
            return self._kept[key]


class LocalBackend(BackendV2):
    """A backend bound to a `LocalRuntimeService`; everything it does not know itself is asked of the wrapped
    one.

    Args:
        service: Where its sessions and jobs live.
        wrapped: Any `BackendV2`; its target decides what is an ISA circuit and how long circuits take.
        noise_model: Makes the noise model when the first circuit needs it; None for a noiseless device.
        engine_factory: Makes the engine from (target, noise_model).
        ideal: Takes every circuit, whatever its gates.
    """

    def __init__(
        self,
        service: LocalRuntimeService,
        wrapped: BackendV2,
        *,
        noise_model: NoiseMaker | None,
        engine_factory: Callable[[Target | None, Noise | None], Engine],
        ideal: bool,
    ) -> None:
        super().__init__(
            name=wrapped.name,
            description=wrapped.description,
            online_date=wrapped.online_date,
            backend_version=wrapped.backend_version,
        )
        self._service = service
        self.wrapped = wrapped
        self.ideal = ideal
        self.waits: str | None = None
        """Why it takes no circuits with delays, and what to do; None: it takes them."""
        self._noise_model = noise_model
        self._engine_factory = engine_factory
        self._engine: Engine | None = None
        self._target: Target | None = None
        self._fitting: weakref.WeakSet[EstimatorPlan | SamplerPlan] = weakref.WeakSet()
        self._unscheduled = False
        self._mitigated: Shelf[MitigatedPlan] = Shelf()
        self._sampled: Shelf[SampledPlan] = Shelf()
        self._calibrations: Shelf[Calibration] = Shelf()
        self._layers: Shelf[Counter[Layer]] = Shelf()
        self._learning: Shelf[LearningPlan] = Shelf()
        self._faulty: set[tuple[int, ...]] | None = None
        self._angles: weakref.WeakKeyDictionary[object, list[ParameterExpression]] = (
            weakref.WeakKeyDictionary()
        )

    @property
    def service(self) -> LocalRuntimeService:
        """The service this backend belongs to."""
        return self._service

    @property
    def target(self) -> Target:
        """The wrapped backend's target as it was when first asked for: Aer builds a new one every time.

        A simulator's lists all the control flow that is executed; a device's lists what the device has.
        """
        if self._target is None:
            target = self.wrapped.target
            self._target = with_control_flow(target) if is_simulator(self.wrapped) else target
        return self._target

    @property
    def max_circuits(self) -> int | None:
        """No limit."""
        return None

    @property
    def dtm(self) -> float | None:
        """The time resolution of output signals [s], where the wrapped backend says one."""
        found: float | None = self.wrapped.dtm
        return found

    @classmethod
    def _default_options(cls) -> Options:
        return Options()

    @property
    def planner(self) -> LocalBackend:
        """What compiles its circuits: itself."""
        return self

    @property
    def simulator(self) -> bool:
        """Whether this is not modelled on a device."""
        return self.ideal

    def properties(self, refresh: bool = False, datetime: object = None) -> Any:
        """Return the calibration that comes with the device, which never changes; None of one without."""
        del refresh
        if datetime is not None:
            raise ConfigError("a snapshot has the calibration of one day; leave datetime out", key="datetime")
        return _told_by(self.wrapped, "properties")

    def status(self) -> BackendStatus:
        """Return how the device stands, in the client's form: it works, and so many jobs on it are not over (C4).

        Raises:
            ConfigError: The client is not installed.
        """
        with installed(
            "a backend's status has the client's form: pip install 'qiskit-ibm-runtime<0.60', "
            "or ask service.pending(backend)"
        ):
            from qiskit_ibm_runtime.models import BackendStatus
        return BackendStatus(
            backend_name=self.name,
            backend_version=self.backend_version or "",
            operational=True,
            pending_jobs=self._service.pending(self),
            status_msg="active",
        )

    @property
    def has_branches(self) -> bool:
        """Whether circuits may branch on measured bits."""
        return "if_else" in self.target.operation_names

    @property
    def has_fractional_gates(self) -> bool:
        """Whether rx and rzz of any angle are instructions of this device."""
        return bool({"rx", "rzz"} & set(self.target.operation_names))

    def fits(self, use_fractional_gates: bool) -> bool:
        """Whether a program that uses fractional gates, or none, finds what it expects; simulators take all gates."""
        return self.simulator or self.has_fractional_gates == use_fractional_gates

    def says(self, name: str) -> object:
        """Return an attribute of the backend, else an entry of its configuration, by which it can be looked for."""
        if name in ("operational", "open_pulse"):
            return name == "operational"  # it always works, and has no pulses
        try:
            return getattr(self, name)
        except AttributeError:
            configuration = _told_by(self.wrapped, "configuration")
            return None if configuration is None else configuration.to_dict().get(name)

    @property
    def engine(self) -> Engine:
        """What turns plans into numbers; made when first needed."""
        if self._engine is None:
            noise = self._noise_model() if self._noise_model is not None else None
            self._engine = self._engine_factory(None if self.ideal else self.target, noise)
        return self._engine

    @property
    def idle_qubits(self) -> str | None:
        """What becomes of qubits that wait in a circuit: they "decay" or "do not decay"; None without noise."""
        found: str | None = self.engine.idle_qubits
        return f"{found}, but not in every circuit" if self._unscheduled else found

    def device_properties(self) -> Mapping[str, object] | None:
        """Return errors, durations and decay times in the client's form; None where the device tells none."""
        told = self.properties()
        return None if told is None else told.to_dict()

    def run(self, run_input: QuantumCircuit | list[QuantumCircuit], **options: Any) -> CircuitJob:
        """Submit circuits as one job, in the open session or in job mode (N5).

        Args:
            run_input: Circuits without parameters.
            options: `shots`, `memory`, `seed_simulator` and what else `circuits.run` lists.
        """
        return circuits.run(self, run_input, **options)

    def estimator_plan(self, circuit: QuantumCircuit, observables: ObservablesArrayLike) -> EstimatorPlan:
        """Return the engine's plan for an ISA circuit and observables."""
        return self._plan(circuit, lambda: self.engine.estimator_plan(circuit, observables))

    def planned(self, circuit: QuantumCircuit, observables: ObservablesArrayLike) -> Planned:
        """Return the observables with their plan, to be used in PUBs of this circuit.

        For loops: the circuit is not compared with the one planned for every time, so it must not be changed.
        """
        return Planned(self, self.estimator_plan(circuit, observables))

    def mitigated_plan(self, circuit: QuantumCircuit, plan: EstimatorPlan, chosen: Setting) -> MitigatedPlan:
        """Return the plan of a circuit's observables with what is done against errors.

        Args:
            circuit: The ISA circuit.
            plan: What is planned without.
            chosen: What is done.

        Raises:
            ConfigError: This device has no noise, or it cannot be done to this circuit.
        """
        self.require_noise(chosen)
        return self._mitigated.get(
            (plan.digest, circuit.num_qubits, chosen.text),
            lambda: MitigatedPlan(circuit, plan, chosen, self.engine),
        )

    def require_noise(self, chosen: Setting) -> None:
        """Refuse to undo errors where there are none.

        Raises:
            ConfigError: This device has no noise.
        """
        if not self.engine.noisy:
            raise ConfigError(
                f"{chosen.words()} cannot act, for {self.name} has no noise; leave it at 0",
                key="options.resilience_level",
            )

    def layers(
        self, planned: Sequence[tuple[QuantumCircuit, EstimatorPlan]], chosen: Setting
    ) -> Counter[Layer]:
        """Return the layers of ISA circuits whose noise can be learned, and how often each occurs.

        Args:
            planned: The circuits of one job, and what is planned without mitigation.
            chosen: What is done against errors.

        Raises:
            ConfigError: There are none.
        """
        found: Counter[Layer] = Counter()
        for circuit, plan in planned:
            found.update(self._layers_of(circuit, plan, chosen))
        if not found:
            raise ConfigError(
                "the circuit has no two-qubit gates whose noise could be learned; take resilience_level=1 without "
                "pec_mitigation"
            )
        return found

    def learning_plans(
        self, planned: Sequence[tuple[QuantumCircuit, EstimatorPlan]], chosen: Setting
    ) -> list[LearningPlan]:
        """Return what is executed to learn the noise of the layers of ISA circuits, those first that occur most.

        Args:
            planned: The circuits of one job, and what is planned without mitigation.
            chosen: What is done against errors.

        Raises:
            ConfigError: There are no layers, or the client cannot learn one.
        """
        found = self.layers(planned, chosen)
        wanted = chosen.learning.most(found)
        if left := len(found) - len(wanted):
            warnings.warn(
                f"{self.name}: the noise of {left} of {len(found)} layers is not learned, and stays as it is; "
                "raise max_layers_to_learn",
                ConfigWarning,
                stacklevel=4,
            )
        return [self.learning_plan(layer, chosen.learning) for layer in wanted]

    def require_noise_model(
        self, circuit: QuantumCircuit, observables: ObservablesArrayLike, chosen: Setting, key: str
    ) -> None:
        """Refuse noise that another run has learned where it does not go with a circuit.

        Args:
            circuit: The ISA circuit.
            observables: What is measured.
            chosen: What is done against errors.
            key: The setting that names the other run.

        Raises:
            ConfigError: It cannot be read, lacks a layer, or is of another device or noise.
        """
        if isinstance(chosen.model, str):
            plan = self.estimator_plan(circuit, observables)
            given_noise(chosen.model, self.learning_plans([(circuit, plan)], chosen), key)

    def _layers_of(self, circuit: QuantumCircuit, plan: EstimatorPlan, chosen: Setting) -> Counter[Layer]:
        return self._layers.get(
            (plan.digest, circuit.num_qubits, chosen.strategy), lambda: layers_of(circuit, plan, chosen)
        )

    def learn_as(self, other: object) -> None:
        """Share the plans by which the noise of layers is learned, and what they learned last.

        Args:
            other: Of the same device, noise and engine options.
        """
        assert isinstance(other, LocalBackend)
        self._learning = other._learning

    def learning_plan(self, layer: Layer, learning: Learning) -> LearningPlan:
        """Return what is executed to learn a layer's noise.

        Raises:
            ConfigError: The client cannot learn it.
        """
        width = layer.qubits[-1] + 1 if self.ideal else self.target.num_qubits
        return self._learning.get(
            (layer, learning.text),
            lambda: LearningPlan(layer, self.target, width, learning, self.engine, self.name),
        )

    def sampled_plan(self, circuit: QuantumCircuit, plan: SamplerPlan, chosen: SamplerSetting) -> SampledPlan:
        """Return the plan of a measured circuit with what is done against errors.

        Args:
            circuit: The ISA circuit.
            plan: What is planned without.
            chosen: What is done.

        Raises:
            ConfigError: This device has no noise, or it cannot be done to this circuit.
        """
        if not self.engine.noisy:
            raise ConfigError(
                f"{chosen.words()} cannot act, for {self.name} has no noise; leave it off", key="options"
            )
        return self._sampled.get(
            (plan.digest, circuit.num_qubits, chosen.text), lambda: SampledPlan(circuit, chosen, self.engine)
        )

    def misreads(self, qubits: Sequence[int]) -> bool:
        """Return whether any of these qubits is read as what it is not."""
        return self.engine.misreads(qubits)

    def calibration(self, plans: Sequence[MitigatedPlan]) -> Calibration | None:
        """Return what measures the readout of all qubits that some plans of one job read; None where they read none."""
        qubits = tuple(sorted({qubit for plan in plans for qubit in plan.read_qubits}))
        if not qubits:
            return None
        width = max(plan.width for plan in plans)
        return self._calibrations.get((qubits, width), lambda: Calibration(qubits, width, self.engine))

    def moments(
        self, start: str, circuit: QuantumCircuit, observables: ObservablesArrayLike
    ) -> Callable[[int], Planned] | None:
        """Return what plans the observables after so many repetitions of an ISA circuit on a product state.

        Args:
            start: The product state in bits, qubit 0 last.
            circuit: What is repeated, without parameters.
            observables: What is looked at.

        Returns:
            None where the state cannot be carried on from one moment to the next.
        """
        if not self.ideal:
            return None
        evolution = self.engine.evolution(start, circuit, observables)
        return None if evolution is None else lambda times: Planned(self, evolution.at(times))

    def sampler_plan(self, circuit: QuantumCircuit) -> SamplerPlan:
        """Return the engine's plan for an ISA circuit with measurements."""
        return self._plan(circuit, lambda: self.engine.sampler_plan(circuit))

    def _plan(self, circuit: QuantumCircuit, make: Callable[[], Compiled]) -> Compiled:
        if not isinstance(circuit, QuantumCircuit):
            raise ConfigError(f"a PUB starts with a circuit, got {type(circuit).__name__}")
        try:
            plan = make()
        except Exception:
            self.require_isa(circuit)
            raise
        if plan not in self._fitting:
            self.require_isa(circuit)
            self._fitting.add(plan)
            if reason := plan.unscheduled:
                self._unscheduled = True
                text = f"{self.name}: idle qubits of circuit {circuit.name!r} do not decay: {reason}"
                warnings.warn(text, ConfigWarning, stacklevel=4)
        return plan

    def require_isa(self, circuit: QuantumCircuit) -> None:
        """Refuse a circuit that is not made of this device's instructions on its qubits (S11)."""
        if self.waits is not None and _waits(circuit):
            raise ConfigError(f"the circuit has a delay, {self.waits}")
        if self.ideal and self._noise_model is None:
            return
        if self.ideal:
            self._require_noise_of(circuit)
            return
        self._require_working(circuit)
        require_supported(circuit, self.target, self.name)

    def _require_noise_of(self, circuit: QuantumCircuit) -> None:
        """Refuse a gate that a simulator's noise is not declared for, and that would be simulated without any."""
        known = frozenset(self.target.operation_names)
        if (gate := _noiseless(circuit, known)) is not None:
            raise ConfigError(
                f"the circuit is not an ISA circuit of {self.name}: its noise is not of {gate}; transpile it, e.g. "
                "with generate_preset_pass_manager(backend=backend)"
            )

    def _require_working(self, circuit: QuantumCircuit) -> None:
        """Refuse instructions on qubits and edges that the calibration says do not work (S11)."""
        if self._faulty is None:
            told = self.properties()
            self._faulty = set()
            if told is not None:
                self._faulty.update((qubit,) for qubit in told.faulty_qubits())
                self._faulty.update(
                    tuple(gate.qubits) for gate in told.faulty_gates() if len(gate.qubits) > 1
                )
        if not self._faulty:
            return
        for instruction in circuit.data:
            if instruction.name in SIMULATED_OPERATIONS:
                continue
            qubits = tuple(circuit.find_bit(bit).index for bit in instruction.qubits)
            bad = {qubits, *((qubit,) for qubit in qubits)} & self._faulty
            if bad:
                place = min(bad, key=len)
                worn = f"faulty qubit {place[0]}" if len(place) == 1 else f"faulty edge {place}"
                raise ConfigError(
                    f"the circuit uses {instruction.name} on {qubits}, and {self.name} says that "
                    f"{place} does not work ({worn}); transpile it with an initial_layout of other qubits"
                )

    def require_angles(
        self, plan: EstimatorPlan | SamplerPlan, circuit: QuantumCircuit, values: NDArray[np.float64]
    ) -> None:
        """Refuse angles of rzz that a device's fractional gate is not calibrated for: others than 0 to π/2."""
        if self.ideal or "rzz" not in self.target.operation_names:
            return
        angles = self._angles.get(plan)
        if angles is None:
            angles = self._angles[plan] = _angles(circuit, "rzz")
        rows = values.reshape(-1, values.shape[-1]) if circuit.parameters else np.zeros((1, 0))
        for angle in angles:
            for row in rows:
                bound = dict(zip(circuit.parameters, row.tolist(), strict=True))
                own = {one: bound[one] for one in angle.parameters}
                _require_calibrated(self.name, float(angle.bind(own)), own)

    def __copy__(self) -> LocalBackend:
        """The same device of the same service; options and what was compiled are its own."""
        return self._again(copy.copy(self.wrapped))

    def __deepcopy__(self, memo: dict[int, object]) -> LocalBackend:
        """A device that can be changed by itself, of the same service: sessions, clock and bill have no copies."""
        return self._again(copy.deepcopy(self.wrapped, memo))

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickled, (self._service, self.name, None if is_named(self.name) else self.wrapped)

    def _again(self, wrapped: BackendV2) -> LocalBackend:
        again = LocalBackend(
            self._service,
            wrapped,
            noise_model=None if self._noise_model is None else noise_of(wrapped),
            engine_factory=self._engine_factory,
            ideal=self.ideal,
        )
        again.waits = self.waits
        return again

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "wrapped":
            raise AttributeError(name)
        return getattr(self.wrapped, name)

    def __repr__(self) -> str:
        return f"<LocalBackend('{self.name}')>"


def _told_by(backend: BackendV2, question: str) -> Any:
    """Return the `configuration` or `properties` that snapshots and Aer simulators have; None of others."""
    asked = getattr(backend, question, None)
    return None if asked is None else asked()


def _angles(circuit: QuantumCircuit, name: str) -> list[ParameterExpression]:
    """Return the angles with parameters of a circuit's gates of one name; those in branches have none of its own."""
    found = [one.operation.params[0] for one in circuit.data if one.operation.name == name]
    return [angle for angle in found if isinstance(angle, ParameterExpression)]


def _require_calibrated(name: str, angle: float, values: Mapping[Parameter, float] | None = None) -> None:
    """Refuse what a fractional rzz is not calibrated for, with the client's margin for rounding."""
    if not 0 <= angle <= math.pi / 2 + 1e-10:
        at = ", ".join(f"{parameter.name}={value}" for parameter, value in (values or {}).items())
        raise ConfigError(
            f"rzz of {name} takes angles of 0 to π/2, got {angle}{f' at {at}' if at else ''}; transpile for it with "
            "these angles, or use a backend without fractional gates"
        )


def _unpickled(service: LocalRuntimeService, name: str, wrapped: BackendV2 | None) -> LocalBackend:
    """The backend that was pickled: by its name, or attached to its service again."""
    return service.backend(name) if wrapped is None else service.attach(wrapped)


def is_named(name: str) -> bool:
    """Whether a service knows this backend by its name alone."""
    return name == "ideal" or name.startswith(("generic_", "fake_"))


def require_supported(circuit: QuantumCircuit, target: Target, name: str) -> None:
    """Refuse a circuit that is not made of a target's instructions.

    Raises:
        ConfigError: naming the first one, and the device.
    """
    if target.num_qubits is not None and circuit.num_qubits > target.num_qubits:
        raise ConfigError(
            f"the circuit has {circuit.num_qubits} qubits, {name} has {target.num_qubits}; "
            "transpile it for a larger backend"
        )
    problem = _not_supported(circuit, target, {bit: number for number, bit in enumerate(circuit.qubits)})
    if problem:
        raise ConfigError(
            f"the circuit is not an ISA circuit of {name}: {problem} in its target hardware definition; "
            "transpile it, e.g. with "
            "generate_preset_pass_manager(backend=backend)"
        )


def _noiseless(circuit: QuantumCircuit, known: frozenset[str]) -> str | None:
    """A standard gate of a circuit, of its branches or of what its other gates are made of, that is not among these."""
    for one in circuit.data:
        if one.name in known or one.name in SIMULATED_OPERATIONS:
            continue
        if one.name in get_standard_gate_name_mapping():
            return str(one.name)
        if one.is_control_flow():
            inside = one.operation.blocks
        else:
            inside = [one.operation.definition] if one.operation.definition is not None else []
        for block in inside:
            if (found := _noiseless(block, known)) is not None:
                return found
    return None


def _waits(circuit: QuantumCircuit) -> bool:
    """Whether a circuit has a delay that lasts, also in one of its branches."""
    for one in circuit.data:
        if one.is_control_flow():
            if any(map(_waits, one.operation.blocks)):
                return True
        elif one.name == "delay" and one.params[0] != 0:
            return True
    return False


def _not_supported(circuit: QuantumCircuit, target: Target, places: dict[Qubit, int]) -> str | None:
    for instruction in circuit.data:
        name, qubits = instruction.name, tuple(places[bit] for bit in instruction.qubits)
        if name in SIMULATED_OPERATIONS:
            continue
        if instruction.is_control_flow():
            if name not in target.operation_names:
                return f"it has no instruction {name}"
            for block in instruction.operation.blocks:
                inner = dict(zip(block.qubits, qubits, strict=True))
                if problem := _not_supported(block, target, inner):
                    return problem
        elif not target.instruction_supported(name, qubits):
            return f"it has no instruction {name} on qubits {qubits}"
        elif name == "rzz" and not isinstance(instruction.params[0], ParameterExpression):
            _require_calibrated("the device", float(instruction.params[0]))
    return None


@lru_cache(maxsize=8)
def snapshot(name: str) -> BackendV2:
    """Return the client's snapshot of a real device, e.g. `fake_torino`."""
    with installed(
        f"{name!r} is a snapshot that comes with qiskit-ibm-runtime: pip install 'qiskit-ibm-runtime<0.60'"
    ):
        from qiskit_ibm_runtime import fake_provider
        from qiskit_ibm_runtime.fake_provider import fake_backend
    base = fake_backend.FakeBackendV2
    found: list[Any] = [
        kind
        for kind in vars(fake_provider).values()
        if isinstance(kind, type) and issubclass(kind, base) and kind is not base
    ]
    kinds = {kind.backend_name: kind for kind in found}
    if name not in kinds:
        raise BackendNotFoundError(f"no snapshot is called {name!r}{nearest(name, sorted(kinds))}")
    return kinds[name]()


@lru_cache(maxsize=8)
def snapshot_noise(name: str) -> Noise:
    """Return the noise of a snapshot as calibrated, derived for the qubits that circuits use."""
    return DeviceNoise(snapshot(name))


@lru_cache(maxsize=8)
def generic(name: str) -> BackendV2:
    """Return a made-up device `generic_<qubits>[_full|_line|_ring|_grid]` with noise and durations."""
    from qiskit.providers.fake_provider import GenericBackendV2
    from qiskit.transpiler import CouplingMap

    match = GENERIC.fullmatch(name)
    if match is None:
        raise ConfigError(f"{name!r} is not a generic backend; write e.g. generic_5 or generic_16_grid")
    qubits, shape = int(match[1]), match[2] or "full"
    if qubits < 1:
        raise ConfigError(f"a backend needs at least one qubit, got {name!r}")
    side = max(1, round(qubits**0.5))
    if shape == "grid" and qubits % side:
        raise ConfigError(f"{qubits} qubits do not make a grid; use a square number or a multiple")
    coupling = {
        "full": lambda: CouplingMap.from_full(qubits),
        "line": lambda: CouplingMap.from_line(qubits),
        "ring": lambda: CouplingMap.from_ring(qubits),
        "grid": lambda: CouplingMap.from_grid(side, qubits // side),
    }[shape]()
    if qubits == 1:
        backend = GenericBackendV2(1, basis_gates=["id", "rz", "sx", "x"], seed=SEED_OF_GENERIC)
    else:
        backend = GenericBackendV2(qubits, coupling_map=coupling, seed=SEED_OF_GENERIC)
    backend.name = name
    backend._target = with_control_flow(backend.target)
    return backend


@lru_cache(maxsize=8)
def generic_noise(name: str) -> Noise:
    """Return the noise of a generic device from its error rates and durations."""
    return DeviceNoise(generic(name))


class _Ideal(BackendV2):
    """Every standard gate on any qubit, without noise or durations."""

    def __init__(self) -> None:
        super().__init__(name="ideal", description="no noise, no durations, every standard gate")
        self._target = _ideal_target()

    @property
    def target(self) -> Target:
        return self._target

    @property
    def max_circuits(self) -> int | None:
        return None

    @classmethod
    def _default_options(cls) -> Options:
        return Options()

    def run(self, run_input: QuantumCircuit | list[QuantumCircuit], **options: object) -> JobV1:
        """Run on Aer."""
        from qiskit_aer import AerSimulator

        return AerSimulator().run(run_input, **options)


def ideal() -> BackendV2:
    """Return the ideal device."""
    return _Ideal()


def _ideal_target() -> Target:
    from qiskit.circuit import Measure, Reset
    from qiskit.circuit.library import get_standard_gate_name_mapping

    target = Target(num_qubits=IDEAL_QUBITS)
    for name, gate in get_standard_gate_name_mapping().items():
        if name not in ("measure", "reset", "delay", "barrier") and gate.num_qubits:
            target.add_instruction(gate, name=name)
    target.add_instruction(Measure())
    target.add_instruction(Reset())
    return with_control_flow(target)


def with_control_flow(target: Target) -> Target:
    """The target with branches, loops, boxes and variables, which every simulation carries out on any qubits."""
    from qiskit.circuit import (
        BoxOp,
        BreakLoopOp,
        ContinueLoopOp,
        ForLoopOp,
        IfElseOp,
        Store,
        SwitchCaseOp,
        WhileLoopOp,
    )

    kinds = {
        "box": BoxOp,
        "break_loop": BreakLoopOp,
        "continue_loop": ContinueLoopOp,
        "for_loop": ForLoopOp,
        "if_else": IfElseOp,
        "store": Store,
        "switch_case": SwitchCaseOp,
        "while_loop": WhileLoopOp,
    }
    missing = kinds.keys() - set(target.operation_names)
    if missing:
        target = copy.deepcopy(target)  # of an attached simulator it may be a device's
    for name in sorted(missing):
        target.add_instruction(kinds[name], name=name)
    return target


def noise_of(backend: BackendV2) -> NoiseMaker | None:
    """Return what makes the noise model of an attached backend: its own for Aer, its error rates for a
    device.
    """
    if is_simulator(backend):
        return lambda: backend.options.noise_model

    def from_rates() -> Noise:
        return DeviceNoise(backend)

    return from_rates


def is_simulator(backend: BackendV2) -> bool:
    """Whether this is an Aer simulator rather than something with a device's instruction set."""
    return type(backend).__module__.startswith("qiskit_aer")
