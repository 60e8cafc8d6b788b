"""Artifacts of 1 MB and 1 GB, through the server and past it, by MLflow's own client.

The client has no AWS credentials; with `artifacts: proxied` it has no way to S3 either. A machine
of its own boots in a lab for each mode; its memory is that of its control group. The emulated S3
is a Python program on the same cores and takes most of the time: only the ratio between the modes
counts.

    python bench/through.py [--large 1000000000]
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
from dataclasses import asdict, dataclass

from common import machine_line, table, write
from machines import Group, client_works, until, world

from provision.emulator.lab import addresses
from provision.emulator.lab.client import Lab, cache_folder
from provision.model.endpoint import Endpoint

SMALL = 10**6
_PATIENCE = 900.0
# The lab's clients have no resolver: the bucket's name is told to them, as a user's own would.
_CLIENT = """\
import hashlib, json, os, pathlib, socket, sys, tempfile, time
there = socket.getaddrinfo
def looked_up(host, *more, **options):
    return there(sys.argv[1] if str(host).endswith(".amazonaws.com") else host, *more, **options)
socket.getaddrinfo = looked_up
import mlflow
def digest(path):
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
assert not any(name.startswith("AWS_") for name in os.environ)
with tempfile.TemporaryDirectory() as folder:
    path = pathlib.Path(folder, "model.bin")
    block = os.urandom(10**6)
    with path.open("wb") as stream:
        for _ in range(int(sys.argv[2]) // 10**6):
            stream.write(block)
    sent = digest(path)
    mlflow.set_experiment("artifacts")
    with mlflow.start_run() as run:
        began = time.perf_counter()
        mlflow.log_artifact(str(path))
        up = time.perf_counter() - began
    path.unlink()
    began = time.perf_counter()
    got = mlflow.artifacts.download_artifacts(f"{run.info.artifact_uri}/model.bin", dst_path=folder)
    down = time.perf_counter() - began
    print(json.dumps({"up": up, "down": down, "same": digest(got) == sent}))
"""


@dataclass
class Row:
    """One artifact in one mode; seconds, and MiB of the machine's memory at rest and at most."""

    mode: str
    size: int
    up: float = 0.0
    down: float = 0.0
    same: bool = False
    rest: float = 0.0
    most: float = 0.0

    def watch(self, group: Group, ending: threading.Event) -> None:
        """Until `ending` is set."""
        self.rest = self.most = group.used_mib()
        while not ending.wait(0.2):
            self.most = max(self.most, group.used_mib())


def measured(lab: Lab, endpoint: Endpoint, group: Group, row: Row) -> Row:
    ending = threading.Event()
    watcher = threading.Thread(target=row.watch, args=(group, ending))
    watcher.start()
    try:
        done = lab.run("client", _words(endpoint, row.size), given=_CLIENT, patience=_PATIENCE)
    finally:
        ending.set()
        watcher.join()
    if done.code:
        raise RuntimeError(done.err[-3000:])
    found = json.loads(done.out.splitlines()[-1])
    row.up, row.down, row.same = found["up"], found["down"], found["same"]
    return row


def _words(endpoint: Endpoint, size: int) -> list[str]:
    assert endpoint.credentials is not None and endpoint.ca_file is not None
    authority = cache_folder(os.environ) / "rehearsal-ca.crt"
    variables = {
        "HOME": "/nonexistent", "PATH": "/usr/bin:/bin", "MLFLOW_TRACKING_URI": endpoint.uri,
        "MLFLOW_TRACKING_USERNAME": endpoint.credentials.username,
        "MLFLOW_TRACKING_PASSWORD": endpoint.credentials.password_file.read_text().strip(),
        "MLFLOW_TRACKING_SERVER_CERT_PATH": str(endpoint.ca_file),
        # On AWS, S3's certificate is one that every machine trusts.
        "REQUESTS_CA_BUNDLE": str(authority),
    }  # fmt: skip
    words = [f"{name}={value}" for name, value in variables.items()]
    return ["env", "-i", *words, sys.executable, "-", addresses.S3, str(size)]


def mode(name: str, sizes: list[int]) -> list[Row]:
    with world() as place:
        stack = place.ours(artifacts=name)
        until(lambda: place.endpoint(stack) is not None, "it has written its keys", _PATIENCE)
        endpoint = place.endpoint(stack)
        assert endpoint is not None
        until(lambda: client_works(endpoint), "a client's check passes", _PATIENCE)
        if name == "proxied":
            place.lab.client_without_s3()
        group, rows = Group(stack.instance), []
        for size in sizes:
            rows.append(measured(place.lab, endpoint, group, Row(name, size)))
            print(asdict(rows[-1]), flush=True)
        return rows


def cells(row: Row) -> list[str]:
    size = f"{row.size / 10**9:.0f} GB" if row.size >= 10**9 else f"{row.size / 10**6:.0f} MB"
    taken = [f"{row.up:.1f}", f"{row.down:.1f}", "yes" if row.same else "NO"]
    return [f"`{row.mode}`", size, *taken, f"{row.most:.0f}", f"{row.most - row.rest:.0f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--large", type=int, default=10**9)
    large = parser.parse_args().large
    rows = [row for name in ("proxied", "direct") for row in mode(name, [SMALL, large])]
    proxied, direct = (row for row in rows if row.size == large)
    ratio = (proxied.up + proxied.down) / (direct.up + direct.down)
    rise = (proxied.most - proxied.rest) * 2**20 / large
    text = (
        "# Artifacts, through the server and past it\n\n"
        f"{machine_line()}. MLflow's own client without AWS credentials, in a lab; with `proxied` "
        "without a way to S3 as well. Memory is the machine's, in MiB, without pages of files that "
        f"can be given up. The large one took {ratio:.1f} times as long through the server as past "
        f"it, and at most {rise:.2f} times its size of the machine's memory.\n\n"
        + table(
            ["artifacts", "size", "up, s", "down, s", "SHA-256 equal", "memory at most", "more"],
            [cells(row) for row in rows],
        )
        + "\n"
    )
    write("through", text, {"rows": [asdict(row) for row in rows], "ratio": ratio, "rise": rise})


if __name__ == "__main__":
    main()
