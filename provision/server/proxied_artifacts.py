"""Artifacts through this server alone.

On S3, MLflow's server tells its clients that it hands out presigned URLs; then every client fetches
from S3 by itself, and one without a route to S3 tries for minutes. A client that is not told so
goes through the server (`_is_multipart_download_enabled` and its twin in MLflow 3.17's
`mlflow/store/artifact/mlflow_artifacts_repo.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

OFFERS = ("multipart_uploads_enabled", "multipart_downloads_enabled")
"""What `/server-info` says about presigned URLs (`mlflow/utils/server_info.py`)."""

# One module makes the answer, the other has it under a name of its own.
_HOLDERS = ("mlflow.server.handlers", "mlflow.server.server_info_api")


def install() -> None:
    """Make no such offer from now on."""
    for name in _HOLDERS:
        module: Any = import_module(name)
        module.build_server_info_payload = _without(module.build_server_info_payload)


def _without(build: Callable[[], dict[str, Any]]) -> Callable[[], dict[str, Any]]:
    def build_without() -> dict[str, Any]:
        return build() | dict.fromkeys(OFFERS, False)

    return build_without
