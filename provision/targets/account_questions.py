"""What an account must allow and have room for, asked before anything in it costs money."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from provision.adapters.cloud import asking
from provision.adapters.cloud.failures import is_denied
from provision.adapters.cloud.refusals import of_identity, or_unknown
from provision.adapters.cloud.session import Cloud
from provision.adapters.cloud.session_end import session_end
from provision.adapters.cloud.simulation import simulate
from provision.errors import ProvisionError
from provision.model import preflight, rights
from provision.model.account import Identity
from provision.model.findings.preflight import ACCOUNT_LAYERS
from provision.model.questions import Question, Verdict
from provision.model.wanted import Wanted

_LAYERS: Final = {layer.name: layer for layer in ACCOUNT_LAYERS}
# The role that a learner lab's sessions have (AWS Academy).
_LAB_SESSION: Final = "assumed-role/voclabs/"


@dataclass(frozen=True)
class AccountQuestions:
    """The questions about one account; they share its clients.

    `home` is the account that the stack is bound to, where it is.
    """

    cloud: Cloud
    me: Identity
    wanted: Wanted
    home: str | None = None

    def once_made(self) -> Sequence[Question]:
        """Those that count at every `up`."""
        return [
            self._about("session", "sts:GetCallerIdentity", self._session),
            self._about("clock", "sts:GetCallerIdentity", self._clock),
        ]

    def before_made(self, *, begun: bool) -> Sequence[Question]:
        """All: the stack is not there yet.

        Where an `up` has `begun`, what it made counts in the quotas already, and they say nothing.
        """
        about = self._about
        return [
            *self.once_made(),
            about("account", "freetier:GetAccountPlanState and iam:GetRole", self._account),
            about("rights", "iam:SimulatePrincipalPolicy", self._rights),
            about("zones", "ec2:DescribeAvailabilityZones", self._zones),
            about("machine", "ec2:DescribeInstanceTypeOfferings", self._machine),
            about("image", "ssm:GetParameter", self._image),
            about("engine", "rds:DescribeOrderableDBInstanceOptions", self._engine),
            about("network", "ec2:DescribeVpcs", self._network),
            about("bucket", "s3:ListBucket", self._bucket),
            *(() if begun else self._quotas()),
        ]

    @staticmethod
    def _about(layer: str, right: str, ask: Callable[[], Verdict]) -> Question:
        return Question(_LAYERS[layer], or_unknown(right, ask))

    def _session(self) -> Verdict:
        if self.home is not None and self.home != self.me.account:
            facts = {"here": self.me.account, "home": self.home}
            return Verdict(self.me.arn, "session.other-account", facts)
        end = session_end(self.cloud, self.me)
        minutes = preflight.UP_MINUTES
        return preflight.session(self.me.arn, end, datetime.now(UTC), minutes)

    def _clock(self) -> Verdict:
        return preflight.clock(*asking.clock_of(self.cloud))

    def _account(self) -> Verdict:
        lab = _LAB_SESSION in self.me.arn or asking.has_lab_role(self.cloud)
        free = not lab and asking.is_on_free_plan(self.cloud)
        return preflight.account(preflight.AccountKind(lab, free), self.wanted)

    def _rights(self) -> Verdict:
        try:
            decisions = simulate(self.cloud, self.me, rights.asks(self.wanted, self.me))
        except Exception as error:
            if is_denied(error):
                return Verdict("may not be asked", "rights.not-simulated")
            raise
        return rights.judged(decisions)

    def _zones(self) -> Verdict:
        if self.wanted.network.is_existing:
            return Verdict("as the existing network has them")
        return preflight.zones(asking.open_zones(self.cloud), self.wanted)

    def _zones_used(self) -> list[str]:
        """Where the server and the database will be: the server's zone first."""
        network = self.wanted.network
        if not network.is_existing:
            return list(network.zones or asking.open_zones(self.cloud)[:2])
        ids = [network.public_subnet or "", *network.private_subnets]
        found = asking.subnets(self.cloud, ids)
        return [found[name][1] for name in ids if name in found]

    def _machine(self) -> Verdict:
        used = self._zones_used()
        offered = asking.zones_of_machine(self.cloud, self.wanted.machine)
        return preflight.machine(offered, used[0] if used else "", self.wanted)

    def _image(self) -> Verdict:
        name = self.wanted.image
        if asking.has_parameter(self.cloud, name):
            return Verdict(name)
        facts = {"image": name, "region": self.wanted.region}
        return Verdict(name, "image.missing", facts)

    def _engine(self) -> Verdict:
        wanted = self.wanted
        majors = asking.database_majors(self.cloud)
        offers = asking.database_offers(
            self.cloud, wanted.database_major, wanted.database_class, standby=wanted.multi_az
        )
        zones = self._zones_used()
        used = zones[1:] if wanted.network.is_existing else zones
        return preflight.engine(majors, offers, wanted, used)

    def _network(self) -> Verdict:
        if self.wanted.network.is_existing:
            return self._existing()
        return preflight.network(asking.networks(self.cloud), self.wanted)

    def _existing(self) -> Verdict:
        network = self.wanted.network
        vpc, public = network.vpc or "", network.public_subnet or ""
        seen = asking.subnets(self.cloud, [public, *network.private_subnets])
        out = public in seen and asking.has_way_out(self.cloud, vpc, public)
        return preflight.existing(asking.networks(self.cloud), seen, self.wanted, out=out)

    def _bucket(self) -> Verdict:
        status = asking.bucket_status(self.cloud, self.wanted.names.bucket)
        return preflight.bucket(status, self.wanted)

    def _quotas(self) -> Sequence[Question]:
        asked: Mapping[str, Callable[[], preflight.Quota | None]] = {
            "ec2:DescribeAddresses": lambda: asking.addresses_quota(self.cloud),
            "rds:DescribeAccountAttributes": lambda: asking.databases_quota(self.cloud),
            "ec2:DescribeInstances": lambda: asking.cores_quota(self.cloud, self.wanted.machine),
        }
        if self.wanted.cidr:
            networks = {"ec2:DescribeVpcs": lambda: asking.networks_quota(self.cloud)}
            asked = {**asked, **networks}
        return [
            self._about("quota", f"servicequotas:GetServiceQuota and {right}", self._quota(count))
            for right, count in asked.items()
        ]

    def _quota(self, count: Callable[[], preflight.Quota | None]) -> Callable[[], Verdict]:
        return lambda: preflight.quota(count(), self.wanted.region)


def identity_question(cloud: Cloud, ask: Callable[[], Identity]) -> Question:
    """Who we are: everything else rests on it."""

    def asked() -> Verdict:
        try:
            return Verdict(ask().arn)
        except ProvisionError as error:
            return of_identity(error, cloud)

    return Question(_LAYERS["session"], asked)
