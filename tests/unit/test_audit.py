"""What the audit makes of what it sees: holes, doors, rights, secrets, and its SARIF file."""

from __future__ import annotations

import base64
import json
import re
import socket
import ssl
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path

import pytest

from provision.adapters import git_history, processes, searching
from provision.adapters.cloud.session import Cloud
from provision.adapters.packages import data_file
from provision.adapters.searching import Search
from provision.app.audit import about_holes, about_listening, audit_result
from provision.app.questions import finding_of
from provision.model import exposure, role_policy
from provision.model.account import Identity
from provision.model.exposure import Rule
from provision.model.findings import PROBLEMS
from provision.model.findings.audit import LAYERS
from provision.model.holes import Hole, Holes
from provision.model.outputs import Outputs
from provision.model.questions import Question, Verdict
from provision.model.report import Outcome
from provision.model.role_policy import Right, rights_of, too_much
from provision.model.sarif import sarif
from provision.model.secrets import generate
from provision.model.spec import Spec
from provision.model.wanted import Wanted
from provision.targets import account_audit
from provision.targets.account_audit import tls_verdict
from provision.targets.aws_account import Opening
from provision.targets.aws_record import Access, AwsPaths
from provision.targets.secret_questions import SecretsHere, leak
from tests.certificates import Authority
from tests.checkout import ROOT

TABLE = Holes.from_json(json.loads(data_file("cves.json")))
TODAY = TABLE.as_of


# Known holes.


@pytest.mark.parametrize(
    ("version", "problem"),
    [
        ("3.17.2", ""), ("3.17.0", ""), ("3.16.1", "cve.critical"), ("3.17.0rc1", "cve.critical"),
        ("3.9.0", "cve.critical"),
        ("2.22.4", "cve.critical"), ("1.30.0", "cve.critical"), ("", "audit.not-known"),
        ("<html>", "audit.not-known"),
    ],
)  # fmt: skip
def test_a_version_has_the_holes_that_were_mended_after_it(version: str, problem: str) -> None:
    assert TABLE.judged(version, TODAY).problem == problem


def test_a_line_that_was_mended_by_itself_and_a_later_one_do_not_have_it() -> None:
    hole = Hole("CVE-0", "2.22.4", "high", "x", also_from=("3.0.0",))
    has = [v for v in ("2.22.3", "2.22.4", "3.0.0rc1", "3.0.0", "3.1.0") if hole.is_in(v)]
    assert has == ["2.22.3"]
    assert Holes(TODAY, (hole,)).judged("2.1.0", TODAY).problem == "cve.known"


def test_a_table_of_long_ago_says_so() -> None:
    later = TODAY + timedelta(days=200)
    assert TABLE.judged("3.17.2", later).problem == "cve.table-old"


def test_the_table_is_dated_and_whole() -> None:
    assert date(2026, 11, 1) <= TABLE.as_of <= date.today()
    assert len({hole.id for hole in TABLE.holes}) == len(TABLE.holes)
    assert {hole.severity for hole in TABLE.holes} <= {"critical", "high", "medium"}


# Doors.

HTTPS = Rule("tcp", 443, 443, "203.0.113.0/24")
WORLD = Rule("tcp", 443, 443, "0.0.0.0/0")
SSH = Rule("tcp", 22, 22, "0.0.0.0/0")
ALL = Rule("-1", 0, 65535, "sg-2")
LAB = ["203.0.113.0/24"]


@pytest.mark.parametrize(
    ("rules", "ingress", "accounts", "problem"),
    [
        ([], [], True, ""),
        ([HTTPS], LAB, True, ""),
        ([HTTPS], LAB, False, "exposure.no-accounts"),
        ([HTTPS, SSH], LAB, True, "exposure.other-way-in"),
        ([HTTPS, WORLD], LAB, True, "exposure.other-way-in"),
        ([ALL], LAB, True, "exposure.other-way-in"),
        ([WORLD], ["0.0.0.0/0"], True, "exposure.world-open"),
        ([WORLD], ["0.0.0.0/0"], False, "exposure.no-accounts"),
    ],
)
def test_security_groups_let_in_what_the_spec_says(
    rules: list[Rule], ingress: list[str], accounts: bool, problem: str
) -> None:
    assert exposure.of_machine(rules, ingress, accounts=accounts).problem == problem


