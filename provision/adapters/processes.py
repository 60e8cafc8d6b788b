"""The door to processes: find ours, start and stop the supervisor, name who holds a port.

Every process of a stack carries `PROVISION_STACK=<its folder>` in its environment, and so does
whatever it starts (MLflow's job processes, which outlive their parent). No pid file can be stale,
and none of ours can hide.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from provision.model.sizing import Machine

MARK = "PROVISION_STACK"
_SUPERVISOR_MODULE = "supervisor.supervisord"
_SERVER_CONFIG = "run/supervisor.conf"
_KILL_AFTER_SECONDS = 10.0
_MEMORY_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)


@dataclass(frozen=True)
class Holder:
    """Who listens on a port; `pid` is `None` where the system does not tell this user."""

    port: int
    pid: int | None
    name: str


@dataclass(frozen=True)
class Usage:
    """What the processes of a stack use: proportional memory in bytes, count, age in seconds."""

    memory: int
    processes: int
    uptime: float


def marked(stack: Path) -> list[psutil.Process]:
    """All processes that belong to the stack in this folder, whoever their parent is now."""
    own = os.getpid()
    return [p for p in psutil.process_iter() if p.pid != own and _carries(p, str(stack))]


def _carries(process: psutil.Process, stack: str) -> bool:
    try:
        return process.environ().get(MARK) == stack and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.Error, OSError):
        return False


def supervisor_of(stack: Path, config: str = _SERVER_CONFIG) -> psutil.Process | None:
    """The stack's supervisor, or the one of another configuration in its folder, if it lives."""
    for process in marked(stack):
        with contextlib.suppress(psutil.Error):
            if {_SUPERVISOR_MODULE, config} <= set(process.cmdline()):
                return process
    return None


def stop_supervisor(stack: Path, config: str, patience: float) -> bool:
    """Stop one supervisor of a stack with its programs; whether it ran.

    After `patience` seconds it is killed, and its programs end with it or at the next `down`.
    """
    supervisor = supervisor_of(stack, config)
    if supervisor is None:
        return False
    _signal([supervisor], kill=False)
    _, stubborn = psutil.wait_procs([supervisor], timeout=patience)
    _signal(stubborn, kill=True)
    return True


def start_supervisor(stack: Path, config: Path, log: Path, environment: Mapping[str, str]) -> int:
    """Start a supervisor that outlives this command and its terminal; returns its pid.

    It runs in the stack's folder, in a session of its own, so that neither a hang-up nor Ctrl-C
    reaches it.
    """
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", _SUPERVISOR_MODULE, "-n", "-c", str(config.relative_to(stack))],
            cwd=stack,
            env={**environment, MARK: str(stack)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            umask=0o077,
        )
    return process.pid


@dataclass(frozen=True)
class Words:
    """What a process was started with: readable by every user of the machine, and by its own."""

    pid: int
    name: str
    arguments: str
    environment: str


def words() -> list[Words]:
    """The words of all processes that this user can see, but this one's."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            found.append(_words(process))
    return [words for words in found if words.pid != os.getpid()]


def _words(process: psutil.Process) -> Words:
    variables: Mapping[str, str] = {}
    with contextlib.suppress(psutil.Error, OSError):
        variables = process.environ()
    environment = "\n".join(f"{key}={value}" for key, value in variables.items())
    return Words(process.pid, process.name(), "\n".join(process.cmdline()), environment)


def alive(pid: int) -> bool:
    """True while a process of this number runs (a zombie of ours counts as ended)."""
    with contextlib.suppress(ChildProcessError, OSError):
        os.waitpid(pid, os.WNOHANG)
    return psutil.pid_exists(pid)


def stop_stack(stack: Path, patience: float) -> int:
    """Stop all processes of a stack; returns how many there were. None is left when it returns.

    The supervisor gets `patience` seconds to stop its programs in order (a database needs them);
    what is left after that, orphans included, is asked once more and then killed.
    """
    found = marked(stack)
    supervisor = supervisor_of(stack)
    if supervisor is not None:
        with contextlib.suppress(psutil.NoSuchProcess):
            supervisor.terminate()
        psutil.wait_procs([supervisor], timeout=patience)
    _finish(marked(stack))
    while remaining := marked(stack):
        _signal(remaining, kill=True)
        psutil.wait_procs(remaining, timeout=1)
    return len(found)


def _finish(processes: Sequence[psutil.Process]) -> None:
    _signal(processes, kill=False)
    _, stubborn = psutil.wait_procs(processes, timeout=_KILL_AFTER_SECONDS)
    _signal(stubborn, kill=True)


def _signal(processes: Iterable[psutil.Process], *, kill: bool) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            if kill:
                process.kill()
            else:
                process.terminate()


def usage(stack: Path) -> Usage:
    """Memory, number and age of a stack's processes."""
    processes = marked(stack)
    memory = 0
    started = time.time()
    for process in processes:
        with contextlib.suppress(psutil.Error):
            memory += _proportional(process)
            started = min(started, process.create_time())
    return Usage(memory, len(processes), time.time() - started if processes else 0.0)


def _proportional(process: psutil.Process) -> int:
    full = process.memory_full_info()
    return int(getattr(full, "pss", full.rss))


def holder_of(host: str, port: int) -> Holder | None:
    """Who listens on `port` so that `host` cannot; `None` when it is free."""
    if can_listen(host, port):
        return None
    try:
        connections = psutil.net_connections(kind="tcp")
    except psutil.Error:
        return Holder(port, None, "a process of another user")
    for connection in connections:
        if connection.status != psutil.CONN_LISTEN or not connection.laddr:
            continue
        if connection.laddr.port == port:
            return Holder(port, connection.pid, _name(connection.pid))
    return Holder(port, None, "a process of another user")


def _name(pid: int | None) -> str:
    if pid is None:
        return "a process of another user"
    try:
        return " ".join(psutil.Process(pid).cmdline()[:3])[:80] or psutil.Process(pid).name()
    except psutil.Error:
        return "a process that has just ended"


def can_listen(host: str, port: int) -> bool:
    """True when a server could listen on this address now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except PermissionError:
            return True  # a privileged port: the server's own error names it
        except OSError:
            return False
    return True


def free_port(host: str, start: int) -> int:
    """The first port from `start` on that is free on `host`."""
    return next(port for port in range(start, 65536) if can_listen(host, port))


def any_free_port(host: str) -> int:
    """A port that the system picks: two callers at once get two."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def machine() -> Machine:
    """Memory and cores of this machine, or of the container we are in."""
    memory = psutil.virtual_memory().total
    for limit in _MEMORY_LIMITS:
        with contextlib.suppress(OSError, ValueError):
            memory = min(memory, int(limit.read_text()))
    return Machine(memory=memory, cores=_cores())


def available_memory() -> int:
    """Bytes that programs can still have on this machine without swapping."""
    return int(psutil.virtual_memory().available)


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
