"""The bundle: checked against its manifest once more, and the server's code unpacked from it."""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from pathlib import Path

from provision._version import __version__
from provision.host import files
from provision.host.failures import HostError
from provision.host.run import Host, Step

CODE = "code"
_NEEDED = ("provision.pyz", "requirements.lock", "uv.whl", "settings.json")


def run(host: Host, step: Step) -> None:
    """Check the bundle and unpack the code that the server runs."""
    bundle = host.places.bundle
    listed = _listed(bundle)
    if missing := [name for name in _NEEDED if name not in listed]:
        raise _unusable(f"it lacks {', '.join(missing)}")
    for name, facts in listed.items():
        if digest(bundle / name) != facts["sha256"]:
            raise _unusable(f"{name} is not the file that the manifest describes")
    folder = code_folder(host)
    if not folder.is_dir():
        unpack(bundle / "provision.pyz", folder)
        host.commands.succeeds("/usr/bin/python3", "-m", "compileall", "-q", str(folder))
        step.changed(f"the program, version {__version__}")
    applied = host.places.state / "settings.json"
    if files.write(applied, host.settings.to_json()):
        step.changed("the stack's settings")
    step.detail(f"version {__version__}, stack {host.settings.name}")


def code_folder(host: Host) -> Path:
    """Where this bundle's code is unpacked: a folder of its own, as an older one may be in use."""
    return host.places.code / CODE / digest(host.places.bundle / "provision.pyz")[:16]


def digest(path: Path) -> str:
    """The file's SHA-256, "" where there is no file."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except FileNotFoundError:
        return ""


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a zip so that the folder is there only when it is whole."""
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(part)
    part.rename(folder)


def _listed(bundle: Path) -> dict[str, dict[str, str]]:
    try:
        return dict(json.loads(files.read(bundle / "manifest.json"))["files"])
    except (ValueError, KeyError, TypeError) as error:
        raise _unusable(f"its manifest cannot be read: {error}") from error


def _unusable(why: str) -> HostError:
    return HostError(
        "bundle-unusable",
        f"the bundle from the bucket cannot be used: {why}",
        next_step="`provision up` writes it anew; then the machine tries again within a minute",
    )
