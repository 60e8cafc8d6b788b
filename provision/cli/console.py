"""How a command talks: as its flags and the environment ask for."""

from __future__ import annotations

import sys
from argparse import Namespace

from provision.settings import read_settings
from provision.ui import Ui


def open_ui(arguments: Namespace) -> Ui:
    """A `Ui` on this process's own streams."""
    return Ui(
        out=sys.stdout,
        err=sys.stderr,
        as_json=arguments.json,
        color=read_settings().color and not arguments.no_color,
        quiet=arguments.quiet,
    )
