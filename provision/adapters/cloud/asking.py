"""What an account says about itself before anything is made in it. Each function asks once.

They raise botocore's own errors; `verdict_on` in `refusals.py` says what those mean.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

from provision.adapters.cloud.failures import code_of
from provision.adapters.cloud.session import Cloud
from provision.model.preflight import Quota

# Service Quotas: service, code (AWS General Reference, "Service endpoints and quotas").
_NETWORKS: Final = ("vpc", "L-F678F1CE")
_ADDRESSES: Final = ("ec2", "L-0263D0A3")
_CORES: Final = ("ec2", "L-1216C47A")
# Families that this quota counts: the standard ones (EC2 user guide, "On-Demand Instance quotas").
_STANDARD: Final = ("a", "c", "d", "h", "i", "m", "r", "t", "z")
_STATES: Final = ("pending", "running")
_ABSENT: Final = {"404", "NoSuchBucket", "NotFound"}
_EC2_LETTERS: Final = "abcdef"


def clock_of(cloud: Cloud) -> tuple[datetime, datetime]:
    """Our time and that of AWS' answer, both in UTC; the way there counts half."""
    started = time.time()
    answer = cloud.client("sts").get_caller_identity()
    ours = datetime.fromtimestamp((started + time.time()) / 2, UTC)
    return ours, parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])


def is_on_free_plan(cloud: Cloud) -> bool:
    """Whether the account is on the free plan of accounts made since July 2025."""
    plan = cloud.client("freetier").get_account_plan_state()
    return str(plan.get("accountPlanType")) == "FREE"


def has_lab_role(cloud: Cloud) -> bool:
    """Whether the account lends the role of AWS Academy's learner labs."""
    try:
        cloud.client("iam").get_role(RoleName="LabRole")
    except Exception as error:
        if code_of(error) == "NoSuchEntity":
            return False
        raise
    return True


def open_zones(cloud: Cloud) -> list[str]:
    """The region's usual zones, as terraform/modules/network finds them."""
    found = cloud.client("ec2").describe_availability_zones(
        Filters=[{"Name": "state", "Values": ["available"]}]
    )
    usual = {f"{cloud.region}{letter}" for letter in _EC2_LETTERS}
    return sorted({zone["ZoneName"] for zone in found["AvailabilityZones"]} & usual)


def zones_of_machine(cloud: Cloud, machine: str) -> list[str]:
    """The zones that offer a type of machine; none where AWS has no such type here."""
    offers = cloud.paged(
        "ec2", "describe_instance_type_offerings", "InstanceTypeOfferings",
        LocationType="availability-zone", Filters=[{"Name": "instance-type", "Values": [machine]}],
    )  # fmt: skip
    return sorted(offer["Location"] for offer in offers)


def has_parameter(cloud: Cloud, name: str) -> bool:
    """Whether a public parameter of Systems Manager is there."""
    try:
        cloud.client("ssm").get_parameter(Name=name)
    except Exception as error:
        if code_of(error) == "ParameterNotFound":
            return False
        raise
    return True


def database_majors(cloud: Cloud) -> set[str]:
    """The major versions of PostgreSQL that RDS still has for new databases."""
    found = cloud.paged("rds", "describe_db_engine_versions", "DBEngineVersions", Engine="postgres")
    return {str(version["EngineVersion"]).partition(".")[0] for version in found}


def database_offers(cloud: Cloud, major: str, name: str, *, standby: bool) -> list[set[str]]:
    """The zones of each offer of such a database with gp3 storage and a network of its own."""
    found = cloud.paged(
        "rds", "describe_orderable_db_instance_options", "OrderableDBInstanceOptions",
        Engine="postgres", DBInstanceClass=name, Vpc=True,
    )  # fmt: skip
    return [
        {zone["Name"] for zone in offer.get("AvailabilityZones", [])}
        for offer in found
        if str(offer.get("EngineVersion", "")).partition(".")[0] == major
        and offer.get("StorageType") == "gp3"
        and (offer.get("MultiAZCapable") or not standby)
    ]


