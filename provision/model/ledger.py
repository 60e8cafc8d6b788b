"""What a command is about to do in the cloud, written down before its first call.

A run that is killed cannot say what it left. So it says beforehand what it is going to make, and
where; the next command reads that and looks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum
from typing import Any, Final

SCHEMA: Final = "provision.ledger/1"
KEPT: Final = 50  # intents that a ledger remembers; what is unfinished is never dropped

# As `terraform/modules/naming` allows it.
_RUN: Final = re.compile(r"[a-z0-9][a-z0-9-]{6,38}[a-z0-9]")


class Outcome(StrEnum):
    """How a command ended, as far as it could still say so."""

    DONE = "done"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True)
class Intent:
    """One command that changes a stack in the cloud.

    `run` is the stack's id, on every resource as the tag `provision:run`, the same from its first
    command to its last. `names` are those that AWS keeps unique, under which something may be found
    that carries no tag yet. `command` is `up` or `down`. Times are ISO 8601 in UTC. Without
    `finished_at` the command still runs, or was killed: `host` and `pid` tell which.
    """

    run: str
    stack: str
    account: str
    region: str
    tags: Mapping[str, str]
    names: tuple[str, ...]
    started_at: str
    command: str
    pid: int
    host: str
    finished_at: str | None = None
    outcome: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The intent as it is stored."""
        return asdict(self) | {"tags": dict(self.tags), "names": list(self.names)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Intent:
        """A stored intent; raises `ValueError` where it is not one."""
        known = {field.name for field in fields(cls)}
        given = {key: item for key, item in value.items() if key in known}
        if not isinstance(given.get("names"), list) or not isinstance(given.get("tags"), dict):
            raise ValueError("an intent has no names or no tags")
        try:
            intent = cls(**given | {"names": tuple(given["names"])})
        except TypeError as error:
            raise ValueError(str(error)) from error
        if not is_run(intent.run):
            raise ValueError(f"{intent.run!r} is no id of a run")
        return intent

    @property
    def identity(self) -> tuple[str, str, int]:
        """What tells one command from every other."""
        return self.started_at, self.host, self.pid


@dataclass(frozen=True)
class Ledger:
    """All that is known about one stack's commands, oldest first."""

    intents: tuple[Intent, ...] = ()

    @property
    def run(self) -> str | None:
        """The stack's id; `None` before its first command."""
        return self.intents[-1].run if self.intents else None

    @property
    def unfinished(self) -> tuple[Intent, ...]:
        """Commands that never said how they ended."""
        return tuple(intent for intent in self.intents if intent.finished_at is None)

    @property
    def suspicious(self) -> tuple[Intent, ...]:
        """Commands after which something may exist that no state knows, until one is done.

        A later command that was done has looked at the account itself, and settles them.
        """
        done = [i for i, intent in enumerate(self.intents) if intent.outcome == Outcome.DONE]
        return self.intents[done[-1] + 1 if done else 0 :]

    def begun(self, intent: Intent) -> Ledger:
        """With one more."""
        return Ledger(_trimmed((*self.intents, intent)))

    def ended(self, intent: Intent, outcome: Outcome, at: str) -> Ledger:
        """With the end of one; the others are as they were."""
        ended = replace(intent, finished_at=at, outcome=str(outcome))
        mine = intent.identity
        return Ledger(tuple(ended if i.identity == mine else i for i in self.intents))

    def to_json(self) -> dict[str, Any]:
        """The ledger as it is stored."""
        return {"schema": SCHEMA, "intents": [intent.to_json() for intent in self.intents]}

    @classmethod
    def from_json(cls, value: object) -> Ledger:
        """A stored ledger; raises `ValueError` where it is none that this version can read."""
        if not isinstance(value, dict) or value.get("schema") != SCHEMA:
            raise ValueError(f"it is not a {SCHEMA}")
        intents = value.get("intents")
        if not isinstance(intents, list) or not all(isinstance(i, dict) for i in intents):
            raise ValueError("its intents are not a list")
        return cls(tuple(Intent.from_json(intent) for intent in intents))


def is_run(text: object) -> bool:
    """Whether this can be a run's id."""
    return isinstance(text, str) and _RUN.fullmatch(text) is not None


def new_run(day: str) -> str:
    """A new id: the day (YYYY-MM-DD) for people, and 48 random bits."""
    import secrets  # noqa: PLC0415 - loads OpenSSL, which most commands never need

    return f"{day.replace('-', '')}-{secrets.token_hex(6)}"


def _trimmed(intents: Sequence[Intent]) -> tuple[Intent, ...]:
    recent: Iterable[Intent] = intents[-KEPT:]
    return (*(i for i in intents[:-KEPT] if i.finished_at is None), *recent)
