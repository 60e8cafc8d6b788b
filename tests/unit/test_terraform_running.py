"""One process in a session of its own: heard, stopped in order, and never left behind."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from provision.adapters.terraform import owner
from provision.adapters.terraform.running import Done, Patience, Task, run
from provision.errors import MissingError

_SOON = 30.0


def _python(folder: Path, program: str, **options: object) -> Task:
    words = (sys.executable, "-u", "-c", program)
    return Task(words, folder, dict(os.environ), **options)  # type: ignore[arg-type]


def _until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + _SOON
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


_PATIENT = """
import signal, sys, time
asked = []
signal.signal(signal.SIGINT, lambda *_: asked.append(1))
print("ready")
while not asked: time.sleep(0.01)
print("saving"); time.sleep(1); print("asked", len(asked)); sys.exit(1)
"""
_STUBBORN = """
import signal, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
print("ready")
time.sleep(600)
"""


def test_stdout_and_stderr_are_never_mixed(tmp_path: Path) -> None:
    program = "import sys; print('{}'); print('warning', file=sys.stderr); sys.exit(3)"
    assert run(_python(tmp_path, program)) == Done(3, "{}", "warning")


def test_there_is_nobody_to_answer_a_prompt(tmp_path: Path) -> None:
    assert run(_python(tmp_path, "print(repr(input()))")).code == 1


def test_what_it_writes_is_private(tmp_path: Path) -> None:
    run(_python(tmp_path, "open('state', 'w').close()"))
    assert (tmp_path / "state").stat().st_mode & 0o077 == 0


def test_long_output_on_both_sides_does_not_block(tmp_path: Path) -> None:
    program = "import sys\nfor s in (sys.stderr, sys.stdout): s.write('x' * 3_000_000)"
    done = run(_python(tmp_path, program))
    assert (len(done.out), len(done.err)) == (3_000_000, 3_000_000)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_each_way_to_stop_us_is_one_interrupt_for_terraform(
    tmp_path: Path, number: signal.Signals
) -> None:
    told: list[int] = []
    lines: list[str] = []

    def heard(line: str) -> None:
        lines.append(line)
        if line in ("ready", "saving"):  # the second one is the impatient user
            os.kill(os.getpid(), number)

    before = signal.getsignal(number)
    done = run(_python(tmp_path, _PATIENT, on_line=heard, on_signal=told.append))
    assert lines == ["ready", "saving", "asked 1"]
    assert (done.code, done.interrupted, told) == (1, number.name, [1, 2])
    assert signal.getsignal(number) is before


def test_the_terminals_ctrl_c_does_not_reach_it(tmp_path: Path) -> None:
    program = "import os; print(os.getsid(0) == os.getpid())"
    assert run(_python(tmp_path, program)).out == "True"


def test_a_callback_that_raises_stops_it_in_order(tmp_path: Path) -> None:
    pids: list[int] = []

    def broken(line: str) -> None:
        pids.extend(found.pid for found in owner.find(tmp_path))
        raise BrokenPipeError("the terminal is gone")

    with pytest.raises(BrokenPipeError):
        run(_python(tmp_path, _PATIENT, on_line=broken))
    assert pids and not any(psutil.pid_exists(pid) for pid in pids)


def test_a_reason_to_stop_is_asked_for_and_given_back(tmp_path: Path) -> None:
    lines: list[str] = []
    task = _python(
        tmp_path, _PATIENT, on_line=lines.append, on_tick=lambda: "no capacity" if lines else None
    )
    done = run(task)
    assert (done.stopped, done.interrupted, lines[-1]) == ("no capacity", None, "asked 1")


def test_one_that_does_not_listen_is_killed_in_the_end(tmp_path: Path) -> None:
    lines: list[str] = []
    patience = Patience(until_second=0.2, until_kill=0.2)
    done = run(
        _python(
            tmp_path,
            _STUBBORN,
            on_line=lines.append,
            on_tick=lambda: "stall" if lines else None,
            patience=patience,
        )
    )
    assert done.code == -signal.SIGKILL


def test_a_grandchild_that_stays_does_not_hold_us(tmp_path: Path) -> None:
    program = "import subprocess; subprocess.Popen(['sleep', '600']); print('done')"
    started = time.monotonic()
    assert run(_python(tmp_path, program)).out == "done"
    assert time.monotonic() - started < 300
    for process in psutil.process_iter():
        with suppress(psutil.Error):  # somebody else's may end meanwhile
            if process.name() == "sleep" and process.cwd() == str(tmp_path):
                process.kill()


def test_its_owner_is_recorded_while_it_runs(tmp_path: Path) -> None:
    seen: list[owner.Owner] = []
    run(_python(tmp_path, "print('ready')", on_line=lambda _: seen.extend(owner.find(tmp_path))))
    (found,) = seen
    assert found.is_here and not found.lives
    assert owner.find(tmp_path) == []


def test_a_program_that_cannot_be_started_is_missing(tmp_path: Path) -> None:
    with pytest.raises(MissingError) as error:
        run(Task((str(tmp_path / "terraform"), "version"), tmp_path, {}))
    assert error.value.exit_code == 5


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that we died")
def test_when_we_are_killed_it_is_asked_to_stop_and_can_still_speak(tmp_path: Path) -> None:
    (tmp_path / "work.py").write_text(
        _PATIENT.replace("sys.exit(1)", "open('saved', 'w').close()"), encoding="utf-8"
    )
    ours = (
        "import os, sys; from pathlib import Path\n"
        "from provision.adapters.terraform.running import Task, run\n"
        "here = Path(sys.argv[1])\n"
        "run(Task((sys.executable, '-u', 'work.py'), here, dict(os.environ),"
        " on_line=lambda l: (here / 'heard').write_text(l)))"
    )
    process = psutil.Popen([sys.executable, "-c", ours, str(tmp_path)])
    _until((tmp_path / "heard").exists)
    process.kill()
    process.wait()
    _until((tmp_path / "saved").exists)