@pytest.mark.parametrize(
    ("listen", "accounts", "problem"),
    [
        ("127.0.0.1", False, ""),
        ("::1", False, ""),
        ("0.0.0.0", False, "exposure.no-accounts"),
        ("0.0.0.0", True, "exposure.passwords-in-clear"),
    ],
)
def test_where_a_server_listens_says_who_gets_in(listen: str, accounts: bool, problem: str) -> None:
    assert about_listening(listen, accounts=accounts).ask().problem == problem
    with_tls = about_listening(listen, accounts=accounts, tls=True).ask().problem
    assert with_tls == problem.replace("exposure.passwords-in-clear", "")


@pytest.mark.parametrize(
    ("rules", "public", "problem"),
    [
        ([Rule("tcp", 5432, 5432, "sg-1")], False, ""),
        ([Rule("tcp", 5432, 5432, "sg-9")], False, "exposure.database"),
        ([Rule("tcp", 5432, 5432, "sg-1")], True, "exposure.database"),
    ],
)
def test_the_database_is_the_servers_alone(rules: list[Rule], public: bool, problem: str) -> None:
    assert exposure.of_database(rules, ["sg-1"], public=public).problem == problem


# The role.


MODULE = ROOT / "terraform/modules/tracking-server/iam.tf"
STATEMENT = re.compile(
    r'Effect += "(?P<effect>\w+)"\s+Action += (?P<actions>\[.*?\])\s+Resource += (?P<on>.*?)\n'
)


def granted(names: dict[str, str]) -> set[tuple[str, str, str]]:
    """Effect, action and resource of each statement in the module's text."""
    found = set()
    for match in STATEMENT.finditer(MODULE.read_text(encoding="utf-8")):
        text = match["on"].strip()
        for name, value in names.items():
            text = text.replace(f"${{{name}}}", value)
            text = f'"{value}"' if text == name else text
        resources = json.loads(text if text.startswith("[") else f"[{text}]") if '"' in text else []
        found |= {(match["effect"], a, r) for a in json.loads(match["actions"]) for r in resources}
    return found


def test_the_expected_rights_are_those_of_the_module() -> None:
    spec = Spec.model_validate({"name": "churn", "target": "aws"})
    wanted = Wanted.of(spec, "123456789012", "eu-west-1")
    here = "eu-west-1:123456789012"
    names = {
        "local.bucket_arn": f"arn:aws:s3:::{wanted.names.bucket}", "local.partition": "aws",
        "local.database_arn": f"arn:aws:rds:{here}:db:{wanted.names.prefix}",
        "local.here": here, "var.name": wanted.names.prefix,
    }  # fmt: skip
    meant = role_policy.expected(wanted, "123456789012", "aws", None)
    assert {right[:3] for right in meant} == granted(names)


def test_a_key_of_ones_own_is_two_rights_more() -> None:
    spec = Spec.model_validate({"name": "churn", "target": "aws"})
    wanted = Wanted.of(spec, "123456789012", "eu-west-1")
    key = "arn:aws:kms:eu-west-1:123456789012:key/1"
    without, with_key = (
        role_policy.expected(wanted, "123456789012", "aws", k) for k in (None, key)
    )
    more = {"kms:Decrypt", "kms:GenerateDataKey"}
    assert {right.action for right in with_key - without} == more
    document = {"Statement": {"Effect": "Allow", "NotAction": "iam:*", "Resource": ["a", "b"]}}
    assert {str(right) for right in rights_of(document)} == {"* on a", "* on b"}


