"""The devices of the local service."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from qiskit.circuit import QuantumCircuit
from qiskit.providers.fake_provider import GenericBackendV2
from qiskit.transpiler import generate_preset_pass_manager

from runner.errors import ConfigError
from runner.runtime import EstimatorV2, LocalRuntimeService, SamplerV2
from tests.runtime.fakes import FakeEngine, fake_service


def test_the_least_busy_device_is_a_real_one() -> None:
    """133 qubits with coupling map, durations and noise."""
    pytest.importorskip("qiskit_ibm_runtime")
    service = fake_service()
    backend = service.least_busy(operational=True, simulator=False)

    assert (backend.name, backend.num_qubits, backend.simulator) == ("fake_torino", 133, False)
    assert len(backend.coupling_map.get_edges()) == 300
    assert backend.target["cz"][(0, 1)].duration > 0
    assert service.least_busy() is backend
    assert service.least_busy(simulator=True).name == "ideal"
    assert service.backends()[0] is backend
    assert service.backends("ideal")[0].name == "ideal"
    with pytest.raises(ConfigError, match="133 qubits, fewer than 134"):
        service.least_busy(min_num_qubits=134)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("fake_torin", r"no snapshot is called 'fake_torin'; did you mean 'fake_torino'\? "),
        ("generic_x", "write e.g. generic_5 or generic_16_grid"),
        ("generic_0", "at least one qubit"),
        ("generic_7_grid", "do not make a grid"),
        (
            "ibm_torino",
            "no backend is called 'ibm_torino'; its snapshot would be 'fake_torino'; there are ideal, "
            "generic_<n>, fake_<name> and none attached",
        ),
    ],
)
def test_unknown_backends_are_refused(name: str, words: str) -> None:
    """In one line."""
    with pytest.raises(ConfigError, match=words):
        fake_service().backend(name)


@pytest.mark.parametrize(
    ("name", "qubits", "edges"),
    [
        ("generic_1", 1, 0),
        ("generic_3", 3, 6),
        ("generic_4_line", 4, 6),
        ("generic_4_ring", 4, 8),
        ("generic_6_grid", 6, 14),
    ],
)
def test_generic_backends(name: str, qubits: int, edges: int) -> None:
    """By number of qubits and shape of the couplings, in both directions; the same in every process."""
    backend = fake_service().backend(name)

    assert (backend.name, backend.num_qubits) == (name, qubits)
    assert len(backend.coupling_map.get_edges() if backend.coupling_map else []) == edges
    assert backend.target["sx"][(0,)].duration > 0


def test_the_engine_is_made_of_target_and_noise() -> None:
    """A device's for a device, neither for a simulator; options are passed on; once."""
    service = fake_service(engine_options={"threads": 2})
    device, ideal = service.backend("generic_2"), service.backend("ideal")
    target, noise, options = device.engine.made_with

    assert target is device.target
    assert "measure" in noise.of([0]).noise_instructions
    assert options == {"threads": 2}
    assert ideal.engine.made_with == (None, None, {"threads": 2})
    assert device.engine is device.engine


def test_attached_backends_keep_their_noise_and_their_methods() -> None:
    """Aer's own noise model; a device's from its error rates; whatever else is asked goes to the backend
    itself.
    """
    from qiskit_aer import AerSimulator
    from qiskit_aer.noise import NoiseModel

    from runner.engine import DeviceNoise

    service = fake_service()
    model = NoiseModel()
    simulator = service.attach(AerSimulator(noise_model=model))
    device = service.attach(GenericBackendV2(2, seed=1))

    assert service.backend("generic_backend_2q") is device
    assert isinstance(device.engine.made_with[1], DeviceNoise)
    assert simulator.engine.made_with[0] is None
    assert simulator.configuration().backend_name.startswith("aer_simulator")
    assert repr(device) == "<LocalBackend('generic_backend_2q')>"
    with pytest.raises(ValueError, match="Invalid backend type"):
        service.attach("aer")  # type: ignore[arg-type]
    with pytest.raises(AttributeError):
        device.nothing  # noqa: B018


def test_circuits_pass_the_transpiler_for_every_kind() -> None:
    """What `generate_preset_pass_manager(backend=…)` makes is accepted; noise shows on the device only."""
    made = QuantumCircuit(2)
    made.h(0)
    made.cx(0, 1)
    made.measure_all()
    service = LocalRuntimeService(seed=1)
    errors = {}
    for name in ("ideal", "generic_2"):
        backend = service.backend(name)
        ready = generate_preset_pass_manager(backend=backend, optimization_level=1).run(made)
        counts = SamplerV2(backend).run([ready], shots=20_000).result()[0].data.meas.get_counts()
        errors[name] = counts.get("01", 0) + counts.get("10", 0)
        evs = EstimatorV2(backend).run([(ready, "ZZ")], precision=0).result()[0].data.evs
        assert evs == pytest.approx(1.0, abs=0.2)

    assert errors["ideal"] == 0
    assert errors["generic_2"] > 100


