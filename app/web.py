"""HTTP: joins the features' routes under /api/v1, knows the caller, turns refusals into problems, and serves.

`request -> id -> [token -> role -> arguments by signature] -> handler -> JSON`, every step able to end in a problem.
"""

import asyncio
import re
import time
import uuid
from collections.abc import Sequence
from importlib.metadata import version
from ipaddress import ip_address
from typing import NoReturn
from weakref import WeakKeyDictionary

import asyncpg
import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from prometheus_client import Counter, Histogram

from app.access import authenticate, require_role
from app.binding import Endpoint, Route, bind_route
from app.callers import Network, caller_address, subscriber_of
from app.http_params import HttpParams
from app.openapi import document, page
from app.probes import Probes
from app.problems import Problem, answer, problem_of
from app.public_calls import PublicCalls
from app.supervision import CannotListen
from sql.actor import Actor

PREFIX = "/api/v1"
log = structlog.get_logger()

_REQUESTS = Counter("gaswarden_http_requests_total", "Requests answered", ["method", "route", "status"])
_SECONDS = Histogram("gaswarden_http_request_seconds", "Time to answer a request", ["method", "route"])
_REQUEST_ID = re.compile(r"^[A-Za-z0-9_.:-]{1,64}$")
_REQUEST_ID_KEY = web.RequestKey("request_id", str)
_ACTOR_KEY = web.RequestKey("actor", str)
_SECRET_PATH_KEY = web.RequestKey("secret_path", bool)
_CALLER_KEY = web.RequestKey("caller", str)
_QUIET = frozenset({"/healthz", "/readyz", "/metrics"})


class Web:
    """The aiohttp application over a pool and the features' routes."""

    def __init__(self, pool: asyncpg.Pool, params: HttpParams, routes: Sequence[Route], probes: Probes | None) -> None:
        self._pool = pool
        self._streams: WeakKeyDictionary[web.StreamResponse, asyncio.Task[None]] = WeakKeyDictionary()
        self._public_calls = PublicCalls(params.public_per_minute)
        self._token_calls = PublicCalls(params.public_per_token_per_minute)
        self._knows_proxies = bool(params.trusted_proxies)
        self._endpoints = [bind_route(route) for route in routes]
        described = document(self._endpoints, title="Gaswarden", version=version("gaswarden"), prefix=PREFIX)
        self._document = described
        self.application = web.Application(
            middlewares=[_locate(params.trusted_proxies), observe, explain], client_max_size=params.body_bytes_max
        )
        self._add_routes()
        if probes is not None:
            probes.add_to(self.application)

    def _add_routes(self) -> None:
        router = self.application.router
        router.add_get(f"{PREFIX}/openapi.json", self.openapi)
        router.add_get(f"{PREFIX}/docs", self.docs)
        for endpoint in self._endpoints:
            router.add_route(endpoint.method, PREFIX + endpoint.path, self._handler(endpoint))
        self.application.on_response_prepare.append(_add_headers)
        self.application.on_shutdown.append(self._end_streams)

    def _handler(self, endpoint: Endpoint) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            actor = await self._caller(endpoint, request)
            arguments = await endpoint.bind(request, actor)
            response = endpoint.respond(await endpoint.call(**arguments))
            if not isinstance(response, web.Response):
                self._streams[response] = request.task
            return response

        return handle

    async def _caller(self, endpoint: Endpoint, request: web.Request) -> Actor | None:
        """Who calls, allowed to; nobody on a public route.

        That is called so often from one address, and with one token (its path holds it), and no more.
        """
        if endpoint.public:
            self._count_stranger(request)
            self._token_calls.count(request.path, time.monotonic())
            return None
        actor = await authenticate(self._pool, request)
        request[_ACTOR_KEY] = actor.name
        require_role(actor, endpoint.roles)
        return actor

    def limited(self, handler: Handler) -> Handler:
        """A handler of a page without an account: as often from one address as a public route, its path not logged."""

        async def handle(request: web.Request) -> web.StreamResponse:
            self._count_stranger(request)
            return await handler(request)

        return handle

    def _count_stranger(self, request: web.Request) -> None:
        request[_SECRET_PATH_KEY] = True
        self._tell_of_proxies(request)
        self._public_calls.count(subscriber_of(request[_CALLER_KEY]), time.monotonic())

    def _tell_of_proxies(self, request: web.Request) -> None:
        """Once: calls come through a proxy that nobody named, so that all residents count as one caller."""
        if not self._knows_proxies and "X-Forwarded-For" in request.headers:
            self._knows_proxies = True
            log.warning("calls come through a proxy: name it in http.trusted_proxies", proxy=request.remote)

    async def _end_streams(self, _application: web.Application) -> None:
        """At shutdown: a response that never ends by itself is not waited for."""
        for task in set(self._streams.values()):
            task.cancel()

    async def openapi(self, _request: web.Request) -> web.Response:
        """The OpenAPI document; open to everybody, it holds no data."""
        return web.json_response(self._document)

    async def docs(self, _request: web.Request) -> web.Response:
        """The OpenAPI document as a page."""
        policy = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}
        return web.Response(text=page(self._document), content_type="text/html", headers=policy)


