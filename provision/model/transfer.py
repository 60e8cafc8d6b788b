"""A long copy as a line on the screen: what is under way, how far, how fast, how long still."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from provision.model.units import format_duration

_WIDTH = 24
_TRUST_AFTER_SECONDS = 2.0


@dataclass(frozen=True)
class Meter:
    """How far one phase is. `total` is 0 where nobody knows; `seconds` since its begin."""

    phase: str = ""
    done: int = 0
    total: int = 0
    unit: str = ""
    seconds: float = 0.0

    @classmethod
    def from_event(cls, event: Mapping[str, Any]) -> Meter:
        """The state that a `progress` event describes."""
        return cls(
            phase=str(event["phase"]),
            done=int(event["done"]),
            total=int(event["total"]),
            unit=str(event["unit"]),
            seconds=float(event["seconds"]),
        )

    def line(self) -> str:
        """`copying the database  [####......] 40 %  400,000 of 1,000,000 rows, 12 s left`."""
        if not self.unit:
            return f"{self.phase} ..."
        if not self.total:
            return f"{self.phase} ... {_amount(self.done, self.unit)}"
        share = min(1.0, self.done / self.total)
        bar = "#" * round(share * _WIDTH)
        line = f"{self.phase}  [{bar:.<{_WIDTH}}] {share:.0%}"
        return f"{line}  {_amount(self.done, self.unit)} of {_amount(self.total, self.unit)}" + (
            f", {self._left()} left" if self._left() else ""
        )

    def _left(self) -> str:
        if self.seconds < _TRUST_AFTER_SECONDS or not self.done or self.done >= self.total:
            return ""
        return format_duration(self.seconds * (self.total - self.done) / self.done)


def _amount(number: int, unit: str) -> str:
    if unit != "bytes":
        return f"{number:,} {unit}"
    return f"{number / 1e9:.1f} GB" if number >= 1e9 else f"{number / 1e6:.1f} MB"


class Display:
    """Follows the events of a job: its line on the screen, a word for each phase, its notes."""

    def __init__(self, note: Callable[[str], None]) -> None:
        self._note = note
        self._meter = Meter()

    @property
    def line(self) -> str:
        """How far it is."""
        return self._meter.line()

    def hear(self, event: Mapping[str, Any], tell: Callable[[str], None]) -> None:
        """Take an event in; `tell` gets each new phase."""
        if event["event"] == "note":
            self._note(str(event["text"]))
        if event["event"] != "progress":
            return
        before, self._meter = self._meter, Meter.from_event(event)
        if self._meter.phase != before.phase:
            tell(f"{self._meter.phase} ...")
