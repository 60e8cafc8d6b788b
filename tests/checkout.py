"""The repository as git sees it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parent.parent


def git(*arguments: str, cwd: Path = ROOT) -> str:
    # A checkout that belongs to another user (a container's volume) is trusted here.
    command = ["git", "-c", "safe.directory=*", *arguments]
    return subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True).stdout


def tracked_files() -> list[Path]:
    """Every file that git knows or would take up, and that is there."""
    names = git("ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
    return [ROOT / name for name in names if name and (ROOT / name).is_file()]


def copy_to(folder: Path) -> Path:
    """What a commit of everything would hold, in a folder of its own."""
    for source in tracked_files():
        target = folder / source.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)
    return folder
