"""The program that copies stores, as `provision` starts it, and stores to copy."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provision.server.places import Place
from tests.server.running import PROJECT


@dataclass
class Done:
    """A job that has ended: its last event, all of them, its peak memory in bytes."""

    last: dict[str, Any]
    events: list[dict[str, Any]]
    memory: int

    @property
    def result(self) -> dict[str, Any]:
        assert self.last["event"] == "done", self.last
        return dict(self.last["result"])

    @property
    def error(self) -> dict[str, Any]:
        assert self.last["event"] == "error", self.last
        return self.last

    def phases(self) -> list[str]:
        named = [event["phase"] for event in self.events if event["event"] == "progress"]
        return list(dict.fromkeys(named))


def start(job: dict[str, Any]) -> subprocess.Popen[str]:
    """The program with its job; it ends when its stdin is closed."""
    process = subprocess.Popen(
        [sys.executable, "-m", "provision.server.archive"],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(PROJECT), "LANG": "C.UTF-8"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps(job) + "\n")
    process.stdin.flush()
    return process


def run(job: dict[str, Any]) -> Done:
    process = start(job)
    assert process.stdout is not None
    events = [json.loads(line) for line in process.stdout]
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert events, f"no word, exit code {process.returncode}"
    return Done(events[-1], events, usage.ru_maxrss * 1024)


def archive(place: Place, folder: Path, *, users: bool = True) -> Done:
    source = place.to_json()
    return run({"action": "archive", "source": source, "folder": str(folder), "users": users})


def restore(folder: Path, place: Place, **more: Any) -> Done:
    job = {"action": "restore", "folder": str(folder), "target": place.to_json()}
    return run({**job, "users": True, "changed": False, "artifacts": None, **more})


def move(source: Place, target: Place) -> Done:
    job = {"action": "move", "source": source.to_json(), "target": target.to_json()}
    return run({**job, "users": True})


def collect(place: Place, *, older_than: int = 0, delete: bool = False) -> Done:
    job = {"action": "collect", "source": place.to_json(), "older_than": older_than}
    return run({**job, "delete": delete})


def place_in(folder: Path, url: str | None = None, **more: Any) -> Place:
    """A store without a server: clients open it themselves, and so can tests."""
    folder.mkdir(parents=True, exist_ok=True)
    plain: dict[str, Any] = {"served": False, "own_files": True}
    return Place(
        name=folder.name,
        database_url=url or f"sqlite:///{folder / 'mlflow.db'}",
        artifacts=str(folder / "artifacts"),
        **(plain | more),
    )
