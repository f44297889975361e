"""Sessions and batches as their user holds them: `with Session(backend, max_time="25m") as session`."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Token
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

from qiskit.providers import BackendV2

from runner.display import markup
from runner.errors import ConfigError, RuntimeSessionError, SessionClosedError
from runner.runtime.current import CURRENT_SESSION
from runner.runtime.duration import parse_duration
from runner.runtime.errors import as_clients
from runner.runtime.machine import CLOSED, status_text
from runner.runtime.service import LocalRuntimeService, bind

if TYPE_CHECKING:
    from runner.runtime.backends import LocalBackend
    from runner.runtime.machine import SessionRecord

Answer = TypeVar("Answer")


class Session:
    """Exclusive access to a backend, from the first job's start until it is closed or runs out of time.

    Args:
        backend: A backend object; one that belongs to no service gets a `LocalRuntimeService` of its own.
        max_time: Seconds, or a string such as "25m" or "1h 30m"; the plan's maximum if not given.
        create_new: False makes an object without a session behind it; for `from_id`.
        strict: False reads `max_time` as carelessly as the client does.
    """

    mode: ClassVar[str] = "dedicated"

    def __init__(
        self,
        backend: BackendV2,
        max_time: int | str | None = None,
        *,
        create_new: bool | None = True,
        strict: bool = True,
    ) -> None:
        if not isinstance(backend, BackendV2):
            raise ValueError(f"Invalid backend type {type(backend)}")
        self._backend: LocalBackend = bind(backend)
        self._service: LocalRuntimeService = self._backend.service
        self._active = True
        self._record: SessionRecord | None = None
        self._tokens: list[Token[Session | None]] = []
        seconds = parse_duration(max_time, key="session.max_time", strict=strict)
        if create_new:
            self._record = self._service.open_session(self._backend, self.mode, seconds)

    @classmethod
    def from_id(
        cls,
        session_id: str,
        service: LocalRuntimeService,
        use_fractional_gates: bool | None = None,
        calibration_id: str | None = None,
    ) -> Self:
        """Return the session with this id; one that is closed takes no jobs.

        Raises:
            ConfigError: there is none, it is of the other mode, or its backend is not as asked for (`service.backend`).
        """
        record = service.find_session(session_id)
        if record.mode != cls.mode:
            raise ConfigError(
                f"Input ID {session_id} has execution mode {record.mode} instead of {cls.mode}."
            )
        backend = service.backend(
            record.device.name, use_fractional_gates=use_fractional_gates, calibration_id=calibration_id
        )
        session = cls(backend, create_new=False)
        session._record = record
        session._active = record.state != CLOSED
        return session

    # -- ending -----------------------------------------------------------------------------------------

    def close(self) -> None:
        """Take no more jobs; those submitted run to their end, then the session closes at once."""
        self._active = False
        if (record := self._record) is not None:
            self._service.close_session(record)

    def cancel(self) -> None:
        """Take no more jobs and cancel those that wait; running ones complete."""
        self._active = False
        if (record := self._record) is not None:
            self._service.cancel_session(record)

    def require_open(self) -> None:
        """Refuse what comes after `close()` or `cancel()` through this object (S17)."""
        if not self._active:
            raise as_clients(SessionClosedError("The session is closed."), "IBMRuntimeError")

    def require_of(self, backend: LocalBackend) -> None:
        """Refuse another backend than this session's, in the client's words (S10)."""
        if (self._service, self._backend.name) != (backend.service, backend.name):
            raise ValueError(
                "The backend passed in to the primitive is different from the session backend. "
                "Please check which backend you intend to use or leave the mode parameter "
                "empty to use the session backend."
            )

    def __enter__(self) -> Self:
        self._tokens.append(CURRENT_SESSION.set(self))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        CURRENT_SESSION.reset(self._tokens.pop())
        self.close()

    # -- looking ----------------------------------------------------------------------------------------

    @property
    def session_id(self) -> str | None:
        """The id, in UUID form."""
        return self._record.id if self._record is not None else None

    @property
    def service(self) -> LocalRuntimeService:
        """The service it belongs to."""
        return self._service

    @property
    def record(self) -> SessionRecord | None:
        """What the runtime remembers of it."""
        return self._record

    @property
    def accepting(self) -> bool:
        """Whether it takes jobs now."""
        return self._active and bool(self._look(lambda record: record.accepting, "accepting"))

    @property
    def closed(self) -> bool:
        """Whether it has ended."""
        return bool(self._look(lambda record: record.state == CLOSED, "closed"))

    @property
    def reason(self) -> str | None:
        """Why it is in the state it is in, in words; of a closed session: why it was closed."""
        return self._look(lambda record: record.reason, "reason")

    def backend(self) -> str:
        """Return the backend's name."""
        name: str = self._backend.name
        return name

    def status(self) -> str | None:
        """Return `Pending`, `In progress, accepting new jobs`, `In progress, not accepting new jobs` or
        `Closed`.
        """
        return self._look(lambda record: status_text(record.state, record.accepting), "status")

    def usage(self) -> float | None:
        """Return the seconds charged so far: active time of a session, QPU time of a batch; None before it
        started.
        """
        return self._look(lambda record: record.usage(self._service.machine.now), "usage")

    def time_left(self) -> float | None:
        """Return the seconds that are left of it when everything submitted so far is done."""
        if self._record is None:
            return None
        timeline = self._service.timeline
        with timeline.lock:
            timeline.catch_up()
            return timeline.machine.time_left(self._record)

    def usage_ahead(self) -> float:
        """Return the seconds that are charged for it when everything submitted so far is done."""
        if self._record is None:
            return 0.0
        timeline = self._service.timeline
        with timeline.lock:
            timeline.catch_up()
            return timeline.machine.usage_ahead(self._record)

    def cost(self) -> float:
        """Return the price of the usage so far, in USD."""
        return (self.usage() or 0.0) * self._service.price_per_second

    def details(self) -> dict[str, Any] | None:
        """Return the fifteen facts the service knows about it; dates are ISO-8601 UTC on the session's
        clock.
        """
        return self._look(self._service.details, "details")

    def _look(self, question: Callable[[SessionRecord], Answer], how: str) -> Answer | None:
        if (record := self._record) is None:
            return None
        return self._service.look(record, how, lambda: question(record))

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled it stands for the same session in this process; in another there is no such session."""
        return _unpickled, (type(self), self._backend, self.session_id, self._active)

    def _repr_html_(self) -> str:
        """What a notebook shows: what it is, how it stands and what it has cost so far."""
        left = self.time_left()
        return markup.facts(
            [
                (type(self).__name__.lower(), str(self.session_id)),
                ("backend", self._backend.name),
                ("status", str(self.status()) + (f": {self.reason}" if self.reason else "")),
                ("usage", f"{self.usage() or 0.0:.1f} s, {self.cost():.2f} USD"),
                *([("left", f"{left:.0f} s")] if left is not None and not self.closed else []),
            ]
        )

    def __repr__(self) -> str:
        state = "" if self._record is None else f", {self._record.state}"
        return f"<{type(self).__name__}('{self.session_id}', backend='{self._backend.name}'{state})>"


class Batch(Session):
    """Jobs that belong together without owning the device between them."""

    mode = "batch"


def _unpickled(kind: type[Session], backend: LocalBackend, session_id: str | None, active: bool) -> Session:
    """The session that was pickled.

    Raises:
        RuntimeSessionError: this is another process.
    """
    session = kind(backend, create_new=False)
    if session_id is not None:
        session._record = backend.service.known_session(session_id)
        if session._record is None:
            raise RuntimeSessionError(
                f"session {session_id} is in the process that opened it; open one in this process"
            )
    session._active = active
    return session
