"""Artifacts come from S3 as they are asked for, block by block.

MLflow's server fetches the whole object to its disk before it sends the first byte
(`mlflow/server/artifact_router.py`, `download_artifact`): a gigabyte waits for itself, a client
gives up after two minutes without an answer, and a small disk is full. Here it goes through, with a
length, so that a client notices when it was cut. What is no object is left to MLflow's own route.
"""

from __future__ import annotations

import asyncio
import posixpath
from collections.abc import Iterator
from importlib import import_module
from typing import Any, Final

_PATHS: Final = tuple(
    f"/{api}/2.0/mlflow-artifacts/artifacts/{{artifact_path:path}}" for api in ("api", "ajax-api")
)


def install(application: Any) -> None:
    """Answer downloads in `application`, before MLflow's own route does; its checks stay."""
    from fastapi.routing import APIRoute  # noqa: PLC0415

    for path in reversed(_PATHS):
        route = APIRoute(path, _download, methods=["GET"], response_model=None)
        application.router.routes.insert(0, route)


def _own() -> Any:
    return import_module("mlflow.server.artifact_router")


async def _download(artifact_path: str) -> Any:
    from mlflow.exceptions import MlflowException  # noqa: PLC0415
    from mlflow.server.mlflow_response import mlflow_exception_response  # noqa: PLC0415

    try:
        found = await asyncio.to_thread(_open, artifact_path)
    except MlflowException as error:
        return mlflow_exception_response(error, handler_name="download")
    if found is None:
        return await _own().download_artifact(artifact_path)
    return _answer(artifact_path, found)


def _open(artifact_path: str) -> dict[str, Any] | None:
    """S3's answer with its body still to come; None where there is no such object."""
    from botocore.exceptions import ClientError  # noqa: PLC0415

    own = _own()
    path = own._get_workspace_scoped_path(own.validate_path_is_safe(artifact_path))
    store = own._get_artifact_repo()
    bucket, root = store.parse_s3_compliant_uri(store.artifact_uri)
    key = posixpath.join(root, path)
    try:
        found = store._get_s3_client().get_object(
            Bucket=bucket, Key=key, **store._bucket_owner_params
        )
    except ClientError:
        return None
    return dict(found)


def _answer(artifact_path: str, found: dict[str, Any]) -> Any:
    from fastapi.responses import StreamingResponse  # noqa: PLC0415

    own, name = _own(), posixpath.basename(artifact_path)
    headers = {
        "Content-Type": own._guess_mime_type(name),
        "Content-Disposition": own._content_disposition(name),
        "Content-Length": str(found["ContentLength"]),
        "X-Content-Type-Options": "nosniff",
    }
    return StreamingResponse(_blocks(found["Body"]), headers=headers)


def _blocks(body: Any) -> Iterator[bytes]:
    """Each in a thread of Starlette's; where the client leaves, the request to S3 ends."""
    from mlflow.store.artifact.artifact_repo import ARTIFACT_STREAM_CHUNK_SIZE  # noqa: PLC0415

    try:
        yield from body.iter_chunks(ARTIFACT_STREAM_CHUNK_SIZE)
    finally:
        body.close()
