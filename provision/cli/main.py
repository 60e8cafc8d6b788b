"""`provision`: arguments in, one call, an exit code out. Imports nothing heavy by itself."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from provision.cli.parser import build_parser

if TYPE_CHECKING:
    from provision.ui import Ui

_INTERRUPTED = 130
_PIPE_CLOSED = 141


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code and never lets a traceback out."""
    arguments = build_parser().parse_args(argv)
    from provision.cli.console import open_ui  # noqa: PLC0415 - after --help and bad usage

    ui = open_ui(arguments)
    try:
        return int(arguments.run(arguments, ui) or 0)
    except BrokenPipeError:
        sys.stderr.close()
        return _PIPE_CLOSED
    except KeyboardInterrupt:
        ui.note("interrupted")
        return _INTERRUPTED
    except Exception as error:
        return _report(error, ui, debug=arguments.debug)


def _report(error: Exception, ui: Ui, *, debug: bool) -> int:
    from provision.errors import ProvisionError  # noqa: PLC0415

    if debug:
        raise error
    if not isinstance(error, ProvisionError):
        error = ProvisionError(
            f"unexpected: {type(error).__name__}: {error}",
            next_step="this is a fault of provision: please report it with the output of the "
            "same command with --debug",
        )
    ui.error(error)
    return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
