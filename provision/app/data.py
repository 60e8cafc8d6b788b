"""A stack's data out of it and into it: archive, restore, move, gc, as straight lines.

They know no rung by name: every target says where its data is, and one program does the copying.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from provision.model.transfer import Display
from provision.targets.base import Progress, Target

Event = Mapping[str, Any]
Collect = Callable[[Mapping[str, Any]], dict[str, Any]]


class Program(Protocol):
    """What does a job beside the data, and reports events on the way."""

    def run(self, job: Mapping[str, Any], on_event: Callable[[Event], None]) -> dict[str, Any]:
        """The job's result; raises what went wrong as a `ProvisionError`."""


@dataclass(frozen=True)
class CopyResult:
    """What an archive holds, or what was restored or moved.

    `counts` are experiments, runs, metrics and so on; `accounts` is `None` where none were taken.
    `left` counts locations that lead out of the store, whose artifacts were not copied.
    """

    name: str
    folder: str
    counts: Mapping[str, int]
    rows: int
    accounts: int | None
    artifact_files: int
    artifact_bytes: int
    left: int
    notes: Sequence[str]


@dataclass(frozen=True)
class RestoreOptions:
    """How `restore` was asked: with accounts or without, an archive that somebody went on using,
    for an mlruns folder the one behind its served artifact locations, and whether the stack may
    hold other things (`into_existing`); then accounts are left out.
    """

    users: bool = True
    changed: bool = False
    artifacts: Path | None = None
    into_existing: bool = False


@dataclass(frozen=True)
class GcItem:
    """One kind of thing that goes: how many, and the files and bytes of their artifacts."""

    what: str
    number: int
    files: int
    bytes: int


@dataclass(frozen=True)
class GcResult:
    """What MLflow's trash and the artifact folder held, and whether it was deleted.

    `kept` counts deleted runs and models that stay, because a registered model's version lies in
    them.
    """

    name: str
    items: Sequence[GcItem]
    kept: int
    deleted: bool
    notes: Sequence[str] = ()

    @property
    def empty(self) -> bool:
        """Whether there is nothing to delete."""
        return not any(item.number for item in self.items)


@dataclass(frozen=True)
class Trash:
    """What was deleted in a stack `older_than` seconds ago or before, and what else to know."""

    name: str
    older_than: int
    notes: Sequence[str] = ()


class DataWork:
    """Does what is asked with the data of stacks, and shows how far it is."""

    def __init__(self, program: Program, progress: Progress) -> None:
        self._program = program
        self._progress = progress

    def archive(
        self, target: Target, name: str, folder: Path, *, users: bool, user: str = ""
    ) -> CopyResult:
        """Everything of a stack, or of a `user`, into a folder that needs no server of ours."""
        with target.data(self._progress) as place:
            job = {"action": "archive", "source": place.to_json(), "folder": str(folder)}
            result = self._run({**job, "users": users, "user": user})
        return _copied(name, str(folder), result)

    def restore(
        self, target: Target, name: str, folder: Path, options: RestoreOptions
    ) -> CopyResult:
        """An archive, or an mlruns folder, into a stack; one that runs stops meanwhile."""
        job = {
            "action": "restore",
            "folder": str(folder),
            "users": options.users and not options.into_existing,
            "room": _room(options.into_existing),
            "changed": options.changed,
            "artifacts": str(options.artifacts) if options.artifacts else None,
        }
        progress = self._progress
        with target.quiet(progress), target.data(progress, create=True) as place:
            result = self._run({**job, "target": place.to_json()})
        return _copied(name, str(folder), result)

    def rewind(self, target: Target, name: str, folder: Path, before: Path) -> CopyResult:
        """A stack back to an archive of its own, after one of how it is now into `before`."""
        with target.quiet(self._progress), target.data(self._progress) as place:
            now = {"action": "archive", "source": place.to_json(), "folder": str(before)}
            self._run({**now, "users": True, "user": ""})
            then = {"action": "restore", "target": place.to_json(), "folder": str(folder)}
            options = {"users": True, "changed": False, "artifacts": None, "room": "replaced"}
            result = self._run({**then, **options})
        return _copied(name, str(folder), result)

    def migrate(self, place: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """A copy's databases to the schema of this MLflow; what was migrated."""
        found = self._run({"action": "migrate", "source": place})
        schemas: dict[str, dict[str, Any]] = found["schemas"]
        return schemas

    def move(
        self, source: Target, target: Target, name: str, *, users: bool, into_existing: bool
    ) -> CopyResult:
        """Everything of one stack into another; the source stays as it is."""
        with (
            target.quiet(self._progress),
            source.data(self._progress) as place,
            target.data(self._progress, create=True) as other,
        ):
            job = {"action": "move", "source": place.to_json(), "target": other.to_json()}
            users = users and not into_existing
            result = self._run({**job, "users": users, "room": _room(into_existing)})
        return _copied(name, "", result)

    def gc(
        self,
        trash: Trash,
        collecting: AbstractContextManager[Collect],
        confirm: Callable[[GcResult], None],
    ) -> GcResult:
        """Delete for good what is in the trash; `confirm` sees it before."""
        with collecting as collect:
            job = {"older_than": trash.older_than}
            seen = collect({**job, "delete": False})
            found = _collected(trash, seen)
            if found.empty:
                return found
            confirm(found)
            return _collected(trash, collect({**job, "before": seen["before"], "delete": True}))

    @contextmanager
    def collecting(self, target: Target) -> Iterator[Collect]:
        """What looks through the trash of a stack whose data this machine reaches."""
        with target.data(self._progress) as place:
            job = {"action": "collect", "source": place.to_json()}
            yield lambda details: self._run({**job, **details})

    def _run(self, job: Mapping[str, Any]) -> dict[str, Any]:
        """Run a job with a bar on the screen, or a line for each phase where there is none."""
        shown = Display(self._progress.note)
        with self._progress.board(lambda: [shown.line]) as tell:
            return self._program.run(job, lambda event: shown.hear(event, tell))


def _room(into_existing: bool) -> str:
    return "mixed" if into_existing else "empty"


def _collected(trash: Trash, result: Mapping[str, Any]) -> GcResult:
    items = [GcItem(**item) for item in result["items"]]
    kept, deleted = int(result["kept"]), bool(result["deleted"])
    return GcResult(trash.name, items, kept, deleted, trash.notes)


def _copied(name: str, folder: str, result: Mapping[str, Any]) -> CopyResult:
    return CopyResult(
        name=name,
        folder=folder,
        counts=result["counts"],
        rows=int(result["rows"]),
        accounts=result["accounts"],
        artifact_files=int(result["artifacts"]["files"]),
        artifact_bytes=int(result["artifacts"]["bytes"]),
        left=int(result["left"]),
        notes=_notes(result),
    )


def _notes(result: Mapping[str, Any]) -> list[str]:
    notes = []
    if result["left"]:
        examples = ", ".join(result["left_examples"][:2])
        notes.append(
            f"{result['left']} artifact locations lead out of the store and stay as they are; "
            f"what is there was not copied: {examples}"
        )
    if result.get("skipped"):
        notes.append(f"{result['skipped']} links that lead out of the artifact folder are left out")
    if renumbered := result.get("renumbered"):
        pairs = ", ".join(f"{old} is {new}" for old, new in list(renumbered.items())[:10])
        notes.append(f"experiments with new numbers, as theirs were taken: {pairs}")
    if result.get("gateway_keys"):
        notes.append(
            f"{result['gateway_keys']} API keys of MLflow's gateway were encrypted by the other "
            "stack: enter them again"
        )
    return notes
