"""Questions that do not rest on each other, asked side by side; each answer is judged alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from provision.model.problem import Layer


@dataclass(frozen=True)
class Verdict:
    """What was seen, and which problem that is: a finding's id, or "" where all is in order.

    `facts` fill the `{names}` in the problem's texts.
    """

    observed: str
    problem: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Question:
    """One thing to find out. `ask` may take its time, and may raise `ProvisionError`.

    `unknown` is the problem's id where no answer comes; its text may name `{why}`.
    """

    layer: Layer
    ask: Callable[[], Verdict]
    unknown: str = "aws.not-answered"
