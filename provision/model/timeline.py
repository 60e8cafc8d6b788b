"""What a rehearsal did, step by step, and the picture of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from html import escape
from typing import Final

from provision.model.durations import spoken


class Outcome(StrEnum):
    """How a step ended; what comes after a failed one is not reached."""

    OK = "ok"
    FAILED = "failed"
    NOT_REACHED = "not reached"


@dataclass(frozen=True)
class Step:
    """One step: when it began and how long it took, in seconds of the whole; what it found."""

    name: str
    title: str
    outcome: Outcome
    began: float = 0.0
    seconds: float = 0.0
    detail: str = ""


@dataclass(frozen=True)
class Timeline:
    """All steps of one rehearsal of one stack."""

    name: str
    steps: tuple[Step, ...]

    @property
    def passed(self) -> bool:
        """Whether every step ended well."""
        return all(step.outcome is Outcome.OK for step in self.steps)

    @property
    def seconds(self) -> float:
        """From the first step's start to the last one's end."""
        return max((step.began + step.seconds for step in self.steps), default=0.0)

    def lines(self) -> list[str]:
        """As text: one line for each step, then the sum."""
        told = [_line(step) for step in self.steps]
        verdict = "passed" if self.passed else "FAILED"
        return [*told, f"{self.name}: the rehearsal {verdict} in {spoken(self.seconds)}"]


def _line(step: Step) -> str:
    time = spoken(step.seconds) if step.outcome is not Outcome.NOT_REACHED else ""
    text = f"{step.outcome.value:<12} {time:>11}  {step.title}"
    return f"{text}: {step.detail}" if step.detail else text


_WIDTH: Final = 960
_LEFT: Final = 275
_ROW: Final = 30
_TOP: Final = 64
_COLORS: Final = {
    Outcome.OK: "#2f7d4f",
    Outcome.FAILED: "#c0392b",
    Outcome.NOT_REACHED: "#b8b8b8",
}
_STEPS: Final = (5, 10, 30, 60, 120, 300, 600)


def svg(timeline: Timeline) -> str:
    """The time line as a picture that stands alone: a bar for each step, on a scale of time."""
    whole = max(timeline.seconds, 1.0)
    height = _TOP + _ROW * len(timeline.steps) + 24
    scale = (_WIDTH - _LEFT - 90) / whole
    rows = [_bar(step, number, scale) for number, step in enumerate(timeline.steps)]
    title = f"{timeline.name}: {timeline.lines()[-1].partition(': ')[2]}"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
            'font-family="system-ui, sans-serif" font-size="13" role="img">',
            f"<title>{escape(title)}</title>",
            f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
            f'<text x="20" y="30" font-size="17" font-weight="600">{escape(title)}</text>',
            *_grid(whole, scale, height),
            *rows,
            "</svg>\n",
        ]
    )


def _grid(whole: float, scale: float, height: int) -> list[str]:
    every = next((step for step in _STEPS if whole / step <= 10), 1200)
    marks = range(0, int(whole) + 1, every)
    lines: list[str] = []
    for second in marks:
        x = _LEFT + second * scale
        lines += [
            f'<line x1="{x:.1f}" y1="{_TOP - 8}" x2="{x:.1f}" y2="{height - 16}" '
            'stroke="#e4e4e4"/>',
            f'<text x="{x:.1f}" y="{_TOP - 14}" fill="#666666" font-size="11" '
            f'text-anchor="middle">{escape(spoken(second))}</text>',
        ]
    return lines


def _bar(step: Step, number: int, scale: float) -> str:
    y = _TOP + number * _ROW
    x, width = _LEFT + step.began * scale, max(step.seconds * scale, 2.0)
    color = _COLORS[step.outcome]
    took = "" if step.outcome is Outcome.NOT_REACHED else spoken(step.seconds)
    return (
        f'<text x="{_LEFT - 12}" y="{y + 18}" text-anchor="end">{escape(step.title)}</text>'
        f'<rect x="{x:.1f}" y="{y + 5}" width="{width:.1f}" height="18" rx="3" fill="{color}"/>'
        f'<text x="{x + width + 6:.1f}" y="{y + 18}" fill="#444444">{escape(took)}</text>'
    )


def not_reached(steps: Sequence[tuple[str, str]]) -> tuple[Step, ...]:
    """The steps behind a failed one."""
    return tuple(Step(name, title, Outcome.NOT_REACHED) for name, title in steps)
