"""Why the server did not start: a code for programs, a sentence and a next step for people."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from provision.errors import ProvisionError

EXIT_FINAL = 78
"""EX_CONFIG of sysexits.h: starting again changes nothing, somebody has to act first."""

EXIT_TEMPORARY = 75
"""EX_TEMPFAIL of sysexits.h: what is missing may come back, so the supervisor tries again."""

_ERRNO_CODES = {
    errno.ENOSPC: "disk-full",
    errno.EDQUOT: "disk-full",
    errno.EACCES: "not-writable",
    errno.EPERM: "not-writable",
    errno.EROFS: "not-writable",
    errno.ENOTDIR: "not-writable",
    errno.ENOENT: "not-writable",
}

# Primary result codes of SQLite, https://www.sqlite.org/rescode.html
_SQLITE_CODES = {
    5: "database-locked",
    6: "database-locked",
    3: "not-writable",
    8: "not-writable",
    14: "not-writable",
    13: "disk-full",
    11: "database-damaged",
    26: "database-damaged",
}

# Classes and codes of PostgreSQL, https://www.postgresql.org/docs/current/errcodes-appendix.html
_POSTGRES_CODES = {
    "53100": "disk-full",
    "25006": "not-writable",
    "42501": "not-writable",
    "XX001": "database-damaged",
    "XX002": "database-damaged",
}


class BootError(ProvisionError):
    """The server could not start; `code` is stable, `temporary` says whether a restart may help."""

    def __init__(self, code: str, message: str, *, next_step: str, temporary: bool = False) -> None:
        super().__init__(message, next_step=next_step)
        self.code = code
        self.temporary = temporary
        self.exit_code = EXIT_TEMPORARY if temporary else EXIT_FINAL


def _chain(error: BaseException) -> Iterator[BaseException]:
    # SQLAlchemy keeps the driver's error in `orig`, MLflow wraps both once more.
    seen: set[int] = set()
    queue: list[BaseException | None] = [error]
    while queue:
        current = queue.pop(0)
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        queue += [getattr(current, "orig", None), current.__cause__, current.__context__]


def _code_of(error: BaseException) -> str | None:
    sqlite_code = getattr(error, "sqlite_errorcode", None)
    if isinstance(sqlite_code, int):
        # Extended codes carry the primary one in their low byte.
        return _SQLITE_CODES.get(sqlite_code & 0xFF)
    postgres_code = getattr(error, "pgcode", None)
    if isinstance(postgres_code, str):
        return _POSTGRES_CODES.get(postgres_code)
    if isinstance(error, OSError) and error.errno is not None:
        return _ERRNO_CODES.get(error.errno)
    return None


def code_for(error: BaseException) -> str | None:
    """The code that an exception from SQLite, Postgres or the file system stands for, if known."""
    return next((code for link in _chain(error) if (code := _code_of(link))), None)


def first_line(error: BaseException) -> str:
    """What went wrong in one line: the innermost cause's own words, without a traceback."""
    innermost = next((e for e in _chain(error) if getattr(e, "orig", None) is None), error)
    text = str(innermost).strip()
    return text.splitlines()[0] if text else type(innermost).__name__
