"""`cost`: what a stack costs on AWS, before and after."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from provision import wiring_people
from provision.adapters import workspace
from provision.app.cost import Bill, CostResult
from provision.cli.context import open_stack
from provision.cli.status_texts import columns
from provision.cli.users import read_roster
from provision.errors import UsageError
from provision.model.cost import Estimate, Use
from provision.model.cost_picture import picture
from provision.ui import Ui
from provision.wiring import OpenedStack


def cost(arguments: Namespace, ui: Ui) -> int:
    """Show the estimate, and the bill with `--actual`."""
    stack = open_stack(arguments)
    use = _use(stack, arguments, ui)
    result = wiring_people.cost(
        stack, use, live=arguments.live, actual=arguments.actual, progress=ui
    )
    if arguments.svg:
        drawn = picture(result.estimate, result.name)
        workspace.write_text(Path(arguments.svg).absolute(), drawn, mode=0o644)
        ui.note(f"the picture is in {arguments.svg}")
    ui.result("cost", _document(result), _text(result))
    return 0


def _use(stack: OpenedStack, arguments: Namespace, ui: Ui) -> Use:
    if arguments.people is not None and arguments.roster:
        raise UsageError("--people and --roster both say how many", next_step="leave one out")
    people = arguments.people or 1
    if arguments.roster:
        people = len(read_roster(arguments.roster, ui).people)
    days = arguments.days or wiring_people.days_left(stack)
    return Use(arguments.artifacts, arguments.data_out, people, days)


def _document(result: CostResult) -> dict[str, Any]:
    found = result.estimate
    lines = [{**_plain(line), "month": line.month} for line in found.lines]
    sums = ("month", "day", "total", "person_day", "saved", "unknown")
    head = ("region", "factor", "known_region", "as_of", "use")
    document = {name: getattr(found, name) for name in (*head, *sums)} | {"lines": lines}
    bill = result.bill
    spent = bill and {**_plain(bill), "total": bill.total}
    return {
        "name": result.name,
        "currency": "USD",
        "on_aws": result.on_aws,
        "estimate": document,
        "sources": result.sources,
        "spent": spent,
    }


def _plain(value: Any) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__dataclass_fields__}


def _text(result: CostResult) -> str:
    found, use = result.estimate, result.estimate.use
    where = f"on AWS in {found.region}"
    rows = [("", "", "USD A MONTH")]
    rows += [
        (line.what, line.detail, "?" if line.price is None else f"{line.month:.2f}")
        for line in found.lines
    ]
    rows.append(("together", "", f"{found.month:.2f}"))
    lines = [f"{result.name} {where}: about {found.month:.2f} USD a month", "", columns(rows), ""]
    lines.append(f"{use.days} days: {found.total:.2f} USD, {found.day:.2f} a day")
    if found.saved:
        lines.append(
            f"office hours save {found.saved:.2f} of {found.without_hours:.2f} USD a month; "
            "holidays save more"
        )
    if use.people > 1:
        lines.append(f"per person and day: {found.person_day:.4f} USD ({use.people} people)")
    return "\n".join([*lines, *_remarks(result, found), *_spent(result.bill)])


def _remarks(result: CostResult, found: Estimate) -> Iterator[str]:
    live = [line.detail for line in found.lines if line.live]
    asked = f"; asked of AWS now: {', '.join(live)}" if live else ""
    yield f"list prices of {found.as_of}, times {found.factor:g} for the region{asked};"
    yield "without taxes, free tier, discounts, backups beyond the storage, surplus CPU credits"
    if not found.known_region:
        yield f"note: {found.region} is not in the table: prices of us-east-1"
    if found.unknown:
        yield f"note: without a price, and not in the sum: {', '.join(found.unknown)}"
    if not result.on_aws:
        yield "note: the spec has another target, which costs nothing at AWS"


def _spent(bill: Bill | None) -> Iterator[str]:
    if bill is None:
        return
    yield ""
    yield f"spent from {bill.start} to before {bill.end}: {bill.total:.2f} USD"
    if bill.by_service:
        rows = [(f"  {name}", f"{amount:.2f}") for name, amount in bill.by_service.items()]
        yield columns(rows)
    else:
        yield "  nothing recorded: is provision:stack activated as a cost allocation tag?"
