"""`target: rehearsal` by the command itself: the page's commands in their order, on a real boot."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from provision.emulator.client import find as emulated_at
from tests.checkout import ROOT
from tests.conftest import Cli
from tests.docs.blocks import blocks_of, commands_of
from tests.examples.conftest import Forker
from tests.lab.serving import FLOWER, IRIS, MORE, Caller, on_the_shelf
from tests.lab.stack import Maker
from tests.mlflow_content import dump, fill
from tests.needs import insist
from tests.terraform import provider
from tests.terraform.program import environment
from tests.waiting import until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.needs("terraform", "rehearsal"),
    pytest.mark.xdist_group("rehearsal"),
]
PAGE = ROOT / "docs" / "rehearsal.md"
TYPED = [c for b in blocks_of(PAGE) if b.language == "console" for c in commands_of(b)]
# The emulation's own authority: choosing another one costs the provider 80 more seconds of sleep.
QUICKER = "  settings: {database_ca: rds-ca-default}\n"
_LEFT_OUT = ("HOME", "GOGC", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", provider.VARIABLE)
CLIENT = """\
import mlflow
mlflow.set_experiment("rehearsed")
with mlflow.start_run() as run:
    mlflow.log_metric("auc", 0.81)
    mlflow.log_text("x" * 1_000_000, "big.txt")
text = mlflow.artifacts.load_text(f"{run.info.artifact_uri}/big.txt")
print(len(text), mlflow.get_run(run.info.run_id).data.metrics["auc"])
"""

RUNS = """\
import mlflow
mlflow.set_experiment("kept")
runs = mlflow.search_runs(experiment_names=["kept"], output_format="list")
"""
FIRST = (
    RUNS
    + """\
with mlflow.start_run() as run:
    mlflow.log_text("kept", "note.txt")
print(run.info.run_id)
"""
)
SECOND = (
    RUNS
    + """\
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
with mlflow.start_run():
    mlflow.log_text("later", "note.txt")
get_artifact_repository(runs[0].info.artifact_uri).delete_artifacts("note.txt")
print(runs[0].info.run_id)
"""
)
SEEN = (
    RUNS
    + """\
text = mlflow.artifacts.load_text(f"{runs[0].info.artifact_uri}/note.txt")
print(*(run.info.run_id for run in runs), text)
"""
)


@dataclass
class Life:
    """Everything that was typed, and what came of it."""

    cli: Cli
    said: dict[str, subprocess.CompletedProcess[str]] = field(default_factory=dict)

    def type(self, command: str) -> subprocess.CompletedProcess[str]:
        words = shlex.split(command)[1:]
        done = subprocess.run(
            [sys.executable, "-m", "provision", *words], cwd=self.cli.folder, env=self.cli.env(),
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=1200,
        )  # fmt: skip
        self.said[command] = done
        return done

    def out(self, command: str) -> str:
        done = self.said[command]
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    insist("rehearsal")
    folder = tmp_path_factory.mktemp("rehearsal")
    desk = folder / "churn"
    desk.mkdir()
    seen = environment(folder) | {"PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": _cache()}
    seen |= {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    # The way into the lab is no proxy's; the emulated account closes those to AWS by itself.
    lived = Life(Cli(desk, {k: v for k, v in seen.items() if k not in _LEFT_OUT}))
    (spec,) = (block.text for block in blocks_of(PAGE) if block.language == "yaml")
    lived.cli.spec(spec + QUICKER)
    try:
        for command in TYPED[:-1]:
            lived.type(command)
        yield lived
    finally:
        if "provision down --delete-data --yes" not in lived.said:
            lived.type("provision down --delete-data --yes")


def _cache() -> str:
    """The user's own: images and packages are not fetched again for each run of the tests."""
    return str(Path.home() / ".cache")


def test_up_ends_with_a_server_that_answers_and_showed_each_phase(life: Life) -> None:
    out = life.out("provision up --yes")
    assert "churn is up" in out and "https://198.18." in out
    said = life.said["provision up --yes"].stderr
    for phase in ("role", "bundle", "environment", "database", "service", "proxy", "ready"):
        assert any(line.startswith(f"{phase} ") for line in said.splitlines()), said


def test_check_verifies_with_the_servers_own_authority(life: Life) -> None:
    out = life.out("provision check")
    assert "TLSv1.3" in out and "works for clients" in out


