"""What a stack's last run left: the outputs of the Terraform root `stacks/tracking`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from provision.errors import ProvisionError


class Stage(StrEnum):
    """How far the stack has ever come. `PARTLY`: a run was interrupted or failed."""

    NEVER_APPLIED = "never applied"
    PARTLY = "partly applied"
    APPLIED = "applied"


@dataclass(frozen=True)
class ServerOutput:
    """The machine: its id, the IPv4 address that stays, and its image.

    `login_secret_arn`: where the server keeps its first account's name and password; empty in what
    an older version recorded.
    """

    instance_id: str
    public_ip: str
    image_id: str
    login_secret_arn: str = ""


@dataclass(frozen=True)
class ArtifactsOutput:
    """The bucket, and the artifact root in it (`s3://...`)."""

    bucket: str
    uri: str


@dataclass(frozen=True)
class DatabaseOutput:
    """The database's identifier, host:port, and the ARN of the secret with the admin's password."""

    identifier: str
    address: str
    admin_secret_arn: str


@dataclass(frozen=True)
class AlarmsOutput:
    """The topic's ARN, and the names of the alarms that write to it."""

    topic_arn: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class SchedulesOutput:
    """What AWS does by itself, by name, and the group that it is in; empty without any.

    Each is as `model.schedules.Schedule` writes it, which takes more to read than outputs do.
    """

    planned: Mapping[str, Mapping[str, Any]]
    group: str


@dataclass(frozen=True)
class Outputs:
    """Every output, or None for one that is not there. After a destroy there is none again.

    `run` is the stack's id, in the tag `provision:run` of everything that it has.
    """

    run: str | None = None
    account_id: str | None = None
    region: str | None = None
    server: ServerOutput | None = None
    artifacts: ArtifactsOutput | None = None
    database: DatabaseOutput | None = None
    alarms: AlarmsOutput | None = None
    schedules: SchedulesOutput | None = None

    @classmethod
    def from_json(cls, document: object) -> Outputs:
        """The outputs in what `terraform output -json` printed; `{}` means never applied.

        Outputs that this version does not know are left alone. Raises ProvisionError where one
        that it knows is of another form.
        """
        if not isinstance(document, Mapping):
            raise _strange("they are not a JSON object")
        values = {name: _value(name, entry) for name, entry in document.items()}
        return cls(
            run=_text(values, "run"),
            account_id=_text(values, "account_id"),
            region=_text(values, "region"),
            server=_server(values),
            artifacts=_artifacts(values),
            database=_database(values),
            alarms=_alarms(values),
            schedules=_schedules(values),
        )

    @property
    def stage(self) -> Stage:
        """Whether there is nothing, something or everything."""
        parts = (
            self.account_id, self.region, self.server, self.artifacts, self.database, self.alarms,
        )  # fmt: skip
        if all(part is None for part in parts):
            return Stage.NEVER_APPLIED
        return Stage.PARTLY if None in parts else Stage.APPLIED

    def tracking_uri(self, *, scheme: str = "http", port: int | None = None) -> str | None:
        """The server's address as a tracking URI; None without a server.

        `port` is left out of the URI where it is the scheme's own or not given.
        """
        if self.server is None:
            return None
        usual = {"http": 80, "https": 443}.get(scheme)
        suffix = "" if port in (None, usual) else f":{port}"
        return f"{scheme}://{self.server.public_ip}{suffix}"


def _strange(why: str) -> ProvisionError:
    return ProvisionError(
        f"Terraform's outputs cannot be read: {why}",
        next_step="run provision up: it writes them anew",
    )


def _value(name: object, entry: object) -> Any:
    if not isinstance(entry, Mapping) or "value" not in entry:
        raise _strange(f"`{name}` has no value")
    return entry["value"]


def _text(values: Mapping[Any, Any], name: str) -> str | None:
    value = values.get(name)
    if value is not None and not isinstance(value, str):
        raise _strange(f"`{name}` is not text")
    return value


def _texts(values: Mapping[Any, Any], name: str, *keys: str) -> list[str] | None:
    """The texts at `keys` of one output; None where it, or one of them, is not there yet."""
    value = values.get(name)
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise _strange(f"`{name}` is not an object")
    found = [_text(value, key) for key in keys]
    return [text for text in found if text is not None] if None not in found else None


def _server(values: Mapping[Any, Any]) -> ServerOutput | None:
    found = _texts(values, "server", "instance_id", "public_ip", "image_id")
    login = _texts(values, "server", "login_secret_arn") or []
    return ServerOutput(*found, *login) if found else None


def _artifacts(values: Mapping[Any, Any]) -> ArtifactsOutput | None:
    found = _texts(values, "artifacts", "bucket", "uri")
    return ArtifactsOutput(*found) if found else None


def _database(values: Mapping[Any, Any]) -> DatabaseOutput | None:
    found = _texts(values, "database", "identifier", "address", "admin_secret_arn")
    return DatabaseOutput(*found) if found else None


def _alarms(values: Mapping[Any, Any]) -> AlarmsOutput | None:
    found = _texts(values, "alarms", "topic_arn")
    if not found:
        return None
    names = values["alarms"].get("names")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise _strange("`alarms` has no list of names")
    return AlarmsOutput(found[0], tuple(names))


def _schedules(values: Mapping[Any, Any]) -> SchedulesOutput | None:
    """None also in what an older version recorded."""
    value = values.get("schedules")
    if value is None:
        return None
    planned = value.get("planned") if isinstance(value, Mapping) else None
    if not isinstance(planned, Mapping) or not all(
        isinstance(x, Mapping) for x in planned.values()
    ):
        raise _strange("`schedules` has no map of schedules")
    return SchedulesOutput(planned, str(value.get("group") or ""))
