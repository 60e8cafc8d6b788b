"""The service's port: MLflow's scoring API, handed on, and a page that sends the model data."""

from __future__ import annotations

import http.client
import json
import re
from fnmatch import fnmatch
from pathlib import Path

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from provision.serving.access import Access
from provision.serving.roller import Roller
from provision.serving.scorer import Scored
from provision.serving.settings import ServiceSettings

_PAGE = Path(__file__).with_name("page.html")
# The page holds its own style and script, and talks to nobody else.
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; connect-src 'self'; "
    "style-src 'unsafe-inline'; script-src 'unsafe-inline'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


class Web:
    """The routes of one service."""

    def __init__(self, settings: ServiceSettings, roller: Roller) -> None:
        self._access = Access(settings)
        self._roller = roller
        routes = [
            Route("/", self.page),
            Route("/ping", self.ping),
            Route("/health", self.ping),
            Route("/status", self.status),
            Route("/example", self.example),
            Route("/invocations", self.invocations, methods=["POST"]),
        ]
        self._hosts = settings.allowed_hosts
        self.application = Starlette(routes=routes)

    async def page(self, request: Request) -> Response:
        """The page; it asks the other routes for all that it shows."""
        refusal = await self._refusal(request)
        return refusal or HTMLResponse(_PAGE.read_text(encoding="utf-8"), headers=_HEADERS)

    async def ping(self, _: Request) -> Response:
        """200 while a version answers; open to everybody, as MLflow's is."""
        scorer = self._roller.current
        well = scorer is not None and await run_in_threadpool(scorer.answers)
        return Response("\n", 200 if well else 503, media_type="application/json")

    async def status(self, request: Request) -> Response:
        """Which version answers, since when, and what was rejected."""
        refusal = await self._refusal(request)
        state = self._roller.state
        shown = {k: v for k, v in state.to_json().items() if k != "files"}
        return refusal or JSONResponse(shown, headers=_HEADERS)

    async def example(self, request: Request) -> Response:
        """The model's input example, as a body for `/invocations`."""
        refusal = await self._refusal(request)
        if refusal:
            return refusal
        scorer = self._roller.current
        example = scorer.example() if scorer else None
        if example is None:
            return _problem(404, "this version was logged without an input example")
        return Response(example, media_type="application/json", headers=_HEADERS)

    async def invocations(self, request: Request) -> Response:
        """Score: the request goes to MLflow's scoring server, its answer comes back as it is."""
        refusal = await self._refusal(request)
        if refusal:
            return refusal
        body = await request.body()
        kind = request.headers.get("content-type", "")
        answer = await run_in_threadpool(self._score, body, kind)
        if answer is None:
            return _problem(503, f"no version answers: {self._roller.state.reason or 'starting'}")
        return Response(answer.body, answer.status, media_type=answer.kind, headers=_HEADERS)

    def _score(self, body: bytes, kind: str) -> Scored | None:
        # A version that is being replaced may close its socket just now; its successor answers.
        for _ in range(2):
            scorer = self._roller.current
            if scorer is None:
                return None
            try:
                return scorer.ask("POST", "/invocations", body, {"Content-Type": kind})
            except (OSError, http.client.HTTPException):
                continue
        return None

    async def _refusal(self, request: Request) -> Response | None:
        # Without it, another site's page could reach the model by a name that it points here.
        host = re.sub(r":\d+$", "", request.headers.get("host", ""))
        if not any(fnmatch(host, pattern) for pattern in self._hosts):
            return _problem(403, f"the service does not answer to the name {host!r}")
        given = request.headers.get("authorization", "")
        status = await run_in_threadpool(self._access.status, given)
        if status == 200:
            return None
        words = {
            401: "log in with an account of the tracking server",
            403: "this account may not read the model",
        }
        answer = _problem(status, words.get(status, "the tracking server does not answer"))
        if status == 401:
            answer.headers["WWW-Authenticate"] = 'Basic realm="mlflow"'
        return answer


def _problem(status: int, message: str) -> Response:
    # In the form of MLflow's own errors.
    code = {401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "RESOURCE_DOES_NOT_EXIST"}
    body = {"error_code": code.get(status, "TEMPORARILY_UNAVAILABLE"), "message": message}
    return Response(json.dumps(body), status, media_type="application/json", headers=_HEADERS)
