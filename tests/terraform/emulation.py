"""AWS on this machine: moto's server in this process, with its gaps closed for the real provider.

Each patch names what AWS does and moto 5.2 does not. Nothing in the modules knows of this file:
the provider learns of the server by its environment and by `override()`, a file in the tests' copy.
"""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from moto import settings
from moto.core.authorization import ActionAuthenticatorMixin
from moto.core.base_backend import BackendDict
from moto.ec2.models.instances import Instance
from moto.ec2.models.security_groups import SecurityGroupRule
from moto.ec2.models.vpcs import VPCBackend
from moto.iam.access_control import IAMPolicy, PermissionResult
from moto.rds import models as rds
from moto.s3 import models as s3
from moto.server import ThreadedMotoServer
from moto.ssm.models import Parameter, ssm_backends

ACCOUNT = "123456789012"
DEBIAN = "/aws/service/debian/release/12/latest/amd64"
OVERRIDE = """\
provider "aws" {
  access_key                  = "testing"
  secret_key                  = "testing"
  s3_use_path_style           = true
  skip_credentials_validation = true
  skip_region_validation      = true
  max_retries                 = 3
}
"""


class EmulatedAws:
    """One account in one region, empty at the start."""

    def __init__(self, endpoint: str, region: str) -> None:
        self.endpoint = endpoint
        self.region = region

    @property
    def environment(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
        }

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
def emulated_aws(region: str) -> Iterator[EmulatedAws]:
    """Start the server on a free port of the loopback, and stop it."""
    os.environ["MOTO_IAM_LOAD_MANAGED_POLICIES"] = "true"
    _close_gaps()
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        BackendDict.reset()
        aws = EmulatedAws(f"http://{host}:{port}", region)
        publish_image(aws, number=0)
        yield aws
    finally:
        server.stop()


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
    """Set Debian's public parameter to an image that this account can start, one of many."""
    images = aws.client("ec2").describe_images(Owners=["amazon"])["Images"]
    image = sorted(i["ImageId"] for i in images if i.get("Architecture") == "x86_64")[number]
    # Names below /aws/ are reserved: AWS' own parameters cannot be written through the API.
    ssm_backends[ACCOUNT][aws.region]._parameters[DEBIAN] = [
        Parameter(
            account_id=ACCOUNT,
            name=DEBIAN,
            value=image,
            parameter_type="String",
            description=None,
            allowed_pattern=None,
            keyid=None,
            last_modified_date=time.time(),
            version=1,
            data_type="aws:ec2:image",
        )
    ]


def _close_gaps() -> None:
    """Patch moto once for this process."""
    if getattr(rds.DBInstance, "_gaps_closed", False):
        return
    rds.DBInstance._gaps_closed = True
    _rules_between_groups_are_described()
    _parts_go_with_their_whole()
    _parameters_tell_their_source()
    _instances_are_told_apart()
    _conditional_refusals_are_not_absolute()


def _rules_between_groups_are_described() -> None:
    """A rule that names a group has a description like one that names addresses."""

    def description(self: Any) -> str | None:
        return self.ip_range.get("Description") or self.source_group.get("Description")

    SecurityGroupRule.description = property(description)


def _parts_go_with_their_whole() -> None:
    """A machine takes its first interface along when it ends, a VPC its default access list."""
    terminate, delete_vpc = Instance.terminate, VPCBackend.delete_vpc

    def ended(self: Any) -> Any:
        for interface in self.nics.values():
            interface.delete_on_termination |= interface.device_index == 0
        return terminate(self)

    def deleted(self: Any, vpc_id: str) -> Any:
        vpc = delete_vpc(self, vpc_id)
        for acl in [a for a in self.network_acls.values() if a.vpc_id == vpc_id]:
            self.network_acls.pop(acl.id)
        return vpc

    Instance.terminate = ended
    VPCBackend.delete_vpc = deleted


def _parameters_tell_their_source() -> None:
    """AWS marks what the user set; the provider reads only parameters with that mark."""
    original = rds.DBParameterGroup.update_parameters

    def update(self: Any, new: Any) -> None:
        new = list(new)
        original(self, new)
        for parameter in new:
            self.parameters[parameter["ParameterName"]]["Source"] = "user"

    rds.DBParameterGroup.update_parameters = update


def _instances_are_told_apart() -> None:
    """Each instance has its own resource id, and remembers its Performance Insights."""
    make, change = rds.DBInstance.__init__, rds.DBInstance.update

    def created(self: Any, *arguments: Any, **given: Any) -> None:
        make(self, *arguments, **given)
        self.dbi_resource_id = f"db-{uuid.uuid4().hex[:26].upper()}"
        self.performance_insights_enabled = bool(given.get("enable_performance_insights"))
        self.performance_insights_kms_key_id = given.get("performance_insights_kms_key_id")

    def updated(self: Any, **given: Any) -> Any:
        wanted = given.pop("enable_performance_insights", self.performance_insights_enabled)
        self.performance_insights_enabled = wanted
        return change(self, **given)

    rds.DBInstance.__init__ = created
    rds.DBInstance.update = updated


def _conditional_refusals_are_not_absolute() -> None:
    """moto reads no conditions, so "deny without TLS" would refuse every request."""

    def permission(self: Any, action: str, resource: str) -> PermissionResult:
        statements = json.loads(self.policy.decode())["Statement"] if self.policy else []
        plain = [s for s in statements if not (s["Effect"] == "Deny" and s.get("Condition"))]
        if not plain:
            return PermissionResult.NEUTRAL
        policy = IAMPolicy(json.dumps({"Version": "2012-10-17", "Statement": plain}))
        return policy.is_action_permitted(action, resource)

    s3.FakeBucket.get_permission = permission
