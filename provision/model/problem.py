"""What a table of findings is made of: its rows, and what they belong to.

`provision.model.findings` puts the tables of all subjects together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from provision.model.report import Outcome, Severity

LOGS: Final = "Run `provision logs` on the server's machine: the error is at its end."


@dataclass(frozen=True)
class Problem:
    """Something that can be wrong. `{names}` in the texts are facts of the case at hand.

    `id` is `layer.problem` and stable. `symptom` is what users see of it elsewhere, in the very
    words that they search for; or "".
    """

    id: str
    cause: str
    next_step: str
    outcome: Outcome = Outcome.FAILED
    severity: Severity = Severity.HIGH
    symptom: str = ""

    @property
    def layer(self) -> str:
        """The name of the layer that it belongs to."""
        return self.id.partition(".")[0]

    @property
    def page(self) -> str:
        """Where it is explained, from the root of the repository."""
        return f"docs/troubleshooting/{self.id}.md"


@dataclass(frozen=True)
class Layer:
    """One thing that is looked at. In `provision check` it rests on the layers before it."""

    name: str
    title: str


@dataclass(frozen=True)
class Group:
    """Layers that one command looks at, with all that can be wrong with them."""

    title: str
    command: str
    layers: tuple[Layer, ...]
    problems: tuple[Problem, ...]
