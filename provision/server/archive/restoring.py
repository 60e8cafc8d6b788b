"""One store's whole content into another stack: artifacts first, the rows last and at once.

Until the last commit the target's database is as it was, so an interruption loses nothing; the
same command then goes on, as artifacts that are there already are not copied again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from provision.errors import RefusedError
from provision.server import locations
from provision.server.archive import accounts, copying, files, manifest, stores, sums
from provision.server.archive.contents import require_empty
from provision.server.archive.manifest import Manifest
from provision.server.archive.reporting import Reporter
from provision.server.archive.rewriting import Rewriter, Root, roots_of
from provision.server.archive.stores import Tables
from provision.server.archive.troubles import explained
from provision.server.database import initialise
from provision.server.places import Place
from provision.server.schemas import TRACKING, State

_SPARE = ".provision-restore"


@dataclass(frozen=True)
class Item:
    """An artifact to copy; with `digest`, what its content has to be."""

    path: Path
    name: str
    digest: str = ""


@dataclass(frozen=True)
class Source:
    """What is copied: a place, how its locations map to folders, and what it must hold.

    `items` lists its artifacts; `expected` the digests of its tables where they were written down.
    """

    place: Place
    roots: Callable[[Connection, Tables], list[Root]]
    items: Callable[[list[Root]], Iterator[Item]]
    expected: Manifest | None = None


def from_stack(place: Place) -> Source:
    """A stack's own store as the source."""
    return Source(
        place,
        lambda connection, tables: roots_of(connection, tables["experiments"], place),
        lambda roots: (Item(f.path, f.name) for f in files.found_in(roots, lambda _: None)),
    )


def from_archive(folder: Path, reporter: Reporter, *, changed: bool) -> Source:
    """An archive as the source, after every file was compared with its digest.

    With `changed`, its database may be another than the one that was written: somebody went on
    working with it. Raises `RefusedError` for a damaged one.
    """
    made = manifest.load(folder)
    users = folder / manifest.USERS
    place = Place(
        name=made.name,
        database_url=f"sqlite:///{folder / manifest.DATABASE}",
        artifacts=str(folder / manifest.ARTIFACTS),
        users_url=f"sqlite:///{users}" if made.users is not None and users.exists() else None,
    )
    if changed:
        return Source(place, from_stack(place).roots, from_stack(place).items)
    manifest.check_sums(folder, made)
    _check_files(folder, made, reporter)
    return Source(place, from_stack(place).roots, lambda _: _listed(folder), expected=made)


def _listed(folder: Path) -> Iterator[Item]:
    prefix = manifest.ARTIFACTS + "/"
    for item in sums.read(folder / sums.NAME):
        if item.path.startswith(prefix):
            yield Item(folder / item.path, item.path.removeprefix(prefix), item.digest)


def _check_files(folder: Path, made: Manifest, reporter: Reporter) -> None:
    reporter.phase("checking the archive", made.artifacts["bytes"], "bytes")
    for item in _listed(folder):
        try:
            whole = sums.of_file(item.path) == item.digest
        except FileNotFoundError:
            whole = False
        if not whole:
            raise manifest.damaged(item.path)
        reporter.advance(item.path.stat().st_size)


def restore(source: Source, target: Place, reporter: Reporter, *, users: bool) -> dict[str, Any]:
    """Copy everything; the target must be empty (`RefusedError` otherwise, nothing was changed)."""
    with explained(f"restoring into {target.name}"):
        reading_engine = stores.engine_for(source.place.database_url)
        stores.require_current(reading_engine, TRACKING, "what is to be restored")
        engine = stores.engine_for(target.database_url)
        if TRACKING.state(engine)[0] is State.EMPTY:
            reporter.phase("making an empty database")
            initialise(engine, TRACKING)
        stores.require_current(engine, TRACKING, "the stack's database")
        old, new = (stores.tables_of(one, TRACKING) for one in (reading_engine, engine))
        with stores.snapshot(engine) as looking:
            require_empty(looking, new, target.name)
        with stores.snapshot(reading_engine) as reading:
            roots = source.roots(reading, old)
            copied = _artifacts(source.items(roots), target, reporter)
            restored = accounts.restore(source.place, target, reporter) if users else None
            rewriter = _rewriter(roots, target)
            with stores.filling(engine) as writing:
                contents = _rows(source, (reading, old), (writing, new), rewriter, reporter)
    tables = copying.to_json(contents)
    return {
        "counts": manifest.counts_of(tables),
        "rows": sum(table["rows"] for table in tables.values()),
        "accounts": restored,
        "artifacts": copied,
        "left": rewriter.left,
        "left_examples": rewriter.examples,
        "gateway_keys": contents["secrets"].rows,
    }


def _rewriter(roots: list[Root], target: Place) -> Rewriter:
    back = None if target.served else locations.localiser(Path(target.artifacts), "")
    return Rewriter([root.serves() for root in roots], back)


def _rows(
    source: Source,
    reading: tuple[Connection, Tables],
    writing: tuple[Connection, Tables],
    rewriter: Rewriter,
    reporter: Reporter,
) -> copying.Contents:
    if source.expected is not None:
        _require_unchanged(source.expected, reading, reporter)
    target, known = writing
    require_empty(target, known, source.place.name)
    copying.clear(target, known)
    contents = copying.copy(reading, writing, rewriter, reporter, "the database")
    copying.prove(target, known, contents, reporter)
    copying.set_sequences(target, known)
    return contents


def _require_unchanged(
    made: Manifest, reading: tuple[Connection, Tables], reporter: Reporter
) -> None:
    """Raise `RefusedError` unless the archive's tables are what its manifest says."""
    connection, known = reading
    reporter.phase(
        "checking the archive's rows", sum(t["rows"] for t in made.tables.values()), "rows"
    )
    for name, expected in made.tables.items():
        if name in stores.PASSING:
            continue
        if (
            name not in known
            or copying.read(connection, known[name], reporter).to_json() != expected
        ):
            raise RefusedError(
                f"the archive's table {name} is not what was archived: the database was damaged, "
                "or somebody went on working with it",
                next_step="use another copy of this archive, or add --changed to restore it as it "
                "is now",
            )


def _artifacts(items: Iterator[Item], target: Place, reporter: Reporter) -> dict[str, int]:
    folder = Path(target.artifacts)
    folder.mkdir(parents=True, exist_ok=True)
    reporter.phase("copying artifacts", 0, "bytes")
    spare = folder / _SPARE
    number = size = 0
    try:
        for item in items:
            size += _artifact(item, folder / item.name, spare, reporter)
            number += 1
    finally:
        spare.unlink(missing_ok=True)
    files.sync_everything()
    return {"files": number, "bytes": size}


def _artifact(item: Item, place: Path, spare: Path, reporter: Reporter) -> int:
    if place.exists():
        wanted = item.digest or sums.of_file(item.path)
        if sums.of_file(place) != wanted:
            raise RefusedError(
                f"{place} is there already, with other content",
                next_step="move it away, then run this again; nothing was changed",
            )
        return place.stat().st_size
    digest = files.copy(item.path, place, spare, reporter.advance)
    if item.digest and digest != item.digest:
        place.unlink(missing_ok=True)
        raise manifest.damaged(item.path)
    return place.stat().st_size if digest else 0