def test_a_store_moves_up_to_aws_and_comes_back_as_an_archive(life: Life) -> None:
    """From no server to AWS and back, with all that is easily lost and without what was deleted;
    before others log there.
    """
    before, after = (spec_without_server(life.cli, name) for name in ("before", "after"))
    fill(life.cli, before.uri, **before.artifacts)
    moved = json_of(life.type(f"provision move -f {before.spec} --to provision.yaml --json"))
    # The trash has moved as well, and its end is the same on both sides.
    gone, here = (
        json_of(life.type(f"provision gc --yes --json{spec}"))
        for spec in ("", f" -f {before.spec}")
    )
    assert gone["items"] == here["items"] and any(item["files"] for item in gone["items"])
    made = json_of(life.type("provision archive archive --json"))
    assert (made["accounts"], made["notes"]) == (1, [])
    assert 0 < made["counts"]["runs"] < moved["counts"]["runs"]
    restored = life.type(f"provision restore archive -f {after.spec} --no-users")
    assert restored.returncode == 0, restored.stderr
    assert seen(life.cli, after) == seen(life.cli, before)
    again = life.type(f"provision move -f {before.spec} --to provision.yaml")
    assert again.returncode == 4 and "is not empty" in again.stderr
    left = life.type("provision ssh -- ls -A /var/lib/provision/server/transfer")
    assert left.returncode != 0, "the machine keeps no copy"
    assert "active" in life.type("provision ssh -- systemctl is-active mlflow").stdout


