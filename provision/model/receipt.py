"""The receipt of a teardown: what existed, what was kept on purpose and its price, what is left."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

from provision.model.emptied import Emptied
from provision.model.leftovers import Found
from provision.model.prices import Prices
from provision.model.resources import noun
from provision.model.usage import Usage, sentences

_PRICED: Final = {
    "aws_db_snapshot": "database_backup_gb_month",
    "aws_db_instance_automated_backup": "database_backup_gb_month",
    "aws_ebs_snapshot": "disk_snapshot_gb_month",
    "aws_s3_bucket": "artifact_gb_month",
}
_GIB: Final = 2**30 / 10**9
_DELETE: Final = "provision down --delete-data --delete-backups"
_WHY: Final = {
    "aws_db_snapshot": ("a backup of the database", _DELETE),
    "aws_ebs_snapshot": ("a backup of a disk", _DELETE),
    "aws_db_instance_automated_backup": ("backups of a database that somebody ended", _DELETE),
    "aws_kms_key": (
        "other things may be encrypted with it",
        "aws kms schedule-key-deletion --key-id KEY",
    ),
}


@dataclass(frozen=True)
class Thing:
    """One thing of the account. `kind` is Terraform's word for it; `created` is ISO 8601 or ""."""

    kind: str
    what: str
    name: str
    id: str
    created: str
    run: str

    @classmethod
    def of(cls, found: Found) -> Thing:
        """As a listing found it."""
        created = found.created.isoformat(timespec="seconds") if found.created else ""
        return cls(
            found.type, noun(found.type), found.name or found.id, found.id, created, found.run or ""
        )


@dataclass(frozen=True)
class Kept:
    """What outlives the stack on purpose: why, for how much a month, and what deletes it.

    `usd_per_month` is at list price for its whole size, so AWS may ask for less; `None` where no
    price is known.
    """

    thing: Thing
    why: str
    usd_per_month: float | None
    delete: str


@dataclass(frozen=True)
class Receipt:
    """One teardown. Times are ISO 8601 in UTC; `archive` is the folder that keeps the runs, or "".

    `unknown` are ARNs that AWS' index of tags still names with the stack's tag, of kinds that the
    kit never makes. `blind` are the rights that were missing to look everywhere, as IAM's actions:
    with one of them, zero is not proven. `prices_as_of` dates the table behind `kept`.
    """

    stack: str
    account: str
    region: str
    emulated: bool
    by: str
    run: str
    begun_at: str
    ended_at: str = ""
    existed: Sequence[Thing] = ()
    usage: Usage | None = None
    archive: str = ""
    emptied: Emptied = field(default_factory=Emptied)
    kept: Sequence[Kept] = ()
    left: Sequence[Thing] = ()
    unknown: Sequence[str] = ()
    blind: Sequence[str] = ()
    prices_as_of: str = ""

    @property
    def complete(self) -> bool:
        """Whether nothing is left but what was kept on purpose."""
        return bool(self.ended_at) and not self.left and not self.blind

    @property
    def usd_per_month(self) -> float:
        """What all that was kept costs, as far as prices are known."""
        return round(sum((item.usd_per_month or 0.0 for item in self.kept), 0.0), 2)

    def to_json(self) -> dict[str, Any]:
        """Everything and the two sums."""
        return {**asdict(self), "complete": self.complete, "usd_per_month": self.usd_per_month}

    def ended(
        self,
        at: str,
        *,
        left: Iterable[Found],
        kept: Iterable[Found],
        prices: Prices,
        unknown: Sequence[str] = (),
    ) -> Receipt:
        """With what the account still holds."""
        return replace(
            self,
            ended_at=at,
            left=tuple(Thing.of(item) for item in left),
            kept=tuple(_kept(item, prices, self.region) for item in kept),
            unknown=tuple(unknown),
            prices_as_of=prices.as_of,
        )


