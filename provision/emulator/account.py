"""The emulated account in this very process: what tests use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from moto import settings
from moto.core.authorization import ActionAuthenticatorMixin
from moto.core.base_backend import BackendDict
from moto.ssm.models import ssm_backends

from provision.emulator.client import ACCOUNT, keys_of
from provision.emulator.patches import DEBIAN, debian_parameter
from provision.emulator.schedules import Scheduler
from provision.emulator.server import serving


class EmulatedAws:
    """One account, looked at in one region; empty at the start, gone at the end of its block."""

    def __init__(self, endpoint: str, door: str, region: str) -> None:
        self.endpoint = endpoint
        self.door = door
        self.region = region

    @property
    def environment(self) -> dict[str, str]:
        """What points an SDK, or Terraform's provider, at this account."""
        return keys_of(self.endpoint)

    @property
    def scheduler(self) -> Scheduler:
        """What runs the account's schedules."""
        return Scheduler(self.endpoint, self.door, self.region)

    def client(self, service: str, role: str | None = None) -> Any:
        """A client with the account's own rights, or with those of one of its roles."""
        keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
        if role:
            keys = self._session_of(role)
        return boto3.client(service, region_name=self.region, endpoint_url=self.endpoint, **keys)

    def _session_of(self, role: str) -> dict[str, str]:
        arn = f"arn:aws:iam::{ACCOUNT}:role/{role}"
        session = self.client("sts").assume_role(RoleArn=arn, RoleSessionName="test")["Credentials"]
        return {
            "aws_access_key_id": session["AccessKeyId"],
            "aws_secret_access_key": session["SecretAccessKey"],
            "aws_session_token": session["SessionToken"],
        }


@contextmanager
def emulated_aws(region: str, *, faults: bool = False) -> Iterator[EmulatedAws]:
    """An empty account on a free port of the loopback while the block runs.

    With `faults`, `provision.emulator.control` can make it fail. One process holds one set of
    accounts: a second block in it empties the first one's.
    """
    with serving(faults=faults) as server:
        BackendDict.reset()
        yield EmulatedAws(server.endpoint, server.door, region)


@contextmanager
def enforced() -> Iterator[None]:
    """Policies hold while this lasts; the account's own keys are unknown meanwhile."""
    settings.INITIAL_NO_AUTH_ACTION_COUNT = 0.0
    ActionAuthenticatorMixin.request_count = 0
    try:
        yield
    finally:
        settings.INITIAL_NO_AUTH_ACTION_COUNT = float("inf")


def publish_image(aws: EmulatedAws, number: int) -> None:
    """Let Debian's public parameter name release `number` (0, as at the start, or 1, a newer one).

    Names below /aws/ are reserved: AWS' own parameters cannot be written through its API.
    """
    parameters = ssm_backends[ACCOUNT][aws.region]._parameters
    parameters[DEBIAN] = [debian_parameter(ACCOUNT, aws.region, number)]
