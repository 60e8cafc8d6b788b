"""What a folder boots with: `boot.py ROOT`, run by the Python that has MLflow.

The loader from the machine's own user data fetches the bundle; then the program in it runs all its
phases. Only the Python environment is not built, unless the bundle brings the wheels: this one's
packages serve, as the bundle's lock is for Debian.
"""

from __future__ import annotations

import importlib
import json
import os
import site
import subprocess
import sys
import types
import venv
from pathlib import Path
from typing import Any


def main(root: Path) -> int:
    """Bring the folder up; the exit code is the program's."""
    loader = _loader(root)
    loader.load(loader.Cloud(json.loads(loader.STACK.read_text(encoding="utf-8"))))
    program = root / "opt" / "provision" / "bundle" / "provision.pyz"
    settings = json.loads(program.with_name("settings.json").read_text(encoding="utf-8"))
    if settings["packages"] != "bundled":
        _lend_environment(root, program)
    began = loader.now()
    command = [sys.executable, "-I", str(program), "--root", str(root), "--since", began]
    return subprocess.run(command, check=False).returncode


def _loader(root: Path) -> Any:
    """The file that user data wrote, turned from `/` to the folder."""
    path = root / "usr" / "local" / "sbin" / "provision-host"
    module = types.ModuleType("loader")
    exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), vars(module))  # noqa: S102
    for name in ("STACK", "BUNDLES", "CURRENT"):
        setattr(module, name, root / str(getattr(module, name)).lstrip("/"))
    return module


def _lend_environment(root: Path, program: Path) -> None:
    """An environment where the program expects it, with the packages of this one."""
    sys.path.insert(0, str(program))
    phase = importlib.import_module("provision.host.phases.environment")
    places = importlib.import_module("provision.host.places").Places(root)
    folder: Path = phase.environment_folder(types.SimpleNamespace(places=places))
    if (folder / "whole").exists():
        return
    venv.create(folder, symlinks=True)
    packages = next(folder.glob("lib/python*/site-packages"))
    # Last in the alphabet: the bundle's own code comes before this checkout's.
    lines = "".join(f"{path}\n" for path in site.getsitepackages())
    (packages / "zz-lent.pth").write_text(lines, encoding="utf-8")
    (folder / "whole").touch()


if __name__ == "__main__":
    os.umask(0o022)
    sys.exit(main(Path(sys.argv[1]).resolve()))
