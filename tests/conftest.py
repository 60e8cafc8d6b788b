"""What all tests share: a folder that any user can reach, and the command line as a program."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from provision.adapters.processes import any_free_port, marked
from tests import capabilities, needs

if TYPE_CHECKING:
    from tests.browser import Browser


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """`@pytest.mark.needs("chromium")`: before any fixture starts something."""
    for program in needs.programs_of(item):
        needs.insist(program)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.when == "call":
        report.user_properties += capabilities.cell_of(item)
    return report


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """`make capabilities`: the README's table from what has just passed."""
    if os.environ.get(capabilities.RENEW):
        stats = terminalreporter.stats
        capabilities.renew(stats.get("passed", []), stats.get("failed", []))


# Minutes of waiting (for Terraform's provider, for a machine that boots): they come first, so that
# the rest fills the time.
_LONGEST = (
    "tests/lab/",
    "tests/terraform/test_up_",
    "tests/terraform/",
    "tests/aws/",
    "tests/e2e/",
)


def _rank(item: pytest.Item) -> int:
    if item.get_closest_marker("slow") is None:
        return len(_LONGEST) + 1
    fitting = (i for i, start in enumerate(_LONGEST) if item.nodeid.startswith(start))
    return next(fitting, len(_LONGEST))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Order them; keep groups together, which xdist 3.8 names where pytest 9.2 looks no more."""
    items.sort(key=_rank)
    for item in items if getattr(config.option, "loadgroup", False) else ():
        group = item.get_closest_marker("xdist_group")
        if group is not None and "@" not in item.nodeid:
            whole: Any = item
            whole._id = type(whole._id).parse(f"{item.nodeid}@{group.args[0]}")


@dataclass
class Cli:
    """`provision` as users run it: a process of its own, in a folder, with a clean environment."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "provision", *arguments]

    def env(self) -> dict[str, str]:
        home = self.folder.parent / "home"
        home.mkdir(exist_ok=True)
        base = {"PATH": os.environ["PATH"], "HOME": str(home), "SHELL": "/bin/bash"}
        return {**base, "LANG": "C.UTF-8", **self.environment}

    def run(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            env=self.env(),
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    def ok(self, *arguments: str) -> str:
        done = self.run(*arguments)
        assert done.returncode == 0, f"{arguments}: {done.stdout}\n{done.stderr}\n{self.logs()}"
        return done.stdout

    def json(self, *arguments: str) -> dict[str, Any]:
        value = json.loads(self.ok(*arguments, "--json"))
        assert isinstance(value, dict)
        return value

    def spec(self, text: str) -> Path:
        path = self.folder / "provision.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    def root(self) -> Path:
        """The folder of the only stack here."""
        (record,) = self.folder.glob(".provision/*/stack.json")
        return record.parent

    def logs(self) -> str:
        return "\n".join(
            f"--- {log}\n{log.read_text(errors='replace')[-3000:]}"
            for log in self.folder.glob(".provision/*/logs/*.log")
        )


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder below one that every user can walk through (pytest's own is closed to others)."""
    base = Path(tempfile.mkdtemp(prefix="provision-test-"))
    base.chmod(0o755)
    folder = base / "churn"
    folder.mkdir()
    yield folder
    _stop_all(base)
    shutil.rmtree(base, ignore_errors=True)


def _stop_all(base: Path) -> None:
    for record in base.rglob("stack.json"):
        for process in marked(record.parent):
            process.kill()


@pytest.fixture
def cli(open_folder: Path) -> Cli:
    return Cli(open_folder)


@pytest.fixture
def port() -> int:
    return any_free_port("127.0.0.1")


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    from tests.browser import Browser

    opened = Browser(tmp_path / "profile")
    yield opened
    opened.driver.quit()


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A folder for the PATH: `provision`, `python` and `pytest` are this checkout's."""
    folder = tmp_path / "bin"
    folder.mkdir()
    programs = {"provision": "-m provision", "python": "", "pytest": "-m pytest"}
    for name, words in programs.items():
        script = folder / name
        script.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {words} "$@"\n')
        script.chmod(0o755)
    return folder
