"""Rules between settings of the spec: which of them go together."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from provision.model import aws_rules, lifetime_rules
from provision.model.complaints import Complaint, Path
from provision.model.rule import Rule

if TYPE_CHECKING:
    from provision.model.spec import Spec

_TARGET: Final = ("target",)
_SCENARIO: Final = ("scenario",)
_ENGINE: Final = ("database", "engine")
_FOLDER: Final = ("artifacts", "path")
_LISTEN: Final = ("access", "listen")
_MODE: Final = ("artifacts", "mode")
_DOMAIN: Final = ("access", "domain")
_IN_AN_ACCOUNT: Final = ("aws", "rehearsal")
_AUTH: Final = ("access", "auth")
_OTHERS: Final = ("access", "others")


def _no_server(path: Path, what: str, broken: Callable[[Spec], bool]) -> Rule:
    """A rule of `scenario: none`, which has no process that could do otherwise."""
    setting = path[-1]

    def check(spec: Spec) -> Complaint | None:
        if spec.scenario != "none" or not broken(spec):
            return None
        message = f"`scenario: none` has no server: it goes with `{setting}: {what}` only"
        return Complaint(path, message, f"write `{setting}: {what}`, or `scenario: server`")

    return Rule(
        f"`scenario: none` goes with `{setting}: {what}` only: there is no server.",
        (_SCENARIO, path),
        check,
    )


def _listening_needs_auth(spec: Spec) -> Complaint | None:
    access = spec.access
    settled = "auth" in access.model_fields_set or access.auth == "basic"
    if spec.scenario == "none" or access.is_loopback or settled:
        return None
    message = f"{access.listen} lets other machines in, and `auth` does not say who may use it"
    hint = (
        "write `auth: basic` under `access` for accounts with passwords, or `auth: none` if "
        "everyone who reaches the server may read, change and delete everything"
    )
    return Complaint(_LISTEN, message, hint)


def _others_need_accounts(spec: Spec) -> Complaint | None:
    if spec.access.others == "read" or spec.access.auth == "basic":
        return None
    message = "without accounts nobody can be told from anybody else"
    return Complaint(_OTHERS, message, "write `auth: basic` under `access`, or remove the line")


def _engine_suits_target(spec: Spec) -> Complaint | None:
    if spec.target == "local" or spec.database.engine == "postgres" or spec.scenario == "none":
        return None
    message = f"the target `{spec.target}` keeps its data in a database server, not in `sqlite`"
    hint = "write `engine: postgres`, or remove the line: it is the default there"
    return Complaint(_ENGINE, message, hint)


def _folder_is_local(spec: Spec) -> Complaint | None:
    if spec.target == "local" or spec.artifacts.path is None:
        return None
    message = f"the target `{spec.target}` has an artifact store of its own"
    return Complaint(_FOLDER, message, "remove the line: a folder is for the target `local`")


def _store_is_apart(spec: Spec) -> Complaint | None:
    if spec.target in _IN_AN_ACCOUNT or spec.artifacts.mode == "proxied":
        return None
    message = f"on the target `{spec.target}` files lie beside the server, which alone reaches them"
    return Complaint(_MODE, message, "remove the line")


def _domain_has_an_address(spec: Spec) -> Complaint | None:
    if spec.target in _IN_AN_ACCOUNT or spec.access.domain is None:
        return None
    message = f"the target `{spec.target}` has no address of its own that a name could lead to"
    return Complaint(_DOMAIN, message, "list the names that clients use under `allowed_hosts`")


def _basic_is_written(spec: Spec) -> bool:
    return spec.access.auth == "basic" and "auth" in spec.access.model_fields_set


def _postgres_is_written(spec: Spec) -> bool:
    database = spec.database
    return database.engine == "postgres" and "engine" in database.model_fields_set


RULES: Final = (
    _no_server(_TARGET, "local", lambda spec: spec.target != "local"),
    _no_server(_ENGINE, "sqlite", _postgres_is_written),
    _no_server(_AUTH, "none", _basic_is_written),
    _no_server(_LISTEN, "127.0.0.1", lambda spec: not spec.access.is_loopback),
    Rule(
        "Listening on more than this machine's own addresses asks for a written `auth`.",
        (_SCENARIO, _LISTEN, _AUTH),
        _listening_needs_auth,
    ),
    Rule("`others: none` needs accounts: `auth: basic`.", (_AUTH, _OTHERS), _others_need_accounts),
    Rule(
        "`engine: sqlite` goes with `target: local` only.",
        (_SCENARIO, _TARGET, _ENGINE),
        _engine_suits_target,
    ),
    Rule(
        "`artifacts.path` goes with `target: local` only.",
        (_TARGET, _FOLDER),
        _folder_is_local,
    ),
    Rule(
        "`artifacts.mode: direct` goes with `target: aws` or `rehearsal` only.",
        (_TARGET, _MODE),
        _store_is_apart,
    ),
    Rule(
        "`access.domain` goes with `target: aws` or `rehearsal` only.",
        (_TARGET, _DOMAIN),
        _domain_has_an_address,
    ),
    *aws_rules.RULES,
    *lifetime_rules.RULES,
)
