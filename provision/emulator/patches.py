"""What AWS does and moto 5.2 does not, as far as Terraform's provider or our own commands meet it.

Each function names one thing that AWS does. `close_gaps` is called before the first request of a
process; moto has one set of accounts per process, and so there is one set of patches.
"""

from __future__ import annotations

import bisect
import copy
import hashlib
import itertools
import json
import secrets
import time
import uuid
from collections.abc import Iterator
from typing import Any

from moto.ec2.models.amis import Ami, AmiBackend
from moto.ec2.models.instances import Instance
from moto.ec2.models.security_groups import SecurityGroupRule
from moto.ec2.models.vpcs import VPCBackend
from moto.iam import models as iam
from moto.iam.access_control import IAMPolicy, PermissionResult
from moto.moto_server import werkzeug_app
from moto.rds import models as rds
from moto.s3 import models as s3
from moto.s3.responses import S3Response
from moto.ssm.models import Parameter, ParameterDict, SimpleSystemManagerBackend

from provision.emulator.answers import close_gaps_of_answers
from provision.emulator.backups import close_gaps_of_backups
from provision.emulator.budgets import close_gaps_of_budgets
from provision.emulator.monitoring import close_gaps_of_monitoring
from provision.emulator.notices import close_gaps_of_notices
from provision.emulator.objects import close_gaps_of_objects
from provision.emulator.rehearsal import close_gaps_of_rehearsals
from provision.emulator.rights import close_gaps_of_rights

DEBIAN = "/aws/service/debian/release/12/latest/amd64"
_DEBIAN_OWNER = "136693071363"  # https://wiki.debian.org/Cloud/AmazonEC2Image
# Two releases, so that a newer image can appear; the dates are made up.
_RELEASES = ("20261012-2262", "20261109-2290")
_closed: list[bool] = []


def close_gaps() -> None:
    """Patch moto, once for this process."""
    if _closed:
        return
    _closed.append(True)
    for close in (
        _unknown_services_are_refused, _managed_policies_are_there, _debian_publishes_images,
        _public_parameters_are_not_the_accounts,
        _rules_between_groups_are_described, _parts_go_with_their_whole,
        _groups_of_the_interface_are_the_machines, _parameters_tell_their_source,
        _databases_are_told_apart, _managed_secrets_are_secret,
        _conditional_refusals_are_not_absolute, _versions_are_listed_by_page,
        _folders_end_with_what_is_in_them,
        _buckets_tell_of_event_bridge, close_gaps_of_backups, close_gaps_of_budgets,
        close_gaps_of_monitoring,
        close_gaps_of_rights, close_gaps_of_rehearsals,
        close_gaps_of_notices, close_gaps_of_answers, close_gaps_of_objects,
    ):  # fmt: skip
        close()


def image_id(region: str, number: int) -> str:
    """The id of the Debian image of release `number` (0 or 1) in a region."""
    digest = hashlib.sha256(f"{region} {_RELEASES[number]}".encode()).hexdigest()
    return f"ami-{digest[:17]}"


def debian_parameter(account: str, region: str, number: int) -> Any:
    """Debian's public parameter, pointing to the image of release `number`."""
    return Parameter(
        account_id=account,
        name=DEBIAN,
        value=image_id(region, number),
        parameter_type="String",
        description=None,
        allowed_pattern=None,
        keyid=None,
        last_modified_date=time.time(),
        version=number + 1,
        data_type="aws:ec2:image",
    )


def _unknown_services_are_refused() -> None:
    """moto prints a line and stumbles over services that it does not know."""
    dispatcher = werkzeug_app.DomainDispatcherApplication
    known = dispatcher.get_backend_for_host

    def backend(self: Any, host: str | None) -> Any:
        found = known(self, host)
        if host and not found:
            raise NotImplementedError(host)
        return found

    werkzeug_app.print = lambda *_: None
    dispatcher.get_backend_for_host = backend


def _managed_policies_are_there() -> None:
    """AWS' own policies can be attached; moto has them only where its environment says so."""
    iam.load_iam_aws_managed_policies = lambda: True


