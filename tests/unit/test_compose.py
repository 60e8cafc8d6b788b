"""The Compose folder: what is written, whether Compose's schema takes it, who sees a secret."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from provision.adapters.containers import Container, open_project
from provision.errors import MissingError, RefusedError, UsageError
from provision.model import compose
from provision.model.layout import Layout
from provision.model.spec import Spec
from provision.model.status import State
from provision.server import container, health
from provision.server.settings import ServerSettings
from provision.settings import Settings, read_settings
from provision.targets import compose_folder
from provision.targets.base import UpOptions
from provision.targets.compose import ComposeTarget, judged
from provision.targets.local_settings import Host
from tests.progress import Quiet

SPEC = {"name": "school", "target": "compose", "server": {"port": 5443}}


def target(tmp_path: Path, **sections: Any) -> ComposeTarget:
    spec = Spec.model_validate({**SPEC, **sections})
    layout = Layout.below(tmp_path / "state", spec.name)
    host = Host("python3", "3.17.2", {"PATH": str(tmp_path)}, ["lab-7", "192.0.2.7"])
    return ComposeTarget(spec, tmp_path / "provision.yaml", layout, host, lambda: "2026-11-27")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = target(tmp_path, access={"auth": "basic", "allowed_hosts": ["mlflow.lab.example"]})
    return made.render(UpOptions(), Quiet()).folder


def read(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((folder / "compose.yaml").read_text())
    return found


def test_composes_own_schema_takes_the_file(folder: Path) -> None:
    """The schema of the Compose specification, as it ships with check-jsonschema."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run(
        [*command, str(folder / "compose.yaml")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_the_env_file_alone_holds_secrets_and_nobody_else_reads_it(folder: Path) -> None:
    env = dict(line.split("=") for line in (folder / ".env").read_text().splitlines()[1:])
    assert len(set(env.values())) == 6
    assert min(map(len, env.values())) >= 32
    assert (folder / ".env").stat().st_mode & 0o777 == 0o600
    for path in folder.rglob("*"):
        if path.is_file() and path.name not in (".env", "provision.pyz"):
            assert not [name for name, value in env.items() if value in path.read_text()], path
    assert ".env" not in (folder / ".dockerignore").read_text()


def test_every_variable_of_the_file_is_in_the_env_file(folder: Path) -> None:
    wanted = set(re.findall(r"\$\{(\w+):\?", (folder / "compose.yaml").read_text()))
    written = {line.split("=")[0] for line in (folder / ".env").read_text().splitlines()[1:]}
    assert wanted == written


def test_writing_it_again_changes_no_secret(tmp_path: Path) -> None:
    made = target(tmp_path)
    first = (made.render(UpOptions(), Quiet()).folder / ".env").read_text()
    assert (made.render(UpOptions(), Quiet()).folder / ".env").read_text() == first


def test_every_service_is_checked_kept_running_and_has_no_rights(folder: Path) -> None:
    for name, service in read(folder)["services"].items():
        assert service["healthcheck"]["test"][0] == "CMD", name
        assert service["restart"] == "unless-stopped"
        assert service["cap_drop"] == ["ALL"] and service["read_only"]


def test_only_https_can_be_reached_from_elsewhere(tmp_path: Path) -> None:
    access = {"listen": "0.0.0.0", "auth": "basic"}
    services = read(target(tmp_path, access=access).render(UpOptions(), Quiet()).folder)["services"]
    ports = {name: service.get("ports", []) for name, service in services.items()}
    assert ports.pop("proxy") == ["0.0.0.0:5443:8443"]
    assert all(port.startswith("127.0.0.1:") for found in ports.values() for port in found)


def test_whatever_is_kept_is_in_a_named_volume(folder: Path) -> None:
    document = read(folder)
    assert set(document["volumes"]) == set(compose.VOLUMES)
    for service in document["services"].values():
        for volume in service.get("volumes", []):
            source, *_, mode = volume.split(":")
            assert source in document["volumes"] or (source.startswith("./") and mode == "ro")


def test_the_server_reads_the_settings_that_are_mounted(folder: Path) -> None:
    settings = ServerSettings.load(folder / "server.json")
    assert settings.artifacts_destination == "s3://mlflow/artifacts"
    assert settings.auth is not None
    assert settings.allowed_hosts[0] == "localhost"
    assert "mlflow.lab.example:5443" in settings.allowed_hosts
    assert "https://localhost:5443" in settings.allowed_origins


def test_the_names_of_the_spec_and_of_this_machine_get_certificates(tmp_path: Path) -> None:
    access = {"listen": "0.0.0.0", "auth": "basic", "allowed_hosts": ["*.lab.example:5443"]}
    made = target(tmp_path, access=access).render(UpOptions(), Quiet()).folder
    text = (made / "Caddyfile").read_text()
    for name in ("localhost", "127.0.0.1", "lab-7", "192.0.2.7", "*.lab.example"):
        assert f"https://{name}" in text
    assert "default_sni 192.0.2.7" in text


def test_other_settings_make_another_mark_and_so_other_containers(tmp_path: Path) -> None:
    def mark(**access: Any) -> str:
        made = target(tmp_path, access=access).render(UpOptions(), Quiet()).folder
        return str(read(made)["services"]["server"]["labels"])

    assert mark(allowed_hosts=["a.example"]) != mark(allowed_hosts=["b.example"])
    assert mark() == mark()


def test_without_an_engine_the_folder_is_there_and_the_error_says_so(tmp_path: Path) -> None:
    made = target(tmp_path)
    with pytest.raises(MissingError) as error:
        made.up(UpOptions(), Quiet())
    assert "docker is not installed; podman is not installed" in error.value.message
    folder = compose_folder.folder(Layout.below(tmp_path / "state", "school"))
    assert str(folder) in error.value.next_step
    assert (folder / "compose.yaml").exists()
    assert made.endpoint() is None


def test_an_engine_that_does_not_answer_is_named(tmp_path: Path) -> None:
    program = tmp_path / "docker"
    program.write_text(
        '#!/bin/sh\n[ "$1" = compose ] || { echo "Cannot connect to the daemon" >&2; exit 1; }\n'
    )
    program.chmod(0o755)
    with pytest.raises(MissingError, match="docker's engine: Cannot connect to the daemon"):
        open_project(tmp_path, {"PATH": f"{tmp_path}:/bin:/usr/bin", "COMPOSE_FILE": "other"})


def test_a_stack_of_another_target_keeps_its_name_for_itself(tmp_path: Path) -> None:
    made = target(tmp_path)
    made.render(UpOptions(), Quiet())
    layout = Layout.below(tmp_path / "state", "school")
    record = {"schema": "provision.stack/1", "name": "school", "target": "local", "scenario": "x"}
    rest = dict.fromkeys(
        ("spec_file", "listen", "engine", "auth", "artifacts", "mlflow_version", "sizing"), ""
    )
    layout.record.write_text(json.dumps({**record, **rest, "fingerprint": "", "port": 1}))
    with pytest.raises(RefusedError, match="target: local"):
        made.render(UpOptions(), Quiet())


def some(**states: tuple[str, str]) -> list[Container]:
    found = dict.fromkeys(compose.SERVICES, ("running", "healthy")) | states
    return [Container(name, name, *state) for name, state in found.items() if state[0]]


@pytest.mark.parametrize(
    ("containers", "state", "detail"),
    [
        (some(), State.RUNNING, ""),
        (some(server=("running", "starting")), State.STARTING, "server is starting"),
        (some(server=("running", "unhealthy")), State.FAILED, "server is unhealthy"),
        (some(store=("restarting", "")), State.FAILED, "store is restarting"),
        (some(backup=("", "")), State.FAILED, "backup is not there"),
        ([Container("server", "1", "exited", "")], State.STOPPED, "provision up"),
        ([], State.STOPPED, "provision up"),
    ],
)
def test_what_the_containers_amount_to(
    containers: list[Container], state: State, detail: str
) -> None:
    found, words = judged(containers)
    assert found is state
    assert detail in words


def answer(database: str | None = None, artifacts: str | None = None) -> str:
    return json.dumps({"database": {"error": database}, "artifacts": {"error": artifacts}})


@pytest.mark.parametrize(
    ("status", "text", "healthy", "words"),
    [
        (200, answer(), True, "database and store answer"),
        (503, answer(database="gone"), False, "database: gone"),
        (503, answer(artifacts="no bucket"), False, "artifacts: no bucket"),
        (401, "", True, "password was changed"),
        (502, "<html>", False, "HTTP 502"),
        (200, "[]", False, "HTTP 200"),
    ],
)
def test_what_a_health_check_says(status: int, text: str, healthy: bool, words: str) -> None:
    seen, found = health.judged(status, text)
    assert found is healthy
    assert words in seen


def test_secrets_leave_the_environment_for_files(tmp_path: Path) -> None:
    environment = {
        "DATABASE_PASSWORD": "d", "ADMIN_PASSWORD": "a", "GATEWAY_PASSPHRASE": "g", "PATH": "/bin"
    }  # fmt: skip
    container.keep_secrets(environment, tmp_path / "kept")
    assert environment == {"PATH": "/bin"}
    files = {p.name: p for p in (tmp_path / "kept").iterdir()}
    assert set(files) == {"database.pass", "admin-password", "gateway-passphrase"}
    assert all(p.stat().st_mode & 0o777 == 0o600 for p in files.values())
    assert files["admin-password"].read_text() == "a\n"


def test_the_shells_variables_do_not_win_over_the_env_file(tmp_path: Path) -> None:
    program = tmp_path / "docker"
    program.write_text('#!/bin/sh\nenv > "$0.env"\n')
    program.chmod(0o755)
    variables = {"PATH": "/bin:/usr/bin", "DATABASE_PASSWORD": "other", "COMPOSE_FILE": "other"}
    project = open_project(tmp_path, {**variables, "PATH": f"{tmp_path}:/bin:/usr/bin"})
    project.build()
    assert "other" not in (tmp_path / "docker.env").read_text()


DOCKER = """\
#!/bin/sh
echo "$*" >> "$0.calls"
case "$*" in
  *" ps "*) cat "$0.ps" ;;
  *" port database "*) echo 127.0.0.1:41001 ;;
  *" port store "*) echo 127.0.0.1:41002 ;;
esac
"""


@pytest.mark.parametrize(
    ("running", "steps"),
    [
        (compose.SERVICES, ["run"]),
        (("server", "database"), ["up", "run", "stop"]),
        ((), ["up", "run", "down"]),
    ],
)
def test_copying_data_leaves_running_what_ran(
    tmp_path: Path, running: tuple[str, ...], steps: list[str]
) -> None:
    program = tmp_path / "docker"
    program.write_text(DOCKER)
    program.chmod(0o755)
    lines = [json.dumps({"Service": name, "ID": name, "State": "running"}) for name in running]
    (tmp_path / "docker.ps").write_text("\n".join(lines))
    spec = Spec.model_validate({**SPEC, "access": {"auth": "basic"}})
    host = Host("python3", "3.17.2", {"PATH": f"{tmp_path}:/bin:/usr/bin"}, [])
    layout = Layout.below(tmp_path / "state", "school")
    made = ComposeTarget(spec, tmp_path / "provision.yaml", layout, host, lambda: "2026-11-27")
    with made.data(Quiet(), create=True) as place:
        assert (place.in_bucket, place.artifacts) == (True, "s3://mlflow/artifacts")
        assert "@127.0.0.1:41001/mlflow" in place.database_url
        assert place.environment["AWS_ENDPOINT_URL"] == "http://127.0.0.1:41002"
        secret = (layout.secrets / "store-secret-key").read_text().strip()
        assert secret not in json.dumps(place.to_json())
        assert secret in Path(place.environment["AWS_SHARED_CREDENTIALS_FILE"]).read_text()
    calls = (tmp_path / "docker.calls").read_text().splitlines()
    commands = [call.split("compose.yaml ")[1].split()[0] for call in calls if ".yaml " in call]
    assert [name for name in commands if name not in ("ps", "port")] == steps
    assert secret not in (tmp_path / "docker.calls").read_text()


def test_render_only_is_for_this_rung(tmp_path: Path) -> None:
    from provision import wiring, wiring_compose

    (tmp_path / "provision.yaml").write_text("name: school\n")
    settings: Settings = read_settings(str(tmp_path / "provision.yaml"), environment={})
    with pytest.raises(UsageError, match="--render-only is for target: compose"):
        wiring_compose.composed(wiring.open_stack(settings))
