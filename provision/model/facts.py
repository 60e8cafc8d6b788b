"""What looking at a stack in an account needs of its spec: kept with its record, and no pydantic.

Building the models of a spec takes longer than the look itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from provision.model.spec import Spec


@dataclass(frozen=True)
class Facts:
    """A valid spec in short.

    `shared` is the name of the bucket for shared states, empty where the state is on this machine;
    `until` the last day (ISO 8601), `timed`: more is to be said of days and hours. `accounts`:
    clients log in. `is_open`: some network may reach the server; otherwise a tunnel alone leads in.
    `direct`: as in `Endpoint`. `budget` is what a month may cost in US dollars.
    """

    name: str
    target: str
    region: str | None
    shared: str
    domain: str | None
    accounts: bool
    is_open: bool
    direct: bool
    until: str | None
    timed: bool
    budget: int | None = None

    @classmethod
    def of(cls, spec: Spec) -> Facts:
        """Those of a spec."""
        until = spec.lifetime.until
        return cls(
            name=spec.name,
            target=spec.target,
            region=spec.aws.region,
            shared=spec.aws.state_name if spec.aws.state == "s3" else "",
            domain=spec.access.domain,
            accounts=spec.access.auth == "basic",
            is_open=bool(spec.aws.ingress),
            direct=spec.artifacts.mode == "direct",
            until=until.isoformat() if until else None,
            timed=until is not None or spec.lifetime.hours is not None,
            budget=spec.lifetime.budget,
        )

    @property
    def rehearses(self) -> bool:
        """Whether it must never lead to a real account."""
        return self.target == "rehearsal"

    def to_json(self) -> dict[str, Any]:
        """As they are stored."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Facts | None:
        """The stored facts; `None` where another version wrote them."""
        try:
            return cls(**value)
        except TypeError:
            return None
