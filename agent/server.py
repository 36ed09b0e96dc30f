"""The doors over HTTP, in one process: the page, `/api`, `/v1`, `/mcp`, health and metrics.

Who asks is told by a token: in the address once, then in a cookie that no script can read, or as a bearer. A host or an origin that is not on
the list is turned away, and so is a change of state that is not JSON (or the raw bytes of an upload). Nothing here knows a path that came from a
request but `moho.agent.uploads`, which holds it to the roots; artefacts are named by run and number.
"""

from __future__ import annotations

import contextlib
import errno
import secrets
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from sqlalchemy.exc import DBAPIError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from moho import __version__
from moho.agent import handlers, mcp_server, openai_api
from moho.agent.doors import Doors, Handler, Settings, failure, problem
from moho.agent.jobs import Jobs
from moho.agent.people import People
from moho.errors import DataError, MohoError
from moho.project import Project

COOKIE = "moho"
PAGE = Path(__file__).parent / "page"
OPEN = {"/health"}  # what needs no token
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; connect-src 'self'; font-src 'self'; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)


class Gate:
    """Before any route: host, origin, token, and headers that keep a browser from doing more than it should."""

    def __init__(self, app: ASGIApp, doors: Doors) -> None:
        self.app, self.doors = app, doors

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope)
        self.doors.requests += 1

        async def secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("Content-Security-Policy", POLICY)
                headers["X-Content-Type-Options"] = "nosniff"
                headers["Referrer-Policy"] = "no-referrer"
                headers["Cross-Origin-Resource-Policy"] = "same-origin"
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        try:
            refusal = self._refusal(request)
        except MohoError as error:
            refusal = failure(error)
        if refusal is not None:
            await refusal(scope, receive, secured)
            return
        await self.app(scope, receive, secured)

    def _refusal(self, request: Request) -> Response | None:
        hosts = self.doors.settings.hosts
        written = request.headers.get("host", "")
        host = written.rsplit(":", 1)[0] if not written.endswith("]") else written
        if host.strip("[]").lower() not in hosts:
            return problem(421, "E_PERM", "this server does not answer to that host")
        origin = request.headers.get("origin")
        if origin is not None and not self._allowed(origin, written):
            return problem(403, "E_PERM", "a page of another origin may not ask here")
        if request.url.path in OPEN:
            return None
        token, header = "", request.headers.get("authorization", "")
        if header.lower().startswith("bearer "):
            token = header[7:].strip()
        else:
            token = request.cookies.get(cookie(request), "")
        person = self.doors.people.of(token) if token else None
        given = request.query_params.get("token", "") if request.method == "GET" and request.url.path == "/" else ""
        if person is None and given and self.doors.people.of(given) is not None:
            entered = RedirectResponse("/", 303)
            entered.set_cookie(cookie(request), given, httponly=True, samesite="strict", secure=request.url.scheme == "https", max_age=30 * 86400)
            return entered
        if person is None:
            if request.method == "GET" and request.url.path == "/":
                return HTMLResponse(
                    "<!doctype html><title>Moho</title><p>Open the address that <code>moho chat</code> printed: it holds the token.", 401
                )
            return problem(401, "E_PERM", "a token is needed", {"WWW-Authenticate": "Bearer"})
        if request.method not in ("GET", "HEAD", "OPTIONS"):
            if not header and origin is None and request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
                return problem(403, "E_PERM", "a page of another origin may not ask here")
            kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
            raw = request.method == "PATCH" and request.url.path.startswith("/api/uploads/")
            if kind != ("application/offset+octet-stream" if raw else "application/json") and request.method != "DELETE":
                return problem(415, "E_ARGUMENT", "a change is asked for in JSON")
        request.scope.setdefault("state", {})["person"] = person
        return None

    def _allowed(self, origin: str, host: str) -> bool:
        return origin in (f"http://{host}", f"https://{host}", *self.doors.settings.origins)


def cookie(request: Request) -> str:
    """The cookie of this server: a browser gives those of one host to all of its ports."""
    return f"{COOKIE}-{request.url.port or 0}"


