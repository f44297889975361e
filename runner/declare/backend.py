"""What executes the circuits: ideal and noisy simulators, snapshots of real devices, generic devices."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from runner import engine, services
from runner.declare.alternatives import stands_for
from runner.declare.checks import require_choice, require_range
from runner.declare.plain import Values
from runner.errors import ConfigError

if TYPE_CHECKING:
    from qiskit.providers import BackendV2
    from qiskit.transpiler import CouplingMap
    from qiskit_aer.noise import NoiseModel

    from runner.declare.config import RunConfig
    from runner.runtime import LocalRuntimeService
    from runner.services.ibm import IbmMachine, IbmService
    from runner.services.local import LocalService
    from runner.services.protocol import Backend, Service

Scheduled = TypeVar("Scheduled", bound="BackendV2")

METHODS = ("automatic", "statevector", "density_matrix", "matrix_product_state", "stabilizer")
ENGINES = ("auto", "aer", "kernel", "mps", "pauli", "ffsim")
PRODUCTS = ("max_bond_dimension", "truncation_threshold", "max_discarded_weight")
"""Settings of matrix product states."""
STRINGS = ("pauli_threshold", "max_pauli_terms", "max_pauli_error")
"""Settings of sums of Pauli strings."""
TOPOLOGIES = ("full", "line", "ring", "grid", "heavy_hex")


@dataclass(kw_only=True)
class BackendConfig:
    """What every backend has: how it is simulated and how circuits are fitted to it."""

    name: str
    """Name of the choice."""
    method: str = "automatic"
    """Aer simulation method: automatic | statevector | density_matrix | matrix_product_state | stabilizer."""
    engine: str = "auto"
    """auto | aer | kernel | mps | pauli | ffsim: auto and kernel take the compiled kernels where they can, else Aer;
    mps takes matrix product states, as auto does of circuits too wide for a state vector if nothing is lost, and for
    shots of them; pauli takes Pauli strings backwards through circuits of any width, noise being twirled, as auto does
    for other values of them without noise; ffsim samples electrons in gates that keep their number (ideal, electrons),
    as they are and not transpiled."""
    pauli_threshold: float = 1e-6
    """Coefficients, of an observable's largest one, that sums of Pauli strings (engine=pauli) leave out."""
    max_pauli_terms: int = 1_000_000
    """Strings that they keep."""
    max_pauli_error: float = 0.1
    """By how much what they leave out may change an observable, of Σ|c|; what may be further off is refused."""
    layer_noise_model: str | None = None
    """run:ID | file:PATH (engine=pauli): what a run on this device has learned of the noise of layers of two-qubit
    gates; strings are damped by it after every layer, in the place of what gates and waits do wrong; readout stays."""
    max_bond_dimension: int = 256
    """Singular values that a matrix product state (engine=mps) keeps at a cut."""
    truncation_threshold: float | None = None
    """Squares of singular values that it leaves out at a cut, in all, at every gate; at most 0.01. null: none but
    rounding where all have room, else 1e-12."""
    max_discarded_weight: float = 1e-6
    """What it may leave out altogether, of 1; a result that has lost more is refused."""
    trajectories: int | None = None
    """Where bitstrings are sampled: noise is twirled and drawn so many times for each circuit, in the compiled kernel,
    and the shots are shared out to the draws, for wide circuits have no time for more. null: anew in every shot."""
    threads: int = 1
    """Threads one simulation may use; they share one state from 20 qubits on, and a batch below. Same numbers."""
    optimization_level: int = 1
    """Transpiler optimization level, 0 to 3."""
    transpile: bool = True
    """Fit circuits to the backend's instruction set and layout; false expects ISA circuits."""
    schedule: bool | None = None
    """Let qubits that wait decay by their T1 and T2, circuits being scheduled as late as possible; null: where the
    backend has noise and knows durations and T1 or T2; false: gate and readout errors only."""

    def __post_init__(self) -> None:
        if self.schedule and self.never_scheduled:
            raise ConfigError(f"is true, but {self.never_scheduled}; remove it", key="backend.schedule")
        require_choice("backend.method", self.method, METHODS)
        require_choice("backend.engine", self.engine, ENGINES)
        require_range("backend.threads", self.threads, 1, 1024)
        require_range("backend.pauli_threshold", self.pauli_threshold, 0, 1)
        require_range("backend.max_pauli_terms", self.max_pauli_terms, 1, 10**9)
        require_range("backend.max_pauli_error", self.max_pauli_error, 0)
        require_range("backend.max_bond_dimension", self.max_bond_dimension, 1, 1 << 16)
        if self.truncation_threshold is not None:
            require_range("backend.truncation_threshold", self.truncation_threshold, 0, 0.01)
        require_range("backend.max_discarded_weight", self.max_discarded_weight, 0, 1)
        self._check_engine()
        self._check_layer_noise()
        self._check_trajectories()
        require_range("backend.optimization_level", self.optimization_level, 0, 3)

    names_a_machine: ClassVar[bool] = False
    """Its name is a setting: which machine of an account it is."""
    takes_electrons: ClassVar[bool] = False
    """Its circuits may be sampled by ffsim, whose gates no device has."""

    def _check_engine(self) -> None:
        """Refuse engines that cannot do what else is declared, and settings that nothing looks at."""
        if self.engine == "ffsim" and not self.takes_electrons:
            raise ConfigError("ffsim knows no device; use auto, or backend=electrons", key="backend.engine")
        if self.engine in ("mps", "pauli") and self.method != "automatic":
            raise ConfigError(
                f"{self.engine} is a method of its own, got backend.method={self.method}; remove that",
                key="backend.engine",
            )
        if self.engine == "mps" and self.noisy:
            raise ConfigError(
                "mps follows no noise, and this backend has some; take backend=ideal, backend.noise=false or "
                "backend.engine=auto",
                key="backend.engine",
            )
        for names, what, engines in (
            (PRODUCTS, "matrix product states", ("mps", "auto")),
            (STRINGS, "sums of Pauli strings", ("pauli",) if self.noisy else ("pauli", "auto")),
        ):
            for name in names:
                default = BackendConfig.__dataclass_fields__[name].default
                if getattr(self, name) != default and self.engine not in engines:
                    raise ConfigError(
                        f"is about {what}, and engine={self.engine} makes none; take backend.engine={engines[0]}",
                        key=f"backend.{name}",
                    )

    def _check_layer_noise(self) -> None:
        """Refuse noise of layers where nothing takes it, or where there is none."""
        if self.layer_noise_model is None:
            return
        kind, _, rest = self.layer_noise_model.partition(":")
        obstacle = (
            f"{self.layer_noise_model!r} is no noise model; write run:ID or file:PATH"
            if kind not in ("run", "file") or not rest
            else "stands in the place of noise, and the backend has none; take a noisy one, e.g. backend=device"
            if not self.noisy
            else f"acts on Pauli strings, and backend.engine={self.engine} takes none; add backend.engine=pauli"
            if self.engine != "pauli"
            else "has waits in its layers, and backend.schedule=true lets them decay besides; leave schedule out"
            if self.schedule
            else None
        )
        if obstacle is not None:
            raise ConfigError(obstacle, key="backend.layer_noise_model")

    def _check_trajectories(self) -> None:
        """Refuse draws of noise where there is none, or where something else simulates it."""
        if self.trajectories is None:
            return
        require_range("backend.trajectories", self.trajectories, 1, 10**6)
        obstacle = (
            "the backend has no noise"
            if not self.noisy
            else f"backend.engine={self.engine} does not draw it"
            if self.engine not in ("auto", "kernel")
            else f"backend.method={self.method} does not draw it"
            if self.method not in ("automatic", "statevector")
            else "frequencies that drift (quasi_static) are drawn for every batch of shots"
            if self.remembers
            else None
        )
        if obstacle is not None:
            raise ConfigError(
                f"says how often noise is drawn, and {obstacle}; leave it out", key="backend.trajectories"
            )

    @property
    def noisy(self) -> bool:
        """Whether errors are simulated."""
        return False

    @property
    def engine_options(self) -> Values:
        """Keyword arguments for the engine."""
        return {
            "engine": self.engine,
            "method": self.method,
            "threads": self.threads,
            "schedule": self.schedule,
            **({} if self.trajectories is None else {"trajectories": self.trajectories}),
            **({} if self.layer_noise_model is None else {"layer_noise_model": self.layer_noise_model}),
            **{name: getattr(self, name) for name in (*PRODUCTS, *STRINGS)},
        }

    @property
    def never_scheduled(self) -> str | None:
        """Why no circuit of such a backend is scheduled, whatever its target; None where that is for it to say."""
        return None

    @property
    def remembers(self) -> bool:
        """Whether its noise has a memory, so that an echo can undo some of it."""
        return False

    @property
    def measures_as_declared(self) -> bool:
        """Whether terms are grouped and shots shared out as the estimator says, and not as a service decides."""
        return True

    def _require_schedule(self, backend: Scheduled) -> Scheduled:
        """The backend, unless idle qubits are to decay on it and cannot.

        Raises:
            ConfigError: it does not know durations, or T1 and T2.
        """
        if self.schedule and (reason := engine.why_not(backend.target)):
            raise ConfigError(
                f"is true, but nothing can be scheduled on {backend.name}: {reason}; remove it",
                key="backend.schedule",
            )
        return backend

    def service(
        self,
        config: RunConfig,
        *,
        singly: bool = False,
        fused: bool = True,
        calibration: Values | None = None,
        **live: Any,
    ) -> Service:
        """The service that runs the jobs: the local runtime, on the declared session's clock.

        Args:
            config: the whole declaration.
            singly: shots are drawn one by one, as in runs that were begun before there was another way.
            fused: gates may take one pass together; False for runs that were begun before they could.
            calibration: of the real machine, as an earlier process of the run found it.
            live: what the service is given besides.
        """
        del calibration
        grouping = config.estimator.grouping if self.measures_as_declared else "qubit_wise"
        options = self.engine_options | {"singly": singly, "fused": fused, "grouping": grouping}
        service: LocalService = config.session.build(engine_options=options, **live)
        return service

    def build(self, service: Any) -> Backend:
        """The backend, bound to `service`."""
        raise NotImplementedError

    @property
    def snapshot(self) -> str | None:
        """The real device's snapshot that it is made of; None where there is none."""
        return None

    simulated: ClassVar[bool] = True
    """Its jobs are carried out here."""

    def stand_in(self, built: str) -> str | None:
        """What a forecast has in place of the machine, in words; None where it has the thing itself.

        Args:
            built: name of the backend that was built.
        """
        del built
        return None


