"""An estimate as a picture: one bar for each line of the bill, as SVG."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Final

from provision.model.cost import Estimate, Line

_WIDTH: Final = 720
_ROW: Final = 30
_TOP: Final = 84
_NAMES: Final = 190
_BARS: Final = 400
_INK, _SOFT, _BAR, _PAPER = "#1f2328", "#57606a", "#0969da", "#ffffff"
_FONT: Final = "system-ui, -apple-system, 'Segoe UI', sans-serif"


def picture(estimate: Estimate, name: str) -> str:
    """The SVG document; the longest bar is the largest line, and every bar has its figure."""
    lines = sorted((line for line in estimate.lines if line.month), key=lambda x: -x.month)
    height = _TOP + _ROW * (len(lines) + bool(estimate.saved)) + 24
    says = f"{name}: {estimate.month:.2f} USD a month on AWS in {estimate.region}"
    body = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        f'font-family="{_FONT}" role="img" aria-label="{escape(says)}">',
        f'<rect width="{_WIDTH}" height="{height}" fill="{_PAPER}"/>',
        _text(20, 34, says, title=True),
        _text(20, 58, _subtitle(estimate), color=_SOFT),
        *_bars(lines, estimate.saved),
        "</svg>",
    ]
    return "\n".join(body) + "\n"


def _subtitle(estimate: Estimate) -> str:
    use = estimate.use
    if estimate.saved:
        return f"office hours save {estimate.saved:.2f} USD a month; prices of {estimate.as_of}"
    people = f"{estimate.person_day:.4f} USD per person and day for {use.people}"
    return f"{estimate.total:.2f} USD for {use.days} days; {people}; prices of {estimate.as_of}"


def _bars(lines: list[Line], saved: float) -> Iterator[str]:
    most = max((line.month for line in lines), default=1.0)
    most = max(most, saved)
    if saved:
        top = _TOP + _ROW * len(lines)
        width = _BARS * saved / most
        yield _text(20, top + 16, "saved by office hours", color=_SOFT)
        yield (
            f'<rect x="{_NAMES}" y="{top + 2}" width="{width:.1f}" height="20" rx="3" '
            f'fill="none" stroke="{_BAR}" stroke-dasharray="4 3"/>'
        )
        yield _text(_NAMES + width + 8, top + 17, f"{saved:.2f}", color=_SOFT)
    for row, line in enumerate(lines):
        top = _TOP + _ROW * row
        width = max(2.0, _BARS * line.month / most)
        yield _text(20, top + 16, line.what)
        yield (
            f'<rect x="{_NAMES}" y="{top + 2}" width="{width:.1f}" height="20" rx="3" '
            f'fill="{_BAR}"/>'
        )
        yield _text(_NAMES + width + 8, top + 17, f"{line.month:.2f}")


def _text(x: float, y: float, words: str, *, color: str = _INK, title: bool = False) -> str:
    style = 'font-size="18" font-weight="600"' if title else 'font-size="13.5"'
    return f'<text x="{x:.1f}" y="{y}" {style} fill="{color}">{escape(words)}</text>'
