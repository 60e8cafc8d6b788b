"""The view of a running apply: replayed from recordings, and with events in any order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provision.model.differences import Difference
from provision.model.live_view import LiveView, RowState, finished, render_lines
from provision.model.plan import Action, Change, Plan
from tests.unit.recorded import BUCKET, DATABASE, MACHINE, Event, events, plan


def of(*changes: tuple[str, Action]) -> LiveView:
    return LiveView.of(Plan(tuple(Change(a, a.split(".")[2], "this", act) for a, act in changes)))


def started(view: LiveView, address: str, action: str = "create", now: float = 0.0) -> LiveView:
    return view.seen(Event("started", address, action), now)


@pytest.mark.parametrize(("events_of", "plan_of"), [("apply", "create"), ("destroy", "destroy")])
def test_a_recorded_apply_ends_with_all_done(events_of: str, plan_of: str) -> None:
    view = LiveView.of(plan(plan_of), emulated=True)
    rows = len(view.rows)
    before = view.fraction
    for second, event in events(events_of):
        view = view.seen(event, second).at(second)
        assert before <= view.fraction <= 1
        before = view.fraction
    assert (view.done, len(view.rows), view.fraction) == (rows, rows, 1.0)
    assert (view.remaining, view.slowest, view.running, view.failed) == (0.0, None, (), ())
    assert render_lines(view) == [f"{rows} of {rows} done (100 %)"]


def test_half_way_through_a_recorded_apply_the_database_is_waited_for() -> None:
    view = LiveView.of(plan("create"), emulated=True)
    for second, event in events("apply"):
        if second > 100:
            break
        view = view.seen(event, second)
    view = view.at(100)
    assert view.slowest is not None
    assert view.slowest.address == DATABASE
    assert view.remaining is not None
    assert 60 < view.remaining < 110
    assert 0.3 < view.fraction < 0.9


def test_a_replacement_is_two_actions_and_what_is_only_adopted_is_none() -> None:
    view = of((DATABASE, Action.REPLACE), (BUCKET, Action.ADOPT))
    assert list(view.rows) == [(DATABASE, "delete"), (DATABASE, "create")]
    changed = Change(BUCKET, "aws_s3_bucket", "this", Action.ADOPT, (), (Difference("tags.a"),))
    assert list(LiveView.of(Plan((changed,))).rows) == [(BUCKET, "update")]


def test_what_runs_gets_older_although_nothing_is_heard() -> None:
    view = started(of((DATABASE, Action.CREATE)), DATABASE, now=50)
    row = view.at(150).slowest
    assert row is not None
    assert (row.elapsed, row.remaining) == (100.0, row.typical - 100)
    assert view.at(150).fraction > view.fraction


def test_what_terraform_heard_counts_where_we_came_late() -> None:
    view = of((DATABASE, Action.CREATE)).seen(Event("progress", DATABASE, "create", 120), 10)
    assert view.rows[DATABASE, "create"].elapsed == 120
    assert view.at(20).rows[DATABASE, "create"].elapsed == 130


def test_what_takes_longer_than_usual_says_so_and_promises_nothing() -> None:
    view = started(of((DATABASE, Action.CREATE)), DATABASE).at(5000)
    assert view.remaining is None
    assert view.fraction < 1
    summary, line = render_lines(view)
    assert "left" not in summary + line
    assert "longer than usual (7 min)" in line


def test_what_takes_longer_than_usual_is_named_before_what_does_not() -> None:
    view = started(of((DATABASE, Action.CREATE), (MACHINE, Action.CREATE)), DATABASE)
    view = started(view, MACHINE).at(100)
    assert view.slowest is not None
    assert view.slowest.address == MACHINE


def test_lines_name_what_runs_in_words() -> None:
    view = started(of((DATABASE, Action.CREATE), (MACHINE, Action.CREATE)), DATABASE)
    view = started(view, MACHINE).seen(Event("failed", MACHINE, "create", 12), 12).at(100)
    assert render_lines(view) == [
        "0 of 2 done (27 %), about 5 min left, waiting for the database",
        "  failed making the server's machine after 12 s",
        f"  making   {'the database':<32} {'1 min 40 s':>11}, about 5 min left",
    ]
    assert view.failed[0].state is RowState.FAILED


def test_many_that_run_are_counted() -> None:
    addresses = [f'module.network.aws_subnet.public["{letter}"]' for letter in "abcde"]
    view = of(*((address, Action.CREATE) for address in addresses))
    for address in addresses:
        view = started(view, address)
    assert len(render_lines(view, most=3)) == 5
    assert render_lines(view, most=3)[-1] == "  and 2 more"


def test_what_has_ended_is_one_line() -> None:
    view = started(of((DATABASE, Action.DESTROY)), DATABASE, "delete")
    view = view.seen(Event("done", DATABASE, "delete", 250), 250)
    assert finished(view.rows[DATABASE, "delete"]) == "removed the database in 4 min 10 s"


def test_an_apply_that_failed_is_never_whole() -> None:
    view = started(of((MACHINE, Action.CREATE)), MACHINE)
    view = view.seen(Event("failed", MACHINE, "create", 9000), 9000)
    assert view.fraction < 1
    assert view.remaining == 0.0


@pytest.mark.parametrize("kind", ["planned", "drifted", "unheard-of"])
def test_other_events_change_nothing(kind: str) -> None:
    view = of((DATABASE, Action.CREATE))
    assert view.seen(Event(kind, DATABASE, "create"), 1) == view
    assert view.seen(Event("started", "data.a.b", "read"), 1) == view


def test_an_action_that_was_not_planned_gets_a_row() -> None:
    view = started(of((DATABASE, Action.CREATE)), MACHINE, "delete")
    assert (MACHINE, "delete") in view.rows


def test_a_late_report_of_progress_does_not_revive_what_has_ended() -> None:
    view = of((DATABASE, Action.CREATE)).seen(Event("done", DATABASE, "create", 9), 9)
    assert view.seen(Event("progress", DATABASE, "create", 8), 10) == view


def test_nothing_to_do_is_done() -> None:
    assert LiveView().fraction == 1.0
    assert render_lines(LiveView()) == ["0 of 0 done (100 %)"]


EVENTS = st.builds(
    Event,
    st.sampled_from(["started", "progress", "done", "failed", "planned"]),
    st.sampled_from([DATABASE, MACHINE, BUCKET, "aws_x.y", "", "\x1b[2J"]),
    st.sampled_from(["create", "update", "delete", "read", "move"]),
    st.floats(allow_nan=True, allow_infinity=True),
)


@given(
    st.sampled_from([LiveView.of(plan("kms")), of((DATABASE, Action.CREATE))]),
    st.lists(st.tuples(st.floats(0, 10**5), EVENTS), max_size=25),
)
def test_events_in_any_order_keep_the_view_sound(
    view: LiveView, steps: list[tuple[float, Event]]
) -> None:
    before = view.fraction
    for now, event in steps:
        view = view.seen(event, now).at(now)
        assert min(before, 0.99) <= view.fraction <= 1
        assert (view.fraction == 1) is (view.done == len(view.rows))
        assert view.remaining is None or view.remaining >= 0
        assert all(line.isprintable() for line in render_lines(view))
        before = view.fraction
