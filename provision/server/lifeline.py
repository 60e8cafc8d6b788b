"""Processes that end with the server: a pipe whose writing end only the master process holds.

When the master is gone, killed or not, the kernel closes that end and every reader sees the end of
the file. A poll of the parent's process id would be slower, and blind to an id that was reused.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable

_GRACE_SECONDS = 5.0


def _go_on(_number: int, _frame: object) -> None:
    """The guard outlives the signals that it sends to its own group."""


class Lifeline:
    """Made by the master before it forks."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()

    def hold(self) -> None:
        """In a forked process: end at once when the master does."""
        os.close(self._write)
        threading.Thread(target=self._end_with_master, name="lifeline", daemon=True).start()

    def _end_with_master(self) -> None:
        os.read(self._read, 1)
        # The listening socket has to be free at once for the next master, so nothing is awaited.
        os._exit(1)

    def guard(self, start: Callable[[], object], listener: socket.socket) -> int:
        """Fork a guard that starts programs in a session of its own and ends them with the master.

        Returns the guard's process id. Programs get SIGTERM, and SIGKILL five seconds later. The
        guard closes its copy of `listener`, or the next master could not have the port meanwhile.
        """
        pid = os.fork()
        if pid:
            return pid
        try:
            listener.close()
            self._guard(start)
        finally:
            os._exit(1)

    def _guard(self, start: Callable[[], object]) -> None:
        os.close(self._write)
        os.setsid()
        for number in (signal.SIGINT, signal.SIGTERM):
            # A function, not SIG_IGN: the programs started here would inherit that.
            signal.signal(number, _go_on)
        start()
        os.read(self._read, 1)
        os.killpg(0, signal.SIGTERM)
        time.sleep(_GRACE_SECONDS)
        os.killpg(0, signal.SIGKILL)
