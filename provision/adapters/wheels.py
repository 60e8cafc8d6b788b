"""The door to the package index: wheels for the host, each by its hash, into a cache of the user's.

pip does it, with the user's own settings for an index, a proxy or an authority. A wheel that is in
the cache is hashed again and not fetched again.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Final, NamedTuple

from provision.errors import MissingError, ProvisionError

PYTHON: Final = "3.11"
"""The host's Python: Debian 12's."""

# Debian 12 has glibc 2.36; a wheel's tag names the oldest glibc that it runs on (PEP 600).
_GLIBC: Final = 36
_OLD_TAGS: Final = ("manylinux2014", "manylinux2010", "manylinux1", "linux")
_HASHED: Final = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)\s+--hash=sha256:([0-9a-f]{64})\s*$")


class Wheel(NamedTuple):
    """One package of a lock: its name, version and wheel's SHA-256 in hexadecimal."""

    name: str
    version: str
    sha256: str

    def __str__(self) -> str:
        return f"{self.name}=={self.version} --hash=sha256:{self.sha256}"


def locked(text: str) -> tuple[Wheel, ...]:
    """The packages of a lock with one hash each; raises ValueError for a line of another form."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    found = [_HASHED.match(line) for line in lines]
    strange = [line for line, match in zip(lines, found, strict=True) if match is None]
    if strange:
        raise ValueError(f"not a package with one hash: {strange[0]}")
    return tuple(Wheel(m[1], m[2], m[3]) for m in found if m is not None)


class WheelCache:
    """Wheels for one architecture (`x86_64` or `aarch64`), kept in `folder`.

    `python` is an interpreter that may have pip; otherwise pip is looked for on the PATH of
    `environment`, which pip inherits. `pip` is the command where it is known already.
    """

    def __init__(
        self,
        folder: Path,
        python: str,
        environment: Mapping[str, str],
        pip: Sequence[str] = (),
    ) -> None:
        self._folder = folder
        self._python = python
        self._environment = environment
        self._known_pip = list(pip)

    def get(self, wheels: Sequence[Wheel], architecture: str) -> dict[str, Path]:
        """The wheels' files by their names, fetched where the cache does not hold them whole.

        Raises `MissingError` without pip, `ProvisionError` where the index does not have one of
        them or cannot be reached.
        """
        held = self._held(wheels)
        wanted = [wheel for wheel in wheels if wheel.sha256 not in held]
        if wanted:
            with self._room() as room:
                self._fetch(wanted, architecture, room)
                for file in room.glob("*.whl"):
                    file.replace(self._folder / file.name)
            held = self._held(wheels)
        missing = [str(wheel.name) for wheel in wheels if wheel.sha256 not in held]
        if missing:
            raise self._failed(f"no wheel with the right hash for {', '.join(missing)}")
        return {held[wheel.sha256].name: held[wheel.sha256] for wheel in wheels}

    def _held(self, wheels: Sequence[Wheel]) -> dict[str, Path]:
        """Those of the wheels that are whole, by their hash; only files of their names are read."""
        wanted = {(_plain(wheel.name), wheel.version): wheel.sha256 for wheel in wheels}
        held: dict[str, Path] = {}
        for path in sorted(self._folder.glob("*.whl")):
            name, version, *_ = path.name.split("-")
            digest = wanted.get((_plain(name), version))
            if digest is not None and _sha256(path) == digest:
                held[digest] = path
        return held

    @contextlib.contextmanager
    def _room(self) -> Iterator[Path]:
        """A folder beside the wheels, so that only whole ones ever take their place."""
        self._folder.mkdir(parents=True, exist_ok=True)
        room = Path(tempfile.mkdtemp(dir=self._folder, prefix=".fetching-"))
        try:
            yield room
        finally:
            shutil.rmtree(room, ignore_errors=True)

    def _fetch(self, wheels: Sequence[Wheel], architecture: str, room: Path) -> None:
        lock = room / "wheels.txt"
        lock.write_text("".join(f"{wheel}\n" for wheel in wheels), encoding="utf-8")
        tags = [word for tag in _tags(architecture) for word in ("--platform", tag)]
        command = [
            *self._pip(), "download", "--quiet", "--disable-pip-version-check", "--no-deps",
            "--only-binary=:all:", "--require-hashes", "--implementation", "cp",
            "--python-version", PYTHON, *tags, "--dest", str(room), "--requirement", str(lock),
        ]  # fmt: skip
        done = subprocess.run(
            command, env=dict(self._environment), stdin=subprocess.DEVNULL, capture_output=True,
            text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise self._failed(_last_line(done.stderr))

    def _pip(self) -> list[str]:
        if self._known_pip:
            return self._known_pip
        if find_spec("pip") is not None:
            return [self._python, "-m", "pip"]
        path = self._environment.get("PATH", os.defpath)
        program = shutil.which("pip3", path=path) or shutil.which("pip", path=path)
        if program is None:
            raise MissingError(
                "pip, which fetches what the server's machine starts with, is not installed",
                next_step=f"{self._python} -m ensurepip, then run this again",
            )
        return [program]

    def _failed(self, why: str) -> ProvisionError:
        return ProvisionError(
            f"what the server's machine starts with cannot be fetched: {why}",
            next_step="check that `pip download uv` works here (network, proxy, pip's index), then "
            "run this again",
        )


def _plain(name: str) -> str:
    """A package's name as an index compares it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _tags(architecture: str) -> list[str]:
    new = [f"manylinux_2_{minor}" for minor in range(_GLIBC, 4, -1)]
    return [f"{tag}_{architecture}" for tag in (*new, *_OLD_TAGS)]


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _last_line(text: str) -> str:
    errors = [line for line in text.splitlines() if line.startswith("ERROR: ")]
    lines = errors or text.splitlines() or ["pip said nothing"]
    return lines[-1].removeprefix("ERROR: ")
