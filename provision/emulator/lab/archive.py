"""Debian's archive on the shelf: signed lists as Debian made them, and the packages of a host.

Fetched once by apt's own downloader, with this machine's proxies and mirrors; what apt in the
machine then reads is Debian's own, signatures included.
"""

from __future__ import annotations

import datetime
import email.utils
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from provision.emulator.lab import sources
from provision.emulator.lab.system import run, write
from provision.errors import ProvisionError

# What a tracking server installs beyond the image, and what a person in a machine looks for, with
# all that these recommend.
PACKAGES = ("caddy", "unattended-upgrades", "postgresql-client")
_HELPER = "/usr/lib/apt/apt-helper"
_MIRRORS = {"debian.list": sources.SUITES[:2], "debian-security.list": sources.SUITES[2:]}
_KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg"
_MARGIN = datetime.timedelta(days=1)


def fill(
    shelf: Path, image: Path, say: Callable[[str], None], packages: Sequence[str] = PACKAGES
) -> None:
    """Have lists that hold for another day, and the packages, on the shelf.

    Raises `ProvisionError` with apt's words when the archive cannot be reached.
    """
    digest = hashlib.sha256("\n".join([image.name, *sorted(packages)]).encode()).hexdigest()
    mark = shelf / f"archive-{digest[:16]}"
    if mark.exists() and _hold(shelf):
        return
    say("fetching Debian's lists and the host's packages, once for this week")
    architecture = run(["dpkg", "--print-architecture"]).strip()
    for suite, (prefix, address) in _places(image).items():
        _fetch_lists(shelf / prefix, address, suite, architecture)
    _fetch_packages(shelf, image, packages)
    write(mark, "")


def _places(image: Path) -> dict[str, tuple[str, str]]:
    """Suite -> the path below which the machine asks for it, and where this machine finds it."""
    own = sources.archives()
    found = {}
    for name, suites in _MIRRORS.items():
        address = _from_image(image, f"etc/apt/mirrors/{name}").strip().rstrip("/")
        for suite in suites:
            found[suite] = (urlsplit(address).path.strip("/"), own.get(suite, address))
    return found


def _from_image(image: Path, path: str) -> str:
    return run(["unsquashfs", "-cat", image, path], doing="read the image")


def _fetch_lists(folder: Path, address: str, suite: str, architecture: str) -> None:
    place = folder / "dists" / suite
    _download(f"{address}/dists/{suite}/InRelease", place / "InRelease")
    hashes = _hashes((place / "InRelease").read_text(encoding="utf-8"))
    for name in (f"main/binary-{architecture}/Packages.xz", "main/i18n/Translation-en.xz"):
        if name in hashes:
            path = place / name
            _download(f"{address}/dists/{suite}/{name}", path, hashes[name])
            write(path.parent / "by-hash" / "SHA256" / hashes[name], path.read_bytes(), 0o644)


def _hashes(release: str) -> dict[str, str]:
    """SHA-256 by name out of a Release file."""
    _, _, part = release.partition("\nSHA256:\n")
    lines = (line.split() for line in part.splitlines() if line.startswith(" "))
    return {name: digest for digest, _, name in lines if len(digest) == 64}


def _download(address: str, path: Path, sha256: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    expected = [f"SHA256:{sha256}"] if sha256 else []
    run([_HELPER, "download-file", address, path, *expected], doing=f"fetch {path.name}")


def _fetch_packages(shelf: Path, image: Path, packages: Sequence[str]) -> None:
    state = shelf / "apt"
    for part in ("lists/partial", "archives/partial"):
        (state / part).mkdir(parents=True, exist_ok=True)
    write(state / "status", _from_image(image, "var/lib/dpkg/status"), 0o644)
    write(state / "sources.list", "".join(_local_lines(shelf, image)), 0o644)
    options = _options(state)
    run(["apt-get", *options, "update"], doing="read Debian's lists")
    words = ["apt-get", *options, "install", "--print-uris", "--yes", "--quiet=2", *packages]
    for found in re.finditer(r"^'file:([^']+)' \S+ \d+ (\S*)$", run(words), re.MULTILINE):
        _fetch_package(shelf, image, Path(found[1]), found[2].removeprefix("SHA256:"))


def _local_lines(shelf: Path, image: Path) -> list[str]:
    return [
        f"deb [signed-by={_KEYS}] file:{shelf / prefix} {suite} main\n"
        for suite, (prefix, _) in _places(image).items()
    ]


def _options(state: Path) -> list[str]:
    """An apt that knows the image's packages and the shelf's lists, and touches nothing else."""
    pairs: Mapping[str, str | Path] = {
        "Dir::State": state,
        "Dir::State::status": state / "status",
        "Dir::Cache": state,
        "Dir::Etc::sourcelist": state / "sources.list",
        "Dir::Etc::sourceparts": "-",
        "Dir::Etc::preferencesparts": "-",
        "APT::Sandbox::User": "root",
        "APT::Install-Recommends": "true",
        "Acquire::ForceHash": "SHA256",  # what --print-uris tells of each file
    }
    return [f"-o{name}={value}" for name, value in pairs.items()]


def _fetch_package(shelf: Path, image: Path, path: Path, sha256: str) -> None:
    plain = Path(unquote(str(path)))  # as the machine's requests name it
    if plain.exists():
        return
    inside = path.relative_to(shelf)
    address = next(a for prefix, a in _places(image).values() if prefix == inside.parts[0])
    _download(f"{address}/{'/'.join(inside.parts[1:])}", plain, sha256)


def _hold(shelf: Path) -> bool:
    """Whether none of the lists ends within a day: those of updates hold for a week."""
    ends = [_end(path) for path in shelf.glob("*/dists/*/InRelease")]
    if not ends:
        raise ProvisionError("no lists of Debian's archive", next_step=f"remove {shelf}")
    return min(ends) > datetime.datetime.now(datetime.UTC) + _MARGIN


def _end(release: Path) -> datetime.datetime:
    found = re.search(r"^Valid-Until: (.+)$", release.read_text(encoding="utf-8"), re.MULTILINE)
    if found is None:
        return datetime.datetime.max.replace(tzinfo=datetime.UTC)
    return email.utils.parsedate_to_datetime(found[1].replace("UTC", "+0000"))
