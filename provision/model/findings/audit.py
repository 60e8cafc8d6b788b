"""What `provision audit` can find: secrets in the wrong place, open doors, rights too many."""

from __future__ import annotations

from typing import Final

from provision.model.problem import Layer, Problem
from provision.model.report import Outcome, Severity

LAYERS: Final = (
    Layer("secret", "No secret is where others read"),
    Layer("files", "Private files are private"),
    Layer("cve", "The server has no known hole"),
    Layer("exposure", "Only who should can reach it"),
    Layer("role", "The machine may do no more than it must"),
    Layer("encryption", "Everything is encrypted"),
    Layer("tls-floor", "Old TLS is refused"),
    Layer("audit", "Everything could be looked at"),
)
_REPLACE: Final = (
    "Take it out of there, and replace the secret, as somebody may have read it: new passwords of "
    "people come from `provision users`, RDS changes the database's own in Secrets Manager "
    "(Rotate), and what is left comes new with an empty stack."
)


def _leak(place: str, where: str, severity: Severity = Severity.CRITICAL) -> Problem:
    cause = f"A secret of the stack ({{secrets}}) stands in {where}: {{places}}."
    return Problem(f"secret.{place}", cause, _REPLACE, severity=severity)


PROBLEMS: Final = (
    _leak("in-state", "Terraform's state or a copy of it, which others may share"),
    _leak("in-plan", "a saved plan of Terraform's"),
    _leak("in-user-data", "the machine's user data, which every process on it can read"),
    _leak("in-arguments", "a command line, which every user of that machine can read"),
    _leak("in-environment", "a process' environment, which its children inherit", Severity.HIGH),
    _leak("in-log", "a log", Severity.HIGH),
    _leak("in-record", "a record of ours or in Terraform's outputs, which have no need of it"),
    _leak("in-git", "the git repository around the spec, in a file or in its history"),
    Problem(
        "files.open-mode",
        "Other users of this machine can read what is private: {files}.",
        "Run `provision audit --fix`, which takes their rights away (mode 0600, folders 0700).",
    ),
    Problem(
        "cve.critical",
        "MLflow {version}, which the server runs, has holes that are known and critical: {cves}.",
        "Upgrade: install the newest provision, then `provision up`.",
        severity=Severity.CRITICAL,
    ),
    Problem(
        "cve.known",
        "MLflow {version}, which the server runs, has holes that are known: {cves}.",
        "Upgrade: install the newest provision, then `provision up`.",
    ),
    Problem(
        "cve.table-old",
        "The table of known holes in this provision is of {date}, over half a year old.",
        "Install the newest provision, and look at "
        "https://github.com/mlflow/mlflow/security/advisories yourself.",
        Outcome.WARNING,
        Severity.LOW,
    ),
    Problem(
        "exposure.no-accounts",
        "Whoever reaches the server ({reach}) may read, change and delete everything in it.",
        "Set `auth: basic` under `access` in provision.yaml, then `provision up`.",
        severity=Severity.CRITICAL,
    ),
    Problem(
        "exposure.passwords-in-clear",
        "The server listens beyond this machine ({reach}) with accounts but without TLS: passwords "
        "cross the network as they are.",
        "Use a network that you trust, or put a proxy with a certificate in front and let the "
        "server listen on 127.0.0.1.",
        Outcome.WARNING,
        Severity.MEDIUM,
    ),
    Problem(
        "exposure.world-open",
        "The whole internet may reach the server's port {port}; only accounts keep it out.",
        "Name your own networks as `ingress` under `aws`, or none and use `provision tunnel`.",
        Outcome.WARNING,
        Severity.MEDIUM,
    ),
    Problem(
        "exposure.other-way-in",
        "The machine's security groups let more in than the spec says: {rules}.",
        "Run `provision audit --fix`, which takes out of them what somebody else put in. Terraform "
        "does not see a rule that it did not make.",
    ),
    Problem(
        "exposure.database",
        "The database can be reached by others than the server: {how}.",
        "Run `provision audit --fix`, which takes rules of somebody else out of its security "
        "group, and `provision up`, which takes a public address back.",
        severity=Severity.CRITICAL,
    ),
    Problem(
        "exposure.bucket",
        "The bucket's block against public access is not whole: {open}.",
        "Run `provision up`, which closes it again.",
        severity=Severity.CRITICAL,
    ),
    Problem(
        "exposure.metadata",
        "The machine gives its role's credentials to whoever makes it send a plain request, or to "
        "containers: {how}.",
        "Run `provision up`, which asks for IMDSv2 with one hop again.",
    ),
    Problem(
        "role.more-than-needed",
        "The machine's role may do more than the server needs: {rights}.",
        "Run `provision plan`, which shows what somebody else changed, and `provision up`, which "
        "takes it back.",
    ),
    Problem(
        "role.other-policy",
        "Policies were added to the machine's role that the stack does not have: {policies}.",
        "Detach them in IAM: `aws iam detach-role-policy` (or `delete-role-policy`).",
    ),
    Problem(
        "role.unused",
        "The machine's role may use services that it has not used in all the {days} days since "
        "it was made: {services}.",
        "Look at the last uses in IAM (Roles, Last accessed); a server that is used at all uses "
        "all of its rights, so the stack may not be needed any more.",
        Outcome.WARNING,
        Severity.LOW,
    ),
    Problem(
        "role.not-ours",
        "The machine has a role that was there before ({role}); what it may do is the account's "
        "decision and not judged here.",
        "Where the account allows it, remove `instance_profile` under `aws`: `up` then makes a "
        "role with the least rights.",
        Outcome.WARNING,
        Severity.LOW,
    ),
    Problem(
        "encryption.missing",
        "Not encrypted: {what}.",
        "What is on a disk cannot be encrypted afterwards: `provision archive`, a new stack with "
        "this spec, `provision restore`.",
    ),
    Problem(
        "encryption.plain-allowed",
        "Connections without TLS are taken by: {what}.",
        "Run `provision up`, which sets it back.",
    ),
    Problem(
        "tls-floor.old-accepted",
        "The server speaks {versions}, which have known weaknesses (RFC 8996).",
        "Run `provision repair`; if a proxy of yours stands in front, set its lowest version to "
        "TLS 1.2.",
    ),
    Problem(
        "tls-floor.no-handshake",
        "No TLS connection to {address} came about, so its versions are not known.",
        "Run `provision check`, which says why.",
        Outcome.WARNING,
        Severity.LOW,
    ),
    Problem(
        "audit.not-known",
        "This could not be looked at: {why}.",
        "Run `provision audit` again once that is mended.",
        Outcome.WARNING,
        Severity.LOW,
    ),
)
