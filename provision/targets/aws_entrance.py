"""What a stack's machine in an account tells, and how clients get in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from provision.adapters import workspace
from provision.adapters.cloud import host as told
from provision.adapters.cloud.objects import Bucket, read_object
from provision.adapters.cloud.session import Cloud
from provision.errors import MissingError
from provision.model.boot import CA_KEY, BootReport
from provision.model.endpoint import Credentials, Endpoint
from provision.model.facts import Facts
from provision.model.outputs import Outputs, ServerOutput
from provision.targets.aws_record import AwsPaths

TUNNEL_PORT: Final = 8443
"""Where a tunnel ends on this machine, unless it is told otherwise."""

_USER: Final = "admin"


class NotWrittenError(MissingError):
    """The machine has not come so far that clients could get in."""


@dataclass(frozen=True)
class Entrance:
    """One stack's way in. It needs no more of the spec than its facts."""

    facts: Facts
    paths: AwsPaths

    # -- what it tells --------------------------------------------------------------------------

    def report(self, cloud: Cloud, outputs: Outputs) -> BootReport | None:
        """The machine's boot report; `None` before it wrote one, or without a machine."""
        if outputs.server is None or outputs.artifacts is None:
            return None
        return told.read_report(cloud, bucket_of(outputs), outputs.server.instance_id)

    def boot_log(self, cloud: Cloud, outputs: Outputs) -> list[str]:
        """The last lines of the machine's boot log."""
        return told.read_boot_log(cloud, bucket_of(outputs), machine_of(outputs).instance_id)

    # -- the way in -----------------------------------------------------------------------------

    def fetch_keys(self, cloud: Cloud, outputs: Outputs) -> None:
        """Put what clients need into the stack's folder: the authority, and the password.

        Raises `NotWrittenError` while the machine has not written one of them.
        """
        authority = read_object(cloud, bucket_of(outputs), CA_KEY)
        if authority is None:
            raise _not_there(f"s3://{bucket_of(outputs).name}/{CA_KEY}")
        workspace.write_text(self.paths.authority, authority.decode("ascii"), mode=0o644)
        if not self.facts.accounts:
            self.paths.password.unlink(missing_ok=True)
            return
        secret = machine_of(outputs).login_secret_arn or f"provision-{self.facts.name}/admin"
        login = told.read_login(cloud, secret)
        if login is None:
            raise _not_there(f"the secret {secret}")
        workspace.write_text(self.paths.password, login.password.reveal() + "\n")

    @property
    def has_keys(self) -> bool:
        """Whether the stack's folder holds what clients need."""
        password = not self.facts.accounts or self.paths.password.exists()
        return password and self.paths.authority.exists()

    def endpoint(self, outputs: Outputs, mlflow_version: str) -> Endpoint | None:
        """How clients get in: by its name or address, or where no port is open by the tunnel."""
        if outputs.server is None:
            return None
        own = f"https://{self.facts.domain or outputs.server.public_ip}"
        tunnel = f"https://localhost:{TUNNEL_PORT}"
        is_open, password = self.facts.is_open, self.paths.password
        uri, other = (own, tunnel) if is_open else (tunnel, own)
        return Endpoint(
            self.facts.name,
            uri,
            mlflow_version,
            credentials=Credentials(_USER, password) if password.exists() else None,
            ca_file=self.paths.authority if self.paths.authority.exists() else None,
            aliases=(other,) if not is_open else (),
            direct=self.facts.direct,
        )


def bucket_of(outputs: Outputs) -> Bucket:
    """The stack's bucket; raises `MissingError` where there is no stack."""
    if outputs.artifacts is None or outputs.account_id is None:
        raise _no_machine()
    return Bucket(outputs.artifacts.bucket, outputs.account_id)


def machine_of(outputs: Outputs) -> ServerOutput:
    """The stack's machine; raises `MissingError` where there is none."""
    if outputs.server is None:
        raise _no_machine()
    return outputs.server


def _no_machine() -> MissingError:
    return MissingError(
        "the stack has no machine", next_step="provision up makes it, or makes it whole"
    )


def _not_there(what: str) -> NotWrittenError:
    return NotWrittenError(
        f"the server has not written {what} yet",
        next_step="provision status shows how far its machine is; provision repair starts it again",
    )
