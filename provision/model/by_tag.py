"""Which of the things that carry a stack's tag are those of the one stack that is meant.

Where the record and the state are lost, tags are all there is. A name may have been used twice, on
both sides of a region's border or one after the other; each time it was another run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

from provision.errors import RefusedError
from provision.model.leftovers import Found

# Of the whole account: listed in every region, so they do not say that a stack lies in this one.
_GLOBAL: Final = frozenset({"aws_iam_role", "aws_iam_instance_profile", "aws_budgets_budget"})


def run_of(found: Iterable[Found], stack: str, asked: str) -> str | None:
    """The run whose things are meant; `None` where nothing here belongs to any.

    Raises `RefusedError` where there is a choice, or not the one that was `asked` for.
    """
    everything = Counter(item.run for item in found if item.run)
    here = Counter(item.run for item in found if item.run and item.type not in _GLOBAL)
    if asked:
        if asked not in everything:
            raise RefusedError(
                f"nothing of {stack} carries the run {asked}{_there(everything)}",
                next_step="leave --run out to see what there is",
            )
        return asked
    if len(here) > 1 or (everything and not here):
        why = "was made more than once" if here else "has nothing in this region but what the "
        why += "" if here else "whole account shares, and may lie in another region"
        raise RefusedError(
            f"{stack} {why}{_there(here or everything)}",
            next_step="name the one that is meant: provision down --by-tag --delete-data --run RUN",
        )
    return next(iter(here), None)


def _there(runs: Counter[str]) -> str:
    if not runs:
        return ""
    return ": " + ", ".join(f"run {run} ({count} things)" for run, count in sorted(runs.items()))
