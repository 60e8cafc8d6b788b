"""A stack in an account of its own for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.aws.stack import REGION, Stack, make
from tests.terraform.emulation import emulated_aws


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    with emulated_aws(REGION) as account:
        yield make(account, tmp_path)
