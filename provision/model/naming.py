"""Names of stacks: what is allowed, and the name that a folder suggests."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from typing import Final

# Within the rules of every place where the name ends up: S3 buckets (lower case, no "--" near the
# suffixes that AWS reserves), RDS identifiers (start with a letter, no "--") and systemd units.
NAME_PATTERN: Final = "^[a-z][a-z0-9]*(-[a-z0-9]+)*$"
NAME_MIN: Final = 2
NAME_MAX: Final = 32


def is_name(text: str) -> bool:
    """True when `text` can name a stack."""
    return NAME_MIN <= len(text) <= NAME_MAX and re.fullmatch(NAME_PATTERN[1:-1], text) is not None


def default_name(folder_name: str) -> str:
    """The stack's name that follows from any folder name; always valid, and always the same.

    Accents are dropped (`Übung 1` gives `ubung-1`). A name with nothing left, such as one in
    Chinese, becomes `stack-` and a digest, so that two such folders do not share a name.
    """
    slug = _slug(folder_name)
    if not slug:
        return f"stack-{_digest(folder_name)}" if folder_name else "stack"
    if len(slug) < NAME_MIN or not slug[0].isalpha():
        slug = f"stack-{slug}"
    return slug[:NAME_MAX].rstrip("-")


def _slug(text: str) -> str:
    """`text` in lower-case ASCII letters and digits, joined by single dashes; perhaps empty."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    # An apostrophe or an accent that fell out must not split a word, other signs do.
    return re.sub(r"[^a-z0-9]+", "-", plain.replace("'", "")).strip("-")


def _digest(text: str) -> str:
    # Folder names on Linux are bytes: undecodable ones arrive as lone surrogates.
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:6]
