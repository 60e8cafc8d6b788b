"""How a lab is talked to: a socket in its folder, one JSON object there and one back."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from provision.errors import ProvisionError

_NAME = "control.sock"
Handler = Callable[..., Any]


@contextlib.contextmanager
def _address(folder: Path) -> Iterator[str]:
    """A short way to the socket: its address may have 108 bytes (unix(7)), a folder's path more."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{_NAME}"
    finally:
        os.close(descriptor)


def serve(folder: Path, handlers: Mapping[str, Handler]) -> None:
    """Answer in the background, each caller in a thread of his own."""
    (folder / _NAME).unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    with _address(folder) as address:
        listener.bind(address)
    listener.listen(32)
    threading.Thread(target=_accept, args=(listener, handlers), daemon=True).start()


def _accept(listener: socket.socket, handlers: Mapping[str, Handler]) -> None:
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=_answer, args=(connection, handlers), daemon=True).start()


def _answer(connection: socket.socket, handlers: Mapping[str, Handler]) -> None:
    with connection, connection.makefile("rwb") as stream, contextlib.suppress(OSError):
        asked = json.loads(stream.readline())
        stream.write(json.dumps(_done(asked, handlers)).encode() + b"\n")
        stream.flush()


def _done(asked: Mapping[str, Any], handlers: Mapping[str, Handler]) -> dict[str, Any]:
    try:
        return {"value": handlers[asked["what"]](**asked["with"])}
    except ProvisionError as error:
        return {"error": error.message, "next_step": error.next_step}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}", "next_step": "read lab.log"}


def ask(folder: Path, what: str, **given: Any) -> Any:
    """Ask a lab; raises `ProvisionError` with its words, or when it is not there."""
    try:
        answer = _asked(folder, {"what": what, "with": given})
    except (OSError, ValueError) as error:
        raise ProvisionError(
            f"the lab in {folder} does not answer: {error}",
            next_step="is it up? `python -m provision.emulator.lab status FOLDER` says",
        ) from error
    if "error" in answer:
        raise ProvisionError(answer["error"], next_step=answer["next_step"])
    return answer["value"]


def _asked(folder: Path, question: Mapping[str, Any]) -> dict[str, Any]:
    with socket.socket(socket.AF_UNIX) as connection:
        with _address(folder) as address:
            connection.connect(address)
        with connection.makefile("rwb") as stream:
            stream.write(json.dumps(question).encode() + b"\n")
            stream.flush()
            answer: dict[str, Any] = json.loads(stream.readline())
    return answer
