"""Which session a program stands in: `with Session(...)` says so, primitives and workloads ask."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runner.runtime.session import Session

CURRENT_SESSION: ContextVar[Session | None] = ContextVar("runner_session", default=None)


def current_session() -> Session | None:
    """Return the session of the innermost `with Session(...)` block."""
    return CURRENT_SESSION.get()