def test_the_rights_at_the_end_are_those_of_the_module() -> None:
    """One tag with one value, as `lifetime.tftest.hcl` holds the module to it."""
    text = (ROOT / "terraform/modules/lifetime/schedules.tf").read_text(encoding="utf-8")
    assert f'"{role_policy.ENDING}"' in text
    condition = {
        "ForAllValues:StringEquals": {"aws:TagKeys": ["provision:archived"]},
        "StringEquals": {"aws:RequestTag/provision:archived": "2027-07-31"},
    }
    here = "eu-west-1:123456789012"
    things = {
        "rds:AddTagsToResource": f"arn:aws:rds:{here}:db:provision-churn",
        "ec2:CreateTags": f"arn:aws:ec2:{here}:instance/i-1",
    }
    statements = [
        {"Effect": "Allow", "Action": [action], "Resource": [thing], "Condition": condition}
        for action, thing in things.items()
    ]
    spec = Spec.model_validate({"name": "churn", "target": "aws"})
    wanted = Wanted.of(spec, "123456789012", "eu-west-1")
    found = role_policy.expected_at_end(wanted, "123456789012", "aws", "i-1", "2027-07-31")
    assert found == rights_of({"Statement": statements})


def test_more_than_meant_and_no_longer_denied_are_both_too_much() -> None:
    allowed, denied = Right("Allow", "s3:GetObject", "b/*"), Right("Deny", "s3:PutObject", "b/p")
    meant = frozenset({allowed, denied})
    assert too_much(meant, meant) == []
    assert too_much(frozenset({denied}), meant) == []
    wide = Right("Allow", "s3:*", "*")
    assert too_much(meant | {wide}, meant) == ["s3:* on *"]
    assert too_much(frozenset({allowed}), meant) == ["s3:PutObject on b/p (no longer denied)"]


# Secrets.

SECRET = generate()
SEARCH = Search({"admin-password": SECRET})


def test_a_secret_is_found_as_it_is_in_base64_and_in_a_zip_file(tmp_path: Path) -> None:
    plain, encoded, plan = (tmp_path / name for name in ("plain", "encoded", "plan"))
    clean = tmp_path / "clean"
    # Across the border of two reads.
    plain.write_bytes(b"x" * (2**20 - 9) + SECRET.reveal().encode() + b"y")
    login = f"admin:{SECRET.reveal()}".encode()
    encoded.write_bytes(b"Authorization: Basic " + base64.b64encode(login))
    with zipfile.ZipFile(plan, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("tfstate", "z" * 99 + SECRET.reveal())
    clean.write_text(generate().reveal(), encoding="utf-8")
    hits = SEARCH.in_files([plain, encoded, plan, clean, tmp_path / "gone"])
    assert set(hits) == {str(plain), str(encoded), str(plan)}
    assert SECRET.reveal() not in repr(SEARCH)


def test_the_secrets_of_a_folder_are_read_from_every_form(tmp_path: Path) -> None:
    (tmp_path / "admin-password").write_text("one-long-secret\n", encoding="utf-8")
    (tmp_path / "pgpass").write_text("127.0.0.1:5432:*:mlflow:two-long-secret\n", encoding="utf-8")
    ini = "[mlflow]\nadmin_username = somebody\nadmin_password = three-long-secret\nx = y\n"
    (tmp_path / "basic-auth.ini").write_text(ini, encoding="utf-8")
    found = {secret.reveal() for secret in searching.secrets_in(tmp_path).values()}
    assert found == {"one-long-secret", "two-long-secret", "three-long-secret"}
    assert searching.secrets_in(tmp_path / "none") == {}


def test_what_a_process_was_started_with_is_seen() -> None:
    program = "import sys; print(flush=True); sys.stdin.read()"
    words = [sys.executable, "-c", program, SECRET.reveal()]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          env={"TOKEN": SECRET.reveal()}) as child:  # fmt: skip
        assert child.stdout and child.stdout.readline()
        (seen,) = (w for w in processes.words() if w.pid == child.pid)
        child.communicate(b"")
    assert SEARCH.in_text(seen.arguments) and SEARCH.in_text(seen.environment)


