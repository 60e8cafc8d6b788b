"""What `status` says of an end and of office hours, on the day on which it is asked."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from provision.model.lifetime import Lifetime
from provision.model.lifetime_words import is_taken_down, lifetime_words

HOURS = "Mon-Fri 08:00-20:00 Europe/Brussels"
LONG = ["2026-12-21 to 2027-01-03"]
NIGHT = datetime(2026, 12, 18, 22, 0, tzinfo=UTC)  # a Friday


@pytest.mark.parametrize(
    ("values", "now", "in_account", "stopped", "words"),
    [
        ({}, NIGHT, True, False, []),
        ({"until": "2027-06-30"}, NIGHT, True, False, []),
        ({"until": "2026-12-20"}, NIGHT, True, False, ["2026-12-20 is its last day"]),
        ({"until": "2026-12-17"}, NIGHT, True, True, ["was its last day: AWS keeps it stopped"]),
        ({"until": "2026-12-17"}, NIGHT, False, False, ["nothing ends it by itself here"]),
        ({"until": "2026-12-01", "at_end": "teardown"}, NIGHT, True, True, ["AWS takes machine"]),
        ({"hours": HOURS}, NIGHT, True, True, ["on Mon 2026-12-21 at 08:00"]),
        ({"hours": HOURS, "holidays": LONG}, NIGHT, True, True, ["on Mon 2027-01-04"]),
        ({"hours": HOURS, "until": "2026-12-20"}, NIGHT, True, True, ["last day", "none"]),
        ({"hours": HOURS}, NIGHT, True, False, [f"office hours: {HOURS}"]),
        ({"hours": HOURS}, NIGHT, False, False, ["office hours count on AWS alone"]),
    ],
)  # fmt: skip
def test_it_is_said_what_comes_next(
    values: dict[str, Any], now: datetime, in_account: bool, stopped: bool, words: list[str]
) -> None:
    said = lifetime_words(
        Lifetime.model_validate(values), now, in_account=in_account, stopped=stopped
    )
    assert len(said) == len(words)
    assert all(part in sentence for part, sentence in zip(words, said, strict=True)), said


def test_a_teardown_is_over_a_week_after_the_last_day() -> None:
    lifetime = Lifetime.model_validate({"until": "2026-12-10", "at_end": "teardown"})
    assert is_taken_down(lifetime, NIGHT)
    assert not is_taken_down(lifetime, datetime(2026, 12, 17, tzinfo=UTC))
