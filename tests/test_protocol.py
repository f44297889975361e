"""What a run asks of services, backends and plans, and who has it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from runner.declare.composer import compose
from runner.run.preflight import Preparation
from runner.runtime import WallClock
from runner.runtime.backends import LocalBackend
from runner.runtime.machine import Machine
from runner.runtime.options import EstimatorOptions
from runner.runtime.plan import PLANS
from runner.services.ibm import IbmMachine, IbmService, IbmSession
from runner.services.local import LocalService
from runner.services.protocol import Backend, CompiledPlan, OpenSession, Planner, Service
from runner.whatif.rehearsal import RehearsalEngine, TrialStage, UsualStage
from tests.runtime.fakes import PUB, fake_service


def ibm() -> IbmService:
    """The real machine's front, with a client that is never asked."""
    return IbmService(SimpleNamespace(), on_event=lambda *_: None, plan=PLANS["flex"])


def offline() -> IbmMachine:
    """A machine as the client would give it, without one."""
    return IbmMachine(SimpleNamespace(name="ibm_somewhere", target=None, num_qubits=7, version=2))


def members(protocol: Any) -> set[str]:
    """Names of everything that a protocol asks for."""
    return {name for name in dir(protocol) if not name.startswith("_")} | set(protocol.__annotations__)


@pytest.mark.parametrize(
    "service", [LocalService(seed=1), fake_service(), ibm()], ids=lambda one: type(one).__name__
)
def test_every_service_has_what_a_run_asks_for(service: Any) -> None:
    """The local runtime and the real machine's front, by the protocol's own list."""
    assert isinstance(service, Service)


@pytest.mark.parametrize("engine", [None, RehearsalEngine, UsualStage, TrialStage], ids=str)
def test_every_simulated_backend_plans(engine: Any) -> None:
    """Runs, and the three ways of rehearsing one: backend, planner and plan have what is asked of them."""
    more = {} if engine is None else {"engine_factory": engine}
    preparation = Preparation(compose("hamiltonian=h2", "tracking=off"), **more)
    backend, problem = preparation.backend, preparation.problem
    assert problem is not None
    assert isinstance(backend, Backend)
    assert isinstance(backend.planner, Planner)

    plan = backend.planner.estimator_plan(problem.circuit, problem.observable)

    assert isinstance(plan, CompiledPlan)
    assert backend.planner.planned(problem.circuit, problem.observable).plan is plan


def test_a_real_machine_states_that_it_does_not_plan() -> None:
    """Nothing is compiled, timed or repeated here; whatever else is asked of it is the client's to answer."""
    machine, service = offline(), ibm()

    assert isinstance(machine, Backend)
    assert machine.planner is None
    assert machine.num_qubits == 7  # the client's
    assert (service.capabilities.repeats_its_past, service.capabilities.knows_its_queue) == (False, False)
    assert service.cost is None
    assert members(OpenSession) <= set(dir(IbmSession))


def test_an_attached_backend_states_what_it_is() -> None:
    """What is wrapped answers for itself, the capabilities are the local runtime's."""
    backend = LocalService(seed=1).backend("generic_3")

    assert isinstance(backend, LocalBackend)
    assert isinstance(backend, Backend)
    assert (backend.ideal, backend.planner) == (False, backend)


def test_the_local_runtime_mitigates_what_it_says() -> None:
    """Resilience levels 0 to 2: its options take the levels that it states, and refuse the next."""
    levels = LocalService(seed=1).capabilities.mitigation

    assert [EstimatorOptions(values={"resilience_level": level}).resilience_level for level in levels] == [
        0,
        1,
        2,
    ]
    with pytest.raises(ValueError, match="resilience_level"):
        EstimatorOptions(values={"resilience_level": levels[-1] + 1})


def test_clock_limits_and_machine_are_handed_in() -> None:
    """A service works on what it was given, from its first fact on."""

    class Counting(Machine):
        submissions = 0

        def submit(self, job: Any) -> None:
            self.submissions += 1
            super().submit(job)

    clock, limits = WallClock(scale=1e6), PLANS["flex"].unlimited()
    service = fake_service(clock=clock, plan=limits, machine=Counting)
    primitive = service.primitive("estimator", service.backend("ideal"), {}, "stream")
    job = primitive.run([PUB])

    assert isinstance(service.machine, Counting)
    assert service.machine.submissions == 1
    assert service.machine.plan is limits
    assert service.clock is service.timeline.clock is clock
    assert job.times.submitted >= 0
    # 2 + 0.00035 · 8192 s: see `fakes`; three years do not end a session of an unlimited plan
    assert primitive.seconds([PUB]) == pytest.approx(4.8672)
    assert service.open_session(service.backend("ideal"), "dedicated", 10**8).max_time == 10**8


@pytest.mark.parametrize(("clock", "ends"), [("virtual", True), ("wall", False)])
def test_abandoned_jobs_come_to_their_end_where_time_would_stand_still(clock: str, ends: bool) -> None:
    """On a virtual clock time is moved on; on a wall clock, where it passes by itself, nobody waits."""
    more = {"clock": WallClock()} if clock == "wall" else {}
    service = fake_service(**more)
    service.primitive("estimator", service.backend("ideal"), {}, "stream").run([PUB])
    service.abandon()

    assert [job.record.final for job in service.jobs()] == [ends]
