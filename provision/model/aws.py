"""The spec's section `aws`: where in AWS a stack lives, how strong it is, and who gets in.

The settings are those of the Terraform root `stacks/tracking`, which also holds what the two
profiles set; a test keeps both in step.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, get_args

from pydantic import BeforeValidator, Field

from provision.model import aws_fields as check
from provision.model.fields import empty_section, one_of
from provision.model.naming import NAME_MIN, NAME_PATTERN
from provision.model.section import Section

Profile = Literal["course", "team"]
StatePlace = Literal["local", "s3"]
Packages = Literal["index", "bundled"]

# What rules between settings need of the profiles in terraform/stacks/tracking/profiles.tf.
STORAGE_GIB: Final[dict[Profile, tuple[int, int]]] = {"course": (20, 100), "team": (50, 500)}
MACHINES: Final[dict[Profile, str]] = {"course": "t3.small", "team": "t3.medium"}

_Yes = Annotated[bool | None, BeforeValidator(check.yes_or_no)]
_Subnet = Annotated[
    str, Field(pattern=check.SUBNET_PATTERN), BeforeValidator(check.check_listed_subnet)
]
_Zone = Annotated[str, Field(pattern=check.ZONE_PATTERN), BeforeValidator(check.check_zone)]
_Ingress = Annotated[str, BeforeValidator(check.check_ingress)]
_Gib = Annotated[
    Annotated[int, Field(ge=20, le=65536)] | None,
    BeforeValidator(check.between(20, 65536, " (GiB)")),
]


class Network(Section):
    """A new network, or an existing one: then `vpc`, `public_subnet` and `private_subnets`."""

    cidr: Annotated[str | None, BeforeValidator(check.check_range)] = Field(
        default=None,
        description="IPv4 range of the new network, /16 to /24. Default: `10.87.0.0/20`.",
        examples=["10.87.0.0/20"],
    )
    zones: Annotated[
        tuple[_Zone, ...],
        BeforeValidator(check.check_zones, json_schema_input_type=tuple[_Zone, ...] | None),
    ] = Field(
        default=(),
        description="The new network's two availability zones. Default: the region's first two.",
        examples=[["eu-west-1a", "eu-west-1b"]],
    )
    vpc: Annotated[
        Annotated[str, Field(pattern=check.VPC_PATTERN)] | None, BeforeValidator(check.check_vpc)
    ] = Field(
        default=None,
        description="Id of the existing network.",
        examples=["vpc-0a1b2c3d4e5f60718"],
    )
    public_subnet: Annotated[
        Annotated[str, Field(pattern=check.SUBNET_PATTERN)] | None,
        BeforeValidator(check.check_subnet),
    ] = Field(
        default=None,
        description="The existing network's subnet for the server, with a route to the internet.",
        examples=["subnet-0a1b2c3d4e5f60718"],
    )
    private_subnets: Annotated[
        tuple[_Subnet, ...],
        BeforeValidator(
            check.check_private_subnets, json_schema_input_type=tuple[_Subnet, ...] | None
        ),
    ] = Field(
        default=(),
        description="The existing network's subnets for the database, in two zones.",
        examples=[["subnet-0a1b2c3d4e5f60719", "subnet-0a1b2c3d4e5f6071a"]],
    )

    @property
    def is_existing(self) -> bool:
        """True where no network is made."""
        return self.vpc is not None


class Settings(Section):
    """Single settings that differ from the profile's; what is left out is as the profile says."""

    instance_type: Annotated[
        Annotated[str, Field(pattern=check.MACHINE_PATTERN)] | None,
        BeforeValidator(check.check_machine),
    ] = Field(default=None, description="The server's machine.", examples=["t3.medium"])
    disk_gib: Annotated[
        Annotated[int, Field(ge=10, le=16384)] | None,
        BeforeValidator(check.between(10, 16384, " (GiB)")),
    ] = Field(default=None, description="GiB of the server's disk.", examples=[40])
    image_parameter: Annotated[
        Annotated[str, Field(pattern=check.PARAMETER_PATTERN)] | None,
        BeforeValidator(check.check_parameter),
    ] = Field(
        default=None,
        description="Public parameter that names the server's Debian image.",
        examples=["/aws/service/debian/release/12/latest/arm64"],
    )
    detailed_monitoring: _Yes = Field(
        default=None,
        description="Measure the server every minute instead of every five, at a price.",
        examples=[True],
    )
    flow_logs: _Yes = Field(
        default=None,
        description="Record every connection of the new network for a year, at a price.",
        examples=[True],
    )
    database_class: Annotated[
        Annotated[str, Field(pattern=check.DATABASE_CLASS_PATTERN)] | None,
        BeforeValidator(check.check_database_class),
    ] = Field(
        default=None, description="The machine under the database.", examples=["db.t4g.small"]
    )
    database_major: Annotated[
        Annotated[int, Field(ge=14, le=19)] | None, BeforeValidator(check.between(14, 19))
    ] = Field(default=None, description="PostgreSQL's major version.", examples=[16])
    database_initial_gib: _Gib = Field(
        default=None, description="GiB of the database at the start.", examples=[50]
    )
    database_maximum_gib: _Gib = Field(
        default=None, description="GiB up to which it may grow by itself.", examples=[200]
    )
    database_observed: _Yes = Field(
        default=None,
        description="Keep PostgreSQL's logs and watch it closely, at a price.",
        examples=[True],
    )
    database_ca: Annotated[
        Annotated[str, Field(pattern=check.CA_PATTERN)] | None, BeforeValidator(check.check_ca)
    ] = Field(
        default=None,
        description="Authority that signs the database's certificate.",
        examples=["rds-ca-rsa2048-g1"],
    )
    multi_az: _Yes = Field(
        default=None,
        description="A standby of the database in another zone, at twice the price.",
        examples=[False],
    )
    deletion_protection: _Yes = Field(
        default=None,
        description="A lock that AWS itself keeps on the database; while it is on, nothing "
        "deletes it.",
        examples=[True],
    )
    final_snapshot: _Yes = Field(
        default=None,
        description="Keep a last snapshot when the database is destroyed.",
        examples=[True],
    )
    final_snapshot_name: Annotated[
        Annotated[str, Field(pattern=check.SNAPSHOT_PATTERN)] | None,
        BeforeValidator(check.check_snapshot),
    ] = Field(
        default=None,
        description="That snapshot's name. Default: `provision-NAME-final`.",
        examples=["churn-2027"],
    )
    backup_days: Annotated[
        Annotated[int, Field(ge=1, le=35)] | None, BeforeValidator(check.between(1, 35, " (days)"))
    ] = Field(
        default=None, description="Days for which backups of the database stay.", examples=[14]
    )
    artifact_noncurrent_days: Annotated[
        Annotated[int, Field(ge=1, le=3650)] | None,
        BeforeValidator(check.between(1, 3650, " (days)")),
    ] = Field(
        default=None,
        description="Days for which an overwritten or deleted artifact can be brought back.",
        examples=[30],
    )
    user_data_replace_on_change: _Yes = Field(
        default=None,
        description="Make a new server when its start-up script changes; otherwise it stays and "
        "updates itself.",
        examples=[False],
    )

    def chosen(self) -> dict[str, object]:
        """The settings that have a value, by their names in Terraform and here."""
        return {key: value for key, value in self if value is not None}


