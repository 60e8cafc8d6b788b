"""`--help` and `version` load next to nothing: that is what keeps them as fast as Python itself."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {
    "mlflow", "boto3", "botocore", "pydantic", "yaml", "rich", "psutil", "python_terraform",
    "http.client", "urllib.request", "sqlite3", "socket", "importlib.metadata", "asyncio",
    "shtab", "numpy",
}  # fmt: skip
PROGRAM = """
import sys
from provision.cli.main import main
try:
    main(sys.argv[1:])
except SystemExit:
    pass
print(*sorted(sys.modules), sep="\\n", file=sys.stderr)
"""


def run(program: str, *arguments: str) -> set[str]:
    command = [sys.executable, "-I", "-c", program, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return set(done.stderr.split())


def modules_loaded_by(*arguments: str) -> set[str]:
    return run(PROGRAM, *arguments)


def modules_of_a_bare_python() -> set[str]:
    return run("import sys; print(*sorted(sys.modules), sep='\\n', file=sys.stderr)")


@pytest.mark.parametrize("arguments", [("--help",), ("version",), ("up", "--help")])
def test_nothing_heavy_is_imported(arguments: tuple[str, ...]) -> None:
    loaded = modules_loaded_by(*arguments) - modules_of_a_bare_python()
    assert not loaded & HEAVY
    ours = {name for name in loaded if name.startswith("provision.")}
    assert ours <= {
        "provision._version", "provision.cli", "provision.cli.main", "provision.cli.parser",
        "provision.cli.console", "provision.cli.other", "provision.ui", "provision.settings",
        "provision.errors", "provision.model", "provision.model.secrets",
    }  # fmt: skip
