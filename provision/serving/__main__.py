"""`python -m provision.serving FOLDER`: run one service until it is told to stop."""

from __future__ import annotations

import errno
import logging
import os
import signal
import socket
import sys
import threading
from dataclasses import replace
from pathlib import Path

import uvicorn

from provision.adapters import workspace
from provision.model.serving import ServiceHealth, ServiceState
from provision.serving import registry
from provision.serving.roller import Roller
from provision.serving.scorer import Scorer
from provision.serving.settings import ServiceSettings
from provision.serving.web import Web

EXIT_FINAL = 78
"""A restart changes nothing (EX_CONFIG); the supervisor leaves it at that."""


def main(folder: str) -> None:
    """Serve what `service.json` in `folder` says; the state is kept beside it."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    os.umask(0o077)
    # Socket paths have room for a hundred characters only: they are relative to this folder.
    os.chdir(folder)
    settings = ServiceSettings.load(Path("service.json"))
    if settings is None:
        sys.exit(EXIT_FINAL)
    state = _last_state(settings)
    listener = _listen(settings)
    _tell(state)
    roller = Roller(
        state,
        lambda: registry.look_up(settings),
        lambda version: registry.files_of(settings, version),
        lambda version, files: Scorer.start(version, files, settings.python),
        _tell,
    )
    _serve(settings, roller, listener)


def _tell(state: ServiceState) -> None:
    workspace.write_json(Path("state.json"), state.to_json())


def _last_state(settings: ServiceSettings) -> ServiceState:
    fresh = ServiceState(settings.model, settings.uri)
    stored = ServiceState.from_json(workspace.read_json(Path("state.json")))
    if stored is None or stored.model != settings.model:
        return fresh
    return replace(fresh, version=stored.version, files=stored.files)


def _listen(settings: ServiceSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        reason = f"port {settings.port}: {error.strerror}"
        state = ServiceState(settings.model, settings.uri, ServiceHealth.FAILED, reason=reason)
        _tell(state)
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
