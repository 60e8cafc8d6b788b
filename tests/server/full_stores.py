"""Stores with something in them, as the tests of archives fill and read them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from provision.server.places import Place
from tests import mlflow_content
from tests.conftest import Cli
from tests.server.running import execute


def settings(place: Place) -> dict[str, str]:
    return {"_MLFLOW_SERVER_ARTIFACT_ROOT": place.artifacts}


def seen(place: Place, workshop: Path) -> Any:
    """What a client sees in a store, whatever its folder is called."""
    cli = Cli(workshop / "client")
    cli.folder.mkdir(exist_ok=True)
    found = mlflow_content.dump(cli, place.database_url, **settings(place))
    text = json.dumps(found).replace(Path(place.artifacts).as_uri(), "ARTIFACTS")
    return json.loads(text.replace(place.artifacts, "ARTIFACTS"))


def filled(place: Place, workshop: Path) -> Place:
    cli = Cli(workshop / "client")
    cli.folder.mkdir(exist_ok=True)
    mlflow_content.fill(cli, place.database_url, **settings(place))
    return place


def client_program(place: Place, workshop: Path, program: str) -> str:
    """What a client does in a store, and says at the end."""
    begin = "import mlflow; client = mlflow.MlflowClient()\n"
    done = subprocess.run(
        [sys.executable, "-c", begin + program],
        env={
            "PATH": os.environ["PATH"],
            "MLFLOW_TRACKING_URI": place.database_url,
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_ALLOW_FILE_STORE": "true",
            **settings(place),
        },
        cwd=workshop,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def artifacts_in(archive: Path) -> int:
    """At least the four that were logged; a trace may have one of its own."""
    number = sum(path.is_file() for path in (archive / "mlartifacts").rglob("*"))
    assert number >= 4
    return number


def is_whole(folder: Path) -> bool:
    command = ["sha256sum", "-c", "--quiet", "SHA256SUMS"]
    return subprocess.run(command, cwd=folder, check=False).returncode == 0


def artifacts_of(place: Place, number: int, size: int) -> None:
    """Files in a run's folder, as a client would have uploaded them."""
    folder = Path(place.artifacts) / "1" / ("a" * 32) / "artifacts"
    folder.mkdir(parents=True)
    for index in range(number):
        with (folder / f"{index}.bin").open("wb") as stream:
            # In pieces: this process's own peak counts as that of a program it starts.
            for begin in range(0, size, 1 << 20):
                stream.write(os.urandom(min(1 << 20, size - begin)))


def rows_in(place: Place, table: str) -> int:
    file = Path(place.database_url.removeprefix("sqlite:///"))
    if not file.exists():
        return 0
    return int(str(execute(file, f"SELECT count(*) FROM {table}")[0][0]))
