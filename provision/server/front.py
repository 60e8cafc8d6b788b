"""The ASGI front: REST calls go straight to MLflow's Flask application, all others the long way.

MLflow serves its Flask application through an ASGI stack that costs about as much as the request
itself. For plain REST calls that stack only repeats what the Flask application checks again on its
own. Whatever is not such a call is handed to MLflow's ASGI application untouched.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})
"""Methods that may go straight; HEAD and OPTIONS get special treatment from the ASGI stack."""

# With one of these headers the ASGI stack answers or adds something of its own: CORS, workspaces.
_LONG_WAY_HEADERS = frozenset({b"origin", b"x-mlflow-workspace"})

_OWN_PATHS = frozenset({"/health", "/version", "/provision/status"})


class Direct:
    """MLflow's Flask application as an ASGI application, with nothing in between.

    `threads` bounds the requests that a worker has in it at once. The pool is made on first use,
    which is after the fork.
    """

    def __init__(self, wsgi: WsgiApp, threads: int) -> None:
        self._wsgi = wsgi
        self._threads = threads
        self._pool: ThreadPoolExecutor | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; a client that leaves before its body is complete gets nothing done."""
        body = await read_body(receive)
        if body is None:
            return
        loop = asyncio.get_running_loop()
        # MLflow keeps the request's workspace in a context variable: each call gets a context of
        # its own, or the next one on the same thread would see it.
        context = contextvars.Context()
        start, content = await loop.run_in_executor(
            self._executor(), context.run, call_wsgi, self._wsgi, scope, body
        )
        await send(start)
        await send({"type": "http.response.body", "body": content})

    def _executor(self) -> ThreadPoolExecutor:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="mlflow")
        return self._pool


class Front:
    """Routes each request: those for which `goes_direct` holds to `direct`, others to `full`."""

    def __init__(
        self,
        full: ASGIApp,
        direct: ASGIApp,
        paths: frozenset[str],
        on_started: Callable[[], None],
    ) -> None:
        self._full = full
        self._direct = direct
        self._paths = paths
        self._on_started = on_started

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, connection or lifespan."""
        if scope["type"] == "http" and goes_direct(scope, self._paths):
            await self._direct(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._full(scope, receive, self._announcing(send))
        else:
            await self._full(scope, receive, send)

    def _announcing(self, send: Send) -> Send:
        async def announcing(message: Message) -> None:
            await send(message)
            if message["type"] == "lifespan.startup.complete":
                self._on_started()

        return announcing


def with_cors(full: Any, direct: ASGIApp) -> ASGIApp:
    """Put MLflow's own CORS middleware around `direct`: it adds headers to every answer."""
    from starlette.middleware.cors import CORSMiddleware  # noqa: PLC0415

    for middleware in full.user_middleware:
        if middleware.cls is CORSMiddleware:
            return CORSMiddleware(direct, *middleware.args, **middleware.kwargs)
    return direct


def goes_direct(scope: Scope, paths: frozenset[str]) -> bool:
    """Whether a request is a plain REST call to a host that MLflow answers to."""
    if scope["path"] not in paths or scope["method"] not in METHODS or scope.get("root_path"):
        return False
    host: bytes | None = None
    for name, value in scope["headers"]:
        if name in _LONG_WAY_HEADERS or (name == b"host" and host is not None):
            return False
        if name == b"host":
            host = value
    return host is not None and host_allowed(host)


@lru_cache(maxsize=1024)
def host_allowed(host: bytes) -> bool:
    """Ask MLflow's own host check; a refused host is left to MLflow's ASGI stack to answer."""
    fastapi_security = import_module("mlflow.server.fastapi_security")
    allowed = fastapi_security.get_allowed_hosts()
    return bool(fastapi_security.is_allowed_host_header(allowed, host.decode("latin-1")))


async def read_body(receive: Receive) -> bytes | None:
    """The whole body, or None when the client has gone before sending all of it."""
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body"):
        return bytes(message.get("body", b""))
    chunks: list[bytes] = []
    while message["type"] == "http.request":
        chunks.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(chunks)
        message = await receive()
    return None


def call_wsgi(wsgi: WsgiApp, scope: Scope, body: bytes) -> tuple[Message, bytes]:
    """Call a WSGI application with the environment that MLflow's own mount gives it."""
    from starlette.middleware.wsgi import build_environ  # noqa: PLC0415

    answers: list[Message] = []

    def start_response(status: str, headers: list[tuple[str, str]], _error: Any = None) -> None:
        answers.append(
            {
                "type": "http.response.start",
                "status": int(status[:3]),
                "headers": [(n.lower().encode("latin-1"), v.encode("latin-1")) for n, v in headers],
            }
        )

    result = wsgi(build_environ(scope, body), start_response)
    try:
        content = b"".join(result)
    finally:
        close = getattr(result, "close", None)
        if close is not None:
            close()
    return answers[-1], content


def direct_paths(flask_app: Any, full: Any, *, auth: bool) -> frozenset[str]:
    """The paths that MLflow's Flask application alone answers, with small JSON bodies.

    Those are the REST endpoints without a variable part, `/health`, `/version` and our status.
    Left out: what a native ASGI route could match, and what MLflow's ASGI permission check guards.
    """
    handlers = import_module("mlflow.server.handlers")
    rest = {path for path, _handler, _methods in handlers.get_endpoints()} | _OWN_PATHS
    fixed = {rule.rule for rule in flask_app.url_map.iter_rules() if not rule.arguments}
    return frozenset(
        path
        for path in rest & fixed
        if not _is_native(full, path) and not (auth and _is_guarded(path))
    )


def _is_native(full: Any, path: str) -> bool:
    from starlette.routing import Match, Mount  # noqa: PLC0415

    routes = [route for route in full.routes if not isinstance(route, Mount)]
    scopes = [
        {"type": "http", "path": path, "method": method, "root_path": "", "headers": []}
        for method in METHODS
    ]
    return any(route.matches(scope)[0] != Match.NONE for route in routes for scope in scopes)


def _is_guarded(path: str) -> bool:
    from mlflow.server.auth import _find_fastapi_validator  # noqa: PLC0415

    return any(_find_fastapi_validator(path, method) is not None for method in METHODS)
