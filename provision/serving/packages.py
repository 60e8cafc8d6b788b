"""The environment in which a version runs: the service's own one, or one made of its packages.

Only wheels are installed, and only names with versions are read: installing runs nothing of what
whoever logged the model has written.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Final

from packaging.requirements import InvalidRequirement, Requirement

from provision.serving.scorer import ScoringError

_LIST: Final = "requirements.txt"
_WHOLE: Final = "whole"
_PATIENCE_SECONDS: Final = 900.0
_COMMENT: Final = re.compile(r"(^|\s)#.*$")


def wanted_by(files: Path) -> tuple[Requirement, ...]:
    """What a model says that it needs. Raises ScoringError for what is not a name with versions."""
    try:
        text = (files / _LIST).read_text(encoding="utf-8")
    except OSError:
        return ()
    lines = (_COMMENT.sub("", line).strip() for line in text.splitlines())
    return tuple(_requirement(line) for line in lines if line)


def _requirement(line: str) -> Requirement:
    try:
        found = Requirement(line)
    except InvalidRequirement as error:
        raise _refused(line) from error
    if found.url:
        raise _refused(line)
    return found


def _refused(line: str) -> ScoringError:
    return ScoringError(
        f"its {_LIST} asks for {line!r}: only packages of the index, by name and version, can be "
        "installed here"
    )


def missing(wanted: tuple[Requirement, ...]) -> list[str]:
    """What of it this very environment lacks, or has in another version."""
    return [str(need) for need in wanted if _applies(need) and not _is_here(need)]


def _applies(need: Requirement) -> bool:
    return need.marker is None or need.marker.evaluate()


def _is_here(need: Requirement) -> bool:
    try:
        return need.specifier.contains(metadata.version(need.name), prereleases=True)
    except metadata.PackageNotFoundError:
        return False


def python_for(files: Path, own: str, uv: str, folder: Path) -> Path:
    """The Python that has what a version needs, in `folder` where it had to be made.

    `own` is this program's. Raises ScoringError where packages are needed and cannot be had.
    """
    wanted = wanted_by(files)
    lacking = missing(wanted)
    if not lacking:
        return Path(own)
    if not uv:
        raise ScoringError(
            f"it needs {', '.join(lacking)}, and this machine gets no packages "
            "(aws.packages: bundled)"
        )
    lines = _with_mlflow(wanted)
    home = folder / hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
    if not (home / _WHOLE).exists():
        _make(lines, own, uv, home)
    return home / "bin" / "python"


def _with_mlflow(wanted: tuple[Requirement, ...]) -> list[str]:
    """MLflow's scoring server comes along where the model itself does not name it."""
    lines = sorted(str(need) for need in wanted)
    if any(need.name.lower() in ("mlflow", "mlflow-skinny") for need in wanted):
        return lines
    return [*lines, f"mlflow=={metadata.version('mlflow')}"]


def _make(lines: list[str], own: str, uv: str, home: Path) -> None:
    shutil.rmtree(home, ignore_errors=True)
    home.parent.mkdir(exist_ok=True)
    cache = home.with_name("cache")
    listed = home.with_name("requirements.txt")
    listed.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    options = ("--quiet", "--cache-dir", str(cache), "--no-config", "--system-certs")
    base = (uv, *options, "--no-python-downloads")
    try:
        _run([*base, "venv", "--python", own, str(home)])
        _run([*base, "pip", "install", "--no-build", "--python", str(home / "bin" / "python"),
              "--requirement", str(listed)])  # fmt: skip
    finally:
        shutil.rmtree(cache, ignore_errors=True)
    (home / _WHOLE).touch()


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=_PATIENCE_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise ScoringError("its packages could not be fetched in a quarter of an hour") from error
    if done.returncode:
        said = " ".join((done.stderr or done.stdout).split())
        raise ScoringError(f"its packages cannot be installed: {said[-300:]}")
