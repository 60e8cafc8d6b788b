"""The files of a version, fetched through the tracking server where its store is elsewhere."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from provision.adapters.tracking import TrackingClient
from provision.errors import MissingError
from provision.model.endpoint import Endpoint

_ROOM = 500 * 1024 * 1024  # what a version must leave of the disk that the tracking server shares


def fetch(endpoint: Endpoint, path: str, folder: Path) -> Path:
    """Bring an artifact folder here, unless it is here; the folder is whole or not there."""
    if folder.is_dir():
        return folder
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    with TrackingClient.from_endpoint(endpoint) as client:
        for name in _files(client, path, PurePosixPath()):
            _fetch(client, f"{path}/{name}", part / name)
    part.rename(folder)
    return folder


def _files(client: TrackingClient, path: str, below: PurePosixPath) -> Iterator[PurePosixPath]:
    for entry, is_folder in client.list_folder(f"{path}/{below}" if below.parts else path):
        # The names come from whoever logged the model: never out of the folder.
        name = below / PurePosixPath(entry).name
        if is_folder:
            yield from _files(client, path, name)
        else:
            yield name


def _fetch(client: TrackingClient, path: str, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as stream:
        for block in client.download_stream(path):
            if shutil.disk_usage(target.parent).free < _ROOM:
                raise MissingError(
                    "the machine's disk is almost full, and the server needs the rest of it",
                    next_step="give it more in the spec (aws.settings.disk_gib), then provision up",
                )
            stream.write(block)


def forget(folder: Path, kept: set[Path]) -> None:
    """Remove the folders in a folder, but for these."""
    if folder.is_dir():
        for entry in set(folder.iterdir()) - kept:
            shutil.rmtree(entry, ignore_errors=True)
