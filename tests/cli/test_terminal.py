"""On a real (pseudo) terminal: colour, questions, the typed confirmation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest
import yaml

from tests.conftest import Cli

ESCAPE = "\x1b["
SERVERLESS = "name: churn\nscenario: none\n"


@pytest.fixture
def terminal(cli: Cli) -> Iterator[Terminal]:
    opened = Terminal(cli)
    yield opened
    opened.close()


class Terminal:
    """Runs `provision` where stdin, stdout and stderr are one terminal."""

    def __init__(self, cli: Cli) -> None:
        self.cli = cli
        self._children: list[pexpect.spawn] = []

    def start(self, *arguments: str, **environment: str) -> pexpect.spawn:
        program, *rest = self.cli.command(*arguments)
        env = {"TERM": "xterm-256color", **self.cli.env(), **environment}
        child = pexpect.spawn(
            program, rest, cwd=str(self.cli.folder), env=env, encoding="utf-8",
            timeout=60, dimensions=(40, 100),
        )  # fmt: skip
        self._children.append(child)
        return child

    def run(self, *arguments: str, **environment: str) -> tuple[str, int]:
        child = self.start(*arguments, **environment)
        return ended(child)

    def close(self) -> None:
        for child in self._children:
            child.close(force=True)


def ended(child: pexpect.spawn) -> tuple[str, int]:
    """What the command still said, and its exit code."""
    child.expect(pexpect.EOF)
    child.close()
    return str(child.before), int(child.exitstatus)


def test_a_terminal_gets_colour(terminal: Terminal) -> None:
    shown, code = terminal.run("env")
    assert code == 5
    assert f"{ESCAPE}31merror: " in shown


@pytest.mark.parametrize(
    ("flags", "environment"),
    [((), {"NO_COLOR": "1"}), (("--no-color",), {}), ((), {"TERM": "dumb"})],
    ids=["NO_COLOR", "--no-color", "TERM=dumb"],
)
def test_a_terminal_that_wants_no_colour_gets_none(
    terminal: Terminal, flags: tuple[str, ...], environment: dict[str, str]
) -> None:
    shown, code = terminal.run("env", *flags, **environment)
    assert code == 5
    assert "error: " in shown
    assert ESCAPE not in shown


def test_without_a_terminal_there_is_no_colour(cli: Cli) -> None:
    cli.environment["TERM"] = "xterm-256color"
    done = cli.run("env")
    assert "error: " in done.stderr
    assert ESCAPE not in done.stdout + done.stderr


def test_json_on_a_terminal_has_no_colour(terminal: Terminal) -> None:
    shown, code = terminal.run("list", "--json")
    assert code == 0
    assert ESCAPE not in shown


def spec_of(folder: Path) -> dict[str, object]:
    spec = yaml.safe_load((folder / "provision.yaml").read_text(encoding="utf-8"))
    assert isinstance(spec, dict)
    return spec


def test_init_asks_what_no_flag_says(terminal: Terminal) -> None:
    child = terminal.start("init", NO_COLOR="1")
    child.expect_exact("Where should MLflow run?")
    child.sendline("moon")
    child.expect_exact("please answer one of: none, local, team")
    child.sendline("team")
    child.expect_exact("What is the stack called?")
    child.sendline("churn-course")
    child.expect_exact("On which port does the server listen? (5000): ")
    child.sendline("5999")
    child.expect_exact("Do clients need an account? [basic/none] (basic): ")
    child.sendline("")
    shown, code = ended(child)
    assert code == 0 and "wrote " in shown
    spec = spec_of(terminal.cli.folder)
    assert spec["name"] == "churn-course"
    assert spec["server"] == {"port": 5999}
    assert spec["access"] == {"listen": "0.0.0.0", "auth": "basic"}
    terminal.cli.ok("validate")


def test_init_takes_every_default_at_enter(terminal: Terminal) -> None:
    child = terminal.start("init", NO_COLOR="1")
    for question in ("Where should MLflow run?", "What is the stack called?", "On which port"):
        child.expect_exact(question)
        child.sendline("")
    _, code = ended(child)
    assert code == 0
    assert spec_of(terminal.cli.folder)["server"] == {"port": 5000}
    assert "name: churn" in terminal.cli.ok("validate")


def test_init_asks_nothing_where_nobody_is(cli: Cli) -> None:
    done = cli.run("init")
    assert done.returncode == 0
    assert "Where should MLflow run?" not in done.stdout + done.stderr
    assert spec_of(cli.folder)["target"] == "local"


def test_ctrl_c_at_a_question_writes_nothing(terminal: Terminal) -> None:
    child = terminal.start("init", NO_COLOR="1")
    child.expect_exact("Where should MLflow run?")
    child.sendintr()
    shown, code = ended(child)
    assert code == 130
    assert "Traceback" not in shown
    assert not (terminal.cli.folder / "provision.yaml").exists()


@pytest.fixture
def model(terminal: Terminal) -> Path:
    """A file among the artifacts of a stack without a server."""
    terminal.cli.spec(SERVERLESS)
    terminal.cli.ok("up")
    path = terminal.cli.root() / "artifacts/model.pkl"
    path.write_bytes(b"weights")
    return path


@pytest.mark.parametrize("answer", ["yes", "", "CHURN"])
def test_a_wrong_word_deletes_nothing(terminal: Terminal, model: Path, answer: str) -> None:
    child = terminal.start("down", "--delete-data", NO_COLOR="1")
    child.expect_exact("This deletes for good:")
    child.expect_exact(str(model.parent))
    child.expect_exact("Type churn to go on: ")
    child.sendline(answer)
    shown, code = ended(child)
    assert code == 4
    assert "nothing was changed" in shown
    assert model.exists()


def test_the_right_word_deletes(terminal: Terminal, model: Path) -> None:
    child = terminal.start("down", "--delete-data", NO_COLOR="1")
    child.expect_exact("Type churn to go on: ")
    child.sendline("churn")
    shown, code = ended(child)
    assert code == 0
    assert "deleted:" in shown
    assert not model.parent.parent.exists()
