"""The database: waited for, with a role of the server's own, and MLflow's tables in it.

The admin's password, which RDS renews each week, is used only to make the role; the server never
sees it. The role's own password is on this machine alone.
"""

from __future__ import annotations

import json
import ssl
from typing import Final

from provision.host import files
from provision.host.aws import DatabaseFacts
from provision.host.failures import HostError
from provision.host.phases.bundle import code_folder
from provision.host.phases.environment import environment_folder
from provision.host.role_program import Answer, RoleProgram
from provision.host.run import Host, Step
from provision.host.server_state import local_server, write_server_file

RDS_BUNDLE: Final = "https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem"
RDS_BUNDLE_CHINA: Final = (
    "https://rds-truststore.s3.cn-north-1.amazonaws.com.cn/global/global-bundle.pem"
)
_CREATION_SECONDS: Final = 3600.0
_ANSWER_SECONDS: Final = 900.0
_OTHERS_SECONDS: Final = 240.0
_ADMIN_SECONDS: Final = 300.0
_ENDED: Final = ("deleting", "failed", "incompatible-restore", "incompatible-network")


def run(host: Host, step: Step) -> None:
    """Wait for the database, make role and tables."""
    facts = _found(host, step)
    _authorities(host, step)
    program = RoleProgram(host, facts.address, facts.port)
    _answers(host, step, program)
    _own_role(host, step, program, facts)
    _tables(host, step, facts)
    step.detail(f"{facts.address}, as the role mlflow, with verified TLS")


def _found(host: Host, step: Step) -> DatabaseFacts:
    known: list[DatabaseFacts] = []

    def look() -> None:
        facts = host.aws.database(host.settings.database_identifier)
        status = facts.status if facts else "not there"
        if facts is None or not facts.address or not facts.secret:
            raise _not_ready(host.settings.database_identifier, status)
        known.append(facts)

    host.patiently(look, _CREATION_SECONDS, ["database-not-ready", "aws-unreachable"], step)
    return known[-1]


def _not_ready(identifier: str, status: str) -> HostError:
    # What has ended will not come by waiting, so it has a code of its own.
    return HostError(
        "database-gone" if status in _ENDED else "database-not-ready",
        f"the database {identifier} has no address yet; RDS calls it {status}",
        next_step="look at it with `provision status`; creating one takes RDS five to fifteen "
        "minutes, and one that was stopped has to be started",
    )


def _authorities(host: Host, step: Step) -> None:
    """The authorities that RDS's certificates come from, for `verify-full`."""
    path = host.places.database_ca
    local = files.read(host.places.bundle / "rds-ca.pem")
    if local or not path.exists():
        host.patiently(lambda: _keep_authorities(host, step, local), 300.0, ["rds-ca-away"], step)


def _keep_authorities(host: Host, step: Step, text: str) -> None:
    if not text:
        china = host.settings.region.startswith("cn-")
        text = _download(host, RDS_BUNDLE_CHINA if china else RDS_BUNDLE)
    try:
        ssl.create_default_context(cadata=text)
    except (ssl.SSLError, ValueError) as error:
        raise _no_authorities(f"what came is no list of certificates: {error}") from error
    if files.write(host.places.database_ca, text):
        step.changed("the certificate authorities of RDS")


def _download(host: Host, url: str) -> str:
    try:
        return host.commands.run(
            "curl", "-q", "--silent", "--show-error", "--fail", "--max-time", "60", url
        )
    except HostError as error:
        raise _no_authorities(error.message) from error


def _no_authorities(why: str) -> HostError:
    return HostError(
        "rds-ca-away",
        f"the certificate authorities of RDS could not be fetched: {why}",
        next_step=f"let the machine reach {RDS_BUNDLE}, or set `packages: bundled` in the spec",
    )


def _answers(host: Host, step: Step, program: RoleProgram) -> None:
    """Wait until the database talks at all; a refused password is an answer too."""

    def look() -> None:
        answer = program.look()
        if answer.problem and not (answer.refused or answer.lacks_database):
            raise unreachable(answer.problem)

    host.patiently(look, _ANSWER_SECONDS, ["database-unreachable"], step)


