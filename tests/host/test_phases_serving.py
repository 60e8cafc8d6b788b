"""The phases from the settings on: what each one writes and runs, and that twice is once."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from provision.host import files
from provision.host.failures import HostError
from provision.host.phases import proxy, service, settings, upkeep
from provision.host.places import Places
from provision.host.server_file import (
    Server,
    allowed_hosts,
    database_url,
    origins,
    server_file,
    sizing,
)  # fmt: skip
from provision.model.sizing import MIB
from provision.model.sizing import Machine as Size
from provision.server.settings import ServerSettings
from tests.host.bundles import filled, python_here
from tests.host.conftest import SETTINGS, Machine, Told

SERVER = Server("d.rds.amazonaws.com", 5432, "i-0123456789abcdef0", Size(2048 * MIB, 2))


# --- settings


def test_the_server_understands_its_settings(machine: Machine, told: Told, tmp_path: Path) -> None:
    machine.places.passfile.write_text("d.rds:5432:*:mlflow:pw\n")
    settings.run(machine.host, told)
    read = ServerSettings.load(machine.places.server_settings)
    assert read.workers >= 1 and read.host == "127.0.0.1"
    assert read.auth is not None and read.direct_artifacts is False
    assert "pw" not in machine.places.server_settings.read_text()
    again = Told()
    settings.run(machine.host, again)
    assert again.changes == []


def test_the_database_url_verifies_and_never_waits_for_long() -> None:
    url = database_url(SERVER, Places())
    assert url.startswith("postgresql+psycopg2://mlflow@d.rds.amazonaws.com:5432/mlflow?")
    for part in ("sslmode=verify-full", "passfile=/etc/provision/database.pass",
                 "connect_timeout=5", "tcp_user_timeout=30000",
                 "application_name=provision%20i-0123456789abcdef0"):  # fmt: skip
        assert part in url


@pytest.mark.parametrize("mib", [1024, 2048, 4096, 8192])
def test_every_size_leaves_the_system_its_memory(mib: int) -> None:
    chosen = sizing(SETTINGS, Size(mib * MIB * 95 // 100, 2))
    assert chosen.job_runner is False
    assert chosen.needed_mib + 330 <= mib
    assert chosen.workers == (2 if mib > 1024 else chosen.workers)


def test_a_machine_that_is_too_small_is_named() -> None:
    with pytest.raises(HostError) as caught:
        sizing(SETTINGS, Size(512 * MIB, 1))
    assert caught.value.code == "too-small"


def test_hosts_are_answered_with_and_without_port() -> None:
    hosts = allowed_hosts(SETTINGS)
    for host in ("198.51.100.7", "198.51.100.7:443", "localhost", "localhost:*"):
        assert host in hosts
    assert origins(SETTINGS) == ["https://198.51.100.7"]


@pytest.mark.parametrize(("artifacts", "direct"), [("proxied", False), ("direct", True)])
def test_artifacts_go_the_way_that_the_spec_says(
    machine: Machine, artifacts: Any, direct: bool
) -> None:
    machine.with_settings(artifacts=artifacts)
    content = server_file(machine.host.settings, SERVER, machine.places)
    assert content["direct_artifacts"] is direct


# --- service


def ready(machine: Machine, **report: Any) -> None:
    known = {"state": "ready", "pid": 42, "phases": []} | report
    machine.places.server_report.write_text(json.dumps(known))
    machine.commands.answers["systemctl show"] = "42\n"


def serving(machine: Machine) -> Machine:
    filled(machine)
    python_here(machine)
    machine.places.at("/etc/systemd/system").mkdir(parents=True)
    machine.places.server_settings.write_text("{}")
    ready(machine)
    return machine


def test_the_server_is_restarted_only_for_something_new(machine: Machine, told: Told) -> None:
    serving(machine)
    service.run(machine.host, told)
    assert told.changes == ["the unit of the server", "the server was started anew"]
    again = Told()
    service.run(machine.host, again)
    assert again.changes == []
    machine.places.server_settings.write_text('{"workers": 2}')
    service.run(machine.host, again)
    assert again.changes == ["the server was started anew"]


def test_a_report_of_another_process_is_not_believed(machine: Machine, told: Told) -> None:
    serving(machine)
    ready(machine, pid=41)
    machine.clock.meanwhile = lambda: ready(machine, pid=42)
    service.run(machine.host, told)
    assert told.waited == ["the server: starting"]


def test_the_servers_own_words_are_passed_on(machine: Machine, told: Told) -> None:
    serving(machine)
    error = {"code": "database-older", "message": "the schema is old", "next_step": "upgrade"}
    ready(machine, state="failed", error=error)
    machine.commands.answers["journalctl"] = "one\ntwo\n"
    with pytest.raises(HostError) as caught:
        service.run(machine.host, told)
    assert (caught.value.code, caught.value.next_step) == ("database-older", "upgrade")
    assert caught.value.tail == ("one", "two")


def test_the_unit_names_no_secret_and_knows_slow_metadata() -> None:
    text = service.unit_text(Places(), "eu-west-1")
    assert "Environment=AWS_METADATA_SERVICE_NUM_ATTEMPTS=5" in text
    assert "KillMode=control-group" in text
    assert "password" not in text.lower()


@pytest.mark.needs("systemd-analyze")
def test_the_unit_is_hardened(tmp_path: Path) -> None:
    unit = tmp_path / "mlflow.service"
    unit.write_text(service.unit_text(Places(), "eu-west-1"))
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", str(unit)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    assert found and float(found[1]) <= 2.5, done.stdout[-500:] + done.stderr


# --- proxy


def test_the_proxy_is_configured_before_it_is_installed(machine: Machine, told: Told) -> None:
    """Debian's own configuration would open port 80."""
    machine.commands.fail("dpkg-query", "no packages found")
    machine.places.ca.parent.mkdir(parents=True)
    machine.places.ca.write_text("PEM")
    config = machine.places.at(proxy.CONFIG)
    machine.commands.answers["apt-get"] = lambda: str(config.stat().st_size)
    proxy.run(machine.host, told)
    assert "the package caddy" in told.changes
    assert machine.account.objects["provision/public/ca.pem"] == "PEM"
    machine.commands.answers.pop("dpkg-query")
    machine.commands.answers["dpkg-query"] = "installed"
    again = Told()
    proxy.run(machine.host, again)
    assert again.changes == []


