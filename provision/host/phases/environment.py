"""The server's Python environment: from a lock with one hash for each package, by a pinned uv.

An environment is built beside the one in use and becomes the current one by a link. No pip, no
compiler, no bytecode compilation of everything: that takes ten times as long.
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Final

from provision.host import files
from provision.host.failures import HostError
from provision.host.phases.bundle import CODE, code_folder, digest, unpack
from provision.host.run import Host, Step

ENVIRONMENTS: Final = "environments"
_PATIENCE_SECONDS: Final = 900.0
_WHOLE: Final = "whole"
_NETWORK: Final = (
    "error sending request", "dns error", "timed out", "Connection refused", "connection reset",
    "Failed to fetch", "Network is unreachable", "failed to lookup address", "tls handshake",
)  # fmt: skip


def run(host: Host, step: Step) -> None:
    """Build the environment unless it is there, and put the server's code on its path."""
    folder = environment_folder(host)
    if not (folder / _WHOLE).exists():
        host.patiently(lambda: _build(host, folder), _PATIENCE_SECONDS, ["packages-away"], step)
        step.changed(f"an environment with MLflow {host.settings.mlflow_version}")
    link = host.places.code / "venv"
    if not link.is_symlink() or link.readlink() != folder:
        part = link.with_name("venv.part")
        part.unlink(missing_ok=True)
        part.symlink_to(folder)
        part.replace(link)
    site = folder / "lib" / python_name(host) / "site-packages"
    if files.write(site / "provision.pth", f"{code_folder(host)}\n"):
        step.changed("the server's code")


def environment_folder(host: Host) -> Path:
    """Where the environment of this lock belongs."""
    lock = digest(host.places.bundle / "requirements.lock")
    key = hashlib.sha256(f"{lock} {python_name(host)}".encode()).hexdigest()[:16]
    return host.places.code / ENVIRONMENTS / key


def python_name(host: Host) -> str:
    """The system's Python as folders name it, such as python3.11."""
    return host.places.at("/usr/bin/python3").resolve().name


def forget_older(host: Host) -> None:
    """Remove environments and code that no server runs from any more."""
    code = host.places.code
    for parent, kept in ((ENVIRONMENTS, environment_folder(host)), (CODE, code_folder(host))):
        for folder in (code / parent).iterdir():
            if folder != kept:
                shutil.rmtree(folder, ignore_errors=True)


def _build(host: Host, folder: Path) -> None:
    uv, python = uv_program(host), str(host.places.at("/usr/bin/python3"))
    cache = host.places.code / "uv-cache"
    env = {
        "UV_CACHE_DIR": str(cache),
        "UV_NO_CONFIG": "1",
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_NO_PROGRESS": "1",
        "UV_SYSTEM_CERTS": "1",
        "UV_HTTP_TIMEOUT": "60",
    }
    host.commands.run(
        uv, "venv", "-q", "--allow-existing", "--python", python, str(folder), env=env
    )
    try:
        host.commands.run(*_install(host, uv, folder), env=env)
    except HostError as error:
        raise _explained(error) from error
    (folder / _WHOLE).touch()
    shutil.rmtree(cache, ignore_errors=True)


def _install(host: Host, uv: str, folder: Path) -> list[str]:
    bundle = host.places.bundle
    command = [uv, "pip", "install", "-q", "--exact", "--no-deps", "--require-hashes"]
    command += ["--no-build"]
    command += ["--python", str(folder / "bin" / "python"), "-r", str(bundle / "requirements.lock")]
    if host.settings.packages == "bundled":
        command += ["--offline", "--no-index", "--find-links", str(bundle / "wheels")]
    return command


def uv_program(host: Host) -> str:
    """The pinned uv, unpacked from the bundle."""
    wheel = host.places.bundle / "uv.whl"
    folder = host.places.code / "uv" / digest(wheel)[:16]
    if not folder.is_dir():
        shutil.rmtree(folder.parent, ignore_errors=True)
        unpack(wheel, folder)
    program = next(folder.glob("uv-*.data/scripts/uv"))
    program.chmod(0o755)
    return str(program)


def _explained(error: HostError) -> HostError:
    text = "\n".join(error.tail)
    if error.code != "command-failed":
        return error
    if any(words.lower() in text.lower() for words in _NETWORK):
        return HostError(
            "packages-away",
            f"the package index cannot be reached: {error.tail[-1].strip()}",
            next_step="let the machine reach the Python package index on port 443, or "
            "set `packages: bundled` in the spec; it tries again every minute",
            command=error.command,
            tail=error.tail,
        )
    return error