@dataclass(kw_only=True)
class IdealBackend(BackendConfig):
    """A simulator without noise, topology or durations."""

    takes_electrons: ClassVar[bool] = True

    @property
    def never_scheduled(self) -> str:
        """It has nothing that decays."""
        return "an ideal simulator has no noise, so no qubit decays"

    def build(self, service: LocalRuntimeService) -> Backend:
        """An Aer simulator bound to `service`."""
        from qiskit_aer import AerSimulator

        return service.attach(AerSimulator(method=self.method))


@dataclass(kw_only=True)
class NoisyBackend(BackendConfig):
    """A simulator with depolarizing gate errors, thermal relaxation and readout errors."""

    depolarizing_1q: float = 0.0002
    """Depolarizing probability of a one-qubit gate."""
    depolarizing_2q: float = 0.005
    """Depolarizing probability of a two-qubit gate."""
    readout_error: float = 0.01
    """Probability that a measured bit is flipped."""
    t1: float | None = None
    """Relaxation time in microseconds; null: no relaxation."""
    t2: float | None = None
    """Dephasing time in microseconds, at most 2·t1; null: 2·t1 when t1 is given."""
    gate_time_1q: float = 0.05
    """Duration of a one-qubit gate in microseconds."""
    gate_time_2q: float = 0.3
    """Duration of a two-qubit gate in microseconds."""
    depolarized: float = 0.0
    """Probability that all bits of a shot are random: with engine=ffsim, in place of what gates do wrong."""

    takes_electrons: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("depolarizing_1q", "depolarizing_2q"):
            require_range(f"backend.{name}", getattr(self, name), 0, 1)
        require_range("backend.readout_error", self.readout_error, 0, 0.5)
        require_range("backend.depolarized", self.depolarized, 0, 1)
        if self.depolarized and self.engine != "ffsim":
            raise ConfigError(
                "stands for errors of gates with engine=ffsim only; use depolarizing_2q",
                key="backend.depolarized",
            )
        for name in ("t1", "t2", "gate_time_1q", "gate_time_2q"):
            value = getattr(self, name)
            if value is not None and not (value > 0 and math.isfinite(value)):
                raise ConfigError(
                    f"must be a positive time in microseconds, got {value}", key=f"backend.{name}"
                )
        if self.t2 is not None and self.t2 > 2 * (self.t1 or math.inf):
            raise ConfigError(
                f"must be at most 2·t1 = {2 * (self.t1 or 0):g}, got {self.t2}; lower it", key="backend.t2"
            )

    @property
    def noisy(self) -> bool:
        """It is made of them."""
        return True

    @property
    def engine_options(self) -> Values:
        """With the shots that are lost."""
        return super().engine_options | ({"depolarized": self.depolarized} if self.depolarized else {})

    @property
    def never_scheduled(self) -> str:
        """Its errors belong to gates."""
        return "declared noise acts with the gates only and schedules no circuit"

    def build(self, service: LocalRuntimeService) -> Backend:
        """An Aer simulator with this noise model, bound to `service`."""
        from qiskit_aer import AerSimulator

        backend = service.attach(AerSimulator(method=self.method, noise_model=self.noise_model()))
        if self.t1 is not None or self.t2 is not None:
            backend.waits = (
                "and backend.t1 and backend.t2 act during gates only; take backend=generic, or leave them out"
            )
        return backend

    def noise_model(self) -> NoiseModel:
        """Errors on every qubit alike; thermal relaxation acts after the depolarizing channel."""
        from qiskit_aer.noise import NoiseModel, ReadoutError, depolarizing_error, thermal_relaxation_error

        one = depolarizing_error(self.depolarizing_1q, 1)
        two = depolarizing_error(self.depolarizing_2q, 2)
        if self.t1 is not None or self.t2 is not None:
            t1 = math.inf if self.t1 is None else self.t1
            t2 = 2 * t1 if self.t2 is None else self.t2
            one = one.compose(thermal_relaxation_error(t1, t2, self.gate_time_1q))
            relaxed = thermal_relaxation_error(t1, t2, self.gate_time_2q)
            two = two.compose(relaxed.expand(relaxed))
        model = NoiseModel(basis_gates=["cx", "id", "rz", "sx", "x"])
        model.add_all_qubit_quantum_error(one, ["id", "sx", "x"])
        model.add_all_qubit_quantum_error(two, ["cx"])
        flip = self.readout_error
        model.add_all_qubit_readout_error(ReadoutError([[1 - flip, flip], [flip, 1 - flip]]))
        return model


