"""What the lists of the API are asked for: which jobs and sessions, in which order, and which page of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

from starlette.datastructures import QueryParams
from starlette.requests import Request

from runner.declare.checks import shorten
from runner.runtime.machine import ACTIVE, BATCH, CLOSED, DEDICATED, INACTIVE, OPEN
from runner.serve.errors import ApiError
from runner.serve.ledger import Entry
from runner.serve.runtime import Runtime

MAX_PAGE = 200
"""Jobs or sessions in one answer."""

FLAGS = ("true", "false")
MOCKS = ("true", "True", "false", "False")
"""Words of `include_mocks`; no backend here is one, so both give the same."""
PERIOD = ("created_after", "created_before")
JOBS = (
    "exclude_params", "limit", "offset", "sort", "backend", "pending", "program", "tags*", "session_id",
    "include_mocks", *PERIOD,
)  # fmt: skip
SESSIONS = ("limit", "offset", "sort", "backend", "state", "mode", *PERIOD)
WORKLOADS = (
    "user", "sort", "limit", "previous", "next", "backend", "search", "status*", "mode", "tags*",
    "include_mocks", *PERIOD,
)  # fmt: skip
"""The parameters of the lists; those with a star may be said several times."""
MODES = (DEDICATED, BATCH)
STATES = (OPEN, ACTIVE, INACTIVE, CLOSED)

Row = TypeVar("Row")


class Period:
    """`created_after` and `created_before` of a query.

    Raises:
        ApiError: one of them is no date.
    """

    def __init__(self, query: QueryParams) -> None:
        self._after, self._before = date(query.get("created_after")), date(query.get("created_before"))

    def has(self, created: str) -> bool:
        """Whether something was made then; a list without a period reads no dates."""
        if self._after is None and self._before is None:
            return True
        when = datetime.fromisoformat(created)
        return (self._after is None or when >= self._after) and (self._before is None or when <= self._before)


class Query:
    """The query of a list: filters, `limit`, `offset` and `sort`.

    Raises:
        ApiError: a number or date in it is none, or it asks for what there is not.
    """

    def __init__(self, request: Request) -> None:
        self._query = query = request.query_params
        self._pending = choice(query, "pending", FLAGS)
        self._state, self._mode = choice(query, "state", STATES), choice(query, "mode", MODES)
        self._ascending = choice(query, "sort", ("ASC", "DESC")) == "ASC"
        choice(query, "include_mocks", MOCKS)
        choice(query, "exclude_params", ("true",))
        self.limit = min(number(query.get("limit"), "limit", 10), MAX_PAGE)
        self.offset = number(query.get("offset"), "offset", 0)
        self._period = Period(query)

    def jobs(self, runtime: Runtime) -> list[Entry]:
        """The jobs that fit, newest first unless asked otherwise."""
        query = self._query
        wanted = set(query.getlist("tags"))
        pending = None if self._pending is None else self._pending == "true"
        return self._ordered(
            [
                entry
                for entry in runtime.ledger.newest()
                if query.get("session_id", entry.session) == entry.session
                and query.get("backend", entry.backend) == entry.backend
                and query.get("program", entry.program) == entry.program
                and wanted <= set(entry.tags)
                and (pending is None or entry.pending == pending)
                and self._period.has(entry.created)
            ]
        )

    def sessions(self, runtime: Runtime) -> list[dict[str, Any]]:
        """The details of the sessions that fit, newest first unless asked otherwise."""
        query = self._query
        return self._ordered(
            [
                details
                for details in reversed(runtime.sessions())
                if self._state in (None, details["state"])
                and self._mode in (None, details["mode"])
                and query.get("backend", runtime.called(details)) == runtime.called(details)
                and self._period.has(opened(details))
            ]
        )

    def page(self, found: Sequence[Row]) -> Sequence[Row]:
        """Those of all that fit which are asked for."""
        return found[self.offset : self.offset + self.limit]

    def told(self, found: Sequence[Row]) -> dict[str, int]:
        """How many there are, and which of them are in the answer."""
        return {"count": len(found), "limit": self.limit, "offset": self.offset}

    def _ordered(self, found: list[Row]) -> list[Row]:
        if self._ascending:
            found.reverse()
        return found


def opened(details: Mapping[str, Any]) -> str:
    """When a session was opened."""
    return str(details["timestamps"][0]["timestamp"])


def require_known(query: QueryParams, names: Sequence[str]) -> None:
    """Refuse parameters that a route does not have, which it would not honour.

    Args:
        query: What the request asks.
        names: The parameters there are; one with a star at its end may be said several times.

    Raises:
        ApiError: there is another one, or two values where one counts.
    """
    for name in query:
        if name + "*" in names:
            continue
        if name not in names:
            known = ", ".join(one.rstrip("*") for one in names) or "none"
            raise ApiError(
                400, f"{shorten(ascii(name), 60)} is no parameter of this request; it has {known}."
            )
        if len(query.getlist(name)) > 1:
            raise ApiError(400, f"'{name}' is said twice; say it once.")


def choice(query: QueryParams, name: str, choices: Sequence[str]) -> str | None:
    """A word of a query; None where there is none.

    Raises:
        ApiError: it is none of the choices.
    """
    return one_of(query.get(name), name, choices)


def one_of(text: str | None, name: str, choices: Sequence[str]) -> str | None:
    """One value of a parameter; None where it is empty or there is none.

    Raises:
        ApiError: it is none of the choices.
    """
    if text and text not in choices:
        raise ApiError(400, f"'{name}' must be one of {', '.join(choices)}, not {shorten(ascii(text), 40)}.")
    return text or None


LONGEST = 9
"""Digits of a number."""


def number(text: str | None, name: str, default: int) -> int:
    """A whole number of a query.

    Raises:
        ApiError: it is none.
    """
    if text is None:
        return default
    if not (text.isascii() and text.isdigit()):
        raise ApiError(400, f"'{name}' must be a whole number, not {text!r}.")
    if len(text) > LONGEST:
        raise ApiError(400, f"'{name}' must have at most {LONGEST} digits, not {len(text)}.")
    return int(text)


def date(text: str | None) -> datetime | None:
    """A date of a query, in UTC.

    Raises:
        ApiError: it is none.
    """
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo else found.astimezone()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ApiError(400, f"{text!r} is not an ISO-8601 date.") from None
