"""The stack that a command's arguments name."""

from __future__ import annotations

from argparse import Namespace

from provision import wiring
from provision.settings import read_settings


def open_stack(arguments: Namespace) -> wiring.OpenedStack:
    """The stack of the spec that the arguments name."""
    return wiring.open_stack(read_settings(arguments.file, arguments.state_dir))
