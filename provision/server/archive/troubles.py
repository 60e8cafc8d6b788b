"""What drivers and file systems raise, as errors with a next step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy

from provision.errors import MissingError, ProvisionError, RefusedError
from provision.server.failures import code_for, first_line

_STEPS = {
    "disk-full": "free space on that disk, then run this again: it goes on where it stopped",
    "not-writable": "give this user the right to write there, or name another folder",
    "database-locked": "end the program that has the file open, then run this again",
}

# Not imported: where no bucket is used, nobody waits for boto3.
_OF_S3 = ("botocore.", "boto3.")
_S3_STEP = (
    "provision status tells whether these credentials reach the account; then run this again: it "
    "goes on where it stopped"
)


@contextmanager
def explained(doing: str) -> Iterator[None]:
    """Say what went wrong while `doing`; errors of ours pass."""
    try:
        yield
    except ProvisionError:
        raise
    except (OSError, sqlalchemy.exc.SQLAlchemyError, ValueError) as error:
        raise _explain(doing, error) from error
    except Exception as error:
        if not type(error).__module__.startswith(_OF_S3):
            raise
        raise ProvisionError(f"{doing}: {first_line(error)}", next_step=_S3_STEP) from error


def _explain(doing: str, error: Exception) -> ProvisionError:
    code = code_for(error) or ""
    what = f"{doing}: {first_line(error)}"
    if code in _STEPS:
        return MissingError(what, next_step=_STEPS[code])
    if code == "database-damaged":
        return RefusedError(
            what, next_step="put a copy of the database in its place, then run this again"
        )
    return ProvisionError(what, next_step="mend what it says, then run this again")
