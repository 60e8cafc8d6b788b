"""What AWS says about who we are there, and about the two things that a stack runs on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

# EC2's and RDS' own words for "in order": AWS, DescribeInstanceStatus and DBInstance.
_RUNNING: Final = "running"
_PASSED: Final = "ok"
_STOPPED: Final = "stopped"
_AVAILABLE: Final = "available"


@dataclass(frozen=True)
class Identity:
    """Whose credentials these are.

    `arn` names the person or the assumed role; `partition` is `aws`, `aws-cn` or `aws-us-gov`.
    `expires_at` is when the credentials at hand end, where AWS or the environment told so: keys of
    a user have no end, and a session given by environment variables alone does not show its own.
    """

    account: str
    arn: str
    region: str
    partition: str
    expires_at: datetime | None = None


@dataclass(frozen=True)
class MachineView:
    """EC2's view of the machine: its state, and its two status checks in EC2's own words.

    The checks read `ok`, `impaired`, `initializing`, `insufficient-data` or `not-applicable` (a
    machine that is not running).
    """

    state: str
    system_check: str
    machine_check: str

    @property
    def healthy(self) -> bool:
        """True when it runs and passes both checks."""
        return (self.state, self.system_check, self.machine_check) == (_RUNNING, _PASSED, _PASSED)


@dataclass(frozen=True)
class DatabaseView:
    """RDS' view of the database: its status in RDS' own words, such as `available`, and its size.

    `allocated_gib` is what is paid for now; storage grows by itself. `restorable` is the last
    moment that it can be brought back to (ISO 8601 in UTC, "" for none; AWS, DBInstance,
    LatestRestorableTime), `backup_days` how far back that goes.
    """

    status: str
    engine_version: str
    instance_class: str
    allocated_gib: int
    multi_az: bool
    restorable: str = ""
    backup_days: int = 0

    @property
    def available(self) -> bool:
        """True when it takes connections."""
        return self.status == _AVAILABLE


@dataclass(frozen=True)
class ServerView:
    """Machine and database at one moment; `None` for one that is not there."""

    machine: MachineView | None
    database: DatabaseView | None

    @property
    def half_asleep(self) -> bool:
        """True when the machine is off and the database is not, and costs."""
        if self.machine is None or self.database is None:
            return False
        return self.machine.state == _STOPPED and self.database.status in (_AVAILABLE, "starting")