@dataclass(kw_only=True)
class QuasiStaticConfig:
    """Frequencies that are off by what is drawn for every batch of shots, from the run's seed; 0 and 0: none are.

    Phases add up during gates and while qubits wait, in addition to the device's noise; an echo undoes them.
    """

    detuning: float = 0.0
    """Standard deviation of every qubit's frequency in Hz; a coherence falls to exp(-(2π·detuning·t)²/2) in time t."""
    zz: float = 0.0
    """Standard deviation, in Hz, of what a qubit's frequency shifts by while one that it is coupled with is 1."""
    shots_per_batch: int = 64
    """Shots between two draws, at most; every circuit has draws of its own."""

    def __post_init__(self) -> None:
        for name in ("detuning", "zz"):
            require_range(f"backend.quasi_static.{name}", getattr(self, name), 0, 1e9)
        require_range("backend.quasi_static.shots_per_batch", self.shots_per_batch, 1, 10_000_000)

    @property
    def active(self) -> bool:
        """Is anything drawn?"""
        return bool(self.detuning or self.zz)


@dataclass(kw_only=True)
class ScheduledBackend(BackendConfig):
    """A device that says how long its instructions take."""

    quasi_static: QuasiStaticConfig = field(default_factory=QuasiStaticConfig)
    """Noise with a memory."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.quasi_static.active:
            if self.quasi_static.shots_per_batch != QuasiStaticConfig().shots_per_batch:
                raise ConfigError(
                    "acts with detuning or zz, and both are 0; leave it out",
                    key="backend.quasi_static.shots_per_batch",
                )
            return
        if self.schedule is False:
            raise ConfigError(
                "is false, and quasi_static acts in the time that scheduled circuits take; leave one of them out",
                key="backend.schedule",
            )

    @property
    def remembers(self) -> bool:
        """Where frequencies drift."""
        return self.quasi_static.active

    @property
    def engine_options(self) -> Values:
        """Keyword arguments for the engine."""
        drawn = self.quasi_static
        if not drawn.active:
            return super().engine_options
        noise = engine.QuasiStatic(drawn.detuning, drawn.zz, drawn.shots_per_batch)
        return super().engine_options | {"quasi_static": noise}


@stands_for("device")
@dataclass(kw_only=True)
class DeviceBackend(ScheduledBackend):
    """A snapshot of a real device: its coupling map, durations and noise."""

    device: str
    """Snapshot name, e.g. fake_torino."""
    noise: bool = True
    """Simulate the snapshot's noise; false keeps topology and durations only."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if known := snapshots():
            require_choice("backend.device", self.device, known)
        else:
            raise ConfigError(
                "device snapshots come with qiskit-ibm-runtime; pip install 'qiskit-ibm-runtime<0.60'",
                key="backend.device",
            )
        if self.quasi_static.active and not self.noise:
            raise ConfigError(
                "comes in addition to the snapshot's noise, and backend.noise=false has none; leave one of them out",
                key="backend.quasi_static",
            )

    @property
    def noisy(self) -> bool:
        """As declared."""
        return self.noise

    @property
    def never_scheduled(self) -> str | None:
        """Without noise nothing decays."""
        return None if self.noise else "with backend.noise=false no qubit decays"

    @property
    def snapshot(self) -> str:
        """As declared."""
        return self.device

    def build(self, service: LocalRuntimeService) -> Backend:
        """The snapshot, bound to `service`."""
        if self.noise:
            return self._require_schedule(service.backend(self.device))
        from qiskit_aer import AerSimulator

        return service.attach(AerSimulator(target=service.backend(self.device).target, method=self.method))


