"""`users`: accounts for people, by name or from a roster."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from provision import wiring_people
from provision.app.people import Approve, PeopleResult
from provision.cli.context import open_stack
from provision.cli.status_texts import columns
from provision.errors import RefusedError, UsageError
from provision.model.people import PeoplePlan, Person, Role, words
from provision.model.roster import Roster, check_people, parse
from provision.ui import Ui
from provision.wiring import OpenedStack

_PENDING = 3


def add(arguments: Namespace, ui: Ui) -> int:
    """Add people by name."""
    people = [
        Person(name, role=Role(arguments.role), team=arguments.team, line=place)
        for place, name in enumerate(arguments.names, 1)
    ]
    check_people(people, "argument")
    stack = open_stack(arguments)
    with wiring_people.people(stack, ui, arguments.passwords) as found:
        _done(found.add(people), ui)
    return 0


def remove(arguments: Namespace, ui: Ui) -> int:
    """Remove accounts by name, after asking."""
    stack = open_stack(arguments)
    _require_others(stack, arguments.names)
    with wiring_people.people(stack, ui, arguments.passwords) as found:
        _done(found.remove(arguments.names, _approval(stack, ui, agreed=arguments.yes)), ui)
    return 0


def reset(arguments: Namespace, ui: Ui) -> int:
    """Give accounts new passwords."""
    stack = open_stack(arguments)
    _require_others(stack, arguments.names)
    with wiring_people.people(stack, ui, arguments.passwords) as found:
        _done(found.reset(arguments.names), ui)
    return 0


def _require_others(stack: OpenedStack, names: Sequence[str]) -> None:
    """Raise `RefusedError` for the account that these very commands use."""
    account = stack.require_endpoint().credentials
    if account is not None and account.username in names:
        raise RefusedError(
            f"{account.username} is the account that provision itself uses here",
            next_step="leave it out",
        )


def sync(arguments: Namespace, ui: Ui) -> int:
    """Make the accounts those of a roster; exit code 3 when `--plan` finds something to do."""
    roster = read_roster(arguments.roster, ui)
    stack = open_stack(arguments)
    with wiring_people.people(stack, ui, arguments.passwords) as found:
        if arguments.plan:
            plan = found.plan(roster.people, prune=arguments.prune)
            ui.result("users-plan", plan, _plan_text(plan))
            return _PENDING if plan.steps else 0
        approve = _approval(stack, ui, agreed=arguments.yes)
        _done(found.sync(roster.people, approve, prune=arguments.prune), ui)
    return 0


def read_roster(path: str, ui: Ui) -> Roster:
    """The people in a CSV file; raises `RosterError` with every problem."""
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise UsageError(
            f"{path}: {error.strerror}", next_step="name a CSV file with a column username"
        ) from error
    roster = parse(content, path)
    for note in roster.notes:
        ui.note(f"{path}: {note}")
    return roster


def list_users(arguments: Namespace, ui: Ui) -> int:
    """Show everybody who has an account."""
    with wiring_people.people(open_stack(arguments), ui, None) as found:
        result = found.list()
    rows = [("USER", "ROLE", "TEAM", "EXPERIMENTS OF THEIR OWN")]
    rows += [(r.username, r.role, r.team, str(r.experiments)) for r in result.accounts]
    ui.result("users-list", result, columns(rows))
    return 0


def _approval(stack: OpenedStack, ui: Ui, *, agreed: bool) -> Approve:
    def approve(plan: PeoplePlan) -> None:
        ui.note(_plan_text(plan))
        if not agreed:
            ui.require_typed("This changes who may use the server", stack.spec.name, "--yes")

    return approve


def _plan_text(plan: PeoplePlan) -> str:
    lines = [f"  {line}" for line in words(plan)] or ["  nothing: everybody is there as listed"]
    return "\n".join([*lines, *_remarks(plan.kept, plan.notes)])


def _remarks(kept: Sequence[str], notes: Sequence[str]) -> Sequence[str]:
    lines = [f"  note: {note}" for note in notes]
    if kept:
        few = ", ".join(kept[:5]) + (f" and {len(kept) - 5} more" if len(kept) > 5 else "")
        lines.append(f"  not on the roster, and kept (--prune removes them): {few}")
    return lines


def _done(result: PeopleResult, ui: Ui) -> None:
    document = {
        "steps": result.steps,
        "passwords": result.passwords,
        "kept": result.kept,
        "notes": result.notes,
    }
    lines = [f"done: {line}" for line in result.words]
    if result.passwords:
        folder = result.passwords[0].parent
        lines.append(f"{len(result.passwords)} new passwords, in files of mode 0600: {folder}")
    if not lines:
        lines = ["nothing to do: everybody is there as wanted"]
    ui.result("users", document, "\n".join([*lines, *_remarks(result.kept, result.notes)]))
