"""What a person should read before a stack in an account goes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from provision.model.leftovers import BACKUPS, Found
from provision.model.plan_words import PlanWords
from provision.model.receipt import Thing, grouped
from provision.model.usage import Usage, sentences


@dataclass(frozen=True)
class Going:
    """What would go: all that was found, and of it what stays although it carries the tag."""

    existed: Sequence[Found]
    kept: Sequence[Found] = ()
    foreign: Sequence[Found] = ()
    backups_too: bool = False
    usage: Usage | None = None

    @property
    def staying(self) -> tuple[Found, ...]:
        """What was made to outlive the stack, and was not asked for."""
        return tuple(k for k in self.kept if not (self.backups_too and k.type in BACKUPS))

    @property
    def ending(self) -> tuple[Found, ...]:
        """Everything else."""
        stays = {*self.staying, *self.foreign}
        return tuple(item for item in self.existed if item not in stays)


def farewell(going: Going, plan: PlanWords | None = None) -> PlanWords:
    """In words: who works with it first, then what is lost, then everything that goes."""
    told = tuple(sentences(going.usage)) if going.usage else ()
    if plan is None:
        headline = f"{len(going.ending)} things to remove, found by their tags"
        return PlanWords(headline, (*told, *_losses(going)), tuple(_lines(going)))
    return PlanWords(
        plan.headline, (*told, *plan.sentences, *_stays(going)), (*plan.lines, *_lines(going))
    )


def _losses(going: Going) -> Iterator[str]:
    kinds = {item.type for item in going.ending}
    if "aws_db_instance" in kinds:
        yield "All experiments, runs and registered models in its database would be lost."
    if "aws_s3_bucket" in kinds:
        yield "All models, plots and other artifacts in its bucket would be lost."
    yield from _stays(going)


def _stays(going: Going) -> Iterator[str]:
    for item in going.staying:
        yield f"Stays, and costs: {item}."
    for item in going.foreign:
        yield f"Left alone, as another run or somebody by hand made it: {item}."


def _lines(going: Going) -> Iterator[str]:
    yield from (f"remove   {line}" for line in grouped([Thing.of(i) for i in going.ending]))
