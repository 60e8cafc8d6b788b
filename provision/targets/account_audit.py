"""The audit of a stack in an account: what the account says, and what its machine shows."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from provision.adapters import tls_floor
from provision.adapters.cloud import inspection
from provision.adapters.cloud.failures import is_denied
from provision.adapters.cloud.host import read_console
from provision.adapters.cloud.last_used import age_in_days, unused_services
from provision.adapters.cloud.session import Cloud
from provision.adapters.cloud.shared_state import read_shared
from provision.adapters.cloud.ways_in import revoke
from provision.adapters.searching import Search, secrets_in
from provision.errors import MissingError, ProvisionError
from provision.model import exposure, role_policy
from provision.model.outputs import DatabaseOutput, Outputs, ServerOutput
from provision.model.questions import Question, Verdict
from provision.model.secrets import Secret
from provision.model.spec import Spec
from provision.model.wanted import Wanted
from provision.targets.aws_account import Opening
from provision.targets.aws_record import AwsPaths
from provision.targets.base import RemoteCommand
from provision.targets.secret_questions import UNKNOWN, SecretsHere, leak, question

_CONSOLE_LINES: Final = 5000
_MONTH_DAYS: Final = 30
_IMDS: Final = ("required", 1)
_PASSFILE: Final = "/etc/provision/database.pass"
_ON_HOST: Final = (
    "/etc/provision/admin-password", "/etc/provision/session-key",
    "/etc/provision/gateway-passphrase", _PASSFILE,
)  # fmt: skip
# Prints in which files the machine's own secrets stand, and never one of them: they are read from
# their files by grep, so that neither a command line nor Systems Manager's history holds them.
_SCRIPT: Final = """\
bash -c 'for f in {files}; do [ -s "$f" ] || continue; own() {{ cat "$f"; }}
[ "$f" = {passfile} ] && own() {{ cut -d: -f5- "$f"; }}
grep -laFf <(own) /proc/[0-9]*/cmdline /proc/[0-9]*/environ /var/log/*.log 2>/dev/null
journalctl --output cat --no-pager | grep -qFf <(own) && echo journal; done; true'"""
_AskMachine = Callable[[Sequence[str]], RemoteCommand]


def private_files(paths: AwsPaths) -> list[Path]:
    """What nobody else on this machine may read."""
    states = sorted(paths.terraform.rglob("*.tfstate*"))
    own = [paths.password, paths.record, *paths.terraform.rglob("*.tfplan"), *states]
    return [path for path in own if path.exists()]


def known_secrets(opening: Opening, outputs: Outputs, paths: AwsPaths) -> dict[str, Secret]:
    """The stack's secrets: those of this machine, and of Secrets Manager where we may read them."""
    found = secrets_in(paths.root.parent / "people")
    if paths.password.exists():
        found["admin-password"] = Secret(paths.password.read_text(encoding="utf-8").strip())
    server, database = outputs.server, outputs.database
    for name, arn in (
        ("login", server.login_secret_arn if server else ""),
        ("database", database.admin_secret_arn if database else ""),
    ):
        if arn:
            values = _values(opening, arn)
            found |= {f"{name} {key}": value for key, value in values.items()}
    return found


def _values(opening: Opening, arn: str) -> dict[str, Secret]:
    """Nothing where nobody has written it yet, or these credentials may not read it."""
    try:
        return inspection.secret_values(opening.cloud, arn)
    except Exception as error:
        if is_denied(error) or "ResourceNotFound" in str(error):
            return {}
        raise


@dataclass(frozen=True)
class AccountAudit:
    """The questions about one stack in one account. `ask_machine` runs a command on its machine."""

    spec: Spec
    paths: AwsPaths
    opening: Opening
    outputs: Outputs
    search: Search
    spec_folder: Path
    ask_machine: _AskMachine | None

    def questions(self) -> Sequence[Question]:
        """All of them."""
        return [
            *self._about_secrets(),
            question("exposure", self._ways_in),
            question("exposure", self._database),
            question("exposure", self._bucket),
            question("exposure", self._metadata),
            question("role", self._role),
            question("encryption", self._encrypted),
            question("encryption", self._plain),
            *([question("tls-floor", self._tls)] if self._is_reached else []),
        ]

    def shut(self) -> list[str]:
        """Take out of the security groups what neither spec nor server needs; says what it was."""
        cloud, done = self.opening.cloud, []
        servers = self._groups()
        meant = dict.fromkeys(servers, self.spec.aws.ingress)
        for group in [*servers, *self._database_groups()]:
            rules = inspection.ways_in(cloud, [group])
            if group in meant:
                more = exposure.beyond(rules, meant[group])
            else:
                more = [rule for rule in rules if rule.source not in servers]
            if more:
                revoke(cloud, group, more)
                done += [f"{rule}, out of {group}" for rule in more]
        return done

    @property
    def _is_reached(self) -> bool:
        """Whether a machine boots there, and somebody may reach it without a tunnel."""
        return self.ask_machine is not None and bool(self.spec.aws.ingress)

    def _about_secrets(self) -> Sequence[Question]:
        here = SecretsHere(self.search, self.spec_folder, private_files(self.paths))
        folder = self.paths.terraform
        states = sorted(folder.rglob("*.tfstate*"))
        plans = [*folder.rglob("*.tfplan"), *folder.rglob("*.tfvars.json")]
        records = [path for path in (self.paths.record, self.paths.ledger) if path.exists()]
        return [
            here.files("in-state", "states and copies", [p for p in states if p.is_file()]),
            here.files("in-plan", "plans and variables", plans),
            here.files("in-record", "records, outputs included", records),
            *([question("secret", self._shared)] if self.spec.aws.state == "s3" else []),
            question("secret", self._known),
            question("secret", self._user_data),
            question("secret", self._console),
            *here.everywhere(),
            *([question("secret", self._on_machine)] if self.ask_machine else []),
        ]

    @property
    def _server(self) -> ServerOutput:
        if self.outputs.server is None:
            raise MissingError("the stack has no machine", next_step="provision up makes it")
        return self.outputs.server

    @property
    def _store(self) -> DatabaseOutput:
        if self.outputs.database is None:
            raise MissingError("the stack has no database", next_step="provision up makes it")
        return self.outputs.database

    def _machine(self) -> Mapping[str, Any]:
        return inspection.machine(self.opening.cloud, self._server.instance_id)

    def _groups(self) -> list[str]:
        return [group["GroupId"] for group in self._machine()["SecurityGroups"]]

    def _known(self) -> Verdict:
        """What is searched for: a secret that may not be read cannot be found anywhere."""
        wanted = ["database", *(["login"] if self.ask_machine else [])]
        known = self.search.secrets
        unread = [kind for kind in wanted if not any(name.startswith(kind) for name in known)]
        if unread:
            why = f"these credentials may not read the secret of: {', '.join(unread)}"
            return Verdict(why, UNKNOWN, {"why": why})
        return Verdict(f"searched for: {', '.join(sorted(known))}")

    def _shared(self) -> Verdict:
        """The state in the bucket, as it is now."""
        name, key = self.spec.aws.state_name, f"{self.spec.name}/terraform.tfstate"
        state = read_shared(self.opening.cloud, self.opening.me, name, key)
        hits = {key: self.search.in_text(json.dumps(state, ensure_ascii=False))}
        return leak("in-state", "the shared state", hits)

    def _user_data(self) -> Verdict:
        text = inspection.user_data(self.opening.cloud, self._server.instance_id)
        hits = {self._server.instance_id: self.search.in_text(text)}
        return leak("in-user-data", f"{len(text)} characters of user data", hits)

    def _console(self) -> Verdict:
        lines = read_console(self.opening.cloud, self._server.instance_id, _CONSOLE_LINES)
        hits = {"the machine's console": self.search.in_text("\n".join(lines))}
        return leak("in-log", f"{len(lines)} lines of the console", hits)

    def _on_machine(self) -> Verdict:
        """The machine's own secrets, in its command lines, environments and logs."""
        if self.ask_machine is None:
            return Verdict("no machine boots")
        answer = self.ask_machine([_SCRIPT.format(files=" ".join(_ON_HOST), passfile=_PASSFILE)])
        found = sorted(set(answer.out.split()))
        for where, sign in (("in-arguments", "cmdline"), ("in-environment", "environ")):
            places = [place for place in found if place.endswith(sign)]
            if places:
                return leak(where, "", {f"{p} on the machine": ["its own"] for p in places})
        hits = {f"{place} on the machine": ["its own"] for place in found}
        return leak("in-log", "command lines, environments and logs of the machine", hits)

    def _ways_in(self) -> Verdict:
        rules = inspection.ways_in(self.opening.cloud, self._groups())
        accounts = self.spec.access.auth == "basic"
        return exposure.of_machine(rules, self.spec.aws.ingress, accounts=accounts)

    def _database_groups(self) -> list[str]:
        found = inspection.database(self.opening.cloud, self._store.identifier)
        return [group["VpcSecurityGroupId"] for group in found["VpcSecurityGroups"]]

    def _database(self) -> Verdict:
        found = inspection.database(self.opening.cloud, self._store.identifier)
        rules = inspection.ways_in(self.opening.cloud, self._database_groups())
        return exposure.of_database(rules, self._groups(), public=found["PubliclyAccessible"])

    @property
    def _bucket_name(self) -> str:
        if self.outputs.artifacts is None:
            raise MissingError("the stack has no bucket", next_step="provision up makes it")
        return self.outputs.artifacts.bucket

    def _bucket(self) -> Verdict:
        gaps = inspection.open_to_public(self.opening.cloud, self._bucket_name)
        if gaps:
            return Verdict(
                f"{len(gaps)} of 4 are off", "exposure.bucket", {"open": ", ".join(gaps)}
            )
        return Verdict("no public access to the bucket")

    def _metadata(self) -> Verdict:
        options = self._machine().get("MetadataOptions", {})
        tokens, hops = options.get("HttpTokens"), options.get("HttpPutResponseHopLimit")
        if (tokens, hops) != _IMDS:
            how = f"tokens are {tokens}, {hops} hops"
            return Verdict(how, "exposure.metadata", {"how": how})
        return Verdict("IMDSv2, one hop")

    def _role(self) -> Verdict:
        cloud, me = self.opening.cloud, self.opening.me
        role = inspection.role_of(cloud, self._machine()["IamInstanceProfile"]["Arn"])
        if self.spec.aws.instance_profile is not None:
            return Verdict(role, "role.not-ours", {"role": role})
        own, attached = inspection.policies_of(cloud, role)
        wanted = Wanted.of(self.spec, me.account, me.region)
        meant = role_policy.expected(wanted, me.account, me.partition, self.spec.aws.kms_key)
        managed = role_policy.MANAGED.format(partition=me.partition)
        ending = self._rights_at_end(wanted)
        known = {role_policy.OWN, *([role_policy.ENDING] if ending else [])}
        other = [*sorted(set(own) - known), *sorted(set(attached) - {managed})]
        if other:
            return Verdict(role, "role.other-policy", {"policies": ", ".join(other)})
        more = role_policy.too_much(own.get(role_policy.OWN, frozenset()), meant)
        more += role_policy.too_much(own.get(role_policy.ENDING, frozenset()), ending)
        if more:
            return Verdict(role, "role.more-than-needed", {"rights": ", ".join(more)})
        seen = f"{role}: {len(meant)} rights, and Session Manager's"
        services = {right.action.partition(":")[0] for right in meant | ending}
        return role_use(cloud, role, f"arn:{me.partition}:iam::{me.account}:role/{role}",
                        services, seen)  # fmt: skip

    def _rights_at_end(self, wanted: Wanted) -> frozenset[role_policy.Right]:
        """Those with which the machine says that it is archived; none where the stack stays."""
        lifetime, me = self.spec.lifetime, self.opening.me
        if lifetime.at_end != "teardown":
            return frozenset()
        instance, day = str(self._machine()["InstanceId"]), str(lifetime.until)
        return role_policy.expected_at_end(wanted, me.account, me.partition, instance, day)

    def _encrypted(self) -> Verdict:
        cloud = self.opening.cloud
        missing = inspection.unencrypted_disks(cloud, self._server.instance_id)
        if not inspection.database(cloud, self._store.identifier)["StorageEncrypted"]:
            missing.append("the database")
        if not inspection.bucket_is_encrypted(cloud, self._bucket_name):
            missing.append("the bucket")
        if missing:
            what = ", ".join(missing)
            return Verdict(f"not: {what}", "encryption.missing", {"what": what})
        return Verdict("disk, database and bucket")

    def _plain(self) -> Verdict:
        cloud, taken = self.opening.cloud, []
        database = inspection.database(cloud, self._store.identifier)
        group = database["DBParameterGroups"][0]["DBParameterGroupName"]
        if not inspection.forces_tls(cloud, group):
            taken.append("the database")
        if not inspection.bucket_wants_tls(cloud, self._bucket_name):
            taken.append("the bucket")
        if taken:
            what = ", ".join(taken)
            return Verdict(what, "encryption.plain-allowed", {"what": what})
        return Verdict("database and bucket take TLS alone")

    def _tls(self) -> Verdict:
        return tls_verdict(self._server.public_ip, exposure.HTTPS)


def role_use(cloud: Cloud, role: str, arn: str, services: Collection[str], seen: str) -> Verdict:
    """Whether a role that is over a month old has used the `services` that it may use."""
    days = age_in_days(cloud, role)
    unused = unused_services(cloud, arn) if days > _MONTH_DAYS else []
    if unused is None:
        return Verdict(f"{seen}; IAM does not tell what was used")
    never = sorted(set(unused) & set(services))
    if never:
        facts = {"days": str(days), "services": ", ".join(never)}
        return Verdict(f"never used: {facts['services']}", "role.unused", facts)
    return Verdict(seen)


def tls_verdict(host: str, port: int) -> Verdict:
    """Which versions of TLS a server takes, tried with real handshakes."""
    address = f"{host}:{port}"
    try:
        old, new = tls_floor.versions(host, port)
    except (OSError, ProvisionError) as error:
        return Verdict(str(error), "tls-floor.no-handshake", {"address": address})
    if old:
        return Verdict(
            ", ".join([*old, *new]), "tls-floor.old-accepted", {"versions": ", ".join(old)}
        )
    if not new:
        return Verdict("no handshake", "tls-floor.no-handshake", {"address": address})
    return Verdict(f"{' and '.join(new)} alone")
