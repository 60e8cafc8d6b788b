"""`python -m provision.server.archive.hosted ACTION BUCKET OWNER JOB DETAILS`, on the machine.

RDS is private, so its own machine copies the databases: `export` into the part of the stack's
bucket that belongs to the job, `fill` from there. `collect` looks through MLflow's trash; DETAILS,
a JSON object, say how. What it says lies in that part too, as `said.json`, the last event of
`reporting.py`; nobody can hear it otherwise.
"""

from __future__ import annotations

import io
import json
import logging
import os
import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy

from provision.errors import MissingError, ProvisionError
from provision.server.archive.bucket import Bucket
from provision.server.archive.ferried import FILLED
from provision.server.archive.manifest import DATABASE, USERS
from provision.server.archive.reporting import Reporter
from provision.server.database import probe_engine
from provision.server.places import Place
from provision.server.settings import ServerSettings

SAID = "said.json"
SETTINGS = Path("/etc/provision/server.json")
_EVERY_SECONDS = 1.0
_FOLDER = "transfer"
_SPARE_BYTES = 256 << 20


def main(arguments: list[str]) -> int:
    """Do the job; exit codes are those of `provision` itself."""
    logging.basicConfig(level=logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    action, bucket, owner, job, details = arguments
    uri = f"s3://{bucket}/provision/transfer/{job}"
    store = Bucket(uri, os.environ["AWS_DEFAULT_REGION"], owner)
    with _Voice(store) as voice:
        reporter = Reporter(voice)
        try:
            reporter.phase("loading MLflow on the machine")
            settings = ServerSettings.load(SETTINGS)
            place = _place(settings, owner)
            with _folder(settings) as folder:
                work = {"export": _export, "fill": _fill, "collect": _collect}[action]
                reporter.finish(work(_Job(place, store, folder, json.loads(details)), reporter))
        except ProvisionError as error:
            reporter.fail(error)
            return error.exit_code
        except Exception as error:
            logging.exception("the job failed")
            what = f"on the machine: {type(error).__name__}: {error}"
            reporter.fail(ProvisionError(what, next_step="provision logs transfer says more"))
            return 1
    return 0


@contextmanager
def _folder(settings: ServerSettings) -> Iterator[Path]:
    """Where the databases lie meanwhile; what a killed job left goes first."""
    folder = Path(settings.backup_dir).parent / _FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True)
class _Job:
    """The server's own data, the job's part of the bucket, a folder for it here, and how."""

    place: Place
    store: Bucket
    folder: Path
    details: dict[str, Any]


def _place(settings: ServerSettings, owner: str) -> Place:
    auth = settings.auth
    return Place(
        name="the server",
        database_url=settings.database_url,
        artifacts=settings.artifacts_destination,
        users_url=auth.database_url if auth else None,
        admin=auth.admin_username if auth else "",
        admin_password_file=auth.admin_password_file if auth else "",
        region=os.environ["AWS_DEFAULT_REGION"],
        owner=owner,
    )


def _collect(job: _Job, reporter: Reporter) -> dict[str, Any]:
    from provision.server.archive.collecting import collect  # noqa: PLC0415 - loads MLflow

    return collect(job.place, reporter, job.details)


def _export(job: _Job, reporter: Reporter) -> dict[str, Any]:
    from provision.server.archive.archiving import databases  # noqa: PLC0415 - loads MLflow

    _require_space(job.place, job.folder)
    files = databases(job.place, job.folder, reporter)
    total = sum(file.stat().st_size for file in files)
    reporter.phase("uploading the database", total, "bytes")
    for file in files:
        job.store.upload(file, file.name, reporter.advance)
    return {"files": [file.name for file in files]}


def _require_space(place: Place, folder: Path) -> None:
    """A copy takes about as much as the database itself."""
    query = "SELECT pg_database_size(current_database())"
    with probe_engine(place.database_url).connect() as connection:
        needed = int(connection.execute(sqlalchemy.text(query)).scalar_one()) + _SPARE_BYTES
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise MissingError(
            f"a copy of the database takes {needed >> 20} MiB on the server's machine, and "
            f"{free >> 20} MiB are free there",
            next_step="provision ssh -- df -h / shows what fills its disk; free space on it",
        )


def _fill(job: _Job, reporter: Reporter) -> dict[str, Any]:
    from provision.server.archive import restoring  # noqa: PLC0415

    reporter.phase("fetching what is restored", 0, "bytes")
    found = {
        name: job.store.download(f"{FILLED}/{name}", job.folder / name, reporter.advance)
        for name in (DATABASE, USERS)
    }
    if not found[DATABASE]:
        raise MissingError(
            f"{DATABASE} is not in the bucket any more", next_step="run the same command again"
        )
    place = Place(
        name="what is restored",
        database_url=f"sqlite:///{job.folder / DATABASE}",
        artifacts=job.place.artifacts,
        users_url=f"sqlite:///{job.folder / USERS}" if found[USERS] else None,
    )
    return restoring.rows(place, job.place, reporter)


class _Voice(io.StringIO):
    """Keeps the last line, and puts it into the bucket once a second and at the end."""

    def __init__(self, store: Bucket) -> None:
        super().__init__()
        self._store = store
        self._line = self._told = ""
        self._over = threading.Event()
        self._teller = threading.Thread(target=self._tell_on, daemon=True)

    def __enter__(self) -> _Voice:
        self._teller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._teller.join()
        self._tell()

    def write(self, text: str) -> int:
        # A note would be lost under the next event; what it says is in the machine's journal.
        if json.loads(text)["event"] != "note":
            self._line = text
        else:
            logging.warning("%s", text.strip())
        return len(text)

    def _tell_on(self) -> None:
        while not self._over.wait(_EVERY_SECONDS if self._told else 0):
            self._tell()

    def _tell(self) -> None:
        line = self._line
        if line != self._told:
            self._store.write(SAID, line.encode())
            self._told = line


if __name__ == "__main__":
    os.umask(0o077)
    sys.exit(main(sys.argv[1:]))
