"""`python -m provision.serving FOLDER`: run one service until it is told to stop."""

from __future__ import annotations

import errno
import json
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import uvicorn

from provision.adapters import workspace
from provision.model.serving import ServiceHealth, ServiceState
from provision.serving import registry
from provision.serving.household import Household
from provision.serving.roller import Roller
from provision.serving.scorer import Scorer
from provision.serving.settings import ServiceSettings
from provision.serving.web import Web

EXIT_FINAL = 78
"""A restart changes nothing (EX_CONFIG); the supervisor leaves it at that."""


def main(folder: str) -> None:
    """Serve what `service.json` in `folder` says; the state is kept beside it."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    # Socket paths have room for a hundred characters only: they are relative to this folder.
    os.chdir(folder)
    settings = ServiceSettings.load(Path("service.json"))
    if settings is None:
        sys.exit(EXIT_FINAL)
    # A starter's versions run as another user, and read what is fetched and made here.
    os.umask(0o022 if settings.starter else 0o077)
    state = _last_state(settings)
    listener = _listen(settings)
    tell = _telling(settings)
    tell(state)
    house = Household(settings, Path.cwd())
    roller = Roller(
        state,
        lambda: registry.look_up(settings),
        lambda version: registry.files_of(settings, version),
        lambda version, files: Scorer.start(version, files, house.child),
        tell,
    )
    roller.tidy = house.tidy
    _serve(settings, roller, listener)


def _telling(settings: ServiceSettings) -> Callable[[ServiceState], None]:
    # Beside a starter, the server that shows it in its own state is another user.
    mode = 0o644 if settings.starter else 0o600

    def tell(state: ServiceState) -> None:
        text = json.dumps(state.to_json(), indent=2, ensure_ascii=False) + "\n"
        workspace.write_text(Path("state.json"), text, mode)

    return tell


def _last_state(settings: ServiceSettings) -> ServiceState:
    fresh = ServiceState(settings.model, settings.uri)
    stored = ServiceState.from_json(workspace.read_json(Path("state.json")))
    if stored is None or stored.model != settings.model:
        return fresh
    return replace(fresh, version=stored.version, files=stored.files)


def _listen(settings: ServiceSettings) -> socket.socket:
    if settings.socket:
        at = Path(settings.socket)
        at.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(str(at))
        at.chmod(0o666)  # for the proxy; whoever asks has to have an account
        return listener
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        reason = f"port {settings.port}: {error.strerror}"
        state = ServiceState(settings.model, settings.uri, ServiceHealth.FAILED, reason=reason)
        _telling(settings)(state)
        # A predecessor that was killed may hold it for a moment: the supervisor tries again.
        sys.exit(75 if error.errno == errno.EADDRINUSE else EXIT_FINAL)
    return listener


def _serve(settings: ServiceSettings, roller: Roller, listener: socket.socket) -> None:
    # uvicorn ends on SIGTERM, then raises it once more for whoever was asked before.
    signal.signal(signal.SIGTERM, lambda *_: None)
    stop = threading.Event()
    looking = threading.Thread(target=roller.run, args=(settings.look_seconds, stop), name="roller")
    looking.start()
    web = uvicorn.Config(Web(settings, roller).application, log_level="warning", access_log=False)
    try:
        uvicorn.Server(web).run(sockets=[listener])
    finally:
        stop.set()
        looking.join()


if __name__ == "__main__":
    main(sys.argv[1])
