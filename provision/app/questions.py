"""Asks questions side by side, and waits for no answer longer than agreed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from queue import Empty, SimpleQueue
from typing import Final

from provision.errors import ProvisionError
from provision.model.checks import found, passed
from provision.model.questions import Question, Verdict
from provision.model.report import Finding

_SLOW: Final = "not answered in time"
_Told = tuple[int, Finding]


@dataclass
class Asked:
    """Questions that are being asked; `findings` waits for them until the deadline.

    Each has a thread of its own that nobody waits for at the end: a call that hangs must not keep
    the command from ending.
    """

    questions: Sequence[Question]
    clock: Callable[[], float]
    deadline: float
    on_finding: Callable[[Finding], None] = lambda _: None
    _told: SimpleQueue[_Told] = field(default_factory=SimpleQueue)

    def findings(self) -> list[Finding]:
        """One for each question, in their order; those without an answer in time say so."""
        known: dict[int, Finding] = {}
        while len(known) < len(self.questions):
            left = self.deadline - self.clock()
            try:
                number, finding = self._told.get(timeout=max(left, 0.0))
            except Empty:
                break
            known[number] = finding
            self.on_finding(finding)
        for number, question in enumerate(self.questions):
            if number not in known:
                known[number] = finding_of(question, _unknown(question, _SLOW))
                self.on_finding(known[number])
        return [known[number] for number in range(len(self.questions))]

    def _ask(self, number: int, question: Question) -> None:
        start = self.clock()
        finding = finding_of(question, _verdict(question))
        self._told.put((number, replace(finding, milliseconds=(self.clock() - start) * 1000)))


def ask(
    questions: Sequence[Question],
    clock: Callable[[], float],
    seconds: float,
    on_finding: Callable[[Finding], None] = lambda _: None,
) -> Asked:
    """Begin to ask all of them; none is waited for longer than `seconds` from now."""
    asked = Asked(questions, clock, clock() + seconds, on_finding)
    for number, question in enumerate(questions):
        threading.Thread(target=asked._ask, args=(number, question), daemon=True).start()
    return asked


def _verdict(question: Question) -> Verdict:
    try:
        return question.ask()
    except ProvisionError as error:
        return _unknown(question, error.message)
    except Exception as error:
        return _unknown(question, f"{type(error).__name__}: {error}")


def _unknown(question: Question, why: str) -> Verdict:
    return Verdict(why, question.unknown, {"why": why})


def finding_of(question: Question, verdict: Verdict) -> Finding:
    """The finding that a verdict is."""
    if not verdict.problem:
        return passed(question.layer, verdict.observed)
    facts: Mapping[str, str] = verdict.facts
    return found(question.layer, verdict.problem, verdict.observed, facts)
