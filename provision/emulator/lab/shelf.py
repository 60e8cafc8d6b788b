"""Packages on a shelf: Debian's archive and an index of wheels, as far as they were fetched before.

Answers for every name that is not AWS' own. What is asked for and not there is a 404, and a line
in `packages.log`.
"""

from __future__ import annotations

import html
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from werkzeug.utils import send_file
from werkzeug.wrappers import Request, Response

from provision.emulator.lab.wheels import Wheelhouse


class Shelf:
    """A WSGI application over the folder of fetched packages."""

    def __init__(self, folder: Path, roots: Mapping[str, bytes], log: Path) -> None:
        self._folder = folder
        self._wheels = Wheelhouse(folder / "wheels")
        self._roots = roots  # host name -> the bundle of certificates that it hands out
        self._log = log.open("a", buffering=1, encoding="utf-8")

    def __call__(self, environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        """Answer one request (PEP 3333)."""
        request = Request(environ)
        response = self._answer(request)
        what = f"{response.status_code} {request.method} {request.host}{request.path}"
        self._log.write(f"{time.time():.3f} {what}\n")
        return response(environ, start)

    def _answer(self, request: Request) -> Response:
        host = request.host.partition(":")[0]
        if host in self._roots:
            return Response(self._roots[host], mimetype="binary/octet-stream")
        parts = [unquote(part) for part in request.path.split("/") if part]
        if parts[:1] == ["simple"] and len(parts) == 2:
            return self._index(parts[1])
        path = self._folder.joinpath(*parts)
        if ".." in parts or not path.is_file():
            return Response("not on this lab's shelf\n", 404)
        return send_file(path, request.environ, conditional=True, etag=False)

    def _index(self, project: str) -> Response:
        """Python packaging's "Simple repository API"."""
        found = self._wheels.of(project)
        links = (
            f'<a href="/wheels/{html.escape(w.name)}#sha256={w.sha256}">{html.escape(w.name)}</a>'
            for w in found
        )
        text = f"<!DOCTYPE html><html><body>{'<br>'.join(links)}</body></html>"
        return Response(text, 200 if found else 404, mimetype="text/html")