class Aws(Section):
    """Where in AWS the stack lives. It counts on the targets `aws` and `rehearsal` alone."""

    region: Annotated[
        Annotated[str, Field(pattern=check.REGION_PATTERN)] | None,
        BeforeValidator(check.check_region),
    ] = Field(
        default=None,
        description="AWS region. Default: as your AWS settings say (`AWS_REGION`, the profile).",
        examples=["eu-west-1"],
    )
    account: Annotated[
        Annotated[str, Field(pattern=check.ACCOUNT_PATTERN)] | None,
        BeforeValidator(check.check_account),
    ] = Field(
        default=None,
        description="The only account that the stack may be in: 12 digits, in quotes. Default: "
        "the one that your credentials belong to at the first `up`.",
        examples=["123456789012"],
    )
    profile: Annotated[Profile, BeforeValidator(one_of(get_args(Profile)))] = Field(
        default="course",
        description="`course`: cheap and gone in one go. `team`: a standby database, protection "
        "against deletion, logs and longer backups.",
        examples=["course", "team"],
    )
    ingress: Annotated[
        tuple[_Ingress, ...],
        BeforeValidator(
            check.check_all_ingress, json_schema_input_type=tuple[_Ingress, ...] | None
        ),
    ] = Field(
        default=(),
        description="IPv4 networks whose machines may reach the server. Default: none, so that "
        "only a tunnel (Session Manager) leads in.",
        examples=[["203.0.113.0/24"]],
    )
    state: Annotated[StatePlace, BeforeValidator(one_of(get_args(StatePlace)))] = Field(
        default="local",
        description="Where the record of what was made lies: on this machine (`local`), or in a "
        "bucket, so that others manage the same stack from theirs (`s3`).",
        examples=["local", "s3"],
    )
    state_name: Annotated[
        str,
        Field(pattern=NAME_PATTERN, min_length=NAME_MIN, max_length=check.STATE_NAME_MAX),
        BeforeValidator(check.check_state_name),
    ] = Field(
        default="shared",
        description="Name of that bucket, which can hold the state of many stacks: "
        "`provision-NAME-state-` and the account and region. At most "
        f"{check.STATE_NAME_MAX} characters.",
        examples=["ml-team"],
    )
    instance_profile: Annotated[
        Annotated[str, Field(pattern=check.INSTANCE_PROFILE_PATTERN)] | None,
        BeforeValidator(check.check_instance_profile),
    ] = Field(
        default=None,
        description="Existing instance profile, for accounts that forbid making roles (AWS "
        "Academy: `LabInstanceProfile`). Default: one with the least rights is made.",
        examples=["LabInstanceProfile"],
    )
    packages: Annotated[Packages, BeforeValidator(one_of(get_args(Packages)))] = Field(
        default="index",
        description="Where the server's machine gets MLflow from. `index`: the public package "
        "index. `bundled`: the stack's bucket, where `up` puts every package (some 230 MB); for "
        "networks without a way to the index. Debian's own packages come from its mirrors in both.",
        examples=["index", "bundled"],
    )
    kms_key: Annotated[
        Annotated[str, Field(pattern=check.KEY_PATTERN)] | None, BeforeValidator(check.check_key)
    ] = Field(
        default=None,
        description="ARN of a key of your own that encrypts everything. Default: the account's "
        "keys, which cost nothing to keep.",
        examples=["arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"],
    )
    network: Annotated[
        Network, BeforeValidator(empty_section, json_schema_input_type=Network | None)
    ] = Field(default_factory=Network)
    settings: Annotated[
        Settings, BeforeValidator(empty_section, json_schema_input_type=Settings | None)
    ] = Field(default_factory=Settings)
