"""The composition root for people and money: accounts, hand-outs, cost."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from provision.adapters import handouts as handout_files
from provision.adapters import packages, workspace
from provision.adapters.tracking import TrackingClient
from provision.app import cost as costs
from provision.app import handouts
from provision.app.people import People
from provision.app.people_server import PeopleServer
from provision.errors import MissingError
from provision.model.client_script import SCRIPT
from provision.model.cost import Use
from provision.model.handout import Templates
from provision.model.people import Person
from provision.model.prices import Prices
from provision.targets.base import Progress
from provision.wiring import OpenedStack

_PEOPLE_SECONDS = 60  # a list of ten thousand accounts takes a while


@contextmanager
def people(stack: OpenedStack, progress: Progress, passwords: str | None) -> Iterator[People]:
    """The accounts on the server; `passwords` is a folder to use instead of the stack's."""

    vault = passwords_in(stack, passwords)
    endpoint = stack.require_endpoint()
    if not endpoint.has_server or endpoint.credentials is None:
        raise MissingError(
            f"{stack.spec.name} has no accounts: whoever reaches it may do everything",
            next_step="set auth: basic under access in provision.yaml, then provision up",
        )
    with TrackingClient.from_endpoint(endpoint, timeout=_PEOPLE_SECONDS) as client:
        yield People(PeopleServer(client), vault, progress)


def passwords_in(stack: OpenedStack, folder: str | None) -> workspace.PasswordFolder:
    """Where people's passwords are kept until they are handed out."""
    chosen = Path(folder).expanduser().absolute() if folder else stack.layout.people
    return workspace.PasswordFolder(chosen)


def hand_out(  # noqa: PLR0913, PLR0917 - what the command was given
    stack: OpenedStack,
    people: Sequence[Person],
    folder: Path,
    uri: str | None,
    passwords: str | None,
    progress: Progress,
) -> handouts.HandoutResult:
    """Write what `people` need to connect into `folder`."""

    endpoint = handouts.endpoint_for(stack.require_endpoint(), uri)
    source = handouts.HandoutSource(
        endpoint,
        ca=workspace.read_text(endpoint.ca_file) if endpoint.ca_file else "",
        templates=Templates(
            packages.data_file("handout.html"),
            packages.data_file("notebook_cell.txt"),
            packages.source_file("portable", SCRIPT),
        ),
        password_of=passwords_in(stack, passwords).read,
    )
    return handouts.write(people, folder, source, handout_files, progress)


def days_left(stack: OpenedStack) -> int:
    """For how many days the stack is needed; 30 where no end is set."""

    today = datetime.now(UTC).astimezone().date()
    return costs.days_until(stack.spec.lifetime.until, today)


def cost(
    stack: OpenedStack, use: Use, *, live: bool, actual: bool, progress: Progress
) -> costs.CostResult:
    """What the stack costs on AWS; asks AWS only for `live` prices and the `actual` bill."""

    table = Prices.from_json(json.loads(packages.data_file("prices.json")))
    region = _region(stack) or table.base_region
    if not (live or actual):
        return costs.cost(stack.spec, region, table, use, None)
    from provision.billing import Billing  # noqa: PLC0415 - loads botocore

    asking = Billing(stack.settings.environment, stack.layout.root)
    with progress.step("asking AWS"):
        result = costs.cost(stack.spec, region, table, use, asking.hourly if live else None)
        return replace(result, bill=asking.bill(stack.spec.name)) if actual else result


def _region(stack: OpenedStack) -> str:
    environment = stack.settings.environment
    named = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION")
    return stack.spec.aws.region or named or ""
