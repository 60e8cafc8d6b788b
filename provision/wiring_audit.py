"""The composition root of the audit."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from provision import wiring
from provision._version import __version__
from provision.adapters import packages, workspace
from provision.adapters.cloud.identity import identity_of
from provision.adapters.cloud.session import Cloud
from provision.adapters.searching import Search, close_to_others, open_to_others
from provision.app.audit import AuditResult, about_holes, about_listening, audit_result
from provision.app.questions import ask
from provision.errors import MissingError
from provision.model.findings import PROBLEMS
from provision.model.findings.audit import LAYERS
from provision.model.holes import Holes
from provision.model.outputs import Outputs
from provision.model.questions import Question
from provision.model.report import Finding
from provision.model.sarif import sarif
from provision.model.status import Security
from provision.targets import account_audit, last_audit, local_audit
from provision.targets.aws_account import Opening
from provision.targets.aws_record import AwsPaths, AwsRecord
from provision.targets.secret_questions import question
from provision.wiring_doctor import access_to

SECONDS: Final = 90.0


def audit(
    stack: wiring.OpenedStack, on_finding: Callable[[Finding], None], *, fix: bool
) -> AuditResult:
    """Look at everything side by side; with `fix`, mend first what is safe to mend.

    Raises `MissingError` before the first `up`.
    """
    in_account = stack.spec.target in wiring.IN_AN_ACCOUNT
    private = _private(stack, in_account=in_account)
    open_now = open_to_others(private) if fix else []
    close_to_others(open_now)
    mended = [str(path) for path in open_now]
    if in_account:
        looked = _in_account(stack)
        mended += looked.shut() if fix else []
        made = [_holes(stack.require_endpoint().mlflow_version), *looked.questions()]
    else:
        made = list(_here(stack))
    findings = ask(made, time.monotonic, SECONDS, on_finding).findings()
    result = audit_result(stack.spec.name, stack.spec.target, findings, mended)
    seen = Security(wiring.now(), result.passed, result.severities)
    last_audit.write(stack.layout.root, in_account=in_account, security=seen)
    return result


def as_sarif(result: AuditResult, stack: wiring.OpenedStack) -> str:
    """The same as a SARIF file; the spec is named from the working directory, where it can be."""
    names = {layer.name for layer in LAYERS}
    problems = [problem for problem in PROBLEMS.values() if problem.layer in names]
    spec = stack.settings.spec_file
    spec = spec.relative_to(Path.cwd()) if spec.is_relative_to(Path.cwd()) else Path(spec.name)
    document = sarif(result.findings, _with_others(problems, result), __version__, spec.as_posix())
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _with_others(problems: list[Any], result: AuditResult) -> list[Any]:
    """A rule for each result: also for what AWS did not answer."""
    known = {problem.id for problem in problems}
    ids = {f.id for f in result.findings if f.id in PROBLEMS} - known
    return [*problems, *(PROBLEMS[name] for name in sorted(ids))]


def _private(stack: wiring.OpenedStack, *, in_account: bool) -> Sequence[Path]:
    if in_account:
        return account_audit.private_files(AwsPaths.below(stack.layout.root))
    return local_audit.private_files(stack.layout)


def _holes(version: str) -> Question:
    table = Holes.from_json(json.loads(packages.data_file("cves.json")))
    return about_holes(table, version, datetime.now(UTC).date())


def _here(stack: wiring.OpenedStack) -> Sequence[Question]:
    endpoint = stack.require_endpoint()
    spec, folder = stack.spec, stack.settings.spec_file.parent
    made = list(local_audit.questions(stack.layout, folder))
    if endpoint.has_server:
        listen, accounts = str(spec.access.listen), spec.access.auth == "basic"
        address = urlsplit(endpoint.uri)
        tls = address.scheme == "https"
        made += [
            _holes(endpoint.mlflow_version),
            about_listening(listen, accounts=accounts, tls=tls),
        ]
        if tls:
            host, port = address.hostname or "", address.port or 443
            made.append(question("tls-floor", partial(account_audit.tls_verdict, host, port)))
    return made


def _in_account(stack: wiring.OpenedStack) -> account_audit.AccountAudit:
    paths = AwsPaths.below(stack.layout.root)
    record = AwsRecord.from_json(workspace.read_json(paths.record))
    stack.require_endpoint()
    if record is None or not record.applied_at:
        raise MissingError(
            f"{stack.spec.name} was never brought up from here", next_step="provision up"
        )
    access = access_to(stack)
    if access is None:
        raise MissingError(
            "the emulated account of this stack has ended", next_step="provision up begins another"
        )
    cloud = Cloud(access.environment, stack.spec.aws.region)
    opening = Opening(access, identity_of(cloud), cloud)
    outputs = Outputs.from_json(record.outputs)
    secrets = account_audit.known_secrets(opening, outputs, paths)
    return account_audit.AccountAudit(
        spec=stack.spec,
        paths=paths,
        opening=opening,
        outputs=outputs,
        search=Search(secrets),
        spec_folder=stack.settings.spec_file.parent,
        ask_machine=stack.require_remote().run if opening.access.boots else None,
    )
