"""An emulated account in a process of its own, as the product runs it, that can be made to fail."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config

from provision.emulator import client, control
from provision.emulator.client import Emulated

REGION = "eu-west-1"
Clients = Callable[..., Any]


@pytest.fixture(scope="session")
def emulated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulated]:
    folder = tmp_path_factory.mktemp("emulated")
    yield client.start(folder, sys.executable, os.environ, regions=[REGION], faults=True)
    client.stop(folder)


@pytest.fixture
def aws(emulated: Emulated) -> Iterator[Clients]:
    """Clients that try once and do not wait long; all faults are taken back afterwards."""

    def make(service: str, region: str = REGION, attempts: int = 1, timeout: float = 20) -> Any:
        return boto3.client(
            service,
            region_name=region,
            endpoint_url=emulated.endpoint,
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
            config=Config(retries={"total_max_attempts": attempts}, read_timeout=timeout),
        )

    yield make
    control.set_faults(emulated.endpoint, [])
