"""One store's content into another that has its own: what may be mixed, and under which numbers.

Everything of MLflow's has an id that is one of a kind, but for experiments, which each store
numbers from 1, and for names of experiments and registered models. Experiments whose number is
taken get a new one; where a name or an id is taken, nothing is changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import sqlalchemy
from sqlalchemy import Connection, Table

from provision.errors import RefusedError
from provision.server.archive.rewriting import Rewriter
from provision.server.archive.stores import PASSING, Tables
from provision.server.archive.tables import Rewrite, Row

_DEFAULT = 0
"""The experiment `Default`, which every store has: what is in it comes into the other one's."""
_UNIQUE = (
    ("experiments", "name", "experiments of the same name"),
    ("registered_models", "name", "registered models of the same name"),
    ("runs", "run_uuid", "runs of the same id"),
    ("trace_info", "request_id", "traces of the same id"),
    ("logged_models", "model_id", "models of runs of the same id"),
)
_PROMPTS = "_mlflow_experiment_ids"  # mlflow/prompt/constants.py, PROMPT_EXPERIMENT_IDS_TAG_KEY
_BATCH = 500
_SHOWN = 5
# Made by MLflow itself in every store; more than the one named `default` nobody has without asking.
_ON_BOTH_SIDES = frozenset({"workspaces"})
# Where an experiment's number is a word beside the kind of thing that it belongs to.
_BY_KIND = {
    "entity_associations": (("source_type", "source_id"), ("destination_type", "destination_id")),
    "endpoint_bindings": (("resource_type", "resource_id"),),
}


def require_no_clash(
    source: tuple[Connection, Tables], target: tuple[Connection, Tables], name: str
) -> None:
    """Raise `RefusedError` with all that has the same name or id on both sides."""
    clashes = []
    for table, column, what in _UNIQUE:
        found = [key for key in _shared(source, target, table, column) if key != "Default"]
        if found:
            more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
            clashes.append(f"{what}: {', '.join(found[:_SHOWN])}{more}")
    if clashes:
        raise RefusedError(
            f"{name} holds some of it already, so the two cannot be mixed; {'; '.join(clashes)}",
            next_step="rename experiments and models of one side (those in MLflow's trash keep "
            "their names: provision gc), or restore into another stack; nothing was changed",
        )


def _shared(
    source: tuple[Connection, Tables], target: tuple[Connection, Tables], table: str, column: str
) -> list[str]:
    old, new = (known[table].c[column] for _, known in (source, target))
    keys = iter(source[0].execute(sqlalchemy.select(old)).scalars())
    found: list[str] = []
    while batch := list(islice(keys, _BATCH)):
        query = sqlalchemy.select(new).where(new.in_(batch))
        found += map(str, target[0].execute(query).scalars())
    return sorted(found)


def numbers(source: tuple[Connection, Tables], target: tuple[Connection, Tables]) -> dict[int, int]:
    """New numbers of the source's experiments whose own are taken."""
    ours, theirs = (
        set(connection.execute(sqlalchemy.select(known["experiments"].c.experiment_id)).scalars())
        for connection, known in (source, target)
    )
    free = _free(ours | theirs)
    return {number: next(free) for number in sorted(ours & theirs - {_DEFAULT})}


def _free(taken: set[int]) -> Iterator[int]:
    number = max(taken, default=0)
    while True:
        number += 1
        yield number


@dataclass
class Mixer(Rewriter):
    """Changes locations as any restore does, and numbers of experiments; drops what both have."""

    new: dict[int, int] | None = None

    def rows_of(self, table: str, names: Sequence[str]) -> Rewrite | None:
        """What changes or drops a row of this table."""
        if table in PASSING or table in _ON_BOTH_SIDES:
            return _drop
        located = super().rows_of(table, names)
        numbered = self._numbered(table, names)

        def rewrite(row: Row) -> Row | None:
            kept = numbered(row)
            return kept if kept is None or located is None else located(kept)

        return rewrite

    def _numbered(self, table: str, names: Sequence[str]) -> Rewrite:
        if table == "registered_model_tags":
            return self._prompts(names)
        place = names.index("experiment_id") if "experiment_id" in names else None
        kinds = [(names.index(k), names.index(i)) for k, i in _BY_KIND.get(table, ())]

        def rewrite(row: Row) -> Row | None:
            items = list(row)
            if place is not None:
                if items[place] == _DEFAULT and table in ("experiments", "experiment_tags"):
                    return None
                items[place] = self._number(items[place])
            for kind, id_ in kinds:
                if items[kind] == "experiment" and str(items[id_]).isdigit():
                    items[id_] = str(self._number(int(items[id_])))
            return tuple(items)

        return rewrite

    def _prompts(self, names: Sequence[str]) -> Rewrite:
        """A prompt names the experiments that it belongs to in a tag: `,1,7,`."""
        key, value = names.index("key"), names.index("value")

        def rewrite(row: Row) -> Row:
            items = list(row)
            if items[key] == _PROMPTS and items[value]:
                words = str(items[value]).split(",")
                items[value] = ",".join(
                    str(self._number(int(word))) if word.isdigit() else word for word in words
                )
            return tuple(items)

        return rewrite

    def _number(self, old: Any) -> Any:
        return (self.new or {}).get(old, old)


def _drop(_: Row) -> Row | None:
    return None


def require_only_default_workspace(reading: Connection, workspaces: Table | None) -> None:
    """Raise `RefusedError` where a store's content lies in several workspaces."""
    if workspaces is None:
        return
    found = [str(name) for name in reading.execute(sqlalchemy.select(workspaces.c.name)).scalars()]
    if set(found) - {"default"}:
        raise RefusedError(
            f"what is to be mixed in has workspaces of its own ({', '.join(sorted(found))})",
            next_step="restore it into an empty stack; nothing was changed",
        )
