"""What the user wants: the models behind `provision.yaml`.

Frozen and valid by construction: an instance that exists can be acted upon. `model_fields_set` of
a section says which settings were written out; `name` always counts as written.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from datetime import date
from typing import Annotated, Final, Literal, Self, get_args

from pydantic import (
    BeforeValidator,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import InitErrorDetails

from provision.model import rules
from provision.model.aws import Aws
from provision.model.complaints import Complaint, complain
from provision.model.fields import (
    MAX_TAGS,
    TAG_KEY_MAX,
    TAG_VALUE_MAX,
    as_tuple,
    auto_or_bool,
    auto_or_size,
    check_address,
    check_folder,
    check_name,
    check_tag_key,
    check_tag_value,
    check_tags,
    empty_section,
    one_of,
    whole_number,
)
from provision.model.hosts import check_domain, check_host, check_origin
from provision.model.lifetime import Lifetime
from provision.model.naming import NAME_MAX, NAME_MIN, NAME_PATTERN, default_name
from provision.model.section import Section
from provision.model.units import SIZE_PATTERN, parse_size

Auto = Literal["auto"]
Scenario = Literal["server", "none"]
Target = Literal["local", "compose", "aws", "rehearsal"]
Engine = Literal["sqlite", "postgres"]
Auth = Literal["none", "basic"]
Others = Literal["read", "none"]
DEFAULT_PERMISSIONS: Final[dict[Others, Literal["READ", "NO_PERMISSIONS"]]] = {
    "read": "READ",
    "none": "NO_PERMISSIONS",
}
"""`access.others` in MLflow's words."""
ArtifactsMode = Literal["proxied", "direct"]

_Count = Annotated[int, Field(ge=1, le=64)] | Auto
_Size = Annotated[str, Field(pattern=SIZE_PATTERN)] | Auto
_Host = Annotated[str, BeforeValidator(check_host)]
_Origin = Annotated[str, BeforeValidator(check_origin)]
_TagKey = Annotated[
    str, Field(min_length=1, max_length=TAG_KEY_MAX), BeforeValidator(check_tag_key)
]
_TagValue = Annotated[str, Field(max_length=TAG_VALUE_MAX), BeforeValidator(check_tag_value)]


class Server(Section):
    """The tracking server's process. `auto` follows from this machine's memory and cores."""

    port: Annotated[int, Field(ge=1, le=65535), BeforeValidator(whole_number(1, 65535))] = Field(
        default=5000,
        description="TCP port of the tracking server. Most systems give a port below 1024 to root "
        "alone.",
        examples=[5000, 8080],
    )
    memory: Annotated[_Size, BeforeValidator(auto_or_size)] = Field(
        default="auto",
        description="Memory that the whole server may use, with its unit, or `auto`.",
        examples=["auto", "512MiB", "2GB"],
    )
    workers: Annotated[_Count, BeforeValidator(whole_number(1, 64, or_auto=True))] = Field(
        default="auto",
        description="Worker processes, or `auto`.",
        examples=["auto", 2],
    )
    threads: Annotated[_Count, BeforeValidator(whole_number(1, 64, or_auto=True))] = Field(
        default="auto",
        description="Threads of each worker, or `auto`: requests that it answers at a time.",
        examples=["auto", 8],
    )
    job_runner: Annotated[bool | Auto, BeforeValidator(auto_or_bool)] = Field(
        default="auto",
        description="MLflow's background job runner, which takes over 1 GB of memory.",
        examples=["auto", False],
    )

    @property
    def memory_bytes(self) -> int | None:
        """The memory allowed, in bytes; None where it is `auto`."""
        return None if self.memory == "auto" else parse_size(self.memory)


class Database(Section):
    """The backend store: experiments, runs, metrics, the model registry."""

    engine: Annotated[Engine, BeforeValidator(one_of(get_args(Engine)))] = Field(
        default="sqlite",
        description="Database of the backend store. Default: `sqlite` on the target `local`, "
        "`postgres` on every other.",
        examples=["sqlite", "postgres"],
    )


class Artifacts(Section):
    """The artifact store: models, plots and other files of runs."""

    path: Annotated[str | None, BeforeValidator(check_folder)] = Field(
        default=None,
        description="Folder on the target `local`, relative to the spec file; the artifacts go "
        "into a folder of the stack's name inside it. Default: inside the stack's own folder.",
        examples=["/data/mlflow-artifacts", "artifacts"],
    )
    mode: Annotated[ArtifactsMode, BeforeValidator(one_of(get_args(ArtifactsMode)))] = Field(
        default="proxied",
        description="How files travel on the targets `aws` and `rehearsal`. `proxied`: through the "
        "server, so that clients need no way to S3. `direct`: large files go between client and S3 "
        "by signed addresses that the server gives out.",
        examples=["proxied", "direct"],
    )


