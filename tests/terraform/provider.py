"""The AWS provider as one process for all of Terraform's commands, instead of one per command.

A start of the provider costs more CPU than most plans. Terraform uses a running one when
TF_REATTACH_PROVIDERS tells it where (https://developer.hashicorp.com/terraform/plugin/debugging).
It then has the environment that it was started with, whatever Terraform's own is.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

SWITCH = "PROVISION_TEST_PROVIDER"
VARIABLE = "TF_REATTACH_PROVIDERS"
_ANNOUNCED = re.compile(rf"{VARIABLE}='(.+)'")


def is_wanted() -> bool:
    """`PROVISION_TEST_PROVIDER=each` lets Terraform start its own, as users meet it."""
    choice = os.environ.get(SWITCH, "once")
    assert choice in ("once", "each"), f"{SWITCH} is once or each, not {choice}"
    return choice == "once"


def binary_in(mirror: Path | None) -> Path | None:
    """The newest unpacked provider for this machine in a mirror, where there is one."""
    if mirror is None:
        return None
    folder = mirror / "registry.terraform.io/hashicorp/aws"
    found = folder.glob("*/linux_*/terraform-provider-aws_v*")
    return max((path for path in found if os.access(path, os.X_OK)), default=None)


@contextmanager
def running(binary: Path, environment: Mapping[str, str]) -> Iterator[str]:
    """A provider that waits for Terraform; gives the value of TF_REATTACH_PROVIDERS.

    In this mode it logs each request with its body: that goes nowhere.
    """
    process = subprocess.Popen(
        [binary, "-debug"], env=dict(environment), stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        yield _announced(process)
    finally:
        process.terminate()
        process.communicate(timeout=30)


def _announced(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        if found := _ANNOUNCED.search(line):
            return found[1]
    raise AssertionError(f"the provider ended ({process.wait()}) without a word")
