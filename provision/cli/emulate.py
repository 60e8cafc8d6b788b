"""`emulate`: an AWS account on this machine, for as long as the command runs."""

from __future__ import annotations

import contextlib
import signal
from argparse import Namespace
from dataclasses import asdict

from provision import wiring
from provision.ui import Ui

_WHAT_IT_IS = (
    "an emulated AWS account answers on this machine: no real account, no cost, and no way from "
    "these settings to the real AWS. All that it holds is lost when this command ends (Ctrl-C)"
)


def emulate(arguments: Namespace, ui: Ui) -> int:
    """Serve an empty account until Ctrl-C; stdout gets the lines that point a shell at it."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    with (
        contextlib.suppress(KeyboardInterrupt),
        wiring.emulated_account(arguments.region, faults=arguments.faults) as account,
    ):
        document = {**asdict(account), "environment": account.environment()}
        ui.result("emulate", document, "\n".join(account.lines()))
        ui.note(_WHAT_IT_IS)
        wiring.until_told()
    ui.note("the emulated account has ended, and with it all that it held")
    return 0