class Access(Section):
    """Who gets in, from where, and under which names."""

    listen: Annotated[str, BeforeValidator(check_address)] = Field(
        default="127.0.0.1",
        description="IP address to listen on. `127.0.0.1` admits this machine alone, `0.0.0.0` "
        "(IPv6: `::`) every machine that reaches it.",
        examples=["127.0.0.1", "0.0.0.0", "::1"],  # noqa: S104 - an example
    )
    auth: Annotated[Auth, BeforeValidator(one_of(get_args(Auth)))] = Field(
        default="none",
        description="`basic`: accounts with passwords. `none`: whoever reaches the server may "
        "read, change and delete everything. Default: `basic` on the targets `aws` and "
        "`rehearsal`, `none` on every other.",
        examples=["none", "basic"],
    )
    others: Annotated[Others, BeforeValidator(one_of(get_args(Others)))] = Field(
        default="read",
        description="With accounts: what each may do with experiments and models that it neither "
        "made nor was given: `read` them, or `none` (they do not even show). A course wants "
        "`none`.",
        examples=["read", "none"],
    )
    domain: Annotated[str | None, BeforeValidator(check_domain)] = Field(
        default=None,
        description="Name of yours that leads to the server's address on the targets `aws` and "
        "`rehearsal`; it becomes the tracking URI. Default: the address itself.",
        examples=["mlflow.lab.example"],
    )
    allowed_hosts: Annotated[
        tuple[_Host, ...],
        BeforeValidator(as_tuple, json_schema_input_type=tuple[_Host, ...] | None),
    ] = Field(
        default=(),
        description="Further names that clients use in the URL: a host, host:port or "
        "`*.domain`. Requests under any other name are refused.",
        examples=[["mlflow.lab.example", "*.lab.example", "10.0.0.5:8080"]],
    )
    allowed_origins: Annotated[
        tuple[_Origin, ...],
        BeforeValidator(as_tuple, json_schema_input_type=tuple[_Origin, ...] | None),
    ] = Field(
        default=(),
        description="Web pages whose scripts may call the server, as scheme://host[:port].",
        examples=[["https://dashboards.lab.example"]],
    )

    @property
    def is_loopback(self) -> bool:
        """True when only this machine can connect."""
        return ipaddress.ip_address(self.listen).is_loopback


class Spec(Section):
    """A stack: an MLflow tracking server of your own, or a local store without one."""

    name: Annotated[
        str,
        Field(pattern=NAME_PATTERN, min_length=NAME_MIN, max_length=NAME_MAX),
        BeforeValidator(check_name),
    ] = Field(
        description="Name of the stack. Default: from the name of the file's folder.",
        examples=["churn-course"],
    )
    scenario: Annotated[Scenario, BeforeValidator(one_of(get_args(Scenario)))] = Field(
        default="server",
        description="`server`: a tracking server. `none`: no server, clients use an SQLite file "
        "and an artifact folder on this machine.",
        examples=["server", "none"],
    )
    target: Annotated[Target, BeforeValidator(one_of(get_args(Target)))] = Field(
        default="local",
        description="Where the stack runs: processes on this machine (`local`), containers on "
        "this machine (`compose`), an AWS account (`aws`), or that account emulated on this "
        "machine (`rehearsal`).",
        examples=["local", "aws"],
    )
    server: Annotated[
        Server, BeforeValidator(empty_section, json_schema_input_type=Server | None)
    ] = Field(default_factory=Server)
    database: Annotated[
        Database, BeforeValidator(empty_section, json_schema_input_type=Database | None)
    ] = Field(default_factory=Database, validate_default=True)
    artifacts: Annotated[
        Artifacts, BeforeValidator(empty_section, json_schema_input_type=Artifacts | None)
    ] = Field(default_factory=Artifacts)
    access: Annotated[
        Access, BeforeValidator(empty_section, json_schema_input_type=Access | None)
    ] = Field(default_factory=Access, validate_default=True)
    lifetime: Annotated[
        Lifetime, BeforeValidator(empty_section, json_schema_input_type=Lifetime | None)
    ] = Field(default_factory=Lifetime)
    aws: Annotated[Aws, BeforeValidator(empty_section, json_schema_input_type=Aws | None)] = Field(
        default_factory=Aws
    )
    tags: Annotated[
        Mapping[_TagKey, _TagValue],
        BeforeValidator(
            check_tags,
            json_schema_input_type=Annotated[dict[_TagKey, _TagValue], Field(max_length=MAX_TAGS)]
            | None,
        ),
    ] = Field(
        default_factory=dict,
        description=f"Labels for every cloud resource, at most {MAX_TAGS}, text to text: letters, "
        "digits, spaces and `_ . : / = + - @`.",
        examples=[{"team": "churn", "cost-centre": "4711"}],
    )

    @field_validator("database")
    @classmethod
    def _engine_follows_target(cls, database: Database, info: ValidationInfo) -> Database:
        """Postgres is the default wherever the server runs away from this file system."""
        written = database.model_fields_set
        if "engine" in written or info.data.get("target", "local") == "local":
            return database
        # model_construct, unlike model_copy, keeps the setting out of those that were written.
        values = {**database.__dict__, "engine": "postgres"}
        return Database.model_construct(_fields_set=set(written), **values)

    @field_validator("access")
    @classmethod
    def _accounts_follow_target(cls, access: Access, info: ValidationInfo) -> Access:
        """A server on the internet asks for accounts unless the spec says otherwise."""
        written = access.model_fields_set
        if "auth" in written or info.data.get("target") not in ("aws", "rehearsal"):
            return access
        values = {**access.__dict__, "auth": "basic"}
        return Access.model_construct(_fields_set=set(written), **values)

    @model_validator(mode="after")
    def _settings_agree(self) -> Self:
        broken = [(rule, rule.check(self)) for rule in rules.RULES]
        errors = [
            InitErrorDetails(
                type=complain(found.message, found.hint, involves=rule.involves),
                loc=found.path,
                input=None,
            )
            for rule, found in broken
            if found is not None
        ]
        if errors:
            raise ValidationError.from_exception_data(type(self).__name__, errors)
        return self


def default_spec(folder_name: str) -> Spec:
    """The spec that `provision up` uses where no file is: a local server named after the folder."""
    return Spec(name=default_name(folder_name))


def late_problems(spec: Spec, today: date) -> tuple[Complaint, ...]:
    """What is wrong with a spec on the day `today` although the spec alone is valid."""
    until = spec.lifetime.until
    if until is None or until >= today:
        return ()
    hint = "write a later day, or remove the line"
    return (Complaint(("lifetime", "until"), f"{until} is in the past", hint),)
