"""Terraform killed in the middle, the hard way: the whole group, without a chance to save."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from typing import Any

from provision.adapters.cloud.listing import leftovers
from provision.adapters.cloud.session import Cloud
from provision.model.leftovers import Names, Sorted, sort_out
from tests.terraform.emulation import ACCOUNT, EmulatedAws
from tests.terraform.program import REGION, Workspace, environment

RUN = "20270131-9f86d081884c"
_LONGEST = 300.0


def values(stack: str, **more: Any) -> dict[str, Any]:
    """The variables of a small stack with this run's id."""
    return {
        "name": stack,
        "region": REGION,
        "user_data": "#cloud-config\n",
        "run": RUN,
        "access": {"ingress_cidrs": ["203.0.113.0/24"]},
        **more,
    }


def kill_when(tracking: Workspace, reached: Callable[[], bool], arguments: Sequence[str]) -> None:
    """Start an apply and kill it with all its children as soon as `reached()`."""
    log = (tracking.folder / "killed.log").open("w", encoding="utf-8")
    process = subprocess.Popen(
        ["terraform", "apply", "-auto-approve", *arguments],
        cwd=tracking.root,
        env={**environment(tracking.folder), **tracking.environment},
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    deadline = time.monotonic() + _LONGEST
    try:
        while not reached():
            assert process.poll() is None, "it ended first: " + _end_of(tracking)
            assert time.monotonic() < deadline, "never reached: " + _end_of(tracking)
            time.sleep(0.02)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        log.close()


def _end_of(tracking: Workspace) -> str:
    return (tracking.folder / "killed.log").read_text(encoding="utf-8")[-2000:]


def cloud_of(aws: EmulatedAws) -> Cloud:
    return Cloud(aws.environment, REGION)


def names_of(stack: str) -> Names:
    return Names.of(stack, ACCOUNT, REGION)


def decide(
    aws: EmulatedAws, tracking: Workspace, plan: dict[str, Any] | None, run: str | None = RUN
) -> Sorted:
    """What becomes of everything that the account holds of the stack."""
    names = names_of(_stack(tracking))
    listing = leftovers(cloud_of(aws), names)
    assert not listing.blind
    assert not listing.strangers
    state = json.loads(tracking.ok("show", "-json"))
    return sort_out(listing.found, run=run, names=names, state=state, plan=plan)


def _stack(tracking: Workspace) -> str:
    values = json.loads((tracking.folder / "plan.tfvars.json").read_text(encoding="utf-8"))
    return str(values["name"])


def imported(plan: dict[str, Any]) -> dict[str, str]:
    """Address -> id of everything that a plan takes into the state."""
    changes = (c for c in plan["resource_changes"] if "importing" in c["change"])
    return {c["address"]: c["change"]["importing"]["id"] for c in changes}
