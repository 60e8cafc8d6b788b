"""MLflow's scoring server for one version, in a process of its own behind a private socket."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from provision.errors import ProvisionError
from provision.serving.children import Child, Launch

EXAMPLE: Final = "serving_input_example.json"
"""MLflow writes a model's input example here, as a request to the scoring server."""

_PATIENCE_SECONDS: Final = 300.0
_ANSWER_SECONDS: Final = 120.0


class ScoringError(ProvisionError):
    """A version that cannot be served."""

    def __init__(self, message: str) -> None:
        super().__init__(
            message, next_step="provision logs model-NAME@ALIAS shows what the model said"
        )


@dataclass(frozen=True)
class Scored:
    """The scoring server's answer."""

    status: int
    kind: str
    body: bytes


class _Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_ANSWER_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Scorer:
    """One version that answers. Made by `start`, gone after `stop`."""

    def __init__(self, version: str, files: Path, child: Child) -> None:
        self.version = version
        self.files = files
        self._child = child

    @classmethod
    def start(cls, version: str, files: Path, launch: Launch) -> Scorer:
        """Start it, wait until it answers, and let it score the model's own input example.

        Raises ScoringError when it ends, does not answer in five minutes, or fails the example.
        """
        scorer = cls(version, files, launch(files, f"version-{version}-{time.monotonic_ns()}.sock"))
        try:
            scorer._prove()
        except BaseException:
            scorer.stop()
            raise
        return scorer

    def _prove(self) -> None:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not self.answers():
            if not self.alive():
                raise ScoringError(f"version {self.version} cannot be loaded: {self._child.why()}")
            if time.monotonic() > deadline:
                raise ScoringError(f"version {self.version} did not answer in five minutes")
            time.sleep(0.1)
        example = self.example()
        if example is not None:
            self._try(example)

    def _try(self, example: bytes) -> None:
        answer = self.ask("POST", "/invocations", example, {"Content-Type": "application/json"})
        if answer.status != 200:
            raise ScoringError(
                f"version {self.version} fails on its own input example: {_reason(answer)}"
            )

    def example(self) -> bytes | None:
        """The model's input example as a request; `None` where it has none."""
        try:
            return (self.files / EXAMPLE).read_bytes()
        except OSError:
            return None

    def alive(self) -> bool:
        """Whether its process runs."""
        return self._child.ended() is None

    def answers(self) -> bool:
        """Whether it says that it is well."""
        try:
            return self.ask("GET", "/ping").status == 200
        except (OSError, http.client.HTTPException):
            return False

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] = {}
    ) -> Scored:
        """Hand a request on; raises OSError where nobody answers."""
        with contextlib.closing(_Connection(self._child.socket)) as connection:
            connection.request(method, path, body, dict(headers))
            answer = connection.getresponse()
            kind = answer.getheader("Content-Type") or "application/json"
            return Scored(answer.status, kind, answer.read())

    def stop(self) -> None:
        """Let it finish what it has begun, then end it."""
        self._child.end()


def _reason(answer: Scored) -> str:
    """MLflow's message in one line."""
    text = answer.body.decode("utf-8", "replace")
    with contextlib.suppress(ValueError):
        found: Any = json.loads(text)
        text = str(found.get("message", text)) if isinstance(found, dict) else text
    return " ".join(text.split())[:300]
