"""Where a stack's Terraform state lies, and its way to where the spec wants it.

A state is moved under the lock of its place, is never in no place, and leaves a copy behind: our
own and, in a bucket, an older version. A move that is cut off is ended by the next command.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from provision.adapters.cloud.shared_state import held, read_bytes, remove, write_bytes
from provision.adapters.terraform import initialising
from provision.adapters.terraform.state_files import StateFiles, Stored, read_state
from provision.errors import RefusedError
from provision.targets.aws_account import Opening
from provision.targets.base import Progress

_OPERATION: Final = "OperationTypeMove"
_KEPT: Final = ("bucket", "key", "region", "encrypt", "kms_key_id")


def is_elsewhere(root: Path, wanted: Mapping[str, Any] | None) -> bool:
    """Whether there is a state, and in another place than the spec wants it."""
    if initialising.is_at(root, wanted):
        return False
    return initialising.remote(root) is not None or initialising.holds_resources(root)


def where_it_is(root: Path, access: Mapping[str, str]) -> dict[str, Any] | None:
    """The backend that the folder is turned to, with the settings of its account; `None`: local."""
    now = initialising.remote(root)
    if now is None:
        return None
    kept = {key: now[key] for key in _KEPT if now.get(key) is not None}
    return {**kept, "use_lockfile": True, **access}


def move(
    root: Path, wanted: Mapping[str, Any] | None, opening: Opening, progress: Progress
) -> None:
    """Bring the state to where `wanted` says; a state in another bucket comes home first.

    Raises `RefusedError` where somebody works on it, or another one is in that place.
    """
    files = StateFiles(root)
    before = initialising.remote(root)
    if before is not None:
        _come_home(files, before, opening, progress)
        initialising.forget_remote(root)
    if wanted is None:
        return
    note = files.require_whole()
    if note:
        progress.note(note)
    _go_out(files, wanted, opening, progress)
    files.set_aside_moved()


def _come_home(
    files: StateFiles, before: Mapping[str, object], opening: Opening, progress: Progress
) -> None:
    cloud, me = opening.cloud, opening.me
    bucket, key = str(before.get("bucket")), str(before.get("key"))
    with held(cloud, me, bucket, key, _OPERATION):
        content = read_bytes(cloud, me, bucket, key)
        if content is None:
            return
        state = files.take_home(content)
        remove(cloud, me, bucket, key)
    progress.note(
        f"the state ({state.resources} resources) was moved here from s3://{bucket}/{key}, which "
        "keeps its older versions"
    )


def _go_out(
    files: StateFiles, wanted: Mapping[str, Any], opening: Opening, progress: Progress
) -> None:
    cloud, me = opening.cloud, opening.me
    bucket, key = str(wanted["bucket"]), str(wanted["key"])
    ours = files.whole()
    if ours is None:
        return
    files.keep_copy()
    with held(cloud, me, bucket, key, _OPERATION):
        theirs = read_bytes(cloud, me, bucket, key)
        if theirs is not None and not _may_follow(ours, read_state(theirs)):
            raise RefusedError(
                f"s3://{bucket}/{key} holds another state than this machine does, or a newer one; "
                "nothing was changed",
                next_step="set state: local again, or another state_name; somebody else manages a "
                "stack of this name there",
            )
        write_bytes(cloud, me, bucket, key, ours.content)
    progress.note(f"the state ({ours.resources} resources) was moved to s3://{bucket}/{key}")


def _may_follow(ours: Stored, theirs: Stored | None) -> bool:
    """Whether ours may take the place of what is there: nothing any more, or the same, older."""
    return theirs is not None and (theirs.resources == 0 or ours.follows(theirs))