def _locate(proxies: Sequence[Network]) -> Middleware:
    """Note the address of whoever calls, told by our own proxies where there are any."""

    @web.middleware
    async def locate(request: web.Request, handler: Handler) -> web.StreamResponse:
        told = request.headers.getall("X-Forwarded-For", ())
        request[_CALLER_KEY] = caller_address(request.remote or "", told, proxies)
        return await handler(request)

    return locate


@web.middleware
async def observe(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give the request an id, log it once when it is answered (no query, no token, no body), and count it."""
    request[_REQUEST_ID_KEY] = request_id = _request_id(request)
    structlog.contextvars.bind_contextvars(request_id=request_id)
    started = time.perf_counter()
    status = 499  # what the log shows when the caller went away
    try:
        response = await handler(request)
        status = response.status
        return response
    finally:
        _account_for(request, status, time.perf_counter() - started)
        structlog.contextvars.unbind_contextvars("request_id")


def _request_id(request: web.Request) -> str:
    given = request.headers.get("X-Request-Id", "")
    return given if _REQUEST_ID.match(given) else uuid.uuid4().hex


def _account_for(request: web.Request, status: int, duration_s: float) -> None:
    resource = request.match_info.route.resource
    route = resource.canonical if resource is not None else "none"
    _REQUESTS.labels(request.method, route, status).inc()
    _SECONDS.labels(request.method, route).observe(duration_s)
    write = log.debug if route in _QUIET else log.info
    write(
        "request",
        method=request.method,
        path=_shown_path(request),
        status=status,
        duration_ms=round(duration_s * 1000, 1),
        actor=request.get(_ACTOR_KEY),
        remote=request[_CALLER_KEY],
    )


def _shown_path(request: web.Request) -> str:
    """The path for the log; that of a public route holds a token, so only its pattern."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None and request.get(_SECRET_PATH_KEY) else request.path


@web.middleware
async def explain(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn every refusal into a problem; what nobody expected is logged with its trace and answered 500."""
    try:
        return await handler(request)
    except Exception as error:
        problem = problem_of(error)
        if problem is None:
            log.exception("request failed", method=request.method, path=_shown_path(request))
            problem = Problem(500, "Something went wrong here; the request id names it in our log.")
        elif problem.status == 503 or isinstance(error, asyncpg.DataError):
            log.warning("request refused", reason=problem.detail, error=repr(error))
        return answer(problem, request, request[_REQUEST_ID_KEY])


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    response.headers["X-Request-Id"] = request.get(_REQUEST_ID_KEY, "")
    response.headers["Server"] = "gaswarden"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers.setdefault("Cache-Control", "no-store")


async def serve(application: web.Application, host: str, port: int, drain_s: float, name: str = "http") -> NoReturn:
    """Serve until cancelled, then let running requests end for up to `drain_s`; raises CannotListen."""
    runner = web.AppRunner(application, access_log=None, handle_signals=False, shutdown_timeout=drain_s)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            raise CannotListen(f"{name} cannot listen on {host}:{port}: {error.strerror or error}") from error
        log.info("listening", name=name, address=_address(runner))
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()
    raise AssertionError  # an event nobody sets


def _address(runner: web.AppRunner) -> str:
    host, port = runner.addresses[0][:2]
    shown = f"[{host}]" if ip_address(host).version == 6 else host
    return f"http://{shown}:{port}"
