"""Which models this machine serves, and whether they fit beside the server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from provision.host import files
from provision.host.failures import HostError
from provision.host.machine import machine
from provision.host.places import Places
from provision.host.run import Host
from provision.host.server_file import sizing
from provision.model.serving import LIST_KEY, Served, served_from, served_text
from provision.model.sizing import SERVICE_MIB

WHAT_HELPS: Final = (
    "a larger machine in the spec (aws.settings.instance_type), then provision up; or less for "
    "the model: provision serve --memory, or fewer models: provision serve --stop"
)


def listed(places: Places) -> tuple[Served, ...]:
    """What this machine was told to serve."""
    return served_from(files.read(places.models_list))


def recall(host: Host) -> None:
    """A machine that took another one's place finds in the bucket what that one served."""
    if not host.places.models_list.exists() and (text := host.aws.recall(LIST_KEY)):
        files.write(host.places.models_list, text)


def keep(host: Host, models: Sequence[Served]) -> None:
    """Remember what is served, here and in the bucket."""
    text = served_text(models)
    files.write(host.places.models_list, text)
    host.aws.publish(LIST_KEY, text)


def needed(models: Sequence[Served]) -> int:
    """What they may use together, in MiB."""
    return sum(model.memory + SERVICE_MIB for model in models)


def problem(host: Host, models: Sequence[Served]) -> str:
    """Why they do not fit beside the server; empty where they do."""
    try:
        sizing(host.settings, machine(host.places), needed(models))
    except HostError as error:
        return error.message
    return ""


def room(host: Host) -> int:
    """What is kept for models, in MiB: nothing where they do not fit, as the server goes first."""
    models = listed(host.places)
    return 0 if problem(host, models) else needed(models)
