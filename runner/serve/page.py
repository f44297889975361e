"""The page of workloads for people, at `/`, and the JSON it is made of.

The page itself holds nothing and is given to everybody. What it shows, it asks for with a bearer token, as every client
does: a page from elsewhere cannot, because a browser lets it set no such header without a permission that this server
never gives.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import cache
from importlib import resources
from typing import Any

from qiskit.exceptions import QiskitError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from runner.declare.checks import shorten
from runner.serve.errors import ApiError
from runner.serve.ledger import Entry
from runner.serve.query import MOCKS, Period, choice, number, one_of
from runner.serve.runtime import Runtime
from runner.serve.summary import answered, asked
from runner.serve.workloads import MAX_LIMIT, MODES, STATUSES, Workload, Workloads

Handler = Callable[[Request], Awaitable[Response]]

ASSETS = {"workloads.css": "text/css", "workloads.js": "text/javascript"}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


def page_routes(runtime: Runtime, authorized: Callable[..., Handler]) -> list[Route]:
    """The routes of the page.

    Args:
        runtime: What it shows.
        authorized: Makes a handler ask for a bearer token, and refuse parameters other than the named ones.
    """
    page = Page(runtime)
    told = {
        "/page/workloads": authorized(page.workloads, "mode", "status", "search", "limit", "offset"),
        "/page/sessions/{id}": authorized(page.session, "limit", "offset"),
        "/page/jobs/{id}": authorized(page.job),
        "/page/jobs/{id}/content": authorized(page.content),
    }
    return [
        Route("/", asset),
        Route("/page/assets/{name}", asset),
        *(Route(path, handler) for path, handler in told.items()),
    ]


async def asset(request: Request) -> Response:
    """The page, its style and its program; all there is to know about the runtime, the program asks for."""
    name = request.path_params.get("name", "workloads.html")
    if name not in (*ASSETS, "workloads.html"):
        raise ApiError(404, "There is no such file.")
    return Response(_content(name), headers=HEADERS, media_type=ASSETS.get(name, "text/html"))


@cache
def _content(name: str) -> bytes:
    return resources.files("runner.serve").joinpath("assets", name).read_bytes()


class Page:
    """What the page asks for."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._workloads = Workloads(runtime)

    async def workloads(self, request: Request) -> Response:
        """The instance and some of its workloads."""
        query = request.query_params
        mode, status = choice(query, "mode", MODES), choice(query, "status", STATUSES)
        limit, offset = _span(request)
        search = query.get("search", "")
        return await _told(
            lambda: self._workloads.overview(
                mode=mode, status=status, search=search, limit=limit, offset=offset
            )
        )

    async def session(self, request: Request) -> Response:
        """A session or batch."""
        limit, offset = _span(request)
        name = request.path_params["id"]
        return await _told(lambda: self._workloads.session(name, limit=limit, offset=offset))

    async def job(self, request: Request) -> Response:
        """A job."""
        entry = self._runtime.entry(request.path_params["id"])
        return await _told(lambda: self._workloads.job(entry))

    async def content(self, request: Request) -> Response:
        """A job's circuits and its result, in a few numbers."""
        entry = self._runtime.entry(request.path_params["id"])
        return await _told(lambda: self._content(entry))

    def _content(self, entry: Entry) -> dict[str, Any]:
        if entry.private:
            return {"circuits": [], "result": []}
        ledger = self._runtime.ledger
        told: dict[str, Any] = {"circuits": [], "result": []}
        try:
            told["circuits"] = asked(ledger.params(entry), self._runtime.decoder.reading())
            content = None if entry.pending else ledger.result(entry)
            if content is not None:
                told["result"] = answered(content)
        except (ApiError, QiskitError, TypeError, ValueError, LookupError, AttributeError) as error:
            told["note"] = f"{entry.program}: cannot be shown ({shorten(type(error).__name__, 60)})"
        return told


class WorkloadQuery:
    """The query of GET /workloads.

    Raises:
        ApiError: it asks for what there is not.
    """

    def __init__(self, request: Request) -> None:
        query = request.query_params
        self._mode = choice(query, "mode", MODES)
        self._statuses = query.getlist("status")
        for one in self._statuses:
            one_of(one, "status", STATUSES)
        self._ascending = choice(query, "sort", ("createdAt", "-createdAt")) != "-createdAt"
        choice(query, "user", ("me",))
        choice(query, "include_mocks", MOCKS)
        self._limit = max(1, min(number(query.get("limit"), "limit", 10), MAX_LIMIT))
        self._backend, self._search = query.get("backend"), query.get("search", "").lower()
        self._tags = query.getlist("tags")
        self._period = Period(query)
        self._next, self._previous = query.get("next"), query.get("previous")
        if self._next is not None and self._previous is not None:
            raise ApiError(400, "A page is the 'next' or the 'previous' one; say one of them.")

    def ask(self, workloads: Workloads) -> tuple[dict[str, Any], str | None, str | None]:
        """The answer, and the cursors of the pages before and behind."""
        return workloads.listed(
            self._wants,
            ascending=self._ascending,
            limit=self._limit,
            after=self._next,
            before=self._previous,
        )

    def _wants(self, one: Workload) -> bool:
        return (
            one.fits(mode=self._mode, statuses=self._statuses, search=self._search, tags=self._tags)
            and self._backend in (None, one.backend)
            and self._period.has(one.created)
        )


async def _told(answer: Callable[[], dict[str, Any]]) -> Response:
    return JSONResponse(await run_in_threadpool(answer), headers={"Cache-Control": "no-store"})


def _span(request: Request) -> tuple[int, int]:
    query = request.query_params
    return min(number(query.get("limit"), "limit", 25), 200), number(query.get("offset"), "offset", 0)
