"""Your team's own MLflow tracking server: one spec, from this machine to AWS and away again.

from provision import Stack

with Stack.load("provision.yaml").up() as endpoint:
    mlflow.set_tracking_uri(endpoint.uri)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from provision._version import __version__

if TYPE_CHECKING:
    from provision.api import RunningStack, Stack
    from provision.model.endpoint import Endpoint

__all__ = ["Endpoint", "RunningStack", "Stack", "__version__"]

# Imported on first use: the command line pays for every import that stands here.
_HOMES = {
    "Stack": "provision.api",
    "RunningStack": "provision.api",
    "Endpoint": "provision.model.endpoint",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'provision' has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415

    return getattr(import_module(_HOMES[name]), name)
