"""A client's way through everything: its host name, TLS, accounts, database and artifact store."""

from __future__ import annotations

import json
import re
from typing import Any, Final

from provision.host import files
from provision.host.failures import HostError
from provision.host.loader import Failed, Options, curl
from provision.host.machine import own_address
from provision.host.phases.environment import forget_older
from provision.host.run import Host, Step
from provision.host.server_file import ADMIN, names, netloc

STATUS: Final = "/provision/status"
_PATIENCE_SECONDS: Final = 120.0
# With packets to the database lost, its open connections give up after half a minute.
_ANSWER_SECONDS: Final = 60.0
_DENIED: Final = ("AccessDenied", "Access Denied", "not authorized to perform")
_TRANSIENT: Final = ("not-ready", "database-unreachable", "artifacts-unreachable")


def run(host: Host, step: Step) -> None:
    """Ask as a client does; then nobody needs what older bundles left."""
    said: list[str] = []

    def attempt() -> None:
        said.append(ask(host))

    host.patiently(attempt, _PATIENCE_SECONDS, _TRANSIENT, step)
    forget_older(host)
    step.detail(said[-1])


def ask(host: Host) -> str:
    """What a client meets now. Raises HostError for what does not work."""
    milliseconds = _status(host)["database"]["milliseconds"]
    _doors(host)
    return f"{address(host)}: database in {milliseconds} ms, artifact store reached"


def address(host: Host) -> str:
    """The tracking URI."""
    return f"https://{netloc(names(host.settings)[0])}"


def _status(host: Host) -> dict[str, Any]:
    try:
        document = json.loads(_get(host, STATUS, signed_in=True))
    except Failed as error:
        document = _document(error)
    problem = document["database"]["error"]
    if problem:
        raise _unreachable("database", problem)
    problem = document["artifacts"]["error"]
    if problem:
        raise _unreachable("artifacts", problem)
    return dict(document)


def _document(error: Failed) -> Any:
    if error.status == 503 and (told := _told(error.text)):
        return told
    if error.status == 401:
        raise HostError(
            "admin-refused-by-server",
            "the server does not accept the admin's password that Secrets Manager holds",
            next_step="put the admin's present password into the secret, then `provision repair`",
        ) from error
    raise HostError(
        "not-ready",
        f"a client's request does not come through: {error}",
        next_step="`provision logs` shows what server and proxy say; the machine tries again "
        "every minute",
        command=f"GET {STATUS}",
        tail=error.text.splitlines()[-5:],
    ) from error


def _told(text: str) -> dict[str, Any]:
    """The server's word on itself; nothing for an answer of somebody else."""
    try:
        found = dict(json.loads(text))
    except (ValueError, TypeError):
        return {}
    if "error_code" in found:
        # With accounts, a database that is away is met before the question about it is.
        return {"database": {"error": found.get("message")}}
    return found


def _unreachable(what: str, problem: str) -> HostError:
    if any(word in problem for word in _DENIED):
        missing = re.search(r"not authorized to perform:? (\w+:\w+)", problem)
        action = missing[1] if missing else "s3:ListBucket"
        return HostError(
            "access-denied",
            f"the machine's role lacks the right {action}: {problem}",
            next_step=f"allow {action} in the role's policy, and look for a Deny in the account's "
            "policies; `provision up` puts the kit's own policy back",
        )
    return HostError(
        f"{what}-unreachable",
        f"the server does not reach its {'database' if what == 'database' else 'artifact store'}: "
        f"{problem}",
        next_step="look at it with `provision status`; the machine tries again every minute",
    )


def _doors(host: Host) -> None:
    """What must stay shut: strangers' names, and with accounts on, whoever has none."""
    _refused(host, 403, "names that it does not know", [("header", "Host: stranger.example")])
    if host.settings.auth == "basic":
        _refused(host, 401, "clients without a password", [])


def _refused(host: Host, wanted: int, whom: str, options: Options) -> None:
    path = "/api/2.0/mlflow/experiments/search?max_results=1"
    try:
        _get(host, path, more=options)
    except Failed as error:
        if error.status == wanted:
            return
    raise HostError(
        "door-open",
        f"the server does not refuse {whom}",
        next_step="take it off the network (`provision down`, or no ingress CIDRs) and report this",
    )


def _get(host: Host, path: str, *, signed_in: bool = False, more: Options | None = None) -> str:
    """A request as a client on this machine would send it, to the proxy's own address."""
    options: Options = [
        ("url", address(host) + path),
        ("connect-to", f"::{host.aws.front or f'{own_address()}:443'}"),
        ("noproxy", "*"),
        *(more or []),
    ]
    if not host.settings.domain:
        options.append(("cacert", str(host.places.public_ca)))
    if signed_in and host.settings.auth == "basic":
        options.append(("user", f"{ADMIN}:{files.read(host.places.admin_password).strip()}"))
    return curl(options, f"GET {path}", _ANSWER_SECONDS).decode()
