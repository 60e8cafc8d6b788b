"""Bring a lab up, talk to it, take it away: what the rest of the package, tests and people use."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provision.adapters import workspace
from provision.emulator import record
from provision.emulator.lab import control, needs
from provision.errors import ProvisionError

_LOG = "lab.log"
_READY = "ready.json"
_START_SECONDS = 60.0
_STOP_SECONDS = 120.0
_POLL_SECONDS = 0.05

Say = Callable[[str], None]


def cache_folder(environment: Mapping[str, str]) -> Path:
    """Where images and packages are kept between rehearsals (XDG base directory specification)."""
    configured = environment.get("XDG_CACHE_HOME", "")
    home = environment.get("HOME") or str(Path.home())
    base = Path(configured) if configured.startswith("/") else Path(home) / ".cache"
    return base / "provision" / "rehearsal"


@dataclass(frozen=True)
class Done:
    """What became of a command: its exit code and what it wrote."""

    code: int
    out: str
    err: str


class Lab:
    """The lab of one folder, around the emulated account of another.

    `environment` is the user's; it names the cache, and reaches only the programs that fetch
    images and packages. All methods but `up` raise `ProvisionError` when the lab is not up.
    """

    def __init__(
        self, folder: Path, account: Path, environment: Mapping[str, str], region: str
    ) -> None:
        self.folder = folder.resolve()
        self._account = account.resolve()
        self._region = region
        self._cache = cache_folder(environment)

    @property
    def is_up(self) -> bool:
        """Whether it runs and answers."""
        return record.holder(self.folder) is not None and (self.folder / _READY).exists()

    def up(self, say: Say = lambda _: None) -> None:
        """Start it, or find it running; the first time in a month this makes Debian's image.

        Raises `MissingError` for what this machine lacks.
        """
        needs.require()
        workspace.make_folder(self.folder)
        if self.is_up:
            return
        image = self._prepare(say)
        process = self._spawn(image)
        deadline = time.monotonic() + _START_SECONDS
        while not self.is_up:
            if process.poll() is not None or time.monotonic() > deadline:
                raise self._failed(process)
            time.sleep(_POLL_SECONDS)

    def _prepare(self, say: Say) -> Path:
        from provision.emulator.lab import stock  # noqa: PLC0415 - loads cryptography

        workspace.make_folder(self._cache)
        return stock.fill(self._cache, say)

    def _spawn(self, image: Path) -> subprocess.Popen[bytes]:
        order = [self.folder, self._account, self._region, self._cache, image]
        with (self.folder / _LOG).open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "provision.emulator.lab", "keep", *map(str, order)],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _failed(self, process: subprocess.Popen[bytes]) -> ProvisionError:
        process.kill()
        process.wait()
        said = "\n".join(workspace.tail(self.folder / _LOG, 5)) or "it said nothing"
        return ProvisionError(
            f"the lab did not start: {said}", next_step=f"read {self.folder / _LOG}"
        )

    def trouble(self) -> str:
        """Why no machine can run in it: it has ended, or cannot do what its account says."""
        if not self.is_up:
            said = " ".join(workspace.tail(self.folder / _LOG, 1)) or "it said nothing"
            return f"the lab in which the machine ran has ended: {said}"
        try:
            problem = str(self.status()["problem"])
        except ProvisionError as error:
            return error.message
        return f"the lab cannot do what its account says: {problem}" if problem else ""

    def down(self) -> None:
        """Shut its machines down and remove all of it; nothing happens when there is none."""
        pid = record.holder(self.folder)
        if pid is not None:
            try:
                self.ask("close")
            except ProvisionError:
                _kill(pid)
            deadline = time.monotonic() + _STOP_SECONDS
            while record.holder(self.folder) == pid:
                if time.monotonic() > deadline:
                    _kill(pid)
                    deadline += _STOP_SECONDS
                time.sleep(_POLL_SECONDS)
        self.clean()

    def clean(self) -> None:
        """Remove what a lab that was killed has left; its folder goes with it."""
        from provision.emulator.lab import supervisor  # noqa: PLC0415

        if record.holder(self.folder) is None:
            supervisor.clean(self.folder)
            workspace.remove_folder(self.folder)

    def ask(self, what: str, **given: Any) -> Any:
        """Ask it anything that its desk does (`faults.Desk`)."""
        return control.ask(self.folder, what, **given)

    def status(self) -> dict[str, Any]:
        """Machines, databases and faults; see `Desk.status`."""
        found: dict[str, Any] = self.ask("status")
        return found

    def look(self) -> None:
        """Let it follow the account at once, and wait until it has."""
        self.ask("look")

    def run(
        self, where: str, words: Sequence[str], *, given: str = "", patience: float = 120.0
    ) -> Done:
        """Run a command as root in a machine: by its id, or `machine` for the only one.

        `client` is the namespace of a client outside the account's network.
        """
        asked = {"words": list(words), "given": given, "patience": patience}
        return Done(**self.ask("run", where=where, **asked))

    def cut(self, target: str, how: str = "drop") -> None:
        """Lose (`drop`) or refuse packets to `packages`, `s3`, `aws`, `imds`, `names` or `rds`."""
        self.ask("cut", target=target, how=how)

    def mend(self) -> None:
        """Take all faults of network, rights and metadata service back."""
        self.ask("mend")

    def slow_metadata(self, seconds: float) -> None:
        """Let each answer of the metadata service take so long."""
        self.ask("slow_metadata", seconds=seconds)

    def deny(self, action: str) -> None:
        """Take a right (`s3:PutObject`) from the machines' roles."""
        self.ask("deny", action=action)

    def clock(self, seconds: float) -> None:
        """Let AWS' clock be so far ahead of the machines', which cannot have one of their own."""
        self.ask("clock", seconds=seconds)

    def reset(self, where: str = "machine") -> None:
        """End a machine as a power cut does; it boots again from the same disk."""
        self.ask("reset", where=where)

    def come_from(self, address: str) -> None:
        """Let clients (and this machine) seem to come from an address."""
        self.ask("come_from", address=address)

    def client_without_s3(self) -> None:
        """Take the client's way to S3."""
        self.ask("client_without_s3")

    def limit(self, *, disk_bytes: int | None = None, memory_bytes: int | None = None) -> None:
        """Limits for machines that boot from now on."""
        self.ask("limit", disk_bytes=disk_bytes, memory_bytes=memory_bytes)

    def restart_database(self, identifier: str | None = None, *, seconds_down: float = 0.0) -> None:
        """Restart a database; connections are cut, and it is away for so long."""
        self.ask("restart_database", identifier=identifier, seconds_down=seconds_down)

    def hold_database(self, identifier: str) -> None:
        """Let a database that is yet to be made take until `release_database`."""
        self.ask("hold_database", identifier=identifier)

    def release_database(self, identifier: str) -> None:
        """Let it be ready."""
        self.ask("release_database", identifier=identifier)

    def rotate(self, identifier: str | None = None) -> None:
        """Renew a database's managed password."""
        self.ask("rotate", identifier=identifier)


def _kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
