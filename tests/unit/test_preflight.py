"""What an account's answers mean, without an account."""

from __future__ import annotations

import string
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from provision.app.doctor import doctor_result
from provision.app.questions import ask
from provision.model import preflight
from provision.model.findings.preflight import ACCOUNT_LAYERS, MACHINE_LAYERS, PROBLEMS
from provision.model.preflight import AccountKind, Quota
from provision.model.questions import Question, Verdict
from provision.model.report import Outcome
from provision.model.spec import Spec
from provision.model.wanted import Wanted

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
USER = "arn:aws:iam::123456789012:user/ana"
LAYERS = {layer.name: layer for layer in (*MACHINE_LAYERS, *ACCOUNT_LAYERS)}
EXISTING = {
    "vpc": "vpc-0a1b2c3d4e5f60718",
    "public_subnet": "subnet-0a1b2c3d4e5f60718",
    "private_subnets": ["subnet-0a1b2c3d4e5f60719", "subnet-0a1b2c3d4e5f6071a"],
}
SEEN = {
    "subnet-0a1b2c3d4e5f60718": ("vpc-0a1b2c3d4e5f60718", "eu-west-1a"),
    "subnet-0a1b2c3d4e5f60719": ("vpc-0a1b2c3d4e5f60718", "eu-west-1a"),
    "subnet-0a1b2c3d4e5f6071a": ("vpc-0a1b2c3d4e5f60718", "eu-west-1b"),
}
VPCS = {"vpc-0a1b2c3d4e5f60718": "10.0.0.0/16"}


def wanted(region: str = "eu-west-1", **aws: object) -> Wanted:
    spec = Spec.model_validate({"name": "churn", "target": "aws", "aws": aws})
    return Wanted.of(spec, "123456789012", region)


def later(minutes: float) -> datetime:
    return NOW + timedelta(minutes=minutes)


def existing(
    networks: dict[str, str] = VPCS, *, out: bool = True, **seen: tuple[str, str]
) -> Verdict:
    return preflight.existing(networks, {**SEEN, **seen}, wanted(network=EXISTING), out=out)


LAB, FREE = AccountKind(learner_lab=True), AccountKind(free_plan=True)
WITHIN = {"backup_days": 1}
OFFERS = [{"eu-west-1a", "eu-west-1b"}]
CASES: list[tuple[Callable[[], Verdict], str]] = [
    (lambda: preflight.clock(NOW, NOW), ""),
    (lambda: preflight.clock(NOW, later(0.2)), ""),
    (lambda: preflight.clock(NOW, later(1)), "clock.drifting"),
    (lambda: preflight.clock(NOW, later(-9)), "clock.wrong"),
    (lambda: preflight.session(USER, None, NOW, 20), ""),
    (lambda: preflight.session(USER, later(60), NOW, 20), ""),
    (lambda: preflight.session(USER, later(19), NOW, 20), "session.too-short"),
    (lambda: preflight.session("arn:aws:iam::1:root", None, NOW, 20), "session.root"),
    (lambda: preflight.account(AccountKind(), wanted(profile="team")), ""),
    (lambda: preflight.account(FREE, wanted()), "account.free-plan"),
    (lambda: preflight.account(FREE, wanted(settings=WITHIN)), ""),
    (lambda: preflight.account(LAB, wanted()), "account.learner-lab-region"),
    (lambda: preflight.account(LAB, wanted("us-east-1")), "account.learner-lab"),
    (lambda: preflight.account(LAB, wanted("us-east-1", instance_profile="LabInstanceProfile")),
     ""),
    (lambda: preflight.account(
        LAB, wanted("us-east-1", instance_profile="LabInstanceProfile", profile="team")),
     "account.learner-lab-limits"),
    (lambda: preflight.quota(Quota("networks", 5, 4, 1), "eu-west-1"), ""),
    (lambda: preflight.quota(Quota("networks", 5, 5, 1), "eu-west-1"), "quota.used-up"),
    (lambda: preflight.quota(None, "eu-west-1"), ""),
    (lambda: preflight.zones(["eu-west-1a", "eu-west-1b"], wanted()), ""),
    (lambda: preflight.zones(["eu-west-1a"], wanted()), "zones.too-few"),
    (lambda: preflight.zones(["eu-west-1a", "eu-west-1b"], wanted(
        region="eu-west-1", network={"zones": ["eu-west-1a", "eu-west-1c"]})), "zones.too-few"),
    (lambda: preflight.machine(["eu-west-1a"], "eu-west-1a", wanted()), ""),
    (lambda: preflight.machine(["eu-west-1b"], "eu-west-1a", wanted()), "machine.not-offered"),
    (lambda: preflight.machine([], "eu-west-1a", wanted()), "machine.not-offered"),
    (lambda: preflight.engine({"16"}, OFFERS, wanted(), ["eu-west-1a", "eu-west-1b"]), ""),
    (lambda: preflight.engine({"17"}, OFFERS, wanted(), ["eu-west-1a"]), "engine.no-version"),
    (lambda: preflight.engine({"16"}, [], wanted(), ["eu-west-1a"]), "engine.not-offered"),
    (lambda: preflight.engine({"16"}, OFFERS, wanted(), ["eu-west-1c"]), "engine.not-offered"),
    (lambda: preflight.engine({"16"}, OFFERS, wanted(profile="team"),
                              ["eu-west-1a", "eu-west-1c"]), "engine.not-offered"),
    (lambda: preflight.network({"vpc-1": "10.0.0.0/16"}, wanted()), ""),
    (lambda: preflight.network({"vpc-1": "10.87.0.0/16"}, wanted()), "network.overlaps"),
    (lambda: preflight.network({}, wanted(ingress=["10.87.4.0/24"])),
     "network.overlaps-ingress"),
    (existing, ""),
    (lambda: existing(out=False), "network.missing"),
    (lambda: existing({}), "network.missing"),
    (lambda: existing(**{"subnet-0a1b2c3d4e5f6071a": ("vpc-2", "eu-west-1b")}),
     "network.missing"),
    (lambda: existing(**{"subnet-0a1b2c3d4e5f6071a": ("vpc-0a1b2c3d4e5f60718", "eu-west-1a")}),
     "network.missing"),
    (lambda: preflight.bucket(404, wanted()), ""),
    (lambda: preflight.bucket(200, wanted()), ""),
    (lambda: preflight.bucket(403, wanted()), "bucket.taken"),
]  # fmt: skip


