"""The only printer and prompter: results to stdout, everything else to stderr.

On the start-up path of every command, so it imports little and late.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TextIO

from provision.errors import ProvisionError, RefusedError, SpecError, UsageError

_RED, _GREEN, _YELLOW, _DIM, _BOLD, _RESET = (
    "\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[2m", "\x1b[1m", "\x1b[0m",
)  # fmt: skip
_STYLES = {"bad": _RED, "good": _GREEN, "warn": _YELLOW, "dim": _DIM, "strong": _BOLD}
_SHOW_TIME_AFTER_SECONDS = 2.0


def to_plain(value: Any) -> Any:
    """JSON's types for a result: dataclasses become objects, secrets become masks."""
    if hasattr(value, "__dataclass_fields__"):
        return {name: to_plain(getattr(value, name)) for name in value.__dataclass_fields__}
    if hasattr(value, "_asdict"):
        return to_plain(value._asdict())
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Sequence):
        return [to_plain(item) for item in value]
    return value if value is None or isinstance(value, bool | int | float) else str(value)


def _to_json(document: Mapping[str, Any]) -> str:
    import json  # noqa: PLC0415 - off the path of what prints text

    return json.dumps(document, indent=2, ensure_ascii=False)


class Ui(NamedTuple):
    """How to talk to whoever called: with or without JSON, colour and questions."""

    out: TextIO
    err: TextIO
    as_json: bool = False
    color: bool = True
    quiet: bool = False

    @property
    def interactive(self) -> bool:
        """True when there is somebody to ask."""
        return not self.as_json and sys.stdin is not None and sys.stdin.isatty()

    def result(self, schema: str, value: Any, text: str) -> None:
        """The command's answer: JSON with its schema, or text."""
        if self.as_json:
            document = {"schema": f"provision.{schema}/1", **to_plain(value)}
            text = _to_json(document)
        self._write(self.out, text)

    def fresh_screen(self) -> None:
        """Begin at the top of an empty terminal; nothing where there is none."""
        if not self.as_json and self.out.isatty():
            self.out.write("\x1b[H\x1b[2J")

    def line(self, text: str) -> None:
        """One line of a result that comes as a stream (logs)."""
        self._write(self.out, text)

    def note(self, text: str) -> None:
        """Something to know on the way."""
        if not self.quiet:
            self._write(self.err, self.paint("dim", text, self.err))

    def error(self, error: ProvisionError) -> None:
        """What happened and what to do next; with JSON also as a document on stdout."""
        if self.as_json:
            body = {"message": error.message, "next_step": error.next_step}
            problems = to_plain(error.problems) if isinstance(error, SpecError) else []
            document = {
                "schema": "provision.error/1",
                "error": {"kind": type(error).__name__, "exit_code": error.exit_code, **body},
                "problems": problems,
            }
            self._write(self.out, _to_json(document))
        self._write(self.err, self.paint("bad", "error: ", self.err) + error.message)
        self._write(self.err, self.paint("strong", "next step: ", self.err) + error.next_step)

    @contextlib.contextmanager
    def step(self, text: str) -> Iterator[None]:
        """Show that something is under way; on a terminal with a moving sign and the time."""
        if self.quiet:
            yield
            return
        if self._colored(self.err):
            with self._spinner(text):
                yield
            return
        self._write(self.err, f"{text} ...")
        started = time.monotonic()
        yield
        seconds = time.monotonic() - started
        if seconds > _SHOW_TIME_AFTER_SECONDS:
            self._write(self.err, f"{text}: done in {seconds:.1f} s")

    @contextlib.contextmanager
    def _spinner(self, text: str) -> Iterator[None]:
        from rich.console import Console  # noqa: PLC0415 - only where there is a terminal to show it
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn  # noqa: PLC0415

        columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False))
        console = Console(file=self.err)
        with Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as progress:
            progress.add_task(text, total=None)
            yield

    @contextlib.contextmanager
    def board(self, lines: Callable[[], Sequence[str]]) -> Iterator[Callable[[str], None]]:
        """Show `lines` again and again on a terminal; elsewhere only what is told, once."""
        if self.quiet or not self._colored(self.err):
            yield self.note
            return
        from rich.console import Console  # noqa: PLC0415 - only where there is a terminal to show it
        from rich.live import Live  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        live = Live(
            get_renderable=lambda: Text("\n".join(lines())),
            console=Console(file=self.err),
            refresh_per_second=2,
            transient=True,
        )
        with live:
            yield lambda _: None

    def ask(self, question: str, choices: Sequence[str], default: str) -> str:
        """Ask for one of `choices` (or free text when there are none); Enter takes the default."""
        hint = f" [{'/'.join(choices)}]" if choices else ""
        while True:
            self.err.write(f"{question}{hint} ({default}): ")
            self.err.flush()
            answer = sys.stdin.readline()
            if not answer:
                raise UsageError(
                    "the questions were not answered", next_step="give the answers as flags"
                )
            given = answer.strip() or default
            if not choices or given in choices:
                return given
            self._write(self.err, f"please answer one of: {', '.join(choices)}")

    def require_typed(self, what: str, word: str, flag: str) -> None:
        """Go on only if the user types `word`; raises `RefusedError` otherwise."""
        if not self.interactive:
            raise RefusedError(f"{what}: nobody is here to confirm", next_step=f"add {flag}")
        self.err.write(f"{what}\nType {word} to go on: ")
        self.err.flush()
        if sys.stdin.readline().strip() != word:
            raise RefusedError("not confirmed; nothing was changed", next_step=f"or add {flag}")

    def paint(self, style: str, text: str, stream: TextIO | None = None) -> str:
        """Colour `text` where the stream (stdout by default) is a terminal that wants it."""
        if not self._colored(stream or self.out):
            return text
        return f"{_STYLES[style]}{text}{_RESET}"

    def _colored(self, stream: TextIO) -> bool:
        return self.color and stream.isatty()

    @staticmethod
    def _write(stream: TextIO, text: str) -> None:
        stream.write(text + "\n")
        stream.flush()
