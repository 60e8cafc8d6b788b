"""Make an archive of a store: the database as one snapshot, then the artifacts, then the proof."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine

from provision._version import __version__
from provision.errors import MissingError, ProvisionError, RefusedError
from provision.server import sqlite_file
from provision.server.archive import copying, files, manifest, personal, stores, sums
from provision.server.archive.artifacts import Artifact, Origin, origin_of, spare_in, spread
from provision.server.archive.journal import NAME as JOURNAL
from provision.server.archive.journal import Journal
from provision.server.archive.reporting import Reporter
from provision.server.archive.rewriting import Rewriter
from provision.server.archive.stores import Tables
from provision.server.archive.sums import Fetched
from provision.server.archive.troubles import explained
from provision.server.database import initialise
from provision.server.places import Place
from provision.server.schemas import AUTH, TRACKING, Schema

_PARTIAL = ".partial"
_MARK = ".unfinished"
_LOCK = ".lock"
_SPARE_BYTES = 64 << 20


@dataclass(frozen=True)
class _Work:
    """What is archived, where to, and the notes of how far it is."""

    place: Place
    folder: Path
    journal: Journal
    reporter: Reporter
    user: str


@dataclass(frozen=True)
class _Copied:
    """One database of the archive."""

    contents: copying.Contents
    revision: str
    rewriter: Rewriter
    origin: Origin


def archive(
    place: Place, folder: Path, reporter: Reporter, *, users: bool, user: str = ""
) -> dict[str, Any]:
    """Write an archive into `folder`, or go on with one that was interrupted.

    With `user`, only what belongs to that person, and no accounts.

    Raises `RefusedError` for a folder that holds something else, and `MissingError` where the disk
    is full. Nothing of the source is changed. Memory does not grow with the store.
    """
    with explained(f"writing the archive {folder}"), _held(folder, place, user):
        copied = _database(place, folder, reporter, user)
        (folder / manifest.USERS).unlink(missing_ok=True)
        accounts = None
        if users and place.users_url and not user:
            accounts = _accounts(place, folder, reporter)
        with closing(Journal(folder)) as journal:
            work = _Work(place, folder, journal, reporter, user)
            skipped = _artifacts(work, copied.origin)
            made = _manifest(work, copied, accounts, skipped)
        made.save(folder)
        _tidy(folder)
    return _result(folder, made, copied.rewriter)


def databases(place: Place, folder: Path, reporter: Reporter) -> list[Path]:
    """The databases of a store alone, as SQLite files in `folder`: what an archive holds of them.

    For a store whose artifacts somebody else copies.
    """
    with explained(f"copying the database of {place.name}"):
        _database(place, folder, reporter)
        if place.users_url:
            _accounts(place, folder, reporter)
    return [file for n in (manifest.DATABASE, manifest.USERS) if (file := folder / n).exists()]


def _result(folder: Path, made: manifest.Manifest, rewriter: Rewriter) -> dict[str, Any]:
    return {
        "folder": str(folder),
        "counts": dict(made.counts),
        "rows": sum(table["rows"] for table in made.tables.values()),
        "accounts": made.users["users"]["rows"] if made.users else None,
        "artifacts": dict(made.artifacts),
        "left": made.left,
        "left_examples": rewriter.examples,
        "skipped": made.skipped,
    }


# -- the folder -----------------------------------------------------------------------------------


@contextmanager
def _held(folder: Path, place: Place, user: str) -> Iterator[None]:
    """Own the folder: it is new, empty, or holds an unfinished archive of the same stack."""
    folder.mkdir(parents=True, exist_ok=True)
    mark = f"{place.name} {place.artifacts} {user}".strip()
    _require_usable(folder, place, mark)
    folder.chmod(0o700)
    descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        (folder / _MARK).write_text(mark + "\n", encoding="utf-8")
        yield
    except BlockingIOError:
        raise RefusedError(
            f"another command writes an archive into {folder}",
            next_step="wait until it has ended, or choose another folder",
        ) from None
    finally:
        os.close(descriptor)


def _require_usable(folder: Path, place: Place, wanted: str) -> None:
    names = {entry.name for entry in folder.iterdir()} - {_LOCK}
    if not names:
        return
    if manifest.FILE in names:
        made = manifest.load(folder)
        raise RefusedError(
            f"{folder} holds an archive of {made.name} already, made at {made.created_at}",
            next_step="choose another folder",
        )
    mark = folder / _MARK
    if _MARK not in names or mark.read_text(encoding="utf-8").strip() != wanted:
        raise RefusedError(
            f"{folder} is not empty, and holds no unfinished archive of {place.name}",
            next_step="choose a folder that is empty or does not exist yet",
        )


def _tidy(folder: Path) -> None:
    shutil.rmtree(folder / _PARTIAL, ignore_errors=True)
    for name in (JOURNAL, JOURNAL + "-journal", _MARK, _LOCK):
        (folder / name).unlink(missing_ok=True)


# -- the databases --------------------------------------------------------------------------------


def _database(place: Place, folder: Path, reporter: Reporter, user: str = "") -> _Copied:
    source = stores.engine_for(place.database_url)
    stores.require_current(source, TRACKING, "the store")
    target, part = _fresh(folder / manifest.DATABASE, TRACKING, reporter)
    old, new = stores.tables_of(source, TRACKING), stores.tables_of(target, TRACKING)
    with stores.snapshot(source) as reading:
        origin = origin_of(place, reading, old["experiments"])
        rewriter = Rewriter(origin.changes())
        where: copying.Where = copying.everything
        if user:
            own = personal.part_of(place, reading, old, user)
            where = own.where
            folders = own.folders(reading, Rewriter(origin.changes()).location)
            origin = personal.Own(origin, folders)
        contents = _fill((reading, old), (target, new), rewriter, reporter, "the database", where)
    _publish(target, part, folder / manifest.DATABASE)
    return _Copied(contents, TRACKING.head(), rewriter, origin)


def _accounts(place: Place, folder: Path, reporter: Reporter) -> copying.Contents | None:
    source = stores.engine_for(place.users_url or "")
    if AUTH.state(source)[0].value == "empty":
        return None
    stores.require_current(source, AUTH, "the accounts")
    target, part = _fresh(folder / manifest.USERS, AUTH, reporter)
    old, new = stores.tables_of(source, AUTH), stores.tables_of(target, AUTH)
    with stores.snapshot(source) as reading:
        contents = _fill((reading, old), (target, new), None, reporter, "the accounts")
    _publish(target, part, folder / manifest.USERS)
    return contents


def _fresh(path: Path, schema: Schema, reporter: Reporter) -> tuple[Engine, Path]:
    reporter.phase("making an empty database")
    part = path.with_name(path.name + ".part")
    for leftover in (part, part.with_name(part.name + "-journal")):
        leftover.unlink(missing_ok=True)
    engine = stores.engine_for(f"sqlite:///{part}")
    initialise(engine, schema)
    return engine, part


def _fill(  # noqa: PLR0913, PLR0917 - as `copying.copy`
    source: tuple[Connection, Tables],
    target: tuple[Engine, Tables],
    rewriter: Rewriter | None,
    reporter: Reporter,
    what: str,
    where: copying.Where = copying.everything,
) -> copying.Contents:
    engine, known = target
    with stores.filling(engine) as writing:
        copying.clear(writing, known)
        contents = copying.copy(source, (writing, known), rewriter, reporter, what, where=where)
    with stores.snapshot(engine) as reading:
        copying.prove(reading, known, contents, reporter)
    return contents


def _publish(engine: Engine, part: Path, path: Path) -> None:
    engine.dispose()
    sqlite_file.publish(part, path)


# -- the artifacts --------------------------------------------------------------------------------


def _artifacts(work: _Work, origin: Origin) -> int:
    folder, reporter = work.folder, work.reporter
    reporter.phase("looking at the artifacts")
    skipped: list[object] = []
    size = sum(_size_of(item) for item in origin.all(skipped.append))
    _require_space(folder, size - work.journal.totals()[1])
    for one in skipped[:5]:
        reporter.note(f"{one} is left out: {_LEFT_OUT}")
    reporter.phase("copying artifacts", size, "bytes")
    (folder / _PARTIAL).mkdir(exist_ok=True)
    missing = _missing(work, origin.all(lambda _: None))
    for name, fetched in spread(lambda item: _fetched(work, item), missing, origin.at_once):
        if fetched is not None:
            work.journal.add(name, fetched)
    work.journal.forget_unseen()
    return len(skipped)


_LEFT_OUT = "it leads out of the artifact folder, or its name can be no file's"


def _missing(work: _Work, items: Iterator[Artifact]) -> Iterator[Artifact]:
    """What no earlier try has copied."""
    for item in items:
        name, facts = _named(item), item.facts()
        if facts is None:
            continue
        if work.journal.known(name, facts) and _size(work.folder / name) == facts.size:
            work.reporter.advance(facts.size)
        else:
            yield item


def _named(item: Artifact) -> str:
    return f"{manifest.ARTIFACTS}/{item.name}"


def _fetched(work: _Work, item: Artifact) -> tuple[str, Fetched | None]:
    spare, name = spare_in(work.folder / _PARTIAL), _named(item)
    fetched = item.fetch(spare, work.reporter.advance)
    if fetched is not None:
        files.put_in_place(spare, work.folder / name, fetched)
    return name, fetched


def _size_of(item: Artifact) -> int:
    facts = item.facts()
    return facts.size if facts else 0


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _require_space(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed + _SPARE_BYTES:
        raise MissingError(
            f"the artifacts need {needed >> 20} MiB, and {free >> 20} MiB are free on the disk "
            f"that holds {folder}",
            next_step="free space there, or choose a folder on another disk",
        )


# -- the proof ------------------------------------------------------------------------------------


def _manifest(
    work: _Work, copied: _Copied, accounts: copying.Contents | None, skipped: int
) -> manifest.Manifest:
    folder, journal = work.folder, work.journal
    number, size = journal.totals()
    (folder / manifest.ARTIFACTS).mkdir(exist_ok=True)
    _remove_strays(folder, journal)
    created = datetime.now(UTC).isoformat(timespec="seconds")
    _write_readme(folder, work.place, created)
    work.reporter.phase("checking the artifacts", size, "bytes")
    digests = _sums(folder, journal, work.reporter)
    files.sync_everything()
    tables = copying.to_json(copied.contents)
    return manifest.Manifest(
        name=work.place.name,
        created_at=created,
        provision=__version__,
        mlflow=version("mlflow"),
        revision=copied.revision,
        counts=manifest.counts_of(tables),
        tables=tables,
        users=copying.to_json(accounts) if accounts else None,
        artifacts={"files": number, "bytes": size},
        sha256=digests,
        left=copied.rewriter.left,
        skipped=skipped,
        user=work.user,
    )


def _remove_strays(folder: Path, journal: Journal) -> None:
    """Files of an earlier try that the source does not have any more."""
    for parent, _, names in os.walk(folder / manifest.ARTIFACTS):
        for name in names:
            path = Path(parent) / name
            if not journal.has(path.relative_to(folder).as_posix()):
                path.unlink()


def _write_readme(folder: Path, place: Place, created: str) -> None:
    text = manifest.TEXT.format(
        name=place.name, provision=__version__, created_at=created, mlflow=version("mlflow")
    )
    (folder / manifest.README).write_text(text, encoding="utf-8")


def _sums(folder: Path, journal: Journal, reporter: Reporter) -> dict[str, str]:
    """Read every file again, compare, and write the list; returns the digests of what is small."""
    databases = [n for n in (manifest.DATABASE, manifest.USERS) if (folder / n).exists()]
    digests = {name: sums.of_file(folder / name) for name in databases}
    with (folder / sums.NAME).open("wb") as stream:
        for name, digest in digests.items():
            stream.write(sums.line(name, digest))
        for item in journal.all():
            path = folder / item.path
            if sums.of_file(path) != item.digest:
                raise ProvisionError(
                    f"{path} is not what was copied",
                    next_step="check that disk, then run this again",
                )
            stream.write(sums.line(*item))
            reporter.advance(path.stat().st_size)
    return {**digests, sums.NAME: sums.of_file(folder / sums.NAME)}