def unreachable(problem: str) -> HostError:
    """The error for a database that does not talk, with what its silence usually means."""
    hints = (
        ("timeout", "packets to it are dropped: the security groups of server and database must "
         "allow port 5432 between them (`provision up` puts them back)"),
        ("could not translate", "its name is unknown here: switch on DNS support in the network"),
        ("certificate", "its certificate is not one of RDS's: the machine's clock may be off, or "
         "another server answers under its address"),
        ("refused", "nothing listens there: it may be restarting; look with `provision status`"),
    )  # fmt: skip
    fallback = "look at the database with `provision status`; the machine tries again every minute"
    next_step = next((hint for words, hint in hints if words in problem), fallback)
    return HostError(
        "database-unreachable",
        f"the database does not answer: {problem}",
        next_step=next_step,
        command="a connection to the database",
        tail=[problem],
    )


def _own_role(host: Host, step: Step, program: RoleProgram, facts: DatabaseFacts) -> None:
    if program.recover():
        step.changed("the role's password, from a renewal that was cut off")
    answer = program.look()
    if not answer.problem:
        return
    host.patiently(
        lambda: _make(host, step, program, facts.secret), _OTHERS_SECONDS, ["second-host"], step
    )


def _make(host: Host, step: Step, program: RoleProgram, secret: str) -> None:
    made: list[Answer] = []

    def make() -> None:
        # Fetched at each attempt: the weekly renewal may happen right now.
        answer = program.make(_admin(host, secret))
        if answer.refused:
            raise _admin_refused(answer.problem)
        if answer.problem:
            raise _not_made(answer.problem)
        made.append(answer)

    host.patiently(make, _ADMIN_SECONDS, ["admin-refused"], step)
    if made[-1].others:
        raise second_host(made[-1].others)
    for what in made[-1].made:
        step.changed(what)


def _admin(host: Host, secret: str) -> dict[str, str]:
    text = host.aws.secret(secret)
    if text is None:
        raise _admin_refused("its secret has no value yet")
    raw = json.loads(text)
    return {"username": raw["username"], "password": raw["password"]}


def _admin_refused(why: str) -> HostError:
    return HostError(
        "admin-refused",
        f"the database refuses its admin's managed password: {why}",
        next_step="if it was changed by hand, let RDS renew it: `aws rds modify-db-instance "
        "--rotate-master-user-password --apply-immediately --db-instance-identifier NAME`",
    )


def _not_made(problem: str) -> HostError:
    return HostError(
        "database-failed",
        f"the server's role and database could not be made: {problem}",
        next_step="look at the database's log in RDS; the machine tries again every minute",
        command="making the server's role",
        tail=[problem],
    )


def second_host(others: tuple[str, ...]) -> HostError:
    """The error for a database that another machine works with."""
    return HostError(
        "second-host",
        f"another machine uses this database now: {', '.join(others)}",
        next_step="stop that machine, or give this stack another name; then this one takes over "
        "by itself within a minute",
    )


def _tables(host: Host, step: Step, facts: DatabaseFacts) -> None:
    """MLflow's tables; the server looks at them again at each start, so once is enough."""
    places = host.places
    mark, wanted = places.state / "prepared", _prepared(host, facts)
    if files.read(mark) == wanted:
        return
    server = local_server(host, facts.address, facts.port)
    write_server_file(host, server, places.settings / "prepare.json", report="prepare.boot.json")
    # As root: the server's user cannot write the bytecode that every start needs.
    command = [str(places.python), "-P", "-m", "provision.server.prepare"]
    try:
        host.commands.run(*command, str(places.settings / "prepare.json"), timeout=3600)
    except HostError as error:
        raise _prepare_failed(host, error) from error
    files.write(mark, wanted)
    step.changed("MLflow's tables were made or checked")


def _prepared(host: Host, facts: DatabaseFacts) -> str:
    """Changes with all that decides which tables there have to be, and which code reads them."""
    return f"{environment_folder(host)} {code_folder(host)} {facts.address}\n"


def _prepare_failed(host: Host, error: HostError) -> HostError:
    try:
        report = json.loads(files.read(host.places.state / "prepare.boot.json"))
        found = report["error"]
        return HostError(
            found["code"], found["message"], next_step=found["next_step"],
            command=error.command, tail=error.tail,
        )  # fmt: skip
    except (ValueError, KeyError, TypeError):
        return error
