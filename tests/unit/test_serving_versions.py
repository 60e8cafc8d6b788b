"""What a service does for a version: its packages, its process behind a starter, what is kept."""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from provision.serving import children, packages, starter
from provision.serving.children import LentChild
from provision.serving.fetching import forget
from provision.serving.scorer import ScoringError


def files(tmp_path: Path, *lines: str) -> Path:
    folder = tmp_path / "files"
    folder.mkdir(exist_ok=True)
    (folder / "requirements.txt").write_text("".join(f"{line}\n" for line in lines))
    return folder


# -- packages


def test_a_model_that_needs_what_is_there_runs_in_the_services_own_environment(
    tmp_path: Path,
) -> None:
    here = files(tmp_path, "mlflow", "packaging  # any", "", "pywin32; sys_platform == 'win32'")
    assert packages.python_for(here, "/own/python", "", tmp_path) == Path("/own/python")
    assert packages.python_for(tmp_path, "/own/python", "", tmp_path) == Path("/own/python")


@pytest.mark.parametrize(
    "line",
    ["-e .", "--index-url https://elsewhere.example", "./wheel.whl", "-r other.txt",
     "thing @ https://elsewhere.example/thing.whl", "git+https://elsewhere.example/thing"],
)  # fmt: skip
def test_what_is_no_name_with_versions_is_not_installed(tmp_path: Path, line: str) -> None:
    with pytest.raises(ScoringError, match="only packages of the index"):
        packages.python_for(files(tmp_path, line), "python", "uv", tmp_path)


def test_a_machine_without_an_index_says_which_package_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ScoringError, match=r"needs packaging==1.0, and this machine gets no"):
        packages.python_for(files(tmp_path, "mlflow", "packaging==1.0"), "python", "", tmp_path)


def test_an_environment_is_made_once_and_one_that_was_cut_off_again(tmp_path: Path) -> None:
    here = files(tmp_path, "nobody-has-this==1.0")
    asked = tmp_path / "asked"
    uv = tmp_path / "uv"
    makes = 'for home; do :; done; case "$*" in *" venv "*) mkdir -p "$home";; esac'
    uv.write_text(f'#!/bin/sh\necho "$@" >>{asked}\n{makes}\n')
    uv.chmod(0o755)
    made = packages.python_for(here, "own", str(uv), tmp_path / "homes")
    assert made.parent.parent.parent == tmp_path / "homes"
    first, second = asked.read_text().splitlines()
    assert " venv --python own " in first and "--no-build" in second
    listed = (tmp_path / "homes" / "requirements.txt").read_text().splitlines()
    assert listed[0] == "nobody-has-this==1.0" and listed[1].startswith("mlflow==")
    assert packages.python_for(here, "own", str(uv), tmp_path / "homes") == made
    assert len(asked.read_text().splitlines()) == 2
    uv.write_text("#!/bin/sh\necho no such package >&2\nexit 1\n")
    with pytest.raises(ScoringError, match="cannot be installed: no such package"):
        packages.python_for(files(tmp_path, "other==1"), "own", str(uv), tmp_path / "homes")


def test_what_nobody_goes_back_to_is_forgotten(tmp_path: Path) -> None:
    for name in ("1", "2", "3.part"):
        (tmp_path / name).mkdir()
    forget(tmp_path, {tmp_path / "2"})
    assert [path.name for path in tmp_path.iterdir()] == ["2"]
    forget(tmp_path / "nowhere", set())


# -- the starter


@pytest.fixture
def control(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A starter for this user, and a program in the place of Python that says what it was told."""
    monkeypatch.chdir(tmp_path)
    listener = starter.listen(Path(starter.CONTROL))
    uid = os.geteuid()

    def run() -> None:
        while True:
            try:
                line, _ = listener.accept()
            except OSError:
                return
            if starter.peer(line) == uid:
                threading.Thread(target=starter.serve, args=(line,), daemon=True).start()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    yield str(tmp_path / starter.CONTROL)
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


def program(tmp_path: Path, text: str) -> str:
    path = tmp_path / "python"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def eventually(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_version_ends_with_whoever_asked_for_it(control: str, tmp_path: Path) -> None:
    told = tmp_path / "told"
    python = program(tmp_path, f'echo $$ "$@" >{told}; exec sleep 1000')
    child = LentChild(control, python, Path("/files"), "v.sock")
    eventually(lambda: told.exists() and bool(told.read_text()))
    pid, *words = told.read_text().split()
    assert words == ["-P", "-m", "provision.server.scoring", "/files", "v.sock"]
    assert child.socket == str(tmp_path / "v.sock") and child.ended() is None
    child.end()
    eventually(lambda: not Path(f"/proc/{pid}").exists())


def test_a_version_that_cannot_be_loaded_says_why(control: str, tmp_path: Path) -> None:
    python = program(tmp_path, 'printf "no weights" >"$5.error"; exit 3')
    child = LentChild(control, python, Path("/files"), "v.sock")
    eventually(lambda: child.ended() is not None)
    assert (child.ended(), child.why()) == (3, "no weights")
    child.end()
    assert not (tmp_path / "v.sock.error").exists()


def test_a_version_that_was_killed_is_told_about_memory(control: str, tmp_path: Path) -> None:
    child = LentChild(control, program(tmp_path, "kill -9 $$"), Path("/files"), "v.sock")
    eventually(lambda: child.ended() is not None)
    assert "--memory" in child.why()


def test_a_starter_that_is_late_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    tried = threading.Event()
    monkeypatch.setattr(children.time, "sleep", lambda _: tried.set())
    made: list[socket.socket] = []

    def late() -> None:
        tried.wait()
        made.append(starter.listen(Path(starter.CONTROL)))

    thread = threading.Thread(target=late)
    thread.start()
    child = LentChild(str(tmp_path / starter.CONTROL), "python", Path("/files"), "v.sock")
    thread.join()
    assert child.ended() is None
    child._line.close()
    made[0].close()


def test_without_a_starter_there_is_no_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(children, "_STARTER_SECONDS", 0.0)
    child = LentChild(str(tmp_path / "nobody"), sys.executable, Path("/files"), "v.sock")
    assert child.ended() == 1
    assert "does not answer" in child.why()
    child.end()
