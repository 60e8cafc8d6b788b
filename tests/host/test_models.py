"""Models on a host: what is asked of systemd, and what happens where they do not fit."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from provision.host import models, serve
from provision.host.failures import HostError
from provision.host.phases import models as phase
from provision.host.phases.bundle import digest
from provision.host.places import Places
from provision.model.serving import LIST_KEY, Served, served_from, served_text
from provision.serving.settings import ServiceSettings
from tests.host.conftest import Machine, Told

CHURN = Served("models:/churn@champion", 600)
UNIT = "provision-model@churn@champion.service"


@pytest.fixture
def ready(machine: Machine) -> Machine:
    """After the phases before: a bundle with a uv, the admin's password, no model."""
    bundle = machine.places.bundle
    bundle.mkdir(parents=True)
    (bundle / "uv.whl").write_text("")
    program = machine.places.code / "uv" / digest(bundle / "uv.whl")[:16]
    (program / "uv-1.data" / "scripts").mkdir(parents=True)
    (program / "uv-1.data" / "scripts" / "uv").write_text("")
    machine.places.admin_password.write_text("secret\n")
    python = machine.places.at("/usr/bin/python3.11")
    python.parent.mkdir(parents=True)
    python.touch()
    machine.places.at("/usr/bin/python3").symlink_to("python3.11")
    return machine


def told_to(machine: Machine) -> list[str]:
    found = [line for line in machine.commands.asked if line.startswith("systemctl")]
    machine.commands.asked.clear()
    return found


def test_a_model_gets_its_units_once(ready: Machine) -> None:
    models.keep(ready.host, [CHURN])
    assert served_from(ready.account.objects[LIST_KEY]) == (CHURN,)
    told = Told()
    phase.run(ready.host, told)
    assert f"systemctl restart {UNIT}" in told_to(ready)
    settings = ServiceSettings.load(phase.folder_of(ready.places, CHURN) / "service.json")
    assert settings is not None and settings.username == "admin" and settings.artifacts == ""
    assert settings.uri == "https://198.51.100.7/provision/models/churn@champion/"
    assert "198.51.100.7" in settings.allowed_hosts and settings.uv.endswith("/scripts/uv")
    limit = ready.places.at(
        "/etc/systemd/system/provision-scorer@churn@champion.service.d/memory.conf"
    )
    assert "MemoryMax=600M" in limit.read_text()
    again = Told()
    phase.run(ready.host, again)
    assert again.changes == [] and f"systemctl restart {UNIT}" not in told_to(ready)
    ready.places.admin_password.write_text("another\n")
    phase.run(ready.host, again)
    assert f"systemctl restart {UNIT}" in told_to(ready), "it has to log in with the new one"


def test_a_model_that_is_not_served_any_more_leaves_nothing(ready: Machine, told: Told) -> None:
    models.keep(ready.host, [CHURN])
    phase.run(ready.host, told)
    models.keep(ready.host, [])
    told_to(ready)
    phase.run(ready.host, told)
    assert f"systemctl disable --now {UNIT}" in told_to(ready)
    assert list(ready.places.models.iterdir()) == []
    assert not list(ready.places.at("/etc/systemd/system").glob("*.d"))


def test_a_machine_in_anothers_place_serves_what_that_one_did(machine: Machine) -> None:
    models.recall(machine.host)
    assert models.listed(machine.places) == ()
    machine.account.objects[LIST_KEY] = served_text([CHURN])
    models.recall(machine.host)
    assert models.listed(machine.places) == (CHURN,)
    machine.account.objects[LIST_KEY] = served_text([])
    models.recall(machine.host)
    assert models.listed(machine.places) == (CHURN,), "its own list counts"


def test_a_model_that_does_not_fit_is_refused_with_the_sum(
    ready: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready.places.at("/proc/meminfo").write_text("MemTotal: 980000 kB\n")
    monkeypatch.setattr(serve, "_require_machine", lambda _: None)
    with pytest.raises(HostError) as caught:
        serve.serve(ready.host, {"model": CHURN.uri, "memory": 600}, lambda _: None)
    assert "680 MiB for models" in caught.value.message
    assert "aws.settings.instance_type" in caught.value.next_step
    assert models.listed(ready.places) == ()


def test_the_server_goes_first_where_models_do_not_fit_any_more(ready: Machine, told: Told) -> None:
    models.keep(ready.host, [CHURN])
    assert models.room(ready.host) == 680
    ready.places.at("/proc/meminfo").write_text("MemTotal: 980000 kB\n")
    assert models.room(ready.host) == 0
    phase.run(ready.host, told)
    assert f"systemctl disable --now {UNIT}" in told_to(ready)
    ready.commands.fail("systemctl is-active", "inactive")
    (state,) = serve.services(ready.host)["services"]
    assert state["health"] == "failed" and "does not fit" in state["reason"]


def test_a_model_that_cannot_be_started_does_not_stop_the_boot(ready: Machine, told: Told) -> None:
    models.keep(ready.host, [CHURN])
    ready.commands.fail("systemctl restart provision-model@", "Unit failed to load")
    ready.commands.fail("systemctl is-active", "inactive")
    phase.run(ready.host, told)
    assert "cannot be started" in told.details[-1]
    (state,) = serve.services(ready.host)["services"]
    assert state["health"] == "failed" and "systemctl" in state["reason"]
    ready.commands.answers.clear()
    phase.run(ready.host, told)
    assert told.details[-1] == CHURN.uri


def test_wishes_are_answered_in_one_line_of_json(machine: Machine) -> None:
    def ask(**wish: object) -> dict[str, object]:
        return dict(json.loads(serve.answer(machine.host, json.dumps(wish), lambda _: None)))

    assert ask(do="list") == {"ok": True, "services": []}
    assert ask(do="stop", model=CHURN.uri) == {"ok": True, "changed": False}
    refused = ask(do="stop", model="churn")
    assert refused["ok"] is False and "not the address" in str(refused["error"])


@pytest.mark.parametrize("made", ["front", "scorer"])
def test_the_units_are_hardened(tmp_path: Path, made: str) -> None:
    text = {
        "front": phase.front_unit(Places(), accounts=True),
        "scorer": phase.scorer_unit(Places(), Path("/opt/provision/code/x")),
    }[made]
    unit = tmp_path / f"{made}@x.service"
    unit.write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", str(unit)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    assert found and float(found[1]) <= 2.0, done.stdout[-500:] + done.stderr


def test_a_models_own_unit_reaches_nothing() -> None:
    lines = phase.scorer_unit(Places(), Path("/code")).splitlines()
    for line in ("DynamicUser=yes", "PrivateNetwork=yes", "RestrictAddressFamilies=AF_UNIX",
                 "NoNewPrivileges=yes", "ProtectSystem=strict"):  # fmt: skip
        assert line in lines
    assert not [line for line in lines if "password" in line.lower() or "AF_INET" in line]
