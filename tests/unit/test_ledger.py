"""What is written down before the first call to the cloud, and what it says after a kill."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provision.adapters.ledger import LedgerFile, Where
from provision.errors import MissingError, ProvisionError
from provision.model.ledger import KEPT, Intent, Ledger, Outcome, is_run, new_run

WHERE = Where("churn", "123456789012", "eu-west-1", {"provision:stack": "churn"}, ("bucket",))
INTENT = Intent(
    run="20270131-9f86d081884c",
    stack="churn",
    account="123456789012",
    region="eu-west-1",
    tags={"provision:stack": "churn"},
    names=("provision-churn",),
    started_at="2027-01-31T10:00:00+00:00",
    command="up",
    pid=4711,
    host="laptop",
)


@pytest.fixture
def ledger(tmp_path: Path) -> LedgerFile:
    ticks = itertools.count()
    return LedgerFile(
        tmp_path / "churn" / "ledger.json", lambda: f"2027-01-31T10:00:{next(ticks):02}"
    )


def file_of(tmp_path: Path) -> Path:
    return tmp_path / "churn" / "ledger.json"


def test_an_intent_is_on_the_disk_before_the_command_goes_on(
    ledger: LedgerFile, tmp_path: Path
) -> None:
    run = ledger.run()
    with ledger.command("up", run, WHERE):
        (written,) = json.loads(file_of(tmp_path).read_text())["intents"]
        assert written["run"] == run
        assert written["names"] == ["bucket"]
        assert (written["account"], written["region"]) == ("123456789012", "eu-west-1")
        assert written["pid"] == os.getpid()
        assert written["finished_at"] is None
        assert [i.command for i in ledger.unfinished()] == ["up"]
    assert ledger.unfinished() == ()
    assert ledger.read().intents[0].outcome == Outcome.DONE


def test_nobody_else_reads_it(ledger: LedgerFile, tmp_path: Path) -> None:
    umask = os.umask(0)
    try:
        ledger.begin("up", ledger.run(), WHERE)
    finally:
        os.umask(umask)
    assert file_of(tmp_path).stat().st_mode & 0o777 == 0o600
    assert file_of(tmp_path).parent.stat().st_mode & 0o777 == 0o700
    assert [p.name for p in file_of(tmp_path).parent.iterdir()] == ["ledger.json"]


def test_a_stack_has_one_id_for_all_its_life(ledger: LedgerFile) -> None:
    for command in ("up", "up", "down"):
        ledger.end(ledger.begin(command, ledger.run(), WHERE), Outcome.DONE)
    assert len({intent.run for intent in ledger.read().intents}) == 1
    assert ledger.read().run == ledger.run()


@pytest.mark.parametrize(
    ("error", "outcome"),
    [(ValueError, Outcome.FAILED), (KeyboardInterrupt, Outcome.INTERRUPTED)],
)
def test_a_failure_is_an_end_too(
    error: type[BaseException], outcome: Outcome, ledger: LedgerFile
) -> None:
    with pytest.raises(error), ledger.command("up", ledger.run(), WHERE):
        raise error
    (intent,) = ledger.read().intents
    assert (intent.outcome, ledger.unfinished()) == (outcome, ())
    assert ledger.read().suspicious == (intent,)


def test_a_killed_command_stays_unfinished(tmp_path: Path) -> None:
    program = f"""
import os, signal
from pathlib import Path
from provision.adapters.ledger import LedgerFile, Where
ledger = LedgerFile(Path({str(file_of(tmp_path))!r}), lambda: "2027-01-31T10:00:00+00:00")
with ledger.command("up", ledger.run(), Where("churn", "1", "eu-west-1", {{}}, ())):
    os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", program], check=False)
    assert done.returncode == -signal.SIGKILL
    (intent,) = LedgerFile(file_of(tmp_path), lambda: "").unfinished()
    assert intent.command == "up"
    assert intent.pid != os.getpid()