def _kept(item: Found, prices: Prices, region: str) -> Kept:
    why, delete = _WHY.get(item.type, (item.note or "it holds what other stacks need", ""))
    return Kept(
        Thing.of(item),
        item.note or why,
        _price(item, prices, region),
        delete.replace("KEY", item.id),
    )


def _price(item: Found, prices: Prices, region: str) -> float | None:
    factor = prices.factor(region)
    if item.type == "aws_kms_key":
        return prices.units["key_month"]
    unit = _PRICED.get(item.type)
    if unit is None:
        return None
    return round(item.size_gib * _GIB * prices.units[unit] * factor, 2)


def text(receipt: Receipt) -> str:
    """The receipt for people, as plain text."""
    return "\n".join(_lines(receipt)) + "\n"


def _lines(receipt: Receipt) -> Iterator[str]:
    yield f"TEARDOWN OF {receipt.stack}"
    yield ""
    for name, value in head(receipt):
        yield f"  {name:<10} {value}"
    yield from _part("What it was", list(sentences(receipt.usage)) if receipt.usage else [])
    yield from _part("What existed", [*grouped(receipt.existed), *_objects(receipt)])
    kept = [f"{k.thing.what} {k.thing.name}: {k.why}, {price(k)}" for k in receipt.kept]
    yield from _part(f"Kept on purpose: {kept_sum(receipt)}", kept)
    yield from _part("What is left", [verdict(receipt), *map(_named, receipt.left)])
    yield from _part("Named by AWS' index of tags, never made by provision", receipt.unknown)


def _part(title: str, lines: Sequence[str]) -> Iterator[str]:
    if lines or title.startswith("Kept"):
        yield from ("", title)
        yield from (f"  {line}" for line in lines)


def head(receipt: Receipt) -> Iterator[tuple[str, str]]:
    """Where, who and when."""
    emulated = ", emulated: nothing was billed" if receipt.emulated else ""
    yield "account", f"{receipt.account}, {receipt.region}{emulated}"
    yield "by", receipt.by
    if receipt.run:
        yield "run", receipt.run
    yield "begun", receipt.begun_at
    yield "ended", receipt.ended_at or "not yet"
    if receipt.archive:
        yield "archive", receipt.archive


def grouped(things: Sequence[Thing]) -> Iterator[str]:
    """One line for each kind of thing."""
    by_kind: dict[str, list[Thing]] = {}
    for thing in things:
        by_kind.setdefault(thing.kind, []).append(thing)
    for kind, found in by_kind.items():
        names = ", ".join(dict.fromkeys(thing.name for thing in found))
        yield f"{len(found)} {noun(kind, len(found))}: {names}"


def _objects(receipt: Receipt) -> list[str]:
    return [] if receipt.emptied.is_nothing else [f"in the bucket: {receipt.emptied}"]


def kept_sum(receipt: Receipt) -> str:
    """How much of it, and for how much."""
    if not receipt.kept:
        return "nothing"
    return f"{len(receipt.kept)}, at most {receipt.usd_per_month:.2f} USD a month"


def price(kept: Kept) -> str:
    """One price in words."""
    known = kept.usd_per_month
    return "price unknown" if known is None else f"at most {known:.2f} USD a month"


def verdict(receipt: Receipt) -> str:
    """The last word."""
    if not receipt.ended_at:
        return "not looked for yet: the teardown did not come to its end"
    if receipt.blind:
        return "not proven: these credentials may not ask " + ", ".join(receipt.blind)
    if receipt.left:
        number = len(receipt.left)
        still = "1 thing is" if number == 1 else f"{number} things are"
        return f"{still} still there: run provision down --delete-data again"
    but = "but for what was kept on purpose, " if receipt.kept else ""
    return f"zero: {but}nothing in the account carries the stack's tag or one of its names"


def _named(thing: Thing) -> str:
    return f"{thing.what} {thing.name} ({thing.id})"
