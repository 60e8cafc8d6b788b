"""The composition root for rehearsals: what is around a stack whose account is emulated here."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from provision.accounts import REHEARSAL_REGION, Lab, connect, lab_of
from provision.adapters import packages
from provision.errors import UsageError
from provision.model.layout import Layout
from provision.model.spec import Spec
from provision.settings import Settings
from provision.targets.aws_record import AwsPaths
from provision.targets.base import Progress
from provision.wiring import IN_AN_ACCOUNT, OpenedStack, aws_target, read_spec

if TYPE_CHECKING:
    from provision.model.timeline import Timeline

# ruff: noqa: PLC0415 - each command loads only what it works with
_CLIENTS: Final = "203.0.113.0/24"  # TEST-NET-3, RFC 5737: where a rehearsal's clients come from


def rehearse(settings: Settings, progress: Progress, *, boots: bool = True) -> Timeline:
    """Live through the whole life of the spec's stack in a lab of its own, and end it.

    The spec may say `target: aws`: nothing real is touched. Where it lets no network in, the lab's
    clients are let in. Without `boots`, folders stand for machines. Raises `UsageError` for another
    target.
    """
    from provision.app.rehearse import rehearse as live
    from provision.emulator.plain.client import PlainLab
    from provision.rehearsing import LabStage

    spec = _rehearsed(read_spec(settings), boots=boots)
    own = settings._replace(state_dir=settings.state_dir / "rehearse")
    layout = Layout.below(own.state_dir, spec.name)
    paths = AwsPaths.below(layout.root)
    lab: Lab
    if boots:
        lab = lab_of(spec.aws.region, paths, own)
    else:
        lab = PlainLab(paths.lab, paths.emulator, spec.aws.region or REHEARSAL_REGION)
    version = packages.installed_version("mlflow") or ""
    stack = OpenedStack(spec, aws_target(spec, layout, own, version, lab), layout, own)
    account = connect(spec.target, spec.aws.region, paths, own, lab)
    stage = LabStage(stack, lab, lambda: account.emulated(start=False), progress)
    return live(spec.name, stage, progress, time.monotonic)


def _rehearsed(spec: Spec, *, boots: bool) -> Spec:
    if spec.target not in IN_AN_ACCOUNT:
        raise UsageError(
            f"a rehearsal is for target: aws, and {spec.name} has target: {spec.target}",
            next_step="set target: aws (or rehearsal) in the spec: nothing real is touched",
        )
    # A folder has no network: clients find its server where a tunnel would end.
    ingress = (spec.aws.ingress or (_CLIENTS,)) if boots else ()
    aws = spec.aws.model_copy(update={"ingress": ingress, "state": "local"})
    return spec.model_copy(update={"target": "rehearsal", "aws": aws})
