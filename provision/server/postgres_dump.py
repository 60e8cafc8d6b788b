"""A Postgres database as a file, written by the server's own `pg_dump`."""

from __future__ import annotations

import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import URL

from provision.server.failures import BootError


def dump(pg_dump: str | None, url: URL, folder: Path, reason: str) -> Path:
    """Write the database in pg_dump's custom format (for `pg_restore`); returns the file.

    The password is in the URL's `passfile`, never in the arguments. Raises BootError
    `backup-failed`; then nothing has been changed.
    """
    if pg_dump is None:
        raise _failed("the settings name no pg_dump")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
    target = folder / f"{url.database}-{reason}-{stamp}.dump"
    part = target.with_name(target.name + ".part")
    os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        _run(pg_dump, url, part)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return target


def _run(pg_dump: str, url: URL, target: Path) -> None:
    # libpq does not know SQLAlchemy's name for the driver.
    address = url.set(drivername="postgresql").render_as_string(hide_password=False)
    command = [pg_dump, "-Fc", "--no-password", f"--file={target}", f"--dbname={address}"]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except OSError as error:
        raise _failed(str(error)) from error
    except subprocess.CalledProcessError as error:
        lines = error.stderr.strip().splitlines() or [f"exit code {error.returncode}"]
        raise _failed(lines[-1]) from error


def _failed(reason: str) -> BootError:
    return BootError(
        "backup-failed",
        f"the database was not upgraded, because it could not be backed up first: {reason}",
        next_step="install PostgreSQL's client programs in the server's version, or free space; "
        "then `provision up --upgrade-database`",
    )