def json_of(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@dataclass(frozen=True)
class Store:
    """A stack without a server: its spec, its tracking URI, and where its artifacts go."""

    spec: Path
    uri: str
    artifacts: dict[str, str]


def seen(cli: Cli, store: Store) -> str:
    """What a client sees there, whatever its folder is called and however it is written."""
    folder = Path(*store.artifacts.values())
    text = json.dumps(dump(cli, store.uri, **store.artifacts))
    return text.replace(folder.as_uri(), "ARTIFACTS").replace(str(folder), "ARTIFACTS")


def spec_without_server(cli: Cli, name: str) -> Store:
    path = cli.folder / f"{name}.yaml"
    path.write_text(f"name: {name}\nscenario: none\n", encoding="utf-8")
    folder = cli.folder / ".provision" / name / "artifacts"
    uri = str(cli.json("up", "-f", str(path))["uri"]) if name == "before" else ""
    uri = uri or f"sqlite:///{cli.folder / '.provision' / name / 'data' / 'mlflow.db'}"
    return Store(path, uri, {"_MLFLOW_SERVER_ARTIFACT_ROOT": str(folder)})


def test_a_backup_brings_back_what_went_and_hides_what_came(life: Life) -> None:
    """Database and bucket together; afterwards Terraform finds nothing to change."""
    kept = client(life, FIRST)
    assert json_of(life.type("provision backup point --json"))["backup"]["mlflow_version"]
    assert client(life, SECOND) == kept
    back = life.type("provision restore --from-backup point --yes")
    assert back.returncode == 0, back.stderr
    assert client(life, SEEN) == f"{kept} kept"
    plan = life.type("provision plan")
    assert plan.returncode == 0, plan.stdout + plan.stderr
    listed = json_of(life.type("provision backup --list --json"))["backups"]
    assert [backup["ready"] for backup in listed] == [True, True]
    assert listed[0]["name"].startswith("before-") and listed[1]["name"] == "point"
    for backup in listed:
        gone = life.type(f"provision backup --delete {backup['name']} --yes")
        assert gone.returncode == 0, gone.stderr


def client(life: Life, program: str) -> str:
    """What a client's program prints last."""
    ran = subprocess.run(
        [sys.executable, "-c", program], env=life.cli.env() | variables(life), cwd=life.cli.folder,
        capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip().splitlines()[-1]


def test_env_names_the_authority_and_a_real_client_logs_there(life: Life) -> None:
    lines = life.out("provision env --format dotenv").splitlines()
    values = dict(line.split("=", 1) for line in lines if not line.startswith("#"))
    assert values["MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD"] == "false"
    authority = Path(values["MLFLOW_TRACKING_SERVER_CERT_PATH"])
    password = authority.with_name("admin-password")
    assert [stat.S_IMODE(p.stat().st_mode) for p in (authority, password)] == [0o644, 0o600]
    secret = {"MLFLOW_TRACKING_PASSWORD": password.read_text().strip()}
    done = subprocess.run(
        [sys.executable, "-c", CLIENT], env=life.cli.env() | values | secret, cwd=life.cli.folder,
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "1000000 0.81"


def test_status_comes_from_the_machine_and_the_server(life: Life) -> None:
    out = life.out("provision status")
    assert "running (machine running, database available, ready)" in out
    assert "postgresql" in out


def test_logs_come_from_the_bucket_and_from_the_machine(life: Life) -> None:
    assert "ready" in life.out("provision logs boot")
    assert len(life.out("provision logs server --lines 20").splitlines()) <= 20


def test_commands_run_on_the_machine(life: Life) -> None:
    assert life.out("provision ssh -- systemctl is-active mlflow caddy").split() == ["active"] * 2
    assert life.type("provision ssh -- sh -c 'exit 7'").returncode == 7


def variables(life: Life) -> dict[str, str]:
    """What a client needs, its password among it."""
    return dict(life.cli.json("env", "--show-password")["variables"])


@pytest.fixture(scope="module")
def at_work(life: Life, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., str]]:
    """Runs programs as a client of the stack does, in a copy of the examples."""
    shutil.copytree(ROOT / "examples", life.cli.folder / "examples")
    environment = {**life.cli.env(), **variables(life), "MLFLOW_DISABLE_TELEMETRY": "true"}
    forker = Forker(tmp_path_factory.mktemp("forker"))

    def run(example: str, *argv: str) -> str:
        done = forker.run(list(argv), life.cli.folder / "examples" / example, environment)
        assert done.code == 0, done.text
        return done.text

    yield run
    forker.close()


def test_the_examples_run_there(at_work: Callable[..., str]) -> None:
    """Tracking, autolog, artifacts, registry, aliases, the gate: the others are renewed by hand."""
    assert "iris-classifier version 1 is champion" in at_work("iris", "train.py")
    assert "churn version 1 is challenger" in at_work("churn", "src/train.py")
    assert "version 1 is champion" in at_work("churn", "src/promote.py")


def test_a_model_is_served_follows_its_alias_and_stays_when_the_next_one_is_broken(
    life: Life, at_work: Callable[..., str]
) -> None:
    refused = life.type(f"provision serve {IRIS} --memory 64GiB")
    assert refused.returncode == 4 and "does not fit" in refused.stderr
    state = json_of(life.type(f"provision serve {IRIS} --json"))["service"]
    assert (state["version"], state["health"]) == ("1", "ready")
    model = caller(life, state["uri"])
    assert model.says() == (200, {"predictions": [2]})
    assert [model.ask(path, known=False)[0] for path in ("/status", "/example")] == [401] * 2
    assert model.ask("/invocations", FLOWER, known=False)[0] == 401
    assert model.ask("/invocations", model.ask("/example")[1])[0] == 200

    (life.cli.folder / "examples" / "more.py").write_text(MORE, encoding="utf-8")
    at_work(".", "more.py")
    point_at(life, "2")
    until(lambda: model.state().get("rejected") == "2", "the broken version is not taken")
    assert "its weights are gone" in model.state()["reason"]
    assert model.says() == (200, {"predictions": [2]})
    assert "its weights are gone" in life.type("provision status").stdout

    point_at(life, "3")
    with on_the_shelf(Path(_cache()) / "provision" / "rehearsal" / "shelf" / "wheels"):
        until(lambda: model.state().get("version") == "3", "the next version takes over")
    assert model.says() == (200, {"predictions": ["hello"]}), "it reaches nothing of the machine"
    shown = life.type("provision serve --list").stdout
    assert f"{IRIS}  3        ready" in shown
    assert "version 3 answers" in life.type("provision logs model-iris-classifier@champion").stdout


def caller(life: Life, uri: str) -> Caller:
    found = variables(life)
    names = ("SERVER_CERT_PATH", "USERNAME", "PASSWORD")
    return Caller(uri, *(found[f"MLFLOW_TRACKING_{name}"] for name in names))


def point_at(life: Life, version: str) -> None:
    uri = life.cli.json("status")["uri"]
    here = caller(life, f"{uri}/api/2.0/mlflow/registered-models")
    wish = {"name": "iris-classifier", "alias": "champion", "version": version}
    assert here.ask("/alias", wish)[0] == 200


def test_repair_finds_nothing_and_then_what_somebody_broke(life: Life) -> None:
    assert "nothing on it had to be changed" in life.out("provision repair")
    broken = life.type("provision ssh -- rm -f /etc/caddy/Caddyfile")
    assert broken.returncode == 0, broken.stderr
    mended = life.type("provision repair --json")
    assert mended.returncode == 0, mended.stderr
    assert any("proxy" in what for what in json.loads(mended.stdout)["changed"])


def test_a_served_model_survives_repair_and_is_gone_after_stop(life: Life) -> None:
    def states() -> list[dict[str, str]]:
        return list(life.cli.json("serve", "--list")["services"])

    until(lambda: states()[0]["health"] == "ready", "it answers after the repair")
    (state,) = states()
    assert state["version"] == "3"
    model = caller(life, state["uri"])
    assert model.says() == (200, {"predictions": ["hello"]})
    stopped = life.type(f"provision serve --stop {IRIS}")
    assert stopped.returncode == 0, stopped.stderr
    assert states() == []
    assert model.ask("/status")[0] == 502
    left = life.type("provision ssh -- ls -A /var/lib/provision/models")
    assert (left.returncode, left.stdout.strip()) == (0, "")


def test_a_wrong_authority_is_named_and_up_fetches_the_right_one(life: Life) -> None:
    authority = life.cli.folder / ".provision/churn/aws/ca.pem"
    right = authority.read_text(encoding="utf-8")
    from tests.certificates import Authority

    other = Authority(life.cli.folder)
    authority.write_bytes(other.ca_file.read_bytes())
    check = life.type("provision check --json")
    assert check.returncode == 6
    failed = [f for f in json.loads(check.stdout)["findings"] if f["outcome"] == "failed"]
    assert [f["id"] for f in failed] == ["tls.unknown-ca"]
    up = life.type("provision up --yes --json")
    assert up.returncode == 0, up.stderr
    assert authority.read_text(encoding="utf-8") == right


def audited(life: Life) -> list[str]:
    done = life.type("provision audit --json")
    findings = json.loads(done.stdout)["findings"]
    return [f["id"] for f in findings if f["outcome"] in ("failed", "warning")]


@pytest.mark.parametrize(
    ("leak", "problem"),
    [
        ("P=$(cut -d: -f5 /etc/provision/database.pass) setsid sleep 7199", "in-environment"),
        ('logger "its key: $(cat /etc/provision/session-key)"', "in-log"),
    ],
)
def test_an_audit_finds_a_secret_on_the_machine_until_it_is_gone(
    life: Life, leak: str, problem: str
) -> None:
    on_machine(life, f"{leak} </dev/null >/dev/null 2>&1 &")
    try:
        until(lambda: f"secret.{problem}" in audited(life), problem)
        assert life.type("provision status").returncode == 6, "until another audit finds nothing"
    finally:
        on_machine(life, "pkill -f '^sleep 7199'; journalctl -q --rotate --vacuum-time=1s")
    assert f"secret.{problem}" not in audited(life)


def on_machine(life: Life, script: str) -> None:
    done = life.type(shlex.join(["provision", "ssh", "--", "sh", "-c", f"{script}\ntrue"]))
    assert done.returncode == 0, done.stderr


def test_a_door_that_somebody_opened_is_found_from_outside_and_shut(life: Life) -> None:
    maker, record = account(life)
    server = record["outputs"]["server"]["value"]
    ec2 = maker.client("ec2")
    (machine,) = ec2.describe_instances(InstanceIds=[server["instance_id"]])["Reservations"]
    (group,) = machine["Instances"][0]["SecurityGroups"]
    shell = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22}
    to_all = [{**shell, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
    ec2.authorize_security_group_ingress(GroupId=group["GroupId"], IpPermissions=to_all)
    until(lambda: "outside.port-open" in checked(life), "SSH can be reached")
    assert "exposure.other-way-in" in audited(life)
    fixed = life.type("provision audit --fix --json")
    assert "port 22 from 0.0.0.0/0" in json.loads(fixed.stdout)["mended"][0], fixed.stderr
    until(lambda: "outside.port-open" not in checked(life), "it is shut again")


def account(life: Life) -> tuple[Maker, dict[str, Any]]:
    """The emulated account with its own rights, and the stack's record."""
    folder = life.cli.folder / ".provision/churn/aws"
    found = emulated_at(folder / "emulator")
    assert found is not None
    return Maker(found.endpoint), json.loads((folder / "record.json").read_text())


def checked(life: Life) -> list[str]:
    findings = json.loads(life.type("provision check --json").stdout)["findings"]
    return [f["id"] for f in findings if f["outcome"] in ("failed", "warning")]


def test_somebody_on_a_roster_works_with_nothing_but_a_hand_out(life: Life, tmp_path: Path) -> None:
    roster = "username,name,role,team\nana,Ana,,\neve,Eve,guest,\n"
    (life.cli.folder / "class.csv").write_text(roster)
    for command in ("users sync --roster class.csv --yes", "handout out --roster class.csv"):
        done = life.type(f"provision {command}")
        assert done.returncode == 0, done.stderr
    again = life.type("provision users sync --roster class.csv --plan")
    assert again.returncode == 0, "nothing is left to do"
    laptop = tmp_path / "laptop"
    (life.cli.folder / "out/students/ana").rename(laptop)
    script = f'. ./mlflow.sh; exec {shlex.quote(sys.executable)} -c "$CLIENT"'
    seen = {"PATH": os.defpath, "HOME": str(tmp_path), "CLIENT": CLIENT.replace("rehearsed", "ana")}
    done = subprocess.run(
        ["bash", "-c", script], env=seen, cwd=laptop, capture_output=True, text=True, check=False,
        timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "1000000 0.81"


def test_down_leaves_nothing(life: Life) -> None:
    lab = life.cli.folder / ".provision/churn/aws/lab"
    down = life.type(TYPED[-1])
    assert down.returncode == 0, down.stderr
    assert "nothing that carries the tag" in down.stdout
    assert not lab.exists()
    mounts = Path("/proc/mounts").read_text(encoding="utf-8")
    assert str(life.cli.folder) not in mounts
