"""What a session may be declared to be, and what it becomes."""

from __future__ import annotations

import pytest

from runner.declare.composer import compose
from runner.errors import ConfigError
from runner.runtime import Batch, Session, VirtualClock, WallClock


@pytest.mark.parametrize(
    ("choice", "mode", "plan"),
    [
        ("premium", "session", "premium"), ("flex", "session", "flex"), ("payg", "session", "payg"),
        ("batch", "batch", "premium"), ("job", "job", "premium"),
    ],
)  # fmt: skip
def test_one_switch_chooses_mode_and_plan(choice: str, mode: str, plan: str) -> None:
    """session=premium|flex|payg|batch|job."""
    session = compose(f"session={choice}").session

    assert (session.name, session.mode, session.plan) == (choice, mode, plan)


def test_the_open_plan_may_use_batches() -> None:
    """Only sessions are refused there; a batch lasts at most ten minutes."""
    session = compose("session=batch", "session.plan=open", "session.max_time=10m").session

    assert session.longest == session.max_time_seconds == 600


def test_the_service_gets_what_was_declared() -> None:
    """Clock, plan, price, time-outs, lanes and queue delay reach the runtime."""
    config = compose(
        "session=payg", "session.interactive_timeout=30", "session.price_per_second=2.5", "session.lanes=3",
        "session.queue_delay.seconds=40", "session.overhead=1.5",
    )  # fmt: skip
    service = config.session.build(seed=1)

    assert isinstance(service.clock, VirtualClock)
    assert service.plan.name == "payg"
    assert service.plan.interactive_timeout == 30
    assert service.price_per_second == 2.5
    assert service.queue_delay.seconds == 40
    assert service.cost.overhead == 1.5


def test_the_wall_clock_can_be_scaled() -> None:
    """A minute a second."""
    service = compose("session.clock=wall", "session.clock_scale=60").session.build(seed=1)

    assert isinstance(service.clock, WallClock)
    assert service.clock.scale == 60


@pytest.mark.parametrize(("choice", "kind"), [("premium", Session), ("batch", Batch)])
def test_opening_gives_what_jobs_are_submitted_to(choice: str, kind: type) -> None:
    """A session or a batch with the declared limit."""
    config = compose(f"session={choice}", "session.max_time=25m")
    service = config.session.build(seed=1)
    opened = config.session.open(service, config.backend.build(service))

    assert type(opened) is kind
    assert opened.details()["max_time"] == 1500


def test_job_mode_opens_nothing() -> None:
    """Jobs go to the backend itself."""
    config = compose("session=job")
    service = config.session.build(seed=1)
    backend = config.backend.build(service)

    assert config.session.open(service, backend) is backend


@pytest.mark.parametrize(
    ("key", "value"),
    [("latency", "nan"), ("latency", "-1"), ("overhead", "inf"), ("clock_scale", "0"), ("lanes", "0"),
     ("queue_delay.seconds", "-1"), ("interactive_timeout", "-5"), ("price_per_second", "-0.1")],
)  # fmt: skip
def test_numbers_out_of_range_are_refused(key: str, value: str) -> None:
    """Each by its key."""
    with pytest.raises(ConfigError, match=rf"^session\.{key}: "):
        compose(f"session.{key}={value}")
