"""`python -m provision.emulator FOLDER [--region R ...] [--faults]`: an account in this process.

It writes FOLDER/emulator.json (mode 0600) when it answers, and ends on SIGTERM or SIGINT, not with
its terminal. What it holds is lost then.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from provision.adapters import workspace
from provision.emulator import record
from provision.emulator.client import require_moto
from provision.errors import ProvisionError, RefusedError


def main(words: Sequence[str]) -> int:
    """Serve until told to end; returns the exit code."""
    arguments = _parser().parse_args(words)
    logging.basicConfig(level=logging.WARNING)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        serve(Path(arguments.folder), arguments.region, faults=arguments.faults)
    except ProvisionError as error:
        sys.stderr.write(f"error: {error.message}\nnext step: {error.next_step}\n")
        return error.exit_code
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m provision.emulator", description=__doc__)
    parser.add_argument("folder", metavar="FOLDER", help="where emulator.json is written")
    parser.add_argument("--region", action="append", default=[], help="made ready at the start")
    parser.add_argument("--faults", action="store_true", help="let it be made to fail")
    return parser


def serve(folder: Path, regions: Sequence[str], *, faults: bool) -> None:
    """Have the account for `folder` until SIGTERM or SIGINT."""
    require_moto()
    from provision.emulator.foreground import account, until_told  # noqa: PLC0415 - needs moto

    os.umask(0o077)
    workspace.make_folder(folder, enforce=False)
    if not record.hold(folder):
        raise RefusedError(
            f"{folder} has an emulated AWS already (process {record.holder(folder)})",
            next_step="use that one, or choose another folder",
        )
    with contextlib.suppress(KeyboardInterrupt), account(regions, faults=faults) as running:
        record.write(folder, {"schema": "provision.emulator/1", **asdict(running)})
        until_told()
    record.forget(folder)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
