"""A run of the bootstrap: what it reports, what it survives, and that only one works at a time."""

from __future__ import annotations

import errno
import io
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from provision.host.commands import SystemCommands
from provision.host.failures import HostError
from provision.host.phases import BODIES
from provision.host.run import Host, Log, PhaseBody, Run, Step, only_one
from provision.model.boot import PHASES, BootReport
from tests.host.conftest import Machine

KEY = "provision/boot/i-0123456789abcdef0"


def go(machine: Machine, *phases: tuple[str, PhaseBody]) -> BootReport:
    log = Log(machine.places.log, io.StringIO())
    return Run(machine.host, log, "2026-11-21T10:00:00+00:00").go(phases)


def changing(what: str) -> PhaseBody:
    return lambda _host, step: step.changed(what)


def quiet(_host: Host, step: Step) -> None:
    step.detail("as it was")


def raising(error: Exception) -> PhaseBody:
    def body(_host: Host, _step: Step) -> None:
        raise error

    return body


def test_the_phases_are_those_of_the_report() -> None:
    assert list(BODIES) == list(PHASES)


def test_each_phase_says_what_it_changed(machine: Machine) -> None:
    report = go(machine, ("role", quiet), ("system", changing("a folder")))
    assert report.state == "ready" and report.run == 1
    assert report.phase("role").state == "unchanged"
    assert report.phase("role").detail == "as it was"
    assert report.phase("system").state == "done"
    assert report.phase("system").changed == ("a folder",)
    assert report.phase("ready").state == "waiting"
    assert report.started_at == "2026-11-21T10:00:00+00:00"


def test_the_report_is_on_the_disk_and_in_the_bucket(machine: Machine) -> None:
    report = go(machine, ("role", quiet))
    assert BootReport.from_json(machine.places.report.read_text()) == report
    assert BootReport.from_json(machine.account.objects[f"{KEY}.json"]) == report
    assert "role ..." in machine.account.objects[f"{KEY}.log"]


def test_it_is_written_while_a_phase_works(machine: Machine) -> None:
    def look(_host: Host, step: Step) -> None:
        step.waits("RDS calls it creating")
        seen = BootReport.from_json(machine.account.objects[f"{KEY}.json"])
        assert seen.state == "running"
        assert seen.phase("database").state == "running"
        assert seen.phase("database").detail == "waiting: RDS calls it creating"

    report = go(machine, ("database", look))
    assert report.state == "ready"
    assert report.phase("database").detail == "", "it waits no longer"


def test_runs_are_counted(machine: Machine) -> None:
    assert [go(machine, ("role", quiet)).run for _ in range(3)] == [1, 2, 3]


def test_a_failure_keeps_the_command_and_its_last_lines(machine: Machine) -> None:
    def fails(_host: Host, _step: Step) -> None:
        script = "for i in $(seq 40); do echo line $i; done; exit 3"
        SystemCommands().run("sh", "-c", script)

    report = go(machine, ("role", quiet), ("system", fails), ("bundle", quiet))
    assert report.state == "failed" and report.failure is not None
    assert report.failure.phase == "system"
    assert report.failure.code == "command-failed"
    assert report.failure.command.startswith("sh -c")
    assert report.failure.tail[-1] == "line 40" and len(report.failure.tail) == 15
    assert report.failure.next_step
    assert report.phase("system").state == "failed"
    assert report.phase("bundle").state == "waiting"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "disk-full"),
        (KeyError("x"), "unexpected"),
        (HostError("second-host", "x", next_step="y"), "second-host"),
    ],
)
def test_whatever_is_raised_has_a_code(machine: Machine, error: Exception, code: str) -> None:
    report = go(machine, ("role", raising(error)))
    assert report.failure is not None and report.failure.code == code


def test_a_command_without_space_is_named(machine: Machine) -> None:
    def fails(_host: Host, _step: Step) -> None:
        SystemCommands().run("sh", "-c", "echo 'write: No space left on device' >&2; exit 1")

    failure = go(machine, ("environment", fails)).failure
    assert failure is not None and failure.code == "disk-full"


def test_a_bucket_that_refuses_the_report_stops_nothing(machine: Machine) -> None:
    machine.account.refused.add("s3:PutObject")
    report = go(machine, ("role", quiet))
    assert report.state == "ready"
    assert "lacks s3:PutObject" in machine.places.log.read_text()


def test_without_metadata_the_report_is_on_the_disk(machine: Machine) -> None:
    machine.account.refused.add("metadata")
    report = go(machine, ("role", BODIES["role"]))
    assert report.failure is not None and report.instance == ""
    assert BootReport.from_json(machine.places.report.read_text()).state == "failed"


def test_no_secret_of_an_environment_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    assert "secret" not in SystemCommands().run("env")


def test_a_command_that_hangs_is_ended() -> None:
    with pytest.raises(HostError, match="did not end in"):
        SystemCommands().run("sleep", "60", timeout=0.2)


def test_a_missing_program_is_named() -> None:
    with pytest.raises(HostError, match="no-such-program"):
        SystemCommands().run("no-such-program")
    assert not SystemCommands().succeeds("no-such-program")


def _hold(path: Path, started: object, seconds: float) -> None:
    with only_one(path, lambda _text: None):
        started.set()  # type: ignore[attr-defined]
        time.sleep(seconds)


def _holder(path: Path, seconds: float) -> multiprocessing.Process:
    context = multiprocessing.get_context("fork")
    started = context.Event()
    process = context.Process(target=_hold, args=(path, started, seconds))
    process.start()
    assert started.wait(20)
    return process  # type: ignore[return-value]


@pytest.mark.parametrize("end", ["by itself", "killed"])
def test_a_second_run_waits_for_the_first(tmp_path: Path, end: str) -> None:
    lock, said = tmp_path / "run" / "lock", list[str]()
    process = _holder(lock, 1.0 if end == "by itself" else 600.0)

    def say(text: str) -> None:
        said.append(text)
        if end == "killed":
            os.kill(process.pid or 0, signal.SIGKILL)

    with only_one(lock, say):
        process.join(20)
        assert process.exitcode is not None, "both held the lock"
    assert said == ["another run of the bootstrap is at work: waiting for it"]


def test_patience_ends(machine: Machine) -> None:
    tries: list[float] = []

    def attempt() -> None:
        tries.append(machine.clock.now)
        raise HostError("away", "nobody there", next_step="x")

    class Quiet:
        def changed(self, what: str) -> None: ...
        def detail(self, text: str) -> None: ...
        def waits(self, reason: str) -> None:
            assert reason == "nobody there"

    with pytest.raises(HostError, match="nobody there"):
        machine.host.patiently(attempt, 120.0, ["away"], Quiet())
    assert 120 < tries[-1] < 160
    with pytest.raises(HostError):
        machine.host.patiently(attempt, 1e9, ["another code"], Quiet())


def after(count: int, error: HostError) -> Callable[[], None]:
    """An attempt that works after so many failures."""
    left = [count]

    def attempt() -> None:
        left[0] -= 1
        if left[0] >= 0:
            raise error

    return attempt


def test_a_minute_without_packages_is_survived(machine: Machine) -> None:
    error = HostError("packages-away", "away", next_step="x")
    told: list[str] = []

    class Listening:
        def changed(self, what: str) -> None: ...
        def detail(self, text: str) -> None: ...
        def waits(self, reason: str) -> None:
            told.append(reason)

    machine.host.patiently(after(6, error), 900.0, ["packages-away"], Listening())
    assert machine.clock.now > 45
    assert told
