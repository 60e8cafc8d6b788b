"""Network namespaces of a lab. Their names exist in the lab's own mount namespace alone."""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path

from provision.emulator.lab.system import run

_FOLDER = Path("/run/netns")
_CLONE_NEWNET = 0x40000000  # setns(2)
_libc = ctypes.CDLL(None, use_errno=True)


def make(name: str) -> None:
    """A namespace with a loopback that is up."""
    run(["ip", "netns", "add", name])
    run(["ip", "-n", name, "link", "set", "lo", "up"])


def remove(name: str) -> None:
    """Take a namespace away; its devices, and their other ends, go with it."""
    run(["ip", "netns", "del", name])


def exists(name: str) -> bool:
    """Whether there is such a namespace."""
    return (_FOLDER / name).exists()


def within(name: str, words: Sequence[str | Path]) -> list[str | Path]:
    """The command that runs another one in a namespace.

    Not `ip netns exec`: that mounts /sys anew, and the cgroups below it are gone.
    """
    return ["nsenter", f"--net={_FOLDER / name}", "--", *words]


@contextlib.contextmanager
def entered(name: str) -> Iterator[None]:
    """This thread is in the namespace while the block runs; sockets made meanwhile stay there."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _enter(_FOLDER / name)
        yield
    finally:
        _set(home)
        os.close(home)


def _enter(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _set(descriptor)
    finally:
        os.close(descriptor)


def _set(descriptor: int) -> None:
    if _libc.setns(descriptor, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


def listen(name: str, address: str, port: int) -> socket.socket:
    """A listening socket in a namespace, for a server that itself stays outside."""
    with entered(name):
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(128)
    return listener