def test_sources_that_are_away_are_waited_for_and_named(machine: Machine, told: Told) -> None:
    machine.commands.fail("dpkg-query", "no packages found")
    machine.commands.fail(
        "apt-get", "E: Failed to fetch https://mirror.example/x Could not connect"
    )
    with pytest.raises(HostError) as caught:
        proxy.run(machine.host, told)
    assert caught.value.code == "packages-away"
    assert machine.clock.now > 600


@pytest.mark.needs("caddy")
@pytest.mark.parametrize(("domain", "idle"), [(None, 0), ("mlflow.example.org", 6)])
def test_caddy_accepts_its_configuration(
    tmp_path: Path, machine: Machine, domain: str | None, idle: int
) -> None:
    hosts = ("198.51.100.7", "2001:db8::7", "localhost")
    machine.with_settings(domain=domain, hosts=hosts, idle_hours=idle)
    config = tmp_path / "Caddyfile"
    config.write_text(proxy.caddyfile(machine.host.settings))
    done = subprocess.run(
        ["caddy", "adapt", "--config", str(config), "--adapter", "caddyfile"],
        capture_output=True, text=True, check=False, env={"HOME": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    adapted = json.loads(done.stdout)
    server = adapted["apps"]["http"]["servers"]["srv0"]
    assert server["listen"] == [":443"] and len(adapted["apps"]["http"]["servers"]) == 1
    assert server["protocols"] == ["h1", "h2"]
    assert (proxy.REQUESTS in done.stdout) is bool(idle)
    policies = adapted["apps"]["tls"]["automation"]["policies"]
    internal = next(p for p in policies if p["issuers"] == [{"module": "internal"}])
    assert {"198.51.100.7", "2001:db8::7", "localhost", "127.0.0.1"} <= set(internal["subjects"])
    if domain:
        acme = next(p for p in policies if p.get("subjects") == [domain])
        assert [issuer["module"] for issuer in acme["issuers"]] == ["acme", "internal"]


# --- upkeep


def test_upkeep_installs_timers_and_security_updates(machine: Machine, told: Told) -> None:
    machine.commands.answers["dpkg-query"] = "installed"
    upkeep.run(machine.host, told)
    updates = machine.places.at("/etc/apt/apt.conf.d/99provision").read_text()
    assert "Debian-Security" in updates and 'Automatic-Reboot "false"' in updates
    assert any("provision-renew.timer" in c for c in machine.commands.asked)
    again = Told()
    upkeep.run(machine.host, again)
    assert again.changes == []


@pytest.mark.parametrize("fields", [["amazon-ssm-agent", "amd64"], ["something", "amd64"]])
def test_only_the_agent_itself_is_installed(
    machine: Machine, told: Told, fields: list[str]
) -> None:
    machine.with_settings(ssm=True)
    machine.commands.answers["dpkg-query -W -f ${db:Status-Status} unattended"] = "installed"
    machine.commands.fail("dpkg-query")
    machine.commands.answers["dpkg --print-architecture"] = "amd64\n"
    package = machine.places.code / "amazon-ssm-agent.deb"
    for name, value in zip(("Package", "Architecture"), fields, strict=True):
        machine.commands.answers[f"dpkg-deb --field {package} {name}"] = value
    if fields[0] == "amazon-ssm-agent":
        upkeep.run(machine.host, told)
        assert "the SSM agent" in told.changes
        assert any("amazon-ssm-eu-west-1/latest/debian_amd64" in c for c in machine.commands.asked)
    else:
        with pytest.raises(HostError) as caught:
            upkeep.run(machine.host, told)
        assert caught.value.code == "ssm-agent-away"
        assert not any("--install" in c for c in machine.commands.asked)


# --- files


def test_a_file_is_written_only_when_it_differs(tmp_path: Path) -> None:
    path = tmp_path / "file"
    assert files.write(path, "one", 0o640)
    before = path.stat().st_ino
    assert not files.write(path, "one", 0o640)
    assert path.stat().st_ino == before
    assert files.write(path, "one", 0o600)
    assert path.stat().st_mode & 0o777 == 0o600
    (tmp_path / "file.part").write_text("of a run that was cut off")
    assert files.write(path, "two", 0o600)
    assert path.read_text() == "two"