@pytest.mark.parametrize(
    ("where", "problem"),
    [
        ("in-state", "secret.in-state"), ("in-plan", "secret.in-plan"),
        ("in-record", "secret.in-record"), ("in-log", "secret.in-log"),
    ],
)  # fmt: skip
def test_a_file_with_a_secret_is_named_for_what_it_is(
    tmp_path: Path, where: str, problem: str
) -> None:
    clean, dirty = tmp_path / "clean", tmp_path / "dirty"
    clean.write_text("{}", encoding="utf-8")
    dirty.write_text(json.dumps({"password": SECRET.reveal()}), encoding="utf-8")
    look = SecretsHere(SEARCH, tmp_path, [])
    assert look.files(where, "files", [clean]).ask().problem == ""
    verdict = look.files(where, "files", [clean, dirty]).ask()
    assert (verdict.problem, verdict.facts["places"]) == (problem, str(dirty))


def test_words_of_a_process_are_told_apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    told = processes.Words(7, "python3", "python3 x.py", f"TOKEN={SECRET.reveal()}")
    shown = processes.Words(8, "curl", f"curl -u admin:{SECRET.reveal()}", "")
    asked = [q for q in SecretsHere(SEARCH, tmp_path, []).everywhere() if q.layer.name == "secret"]
    for process, problem in ((told, "secret.in-environment"), (shown, "secret.in-arguments")):
        monkeypatch.setattr(processes, "words", lambda process=process: [process])
        assert [q.ask().problem for q in asked if q.ask().problem] == [problem]


def test_a_role_that_was_there_before_is_not_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    profile = {"IamInstanceProfile": {"Arn": "arn:aws:iam::1:instance-profile/LabInstanceProfile"}}
    monkeypatch.setattr(account_audit.inspection, "machine", lambda *_: profile)
    monkeypatch.setattr(account_audit.inspection, "role_of", lambda *_: "LabRole")
    aws = {"instance_profile": "LabInstanceProfile"}
    spec = Spec.model_validate({"name": "churn", "target": "aws", "aws": aws})
    me = Identity("123456789012", "arn:aws:iam::123456789012:user/ana", "us-east-1", "aws")
    opening = Opening(Access({}, {}), me, Cloud({}, "us-east-1"))
    server = {"instance_id": "i-1", "public_ip": "198.51.100.7", "image_id": "ami-1"}
    outputs = Outputs.from_json({"server": {"value": server}})
    paths = AwsPaths.below(Path("/nowhere"))
    looked = account_audit.AccountAudit(spec, paths, opening, outputs, SEARCH, Path(), None)
    assert looked._role().problem == "role.not-ours"
    # Nothing is known of the database's secret, which a search could not find anywhere.
    assert looked._known().problem == "audit.not-known"


def git(folder: Path, *words: str) -> None:
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run(["git", "-C", str(folder), *who, *words], check=True, capture_output=True)


def here(folder: Path, *private: Path) -> dict[str, Callable[[], Verdict]]:
    found = SecretsHere(SEARCH, folder, private)
    return {"git": found._git, "modes": found._modes}


def test_git_is_read_with_its_history_and_what_is_staged(tmp_path: Path) -> None:
    assert here(tmp_path)["git"]().problem == ""
    git(tmp_path, "init")
    note = tmp_path / "a note.txt"
    note.write_text("nothing", encoding="utf-8")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-m", "one")
    assert here(tmp_path)["git"]().problem == ""
    note.write_text(SECRET.reveal(), encoding="utf-8")
    git(tmp_path, "add", "-A")
    staged = here(tmp_path)["git"]()
    git(tmp_path, "commit", "-m", "two")
    git(tmp_path, "rm", note.name)
    git(tmp_path, "commit", "-m", "three")
    gone = here(tmp_path)["git"]()
    assert (staged.problem, gone.problem) == ("secret.in-git", "secret.in-git")
    assert gone.facts["places"] == note.name
    assert git_history.top_of(tmp_path) == tmp_path.resolve()


