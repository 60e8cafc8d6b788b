"""How a stack's machine is asked to hand its database over, and what is left of it afterwards."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from provision.errors import CheckFailedError, ProvisionError, RefusedError
from provision.targets.aws_data import PREFIX, opened
from provision.targets.aws_record import AwsPaths
from tests.aws.stack import NAMES, Stack
from tests.aws.test_remote import Answer, agent, remote
from tests.progress import Quiet

pytestmark = [pytest.mark.xdist_group("aws-host"), pytest.mark.slow]


Started = list[list[str]]


def machine(stack: Stack, *, fails: bool = False) -> tuple[Answer, Started]:
    """What answers in the machine's place, and each command that started a job there."""
    started: Started = []

    def answer(line: str) -> tuple[int, str, str]:
        words = shlex.split(line)
        if words[0] == "systemd-run":
            started.append(words)
            part = f"{PREFIX}{words[-2]}"
            stack.write(f"{part}/mlflow.db", "rows")
            error = {"event": "error", "exit_code": 6, "message": "no room", "next_step": "df"}
            done = {"event": "done", "result": {}}
            stack.write(f"{part}/said.json", json.dumps(error if fails else done))
        return 0, "", ""

    return answer, started


def versions(stack: Stack) -> int:
    found = stack.aws.client("s3").list_object_versions(Bucket=NAMES.bucket, Prefix=PREFIX)
    return len(found.get("Versions", [])) + len(found.get("DeleteMarkers", []))


def test_databases_are_handed_over_and_nothing_stays(stack: Stack, tmp_path: Path) -> None:
    answer, started = machine(stack)
    paths = AwsPaths(tmp_path)
    with agent(stack, answer) as lines:
        with opened(remote(stack), paths, Quiet(), fill=True) as place:
            assert place.is_ferried and place.in_bucket and place.users_url is None
            assert (place.owner, place.environment) == (stack.me.account, {})
            part = place.database_url.partition(f"{NAMES.bucket}/")[2].rpartition("/")[0]
            stack.write(f"{part}/filled/mlflow.db", "more rows")
        with opened(remote(stack), paths, Quiet(), fill=True):
            pass  # nothing was put there, so nothing is filled
    export, fill, again = started
    assert [words[-5] for words in started] == ["export", "fill", "export"]
    stops = "--property=ExecStartPre=+/usr/bin/systemctl stop mlflow.service"
    assert stops in fill and stops not in export + again
    assert "--property=User=mlflow" in export
    # The unit is waited for, after each job as before it.
    assert [line.startswith("n=0; while") for line in lines] == [True, False, True] * 3
    assert versions(stack) == 0
    assert not (tmp_path / "scratch").exists()


def test_what_fails_on_the_machine_is_told_and_nothing_stays(stack: Stack, tmp_path: Path) -> None:
    answer, _ = machine(stack, fails=True)
    with (
        agent(stack, answer),
        pytest.raises(CheckFailedError, match="no room"),
        opened(remote(stack), AwsPaths(tmp_path), Quiet(), fill=False),
    ):
        pass
    assert versions(stack) == 0


def test_a_job_that_cannot_start_or_does_not_end_is_named(stack: Stack, tmp_path: Path) -> None:
    answer, started = machine(stack)
    older = "python: No module named provision.server.archive.hosted"

    def hangs(line: str) -> tuple[int, str, str]:
        return (75, "", "") if started and "while" in line else answer(line)

    def said(answers: Answer, kind: type[ProvisionError]) -> tuple[ProvisionError, list[str]]:
        with (
            agent(stack, answers) as lines,
            pytest.raises(kind) as caught,
            opened(remote(stack), AwsPaths(tmp_path), Quiet(), fill=False),
        ):
            pass
        return caught.value, lines

    busy, _ = said(lambda _: (75, "", ""), RefusedError)
    assert "another command copies data" in busy.message
    old, _ = said(lambda _: (1, "", older), RefusedError)
    assert "an older version" in old.message and "provision up" in old.next_step
    endless, lines = said(hangs, ProvisionError)
    assert "did not end" in endless.message and "logs transfer" in endless.next_step
    assert lines[-1].startswith("systemctl stop provision-transfer")
