"""Who gets in that should not: accounts, and doors that are open to the world."""

from __future__ import annotations

from typing import Final

from provision.model.problem import LOGS, Problem
from provision.model.report import Outcome, Severity

PROBLEMS: Final = (
    Problem(
        "accounts.open-to-the-world",
        "The server has a public address and lets everybody in: whoever finds it may read, change "
        "and delete every run, and such servers are found within hours.",
        "Set `auth: basic` under `access` in provision.yaml and run `provision up`; until then, "
        "let only your own networks in.",
        severity=Severity.CRITICAL,
        symptom="Unknown experiments or runs appear, or yours are gone (CVE-2023-1177 was found "
        "on such servers).",
    ),
    Problem(
        "accounts.open-to-the-network",
        "The server has no accounts, and whoever is in its network may read, change and delete "
        "every run.",
        "Where not everybody in that network is trusted: set `auth: basic` under `access` in "
        "provision.yaml and run `provision up`.",
        Outcome.WARNING,
        Severity.MEDIUM,
    ),
    Problem(
        "accounts.ignored",
        "This client has an account, but the server answers without one just as well: its accounts "
        "are off, or a proxy in front of it gives everybody its own.",
        "Run `provision up`, which starts the server with its accounts; in a proxy, do not set the "
        "header Authorization.",
        severity=Severity.CRITICAL,
    ),
    Problem(
        "accounts.default-password",
        "The administrator still has the password that MLflow was shipped with, which everybody "
        "knows.",
        "Change it now: `mlflow.server.auth.client.AuthServiceClient(URI)`, "
        '`update_user_password("admin", NEW, OLD)`. A server of `provision up` draws its own.',
        severity=Severity.CRITICAL,
        symptom="MLflow before 3.16.1 started with admin and password1234 (GHSA-gq3w-7jj3-x7gr); "
        "later ones refuse it to administrators.",
    ),
    Problem(
        "accounts.sign-up-open",
        "Whoever reaches the server may make an account for himself at /signup, and an account "
        "may read every experiment unless that is forbidden one by one.",
        "Upgrade MLflow (from 2.5 on, only an administrator may), and let no proxy add an "
        "account's header to /signup.",
        severity=Severity.CRITICAL,
    ),
    Problem(
        "accounts.failed",
        "The server answered the client, but not a stranger.",
        LOGS,
        Outcome.WARNING,
        Severity.MEDIUM,
    ),
    Problem(
        "outside.database-open",
        "The database accepts connections from outside its own network ({doors}).",
        "Run `provision audit --fix`, which takes rules of somebody else out of its security "
        "group, and `provision up`, which takes a public address back.",
        severity=Severity.CRITICAL,
    ),
    Problem(
        "outside.bucket-open",
        "The bucket with the artifacts shows itself to the whole world ({doors}).",
        "Run `provision up`, which puts its public access block back; then look in its access log "
        "for who has read it.",
        severity=Severity.CRITICAL,
    ),
    Problem(
        "outside.port-open",
        "The machine answers on a port that nobody needs from outside ({doors}).",
        "Run `provision audit --fix`, which takes rules that are not in the spec out of its "
        "security groups. `provision ssh` needs no open port.",
        Outcome.WARNING,
        Severity.MEDIUM,
    ),
)
