"""What is charged, against the rules of the service: active time of sessions, QPU time of batches and jobs."""

from __future__ import annotations

import pytest

from runner.record.events import Event, RunInterrupted, RunResumed
from runner.record.usage import Usage
from tests.journals import job, session


def metered(events: list[Event]) -> Usage:
    """A meter that was fed all of these."""
    usage = Usage()
    for event in events:
        usage.feed(event)
    return usage


def test_a_session_is_charged_while_it_is_active() -> None:
    """Idling counts, waiting in the queue and being inactive do not."""
    events = [
        session(0, "open"),
        *job(0, 0, 10, 15),
        session(10, "active"),
        session(30, "inactive"),
        *job(1, 35, 40, 70),
        session(40, "active"),
    ]

    assert metered(events).charged(70) == 20 + 30
    assert metered([*events, session(75, "closed")]).charged(500) == 20 + 35
    assert metered(events).qpu == 5 + 30


@pytest.mark.parametrize("mode", ["batch", None])
def test_batches_and_jobs_are_charged_for_the_qpu(mode: str | None) -> None:
    """However long the batch is open."""
    events = [session(0, "active", mode=mode)] if mode else []
    where = "s" if mode else None
    jobs = [*job(0, 0, 10, 15, session=where), *job(1, 20, 20, 22, session=where)]

    usage = metered([*events, *jobs])

    assert usage.charged(100) == usage.qpu == 7


def test_what_is_told_twice_or_while_stopping_does_not_count() -> None:
    """A resumed run repeats its jobs; the session that its first process closed is the one it goes on with."""
    first = [session(0, "open"), session(0, "active"), *job(0, 0, 0, 5)]
    stopping = [RunInterrupted(), session(5, "closed"), RunResumed()]

    usage = metered([*first, *stopping, *job(0, 0, 0, 5), *job(1, 6, 6, 9)])

    assert usage.qpu == 8
    assert usage.charged(9) == 9


def test_what_the_service_has_not_told_is_not_made_up() -> None:
    """A real service tells when a session became active only when it is asked."""
    asked = [session(0, "open"), *job(0, 0, 10, 15)]

    assert metered(asked).charged(15) is None
    assert metered([*asked, session(10, "active"), session(20, "closed")]).charged(20) == 10
