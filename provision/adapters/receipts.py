"""The door to where receipts are kept."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from provision.errors import MissingError
from provision.model.receipt import Receipt, text
from provision.model.receipt_page import page

SCHEMA: Final = "provision.receipt/1"


def document(receipt: Receipt) -> str:
    """The receipt as JSON."""
    return json.dumps({"schema": SCHEMA, **receipt.to_json()}, indent=2) + "\n"


_WRITERS: Final[Mapping[str, Callable[[Receipt], str]]] = {
    ".txt": text,
    ".json": document,
    ".html": page,
}


class ReceiptFiles:
    """Writes receipts into a stack's folder, and one of them where the user says.

    The form of the user's own follows from its name: `.json`, `.html`, and text otherwise.
    """

    def __init__(self, folder: Path, own: Path | None = None) -> None:
        self._folder = folder
        self._own = own

    def write(self, receipt: Receipt) -> Sequence[str]:
        """Write it in all forms; returns the files. Raises `MissingError` where that fails."""
        started = "".join(c for c in receipt.begun_at[:19] if c.isdigit())
        name = f"{receipt.stack}-{started}"
        files = {self._folder / f"{name}{end}": form for end, form in _WRITERS.items()}
        if self._own is not None:
            files[self._own] = _WRITERS.get(self._own.suffix.lower(), text)
        for path, form in files.items():
            _write(path, form(receipt))
        return [str(path) for path in files]


def _write(path: Path, content: str) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
            handle.write(content)
        Path(temporary).replace(path)
    except OSError as error:
        raise MissingError(
            f"the receipt cannot be written: {path}: {error.strerror}",
            next_step="name another file with --receipt FILE, or make that folder writable, then "
            "run provision down again: it looks in the account once more",
        ) from error