def _debian_publishes_images() -> None:
    """Debian's images and the public parameter that names the latest, in every region."""
    load, look = AmiBackend._load_amis, ParameterDict._check_loading_status

    def loaded(self: Any) -> None:
        load(self)
        for number in range(len(_RELEASES)):
            self.amis[image_id(self.region_name, number)] = _debian(self, number)

    def looked(self: Any, key: str) -> None:
        look(self, key)
        if str(key or "").startswith("/aws/service/debian") and not dict.get(self, DEBIAN):
            dict.__setitem__(self, DEBIAN, [debian_parameter(self.account_id, self.region_name, 0)])

    AmiBackend._load_amis = loaded
    ParameterDict._check_loading_status = looked


def _public_parameters_are_not_the_accounts() -> None:
    """AWS lists public parameters below their path only, never among the account's own."""
    original = SimpleSystemManagerBackend.describe_parameters

    def described(self: Any, *arguments: Any, **given: Any) -> Any:
        found = original(self, *arguments, **given)
        return [p for p in found if not p.name.startswith("/aws/service/")]

    SimpleSystemManagerBackend.describe_parameters = described


def _debian(backend: Any, number: int) -> Any:
    return Ami(
        backend,
        image_id(backend.region_name, number),
        name=f"debian-12-amd64-{_RELEASES[number]}",
        description=f"Debian 12 ({_RELEASES[number]})",
        owner_id=_DEBIAN_OWNER,
        public=True,
        virtualization_type="hvm",
        architecture="x86_64",
        hypervisor="xen",
        root_device_type="ebs",
        root_device_name="/dev/xvda",
        region_name=f"{backend.region_name}a",
        boot_mode="uefi-preferred",
    )


def _rules_between_groups_are_described() -> None:
    """A rule that names a group has a description like one that names addresses."""

    def description(self: Any) -> str | None:
        told: str | None = self.ip_range.get("Description") or self.source_group.get("Description")
        return told

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


def _groups_of_the_interface_are_the_machines() -> None:
    """A machine with a public address of its own gets its groups through its interface."""
    make = Instance.__init__

    def made(self: Any, *arguments: Any, **given: Any) -> None:
        make(self, *arguments, **given)
        if not self.security_groups and self.nics:
            self.security_groups = list(self.nics[min(self.nics)].group_set or [])

    Instance.__init__ = made


def _parameters_tell_their_source() -> None:
    """AWS marks what the user set; the provider reads only parameters with that mark."""
    original = rds.DBParameterGroup.update_parameters

    def update(self: Any, new: Any) -> None:
        new = list(new)
        original(self, new)
        for parameter in new:
            self.parameters[parameter["ParameterName"]]["Source"] = "user"

    rds.DBParameterGroup.update_parameters = update


def _databases_are_told_apart() -> None:
    """Each database has its own resource id, and remembers its Performance Insights."""
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


def _managed_secrets_are_secret() -> None:
    """A database's managed secret holds its own user name, and a password of its own."""

    def content(self: Any) -> str:
        user = getattr(self.resource, "master_username", None) or "admin"
        return json.dumps({"username": user, "password": secrets.token_urlsafe(21)})

    rds.MasterUserSecret._generate_secret_string = content
    _managed_secrets_are_made_once()


def _managed_secrets_are_made_once() -> None:
    """Saying again that a password is managed changes nothing; moto makes a second secret of it.

    Terraform says so with the first change after a database was adopted.
    """
    change = rds.DBInstance.update

    def updated(self: Any, **given: Any) -> Any:
        if self.manage_master_user_password and given.get("manage_master_user_password"):
            given.pop("manage_master_user_password")
        return change(self, **given)

    rds.DBInstance.update = updated


def _conditional_refusals_are_not_absolute() -> None:
    """moto reads no conditions, so "deny without TLS" would refuse every request."""

    def permission(self: Any, action: str, resource: str) -> Any:
        plain = [s for s in _statements(self.policy) if not _refuses_under_conditions(s)]
        if not plain:
            return PermissionResult.NEUTRAL
        policy = IAMPolicy(json.dumps({"Version": "2012-10-17", "Statement": plain}))
        return policy.is_action_permitted(action, resource)

    s3.FakeBucket.get_permission = permission


