"""The routes: HTTP on one side, the served runtime on the other."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import logging
import threading
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runner.declare.checks import shorten
from runner.errors import written_out
from runner.serve.config import BASE, HOST, ServeConfig
from runner.serve.connection import MAX_HEADER
from runner.serve.devices import ServedDevice
from runner.serve.errors import ApiError
from runner.serve.ledger import Entry
from runner.serve.page import WorkloadQuery, page_routes
from runner.serve.query import FLAGS, JOBS, MOCKS, SESSIONS, WORKLOADS, Query, choice, date, require_known
from runner.serve.runtime import CRN, Runtime, require_calibration
from runner.serve.wire import field, parse, require_fields, tags
from runner.serve.workloads import Workloads

log = logging.getLogger("runner.serve")

HOLD = 1.0
"""Longest time a question about a job is held [s]."""
METRICS_CHANGED = "2026-03-15"
"""API version from which metrics have their present form."""
TOKEN_SECONDS = 3600
MAX_HEADERS = 100
PIECE = 64 * 1024
"""Bytes of a result that can be read once, between which it is seen whether somebody still reads."""
LARGE = 256 * 1024
"""Requests of more bytes than this are read one after the other."""

Answer = TypeVar("Answer")
Handler = Callable[[Request], Awaitable[Response]]


def application(runtime: Runtime, config: ServeConfig) -> Starlette:
    """The web application in front of a runtime."""
    routes = Routes(runtime, config)
    api = routes.api()
    return Starlette(
        routes=[
            *page_routes(runtime, authorized),
            Mount(BASE, routes=api),
            Mount("/api/v1", routes=api),
            Route("/identity/token", routes.token, methods=["POST"]),
            Route("/v3/resources/search", routes.search, methods=["POST"]),
            Route("/{plan}", routes.plan),
        ],
        middleware=[Middleware(Guard)],
        exception_handlers={
            ApiError: _api_error,
            HTTPException: _http_error,
            ClientDisconnect: _gone,
        },
    )


class Routes:
    """One method per route; everything that may wait for the state machine runs in a thread."""

    def __init__(self, runtime: Runtime, config: ServeConfig) -> None:
        self.runtime = runtime
        self._max_bytes = config.max_bytes
        self._max_values = config.max_values
        self._held = 0
        self._large = threading.Lock()

    def api(self) -> list[Route]:
        """The routes of the Runtime API."""
        paths: list[tuple[str, str, Handler, *tuple[str, ...]]] = [
            ("GET", "/backends", self.backends, "include_mocks"),
            ("GET", "/backends/{name}/configuration", self.configuration, "calibration_id"),
            ("GET", "/backends/{name}/properties", self.properties, "calibration_id", "updated_before"),
            ("GET", "/backends/{name}/status", self.status),
            ("GET", "/instances/usage", self.usage),
            ("POST", "/sessions", self.open_session),
            ("GET", "/sessions", self.sessions, *SESSIONS),
            ("GET", "/workloads", self.workloads, *WORKLOADS),
            ("GET", "/sessions/{id}", self.session),
            ("PATCH", "/sessions/{id}", self.close_session),
            ("DELETE", "/sessions/{id}/close", self.cancel_session),
            ("POST", "/jobs", self.submit),
            ("GET", "/jobs", self.jobs, *JOBS),
            ("GET", "/jobs/{id}", self.job, "exclude_params"),
            ("DELETE", "/jobs/{id}", self.delete),
            ("GET", "/jobs/{id}/results", self.results),
            ("GET", "/jobs/{id}/metrics", self.metrics),
            ("GET", "/jobs/{id}/logs", self.logs),
            ("PUT", "/jobs/{id}/tags", self.retag),
            ("POST", "/jobs/{id}/cancel", self.cancel),
        ]
        return [
            Route(path, authorized(handler, *names), methods=[method])
            for method, path, handler, *names in paths
        ]

    # -- account ----------------------------------------------------------------------------------------

    async def token(self, _request: Request) -> Response:
        """Give out a token; any key will do, nothing is secret here."""
        now = int(time.time())
        claims = {"iss": "runner", "iat": now, "exp": now + TOKEN_SECONDS}
        parts = [{"alg": "HS256", "typ": "JWT"}, claims]
        token = ".".join([*(_base64(json.dumps(part).encode()) for part in parts), _base64(b"local")])
        return JSONResponse(
            {
                "access_token": token,
                "refresh_token": "not_supported",
                "token_type": "Bearer",
                "expires_in": TOKEN_SECONDS,
                "expiration": now + TOKEN_SECONDS,
            }
        )

    async def search(self, _request: Request) -> Response:
        """List the one instance there is."""
        item = {
            "crn": CRN,
            "name": "runner",
            "tags": [],
            "service_plan_unique_id": self.runtime.plan.name,
            "doc": {"extensions": [{"backends": list(self.runtime.devices)}]},
        }
        return JSONResponse({"items": [item], "limit": 100})

    async def plan(self, request: Request) -> Response:
        """Describe the plan of the instance."""
        name = self.runtime.plan.name
        if request.path_params["plan"] != name:
            raise HTTPException(404)
        pricing = {"open": "free", "payg": "paygo"}.get(name, "subscription")
        return JSONResponse(
            {"overview_ui": {"en": {"display_name": name}}, "metadata": {"pricing": {"type": pricing}}}
        )

    # -- backends ---------------------------------------------------------------------------------------

    async def backends(self, request: Request) -> Response:
        """GET /backends."""
        choice(request.query_params, "include_mocks", MOCKS)
        described = [
            {
                "name": device.name,
                "status": {"name": "online", "reason": "available"},
                "queue_length": self.runtime.waiting(device),
                "qubits": device.qubits,
                "physical_qubits": device.physical_qubits,
                "processor_type": device.configuration.get("processor_type"),
                "is_simulator": False,
            }
            for device in self.runtime.devices.values()
        ]
        return JSONResponse({"devices": described})

    async def configuration(self, request: Request) -> Response:
        """GET /backends/{name}/configuration."""
        device = self._calibrated(request)
        return JSONResponse({**device.configuration, "calibration_id": device.calibration})

    async def properties(self, request: Request) -> Response:
        """GET /backends/{name}/properties: of the one calibration, none where it was not made by then."""
        properties = self._calibrated(request).properties
        by, made = date(request.query_params.get("updated_before")), date(properties.get("last_update_date"))
        known = by is None or made is None or made < by
        return JSONResponse(properties if known else {})

    def _calibrated(self, request: Request) -> ServedDevice:
        """The device that is asked for, whose calibration is the one that is asked for."""
        device = self.runtime.require_device(request.path_params["name"])
        require_calibration(device, request.query_params.get("calibration_id"))
        return device

    async def status(self, request: Request) -> Response:
        """GET /backends/{name}/status."""
        device = self.runtime.require_device(request.path_params["name"])
        return JSONResponse(
            {
                "state": True,
                "status": "active",
                "message": "available",
                "length_queue": self.runtime.waiting(device),
                "backend_version": device.configuration["backend_version"],
            }
        )

    async def usage(self, _request: Request) -> Response:
        """GET /instances/usage."""
        return JSONResponse(await run_in_threadpool(self.runtime.usage))

    # -- sessions ---------------------------------------------------------------------------------------

    async def open_session(self, request: Request) -> Response:
        """POST /sessions."""
        body = await self._read(request, lambda body: body)
        return JSONResponse(await run_in_threadpool(self.runtime.open_session, body))

    async def sessions(self, request: Request) -> Response:
        """GET /sessions: newest first. The service has no such route; the answer is made like that of GET /jobs."""
        query = Query(request)
        found = await run_in_threadpool(lambda: query.sessions(self.runtime))
        page = [self.runtime.tell(details) for details in query.page(found)]
        return JSONResponse({"sessions": page, **query.told(found)})

    async def session(self, request: Request) -> Response:
        """GET /sessions/{id}."""
        return JSONResponse(await run_in_threadpool(self.runtime.session, request.path_params["id"]))

    async def close_session(self, request: Request) -> Response:
        """PATCH /sessions/{id}: the only change there is, is to accept no more jobs."""
        accepting = field(
            await self._object(request, "accepting_jobs"), "accepting_jobs", bool, required=True
        )
        if accepting:
            raise ApiError(400, "A session that was closed cannot be opened again.")
        await run_in_threadpool(self.runtime.close_session, request.path_params["id"])
        return Response(status_code=204)

    async def cancel_session(self, request: Request) -> Response:
        """DELETE /sessions/{id}/close."""
        await self._object(request)
        await run_in_threadpool(lambda: self.runtime.close_session(request.path_params["id"], cancel=True))
        return Response(status_code=204)

    async def workloads(self, request: Request) -> Response:
        """GET /workloads: sessions, batches and jobs by themselves, a page at a time."""
        query = WorkloadQuery(request)
        answer, previous, following = await run_in_threadpool(query.ask, Workloads(self.runtime))
        for name, cursor in (("previous", previous), ("next", following)):
            if cursor is not None:
                url = request.url.remove_query_params(["previous", "next"])
                answer[name] = {"href": str(url.include_query_params(**{name: cursor}))}
        return JSONResponse(answer)

    # -- jobs -------------------------------------------------------------------------------------------

    async def submit(self, request: Request) -> Response:
        """POST /jobs."""
        entry = await self._read(request, self.runtime.submit)
        return JSONResponse({"id": entry.id, "backend": entry.backend, "session_id": entry.session})

    async def jobs(self, request: Request) -> Response:
        """GET /jobs."""
        query = Query(request)
        found = query.jobs(self.runtime)
        page = [self.runtime.describe(entry) for entry in query.page(found)]
        return JSONResponse({"jobs": page, **query.told(found)})

    async def job(self, request: Request) -> Response:
        """GET /jobs/{id}; held for a moment when the job is about to be over."""
        entry = self._entry(request)
        whole = choice(request.query_params, "exclude_params", FLAGS) != "true"
        if self.runtime.soon(entry):
            await self._until_over(entry)
        answer = self.runtime.describe(entry)
        if whole:
            answer["params"] = await run_in_threadpool(self.runtime.ledger.params, entry)
        return JSONResponse(answer)

    async def results(self, request: Request) -> Response:
        """GET /jobs/{id}/results; empty as long as there are none, and after those of a private job were read."""
        entry = self._entry(request)
        content = await run_in_threadpool(self.runtime.result, entry)
        if content is None:
            return Response(status_code=204)
        if not entry.read:  # it may be read as often as one likes
            return Response(content, media_type="application/json")
        return StreamingResponse(
            self._once(request, entry, content),
            media_type="application/json",
            headers={"content-length": str(len(content))},
        )

    async def _once(self, request: Request, entry: Entry, content: bytes) -> AsyncIterator[bytes]:
        """A result piece by piece, which is gone when all of them were taken."""
        whole = False
        try:
            for start in range(0, len(content), PIECE):
                yield content[start : start + PIECE]
                if start + PIECE < len(content) and await request.is_disconnected():
                    return
            whole = True
        finally:
            self.runtime.ledger.taken(entry, whole=whole)

    async def metrics(self, request: Request) -> Response:
        """GET /jobs/{id}/metrics, in the form of the client's API version."""
        old = request.headers.get("ibm-api-version", METRICS_CHANGED) < METRICS_CHANGED
        return JSONResponse(self.runtime.metrics(self._entry(request), old=old))

    async def logs(self, request: Request) -> Response:
        """GET /jobs/{id}/logs."""
        return Response(self.runtime.log_of(self._entry(request)), media_type="text/plain")

    async def retag(self, request: Request) -> Response:
        """PUT /jobs/{id}/tags."""
        entry = self._entry(request)
        wanted = tags(field(await self._object(request, "tags"), "tags", list, required=True))
        await run_in_threadpool(self.runtime.ledger.retag, entry, wanted)
        return Response(status_code=204)

    async def cancel(self, request: Request) -> Response:
        """POST /jobs/{id}/cancel."""
        await self._object(request)
        await run_in_threadpool(self.runtime.cancel, self._entry(request))
        return Response(status_code=204)

    async def delete(self, request: Request) -> Response:
        """DELETE /jobs/{id}."""
        await self._object(request)
        await run_in_threadpool(self.runtime.delete, self._entry(request))
        return Response(status_code=204)

    def _entry(self, request: Request) -> Entry:
        return self.runtime.entry(request.path_params["id"])

    async def _until_over(self, entry: Entry) -> None:
        loop = asyncio.get_running_loop()
        over = asyncio.Event()

        def listener() -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(over.set)

        self.runtime.when_over(entry, listener)
        try:
            await asyncio.wait_for(over.wait(), HOLD)
        except TimeoutError:
            pass  # it takes longer than expected; the client asks again
        finally:
            self.runtime.stop_listening(entry, listener)

    async def _object(self, request: Request, *names: str) -> dict[str, Any]:
        """The body of a request, which has no other fields than these."""
        body = await self._read(request, lambda body: body)
        require_fields(body, names, "this request")
        return body

    async def _read(self, request: Request, use: Callable[[dict[str, Any]], Answer]) -> Answer:
        """Give a request's body to `use`, in a thread; large ones one after the other, or they fill the memory."""
        chunks: list[bytes] = []
        size = 0
        try:
            async for chunk in request.stream():
                size += len(chunk)
                self._held += len(chunk)
                self._require_room(size)
                chunks.append(chunk)
            turn = self._large if size > LARGE else contextlib.nullcontext()

            def read() -> Answer:
                with turn:
                    return use(parse(b"".join(chunks), self._max_values))

            return await run_in_threadpool(read)
        finally:
            self._held -= size

    def _require_room(self, size: int) -> None:
        if size > self._max_bytes:
            told = f"The request is larger than {self._max_bytes} bytes; serve with max_body=… MiB."
            raise ApiError(413, told)
        if self._held > 2 * self._max_bytes:
            raise ApiError(
                503, "Other requests take all the room there is; try again.", solution="Try again."
            )


