"""`version` and `completion`."""

from __future__ import annotations

from argparse import Namespace

from provision._version import __version__
from provision.cli.parser import build_parser
from provision.ui import Ui


def version(arguments: Namespace, ui: Ui) -> int:
    """Our version; with `--json` those of Python and MLflow too."""
    if not arguments.json:
        ui.line(f"provision {__version__}")
        return 0
    from provision.app.versions import versions  # noqa: PLC0415 - keeps the plain form fast

    ui.result("version", versions(), "")
    return 0


def completion(arguments: Namespace, ui: Ui) -> int:
    """A completion script, made from the parser itself."""
    import shtab  # noqa: PLC0415

    ui.line(shtab.complete(build_parser(), shell=arguments.shell))
    return 0
