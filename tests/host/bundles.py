"""What a host has fetched before its phases run."""

from __future__ import annotations

import json
import zipfile

from provision.host.phases import bundle
from tests.host.conftest import SETTINGS, Machine


def filled(machine: Machine) -> Machine:
    folder = machine.places.bundle
    folder.mkdir()
    with zipfile.ZipFile(folder / "provision.pyz", "w") as archive:
        archive.writestr("provision/__init__.py", "")
    with zipfile.ZipFile(folder / "uv.whl", "w") as archive:
        archive.writestr("uv-1.data/scripts/uv", "")
    (folder / "requirements.lock").write_text("mlflow==3.17.2\n")
    (folder / "settings.json").write_text(SETTINGS.to_json())
    return relisted(machine)


def relisted(machine: Machine) -> Machine:
    folder = machine.places.bundle
    (folder / "manifest.json").unlink(missing_ok=True)
    listed = {path.name: {"sha256": bundle.digest(path)} for path in folder.iterdir()}
    (folder / "manifest.json").write_text(json.dumps({"files": listed}))
    return machine


def python_here(machine: Machine) -> None:
    python = machine.places.at("/usr/bin/python3.11")
    python.parent.mkdir(parents=True)
    python.touch()
    python.with_name("python3").symlink_to("python3.11")
