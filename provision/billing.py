"""AWS' prices and bills for one stack. Part of the composition root: needs botocore."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from provision.accounts import Accounts
from provision.adapters import workspace
from provision.adapters.cloud import prices
from provision.adapters.cloud.session import Cloud
from provision.settings import python_executable
from provision.targets.aws_record import AwsPaths, AwsRecord


class Billing:
    """Asks where prices and costs of every region are asked, with the user's own credentials."""

    def __init__(self, environment: Mapping[str, str], root: Path) -> None:
        paths = AwsPaths.below(root)
        access = Accounts(paths.emulator, python_executable(), environment, prices.HOME).real()
        self._cloud = Cloud(access.environment, prices.HOME)
        self._record = AwsRecord.from_json(workspace.read_json(paths.record))

    def hourly(self, region: str, names: Sequence[str]) -> Mapping[str, float]:
        """Hourly prices of machines and databases in a region."""
        return prices.live_prices(self._cloud, region, names)

    def bill(self, name: str) -> prices.Spent:
        """What the stack has cost since it was made, today included."""
        today = datetime.now(UTC).date()
        return prices.spent(self._cloud, name, self._start(today), today + timedelta(days=1))

    def _start(self, today: date) -> date:
        if self._record is None:
            return today.replace(day=1)
        return datetime.fromisoformat(self._record.created_at).date()