def test_a_command_that_is_done_settles_the_ones_before_it() -> None:
    killed = INTENT
    failed = replace(INTENT, started_at="b", finished_at="b", outcome="failed")
    done = replace(INTENT, started_at="c", finished_at="c", outcome="done")
    assert Ledger((killed, failed)).suspicious == (killed, failed)
    assert Ledger((killed, failed, done)).suspicious == ()
    assert Ledger((done, failed)).suspicious == (failed,)
    assert Ledger((killed, failed, done)).unfinished == (killed,)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"schema": "provision.ledger/2", "intents": []}',
     '{"schema": "provision.ledger/1", "intents": [{}]}',
     '{"schema": "provision.ledger/1", "intents": {}}', "[" * 200_000, "\ud800"],
    ids=["empty", "cut", "list", "null", "newer", "no fields", "no list", "deep", "not UTF-8"],
)  # fmt: skip
def test_a_broken_ledger_is_never_taken_for_an_empty_one(
    text: str, ledger: LedgerFile, tmp_path: Path
) -> None:
    file_of(tmp_path).parent.mkdir()
    file_of(tmp_path).write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(ProvisionError, match=r"ledger\.json") as raised:
        ledger.begin("up", "20270131-9f86d081884c", WHERE)
    assert "by its tags" in raised.value.next_step
    assert file_of(tmp_path).read_bytes() == text.encode("utf-8", "surrogatepass")


def test_a_full_disk_stops_the_command_before_its_first_call(
    ledger: LedgerFile, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ledger.begin("up", "20270131-9f86d081884c", WHERE)
    before = file_of(tmp_path).read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(MissingError, match="No space left"):
        ledger.begin("up", "20270131-9f86d081884c", WHERE)
    assert file_of(tmp_path).read_bytes() == before
    assert [p.name for p in tmp_path.joinpath("churn").iterdir()] == ["ledger.json"]


def test_a_disk_that_is_full_at_the_end_does_not_hide_the_failure(
    ledger: LedgerFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(ValueError, match="the reason"), ledger.command("up", "2027-0131", WHERE):
        monkeypatch.setattr(os, "fsync", full)
        raise ValueError("the reason")
    assert len(ledger.unfinished()) == 1


def test_old_commands_are_forgotten_but_never_unfinished_ones() -> None:
    ledger = Ledger().begun(INTENT)
    for number in range(KEPT + 10):
        intent = replace(INTENT, started_at=str(number))
        ledger = ledger.begun(intent).ended(intent, Outcome.DONE, "later")
    assert len(ledger.intents) == KEPT + 1
    assert ledger.unfinished == (INTENT,)


def test_ids_are_new_and_fit_the_tag() -> None:
    ids = {new_run("2027-01-31") for _ in range(100)}
    assert len(ids) == 100
    assert all(is_run(one) and one.startswith("20270131-") for one in ids)
    assert not is_run("$(reboot)")
    assert not is_run(None)


texts = st.text(max_size=20)
intents = st.builds(
    Intent,
    run=st.from_regex(r"[a-z0-9][a-z0-9-]{6,38}[a-z0-9]", fullmatch=True),
    stack=texts,
    account=texts,
    region=texts,
    tags=st.dictionaries(texts, texts, max_size=3),
    names=st.lists(texts, max_size=3).map(tuple),
    started_at=texts,
    command=texts,
    pid=st.integers(1, 2**22),
    host=texts,
    finished_at=st.none() | texts,
    outcome=st.none() | st.sampled_from([str(o) for o in Outcome]),
)


@given(st.lists(intents, max_size=5))
def test_what_is_stored_is_what_is_read(all_of_them: list[Intent]) -> None:
    ledger = Ledger(tuple(all_of_them))
    assert Ledger.from_json(json.loads(json.dumps(ledger.to_json()))) == ledger


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
)


@given(json_values, json_values)
def test_garbage_is_refused_as_such(one: object, two: object) -> None:
    for value in (one, {"schema": "provision.ledger/1", "intents": [one, two]}):
        with pytest.raises(ValueError):
            Ledger.from_json(value)
