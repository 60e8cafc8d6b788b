"""The tests of Terraform with one provider process for all of them, and with one per command.

CPU counts Terraform, the provider and the emulated account. Much of the wall time is the provider's
own pauses, which no test can shorten.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time

from common import machine_line, table, write

SUITE = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/terraform")


def measured(choice: str) -> tuple[float, float]:
    """Wall and CPU seconds of the suite; one that fails has no time."""
    started, before = time.perf_counter(), os.times()
    subprocess.run(SUITE, env={**os.environ, "PROVISION_TEST_PROVIDER": choice}, check=True)
    after = os.times()
    cpu = after.children_user + after.children_system
    cpu -= before.children_user + before.children_system
    return time.perf_counter() - started, cpu


def main() -> None:
    each, once = measured("each"), measured("once")
    rows = [
        ("one per command", f"{each[0]:.0f}", f"{each[1]:.0f}", "1", "1"),
        (
            "one for all", f"{once[0]:.0f}", f"{once[1]:.0f}",
            f"{once[0] / each[0]:.2f}", f"{once[1] / each[1]:.2f}",
        ),
    ]  # fmt: skip
    head = ("provider", "seconds", "CPU seconds", "ratio of seconds", "ratio of CPU")
    text = f"# The suite of Terraform\n\n{machine_line()}. One run each, one after the other.\n\n"
    ratios = {"wall": once[0] / each[0], "cpu": once[1] / each[1]}
    write("provider", text + table(head, rows) + "\n", {"each": each, "once": once, **ratios})


if __name__ == "__main__":
    main()