@dataclass(kw_only=True)
class GenericBackend(ScheduledBackend):
    """A made-up device of any size, with realistic durations and errors drawn from a seed."""

    num_qubits: int = 20
    """Number of qubits."""
    topology: str = "line"
    """full | line | ring | grid | heavy_hex; grid and heavy_hex take the smallest lattice that fits."""
    basis_gates: list[str] = field(default_factory=lambda: ["cz", "id", "rz", "sx", "x"])
    """Native gates."""
    device_seed: int = 42
    """Seed of the drawn durations and error rates."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_range("backend.num_qubits", self.num_qubits, 1, 1000)
        require_range("backend.device_seed", self.device_seed, 0, 2**32 - 1)
        require_choice("backend.topology", self.topology, TOPOLOGIES)

    @property
    def noisy(self) -> bool:
        """It always is."""
        return True

    def build(self, service: LocalRuntimeService) -> Backend:
        """The device, bound to `service`."""
        from qiskit.providers.fake_provider import GenericBackendV2

        coupling = self.coupling_map()
        device = GenericBackendV2(
            num_qubits=coupling.size() if coupling else self.num_qubits,
            basis_gates=list(self.basis_gates),
            coupling_map=coupling,
            seed=self.device_seed,
        )
        return service.attach(self._require_schedule(device))

    def coupling_map(self) -> CouplingMap | None:
        """Qiskit's coupling map of the topology; None where every pair is connected."""
        from qiskit.transpiler import CouplingMap

        if self.topology == "full" or self.num_qubits == 1:
            return None
        if self.topology == "line":
            return CouplingMap.from_line(self.num_qubits)
        if self.topology == "ring":
            return CouplingMap.from_ring(self.num_qubits)
        if self.topology == "grid":
            rows = math.isqrt(self.num_qubits - 1) + 1
            return CouplingMap.from_grid(rows, -(-self.num_qubits // rows))
        distance = next(d for d in range(3, 101, 2) if (5 * d * d - 2 * d - 1) // 2 >= self.num_qubits)
        return CouplingMap.from_heavy_hex(distance)


def snapshots() -> list[str]:
    """Names of the device snapshots that are installed, found without importing anything."""
    from importlib.util import find_spec
    from pathlib import Path

    spec = find_spec("qiskit_ibm_runtime")
    if spec is None or not spec.submodule_search_locations:
        return []
    folder = Path(spec.submodule_search_locations[0]) / "fake_provider" / "backends"
    names = [item.name for item in folder.iterdir() if (item / f"conf_{item.name}.json").is_file()]
    return sorted(f"fake_{name}" for name in names)


@dataclass(kw_only=True)
class IbmBackend(BackendConfig):
    """A real machine, through qiskit-ibm-runtime and the account that it finds by itself."""

    simulated: ClassVar[bool] = False
    names_a_machine: ClassVar[bool] = True

    resilience_level: int | None = None
    """Always null: what is done against errors is declared as on simulators, by `estimator.resilience_level`."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.resilience_level is not None:
            raise ConfigError(
                f"the estimator says it, as on simulators; use estimator.resilience_level={self.resilience_level}",
                key="backend.resilience_level",
            )
        for item in fields(BackendConfig):
            simulated = ("method", "engine", "threads", "schedule", "layer_noise_model", *PRODUCTS, *STRINGS)
            if item.name in simulated and getattr(self, item.name) != item.default:
                raise ConfigError("a real machine simulates nothing; remove it", key=f"backend.{item.name}")

    @property
    def remembers(self) -> bool:
        """As every real one's."""
        return True

    @property
    def measures_as_declared(self) -> bool:
        """The real service decides."""
        return False

    def service(
        self,
        config: RunConfig,
        *,
        singly: bool = False,
        fused: bool = True,
        calibration: Values | None = None,
        **live: Any,
    ) -> Service:
        """The real service; for a forecast, which must not cost anything, the local runtime."""
        if "engine_factory" in live:
            return super().service(config, singly=singly, fused=fused, **live)
        self._check(config)
        return services.IbmService(
            services.connect(), on_event=live["on_event"], plan=config.session.limits, calibration=calibration
        )

    def build(self, service: IbmService | LocalRuntimeService) -> Backend:
        """The machine; for a forecast, its likeness in the local runtime."""
        if isinstance(service, services.IbmService):
            return service.backend(self.name)
        try:
            client = services.connect()
        except ConfigError as error:
            return self._from_snapshot(service, error)
        return service.attach(client.backend(self.name))

    def _from_snapshot(self, service: LocalRuntimeService, error: ConfigError) -> Backend:
        """The machine as it was when its snapshot was taken.

        Raises:
            ConfigError: no snapshot of it is installed.
        """
        device = f"fake_{self.name.removeprefix('ibm_')}"
        if device not in (known := snapshots()):
            if not known:
                raise error
            machines = ", ".join(name.replace("fake_", "ibm_", 1) for name in known)
            raise ConfigError(
                f"{self.name!r} cannot be forecast without an account, for it has no snapshot; these have: {machines}",
                key="backend.name",
            ) from error
        return service.backend(device)

    def stand_in(self, built: str) -> str | None:
        """The snapshot, where no account was found."""
        if built == self.name:
            return None
        return (
            f"no account was found: durations and couplings of {self.name} are those of the snapshot "
            f"fake_{self.name.removeprefix('ibm_')}; how long jobs queue is not known"
        )

    def _check(self, config: RunConfig) -> None:
        """Refuse what only a simulation can do, and what the real service decides by itself.

        Raises:
            ConfigError: such a setting was declared.
        """
        if config.estimator.precision == 0:
            raise ConfigError(
                "a real machine has no exact expectation values; use estimator=shots", key="estimator"
            )
        self._check_budgets(config)
        resilience = {**config.estimator.mitigation.get("resilience", {})}
        if resilience.get("pec_mitigation") or (resilience.get("zne") or {}).get("amplifier") == "pea":
            raise ConfigError(
                "pec and pea take a noise model of the layers, which is not learned on a real machine; "
                "use estimator=level2",
                key="estimator",
            )
        usual = type(config.session)(name=config.session.name)
        for name in DECIDED_BY_THE_SERVICE:
            if getattr(config.session, name) != getattr(usual, name):
                raise ConfigError("the real service decides this; remove it", key=f"session.{name}")

    def _check_budgets(self, config: RunConfig) -> None:
        session, why = config.session, "a real machine says only afterwards what a job took"
        if session.max_cost is not None:
            seconds = int(session.max_cost / session.limits.price_per_second)
            instead = f"session.max_time={seconds} ends the session before more is charged"
            raise ConfigError(f"{why}; {instead}", key="session.max_cost")
        if session.max_usage is not None:
            raise ConfigError(f"{why}; use session.max_time", key="session.max_usage")
        if config.optimizer.max_shots is not None:
            raise ConfigError(f"{why}; use optimizer.max_evaluations", key="optimizer.max_shots")


@dataclass(kw_only=True)
class BestBackend(IbmBackend):
    """The real machine, or the snapshot of one, on which the circuit's gates and readout promise to err least."""

    names_a_machine: ClassVar[bool] = False

    among: str = "account"
    """account: its machines, which take the jobs | snapshots: of real devices, simulated with their noise."""
    candidates: list[str] | None = None
    """Names to choose from, e.g. ibm_torino or fake_torino; null: every device that works and has enough qubits."""

    def __post_init__(self) -> None:
        require_choice("backend.among", self.among, ("account", "snapshots"))
        if self.among == "account":
            super().__post_init__()
        else:
            BackendConfig.__post_init__(self)
        if self.candidates is not None and not self.candidates:
            raise ConfigError("needs a name, or null for all", key="backend.candidates")

    def settled(self, name: str) -> BackendConfig:
        """The backend once a device was chosen."""
        common = {item.name: getattr(self, item.name) for item in fields(BackendConfig)}
        if self.among == "snapshots":
            return DeviceBackend(**{**common, "name": name}, device=name)
        return IbmBackend(**{**common, "name": name})

    def devices(self, num_qubits: int, *, offline: bool) -> Iterator[tuple[str, IbmMachine]]:
        """The devices to choose from, each with its name.

        Args:
            num_qubits: that the circuit needs.
            offline: without an account, snapshots stand for their machines.

        Raises:
            ConfigError: there is no account, or a candidate is none of its machines.
        """
        if self.among == "snapshots":
            yield from self._snapshots(num_qubits, "fake_")
            return
        try:
            client = services.connect()
        except ConfigError as error:
            if offline:
                yield from self._snapshots(num_qubits, "ibm_")
                return
            raise ConfigError(
                f"{str(error).removeprefix('backend: ')}; backend.among=snapshots simulates the best of the snapshots",
                key="backend",
            ) from error
        found = client.backends(operational=True, simulator=False, min_num_qubits=num_qubits)
        machines = {machine.name: machine for machine in found}
        for name in self._wanted(machines, "ibm_"):
            yield name, services.IbmMachine(machines[name])

    def _snapshots(self, num_qubits: int, prefix: str) -> Iterator[tuple[str, IbmMachine]]:
        known = [name.replace("fake_", prefix, 1) for name in snapshots() if name not in MADE_UP]
        if not known:
            raise ConfigError(
                "device snapshots come with qiskit-ibm-runtime; pip install 'qiskit-ibm-runtime<0.60'",
                key="backend",
            )
        for name in self._wanted(known, prefix):
            machine = services.snapshot_machine(name.replace(prefix, "fake_", 1))
            if machine.num_qubits >= num_qubits:
                yield name, machine

    def _wanted(self, known: Collection[str], prefix: str) -> list[str]:
        """The names that are to be looked at, however they are prefixed.

        Raises:
            ConfigError: one is not known.
        """
        if self.candidates is None:
            return sorted(known)
        wanted = []
        for given in self.candidates:
            name = next((one for one in (given, prefix + given.partition("_")[2]) if one in known), None)
            if name is None:
                raise ConfigError(
                    f"there is no {given!r} among {', '.join(sorted(known)) or 'no devices'}",
                    key="backend.candidates",
                )
            wanted.append(name)
        return wanted

    def build(self, service: IbmService | LocalRuntimeService) -> Backend:
        """Nothing is built before a device was chosen.

        Raises:
            ConfigError: always.
        """
        del service
        raise ConfigError("is chosen for the circuit of a run; name a device here", key="backend")


MADE_UP = ("fake_fractional", "fake_nighthawk")
"""Snapshots whose errors are no device's."""
DECIDED_BY_THE_SERVICE = (
    "interactive_timeout", "expired_jobs", "clock", "clock_scale", "latency", "lanes", "queue_delay",
    "overhead", "rep_delay",
)  # fmt: skip


SCHEMAS = {
    "ideal": IdealBackend,
    "noisy": NoisyBackend,
    "device": DeviceBackend,
    "generic": GenericBackend,
    "ibm": IbmBackend,
    "best": BestBackend,
}
