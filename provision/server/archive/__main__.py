"""`python -m provision.server.archive`: a job as one JSON line on stdin, events on stdout.

It ends when its stdin does: whoever started it has gone, and nobody would hear the result.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from provision.errors import ProvisionError, UsageError
from provision.server.archive.ferried import at_hand
from provision.server.archive.reporting import Reporter
from provision.server.places import Place

Job = Mapping[str, Any]


def main() -> int:
    """Do the job; exit codes are those of `provision` itself."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    # MLflow's migrations print; only events may reach the caller.
    os.dup2(2, 1)
    logging.basicConfig(level=logging.WARNING)
    os.umask(0o077)
    reporter = Reporter(out)
    try:
        job = json.loads(sys.stdin.readline())
        threading.Thread(target=_end_with_the_caller, daemon=True).start()
        reporter.phase("loading MLflow")
        reporter.finish(_job(job)(job, reporter))
    except ProvisionError as error:
        reporter.fail(error)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    return 0


def _end_with_the_caller() -> None:
    # Past Python's buffer, whose lock a waiting thread would still hold at the end.
    while os.read(0, 4096):
        pass
    os._exit(1)


def _job(job: Job) -> Callable[[Job, Reporter], dict[str, Any]]:
    # What loads MLflow's migrations tells about them; these runs create databases by the dozen.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    known = {
        "archive": _archive,
        "restore": _restore,
        "move": _move,
        "migrate": _migrate,
        "collect": _collect,
    }
    action = str(job.get("action"))
    if action not in known:
        raise UsageError(f"{action}: not a job of this program", next_step="provision --help")
    return known[action]


def _archive(job: Job, reporter: Reporter) -> dict[str, Any]:
    from provision.server.archive.archiving import archive  # noqa: PLC0415 - loads MLflow

    with at_hand(Place.from_json(job["source"]), reporter) as place:
        folder, users, user = Path(job["folder"]), bool(job["users"]), str(job.get("user", ""))
        return archive(place, folder, reporter, users=users, user=user)


def _restore(job: Job, reporter: Reporter) -> dict[str, Any]:
    from provision.server.archive import filestore, restoring  # noqa: PLC0415

    folder, room = Path(job["folder"]), job.get("room", "empty")
    with at_hand(Place.from_json(job["target"]), reporter, filled=True) as target:
        if not filestore.is_one(folder):
            source = restoring.from_archive(folder, reporter, changed=bool(job["changed"]))
            return restoring.restore(source, target, reporter, users=bool(job["users"]), room=room)
        with filestore.converted(folder, job.get("artifacts"), target, reporter) as source:
            return restoring.restore(source, target, reporter, users=False, room=room)


def _move(job: Job, reporter: Reporter) -> dict[str, Any]:
    from provision.server.archive import restoring  # noqa: PLC0415

    place, other = (Place.from_json(job[name]) for name in ("source", "target"))
    with at_hand(place, reporter) as source, at_hand(other, reporter, filled=True) as target:
        found = restoring.from_stack(source)
        users, room = bool(job["users"]), job.get("room", "empty")
        return restoring.restore(found, target, reporter, users=users, room=room)


def _migrate(job: Job, reporter: Reporter) -> dict[str, Any]:
    from provision.server.archive.migrating import migrate  # noqa: PLC0415

    return migrate(Place.from_json(job["source"]), reporter)


def _collect(job: Job, reporter: Reporter) -> dict[str, Any]:
    from provision.server.archive.collecting import collect  # noqa: PLC0415

    return collect(Place.from_json(job["source"]), reporter, job)


if __name__ == "__main__":
    sys.exit(main())
