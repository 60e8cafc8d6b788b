"""The audit's questions about a stack that a laptop made, asked in this process."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from provision.adapters import workspace
from provision.adapters.cloud.identity import identity_of
from provision.adapters.cloud.session import Cloud
from provision.adapters.searching import Search
from provision.adapters.specfile import load_spec
from provision.app.questions import ask
from provision.model.outputs import Outputs
from provision.model.report import Outcome
from provision.model.secrets import Secret
from provision.targets.account_audit import AccountAudit
from provision.targets.aws_account import Opening
from provision.targets.aws_record import Access, AwsPaths, AwsRecord
from tests.terraform.laptop import Laptop
from tests.terraform.program import REGION

PLANTED = "a-secret-that-was-planted"


def audit_of(ana: Laptop, stack: str) -> AccountAudit:
    """A look at the stack with Ana's rights."""
    paths = AwsPaths(ana.aws_folder(stack))
    record = AwsRecord.from_json(workspace.read_json(paths.record))
    assert record is not None
    cloud = Cloud(ana.environment, REGION)
    access = Access(ana.environment, ana.environment, override="")
    opening = Opening(access, identity_of(cloud), cloud)
    return AccountAudit(
        spec=load_spec(ana.folder / "provision.yaml"),
        paths=paths,
        opening=opening,
        outputs=Outputs.from_json(record.outputs),
        search=Search({"database password": Secret(PLANTED)}),
        spec_folder=ana.folder,
        ask_machine=None,
    )


def findings_of(ana: Laptop, stack: str, *layers: str) -> list[str]:
    """The ids of what is wrong in these layers."""
    audit = audit_of(ana, stack)
    chosen = [question for question in audit.questions() if question.layer.name in layers]
    found = ask(chosen, time.monotonic, 120).findings()
    return [finding.id for finding in found if finding.outcome is not Outcome.OK]


@contextmanager
def done(act: Callable[[], Any], undo: Callable[[], Any]) -> Iterator[None]:
    """Something is wrong in the account while the block runs."""
    act()
    try:
        yield
    finally:
        undo()
