"""One Terraform process: started in a session of its own, listened to, and stopped in order.

A terminal's Ctrl-C reaches us alone. Terraform gets one SIGINT, upon which it finishes what it
must, saves the state and frees the lock; a second one would make it leave at once.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Final

from provision.adapters.terraform import owner
from provision.errors import MissingError

_TICK_SECONDS = 0.25
_PIPE_BYTES = 2**20
_CHUNK_BYTES = 2**16
_DRAIN_SECONDS = 5.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# When we are killed, Linux asks Terraform to stop (prctl PR_SET_PDEATHSIG). A program of its own
# does this, as code between fork and exec is not safe beside threads.
_TIE: Final = (
    "import ctypes,os,sys\n"
    f"ctypes.CDLL(None).prctl(1,{int(signal.SIGINT)},0,0,0)\n"
    "os.execvp(sys.argv[1],sys.argv[1:])"
)
# The provider takes up to a gigabyte: two at once are too much for a laptop.
_alone = threading.Lock()

Line = Callable[[str], None]


@dataclass(frozen=True)
class Patience:
    """Seconds until a process that was asked to stop is asked again, and then killed."""

    until_second: float = 120.0
    until_kill: float = 30.0


@dataclass(frozen=True)
class Task:
    """What to run: the words, where, with which environment; lines of stdout and stderr go to
    `on_line` and `on_error`; `on_tick` is called several times a second and returns a reason when
    the process shall be stopped; `on_signal` is told each time that the user asks to stop.
    """

    words: Sequence[str]
    folder: Path
    environment: Mapping[str, str]
    on_line: Line | None = None
    on_error: Line | None = None
    on_tick: Callable[[], str | None] | None = None
    on_signal: Callable[[int], None] | None = None
    patience: Patience = Patience()


@dataclass(frozen=True)
class Done:
    """How a process ended. What a callback took is not in `out` and `err`. `interrupted` names
    the signal that the user sent, `stopped` the reason for which `on_tick` had it stopped.
    """

    code: int
    out: str
    err: str
    interrupted: str | None = None
    stopped: str | None = None


def run(task: Task) -> Done:
    """Run a task to its end, whatever happens to us meanwhile.

    While it runs, SIGINT, SIGTERM and SIGHUP (the terminal closes) all mean: stop in order. A
    callback that raises stops Terraform in order, too, and is raised again afterwards. Callbacks
    run in the calling thread and must not start another command of Terraform.
    """
    with _alone:
        return _Run(task).to_the_end()


class _Run:
    def __init__(self, task: Task) -> None:
        self._task = task
        self._process: subprocess.Popen[bytes] | None = None
        self._lines: queue.SimpleQueue[tuple[bool, list[bytes] | None]] = queue.SimpleQueue()
        self._out: list[str] = []
        self._err: list[str] = []
        self._signals: list[str] = []
        self._reason: str | None = None
        self._asked_at: float | None = None
        self._asked = 0
        self._tick_at = 0.0

    def to_the_end(self) -> Done:
        with self._signals_mean_stop():
            with _pipe() as out, _pipe() as err:
                self._process = self._start(out, err)
            with owner.recorded(self._task.folder, self._process.pid, self._task.words):
                try:
                    self._listen(out.reader, err.reader)
                except BaseException:
                    self._ask()
                    raise
                finally:
                    self._wait()
            code = self._process.wait()
        interrupted = self._signals[0] if self._signals else None
        return Done(code, "\n".join(self._out), "\n".join(self._err), interrupted, self._reason)

    def _start(self, out: _Pipe, err: _Pipe) -> subprocess.Popen[bytes]:
        task = self._task
        if not os.access(task.words[0], os.X_OK):
            raise MissingError(
                f"{task.words[0]} is not a program that this user can start",
                next_step="install Terraform 1.11 or newer, then run this again",
            )
        # On Linux Terraform holds the reading ends, too: when we are killed, its last lines meet a
        # pipe that is open, not SIGPIPE, which would end it before it has saved the state.
        shared = (out.reader, err.reader) if _tied() else ()
        return subprocess.Popen(
            [*_tied(), *task.words],
            cwd=task.folder,
            env=dict(task.environment),
            stdin=subprocess.DEVNULL,
            stdout=out.writer,
            stderr=err.writer,
            pass_fds=shared,
            start_new_session=True,
            umask=0o077,
        )

    # -- listening ------------------------------------------------------------------------------

    def _listen(self, out: int, err: int) -> None:
        readers = [self._reader(out, error=False), self._reader(err, error=True)]
        if self._signals:
            self._ask()
        open_streams = len(readers)
        while open_streams and not self._left_behind():
            with contextlib.suppress(queue.Empty):
                is_error, lines = self._lines.get(timeout=_TICK_SECONDS)
                open_streams -= lines is None
                for line in lines or ():
                    self._deliver(is_error, line)
            self._tick()

    def _reader(self, stream: int, *, error: bool) -> threading.Thread:
        def read() -> None:
            with os.fdopen(stream, "rb", buffering=0):
                # A debug log has tens of thousands of lines: they are handed on as they come in.
                for lines in _lines(stream):
                    self._lines.put((error, lines))
            self._lines.put((error, None))

        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        return thread

    def _deliver(self, is_error: bool, line: bytes) -> None:
        text = line.decode("utf-8", errors="replace").rstrip("\r\n")
        callback = self._task.on_error if is_error else self._task.on_line
        if callback is None:
            (self._err if is_error else self._out).append(text)
        else:
            callback(text)

    def _left_behind(self) -> bool:
        """Terraform is gone, and something that it started holds its output open."""
        process = self._process
        if process is None or process.poll() is None:
            return False
        self._asked_at = self._asked_at or time.monotonic()
        return self._lines.empty() and time.monotonic() > self._asked_at + _DRAIN_SECONDS

    def _tick(self) -> None:
        if time.monotonic() < self._tick_at:
            return
        self._tick_at = time.monotonic() + _TICK_SECONDS
        if self._task.on_tick is not None and self._asked == 0:
            self._reason = self._task.on_tick()
            if self._reason:
                self._ask()
        self._insist()

    # -- stopping -------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _signals_mean_stop(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield  # Python delivers signals to the main thread alone
            return
        before = {number: signal.signal(number, self._on_signal) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        self._signals.append(signal.Signals(number).name)
        if self._process is not None and self._asked == 0:
            self._ask()
        if self._task.on_signal is not None:
            # What is shown must not come in the way of stopping: the terminal may be gone.
            with contextlib.suppress(OSError):
                self._task.on_signal(len(self._signals))

    def _ask(self) -> None:
        process = self._process
        if process is None or process.poll() is not None or self._asked:
            return
        self._asked, self._asked_at = 1, time.monotonic()
        process.send_signal(signal.SIGINT)

    def _insist(self) -> None:
        """Ask again, and then kill, a process that does not end although it was asked."""
        process, patience = self._process, self._task.patience
        if process is None or self._asked_at is None or process.poll() is not None:
            return
        waited = time.monotonic() - self._asked_at
        if self._asked == 1 and waited > patience.until_second:
            self._asked = 2
            process.send_signal(signal.SIGINT)
        elif self._asked == 2 and waited > patience.until_second + patience.until_kill:
            self._asked = 3
            os.killpg(process.pid, signal.SIGKILL)

    def _wait(self) -> None:
        assert self._process is not None  # noqa: S101 - for the type checker
        while True:
            try:
                self._process.wait(timeout=_TICK_SECONDS)
            except subprocess.TimeoutExpired:
                self._insist()
            else:
                return


def _lines(stream: int) -> Iterator[list[bytes]]:
    """The lines of a stream, as many at a time as have come in."""
    rest = b""
    while chunk := os.read(stream, _CHUNK_BYTES):
        *lines, rest = (rest + chunk).split(b"\n")
        yield lines
    if rest:
        yield [rest]


@dataclass
class _Pipe:
    reader: int
    writer: int


@contextlib.contextmanager
def _pipe() -> Iterator[_Pipe]:
    """A wide pipe whose writing end is closed here once the child has it."""
    reader, writer = os.pipe()
    with contextlib.suppress(OSError, AttributeError):
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    try:
        yield _Pipe(reader, writer)
    except BaseException:
        os.close(reader)
        raise
    finally:
        os.close(writer)


def _tied() -> tuple[str, ...]:
    return (sys.executable, "-I", "-S", "-c", _TIE) if sys.platform == "linux" else ()
