"""Write the host's locks: for each architecture, one hash for each package, and uv's own pin.

    python requirements/host_locks.py [--check]

The host installs from wheels alone, so of the many hashes of a universal lock exactly one can ever
be used there: the wheel for Debian 12's Python 3.11. pip says which one that is (`--report`, which
installs nothing), from the index that it is configured for.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
LOCKS = HERE.parent / "provision" / "host" / "locks"
ARCHITECTURES = ("x86_64", "aarch64")
# Debian 12 has glibc 2.36: wheels for any older one work there (PEP 600).
_GLIBC_MINORS = range(5, 37)
_PYTHON = "3.11"


def main() -> None:
    """Write the files, or with `--check` compare them; exits with 1 where they differ."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    check = parser.parse_args().check
    changed = [name for name, text in wanted().items() if not same(LOCKS / name, text, check)]
    if check and changed:
        sys.exit(f"out of date: {', '.join(changed)}; run `make lock`")


def same(path: Path, text: str, check: bool) -> bool:
    """Whether the file holds this text; without `check` it does afterwards."""
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return True
    if not check:
        path.write_text(text, encoding="utf-8")
    return False


def wanted() -> dict[str, str]:
    """What each file should hold."""
    with tempfile.TemporaryDirectory() as folder:
        exact = compile_exact(Path(folder))
        locks = {f"{arch}.lock": lock_text(arch, exact) for arch in ARCHITECTURES}
    return {**locks, "uv.json": uv_text()}


def compile_exact(folder: Path) -> Path:
    """The packages of host.in with the versions and hashes of runtime.lock."""
    output = folder / "exact.txt"
    command = [uv(), "pip", "compile", "-q", "--universal", "--python-version", _PYTHON]
    command += ["--generate-hashes", "--no-header", "--no-annotate", "--no-emit-index-url"]
    command += ["-c", str(HERE / "runtime.lock"), str(HERE / "host.in"), "-o", str(output)]
    subprocess.run(command, check=True)
    return output


def uv() -> str:
    """The uv of this environment."""
    return str(Path(sys.executable).with_name("uv"))


def lock_text(arch: str, exact: Path) -> str:
    """The lock of one architecture: `name==version --hash=sha256:...`, a line for each package."""
    lines = sorted(line(found) for found in report(arch, ["-r", str(exact)]))
    return "".join(lines)


def line(found: dict[str, Any]) -> str:
    """One package of pip's report as a line of a lock."""
    name = re.sub(r"[-_.]+", "-", found["metadata"]["name"]).lower()
    version = found["metadata"]["version"]
    return f"{name}=={version} --hash=sha256:{hash_of(found)}\n"


def hash_of(found: dict[str, Any]) -> str:
    """The wheel's SHA-256."""
    return str(found["download_info"]["archive_info"]["hashes"]["sha256"])


def uv_text() -> str:
    """uv's own pin: version, and file name and hash of the wheel for each architecture."""
    wheels = {}
    for arch in ARCHITECTURES:
        found = uv_wheel(arch)
        file = found["download_info"]["url"].rpartition("/")[2]
        wheels[arch] = {"file": file, "sha256": hash_of(found)}
        version = found["metadata"]["version"]
    return json.dumps({"name": "uv", "version": version, "wheels": wheels}, indent=1) + "\n"


def uv_wheel(arch: str) -> dict[str, Any]:
    """uv's entry in pip's report."""
    every = report(arch, ["-r", str(HERE / "bootstrap.lock")])
    return next(found for found in every if found["metadata"]["name"] == "uv")


def report(arch: str, what: list[str]) -> list[dict[str, Any]]:
    """What pip would install on the host."""
    command = [sys.executable, "-m", "pip", "install", "-q", "--dry-run", "--report", "-"]
    command += ["--ignore-installed", "--target", "/nonexistent", "--only-binary", ":all:"]
    command += ["--no-deps", "--require-hashes", "--python-version", _PYTHON]
    for minor in reversed(_GLIBC_MINORS):
        command += ["--platform", f"manylinux_2_{minor}_{arch}"]
    command += ["--platform", f"manylinux2014_{arch}", *what]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return list(json.loads(done.stdout)["install"])


if __name__ == "__main__":
    main()
