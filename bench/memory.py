"""Our host's memory at each size of machine, under load: nothing may be killed for want of it.

For each size a new machine boots in a lab, its control group limited to what such a machine leaves
to its programs; then eight clients log runs over HTTPS with accounts, two move artifacts of 32 MB,
one repairs the host. What the sizing refuses is shown as refused; what it accepts has to live.

    python bench/memory.py [--seconds 40]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from common import machine_line, table, write
from machines import Group, World, client_works, until, world

from provision.adapters.tracking import TrackingClient
from provision.errors import ProvisionError
from provision.model.boot import BootReport
from provision.model.endpoint import Endpoint
from provision.model.sizing import MIB
from tests.lab.stack import Stack

# Of its memory a machine of EC2 leaves so much to programs; the rest is the kernel's.
LEFT = 0.93
_LOAD = Path(__file__).with_name("load.py")
_PATIENCE = 900.0
_ARTIFACT = 32 * 2**20
_PROVISION = "systemctl restart provision-host.service"
CASES: list[tuple[str, int, dict[str, Any]]] = [
    ("512 MiB (nano)", 512, {}),
    ("1 GiB (t3.micro)", 1024, {}),
    ("1 GiB, as many workers as are accepted", 1024, {"workers": 4}),
    ("2 GiB (t3.small, the default)", 2048, {}),
    ("2 GiB with the job runner", 2048, {"job_runner": True}),
    ("2 GiB, as many workers as are accepted", 2048, {"workers": 13}),
    ("4 GiB (t3.medium)", 4096, {}),
    ("8 GiB (t3.large)", 8192, {}),
]


@dataclass
class Row:
    """What came of one size. `peak` and `after` in MiB, without pages that can be given up."""

    case: str
    size: int
    sizing: str = ""
    refused: str = ""
    peak: float = 0.0
    after: float = 0.0
    killed: int = 0
    requests: int = 0
    errors: int = 0
    moved: int = 0


def one(place: World, row: Row, changes: dict[str, Any], seconds: float) -> None:
    place.lab.limit(memory_bytes=int(row.size * LEFT) * MIB)
    stack = place.ours(**changes)
    group = Group(stack.instance)
    found: list[BootReport] = []

    def over() -> bool:
        report = place.report(stack)
        found[:] = [report] if report else []
        return report is not None and report.state in ("ready", "failed")

    until(over, "it boots", _PATIENCE)
    row.sizing = found[0].phase("settings").detail.partition(": needs")[0]
    if found[0].failure is not None:
        row.refused = found[0].failure.code
        row.killed = group.killed()
        return
    endpoint = place.endpoint(stack)
    assert endpoint is not None
    until(lambda: client_works(endpoint), "a client's check passes", _PATIENCE)
    _burden(place, stack, endpoint, row, seconds)
    row.after, row.killed = group.used_mib(), group.killed()
    row.peak = max(row.peak, row.after)
    assert client_works(endpoint), row


def _burden(place: World, stack: Stack, endpoint: Endpoint, row: Row, seconds: float) -> None:
    ending = threading.Event()
    threads = [
        threading.Thread(target=_move, args=(endpoint, row, ending)),
        threading.Thread(target=_move, args=(endpoint, row, ending)),
        threading.Thread(target=_look, args=(Group(stack.instance), row, ending)),
        threading.Thread(target=lambda: place.lab.run("machine", ["sh", "-c", _PROVISION])),
    ]
    for thread in threads:
        thread.start()
    try:
        found = load(stack, endpoint, seconds)
    finally:
        ending.set()
        for thread in threads:
            thread.join()
    row.requests, row.errors = found["requests"], found["errors"]


def load(stack: Stack, endpoint: Endpoint, seconds: float) -> dict[str, Any]:
    """Eight clients over HTTPS."""
    assert endpoint.credentials is not None and endpoint.ca_file is not None
    user = (
        f"{endpoint.credentials.username}:{endpoint.credentials.password_file.read_text().strip()}"
    )
    words = [f"{stack.public_ip}:443", str(seconds), user, str(endpoint.ca_file)]
    done = subprocess.run(
        [sys.executable, str(_LOAD), *words], stdout=subprocess.PIPE, text=True, check=True
    )
    return dict(json.loads(done.stdout))


def _move(endpoint: Endpoint, row: Row, ending: threading.Event) -> None:
    content = os.urandom(_ARTIFACT)
    with TrackingClient.from_endpoint(endpoint, timeout=120) as client:
        while not ending.is_set():
            try:
                path = f"bench/{threading.get_ident()}.bin"
                client.upload(path, content)
                row.moved += client.download(path) == content
            except ProvisionError:
                row.errors += 1


def _look(group: Group, row: Row, ending: threading.Event) -> None:
    while not ending.wait(0.2):
        row.peak = max(row.peak, group.used_mib())


def cells(row: Row) -> list[str]:
    if row.refused:
        return [row.case, f"refused: {row.refused}", "", "", "", str(row.killed), ""]
    memory = [f"{row.peak:.0f}", f"{row.after:.0f}", f"{row.after / row.size / LEFT:.2f}"]
    work = f"{row.requests} requests, {row.moved} artifacts, {row.errors} errors"
    return [row.case, row.sizing, *memory, str(row.killed), work]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=40.0)
    parser.add_argument("--cases", default="")
    chosen = parser.parse_args()
    rows = []
    for number, (case, size, changes) in enumerate(CASES):
        if chosen.cases and str(number) not in chosen.cases.split(","):
            continue
        row, began = Row(case, size), time.monotonic()
        with world() as place:
            one(place, row, changes, chosen.seconds)
        print(f"{time.monotonic() - began:.0f} s", asdict(row), flush=True)
        rows.append(row)
    tell(rows, chosen.seconds)


def tell(rows: list[Row], seconds: float) -> None:
    """Write table and numbers."""
    head = ["machine", "what the sizing makes of it", "MiB at most", "afterwards", "of all",
            "killed", "meanwhile"]  # fmt: skip
    text = (
        "# Memory of a host, by size\n\n"
        f"{machine_line()}. A machine of its own in a lab for each row, its control group limited "
        f"to {LEFT:.0%} of the size, without swap. Memory of the whole machine: Debian, Caddy, "
        "server, and whatever runs beside it; pages of files that the kernel may give up at any "
        f"time are not in it. {seconds:.0f} s of eight clients that log runs over HTTPS "
        "with accounts, while two move artifacts of 32 MB each and the host repairs itself.\n\n"
        + table(head, [cells(row) for row in rows])
        + "\n"
    )
    write("memory", text, {"rows": [asdict(row) for row in rows]})


if __name__ == "__main__":
    main()
