"""The phases up to the account, on a host in a folder: twice is once."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from provision.host.failures import HostError
from provision.host.phases import account, bundle, database, environment, role, system
from provision.model.sizing import MIB
from tests.host.bundles import filled, python_here, relisted
from tests.host.conftest import Machine, Told

# --- role


def test_the_clock_is_compared(machine: Machine, told: Told) -> None:
    machine.account.skew = -3600.0
    with pytest.raises(HostError) as caught:
        role.run(machine.host, told)
    assert caught.value.code == "clock-off"
    assert "behind" in caught.value.message and "3600 s" in caught.value.message
    assert "chronyc makestep" in machine.commands.asked


def test_a_clock_that_comes_right_is_waited_for(machine: Machine, told: Told) -> None:
    machine.account.skew = 3600.0
    machine.clock.meanwhile = lambda: setattr(machine.account, "skew", 0.0)
    role.run(machine.host, told)
    assert "ahead" in told.waited[0]
    assert told.details == ["i-0123456789abcdef0 with the role demo-server in eu-west-1"]


# --- system


@pytest.mark.parametrize("name", ["sources.list", "sources.list.d/d.sources", "mirrors/d.list"])
def test_package_sources_get_https(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("# see http://wiki.debian.org\ndeb http://mirror.example/debian x main\n")
    assert system.encrypted_sources(tmp_path)
    assert path.read_text().splitlines() == [
        "# see http://wiki.debian.org", "deb https://mirror.example/debian x main",
    ]  # fmt: skip
    assert not system.encrypted_sources(tmp_path)


def test_small_machines_get_swap_and_containers_none(machine: Machine, told: Told) -> None:
    unit = machine.places.at("/etc/systemd/system/opt-provision-swap.swap")
    unit.parent.mkdir(parents=True)
    machine.places.at("/proc/meminfo").write_text("MemTotal:  980000 kB\n")
    machine.places.at("/opt/provision").mkdir(exist_ok=True)
    machine.commands.answers["fallocate"] = lambda: machine.places.at(
        "/opt/provision/swap"
    ).write_text("")
    system.run(machine.host, told)
    assert "1024 MiB of swap" in told.changes
    unit.unlink()
    machine.commands.fail("systemctl enable --now opt-provision-swap.swap", "swapon failed")
    system.run(machine.host, told)
    assert "no swap" in told.details[-1]
    assert not unit.exists() and not machine.places.at("/opt/provision/swap").exists()


def test_a_user_whose_making_was_cut_off_gets_its_group(machine: Machine, told: Told) -> None:
    machine.commands.fail("id -gn mlflow", "cannot find name for group ID 995")
    machine.commands.answers["id -g mlflow"] = "995\n"
    system.run(machine.host, told)
    assert "groupadd --system --gid 995 mlflow" in machine.commands.asked
    assert "the group mlflow" in told.changes


def test_a_full_disk_is_named_before_anything_else(
    machine: Machine, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage("/")._replace(free=100 * MIB)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage)
    with pytest.raises(HostError) as caught:
        system.run(machine.host, told)
    assert caught.value.code == "disk-full"
    assert machine.commands.asked == []


# --- bundle and environment


def test_the_bundle_is_checked_again(machine: Machine, told: Told) -> None:
    filled(machine)
    bundle.run(machine.host, told)
    assert told.changes == ["the program, version 0.1.0", "the stack's settings"]
    again = Told()
    bundle.run(machine.host, again)
    assert again.changes == []
    (machine.places.bundle / "requirements.lock").write_text("changed")
    with pytest.raises(HostError, match=r"requirements\.lock is not the file"):
        bundle.run(machine.host, told)


def test_a_bundle_without_its_parts_is_named(machine: Machine, told: Told) -> None:
    filled(machine)
    (machine.places.bundle / "uv.whl").unlink()
    with pytest.raises(HostError, match=r"lacks uv\.whl"):
        bundle.run(relisted(machine).host, told)


def installing(machine: Machine) -> None:
    """Let uv make what it makes."""

    def venv() -> str:
        folder = environment.environment_folder(machine.host)
        (folder / "lib" / "python3.11" / "site-packages").mkdir(parents=True, exist_ok=True)
        return ""

    program = str(next(machine.places.code.glob("uv/*"), machine.places.code / "uv"))
    machine.commands.answers[program] = venv


def test_an_environment_is_built_once_for_a_lock(machine: Machine, told: Told) -> None:
    filled(machine)
    python_here(machine)
    installing(machine)
    environment.run(machine.host, told)
    assert told.changes == ["an environment with MLflow 3.17.2", "the server's code"]
    install = next(c for c in machine.commands.asked if " pip install " in c)
    assert "--require-hashes" in install and "--no-build" in install
    first = machine.places.python.parent.parent.resolve()
    again = Told()
    environment.run(machine.host, again)
    assert again.changes == []
    (machine.places.bundle / "requirements.lock").write_text("mlflow==3.17.3\n")
    environment.run(machine.host, again)
    assert machine.places.python.parent.parent.resolve() != first
    assert first.exists(), "a running server still uses it"
    bundle.run(relisted(machine).host, again)
    environment.forget_older(machine.host)
    assert not first.exists()


def test_an_install_that_was_cut_off_is_done_again(machine: Machine, told: Told) -> None:
    filled(machine)
    python_here(machine)
    (environment.environment_folder(machine.host) / "lib" / "python3.11" / "site-packages").mkdir(
        parents=True
    )
    environment.run(machine.host, told)
    assert "an environment with MLflow 3.17.2" in told.changes


def test_an_index_that_is_away_is_waited_for_and_named(machine: Machine, told: Told) -> None:
    filled(machine)
    python_here(machine)
    failing = "error: Failed to fetch: `https://index.example/simple/mlflow/`\n  dns error"
    machine.commands.answers[str(machine.places.code / "uv")] = lambda: ""

    def fail(*command: str, **options: Any) -> str:
        machine.commands.asked.append(" ".join(command))
        if "install" in command:
            from provision.host.commands import failed

            raise failed(command, "exit code 2", failing)
        return ""

    machine.commands.run = fail  # type: ignore[method-assign, assignment]
    with pytest.raises(HostError) as caught:
        environment.run(machine.host, told)
    assert caught.value.code == "packages-away"
    assert "packages: bundled" in caught.value.next_step
    assert machine.clock.now > 600
    assert not machine.places.python.exists()


# --- database (its role has tests of its own, with a real one)


def test_a_database_that_is_being_made_is_waited_for(machine: Machine, told: Told) -> None:
    from provision.host.aws import DatabaseFacts

    databases = machine.account.databases
    databases["provision-demo"] = DatabaseFacts("creating", "", 5432, "")

    def made() -> None:
        if machine.clock.now > 600:
            databases["provision-demo"] = DatabaseFacts("available", "d", 5432, "arn")

    machine.clock.meanwhile = made
    assert database._found(machine.host, told).address == "d"
    assert "RDS calls it creating" in told.waited[0]


def test_a_database_that_is_deleted_is_not_waited_for(machine: Machine, told: Told) -> None:
    from provision.host.aws import DatabaseFacts

    machine.account.databases["provision-demo"] = DatabaseFacts("deleting", "", 5432, "")
    with pytest.raises(HostError) as caught:
        database._found(machine.host, told)
    assert caught.value.code == "database-gone"
    assert machine.clock.now == 0


@pytest.mark.parametrize(
    ("problem", "hint"),
    [
        ('connection to server at "d" failed: timeout expired', "security groups"),
        ('could not translate host name "d" to address', "DNS"),
        ("connection refused", "restarting"),
        ("SSL error: certificate verify failed", "certificate"),
    ],
)
def test_each_silence_of_the_database_has_a_cause(problem: str, hint: str) -> None:
    assert hint in database.unreachable(problem).next_step


def test_the_authorities_must_be_certificates(machine: Machine, told: Told) -> None:
    machine.commands.answers["curl"] = "<html>log in to this network</html>"
    with pytest.raises(HostError) as caught:
        database._authorities(machine.host, told)
    assert caught.value.code == "rds-ca-away"
    assert not machine.places.database_ca.exists()


# --- account


def test_the_admins_password_is_made_once(machine: Machine, told: Told) -> None:
    machine.account.secrets["provision-demo/admin"] = None
    account.run(machine.host, told)
    kept = json.loads(machine.account.secrets["provision-demo/admin"] or "")
    assert kept["username"] == "admin" and len(kept["password"]) >= 20
    assert machine.places.admin_password.read_text().strip() == kept["password"]
    assert machine.places.admin_password.stat().st_mode & 0o777 == 0o640
    again = Told()
    account.run(machine.host, again)
    assert again.changes == []
    assert json.loads(machine.account.secrets["provision-demo/admin"] or "") == kept


def test_a_new_host_takes_the_password_that_there_is(machine: Machine, told: Told) -> None:
    value = {"username": "admin", "password": "a-password-of-before"}
    machine.account.secrets["provision-demo/admin"] = json.dumps(value)
    account.run(machine.host, told)
    assert machine.places.admin_password.read_text() == "a-password-of-before\n"
    now = json.loads(machine.account.secrets["provision-demo/admin"] or "")
    passphrase = (machine.places.settings / "gateway-passphrase").read_text().strip()
    assert now == {**value, "gateway_passphrase": passphrase}


@pytest.mark.parametrize("action", ["GetSecretValue", "PutSecretValue"])
def test_a_right_that_is_missing_is_named(machine: Machine, told: Told, action: str) -> None:
    machine.account.secrets["provision-demo/admin"] = None
    machine.account.refused.add(f"secretsmanager:{action}")
    with pytest.raises(HostError, match=action):
        account.run(machine.host, told)


def test_an_unusable_secret_is_named(machine: Machine, told: Told) -> None:
    machine.account.secrets["provision-demo/admin"] = '{"password": "short"}'
    with pytest.raises(HostError, match="12 characters"):
        account.run(machine.host, told)


def test_without_accounts_nothing_is_kept(machine: Machine, told: Told) -> None:
    machine.with_settings(auth="none", admin_secret="")
    account.run(machine.host, told)
    assert not machine.places.admin_password.exists()