def test_files_that_others_may_read_are_named_and_closed(tmp_path: Path) -> None:
    folder, file = tmp_path / "secrets", tmp_path / "secrets/key"
    folder.mkdir(mode=0o755)
    file.write_text("x", encoding="utf-8")
    file.chmod(0o640)
    modes = here(tmp_path, folder, file)["modes"]
    assert modes().problem == "files.open-mode"
    searching.close_to_others([folder, file])
    assert modes().problem == ""
    assert (folder.stat().st_mode & 0o777, file.stat().st_mode & 0o777) == (0o700, 0o600)


def test_a_leak_names_the_secret_and_the_place_and_not_its_value() -> None:
    verdict = leak("in-log", "logs", {"a.log": {"admin-password"}, "b.log": set()})
    finding = finding_of(Question(LAYERS[0], lambda: verdict), verdict)
    assert finding.id == "secret.in-log" and "a.log" in finding.cause
    assert "b.log" not in finding.cause and SECRET.reveal() not in repr(finding)


# The floor of TLS, with real handshakes.


@contextmanager
def speaking(tmp_path: Path, lowest: ssl.TLSVersion) -> Iterator[int]:
    """A server that accepts TLS from `lowest` on."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = lowest
    made = Authority(tmp_path).issue("localhost")
    context.load_cert_chain(made.certificate, made.key)
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=shake, args=(server, context), daemon=True).start()
        yield server.getsockname()[1]


def shake(server: socket.socket, context: ssl.SSLContext) -> None:
    while True:
        try:
            plain, _ = server.accept()
        except OSError:
            return
        with plain:
            try:
                context.wrap_socket(plain, server_side=True).close()
            except OSError:
                continue


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_an_old_version_that_is_still_accepted_is_named(tmp_path: Path) -> None:
    with speaking(tmp_path, ssl.TLSVersion.TLSv1_2) as port:
        modern = tls_verdict("127.0.0.1", port)
    assert (modern.problem, modern.observed) == ("", "TLS 1.2 and TLS 1.3 alone")
    with speaking(tmp_path, ssl.TLSVersion.TLSv1_1) as port:
        old = tls_verdict("127.0.0.1", port)
    assert (old.problem, old.facts["versions"]) == ("tls-floor.old-accepted", "TLS 1.1")
    assert tls_verdict("127.0.0.1", port).problem == "tls-floor.no-handshake"


# The report.


def test_a_sarif_file_has_a_rule_for_each_result_and_no_braces() -> None:
    verdicts = [
        Verdict("x"), leak("in-log", "logs", {"a.log": {"admin-password"}}),
        TABLE.judged("3.9.0", TODAY), TABLE.judged("3.17.2", TODAY + timedelta(days=400)),
    ]  # fmt: skip
    findings = [finding_of(Question(LAYERS[0], lambda: None), v) for v in verdicts]  # type: ignore[arg-type,return-value]
    problems = [p for p in PROBLEMS.values() if p.layer in {layer.name for layer in LAYERS}]
    made = sarif(findings, problems, "0.1.0", "course/provision.yaml")
    (run,) = made["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert [r["level"] for r in run["results"]] == ["error", "error", "note"]
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        place = result["locations"][0]["physicalLocation"]["artifactLocation"]
        assert place["uri"] == "course/provision.yaml"
    assert "{" not in "".join(rule["fullDescription"]["text"] for rule in rules)
    assert {rule["properties"]["security-severity"] for rule in rules} <= {
        "9.5",
        "8.0",
        "5.0",
        "2.0",
    }


def test_warnings_do_not_fail_an_audit() -> None:
    old = about_holes(TABLE, "3.17.2", TODAY + timedelta(days=400))
    open_ = about_listening("0.0.0.0", accounts=False)
    findings = [finding_of(question, question.ask()) for question in (old, open_)]
    result = audit_result("churn", "local", findings, [])
    assert (result.passed, result.severities) == (False, {"low": 1, "critical": 1})
    assert audit_result("churn", "local", findings[:1], []).passed
    assert findings[0].outcome is Outcome.WARNING
