"""A rehearsal's order, what a failed step ends, and the picture of it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from xml.etree import ElementTree

import pytest

from provision.app.rehearse import rehearse
from provision.errors import ProvisionError
from provision.model.timeline import Outcome, Step, Timeline, svg
from tests.progress import Quiet

STEPS = ["up", "check", "log", "rotate", "reboot", "stop", "replace", "down"]


class Played:
    """A stage on which one step fails."""

    def __init__(self, fails: str = "", error: BaseException | None = None) -> None:
        self.fails = fails
        self.error = error or ProvisionError("it broke", next_step="mend it")
        self.seen: list[str] = []

    def _act(self, name: str) -> str:
        self.seen.append(name)
        if name == self.fails:
            raise self.error
        return f"{name} was fine"

    def up(self) -> str:
        return self._act("up")

    def check(self) -> str:
        return self._act("check")

    def log_from_two_clients(self) -> str:
        return self._act("log")

    def rotate_while_logging(self) -> str:
        return self._act("rotate")

    def reboot(self) -> str:
        return self._act("reboot")

    def stop_and_start(self) -> str:
        return self._act("stop")

    def replace_the_host(self) -> str:
        return self._act("replace")

    def down(self) -> str:
        return self._act("down")


def ticking() -> Callable[[], float]:
    ticks = count()
    return lambda: float(next(ticks))


def test_all_of_it_in_its_order() -> None:
    stage = Played()
    result = rehearse("churn", stage, Quiet(), ticking())
    assert stage.seen == STEPS == [step.name for step in result.steps]
    assert result.passed
    assert result.steps[0].detail == "up was fine"
    assert result.lines()[-1].startswith("churn: the rehearsal passed in ")


def test_a_failed_step_ends_the_rest_but_never_the_teardown() -> None:
    stage = Played("rotate")
    result = rehearse("churn", stage, Quiet(), ticking())
    assert stage.seen == ["up", "check", "log", "rotate", "down"]
    assert not result.passed
    reached = {step.name: step.outcome for step in result.steps}
    assert reached["rotate"] is Outcome.FAILED
    assert reached["reboot"] is reached["replace"] is Outcome.NOT_REACHED
    assert reached["down"] is Outcome.OK
    assert any("it broke (next step: mend it)" in line for line in result.lines())


def test_ctrl_c_takes_it_down_too() -> None:
    stage = Played("reboot", KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        rehearse("churn", stage, Quiet(), ticking())
    assert stage.seen[-1] == "down"


def test_the_picture_stands_alone_and_shows_every_step() -> None:
    steps = (
        Step("up", "up <& fast>", Outcome.OK, 0, 200),
        Step("check", "check", Outcome.FAILED, 200, 3),
        Step("log", "log", Outcome.NOT_REACHED),
    )
    root = ElementTree.fromstring(svg(Timeline("churn", steps)))
    words = [element.text for element in root.iter() if element.text]
    assert {"up <& fast>", "check", "log"} <= set(words)
    assert any("FAILED" in word for word in words)
    bars = list(root.iter("{http://www.w3.org/2000/svg}rect"))[1:]
    assert [bar.get("fill") for bar in bars] == ["#2f7d4f", "#c0392b", "#b8b8b8"]
    assert float(bars[0].get("width", "0")) > 50 * float(bars[1].get("width", "0"))
