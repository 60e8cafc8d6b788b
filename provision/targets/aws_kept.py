"""What a machine archived before its account took it down: its databases, in the bucket that stays.

The artifacts are where they were, so both together are all that there was (`host/ending.py`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from provision.adapters import workspace
from provision.adapters.cloud.objects import keys_below, read_object
from provision.adapters.cloud.server import machine_state
from provision.server.places import Place
from provision.targets.aws_data import PREFIX, Ferry
from provision.targets.aws_record import AwsPaths
from provision.targets.aws_remote import AwsRemote
from provision.targets.base import Progress

_ENDED: Final = "ended-"
_SAID: Final = "/said.json"
_ENDING: Final = ("shutting-down", "terminated", "gone")


def kept(remote: AwsRemote, progress: Progress) -> Ferry | None:
    """The newest archive of a machine that is gone; `None` where it is there, or made none."""
    outputs = remote.outputs
    if outputs.server is None or outputs.artifacts is None:
        return None
    cloud = remote.opening.cloud
    if machine_state(cloud, outputs.server.instance_id) not in _ENDING:
        return None
    ferry = Ferry(remote, progress)
    keys = keys_below(cloud, ferry.bucket, PREFIX + _ENDED)
    for key in reversed([key for key in keys if key.endswith(_SAID)]):
        said = json.loads(read_object(cloud, ferry.bucket, key) or b"{}")
        if said.get("event") == "done":
            ferry.job = key.removeprefix(PREFIX).removesuffix(_SAID)
            return ferry
    return None


@contextmanager
def opened(ferry: Ferry, paths: AwsPaths) -> Iterator[Place]:
    """Where the data is, to be read; the archive stays where it is."""
    scratch = paths.root / "scratch"
    with workspace.exclusive(paths.lock, wait_seconds=180.0, on_wait=ferry.progress.note):
        workspace.remove_folder(scratch)
        workspace.make_folder(scratch)
        try:
            yield ferry.place(scratch, paths.password)
        finally:
            workspace.remove_folder(scratch)
