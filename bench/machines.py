"""Machines to measure: a lab, one booted Debian in it, and the CPU and memory of its control group.

Needs what `provision rehearse` needs (docs/rehearsal.md); stays up while it measures, no longer.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from provision.adapters.tracking import TrackingClient
from provision.emulator import client as accounts
from provision.emulator.lab.client import Lab
from provision.errors import ProvisionError
from provision.model.endpoint import Endpoint
from tests.lab.host import Booting
from tests.lab.stack import REGION, Maker, Stack

_GROUPS = Path("/sys/fs/cgroup")


@dataclass
class Group:
    """A machine's control group, seen from outside."""

    instance: str

    def _file(self, name: str) -> Path | None:
        pattern = f"**/provision-lab-*-{self.instance[-8:]}/{name}"
        return next(iter(_GROUPS.glob(pattern)), None)

    def cpu_seconds(self) -> float:
        """User and system time of all that ran in it since it was made; 0 before."""
        path = self._file("cpu.stat")
        if path is None:
            return 0.0
        words = dict(line.split() for line in path.read_text().splitlines())
        return int(words["usage_usec"]) / 1e6

    def used_mib(self) -> float:
        """Memory without the pages of files that the kernel gives up first."""
        usage = self._file("memory.usage_in_bytes") or self._file("memory.current")
        stat = self._file("memory.stat")
        if usage is None or stat is None:
            return 0.0
        words = dict(line.split() for line in stat.read_text().splitlines())
        inactive = int(words.get("total_inactive_file", words.get("inactive_file", 0)))
        return (int(usage.read_text()) - inactive) / 2**20

    def killed(self) -> int:
        """How many processes the kernel has ended for want of memory."""
        for name in ("memory.oom_control", "memory.events"):
            path = self._file(name)
            if path is not None:
                words = dict(line.split() for line in path.read_text().splitlines())
                return int(words["oom_kill"])
        raise RuntimeError("the kernel does not count what it kills in a control group")


@dataclass
class Watch:
    """CPU over time of a group, read ten times a second in the background."""

    group: Group
    seen: list[tuple[float, float]] = field(default_factory=list)

    def __enter__(self) -> Watch:
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ending.wait(0.1):
            with contextlib.suppress(OSError):
                self.seen.append((time.time(), self.group.cpu_seconds()))

    def at(self, moment: float) -> float:
        """CPU seconds spent until then."""
        before = [cpu for when, cpu in self.seen if when <= moment]
        return before[-1] if before else 0.0


@dataclass
class World(Booting):
    """One lab with one machine at most."""

    def boot(self, text: Callable[[str, str], str]) -> Stack:
        """Make a stack with a database, and a machine that boots from this user data."""
        made = self.make.stack(text, database=True)
        self.lab.look()
        return made


@contextlib.contextmanager
def world() -> Iterator[World]:
    """A lab, taken away at the end, also when it is told to end."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory(prefix="provision-bench-") as name:
        folder = Path(name)
        account = accounts.start(folder / "account", sys.executable, os.environ, regions=[REGION])
        lab = Lab(folder / "lab", folder / "account", os.environ, REGION)
        try:
            lab.up()
            yield World(account, lab, Maker(account.endpoint), folder)
        finally:
            lab.down()
            accounts.stop(folder / "account")


def client_works(endpoint: Endpoint) -> bool:
    """A run with a metric and an artifact, written and read again."""
    content = os.urandom(64 * 1024)
    try:
        with TrackingClient.from_endpoint(endpoint) as client:
            experiment = client.create_experiment(f"bench-{time.time_ns()}")
            run = client.create_run(experiment, "bench")
            client.log_batch(run.run_id, {"auc": 0.81}, {"depth": "3"}, {})
            path = f"{run.artifact_uri.partition(':')[2].strip('/')}/part.bin"
            client.upload(path, content)
            same = client.download(path) == content
            return same and client.get_run(run.run_id).metrics == {"auc": 0.81}
    except ProvisionError:
        return False


def until(true: Callable[[], bool], what: str, seconds: float) -> float:
    """Wait for it; returns when it came."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise RuntimeError(f"it did not happen in {seconds:.0f} s: {what}")
        time.sleep(0.2)
    return time.time()