def create(jobs: Jobs, people: Callable[[], People], settings: Settings) -> Starlette:
    """The application."""
    doors = Doors(jobs, people, settings)

    def route(path: str, handler: Handler, *methods: str) -> Route:
        async def answer(request: Request) -> Response:
            try:
                return await handler(doors, request)
            except MohoError as error:
                return failure(error)
            except ClientDisconnect:
                return Response(status_code=499)
            except (ValueError, TypeError, KeyError, OverflowError) as error:
                return problem(400, "E_ARGUMENT", str(error)[:500])
            except OSError as error:
                return problem(
                    507 if error.errno == errno.ENOSPC else 404, "E_DISK" if error.errno == errno.ENOSPC else "E_NOT_FOUND", "it cannot be read"
                )
            except DBAPIError:
                return problem(503, "E_BUSY", "the event log does not answer")

        return Route(path, answer, methods=list(methods) or ["GET"])

    routes = [route(path, handler, *methods) for path, handler, *methods in (*handlers.ROUTES, *openai_api.ROUTES)]
    routes += [
        route("/", _page),
        route("/static/{name}", _static),
        route("/health", _health),
        route("/metrics", _metrics),
    ]

    manager = StreamableHTTPSessionManager(mcp_server.create(jobs, _whose, mcp_server.EVERYTHING, doors.roots))
    routes.append(Route("/mcp", _Protocol(manager), methods=["GET", "POST", "DELETE"]))

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        for person in doors.people:
            for folder in person.projects.values():
                try:
                    await run_in_threadpool(jobs.recover, folder, person.name)
                except Exception as error:  # one project that is damaged does not keep the others from being served
                    print(f"{folder}: {error}", file=sys.stderr)
        async with manager.run():
            yield
        await run_in_threadpool(jobs.close)

    app = Starlette(routes=routes, lifespan=lifespan)
    app.state.doors = doors
    app.add_middleware(Gate, doors=doors)
    return app


class _Protocol:
    """`/mcp`, as an application of its own: the protocol answers on its own terms."""

    def __init__(self, manager: StreamableHTTPSessionManager) -> None:
        self.manager = manager

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.manager.handle_request(scope, receive, send)


def _whose(context: Any) -> tuple[str, Project]:
    """Who asks over `/mcp`, and their first project."""
    person = context.request.scope["state"]["person"]
    return person.name, Project.open(next(iter(person.projects.values())), create=False)


async def _page(doors: Doors, request: Request) -> Response:
    return FileResponse(PAGE / "index.html", media_type="text/html; charset=utf-8")


STATIC = {
    "page.js": "text/javascript; charset=utf-8", "page.css": "text/css; charset=utf-8", "icon.svg": "image/svg+xml",
    "plotly.min.js": "text/javascript; charset=utf-8",
}  # fmt: skip


async def _static(doors: Doors, request: Request) -> Response:
    name = request.path_params["name"]
    if name not in STATIC:
        raise DataError("E_NOT_FOUND", "there is no such file")
    path = _plotly() if name == "plotly.min.js" else PAGE / name
    return FileResponse(path, media_type=STATIC[name], headers={"Cache-Control": f"private, max-age={86400 if name == 'plotly.min.js' else 0}"})


def _plotly() -> Path:
    from importlib.util import find_spec

    found = find_spec("plotly")
    if found is None or not found.submodule_search_locations:
        raise DataError("E_NOT_FOUND", "plotly is not installed", "pip install plotly")
    return Path(found.submodule_search_locations[0]) / "package_data" / "plotly.min.js"


async def _health(doors: Doors, request: Request) -> Response:
    return JSONResponse({"status": "ok", "version": __version__, "seconds": round(time.time() - doors.began, 1)})


async def _metrics(doors: Doors, request: Request) -> Response:
    jobs = doors.jobs
    lines = [
        "# HELP moho_requests_total Requests that ended, by how.", "# TYPE moho_requests_total counter",
        *(f'moho_requests_total{{status="{status}"}} {count}' for status, count in sorted(jobs.counts.items())),
        "# HELP moho_request_seconds_total Seconds that they took.", "# TYPE moho_request_seconds_total counter",
        f"moho_request_seconds_total {jobs.seconds:.3f}",
        "# HELP moho_running Requests under way.", "# TYPE moho_running gauge", f"moho_running {len(jobs.running()) - jobs.waiting}",
        "# HELP moho_waiting Requests that wait.", "# TYPE moho_waiting gauge", f"moho_waiting {jobs.waiting}",
        "# HELP moho_http_requests_total HTTP requests.", "# TYPE moho_http_requests_total counter", f"moho_http_requests_total {doors.requests}",
    ]  # fmt: skip
    return PlainTextResponse("\n".join(lines) + "\n", media_type="text/plain; version=0.0.4")


def serve(app: Starlette, host: str, port: int, *, ready: Callable[[int], None] = lambda port: None) -> None:
    """Serve until a signal comes; `ready` is told the port when it listens. A stop lets what runs end for half a minute."""
    import uvicorn

    config = uvicorn.Config(app, host=host, port=port, log_level="warning", access_log=False, timeout_graceful_shutdown=3, server_header=False,
                            h11_max_incomplete_event_size=2**16, timeout_keep_alive=30, limit_concurrency=512)  # fmt: skip

    class Server(uvicorn.Server):
        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets)
            if self.started:
                ready(self.servers[0].sockets[0].getsockname()[1])

        def handle_exit(self, sig: int, frame: Any) -> None:
            app.state.doors.closing = True
            super().handle_exit(sig, frame)

    Server(config).run()


def token() -> str:
    """A new token, for an address."""
    return secrets.token_urlsafe(24)
