"""A throwaway MLflow server for other people's tests.

def test_training_logs_a_run(mlflow_server):
    mlflow.set_tracking_uri(mlflow_server.uri)
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from provision.model.endpoint import Endpoint

_SPEC = """\
name: pytest
server:
  port: {port}
  workers: 1
  job_runner: false
"""


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    """The endpoint of a server of this test session; it and its data are gone afterwards."""
    from provision.adapters.processes import any_free_port  # noqa: PLC0415 - only when asked for
    from provision.api import Stack  # noqa: PLC0415

    folder: Path = tmp_path_factory.mktemp("provision")
    spec = folder / "provision.yaml"
    spec.write_text(_SPEC.format(port=any_free_port("127.0.0.1")), encoding="utf-8")
    stack = Stack.load(spec)
    try:
        with stack.up() as endpoint:
            yield endpoint
    finally:
        stack.down(delete_data=True)
