"""An archive of 10,000 runs with 50 metrics each, against the REST-based export tool of the field.

The tool (mlflow-export-import from PyPI) reads the same running server, with its threads on. It
gets fewer runs and the rest is extrapolated from its time for each; its own start is not counted.
The archive is timed as a whole process on all runs, start, proof and all.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from common import machine_line, table, time_once, write

from provision.adapters.processes import any_free_port

TOOL = "mlflow-export-import==1.2.0"
RUNS, METRICS, SAMPLE = 10_000, 50, 60
TARGET = 30
PROVISION = [sys.executable, "-m", "provision"]


def spec(folder: Path, name: str, engine: str) -> Path:
    path = folder / f"{name}.yaml"
    port = any_free_port("127.0.0.1")
    path.write_text(f"name: {name}\nserver:\n  port: {port}\ndatabase:\n  engine: {engine}\n")
    return path


def fill(database: Path) -> None:
    """Straight into the tables: logging half a million metrics would take longer than all else."""
    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        experiments = {"all": RUNS - SAMPLE - 1, "sample": SAMPLE, "one": 1}
        for number, (name, runs) in enumerate(experiments.items(), 100):
            connection.execute(
                "INSERT INTO experiments (experiment_id, name, artifact_location, lifecycle_stage, "
                "creation_time, last_update_time) VALUES (?, ?, ?, 'active', 1, 1)",
                (number, name, f"mlflow-artifacts:/{number}"),
            )
            _fill_runs(connection, number, [uuid.uuid4().hex for _ in range(runs)])


def _fill_runs(connection: sqlite3.Connection, experiment: int, runs: list[str]) -> None:
    connection.executemany(
        "INSERT INTO runs (run_uuid, name, source_type, user_id, status, start_time, end_time, "
        "lifecycle_stage, artifact_uri, experiment_id, source_name, entry_point_name, "
        "source_version) VALUES (?, 'run', 'LOCAL', 'ana', 'FINISHED', 1, 2, 'active', ?, ?, "
        "'', '', '')",
        ((run, f"mlflow-artifacts:/{experiment}/{run}/artifacts", experiment) for run in runs),
    )
    points = [(run, f"metric_{n:02}", n / 7) for run in runs for n in range(METRICS)]
    for name in ("metrics", "latest_metrics"):
        connection.executemany(
            f"INSERT INTO {name} (run_uuid, key, value, timestamp, step, is_nan) "
            "VALUES (?, ?, ?, 1, 0, 0)",
            points,
        )
    for name in ("params", "tags"):
        rows = ((run, f"key_{n}", "value") for run in runs for n in range(5))
        connection.executemany(f"INSERT INTO {name} (run_uuid, key, value) VALUES (?, ?, ?)", rows)


@contextlib.contextmanager
def stack(path: Path, environment: dict[str, str]) -> Iterator[str]:
    """A running stack; yields its tracking URI."""
    command = [*PROVISION, "up", "-f", str(path), "--json"]
    done = subprocess.run(command, env=environment, check=True, capture_output=True)
    try:
        yield str(json.loads(done.stdout)["uri"])
    finally:
        down = [*PROVISION, "down", "-f", str(path), "-q"]
        subprocess.run(down, env=environment, check=True, capture_output=True)


def export(uri: str, experiment: str, folder: Path, tool: Path) -> float:
    """Seconds that the tool takes for one experiment; what it wrote is counted."""
    command = [sys.executable, "-m", "mlflow_export_import.bulk.export_experiments"]
    command += ["--experiments", experiment, "--output-dir", str(folder), "--use-threads", "True"]
    variables = {"MLFLOW_TRACKING_URI": uri, "PYTHONPATH": str(tool)}
    taken, _ = time_once(command, environment={**os.environ, **variables})
    expected = {"sample": SAMPLE, "one": 1}[experiment]
    written = list(folder.rglob("run.json"))
    assert len(written) == expected, f"the tool wrote {len(written)} of {expected} runs"
    return taken


def measure(base: Path) -> dict[str, Any]:
    environment = {**os.environ, "XDG_STATE_HOME": str(base / "state")}
    tool = base / "tool"
    # It imports tabulate without asking for it; MLflow is the one that is here.
    pip = ["pip", "install", "-q", "--no-deps", "--target", str(tool), TOOL, "tabulate"]
    subprocess.run(pip, check=True)
    small, large = spec(base, "small", "sqlite"), spec(base, "large", "postgres")
    found: dict[str, Any] = {}
    with stack(small, environment) as uri:
        fill(base / ".provision/small/data/mlflow.db")
        one = export(uri, "one", base / "one", tool)
        sample = export(uri, "sample", base / "sample", tool)
        found["tool_seconds_per_run"] = (sample - one) / (SAMPLE - 1)
        found["archive sqlite"] = timed("archive", base / "a", small, environment)
    found["restore into postgres"] = timed("restore", base / "a", large, environment)
    with stack(large, environment):
        found["archive postgres"] = timed("archive", base / "b", large, environment)
    first, second = (json.loads((base / n / "manifest.json").read_text()) for n in ("a", "b"))
    assert first["counts"]["runs"] >= RUNS and first["counts"]["metrics"] >= RUNS * METRICS
    # `up` of the second stack leaves a run of its check; the figures' own tables are equal.
    assert second["tables"]["latest_metrics"]["rows"] >= first["tables"]["latest_metrics"]["rows"]
    found["rows"] = sum(item["rows"] for item in first["tables"].values())
    return found


def timed(action: str, folder: Path, path: Path, environment: dict[str, str]) -> float:
    command = [*PROVISION, action, str(folder), "-f", str(path), "-q"]
    return time_once(command, environment=environment)[0]


def main() -> None:
    base = Path(tempfile.mkdtemp(prefix="provision-bench-"))
    base.chmod(0o755)
    started = time.monotonic()
    try:
        found = measure(base)
    finally:
        shutil.rmtree(base, ignore_errors=True)
    whole = found["tool_seconds_per_run"] * RUNS
    ratio = whole / found["archive sqlite"]
    names = {
        "archive sqlite": "`provision archive`, SQLite, server running",
        "archive postgres": "`provision archive`, PostgreSQL, server running",
        "restore into postgres": "`provision restore` into a new PostgreSQL stack",
    }
    rows = [[f"{TOOL}, extrapolated from {SAMPLE} runs", f"{whole:.0f}", "1"]]
    rows += [[text, f"{found[n]:.1f}", f"{whole / found[n]:.0f}"] for n, text in names.items()]
    text = (
        "# An archive of 10,000 runs with 50 metrics each\n\n"
        f"{machine_line()}. {found['rows']:,} rows, no artifacts. The export tool asks the server "
        f"of this kit, with threads; it took {found['tool_seconds_per_run']:.3f} s for each run, "
        "its start not counted. Ours are whole commands, with the start of Python and MLflow and "
        "the reading back of every row. The tool writes JSON of runs alone; the archive has every "
        f"table. Target: at least {TARGET} times as fast.\n\n"
        + table(["what", "seconds", "times as fast"], rows)
        + "\n"
    )
    found |= {
        "ratio": ratio,
        "whole_tool_seconds": whole,
        "bench_seconds": time.monotonic() - started,
    }
    write("archive", text, found)


if __name__ == "__main__":
    main()