@pytest.mark.parametrize(("judge", "problem"), CASES)
def test_an_answer_means_exactly_one_thing(judge: Callable[[], Verdict], problem: str) -> None:
    verdict = judge()
    assert verdict.problem == problem
    assert verdict.observed
    if problem:
        (row,) = (row for row in PROBLEMS if row.id == problem)
        for text in (row.cause, row.next_step):
            names = {name for _, name, _, _ in string.Formatter().parse(text) if name}
            assert names <= set(verdict.facts)


def test_the_range_that_is_proposed_is_free() -> None:
    taken = {f"vpc-{number}": f"10.{number}.0.0/16" for number in range(87, 92)}
    assert preflight.network(taken, wanted()).facts["free"] == "10.92.0.0/20"


# Asking side by side.


def question(layer: str, asked: Callable[[], Verdict]) -> Question:
    return Question(LAYERS[layer], asked)


def test_questions_are_asked_side_by_side_and_told_in_the_order_of_the_table() -> None:
    second = threading.Event()
    told: list[str] = []

    def first() -> Verdict:
        assert second.wait(60)
        return Verdict("after the other")

    def other() -> Verdict:
        second.set()
        return Verdict("at once")

    asked = [question("disk", first), question("folder", other)]
    findings = ask(asked, time.monotonic, 60, lambda f: told.append(f.id)).findings()
    assert [f.id for f in findings] == ["disk", "folder"]
    assert sorted(told) == ["disk", "folder"]


def test_what_does_not_answer_is_said_and_does_not_hold_the_others_up() -> None:
    never = threading.Event()

    def silent() -> Verdict:
        never.wait()
        return Verdict("too late")

    asked = [question("quota", silent), question("bucket", lambda: Verdict("free"))]
    findings = ask(asked, time.monotonic, 0.5).findings()
    never.set()
    assert [(f.id, f.outcome) for f in findings] == [
        ("aws.not-answered", Outcome.WARNING), ("bucket", Outcome.OK),
    ]  # fmt: skip
    assert findings[0].title == LAYERS["quota"].title


def test_a_fault_in_one_question_is_no_more_than_that() -> None:
    def broken() -> Verdict:
        raise KeyError("AccountQuotas")

    asked = [question("quota", broken), question("bucket", lambda: Verdict("free"))]
    findings = ask(asked, time.monotonic, 60).findings()
    assert [f.id for f in findings] == ["aws.not-answered", "bucket"]
    assert "KeyError" in findings[0].observed


@pytest.mark.parametrize(
    ("verdicts", "code"),
    [
        ([("disk", "")], 0),
        ([("disk", ""), ("session", "session.root")], 0),
        ([("disk", "disk.full")], 5),
        ([("session", "session.other-account")], 4),
        ([("session", "session.other-account"), ("disk", "disk.full")], 5),
    ],
)
def test_the_exit_code_says_what_would_stop_it(verdicts: list[tuple[str, str]], code: int) -> None:
    facts = dict.fromkeys(("free", "needed", "folder", "here", "home"), "x")
    asked = [question(layer, lambda p=p: Verdict("x", p, facts)) for layer, p in verdicts]
    findings = ask(asked, time.monotonic, 60).findings()
    result = doctor_result("churn", "aws", findings, 0.1)
    assert (result.exit_code, result.ready) == (code, code == 0)
