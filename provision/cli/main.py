"""`provision`: arguments in, one call, an exit code out. Imports nothing heavy by itself."""

from __future__ import annotations

import gc
import os
import sys
from argparse import Namespace
from collections.abc import Sequence
from typing import TYPE_CHECKING

from provision.cli.parser import build_parser
from provision.errors import ProvisionError, UsageError

if TYPE_CHECKING:
    from provision.ui import Ui

_INTERRUPTED = 130
_PIPE_CLOSED = 141
# What a command that asks AWS loads (botocore's models) is hundreds of thousands of objects, all of
# which stay: looking through them for garbage takes a third of its CPU.
_OBJECTS_BETWEEN_COLLECTIONS = 300_000


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code and never lets a traceback out."""
    words = sys.argv[1:] if argv is None else argv
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
    try:
        return _run(words)
    except BrokenPipeError:
        # Python flushes stdout once more at exit; it must find somewhere to write to.
        # (Python's library reference, module signal, "Note on SIGPIPE")
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _PIPE_CLOSED
    finally:
        gc.freeze()  # or Python looks through all of it once more before it ends


def _run(words: Sequence[str]) -> int:
    try:
        arguments = build_parser().parse_args(words)
    except UsageError as error:
        return _report(error, _ui_of(words), debug=False)
    from provision.cli.console import open_ui  # noqa: PLC0415 - after --help

    ui = open_ui(arguments)
    try:
        return int(arguments.run(arguments, ui) or 0)
    except BrokenPipeError:
        raise
    except KeyboardInterrupt:
        ui.note("interrupted")
        return _INTERRUPTED
    except Exception as error:
        return _report(error, ui, debug=arguments.debug)


def _ui_of(words: Sequence[str]) -> Ui:
    """The `Ui` for a command line that could not be understood as a whole."""
    from provision.cli.console import open_ui  # noqa: PLC0415

    return open_ui(Namespace(json="--json" in words, no_color="--no-color" in words, quiet=False))


def _report(error: Exception, ui: Ui, *, debug: bool) -> int:
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
