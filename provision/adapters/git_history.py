"""Reads all that a git repository holds, in its files and in its history."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

MOST_BYTES: Final = 512 << 20
"""More than this is not read: the audit says so."""
_LARGEST: Final = 8 << 20


def top_of(folder: Path) -> Path | None:
    """The top of the work tree around a folder; `None` outside of one, and without git."""
    try:
        done = _git(folder, "rev-parse", "--show-toplevel")
    except FileNotFoundError:
        return None
    return Path(done.stdout.decode().strip()) if done.returncode == 0 else None


def contents(top: Path) -> Iterator[tuple[str, bytes]]:
    """Each file in each of its versions, of all branches, and what is staged: path and content.

    Ends after `MOST_BYTES`. A file over 8 MB is left out: what people commit by mistake is small.
    """
    listed = _git(top, "rev-list", "--all", "--objects", "--indexed-objects").stdout
    names = dict(line.split(" ", 1) for line in _lines(listed) if " " in line)
    chosen = list(_small_files(top, names))
    words = ["git", "-C", str(top), "cat-file", "--batch"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as git:
        if git.stdin is None or git.stdout is None:
            return
        for number in chosen:
            git.stdin.write(f"{number}\n".encode())
            git.stdin.flush()
            size = int(git.stdout.readline().split()[2])
            yield names[number], git.stdout.read(size + 1)[:-1]


def _small_files(top: Path, names: dict[str, str]) -> Iterator[str]:
    total = 0
    done = _git(top, "cat-file", "--batch-check", given="\n".join(names).encode())
    for line in _lines(done.stdout):
        number, kind, *rest = line.split()
        size = int(rest[0]) if kind == "blob" else _LARGEST + 1
        if size <= _LARGEST and (total := total + size) <= MOST_BYTES:
            yield number


def _lines(data: bytes) -> list[str]:
    return data.decode("utf-8", "surrogateescape").splitlines()


def _git(
    folder: Path, *words: str, given: bytes | None = None
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        ["git", "-C", str(folder), *words],
        input=given if given is not None else b"",
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=False,
    )
