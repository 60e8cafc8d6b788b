"""Which version a model's address means now, and where its files lie."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from provision.adapters.tracking import TrackingClient
from provision.errors import MissingError
from provision.model.serving import ModelRef
from provision.model.tracking import TrackingError, dig
from provision.serving.fetching import fetch
from provision.serving.settings import ServiceSettings

_SERVED: Final = "mlflow-artifacts:/"


def look_up(settings: ServiceSettings) -> str:
    """The number of the version that is wanted now.

    Raises MissingError where model or alias do not exist, TrackingError where nobody answers.
    """
    ref = settings.ref
    with TrackingClient.from_endpoint(settings.endpoint) as client:
        try:
            return _version(client, ref)
        except TrackingError as error:
            if error.reason not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                raise
            raise _unknown(ref) from error


def _version(client: TrackingClient, ref: ModelRef) -> str:
    if ref.alias:
        return client.version_by_alias(ref.name, ref.alias)
    found = client.get("model-versions/get", name=ref.name, version=ref.version)
    return str(dig(found, "model_version", "version"))


def _unknown(ref: ModelRef) -> MissingError:
    what = f"alias {ref.alias}" if ref.alias else f"version {ref.version}"
    return MissingError(
        f"the registry has no model {ref.name} with {what}",
        next_step="register it first: mlflow.register_model(...), then "
        "MlflowClient().set_registered_model_alias(name, alias, version)",
    )


def files_of(settings: ServiceSettings, version: str) -> Path:
    """The folder of a version's files; they are fetched where they are not on this machine.

    Raises MissingError where they are not in this stack.
    """
    with TrackingClient.from_endpoint(settings.endpoint) as client:
        query = {"name": settings.ref.name, "version": version}
        found = client.get("model-versions/get-download-uri", **query)
    place = str(dig(found, "artifact_uri"))
    path = place.removeprefix(_SERVED).lstrip("/")
    folder = Path(settings.artifacts, path)
    if place.startswith(_SERVED) and not settings.artifacts:
        folder = fetch(settings.endpoint, path, Path("versions", version).absolute())
    if not place.startswith(_SERVED) or not (folder / "MLmodel").is_file():
        raise MissingError(
            f"the files of {settings.ref.name} version {version} are not in this stack: {place}",
            next_step="log the model again with this tracking URI, and register that one",
        )
    return folder
