"""What was probably meant: the nearest setting or value to one that does not exist."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Final

from provision.model.complaints import Path, dotted, printable

# Words that people bring along from MLflow's own flags and from other tools.
_OTHER_WORDS: Final[dict[str, Path]] = {
    "host": ("access", "listen"),
    "bind": ("access", "listen"),
    "password": ("access", "auth"),
    "authentication": ("access", "auth"),
    "cors": ("access", "allowed_origins"),
    "db": ("database",),
    "backend_store": ("database",),
    "artifact_root": ("artifacts", "path"),
    "ram": ("server", "memory"),
    "jobs": ("server", "job_runner"),
    "labels": ("tags",),
    "expires": ("lifetime", "until"),
    "cidrs": ("aws", "ingress"),
    "whitelist": ("aws", "ingress"),
    "email": ("lifetime", "alarm_email"),
    "backend": ("aws", "state"),
    "kms_key_arn": ("aws", "kms_key"),
}
_OTHER_VALUES: Final = {
    "docker": "compose",
    "docker-compose": "compose",
    "laptop": "local",
    "localhost": "local",
    "cloud": "aws",
    "amazon": "aws",
    "ec2": "aws",
    "pg": "postgres",
    "psql": "postgres",
    "password": "basic",
    "basic-auth": "basic",
    **dict.fromkeys(("prod", "production", "ha"), "team"),
    **dict.fromkeys(("dev", "cheap", "small"), "course"),
    **dict.fromkeys(("off", "no", "false", "null", "nothing", "disabled"), "none"),
}


def closest(word: str, choices: Iterable[str]) -> str | None:
    """The one of `choices` that `word` resembles, whatever its case; None if none does."""
    by_lower = {choice.lower(): choice for choice in choices}
    # difflib's time grows with the square of the length, and a long word resembles nothing.
    near = difflib.get_close_matches(word.lower()[:64], by_lower, n=1, cutoff=0.6)
    return by_lower[near[0]] if near else None


def choice_meant(word: str, choices: Iterable[str]) -> str | None:
    """The one of the allowed values that was probably meant by `word`."""
    allowed = tuple(choices)
    other = _OTHER_VALUES.get(word.lower())
    return other if other in allowed else closest(word, allowed)


def did_you_mean(meant: str | None) -> str:
    """The hint that offers `meant`; empty without one."""
    return f"did you mean `{meant}`?" if meant else ""


def setting_meant(path: Path, settings: Iterable[Path]) -> Path | None:
    """The setting that was probably meant by the unknown key at `path`.

    The same word elsewhere wins over a similar one here, and that over a similar one elsewhere.
    """
    known = tuple(settings)
    word, section = str(path[-1]), path[:-1]
    by_word = {str(k[-1]): k for k in known}
    here = {str(k[-1]): k for k in known if k[:-1] == section}
    if found := by_word.get(word.lower()):
        return found
    if near := closest(word, here):
        return here[near]
    if (other := _OTHER_WORDS.get(word.lower())) in known:
        return other
    return by_word[near] if (near := closest(word, by_word)) else None


def setting_hint(path: Path, meant: Path | None, settings: Iterable[Path]) -> str:
    """The hint for the unknown key at `path`: the setting meant, else those that exist there."""
    section = path[:-1]
    if meant is None:
        here = ", ".join(str(k[-1]) for k in settings if k[:-1] == section)
        return f"known here: {here}" if here else ""
    if meant[:-1] == section:
        return did_you_mean(str(meant[-1]))
    place = f"under `{dotted(meant[:-1])}`" if meant[:-1] else "at the top level"
    if str(meant[-1]) == str(path[-1]):
        return f"`{printable(str(path[-1]))}` belongs {place}"
    return f"did you mean `{meant[-1]}`, {place}?"
