"""The texts of `provision init`: a commented spec for each rung of the ladder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Rung = Literal["none", "local", "team", "compose", "aws", "rehearsal"]

SCHEMA_FILE: Final = ".provision/schema.json"
EDITOR_HEADER: Final = f"# yaml-language-server: $schema=./{SCHEMA_FILE}\n"

_WITH_SERVER: Final = ("local", "team", "compose", "aws", "rehearsal")
_SHARED: Final = ("team", "compose", "aws", "rehearsal")


@dataclass(frozen=True)
class InitAnswers:
    """What `init` was told. None takes the default; only `rung` is always chosen.

    `until` is an ISO date; `port` a TCP port; `auth` is `none` or `basic`; `region` one of AWS.
    """

    rung: Rung = "local"
    name: str | None = None
    port: int | None = None
    auth: str | None = None
    until: str | None = None
    region: str | None = None


@dataclass(frozen=True)
class Question:
    """One question of `init`: `id` is a field of InitAnswers, no `choices` means free text.

    An empty `default` is an answer too: it leaves the setting out. Asked for `rungs` only.
    """

    id: str
    text: str
    choices: tuple[str, ...]
    default: str
    help: str
    rungs: tuple[str, ...]


QUESTIONS: Final = (
    Question(
        "rung",
        "Where should MLflow run?",
        ("none", "local", "team", "compose", "aws", "rehearsal"),
        "local",
        "none: no server, files on this machine; local: a server for you on this machine; "
        "team: a server on this machine for your network; compose: containers on this machine; "
        "aws: a server in an AWS account; rehearsal: AWS emulated on this machine",
        ("none", *_WITH_SERVER),
    ),
    Question(
        "name",
        "What is the stack called? (empty: after this folder)",
        (),
        "",
        "2 to 32 lower-case letters, digits and dashes",
        ("none", *_WITH_SERVER),
    ),
    Question(
        "port",
        "On which port does the server listen?",
        (),
        "5000",
        "macOS uses 5000 itself (AirPlay receiver): take another one there",
        ("local", "team", "compose"),
    ),
    Question(
        "auth",
        "Do clients need an account?",
        ("basic", "none"),
        "basic",
        "basic: accounts with passwords; none: whoever reaches the server may read, change and "
        "delete everything",
        _SHARED,
    ),
    Question(
        "region",
        "In which AWS region? (such as eu-west-1, empty: as your AWS settings say)",
        (),
        "",
        "take the one nearest to your users; a stack stays where it was made",
        ("aws", "rehearsal"),
    ),
    Question(
        "until",
        "Until which day is it needed? (YYYY-MM-DD, empty: without end)",
        (),
        "",
        "after this day the stack counts as forgotten, and costs are pointed out",
        ("aws", "rehearsal"),
    ),
)

_INTRO: Final = {
    "none": "No server: MLflow clients on this machine use an SQLite file and a folder.\n"
    "# To serve them later, write `scenario: server` and run `provision up`.",
    "local": "A durable MLflow server on this machine, for yourself.",
    "team": "An MLflow server on this machine for a team, with PostgreSQL behind it.",
    "compose": "An MLflow server and its database in containers on this machine.",
    "aws": "An MLflow server in an AWS account.",
    "rehearsal": "What `target: aws` would build, emulated on this machine, free of charge.",
}

_HEAD: Final = """\
# {intro}
# Lines that are commented out show a default or an example.

# Name of the stack; without it, the name follows from this folder.
{name}
"""

_NONE: Final = """
# Without a server (the other choice is `server`).
scenario: none

artifacts:
  # Folder for models, plots and other files, relative to this file.
  # path: artifacts
"""

_LOCAL: Final = """
# Where the stack runs: on this machine.
target: local

server:
  # TCP port of the tracking server.
  port: {port}
  # What the server may use; `auto` follows from this machine's memory and cores.
  # memory: 1GiB
  # workers: auto

