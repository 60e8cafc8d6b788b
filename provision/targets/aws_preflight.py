"""What `up` asks an account before anything in it costs money, while Terraform plans."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final, Protocol

from provision.errors import MissingError, ProvisionError
from provision.model.guards import require_allowed
from provision.model.plan import Action, Plan
from provision.model.questions import Question
from provision.model.report import Finding, Outcome
from provision.model.resources import DATABASE
from provision.model.wanted import Wanted
from provision.targets.account_questions import AccountQuestions
from provision.targets.aws_work import AwsWork, Planned
from provision.targets.base import Progress

_UNKNOWN: Final = "aws.not-answered"


class Answers(Protocol):
    """Questions that are being asked."""

    def findings(self) -> list[Finding]:
        """Wait for them, no longer than was agreed."""


Ask = Callable[[Sequence[Question]], Answers]
"""Begins to ask, side by side."""


class Preflight:
    """Looks at an account that a stack is about to be made in."""

    def __init__(self, work: AwsWork, ask: Ask) -> None:
        wanted = Wanted.of(work.spec, work.me.account, work.me.region)
        questions = AccountQuestions(work.cloud, work.me, wanted)
        self._answers = ask(questions.before_made(begun=bool(work.ledger.read().intents)))

    def require_ready(self, progress: Progress, plan: Plan | None = None) -> None:
        """Raise `MissingError` with all that would fail; tell what is worth knowing.

        A `plan` that makes no database works on a stack that is there: nothing is asked of it.
        """
        if plan is not None and not _makes(plan):
            return
        with progress.step("asking AWS whether all that is needed can be had"):
            findings = self._answers.findings()
        for note in _notes(findings):
            progress.note(note)
        failed = [finding for finding in findings if finding.outcome is Outcome.FAILED]
        if failed:
            raise MissingError(
                "nothing was made, as it would fail: "
                + "\n".join(f"{one.cause} ({one.id})" for one in failed),
                next_step="\n".join(one.next_step for one in failed)
                + "\nif you know better: provision up --unasked",
            )


def _notes(findings: Sequence[Finding]) -> Iterator[str]:
    """What is worth knowing, a line each; what is not known in one."""
    warnings = [one for one in findings if one.outcome is Outcome.WARNING]
    unknown = [one.title for one in warnings if one.id == _UNKNOWN]
    if unknown:
        yield f"not known, as AWS did not answer in time: {', '.join(dict.fromkeys(unknown))}"
    for one in warnings:
        if one.id != _UNKNOWN:
            yield f"{one.title}: {one.observed}. {one.cause}"


def planned_to_last(  # noqa: PLR0913 - the last two are passed by name
    work: AwsWork,
    allowed: frozenset[str],
    progress: Progress,
    ask: Ask | None,
    *,
    fresh: bool,
    cut_off: bool,
) -> Planned:
    """The plan of `up`, once nothing speaks against it: no guard, and nothing that AWS lacks.

    A stack that was never applied (`fresh`) is asked for at AWS while Terraform plans, unless
    there is nobody to `ask`. What was
    `cut_off` may have left things that no state knows. Raises `RefusedError` and `MissingError`.
    """
    preflight = Preflight(work, ask) if fresh and ask is not None else None
    try:
        planned = work.plan(progress, fresh=fresh, look_around=fresh or cut_off, allowed=allowed)
    except ProvisionError:
        if preflight is not None:
            preflight.require_ready(progress)  # it names the cause better than a plan that failed
        raise
    if not planned.nothing:
        require_allowed(planned.plan, allowed)
        if preflight is not None:
            preflight.require_ready(progress, planned.plan)
    return planned


def _makes(plan: Plan) -> bool:
    made = (Action.CREATE, Action.ADOPT)
    return any(one.type == DATABASE and one.action in made for one in plan.changes)