@pytest.fixture(scope="module")
def apart() -> list[str]:
    """What a fresh interpreter prints: of what importing everything loads, and of working without the client."""
    code = """
import sys
import runner.runtime.duration, runner.runtime.plan, runner.runtime.cost
import runner.runtime.machine, runner.runtime.timeline, runner.runtime.retime
first = [name for name in ("qiskit", "qiskit_aer", "numba", "numpy") if name in sys.modules]
for name in dir(runner.runtime):
    getattr(runner.runtime, name)
print(first, [name for name in ("hydra", "omegaconf", "mlflow", "qiskit_aer", "numba", "qiskit_ibm_runtime")
              if name in sys.modules])
print("----")
sys.modules["qiskit_ibm_runtime"] = None
from qiskit.circuit import QuantumCircuit
from runner.runtime import EstimatorV2, LocalRuntimeService, SamplerV2, Session
service = LocalRuntimeService()
made = QuantumCircuit(1); made.x(0); made.measure_all()
with Session(service.backend("ideal")):
    print(SamplerV2().run([made], shots=9).result())
try:
    service.least_busy()
except Exception as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.split("----")


def test_the_client_is_needed_for_snapshots_only(apart: list[str]) -> None:
    """Without qiskit-ibm-runtime everything else works, and snapshots are refused by the extra's name."""
    assert "ExecutionSpans([DoubleSliceSpan(<start='2026-01-01 00:00:00'" in apart[1]
    assert "comes with qiskit-ibm-runtime: pip install 'qiskit-ibm-runtime<0.60'" in apart[1]


def test_the_library_imports_neither_hydra_nor_mlflow(apart: list[str]) -> None:
    """Importing everything public loads none of them; importing the package not even qiskit."""
    assert apart[0].strip() == "[] []"


def test_services_refuse_what_they_do_not_know() -> None:
    """Plans, switches and counts."""
    for arguments, words in (
        ({"plan": "gold"}, "plan must be one of open, payg, flex, premium"),
        ({"expired_jobs": "ignore"}, "expired_jobs must be failed or cancelled"),
        ({"lanes": 0}, "lanes must be at least 1"),
    ):
        with pytest.raises(ConfigError, match=words):
            fake_service(**arguments)
    assert repr(fake_service()) == "<LocalRuntimeService(plan='premium')>"
    assert fake_service(engine_factory=FakeEngine).backend("ideal").engine.runs == []


def test_a_service_without_a_seed_is_random() -> None:
    """Ids differ between services."""

    def first_id(**arguments: Any) -> str:
        service = LocalRuntimeService(engine_factory=FakeEngine, **arguments)
        return EstimatorV2(service.backend("ideal")).run([(QuantumCircuit(1), "Z")]).job_id()

    assert first_id() != first_id()
    assert first_id(seed=1) == first_id(seed=1)
    assert first_id()[14] == "4"


def _dynamic_circuits() -> dict[str, tuple[QuantumCircuit, float]]:
    """Every kind of control flow, with the probability of reading 1 at the end, by hand."""
    from qiskit.circuit.classical import expr

    made = {}
    for name in (
        "if_else",
        "switch_case",
        "while_loop",
        "for_loop",
        "break_loop",
        "continue_loop",
        "box",
        "store",
    ):
        circuit = QuantumCircuit(2, 1)
        bit = circuit.clbits[0]
        if name != "box":
            circuit.h(0)
            circuit.measure(0, bit)
        if name == "if_else":
            with circuit.if_test((bit, 1)):
                circuit.x(1)
        elif name == "switch_case":
            with circuit.switch(bit) as case, case(case.DEFAULT):
                circuit.x(1)
        elif name == "while_loop":
            with circuit.while_loop((bit, 0)):
                circuit.h(0)
                circuit.measure(0, bit)
            circuit.cx(0, 1)
        elif name == "box":
            with circuit.box():
                circuit.x(1)
        elif name == "store":
            with circuit.if_test(circuit.add_var("kept", expr.lift(bit))):
                circuit.x(1)
        else:
            with circuit.for_loop(range(3)):
                circuit.x(1)
                if name != "for_loop":
                    with circuit.if_test((bit, 1)):
                        circuit.break_loop() if name == "break_loop" else circuit.continue_loop()
                    circuit.x(1)
        circuit.measure(1, bit)
        made[name] = (
            circuit,
            {"while_loop": 1.0, "for_loop": 1.0, "box": 1.0, "switch_case": 1.0}.get(name, 0.5),
        )
    return made


@pytest.mark.filterwarnings("ignore:generic_3_line. idle qubits")
@pytest.mark.parametrize("kind", _dynamic_circuits())
@pytest.mark.parametrize("name", ["ideal", "generic_3_line", "aer", "aer_device"])
def test_a_pass_manager_takes_the_control_flow_that_is_executed(name: str, kind: str) -> None:
    """Each kind is in the target of every simulator, goes through the passes, and gives what it must by hand."""
    from qiskit_aer import AerSimulator

    service = fake_service(engine_factory=None)
    simulators = {
        "aer": AerSimulator,
        "aer_device": lambda: AerSimulator(target=GenericBackendV2(3, seed=1).target),
    }
    backend = service.attach(simulators[name]()) if name in simulators else service.backend(name)
    circuit, ones = _dynamic_circuits()[kind]

    fitted = generate_preset_pass_manager(1, backend=backend, seed_transpiler=1).run(circuit)
    counts = SamplerV2(backend).run([fitted], shots=1000).result()[0].data.c.get_int_counts()
    assert kind in backend.target.operation_names
    assert counts.get(1, 0) / 1000 == pytest.approx(ones, abs=0.08)  # five deviations of a half


def test_devices_keep_the_control_flow_they_list() -> None:
    """Those of the client's snapshot and of an attached device, and a simulator does not change the target it has."""
    from qiskit_aer import AerSimulator

    device = GenericBackendV2(3, seed=1)
    before = set(device.target.operation_names)
    service = fake_service()

    assert set(service.attach(device).target.operation_names) == before
    assert "box" in service.attach(AerSimulator(target=device.target)).target.operation_names
    assert set(device.target.operation_names) == before
