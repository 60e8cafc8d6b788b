"""The local state: whole or not, copies of it, and how it comes back.

Terraform takes an empty state file for "nothing exists" and plans everything anew; it writes the
file in place, so that a full disk or a power cut leaves half of it (both seen with 1.11). So a copy
is kept after each command that changed it, and looked at before each plan.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provision.adapters.terraform import initialising, owner
from provision.adapters.terraform.files import (
    PRIVATE_FILE,
    PRIVATE_FOLDER,
    read_object,
    write_private,
)
from provision.errors import MissingError, RefusedError

KEPT_COPIES = 10
# Room for the state when the disk is full: a state of 60 resources has about 150 KB.
_RESERVE_BYTES = 2 * 2**20
_FORMAT = 4


@dataclass(frozen=True)
class Stored:
    """A whole state: which stack's (`lineage`), which one in its row (`serial`), how many things
    are in it, and its bytes.
    """

    lineage: str
    serial: int
    resources: int
    content: bytes

    def follows(self, other: Stored | None) -> bool:
        """Whether this is the same stack's state, and at least as new."""
        return other is None or (self.lineage == other.lineage and self.serial >= other.serial)


def read_state(content: bytes) -> Stored | None:
    """The state in these bytes (format 4, all of Terraform 1.x); `None` when it is not whole."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict) or value.get("version") != _FORMAT:
        return None
    lineage, serial, resources = (value.get(key) for key in ("lineage", "serial", "resources"))
    if not (isinstance(lineage, str) and isinstance(serial, int) and isinstance(resources, list)):
        return None
    return Stored(lineage, serial, len(resources), content)


class StateFiles:
    """The state files below one root module."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.path = root / "terraform.tfstate"
        self.errored = root / "errored.tfstate"
        self.copies = root / "state-copies"
        self._reserve = root / "state-copies" / "reserve"

    @property
    def is_remote(self) -> bool:
        """Whether the state lies in a bucket, where S3 keeps its versions."""
        return initialising.remote(self._root) is not None

    def require_whole(self) -> str | None:
        """Make sure that the local state is the stack's newest; returns what was mended, if so.

        A state that is missing, cut off, older than our copy or another stack's is replaced by
        the copy, and set aside. Raises `RefusedError` when it is not whole and there is no copy,
        and while somebody else writes it.
        """
        if self.is_remote:
            return None
        self._require_nobody()
        note = self._take_errored()
        copy, state = self.newest_copy(), _stored(self.path)
        if _is_of_the_future(self.path):
            return note  # Terraform refuses it, and names the version that it needs
        if state is not None and state.follows(copy):
            self.path.chmod(PRIVATE_FILE)
            return note
        if copy is not None:
            return self._restore(copy, state)
        if self.path.exists():
            return self._restore(self._require_backup(), None)
        return note

    def set_aside_unborn(self) -> str | None:
        """Put half of a first state out of the way: no apply has ever ended with a whole one.

        For a caller that looks for what exists by its tags. Returns what was done.
        """
        backup = _stored(self._root / "terraform.tfstate.backup")
        known = self.whole() or self.newest_copy() or _stored(self.errored) or backup
        if self.is_remote or known or not self.path.exists() or _is_of_the_future(self.path):
            return None
        aside = _free_name(self.path)
        self.path.replace(aside)
        return (
            f"the state of a first apply that was killed is not whole: set aside as {aside.name}; "
            "what that apply made is found by its tags"
        )

    def keep_copy(self) -> None:
        """Keep a copy of the state if it is whole and new; the last ten are kept.

        On a full disk there is none: the state itself is whole, and the next command makes one.
        """
        with contextlib.suppress(OSError):
            self._copy()

    def _copy(self) -> None:
        state, newest = _stored(self.path), self.newest_copy()
        if state is None or (newest is not None and state.content == newest.content):
            return
        name = f"{state.serial:08d}-{state.lineage}.tfstate"
        write_private(self.copies / name, state.content)
        for old in self._all_copies()[KEPT_COPIES:]:
            old.unlink(missing_ok=True)

    def newest_copy(self) -> Stored | None:
        """The newest copy that is whole."""
        return next((found for path in self._all_copies() if (found := _stored(path))), None)

    def reserve(self) -> None:
        """Set room aside, so that a state can be saved when the disk is full.

        Raises `MissingError` when there is none: better now than with half a stack.
        """
        if self._reserve.exists() and self._reserve.stat().st_size >= _RESERVE_BYTES:
            return
        self.copies.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
        try:
            # Not compressible, so that the room is really taken.
            write_private(self._reserve, os.urandom(_RESERVE_BYTES))
        except OSError as error:
            self._reserve.unlink(missing_ok=True)
            raise MissingError(
                f"the disk that holds {self._root} has no room for the stack's state: "
                f"{error.strerror}",
                next_step="free space there, then run this again; nothing was changed",
            ) from error

    def rescue(self, emergency: Mapping[str, Any] | None) -> str | None:
        """Save a state that Terraform could only print, or write beside its place.

        Returns what was done, if something was.
        """
        if emergency is not None:
            printed = read_state(json.dumps(emergency).encode())
            if printed is not None and not self.is_remote:
                return self._put(printed, "was saved from what Terraform printed")
            if printed is not None:
                self._reserve.unlink(missing_ok=True)
                write_private(self.errored, printed.content)
        return None if self.is_remote else self._take_errored()

    def unpushed(self) -> Path | None:
        """A whole state that Terraform could not store in its bucket."""
        return self.errored if self.is_remote and _stored(self.errored) else None

    def set_aside_errored(self) -> str:
        """Put errored.tfstate out of the way: the bucket holds a newer state."""
        aside = _free_name(self.errored)
        self.errored.replace(aside)
        return f"errored.tfstate is older than the stored state: set aside as {aside.name}"

    # -- moving ---------------------------------------------------------------------------------

    def take_home(self, content: bytes) -> Stored:
        """Put a state that was in a bucket into the local place, and keep a copy.

        Raises `RefusedError` where it is not whole, and where another one stands there.
        """
        state, here = read_state(content), _stored(self.path)
        if state is None:
            raise RefusedError(
                "the state in the bucket is not whole; nothing was changed",
                next_step="restore its last good version (the bucket keeps versions), then this",
            )
        if not state.follows(here):
            raise RefusedError(
                f"{self.path} holds another state than the bucket; nothing was changed",
                next_step="move the one that is not this stack's out of the way, then this again",
            )
        write_private(self.path, state.content)
        self.keep_copy()
        return state

    def whole(self) -> Stored | None:
        """The local state, where it is whole."""
        return _stored(self.path)

    def set_aside_moved(self) -> None:
        """Put the local state out of the way once its bucket has it; it stays as a copy."""
        if self.path.exists():
            self.path.replace(_free_name(self._root / "moved.tfstate"))

    # -- steps ----------------------------------------------------------------------------------

    def _all_copies(self) -> list[Path]:
        """The newest first: by the time of writing, as another lineage starts at 1 again."""
        found = self.copies.glob("*.tfstate")
        return sorted(found, key=lambda path: path.stat().st_mtime_ns, reverse=True)

    def _require_nobody(self) -> None:
        for found in owner.find(self._root):
            if found.is_here and found.lives:
                raise RefusedError(
                    f"Terraform (process {found.pid}) of an earlier command is still at work on "
                    "this stack",
                    next_step="wait until it has ended, or stop it in order: "
                    f"kill -INT {found.pid}",
                )

    def _take_errored(self) -> str | None:
        """Put a state that Terraform could not store in its place into that place."""
        errored, state = _stored(self.errored), _stored(self.path)
        if errored is not None and errored.follows(state or self.newest_copy()):
            note = self._put(errored, "was found in errored.tfstate and put back")
            self.errored.unlink()
            return note
        if errored is None:
            self.errored.unlink(missing_ok=True)  # not whole: nobody can use it
        return None

    def _put(self, state: Stored, what: str) -> str | None:
        current = _stored(self.path)
        if current is not None and not state.follows(current):
            return None
        self._reserve.unlink(missing_ok=True)
        write_private(self.path, state.content)
        self.keep_copy()
        return f"the state (serial {state.serial}, {state.resources} resources) {what}"

    def _restore(self, copy: Stored, state: Stored | None) -> str:
        what = "was missing"
        if self.path.exists():
            what = _wrong(state, copy)
            self.path.replace(_free_name(self.path))
        write_private(self.path, copy.content)
        return (
            f"the state {what}: restored from our copy (serial {copy.serial}, "
            f"{copy.resources} resources)"
        )

    def _require_backup(self) -> Stored:
        backup = _stored(self._root / "terraform.tfstate.backup")
        if backup is None:
            raise RefusedError(
                f"the state in {self.path} is not whole, and there is no copy of it: planning now "
                "would create everything a second time",
                next_step=f"put a whole state there, or remove {self.path} to adopt what exists "
                "by its tags",
            )
        return backup


def _stored(path: Path) -> Stored | None:
    try:
        return read_state(path.read_bytes())
    except OSError:
        return None


def _is_of_the_future(path: Path) -> bool:
    version = (read_object(path) or {}).get("version")
    return isinstance(version, int) and version > _FORMAT


def _wrong(state: Stored | None, copy: Stored) -> str:
    if state is None:
        return "was not whole (a full disk or a power cut does this)"
    if state.lineage != copy.lineage:
        return "was that of another stack"
    return f"was older (serial {state.serial}) than our copy"


def _free_name(path: Path) -> Path:
    numbers = range(1, 10_000)
    names = (path.with_name(f"{path.name}.set-aside-{number}") for number in numbers)
    return next(name for name in names if not name.exists())
