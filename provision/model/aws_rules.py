"""Rules between settings of the section `aws`.

They hold on every target, so that a spec that is valid today still is on the next rung.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from provision.errors import RefusedError
from provision.model.aws import MACHINES, STORAGE_GIB
from provision.model.complaints import Complaint, Path
from provision.model.rule import Rule
from provision.model.sizing import MIB, Machine, Wishes, size

if TYPE_CHECKING:
    from provision.model.spec import Spec

_REGION: Final = ("aws", "region")
_PROFILE: Final = ("aws", "profile")
_KEY: Final = ("aws", "kms_key")
_STATE: Final = ("aws", "state")
_STATE_NAME: Final = ("aws", "state_name")
_NETWORK: Final = ("aws", "network")
_NEW: Final = ("cidr", "zones")
_EXISTING: Final = ("vpc", "public_subnet", "private_subnets")


def _setting(name: str) -> Path:
    return ("aws", "settings", name)


def _written(spec: Spec, names: tuple[str, ...]) -> list[str]:
    return [name for name in names if getattr(spec.aws.network, name)]


def _network_is_whole(spec: Spec) -> Complaint | None:
    given = _written(spec, _EXISTING)
    missing = [name for name in _EXISTING if name not in given]
    if not given or not missing:
        return None
    listed = " and ".join(f"`{name}`" for name in missing)
    return Complaint(_NETWORK, f"an existing network needs {listed} too", "name all three")


def _network_is_one(spec: Spec) -> Complaint | None:
    new = _written(spec, _NEW)
    if not new or not _written(spec, _EXISTING):
        return None
    message = f"`{new[0]}` is for a new network, and an existing one is named"
    return Complaint((*_NETWORK, new[0]), message, "remove one or the other")


def _zones_are_of_the_region(spec: Spec) -> Complaint | None:
    region, zones = spec.aws.region, spec.aws.network.zones
    for index, zone in enumerate(zones):
        if region and zone[:-1] != region:
            path = (*_NETWORK, "zones", index)
            return Complaint(path, f"{zone} is not a zone of the region {region}")
    return None


def _key_is_of_the_region(spec: Spec) -> Complaint | None:
    region, key = spec.aws.region, spec.aws.kms_key
    if not region or not key or key.split(":")[3] == region:
        return None
    message = f"the key is in {key.split(':')[3]}, and the stack in {region}"
    return Complaint(_KEY, message, "AWS encrypts with keys of the same region only")


def _flow_logs_are_of_a_new_network(spec: Spec) -> Complaint | None:
    if not spec.aws.settings.flow_logs or not spec.aws.network.is_existing:
        return None
    message = "flow logs of an existing network belong to its owner"
    return Complaint(_setting("flow_logs"), message, "remove the line")


def _storage_can_grow(spec: Spec) -> Complaint | None:
    # RDS refuses a ceiling that is not at least a tenth above the start.
    settings = spec.aws.settings
    usual_initial, usual_maximum = STORAGE_GIB[spec.aws.profile]
    initial = settings.database_initial_gib or usual_initial
    maximum = settings.database_maximum_gib or usual_maximum
    if 10 * maximum >= 11 * initial:
        return None
    message = f"{maximum} GiB is not a tenth above the {initial} GiB at the start"
    hint = f"write `database_maximum_gib: {-(-11 * initial // 10)}` or more"
    return Complaint(_setting("database_maximum_gib"), message, hint)


def _image_suits_machine(spec: Spec) -> Complaint | None:
    settings = spec.aws.settings
    machine, image = settings.instance_type, settings.image_parameter or "amd64"
    # Families with a g behind the generation (t4g, c7gn, im4gn), and a1, are Graviton.
    is_arm = re.match("([a-z]+[0-9]+[a-z]*g[a-z]*|a1)[.]", machine or "t3.")
    wanted, other = ("arm64", "amd64") if is_arm else ("amd64", "arm64")
    if other not in image:
        return None
    hint = f"write `image_parameter: /aws/service/debian/release/12/latest/{wanted}`"
    what = machine or "the profile's machine"
    message = f"{what} is {wanted}, and the image {other}"
    return Complaint(_setting("instance_type"), message, hint)


def _state_has_a_bucket(spec: Spec) -> Complaint | None:
    if spec.aws.state == "s3" or "state_name" not in spec.aws.model_fields_set:
        return None
    message = "a state on this machine has no bucket"
    return Complaint(_STATE_NAME, message, "write `state: s3`, or remove the line")


# Burstable machines, by which part of their names (EC2's instance types, "memory").
_MEMORY_MIB: Final = {"nano": 512, "micro": 1024, "small": 2048, "medium": 4096, "large": 8192}
_LEFT_BY_THE_KERNEL: Final = 0.93


def _server_fits_machine(spec: Spec) -> Complaint | None:
    """What its own arithmetic would refuse minutes later, when the machine has booted."""
    name, server = spec.aws.settings.instance_type, spec.server
    if name is None and spec.target not in ("aws", "rehearsal"):
        return None
    name = name or MACHINES[spec.aws.profile]
    family, _, kind = name.partition(".")
    memory = _MEMORY_MIB.get(kind) if re.fullmatch("t[0-9][a-z]?", family) else None
    if memory is None:
        return None
    workers, threads = (None if n == "auto" else n for n in (server.workers, server.threads))
    jobs = server.job_runner is True
    wishes = Wishes("service", server.memory_bytes, workers, threads, jobs, alone=True)
    try:
        size(wishes, Machine(int(memory * _LEFT_BY_THE_KERNEL) * MIB, 2))
    except RefusedError as error:
        return Complaint(_setting("instance_type"), f"{name} is too small: {error.message}", _ROOM)
    return None


_ASKED: Final = ("memory", "workers", "job_runner")
_ROOM: Final = (
    "take a larger machine (`aws: settings: {instance_type: t3.medium}`), or ask for less"
)


RULES: Final = (
    Rule(
        "The machine has the memory that `server` asks for.",
        (_setting("instance_type"), *(("server", n) for n in _ASKED)),
        _server_fits_machine,
    ),
    Rule(
        "An existing network is named by `vpc`, `public_subnet` and `private_subnets` together.",
        tuple((*_NETWORK, name) for name in _EXISTING),
        _network_is_whole,
    ),
    Rule(
        "`cidr` and `zones` go with a new network only.",
        tuple((*_NETWORK, name) for name in (*_NEW, *_EXISTING)),
        _network_is_one,
    ),
    Rule(
        "The zones are zones of `aws.region`.",
        (_REGION, (*_NETWORK, "zones")),
        _zones_are_of_the_region,
    ),
    Rule("`aws.kms_key` is a key of `aws.region`.", (_REGION, _KEY), _key_is_of_the_region),
    Rule(
        "`flow_logs: true` goes with a new network only.",
        (_setting("flow_logs"), (*_NETWORK, "vpc")),
        _flow_logs_are_of_a_new_network,
    ),
    Rule(
        "`database_maximum_gib` is at least a tenth above `database_initial_gib`.",
        (_PROFILE, _setting("database_initial_gib"), _setting("database_maximum_gib")),
        _storage_can_grow,
    ),
    Rule(
        "`instance_type` and `image_parameter` are of one architecture.",
        (_setting("instance_type"), _setting("image_parameter")),
        _image_suits_machine,
    ),
    Rule("`state_name` goes with `state: s3` only.", (_STATE, _STATE_NAME), _state_has_a_bucket),
)
