"""What a stack holds and who works with it: what somebody should know before it goes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from provision.model.units import amount


@dataclass(frozen=True)
class Contents:
    """What lies in a bucket: versions with their bytes, and when the last was written (ISO 8601).

    `more`: counting was stopped, there are more.
    """

    versions: int = 0
    bytes: int = 0
    last: str = ""
    more: bool = False


@dataclass(frozen=True)
class Usage:
    """Counts, the last activity (ISO 8601 in UTC, "" when unknown), and who logged this week.

    `answered`: the running server said so itself. Without it only the account is known: the
    bucket's contents. Counts are `None` where nobody could say.
    """

    answered: bool = False
    experiments: int | None = None
    runs: int | None = None
    models: int | None = None
    last: str = ""
    people: Sequence[str] = ()
    bucket: Contents | None = None

    def with_bucket(self, bucket: Contents) -> Usage:
        """With what the account says of the bucket."""
        return replace(self, bucket=bucket, last=max(self.last, bucket.last))


def sentences(usage: Usage) -> Iterator[str]:
    """In sentences, for whoever decides."""
    if usage.answered:
        yield (
            f"It holds {_count(usage.experiments, 'experiment')}, {_count(usage.runs, 'run')} and "
            f"{_count(usage.models, 'registered model')}."
        )
    else:
        yield "Its server does not answer: what follows is what the account says."
    if usage.bucket is not None:
        yield f"In its bucket: {_contents(usage.bucket)}."
    yield f"Last activity: {usage.last or 'none is known'}."
    if usage.answered:
        yield f"Used in the last seven days by: {_people(usage.people)}."


def _count(number: int | None, what: str) -> str:
    if number is None:
        return f"an unknown number of {what}s"
    return f"{number:,} {what}" + ("" if number == 1 else "s")


def _contents(bucket: Contents) -> str:
    if not bucket.versions:
        return "nothing"
    start = "more than " if bucket.more else ""
    return f"{start}{bucket.versions:,} versions of objects, {start}{amount(bucket.bytes)}"


def _people(people: Sequence[str]) -> str:
    if not people:
        return "nobody"
    named = ", ".join(people[:8])
    return f"{named} and {len(people) - 8} others" if len(people) > 8 else named