database:
  # An SQLite file; `postgres` runs a private PostgreSQL instead.
  engine: sqlite

artifacts:
  # Folder for models, plots and other files, relative to this file.
  # path: artifacts
"""

_TEAM: Final = """
# Where the stack runs: on this machine.
target: local

server:
  # TCP port of the tracking server.
  port: {port}
  # What the server may use; `auto` follows from this machine's memory and cores.
  # memory: 2GiB

database:
  # A private PostgreSQL, which takes many writers at a time.
  engine: postgres

access:
  # Let other machines in; `127.0.0.1` would admit this one alone.
  listen: 0.0.0.0
  # Who may use it: `basic` asks for an account, `none` asks nothing.
  auth: {auth}
  # Further names that clients use in the URL.
  # allowed_hosts: ["mlflow.lab.example"]
"""

_COMPOSE: Final = """
# Where the stack runs: in containers on this machine, with a PostgreSQL.
target: compose

server:
  # TCP port of the tracking server.
  port: {port}

access:
  # Who may use it: `basic` asks for an account, `none` asks nothing.
  auth: {auth}
  # Let other machines in; the default admits this one alone.
  # listen: 0.0.0.0
  # Further names that clients use in the URL.
  # allowed_hosts: ["mlflow.lab.example"]
"""

_CLOUD: Final = """
# {where}
target: {target}

aws:
  # Without it, the region follows from your AWS settings.
{region}
  # `course` is cheap and gone in one go; `team` adds a standby, protection and longer backups.
  profile: course
  # The networks of your users (not the whole internet); without any, a tunnel leads in.
  # ingress: [203.0.113.0/24]
  # `s3` keeps the record of what was made in a bucket: others manage the stack too.
  # state: local
  # Where roles may not be made (AWS Academy):
  # instance_profile: LabInstanceProfile
  # `bundled` brings MLflow through the stack's bucket, where no package index can be reached.
  # packages: index
  settings:
    # Single settings that differ from the profile's.
    # instance_type: t3.medium

access:
  # Who may use it: `basic` asks for an account, `none` asks nothing.
  auth: {auth}
  # A name of yours that leads to the server's address.
  # domain: mlflow.lab.example

lifetime:
  # Last day on which the stack is needed, and who is told when something is wrong.
{until}
  # alarm_email: ml-team@example.com

# Labels on every resource, for whoever reads the bill.
tags:
  # team: churn
"""

# Valid names that YAML (1.2 or 1.1, which other tools still read) takes for something else.
_NOT_TEXT: Final = frozenset(("null", "true", "false", "yes", "no", "on", "off"))

_BODY: Final = {
    "none": _NONE,
    "local": _LOCAL,
    "team": _TEAM,
    "compose": _COMPOSE,
    "aws": _CLOUD,
    "rehearsal": _CLOUD,
}
_WHERE: Final = {
    "aws": "Where the stack runs: in the AWS account that your credentials belong to.",
    "rehearsal": "Where the stack runs: in an emulated AWS account; `aws` is the real one.",
}


def _scalar(name: str) -> str:
    return f'"{name}"' if name in _NOT_TEXT else name


def spec_text(answers: InitAnswers) -> str:
    """The commented spec for `answers`, taken as they are: whoever asked has checked them."""
    name = f"name: {_scalar(answers.name)}" if answers.name else "# name: churn-course"
    until = f"  until: {answers.until}" if answers.until else "  # until: 2030-01-31"
    region = f"  region: {answers.region}" if answers.region else "  # region: eu-west-1"
    body = _BODY[answers.rung].format(
        port=answers.port or 5000,
        auth=answers.auth or "basic",
        until=until,
        region=region,
        target=answers.rung,
        where=_WHERE.get(answers.rung, ""),
    )
    return EDITOR_HEADER + _HEAD.format(intro=_INTRO[answers.rung], name=name) + body
