"""One store's whole content into another stack: artifacts first, the rows last and at once.

Until the last commit the target's database is as it was, so an interruption loses nothing; the
same command then goes on, as artifacts that are there already are not copied again.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import Connection

from provision.errors import RefusedError
from provision.server import locations
from provision.server.archive import accounts, copying, files, manifest, mixing, stores, sums
from provision.server.archive.artifacts import Folders, Item, Origin, origin_of, sink_of, spread
from provision.server.archive.contents import require_empty
from provision.server.archive.manifest import Manifest
from provision.server.archive.reporting import Reporter
from provision.server.archive.rewriting import Rewriter
from provision.server.archive.stores import Tables
from provision.server.archive.troubles import explained
from provision.server.database import initialise
from provision.server.places import Place
from provision.server.schemas import TRACKING, State

Room = Literal["empty", "replaced", "mixed"]
"""What a target may hold."""
_SPARES = ".provision-restore-"


@dataclass(frozen=True)
class Source:
    """What is copied: a place, where its artifacts come from, and what it must hold.

    `items` lists its artifacts; `expected` the digests of its tables where they were written down.
    `rows_alone`: somebody else copies the artifacts.
    """

    place: Place
    origin: Callable[[Connection, Tables], Origin]
    items: Callable[[Origin], Iterator[Item]]
    expected: Manifest | None = None
    rows_alone: bool = False


def from_stack(place: Place) -> Source:
    """A stack's own store as the source."""
    return Source(
        place,
        lambda connection, tables: origin_of(place, connection, tables["experiments"]),
        every_item,
    )


def every_item(origin: Origin) -> Iterator[Item]:
    """All artifacts as they are."""
    return map(Item, origin.all(lambda _: None))


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
        return Source(place, from_stack(place).origin, every_item)
    manifest.check_sums(folder, made)
    _check_files(folder, made, reporter)
    return Source(place, from_stack(place).origin, lambda _: _listed(folder), expected=made)


def _listed(folder: Path) -> Iterator[Item]:
    prefix = manifest.ARTIFACTS + "/"
    for item in sums.read(folder / sums.NAME):
        if item.path.startswith(prefix):
            name = item.path.removeprefix(prefix)
            yield Item(files.Found(folder / item.path, name), item.digest)


def _check_files(folder: Path, made: Manifest, reporter: Reporter) -> None:
    reporter.phase("checking the archive", made.artifacts["bytes"], "bytes")
    for item in sums.read(folder / sums.NAME):
        if not item.path.startswith(manifest.ARTIFACTS + "/"):
            continue
        path = folder / item.path
        try:
            whole = sums.of_file(path) == item.digest
        except FileNotFoundError:
            whole = False
        if not whole:
            raise manifest.damaged(path)
        reporter.advance(path.stat().st_size)


def restore(
    source: Source, target: Place, reporter: Reporter, *, users: bool, room: Room = "empty"
) -> dict[str, Any]:
    """Copy everything into a target with that room (`RefusedError` otherwise, nothing was changed).

    `replaced`: all its rows go, and artifacts of the same names are overwritten. `mixed`: it may
    hold other things, and `users` are left out; see `mixing.py`.
    """
    with explained(f"restoring into {target.name}"):
        reading_engine = stores.engine_for(source.place.database_url)
        stores.require_current(reading_engine, TRACKING, "what is to be restored")
        engine = stores.engine_for(target.database_url)
        if TRACKING.state(engine)[0] is State.EMPTY:
            reporter.phase("making an empty database")
            initialise(engine, TRACKING)
        stores.require_current(engine, TRACKING, "the stack's database")
        old, new = (stores.tables_of(one, TRACKING) for one in (reading_engine, engine))
        with stores.snapshot(reading_engine) as reading:
            with stores.snapshot(engine) as looking:
                _require_room((reading, old), (looking, new), target.name, room)
            origin = source.origin(reading, old)
            replace = room == "replaced"
            copied = _artifacts(source, origin, target, reporter, replace=replace)
            restored = None
            if users:
                restored = accounts.restore(source.place, target, reporter, replace=replace)
            rewriter = _rewriter(origin, target, mix=room == "mixed")
            with stores.filling(engine) as writing:
                _require_room((reading, old), (writing, new), source.place.name, room)
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
        "renumbered": rewriter.new if isinstance(rewriter, mixing.Mixer) else {},
    }


def _require_room(
    source: tuple[Connection, Tables], target: tuple[Connection, Tables], name: str, room: Room
) -> None:
    if room == "empty":
        require_empty(*target, name)
    if room == "mixed":
        mixing.require_only_default_workspace(source[0], source[1].get("workspaces"))
        mixing.require_no_clash(source, target, name)


def rows(place: Place, target: Place, reporter: Reporter) -> dict[str, Any]:
    """The databases of a store alone, into an empty one; somebody else copies its artifacts."""
    source = Source(place, lambda *_: Folders([]), every_item, rows_alone=True)
    return restore(source, target, reporter, users=True)


def _rewriter(origin: Origin, target: Place, *, mix: bool) -> Rewriter:
    back = None if target.served else locations.localiser(Path(target.artifacts), "")
    return (mixing.Mixer if mix else Rewriter)(origin.changes(), back)


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
    before: copying.Contents = {}
    if isinstance(rewriter, mixing.Mixer):
        rewriter.new = mixing.numbers(reading, writing)
        before = copying.read_all(target, known, reporter)
    else:
        copying.clear(target, known)
    contents = copying.copy(reading, writing, rewriter, reporter, "the database")
    copying.prove(target, known, copying.together(before, contents), reporter)
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


def _artifacts(
    source: Source, origin: Origin, target: Place, reporter: Reporter, *, replace: bool
) -> dict[str, int]:
    number = size = 0
    if source.rows_alone:
        return {"files": number, "bytes": size}
    reporter.phase("copying artifacts", 0, "bytes")
    items = source.items(origin)
    with _spares(target) as spares:
        sink = sink_of(target, spares, replace=replace)
        many = max(origin.at_once, sink.at_once)
        for one in spread(lambda item: sink.put(item, reporter.advance), items, many):
            number, size = number + 1, size + one
    files.sync_everything()
    return {"files": number, "bytes": size}


@contextmanager
def _spares(target: Place) -> Iterator[Path]:
    """A folder for files on their way: on the target's disk, so that they can be renamed."""
    parent = None
    if not target.in_bucket:
        parent = Path(target.artifacts)
        parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=_SPARES, dir=parent) as folder:
        yield Path(folder)
