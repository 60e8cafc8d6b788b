"""Each known fault of python-terraform, and that it is closed."""

from __future__ import annotations

import copy
import logging
import sys
from pathlib import Path

import pytest

from provision.adapters.terraform.commands import FLAG, Commands, Listeners
from provision.adapters.terraform.running import Done, Patience

# Stands for the program: prints its own arguments, one in a line.
_ECHO = (sys.executable, "-c", "import sys; print('\\n'.join(sys.argv[1:]))")


def _commands(folder: Path, *words: str, **environment: str) -> Commands:
    return Commands(words or _ECHO, folder, environment, Patience())


def _answering(folder: Path, program: str, **environment: str) -> Commands:
    return _commands(folder, sys.executable, "-c", program, **environment)


def _words(done: Done) -> list[str]:
    assert done.code == 0, done.err
    return done.out.splitlines()


def test_destroy_is_a_saved_plan_without_the_flag_that_terraform_refuses(tmp_path: Path) -> None:
    words = _words(_commands(tmp_path).destroy(tmp_path / "plan"))
    assert words == ["apply", "-json", "-input=false", str(tmp_path / "plan")]


def test_apply_needs_no_approval_and_prompts_nobody(tmp_path: Path) -> None:
    words = _words(_commands(tmp_path).apply(tmp_path / "plan"))
    assert not [word for word in words if "approve" in word]
    assert words[-1] == str(tmp_path / "plan")


@pytest.mark.parametrize("method", ["apply", "destroy"])
def test_without_a_saved_plan_nothing_is_applied_or_destroyed(tmp_path: Path, method: str) -> None:
    with pytest.raises(TypeError):
        getattr(_commands(tmp_path), method)()


def test_one_output_is_its_value(tmp_path: Path) -> None:
    program = 'print(\'{"uri": {"value": "http://x", "type": "string", "sensitive": false}}\')'
    commands = _answering(tmp_path, program)
    assert commands.output("uri") == "http://x"
    assert commands.output("another") is None
    assert commands.output() == {"uri": {"value": "http://x", "type": "string", "sensitive": False}}


def test_a_plan_with_changes_is_no_failure(tmp_path: Path) -> None:
    done = _answering(tmp_path, "import sys; print(sys.argv); sys.exit(2)").plan(out="plan")
    assert done.code == 2
    assert "-detailed-exitcode" in done.out


@pytest.mark.parametrize(
    "options",
    [
        {"var": {"password": "hunter2"}},
        {"var": ["password=hunter2"]},
        {"backend_config": {"secret_key": "hunter2"}},
        {"anything": {"password": "hunter2"}},
    ],
)
def test_no_value_of_a_variable_gets_into_arguments_or_files(
    tmp_path: Path, options: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(ValueError, match="give a file") as error:
        _commands(tmp_path).cmd("plan", **options)
    assert "hunter2" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_an_attribute_that_is_no_command_runs_none(tmp_path: Path) -> None:
    commands = _commands(tmp_path)
    for name in ("_repr_html_", "refresh", "aplly", "__enter__", "import_cmd"):
        assert not hasattr(commands, name)
    assert copy.copy(commands).working_dir == str(tmp_path)


def test_nothing_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    handlers = list(logging.getLogger().handlers)
    commands = _answering(tmp_path, "import sys; print('hunter2'); sys.exit(1)")
    assert commands.cmd("show", "hunter2", json=FLAG).code == 1
    assert caplog.records == []
    assert logging.getLogger().handlers == handlers


@pytest.mark.parametrize("content", ["", '{"version": 4, "resources": [', "[]"])
def test_a_state_that_is_not_whole_does_not_end_us(tmp_path: Path, content: str) -> None:
    (tmp_path / "terraform.tfstate").write_text(content, encoding="utf-8")
    commands = _commands(tmp_path)
    assert _words(commands.cmd("validate")) == ["validate"]
    assert commands.tfstate is None


def test_output_is_heard_as_it_comes(tmp_path: Path) -> None:
    heard: list[str] = []
    program = "import sys; print('out'); print('err', file=sys.stderr)"
    ears = Listeners(line=heard.append, error=heard.append)
    done = _answering(tmp_path, program).cmd("plan", listeners=ears)
    assert sorted(heard) == ["err", "out"]
    assert done.out == done.err == ""


def test_a_command_sees_the_given_environment_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    program = "import os; print(sorted(k for k in os.environ if not k.startswith('LC_')))"
    commands = _answering(tmp_path, program, TF_INPUT="0")
    done = commands.cmd("plan", environment={"TF_LOG_PROVIDER": "DEBUG"})
    assert done.out == "['TF_INPUT', 'TF_LOG_PROVIDER']"


def test_hostile_names_stay_one_word(tmp_path: Path) -> None:
    name = "$(touch owned); `id` \"' \n--x"
    words = _commands(tmp_path).generate_cmd_string("show", name, json=FLAG)
    assert words[-2:] == ["-json", name]
