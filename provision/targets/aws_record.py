"""What a stack in an account remembers between commands, and how its account is reached."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Protocol

SCHEMA = "provision.aws/1"


@dataclass(frozen=True)
class AwsRecord:
    """Where the stack lives and what Terraform said last about it.

    `outputs` are those of `terraform output -json`; empty before the first apply and after a
    destroy. `applied_at` is ISO 8601 in UTC, empty before. An emulated account is the stack's own,
    and ends with it, or one that `provision emulate` has `lent`. `spec` is the digest of the
    spec that was up last, and `facts` are its (`model.facts`); `month` is a month of it at list
    price, in US dollars (0: not known). `rewinding` is the way back to a backup that has begun and
    not ended (`targets.aws_rewind`).
    """

    name: str
    spec_file: str
    account: str
    region: str
    emulated: bool
    state: str
    mlflow_version: str
    created_at: str
    applied_at: str = ""
    outputs: Mapping[str, Any] = field(default_factory=dict)
    lent: bool = False
    spec: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    month: float = 0.0
    rewinding: Mapping[str, Any] = field(default_factory=dict)

    @property
    def owns_account(self) -> bool:
        """Whether the account is an emulated one that was started for this stack alone."""
        return self.emulated and not self.lent

    @property
    def place(self) -> str:
        """Where it is, in words."""
        kind = ", emulated on this machine" if self.emulated else ""
        return f"account {self.account}, {self.region}{kind}"

    def to_json(self) -> dict[str, Any]:
        """The record as it is stored."""
        return {"schema": SCHEMA, **asdict(self)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any] | None) -> AwsRecord | None:
        """The stored record; `None` where there is none, or none that this version can read."""
        if value is None or value.get("schema") != SCHEMA:
            return None
        known = {item.name for item in fields(cls)}
        try:
            return cls(**{key: item for key, item in value.items() if key in known})
        except TypeError:
            return None


@dataclass(frozen=True)
class AwsPaths:
    """The part of a stack's folder that belongs to its account."""

    root: Path

    @classmethod
    def below(cls, stack: Path) -> AwsPaths:
        """That of the stack in this folder."""
        return cls(stack / "aws")

    @property
    def record(self) -> Path:
        """`AwsRecord`."""
        return self.root / "record.json"

    @property
    def ledger(self) -> Path:
        """What commands were about to do."""
        return self.root / "ledger.json"

    @property
    def terraform(self) -> Path:
        """The configuration that Terraform works on, and a local state."""
        return self.root / "terraform"

    @property
    def emulator(self) -> Path:
        """The emulated account's own folder."""
        return self.root / "emulator"

    @property
    def authority(self) -> Path:
        """The certificate of the server's own authority (PEM), for clients."""
        return self.root / "ca.pem"

    @property
    def password(self) -> Path:
        """The first account's password."""
        return self.root / "admin-password"

    @property
    def lab(self) -> Path:
        """The folder of a rehearsal's lab."""
        return self.root / "lab"

    @property
    def lock(self) -> Path:
        """Held by the one command that changes the stack."""
        return self.root / "lock"


@dataclass(frozen=True)
class Access:
    """How an account is reached.

    `environment` is for programs that talk to it; `fetching` for the one that must get a provider
    from elsewhere. `override` changes Terraform's provider for an emulated account, and `backend`
    the settings of a shared state there; `own` is an emulated account that is the stack's alone.
    `boots`: a machine that is made there really boots.
    """

    environment: Mapping[str, str]
    fetching: Mapping[str, str]
    override: str | None = None
    backend: Mapping[str, str] = field(default_factory=dict)
    own: bool = False
    boots: bool = True

    @property
    def emulated(self) -> bool:
        """Whether no real account is reached."""
        return self.override is not None


class Connect(Protocol):
    """Ways to accounts; the real ones are there, an emulated one may have to be started."""

    def real(self) -> Access:
        """The account that the user's AWS settings lead to."""

    def emulated(
        self, *, start: bool, say: Callable[[str], None] = lambda _: None
    ) -> Access | None:
        """The stack's emulated account; `None` where there is none and `start` is off."""

    def end_emulated(self) -> None:
        """End the emulated account, with all that it holds."""


Now = Callable[[], str]