def _statements(policy: bytes | None) -> list[dict[str, Any]]:
    """A policy may hold one statement instead of a list (IAM's reference of the policy grammar)."""
    found = json.loads(policy)["Statement"] if policy else []
    return found if isinstance(found, list) else [found]


def _refuses_under_conditions(statement: dict[str, Any]) -> bool:
    return statement["Effect"] == "Deny" and bool(statement.get("Condition"))


def _buckets_tell_of_event_bridge() -> None:
    """A bucket that sends its events to EventBridge says so; moto keeps it to itself."""
    original = S3Response.get_bucket_notification

    def told(self: Any) -> Any:
        status, headers, body = original(self)
        found = self.backend.get_bucket_notification_configuration(self.bucket_name)
        if found is None or found.event_bridge is None:
            return status, headers, body
        end = "</NotificationConfiguration>"
        start = body.removesuffix(end).removesuffix("/>") + ("" if body.endswith(end) else ">")
        return status, headers, f"{start}<EventBridgeConfiguration/>{end}"

    S3Response.get_bucket_notification = told


def _folders_end_with_what_is_in_them() -> None:
    """A common prefix is told of while an object is below it; for moto, delete markers are some."""
    original = s3.S3Backend.list_objects

    def listed(self: Any, bucket: Any, prefix: Any, delimiter: Any, **page: Any) -> Any:
        keys, folders, *rest = original(self, bucket, prefix, delimiter, **page)
        if not delimiter:
            return keys, folders, *rest
        start = len(prefix or "")
        living = {
            name[: name.index(delimiter, start) + len(delimiter)]
            for name, key in bucket.keys.items()
            if name.startswith(prefix or "") and delimiter in name[start:]
            and not isinstance(key, s3.FakeDeleteMarker)
        }  # fmt: skip
        return keys, [folder for folder in folders if folder in living], *rest

    s3.S3Backend.list_objects = listed


def _versions_are_listed_by_page() -> None:
    """A page of versions begins strictly after its markers, whether what they name is there or not.

    moto loses the first version after a key marker, and copies the whole bucket for every page.
    Listings with a delimiter are left to it.
    """
    original = s3.S3Backend.list_object_versions

    def listed(self: Any, bucket_name: str, **asked: Any) -> Any:
        if asked.get("delimiter"):
            return original(self, bucket_name, **asked)
        bucket = self.get_bucket(bucket_name)
        markers = asked.get("key_marker"), asked.get("version_id_marker")
        found = _versions_after(bucket.keys, asked.get("prefix") or "", *markers)
        most = asked.get("max_keys", 1000)
        page = list(itertools.islice(found, most))
        more = bool(page) and next(found, None) is not None
        return _page(page, page[-1] if more else None)

    s3.S3Backend.list_object_versions = listed


def _versions_after(
    keys: Any, prefix: str, key_marker: str | None, version_id_marker: str | None
) -> Iterator[Any]:
    """Copies of all versions after the markers: by name, the newest version of each first."""
    names = sorted(keys.keys())
    for name in names[bisect.bisect_left(names, key_marker or "") :]:
        if not name.startswith(prefix) or (name == key_marker and not version_id_marker):
            continue
        versions = _newest_first(keys.getlist(name))
        identities = [version.version_id for version in versions]
        if name == key_marker and version_id_marker in identities:
            versions = versions[identities.index(version_id_marker) + 1 :]
        yield from versions


def _newest_first(versions: list[Any]) -> list[Any]:
    copies = [copy.copy(version) for version in reversed(versions)]
    for number, version in enumerate(copies):
        version.is_latest = number == 0
    return copies


def _page(page: list[Any], last: Any) -> Any:
    objects = [v for v in page if isinstance(v, s3.FakeKey)]
    markers = [v for v in page if not isinstance(v, s3.FakeKey)]
    return objects, [], markers, last and last.name, last and last.version_id
