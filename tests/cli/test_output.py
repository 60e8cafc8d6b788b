"""Whole outputs: what a user reads, kept as files beside this one.

After a change that is meant: `PROVISION_REWRITE_EXPECTED=1 python -m pytest tests/cli`, then read
the difference before committing it.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from provision._version import __version__
from provision.adapters.packages import installed_version
from provision.cli.parser import build_parser
from provision.targets.aws_record import AwsRecord
from tests.conftest import Cli

EXPECTED = Path(__file__).parent / "expected"
REWRITE = "PROVISION_REWRITE_EXPECTED"
COMMANDS = (
    "init", "validate", "schema", "doctor", "plan", "up", "status", "list", "down", "unlock",
    "check", "audit", "explain", "env", "open", "logs", "serve", "archive", "backup", "restore",
    "move", "gc", "upgrade", "users", "handout", "cost", "pause", "resume", "extend", "repair",
    "tunnel", "ssh", "emulate", "rehearse", "version", "completion",
)  # fmt: skip
GOOD = "name: churn\nserver:\n  port: 5999\n"
BAD = "nmae: x\nserver:\n  prot: 5000\n  memory: lots\ntarget: lokal\n"
_AWS = "name: churn\ntarget: aws\naws:\n  region: eu-west-1\n"
# Name of the expected file -> the spec (None: no file there) and the command line.
CASES: dict[str, tuple[str | None, str]] = {
    "validate-ok": (GOOD, "validate"),
    "validate-ok-json": (GOOD, "validate --json"),
    "validate-warning": (GOOD + "access:\n  listen: 0.0.0.0\n  auth: none\n", "validate"),
    "validate-failed": (BAD, "validate"),
    "validate-failed-json": (BAD, "validate --json"),
    "validate-no-file": (None, "validate"),
    "version": (None, "version"),
    "version-json": (None, "version --json"),
    "init": (None, "init --rung local --name churn --port 5999"),
    "init-json": (None, "init --rung team --name churn --json"),
    "init-twice": (GOOD, "init --rung local"),
    "init-unknown-rung": (None, "init --rung moon"),
    "list-empty": (None, "list"),
    "list-empty-json": (None, "list --json"),
    "status-never-started": (GOOD, "status"),
    "status-never-started-json": (GOOD, "status --json"),
    "env-never-started": (GOOD, "env"),
    "env-never-started-json": (GOOD, "env --json"),
    "check-never-started": (GOOD, "check"),
    "audit-never-started": (GOOD, "audit"),
    "explain": (None, "explain host.not-allowed"),
    "explain-json": (None, "explain host.not-allowed --json"),
    "explain-layer": (None, "explain tls"),
    "explain-typing-error": (None, "explain host.notallowed"),
    "open-never-started": (GOOD, "open --print"),
    "logs-never-started": (GOOD, "logs"),
    "down-never-started": (GOOD, "down"),
    "up-render-only": (GOOD + "target: compose\n", "up --render-only"),
    "up-render-only-local": (GOOD, "up --render-only"),
    "plan-local": (GOOD, "plan"),
    "up-emulated-local": (GOOD, "up --emulated"),
    "usage-no-command": (None, ""),
    "usage-unknown-flag": (None, "up --bogus"),
    "usage-unknown-flag-json": (None, "up --bogus --json"),
    "usage-bad-port": (None, "up --port 0"),
    "archive-never-started": (GOOD, "archive there"),
    "archive-in-itself": (GOOD, "archive .provision/churn/there"),
    "restore-no-folder": (GOOD, "restore there"),
    "restore-no-folder-json": (GOOD, "restore there --json"),
    "restore-nothing": (GOOD, "restore"),
    "restore-two-things": (GOOD, "restore there --from-backup b"),
    "restore-no-backup": (GOOD, "restore --from-backup b --yes"),
    "upgrade-never-started": (GOOD, "upgrade"),
    "upgrade-in-containers": (GOOD + "target: compose\n", "upgrade"),
    "upgrade-on-aws": (_AWS, "upgrade"),
    "backup-never-started": (GOOD, "backup"),
    "backup-bad-name": (GOOD, "backup Friday!"),
    "backup-list-empty": (GOOD, "backup --list"),
    "backup-list-empty-json": (GOOD, "backup --list --json"),
    "backup-on-aws-never-up": (_AWS, "backup"),
    "move-into-itself": (GOOD, "move --to provision.yaml"),
    "gc-never-started": (GOOD, "gc"),
    "usage-bad-age": (GOOD, "gc --older-than soon"),
}

CASES |= {
    "status-offline": (_AWS, "status --offline"),
    "status-offline-json": (_AWS, "status --offline --json"),
    "status-offline-never-started": (GOOD, "status --offline"),
    "repair-local": (GOOD, "repair"),
    "ssh-local-json": (GOOD, "ssh --json -- true"),
    "rehearse-local": (GOOD, "rehearse"),
    "unlock-local": (GOOD, "unlock"),
    "unlock-free": (_AWS, "unlock"),
    "unlock-nobody-to-ask": (_AWS, "unlock"),
    "unlock-yes": (_AWS, "unlock --yes"),
    "unlock-yes-json": (_AWS, "unlock --yes --json"),
}
CASES |= {
    "serve-never-started": (GOOD, "serve models:/churn@champion"),
    "serve-not-a-model": (GOOD, "serve churn"),
    "serve-which": (GOOD, "serve"),
    "serve-no-server": ("name: churn\nscenario: none\n", "serve models:/churn@champion"),
    "serve-on-aws": (_AWS, "serve --list"),
    "serve-list-empty": (GOOD, "serve --list"),
    "serve-list-empty-json": (GOOD, "serve --list --json"),
    "serve-stop-nothing": (GOOD, "serve --stop"),
    "serve-stop-another": (GOOD, "serve --stop models:/churn@champion"),
    "users-sync-help": (None, "users sync --help"),
    "users-add-help": (None, "users add --help"),
    "users-never-started": (GOOD, "users list"),
    "users-bad-roster": (GOOD, "users sync --roster class.csv --yes"),
    "users-bad-roster-json": (GOOD, "users sync --roster class.csv --json"),
    "users-no-roster": (GOOD, "users sync --roster none.csv"),
    "users-bad-name": (GOOD, "users add o'neill --team red"),
    "handout-never-started": (GOOD, "handout out"),
    "cost": (_AWS, "cost --people 120 --days 90"),
    "cost-json": (_AWS, "cost --json"),
    "cost-team": (_AWS.replace("eu-west-1", "xx-new-1") + "  profile: team\n", "cost"),
    "cost-hours": (f"{_AWS}lifetime:\n  hours: Mon-Fri 08:00-20:00 UTC\n", "cost"),
    "cost-local": (GOOD, "cost --roster class.csv --svg cost.svg"),
    "cost-nobody": (GOOD, "cost --people 0"),
}
# Name of the case -> the class list that lies beside the spec.
ROSTERS = {
    "users-bad-roster": "username;nmae\nana;x\nana;y\njos\u00e9;z\n",
    "users-bad-roster-json": "user;role\nana;techer\n",
    "cost-local": "username,team,room\nana,red,1\nbo,red,2\n",
}
# Name of the case -> what lies in the stack's folder before, as JSON.
_RECORD = AwsRecord(
    name="churn",
    spec_file="provision.yaml",
    account="123456789012",
    region="eu-west-1",
    emulated=True,
    state="local",
    mlflow_version=installed_version("mlflow") or "",
    created_at="2026-11-21T08:00:00+00:00",
    applied_at="2026-11-21T08:05:00+00:00",
    outputs={
        "server": {
            "value": {"instance_id": "i-1", "public_ip": "198.51.100.7", "image_id": "ami-1"}
        }
    },
)
_LOCKED = {
    "aws/terraform/stacks/tracking/.terraform.tfstate.lock.info": {
        "ID": "1d4a0000-0000-0000-0000-000000000000",
        "Operation": "OperationTypeApply",
        "Who": "ana@her-laptop",
        "Created": "2026-11-21T07:00:00.123456789Z",
    }
}
FILES: dict[str, dict[str, dict[str, Any]]] = {
    "unlock-nobody-to-ask": _LOCKED,
    "unlock-yes": _LOCKED,
    "unlock-yes-json": _LOCKED,
    "status-offline": {"aws/record.json": _RECORD.to_json()},
    "status-offline-json": {"aws/record.json": _RECORD.to_json()},
}


def without_what_varies(text: str, folder: Path) -> str:
    """Machine, versions and free disk taken out."""
    text = text.replace(str(folder), "FOLDER").replace(__version__, "VERSION")
    text = text.replace(installed_version("mlflow") or "no mlflow", "MLFLOW")
    text = text.replace(sys.version.split()[0], "PYTHON")
    text = re.sub(r'"free_bytes": \d+', '"free_bytes": FREE', text)
    text = re.sub(r"Z, for [^)]*", "Z, for AGE", text)
    text = re.sub(r'"age_seconds": \d+', '"age_seconds": AGE', text)
    return re.sub(r"[\d.]+ [kMGT]B free", "FREE free", text)


def same_on_all_pythons(text: str) -> str:
    """argparse says the same on every Python, but shapes it differently.

    3.13 writes an option's argument once (`-f, --file FILE`), which moves its columns and line
    breaks too; 3.12 stopped quoting choices.
    """
    text = re.sub(r"(--?[\w-]+) ([A-Z]+), (--[\w-]+) \2", r"\1, \3 \2", text)
    text = re.sub(r"choose from ([^)]*)", lambda found: found[0].replace("'", ""), text)
    return " ".join(text.split())


def compare(name: str, shown: str) -> None:
    path = EXPECTED / f"{name}.txt"
    if os.environ.get(REWRITE):
        path.write_text(shown, encoding="utf-8")
    expected = path.read_text(encoding="utf-8")
    if sys.version_info[:2] == (3, 11):
        assert shown == expected
    assert same_on_all_pythons(shown) == same_on_all_pythons(expected)


def transcript(cli: Cli, line: str) -> str:
    """A command with everything that it said, stream by stream."""
    done = cli.run(*line.split())
    said = f"$ provision {line}".rstrip() + f"\n{done.stdout}"
    if done.stderr:
        said += f"--- stderr\n{done.stderr}"
    return without_what_varies(said + f"--- exit code {done.returncode}\n", cli.folder)


@pytest.mark.parametrize("name", CASES)
def test_a_command_says_exactly_what_its_file_holds(cli: Cli, name: str) -> None:
    spec, line = CASES[name]
    if spec is not None:
        cli.spec(spec)
    if name in ROSTERS:
        (cli.folder / "class.csv").write_text(ROSTERS[name], encoding="utf-8")
    for path, value in FILES.get(name, {}).items():
        file = cli.folder / ".provision/churn" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(value), encoding="utf-8")
    compare(name, transcript(cli, line))


def test_status_says_the_same_fields_with_and_without_looking(cli: Cli) -> None:
    cli.spec(GOOD)
    looked, recorded = cli.json("status"), cli.json("status", "--offline")
    assert list(looked) == list(recorded)
    same = ("schema", "name", "target", "state", "detail", "uri")
    assert [looked[key] for key in same] == [recorded[key] for key in same]


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_is_as_its_file_holds_it(cli: Cli, command: str) -> None:
    cli.environment["COLUMNS"] = "80"
    compare(f"help-{command or 'all'}", transcript(cli, f"{command} --help".strip()))


def test_every_command_has_its_help_in_a_file() -> None:
    (action,) = (a for a in build_parser()._actions if a.choices)
    assert set(COMMANDS) == set(action.choices or ())


def test_every_expected_file_belongs_to_a_test() -> None:
    names = {*CASES, "help-all", *(f"help-{command}" for command in COMMANDS)}
    assert {path.stem for path in EXPECTED.iterdir()} == names


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_usage_and_options_fit_a_narrow_terminal(cli: Cli, command: str) -> None:
    cli.environment["COLUMNS"] = "60"
    shown = cli.ok(*command.split(), "--help")
    usage, rest = shown.split("\n\n", 1)
    options = rest.partition("options:\n")[2].partition("\n\nexamples:")[0]
    assert options
    assert max(len(line) for line in (usage + "\n" + options).splitlines()) <= 60


def test_the_schema_begins_as_a_json_schema_and_is_one_document(cli: Cli) -> None:
    shown = cli.ok("schema")
    assert shown.splitlines()[:3] == [
        "{",
        '  "$schema": "https://json-schema.org/draft/2020-12/schema",',
        '  "$id": "urn:provision-mlflow:spec:1",',
    ]
    assert json.loads(shown)["title"] == "provision.yaml"


@pytest.mark.parametrize(
    ("spec", "line", "code"),
    [
        (BAD, "up --json", 2),
        (BAD, "validate --json", 2),
        (GOOD, "env --json", 5),
        (GOOD, "check --json", 5),
        (GOOD, "logs --json", 5),
        (GOOD, "open --json", 5),
        (GOOD, "init --rung local --json", 4),
        (GOOD, "up --json --no-such-flag", 2),
        (GOOD, "up --json -f missing.yaml", 5),
        (GOOD + "target: aws\n", "up --json", 5),
    ],
)
def test_with_json_an_error_is_one_document_on_stdout(
    cli: Cli, spec: str, line: str, code: int
) -> None:
    cli.spec(spec)
    done = cli.run(*line.split())
    document = json.loads(done.stdout)
    assert document["schema"] == "provision.error/1"
    assert document["error"]["exit_code"] == done.returncode == code
    assert document["error"]["message"] and document["error"]["next_step"]
    assert "Traceback" not in done.stderr


def test_every_problem_of_a_spec_is_in_the_json_with_its_line(cli: Cli) -> None:
    cli.spec(BAD)
    problems = json.loads(cli.run("validate", "--json").stdout)["problems"]
    assert [problem["line"] for problem in problems] == [1, 3, 4, 5]
    assert all(problem["file"].endswith("provision.yaml") for problem in problems)


@pytest.mark.parametrize("line", ["schema", "--help", "up --help", "list", "version --json"])
def test_a_reader_that_has_gone_ends_a_command_quietly(cli: Cli, line: str) -> None:
    """What `provision schema | head -1` meets when head was faster."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            cli.command(*line.split()), cwd=cli.folder, env=cli.env(), stdout=writer,
            stderr=subprocess.PIPE, text=True, timeout=60, check=False,
        )  # fmt: skip
    finally:
        os.close(writer)
    assert done.stderr == ""
    assert done.returncode == 141


def test_a_pipe_to_head_shows_one_line_and_no_traceback(cli: Cli) -> None:
    script = '"$0" -m provision schema | head -1'
    done = subprocess.run(
        ["bash", "-c", script, sys.executable],
        cwd=cli.folder, env=cli.env(), capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("{\n", "")