def networks(cloud: Cloud) -> dict[str, str]:
    """The ranges of the account's networks, by id; a second range of one as `id:2`."""
    found: dict[str, str] = {}
    for vpc in cloud.paged("ec2", "describe_vpcs", "Vpcs"):
        blocks = vpc.get("CidrBlockAssociationSet") or [{"CidrBlock": vpc["CidrBlock"]}]
        for number, block in enumerate(blocks, 1):
            name = vpc["VpcId"] if number == 1 else f"{vpc['VpcId']}:{number}"
            found[name] = block["CidrBlock"]
    return found


def subnets(cloud: Cloud, ids: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Network and zone of the subnets that there are."""
    found = cloud.paged(
        "ec2", "describe_subnets", "Subnets",
        Filters=[{"Name": "subnet-id", "Values": sorted(ids)}],
    )  # fmt: skip
    return {item["SubnetId"]: (item["VpcId"], item["AvailabilityZone"]) for item in found}


def has_way_out(cloud: Cloud, vpc: str, subnet: str) -> bool:
    """Whether a subnet has a route to the internet: its own table counts, else the network's."""
    tables = cloud.paged(
        "ec2", "describe_route_tables", "RouteTables",
        Filters=[{"Name": "vpc-id", "Values": [vpc]}],
    )  # fmt: skip
    own = [t for t in tables if any(a.get("SubnetId") == subnet for a in t["Associations"])]
    main = [t for t in tables if any(a.get("Main") for a in t["Associations"])]
    return any(
        route.get("DestinationCidrBlock") == "0.0.0.0/0"
        and str(route.get("GatewayId", "")).startswith("igw-")
        for table in own or main
        for route in table["Routes"]
    )


def bucket_status(cloud: Cloud, bucket: str) -> int:
    """The HTTP status of S3's answer to HeadBucket."""
    try:
        cloud.client("s3").head_bucket(Bucket=bucket)
    except Exception as error:
        if code_of(error) in _ABSENT:
            return 404
        if code_of(error) in ("403", "301"):
            return int(code_of(error))
        raise
    return 200


def _limit(cloud: Cloud, quota: tuple[str, str]) -> float:
    service, code = quota
    answer = cloud.client("service-quotas").get_service_quota(ServiceCode=service, QuotaCode=code)
    return float(answer["Quota"]["Value"])


def addresses_quota(cloud: Cloud) -> Quota:
    """Addresses that stay."""
    used = len(cloud.client("ec2").describe_addresses()["Addresses"])
    return Quota("addresses", _limit(cloud, _ADDRESSES), used, 1)


def networks_quota(cloud: Cloud) -> Quota:
    """Networks in the region."""
    used = len(cloud.paged("ec2", "describe_vpcs", "Vpcs"))
    return Quota("networks", _limit(cloud, _NETWORKS), used, 1)


def databases_quota(cloud: Cloud) -> Quota:
    """Databases in the region."""
    found: Sequence[Mapping[str, Any]] = cloud.client("rds").describe_account_attributes()[
        "AccountQuotas"
    ]
    (count,) = (q for q in found if q["AccountQuotaName"] == "DBInstances")
    return Quota("databases", count["Max"], count["Used"], 1)


def cores_quota(cloud: Cloud, machine: str) -> Quota | None:
    """Cores (virtual CPUs) of machines that run; `None` where another quota counts the machine."""
    if machine[0] not in _STANDARD:
        return None
    kinds = cloud.paged(
        "ec2", "describe_instance_types", "InstanceTypes",
        Filters=[{"Name": "instance-type", "Values": [machine]}],
    )  # fmt: skip
    if not kinds:
        return None  # that it is not offered is said elsewhere
    running = cloud.paged(
        "ec2", "describe_instances", "Reservations",
        Filters=[{"Name": "instance-state-name", "Values": list(_STATES)}],
    )  # fmt: skip
    used = sum(
        item.get("CpuOptions", {}).get("CoreCount", 1)
        * item.get("CpuOptions", {}).get("ThreadsPerCore", 1)
        for reservation in running
        for item in reservation["Instances"]
        if item["InstanceType"][0] in _STANDARD
    )
    return Quota("cores", _limit(cloud, _CORES), used, kinds[0]["VCpuInfo"]["DefaultVCpus"])
