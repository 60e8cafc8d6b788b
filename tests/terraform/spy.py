"""Somebody who looks for secrets: in argument lists, in files, in what a saved plan holds."""

from __future__ import annotations

import io
import shutil
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_SECONDS = 0.3
PLAN = "provision.tfplan"
_PLANS = f"*/desk/.provision/*/aws/terraform/stacks/tracking/{PLAN}"


class Spy:
    """Reads every process' argument list again and again, and copies each plan that it finds on
    the laptops below `folder` to `catch`.
    """

    def __init__(self, folder: Path, catch: Path) -> None:
        self._folder = folder
        self._catch = catch
        self._over = threading.Event()
        self._plans: set[tuple[int, int]] = set()
        self.arguments: set[bytes] = set()

    @contextmanager
    def at_work(self) -> Iterator[Spy]:
        """Look while the block runs."""
        thread = threading.Thread(target=self._look_on, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._over.set()
            thread.join()

    def _look_on(self) -> None:
        while not self._over.wait(_SECONDS):
            for process in Path("/proc").iterdir():
                if process.name.isdigit():
                    with suppress(OSError):
                        self.arguments.add((process / "cmdline").read_bytes())
            for plan in self._folder.glob(_PLANS):
                with suppress(OSError):
                    self._copy(plan)

    def _copy(self, plan: Path) -> None:
        seen = plan.stat()
        known = (seen.st_mtime_ns, seen.st_size)
        if known not in self._plans:
            shutil.copy(plan, self._catch / f"{len(self._plans)}-{PLAN}")
            self._plans.add(known)


def everything_in(*folders: Path) -> Iterator[tuple[str, bytes]]:
    """Name and content of every file; archives (plans) are opened."""
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            # What a link leads to is the provider, which nobody writes to.
            if path.is_file() and not path.is_symlink() and ".terraform/providers" not in str(path):
                content = path.read_bytes()
                yield str(path), content
                yield from _members(path, content)


def _members(path: Path, content: bytes) -> Iterator[tuple[str, bytes]]:
    if not zipfile.is_zipfile(io.BytesIO(content)):
        return
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for name in archive.namelist():
            yield f"{path}!{name}", archive.read(name)


def open_to_others(folder: Path) -> list[str]:
    """Everything in a folder, itself included, that others than its owner may use."""
    found = [folder, *folder.rglob("*")]
    own = (path for path in found if not path.is_symlink())
    return [f"{path} {path.stat().st_mode:o}" for path in own if path.stat().st_mode & 0o077]
