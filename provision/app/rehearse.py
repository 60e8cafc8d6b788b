"""`provision rehearse`: a stack's whole life, each step of it looked at from a client's side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from provision.errors import ProvisionError
from provision.model.timeline import Outcome, Step, Timeline, not_reached
from provision.targets.base import Progress


class Stage(Protocol):
    """What a rehearsal does to a stack. Each method returns what it found, or raises."""

    def up(self) -> str:
        """Bring it up."""

    def check(self) -> str:
        """Try everything that a client does."""

    def log_from_two_clients(self) -> str:
        """Log runs from two clients at the same time."""

    def rotate_while_logging(self) -> str:
        """Renew the database's password while a client logs; no run may be lost."""

    def reboot(self) -> str:
        """Reboot the machine; everything that was logged has to be there."""

    def stop_and_start(self) -> str:
        """Stop the machine and start it again; likewise."""

    def replace_the_host(self) -> str:
        """Lose the machine with its disk, and bring the stack up again; likewise."""

    def down(self) -> str:
        """End it, and prove that nothing is left."""


Plan = Sequence[tuple[str, str, Callable[[], str]]]


def rehearse(name: str, stage: Stage, progress: Progress, clock: Callable[[], float]) -> Timeline:
    """Live through it all. A failed step ends the rest but for `down`, which always comes.

    `clock` counts seconds.
    """
    began = clock()
    steps: list[Step] = []
    plan = _plan(stage)
    try:
        for number, (key, title, act) in enumerate(plan[:-1]):
            steps.append(_done(key, title, act, progress, lambda: clock() - began))
            if steps[-1].outcome is Outcome.FAILED:
                steps += not_reached([(k, t) for k, t, _ in plan[number + 1 : -1]])
                break
    finally:
        key, title, act = plan[-1]
        steps.append(_done(key, title, act, progress, lambda: clock() - began))
    return Timeline(name, tuple(steps))


def _plan(stage: Stage) -> Plan:
    return (
        ("up", "up", stage.up),
        ("check", "check as a client", stage.check),
        ("log", "two clients log runs", stage.log_from_two_clients),
        ("rotate", "the database's password is renewed", stage.rotate_while_logging),
        ("reboot", "the machine reboots", stage.reboot),
        ("stop", "the machine is stopped and started", stage.stop_and_start),
        ("replace", "the machine is lost and replaced", stage.replace_the_host),
        ("down", "down, and nothing is left", stage.down),
    )


def _done(
    key: str,
    title: str,
    act: Callable[[], str],
    progress: Progress,
    clock: Callable[[], float],
) -> Step:
    started = clock()
    progress.note(f"--- {title}")
    try:
        found, outcome = act(), Outcome.OK
    except ProvisionError as error:
        found, outcome = f"{error.message} (next step: {error.next_step})", Outcome.FAILED
    step = Step(key, title, outcome, started, clock() - started, found)
    progress.note(f"    {outcome.value}: {found}")
    return step