class Guard:
    """Stands before all routes: no strange host, no excess of headers, and no error that is not in the API's shape."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        started = False

        async def answer(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            _require_modest(scope)
            await self._app(scope, receive, answer)
        except Exception as error:
            request = Request(scope)
            if isinstance(error, ApiError):
                response = await _api_error(request, error)
            else:
                response = _unexpected(request, error)
            if not started:
                await response(scope, receive, send)


def _require_modest(scope: Scope) -> None:
    headers = scope["headers"]
    if len(headers) > MAX_HEADERS or sum(len(name) + len(value) for name, value in headers) > MAX_HEADER:
        told = f"The request has more than {MAX_HEADERS} headers or {MAX_HEADER} bytes of them."
        raise ApiError(431, told)
    host = dict(headers).get(b"host", b"").decode("latin-1").lower()
    port = scope["server"][1]
    if host not in {name + end for name in (HOST, "localhost") for end in ("", f":{port}")}:
        raise ApiError(400, "The request is for another host than this one.")


def authorized(handler: Handler, *names: str) -> Handler:
    """Ask for a bearer token, whatever it says: a web page cannot send one to this address unasked.

    Args:
        handler: Answers who has one.
        names: The parameters that it knows; see `query.require_known`.
    """

    async def checked(request: Request) -> Response:
        if not request.headers.get("authorization", "").lower().startswith(("bearer ", "apikey ")):
            raise ApiError(401, "The request has no bearer token.", code=1402, solution="Log in.")
        require_known(request.query_params, names)
        return await handler(request)

    return checked


async def _api_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    _tell(request, error)
    return JSONResponse(error.body, status_code=error.status)


def _tell(request: Request, error: ApiError) -> None:
    """One line in the log, whatever is in the request."""
    told = written_out(shorten(str(error), 300))
    log.warning(
        "%s %s: %d %s", request.method, written_out(shorten(request.url.path, 100)), error.status, told
    )


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return await _api_error(request, ApiError(error.status_code, str(error.detail)))


async def _gone(_request: Request, _error: Exception) -> Response:
    return Response(status_code=499)  # nobody reads this


def _unexpected(request: Request, error: Exception) -> Response:
    """Our own mistake, with the place it comes from; the whole stack is for those who ask for it."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    told = written_out(shorten(f"{type(error).__name__}: {error}", 300))
    log.error("%s failed: %s (%s:%s)", request.method, told, place.filename, place.lineno)
    log.debug("its stack", exc_info=error)
    return JSONResponse(
        ApiError(500, "The local runtime failed; see its log.", code=9707).body, status_code=500
    )


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
