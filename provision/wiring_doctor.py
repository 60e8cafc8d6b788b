"""The composition root for what is asked before anything is made."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

from provision import wiring
from provision.adapters import packages, workspace
from provision.adapters.cloud.identity import identity_of
from provision.adapters.cloud.session import Cloud
from provision.app.doctor import DoctorResult, doctor_result
from provision.app.questions import ask
from provision.model.account import Identity
from provision.model.checks import not_reached
from provision.model.findings.preflight import ACCOUNT_LAYERS
from provision.model.questions import Question
from provision.model.report import Finding
from provision.model.wanted import Wanted
from provision.targets.account_questions import AccountQuestions, identity_question
from provision.targets.aws_record import Access, AwsPaths, AwsRecord
from provision.targets.machine_questions import Machine
from provision.wiring_lab import LabQuestions

_IDENTITY_SECONDS: Final = 5.0
_MACHINE_SECONDS: Final = 6.0
_ATTEMPTS: Final = 2
# Not behind the credentials: they themselves, and whether anything answers.
_OWN: Final = ("session", "aws")

OnFinding = Callable[[Finding], None]


def doctor(stack: wiring.OpenedStack, on_finding: OnFinding) -> DoctorResult:
    """Look at this machine, and at the account where the stack is to live in one."""
    started = time.monotonic()
    look = _in_account if stack.spec.target in wiring.IN_AN_ACCOUNT else _here
    findings = look(stack, on_finding)
    seconds = time.monotonic() - started
    return doctor_result(stack.spec.name, stack.spec.target, findings, seconds)


def _machine(stack: wiring.OpenedStack, environment: Mapping[str, str] | None = None) -> Machine:
    version = packages.installed_version("mlflow") or ""
    return Machine(stack.spec, stack.layout, version, environment or stack.settings.environment)


def _here(stack: wiring.OpenedStack, on_finding: OnFinding) -> list[Finding]:
    return ask(
        _machine(stack).local(), time.monotonic, wiring.PATIENCE_SECONDS, on_finding
    ).findings()


def _in_account(stack: wiring.OpenedStack, on_finding: OnFinding) -> list[Finding]:
    """The machine and the credentials at once, then all that rests on the credentials."""
    end = time.monotonic() + wiring.PATIENCE_SECONDS
    access = access_to(stack)
    # As `up` fetches the provider: past the fence of an emulated account.
    machine = ask(
        [*_machine(stack, access.fetching if access else None).in_account(), *_lab(stack)],
        time.monotonic,
        _MACHINE_SECONDS,
        on_finding,
    )
    if access is None:
        return machine.findings()
    cloud = Cloud(access.environment, stack.spec.aws.region, attempts=_ATTEMPTS)
    known: list[Identity] = []
    question = identity_question(cloud, partial(_identify, cloud, known))
    who = ask([question], time.monotonic, _IDENTITY_SECONDS).findings()
    if not known:
        behind = [not_reached(layer) for layer in ACCOUNT_LAYERS if layer.name not in _OWN]
        for finding in (*who, *behind):
            on_finding(finding)
        return [*machine.findings(), *who, *behind]
    asked = _about_account(stack, cloud, known[0])
    account = ask(asked, time.monotonic, end - time.monotonic(), on_finding)
    return [*machine.findings(), *account.findings()]


def _lab(stack: wiring.OpenedStack) -> Sequence[Question]:
    """What a rehearsal needs of this machine."""
    if stack.spec.target != "rehearsal":
        return []
    return LabQuestions(stack.layout.root, stack.settings.environment).all()


def _identify(cloud: Cloud, known: list[Identity]) -> Identity:
    known.append(identity_of(cloud))
    return known[0]


def _about_account(stack: wiring.OpenedStack, cloud: Cloud, me: Identity) -> Sequence[Question]:
    paths = AwsPaths.below(stack.layout.root)
    record = _record(stack)
    home = record.account if record else stack.spec.aws.account
    wanted = Wanted.of(stack.spec, me.account, me.region)
    questions = AccountQuestions(cloud, me, wanted, home)
    if record is not None and record.applied_at:
        return questions.once_made()
    return questions.before_made(begun=paths.ledger.exists())


def _record(stack: wiring.OpenedStack) -> AwsRecord | None:
    return AwsRecord.from_json(workspace.read_json(AwsPaths.below(stack.layout.root).record))


def access_to(stack: wiring.OpenedStack) -> Access | None:
    """The way to the account; `None` where it is an emulated one that does not run yet."""
    ways = wiring.ways_to_accounts(stack.spec, stack.layout, stack.settings)
    record = _record(stack)
    if stack.spec.target == "rehearsal" or (record is not None and record.owns_account):
        return ways.emulated(start=False)
    return ways.real()
