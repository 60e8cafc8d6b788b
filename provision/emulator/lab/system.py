"""Programs of the system, run to their end, and files that only root may read."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from provision.emulator.lab.needs import path_of
from provision.errors import MissingError, ProvisionError


def run(
    words: Sequence[str | Path],
    *,
    given: str | None = None,
    doing: str = "",
    environment: Mapping[str, str] | None = None,
) -> str:
    """What a program prints; raises `ProvisionError` with its last words when it fails."""
    done = subprocess.run(
        located(words), input=given, capture_output=True, text=True, check=False, env=environment
    )
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()[-5:]
        name = doing or f"run {Path(words[0]).name}"
        raise ProvisionError(
            f"cannot {name} (exit {done.returncode}): {' / '.join(said) or 'it said nothing'}",
            next_step=f"try it by hand: {' '.join(str(word) for word in words)}",
        )
    return done.stdout


def located(words: Sequence[str | Path]) -> list[str]:
    """The same command with its program's path; raises `MissingError` without it."""
    program = str(words[0])
    path = program if "/" in program else path_of(program)
    if path is None:
        raise MissingError(f"{program} is not installed", next_step=f"install {program}")
    return [path, *(str(word) for word in words[1:])]


def write(path: Path, text: str | bytes, mode: int = 0o600) -> None:
    """A new file with these rights from its first moment; its folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    data = text.encode() if isinstance(text, str) else text
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as handle:
        handle.write(data)
    path.chmod(mode)
