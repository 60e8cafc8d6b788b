"""MLflow clients as users run them: another process that knows what `provision env` says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.conftest import Cli


def client(cli: Cli, program: str, *arguments: str, cwd: Path | None = None) -> str:
    """Run a client in a shell that did what `provision env` says."""
    script = (
        f'eval "$({sys.executable} -m provision env -f "$SPEC")"; exec "$PYTHON" -c "$PROGRAM" "$@"'
    )
    elsewhere = cwd or cli.folder.parent
    spec = cli.folder / "provision.yaml"
    environment = {"PYTHON": sys.executable, "PROGRAM": program, "SPEC": str(spec)}
    done = subprocess.run(
        ["bash", "-c", script, "client", *arguments],
        env={**cli.env(), **environment, "MLFLOW_DISABLE_TELEMETRY": "true"},
        cwd=elsewhere,
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().splitlines()[-1]
