"""`handout`: folders, pages and zips that people connect with."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from provision import wiring_people
from provision.app import handouts
from provision.cli.context import open_stack
from provision.cli.users import read_roster
from provision.errors import MissingError
from provision.model.people import Person
from provision.ui import Ui
from provision.wiring import OpenedStack


def handout(arguments: Namespace, ui: Ui) -> int:
    """Write what each person needs to connect."""
    stack = open_stack(arguments)
    endpoint = stack.require_endpoint()
    if not endpoint.has_server:
        raise MissingError(
            "there is no server on this rung, and so nothing to connect to",
            next_step="set scenario: server in provision.yaml, then provision up",
        )
    people = _people(stack, arguments, ui)
    folder = Path(arguments.folder).expanduser().absolute()
    result = wiring_people.hand_out(stack, people, folder, arguments.uri, arguments.passwords, ui)
    ui.result("handout", result, _text(result))
    return 0


def _people(stack: OpenedStack, arguments: Namespace, ui: Ui) -> Sequence[Person]:
    if arguments.roster:
        return read_roster(arguments.roster, ui).people
    credentials = stack.require_endpoint().credentials
    if credentials is None:
        return [Person(handouts.EVERYONE)]
    with wiring_people.people(stack, ui, arguments.passwords) as found:
        return handouts.everybody(found.list(), credentials.username)


def _text(result: handouts.HandoutResult) -> str:
    lines = [f"{result.people} hand-outs for {result.uri} in {result.folder}"]
    lines += [f"  {path.name}" for path in result.zips[:20]]
    if len(result.zips) > 20:
        lines.append(f"  and {len(result.zips) - 20} more")
    lines.append("give each person their own folder: whoever has it can log in as them")
    if result.only_here:
        lines.append("note: that address is this machine's own; --uri names another for others")
    if result.without_password:
        few = " ".join(result.without_password[:5])
        lines.append(
            f"without a password, as it is not here: {len(result.without_password)} "
            f"(provision users reset {few} draws new ones)"
        )
    return "\n".join(lines)
