"""What `provision serve` asks of a machine, and what it makes of the answers."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

from provision.adapters.cloud.commands import Ran
from provision.errors import ProvisionError, RefusedError, UsageError
from provision.model.serving import ModelRef, ServiceState
from provision.targets import aws_models
from provision.targets.aws_models import AwsServices

CHURN = ModelRef("churn", alias="champion")
STARTING = {"health": "starting", "version": ""}
READY = {"health": "ready", "version": "3"}


class Machine:
    """A machine's answers, in their order, and what it was asked."""

    def __init__(self, *answers: Mapping[str, Any] | Ran) -> None:
        self.answers = list(answers)
        self.asked: list[dict[str, Any]] = []

    def run(self, _cloud: Any, _instance: str, lines: Sequence[str], *, seconds: float) -> Ran:
        assert seconds > 300, "the server may have to start anew meanwhile"
        self.asked.append(json.loads(shlex.split(lines[0])[-1]))
        answer = self.answers.pop(0)
        return answer if isinstance(answer, Ran) else Ran(0, json.dumps(answer), "")


def listed(**state: str) -> dict[str, Any]:
    told = {**ServiceState(CHURN.uri, "").to_json(), **state, "slug": CHURN.slug}
    return {"ok": True, "services": [told]}


def services(monkeypatch: pytest.MonkeyPatch, machine: Machine) -> AwsServices:
    monkeypatch.setattr(aws_models, "run_on_machine", machine.run)
    monkeypatch.setattr(aws_models, "_POLL_SECONDS", 0.0)
    remote: Any = SimpleNamespace(opening=SimpleNamespace(cloud=None), instance="i-1")
    return AwsServices(lambda: remote, "https://198.51.100.7")


def quiet() -> Any:
    return SimpleNamespace(step=lambda _: nullcontext())


def test_it_waits_until_a_version_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine({"ok": True, "changed": True}, listed(**STARTING), listed(**READY))
    state, changed = services(monkeypatch, machine).start(CHURN, None, 2**30, quiet())
    assert (state.version, changed) == ("3", True)
    assert state.uri == "https://198.51.100.7/provision/models/churn@champion"
    assert machine.asked[0] == {"do": "serve", "model": CHURN.uri, "memory": 1024}


def test_what_cannot_be_served_is_not_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = listed(health="failed", reason="its weights are gone")
    machine = Machine({"ok": True, "changed": True}, failed, {"ok": True, "changed": True})
    with pytest.raises(ProvisionError, match="its weights are gone"):
        services(monkeypatch, machine).start(CHURN, None, None, quiet())
    assert machine.asked[-1] == {"do": "stop", "model": CHURN.uri}


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Ran(2, "", "unrecognized arguments: --models"), "another version of provision"),
        ({"ok": False, "error": "does not fit", "next_step": "less"}, "does not fit"),
    ],
)
def test_a_machine_that_refuses_is_believed(
    monkeypatch: pytest.MonkeyPatch, answer: Any, words: str
) -> None:
    with pytest.raises(RefusedError, match=words):
        services(monkeypatch, Machine(answer)).start(CHURN, None, None, quiet())


def test_a_machine_that_fails_is_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ProvisionError, match="no space left"):
        services(monkeypatch, Machine(Ran(1, "", "no space left"))).states()


def test_a_port_is_refused_before_anything_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine()
    with pytest.raises(UsageError, match="443"):
        services(monkeypatch, machine).start(CHURN, 5010, None, quiet())
    assert machine.asked == []
