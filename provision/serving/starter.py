"""`python -m provision.serving.starter FOLDER USER`: start versions of a model for its service.

Models are programs of whoever logged them. This one runs them where they can reach nothing: its
unit has no network, no secret, no other model's files. It listens in FOLDER at `control.sock`, to
USER alone: one connection, one version, which ends with the connection. What is asked for comes
as one line of JSON, and how the version ended goes back as another one.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import select
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path

from provision.serving.children import PROGRAM, take_words

CONTROL = "control.sock"
_LOOK_SECONDS = 0.2
_STOP_SECONDS = 10.0


def main(folder: str, user: str) -> None:
    """Listen until told to stop."""
    os.chdir(folder)
    listener = listen(Path(CONTROL))
    uid = pwd.getpwnam(user).pw_uid
    while True:
        line, _ = listener.accept()
        if peer(line) == uid:
            threading.Thread(target=serve, args=(line,), daemon=True).start()
        else:
            line.close()


def listen(at: Path) -> socket.socket:
    """A socket to which everybody may connect; who is answered is another question."""
    at.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(at))
    at.chmod(0o666)
    listener.listen()
    return listener


def peer(line: socket.socket) -> int:
    """Whose process is at the other end (unix(7), SO_PEERCRED: pid, uid, gid)."""
    told = line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", told)[1])


def serve(line: socket.socket) -> None:
    """Run one version for as long as it runs and whoever asked is there."""
    with line, contextlib.suppress(OSError, ValueError, KeyError):
        wish = json.loads(line.makefile("rb").readline())
        at = Path(Path(str(wish["socket"])).name)
        child = subprocess.Popen(
            [str(wish["python"]), *PROGRAM, str(wish["files"]), str(at)], stdin=subprocess.PIPE
        )
        _watch(child, line)
        answer = {"code": child.returncode, "why": take_words(at)}
        at.unlink(missing_ok=True)
        line.sendall(json.dumps(answer).encode() + b"\n")


def _watch(child: subprocess.Popen[bytes], line: socket.socket) -> None:
    while child.poll() is None:
        heard, _, _ = select.select([line], [], [], _LOOK_SECONDS)
        if heard and not line.recv(1):
            child.terminate()
            break
    try:
        child.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    if child.stdin:
        child.stdin.close()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
