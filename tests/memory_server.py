"""A tracking server in memory, for tests of what a check makes of its answers."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from provision.model.tracking import Answer, ErrorKind, RunRecord, TrackingError


class MemoryServer:
    """A tracking server in memory, in which any method can be made to fail or to lie."""

    def __init__(self, **failures: Exception) -> None:
        self.failures = failures
        self.existing: dict[str, Any] = {}
        self.calls: list[str] = []
        self.answer = Answer(200, {"server": "memory"}, b'{"experiments": []}')
        self.artifact_root = "mlflow-artifacts:/1/r1/artifacts"
        self.served_version = "3.17.2"
        self.cut_downloads_at: int | None = None
        self.round_metrics = False
        self.addresses = ("192.0.2.1",)
        self.strangers: dict[str, bytes] = {}
        self.experiments: list[dict[str, str]] = []
        self.artifact_root_of_models = ""
        self.files: dict[str, bytes] = {}

    def _enter(self, name: str) -> None:
        self.calls.append(name)
        if name in self.failures:
            raise self.failures[name]

    def wait(self, seconds: float) -> None:
        self._enter("wait")

    def get(self, route: str, **query: str) -> dict[str, Any]:
        self._enter(route)
        if route == "experiments/search":
            return {"experiments": self.experiments}
        return {"artifact_uri": f"{self.artifact_root_of_models or self.artifact_root}/model"}

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | Iterable[bytes] | None = None,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> Answer:
        """As a stranger: what `strangers` has for the user name, or for the path."""
        given = headers.get("Authorization", "")
        name = base64.b64decode(given.removeprefix("Basic ")).decode()
        answer = self.strangers.get(name if "experiments" in path else path.partition("?")[0])
        if answer is None:
            raise TrackingError(ErrorKind.STATUS, f"{path}: HTTP 401", status=401)
        return Answer(200, {}, answer)

    def upload_stream(self, path: str, size: int, blocks: Iterable[bytes]) -> None:
        self._enter("upload_stream")
        self.files[path] = b"".join(blocks)

    def download_stream(self, path: str) -> Iterator[bytes]:
        self._enter("download_stream")
        yield self.files[path]

    def upload_direct(self, path: str, size: int, blocks: Iterable[bytes]) -> None:
        self._enter("upload_direct")
        self.files[path] = b"".join(blocks)

    def download_direct(self, path: str) -> Iterator[bytes]:
        self._enter("download_direct")
        yield self.files[path]

    def resolve(self) -> tuple[str, ...]:
        self._enter("resolve")
        return self.addresses

    def open(self) -> str:
        self._enter("open")
        return "192.0.2.1"

    def secure(self) -> str:
        self._enter("secure")
        return "TLSv1.3"

    def probe(self) -> Answer:
        self._enter("probe")
        return self.answer

    def version(self) -> str:
        self._enter("version")
        return self.served_version

    def server_status(self) -> dict[str, Any] | None:
        return None

    def create_experiment(self, name: str) -> str:
        self._enter("create_experiment")
        self.existing["experiment"] = name
        return "1"

    def delete_experiment(self, experiment_id: str) -> None:
        self._enter("delete_experiment")
        del self.existing["experiment"]

    def create_run(self, experiment_id: str, name: str) -> RunRecord:
        self._enter("create_run")
        self.existing["run"] = RunRecord("r1", self.artifact_root)
        return RunRecord("r1", self.artifact_root)

    def log_batch(
        self,
        run_id: str,
        metrics: Mapping[str, float],
        params: Mapping[str, str],
        tags: Mapping[str, str],
    ) -> None:
        self._enter("log_batch")
        kept = {key: float(f"{value:.6g}") for key, value in metrics.items()}
        self.existing["run"] = RunRecord(
            run_id, self.artifact_root, kept if self.round_metrics else metrics, params, tags
        )

    def get_run(self, run_id: str) -> RunRecord:
        self._enter("get_run")
        run = self.existing["run"]
        assert isinstance(run, RunRecord)
        return run

    def delete_run(self, run_id: str) -> None:
        self._enter("delete_run")
        del self.existing["run"]

    def upload(self, path: str, content: bytes) -> None:
        self._enter("upload")
        self.files[path] = content

    def download(self, path: str) -> bytes:
        self._enter("download")
        return self.files[path][: self.cut_downloads_at]

    def list_artifacts(self, path: str) -> tuple[str, ...]:
        self._enter("list_artifacts")
        return tuple(file.removeprefix(f"{path}/") for file in self.files if path in file)

    def delete_artifact(self, path: str) -> None:
        self._enter("delete_artifact")
        self.files = {file: c for file, c in self.files.items() if not file.startswith(path + "/")}

    def create_registered_model(self, name: str) -> None:
        self._enter("create_registered_model")
        self.existing["model"] = name

    def create_model_version(self, name: str, source: str, run_id: str) -> str:
        self._enter("create_model_version")
        return "1"

    def set_alias(self, name: str, alias: str, version: str) -> None:
        self._enter("set_alias")

    def version_by_alias(self, name: str, alias: str) -> str:
        self._enter("version_by_alias")
        return "1"

    def delete_registered_model(self, name: str) -> None:
        self._enter("delete_registered_model")
        del self.existing["model"]

    def close(self) -> None:
        self._enter("close")
