"""`emulate`: an AWS account on this machine, for as long as the command runs."""

from __future__ import annotations

import shlex
from argparse import Namespace

from provision import wiring
from provision.ui import Ui

_WHAT_IT_IS = (
    "an emulated AWS account answers on this machine: no real account, no cost, and no way from "
    "these settings to the real AWS. All that it holds is lost when this command ends (Ctrl-C)"
)


def emulate(arguments: Namespace, ui: Ui) -> int:
    """Serve an empty account until Ctrl-C; stdout gets the lines that point a shell at it."""
    with wiring.emulated_account(arguments.region, faults=arguments.faults) as account:
        environment = account.environment()
        lines = [f"export {name}={shlex.quote(value)}" for name, value in environment.items()]
        document = {
            "endpoint": account.endpoint, "pid": account.pid, "account": account.account,
            "started_at": account.started_at, "regions": account.regions,
            "faults": account.faults, "environment": environment,
        }  # fmt: skip
        ui.result("emulate", document, "\n".join(lines))
        ui.note(_WHAT_IT_IS)
        wiring.until_told()
    ui.note("the emulated account has ended, and with it all that it held")
    return 0
