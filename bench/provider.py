"""The tests of Terraform with one provider process for all of them, and with one per command.

CPU counts Terraform, the provider and the emulated account. Much of the wall time is the provider's
own pauses, which no test can shorten.
"""

from __future__ import annotations

import sys

from common import machine_line, table, time_once, write

SUITE = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/terraform")


def main() -> None:
    each, once = (
        time_once(["env", f"PROVISION_TEST_PROVIDER={choice}", *SUITE])
        for choice in ("each", "once")
    )
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
