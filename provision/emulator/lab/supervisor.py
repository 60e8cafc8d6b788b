"""The processes of a lab: a keeper outside, and inside everything else.

Inside is the first process of a process namespace, with mounts and a /run of its own. When it ends,
however it ends, the kernel ends all that runs there, and with the last process go its network
namespaces, cables and mounts. The keeper then removes what only files and control groups are.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

from provision.adapters import workspace
from provision.emulator import record
from provision.emulator.lab import cgroups, control
from provision.emulator.lab.system import located, run
from provision.errors import MissingError, RefusedError

READY = "ready.json"
_OWN_FOLDERS = ("machines", "names", "certificates", "image", "rds-ca", "snapshots")


@dataclass(frozen=True)
class Order:
    """What a lab is started with; `account` is the folder of the emulated account."""

    folder: Path
    account: Path
    region: str
    cache: Path
    image: Path

    @property
    def lab(self) -> str:
        """The lab's id: in the name of each thing of it that can be seen from outside."""
        return cgroups.short_id(self.folder)

    def words(self) -> list[str]:
        """As arguments of `read`."""
        return [str(value) for value in asdict(self).values()]

    @classmethod
    def read(cls, words: Sequence[str]) -> Order:
        """From `words`."""
        folder, account, region, cache, image = words
        return cls(Path(folder), Path(account), region, Path(cache), Path(image))


def keep(order: Order) -> None:
    """Have the lab until it ends; raises `RefusedError` when the folder has one already."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    if not record.hold(order.folder):
        raise RefusedError(
            f"{order.folder} has a lab already (process {record.holder(order.folder)})",
            next_step="use that one, or choose another folder",
        )
    clean(order.folder)
    inside = subprocess.Popen(_inside(order))
    signal.signal(signal.SIGTERM, lambda *_: _ask_to_end(order.folder))
    record.write(order.folder, {"schema": "provision.lab/1", "pid": os.getpid(), "lab": order.lab})
    inside.wait()
    clean(order.folder)
    record.forget(order.folder)


def _inside(order: Order) -> list[str]:
    # Killed with the keeper, and with it all that it ever started.
    alone = ["setpriv", "--pdeathsig", "KILL", "unshare", "--pid", "--fork", "--kill-child=KILL"]
    apart = ["--mount", "--propagation", "private", "--mount-proc"]
    program = [sys.executable, "-m", "provision.emulator.lab", "inside", *order.words()]
    return located([*alone, *apart, "--", *program])


def _ask_to_end(folder: Path) -> None:
    control.ask(folder, "close")


def clean(folder: Path) -> None:
    """Remove what a lab that has ended left in its folder and among the control groups."""
    cgroups.sweep(cgroups.short_id(folder))
    for path in [*(folder / name for name in _OWN_FOLDERS), *folder.glob("rds-*")]:
        workspace.remove_folder(path)
    for name in (READY, "control.sock", "leases"):
        workspace.remove_file(folder / name)


def inside(order: Order) -> None:
    """The first process of the namespaces: builds the lab, follows the account, shuts down."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    logging.getLogger("botocore").setLevel(logging.WARNING)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    os.umask(0o022)
    run(["mount", "-t", "tmpfs", "-o", "mode=0755", "run", "/run"])
    Path("/run/netns").mkdir()
    _live(order)


def _live(order: Order) -> None:
    from provision.emulator.lab.faults import Desk  # noqa: PLC0415 - loads moto's parts
    from provision.emulator.lab.site import Plan, Site  # noqa: PLC0415
    from provision.emulator.lab.view import Account  # noqa: PLC0415
    from provision.emulator.lab.watcher import Watcher  # noqa: PLC0415

    found = record.read(order.account)
    if found is None:
        raise MissingError(
            f"there is no emulated account in {order.account}", next_step="start one first"
        )
    door = urlsplit(found["door"])
    address = (door.hostname or "", door.port or 0)
    plan = Plan(order.lab, order.folder, order.cache, order.image, order.cache / "shelf", address)
    site = Site(plan, Account(found["endpoint"], order.region))
    site.open()
    watcher = Watcher(site)
    control.serve(order.folder, Desk(site, watcher).handlers())
    workspace.write_json(order.folder / READY, {"link": site.network.device})
    try:
        watcher.watch()
    finally:
        site.close()
