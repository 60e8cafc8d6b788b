"""User data and settings: what a host is given, and what it refuses."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from provision.host import loader, user_data
from provision.host.failures import HostError
from provision.host.settings import HostSettings
from tests.host.conftest import SETTINGS

NAMES = {
    "name": "a" * 42,
    "region": "ap-southeast-2",
    "bucket": "b" * 63,
}
TEXT = user_data.user_data(**NAMES)
LOCKS = Path(user_data.__file__).with_name("locks")
REQUIREMENTS = Path(__file__).parent.parent.parent / "requirements"


def test_it_stays_under_the_limit_of_ec2() -> None:
    assert len(TEXT.encode()) < user_data.LIMIT_BYTES


def test_it_is_a_cloud_config_with_the_loader_as_it_is() -> None:
    assert TEXT.startswith("#cloud-config\n")
    config = yaml.safe_load(TEXT)
    files = {entry["path"]: entry for entry in config["write_files"]}
    assert files[user_data.LOADER]["content"] == Path(loader.__file__).read_text()
    assert files[user_data.LOADER]["permissions"] == "0755"
    assert json.loads(files["/etc/provision/stack.json"]["content"]) == NAMES
    assert config["package_upgrade"] is False and config["locale"] == "C.UTF-8"
    assert ["systemctl", "start", "--no-block", user_data.UNIT] in config["runcmd"]


def test_the_unit_runs_the_loader_at_each_boot_and_again_after_a_failure() -> None:
    config = yaml.safe_load(TEXT)
    unit = next(e["content"] for e in config["write_files"] if e["path"].endswith(".service"))
    assert f"ExecStart=/usr/bin/python3 {user_data.LOADER}\n" in unit
    assert "Restart=on-failure" in unit and "WantedBy=multi-user.target" in unit


def test_the_same_names_give_the_same_text() -> None:
    assert user_data.user_data(**NAMES) == TEXT


def test_settings_are_read_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    path.write_text(SETTINGS.to_json())
    assert HostSettings.load(path) == SETTINGS
    assert HostSettings.from_json(SETTINGS.to_json()).to_json() == SETTINGS.to_json()


@pytest.mark.parametrize(
    "change",
    [
        {"schema": "provision.host/2"},
        {"artifacts": "sideways"},
        {"hosts": []},
        {"hosts": ["has space"]},
        {"hosts": ["evil {\n}"]},
        {"extra_hosts": ["*"]},
        {"bucket": "a b"},
        {"database_identifier": "x;y"},
        {"admin_secret": ""},
        {"unknown": 1},
        {"name": None},
    ],
)
def test_settings_that_cannot_be_are_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    raw = json.loads(SETTINGS.to_json()) | change
    with pytest.raises(HostError) as caught:
        HostSettings.from_json(json.dumps(raw))
    assert caught.value.code == "settings-invalid"


def test_settings_that_are_missing_are_named(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="No such file"):
        HostSettings.load(tmp_path / "none.json")


def locked(text: str) -> dict[tuple[str, str], set[str]]:
    """Name and version -> hashes, of a lock in pip's format (one name may have two versions)."""
    found: dict[tuple[str, str], set[str]] = {}
    for block in re.split(r"\n(?=[a-z0-9])", text):
        match = re.match(r"([a-z0-9.-]+)==(\S+)", block)
        if match:
            found[match[1], match[2]] = set(re.findall("sha256:([0-9a-f]{64})", block))
    return found


@pytest.mark.parametrize("arch", ["x86_64", "aarch64"])
def test_the_locks_hold_one_hash_that_the_kits_own_lock_knows(arch: str) -> None:
    text = (LOCKS / f"{arch}.lock").read_text()
    one = re.compile(r"[a-z0-9.-]+==\S+ --hash=sha256:[0-9a-f]{64}")
    assert [line for line in text.splitlines() if not one.fullmatch(line)] == []
    runtime = locked((REQUIREMENTS / "runtime.lock").read_text())
    for package, hashes in locked(text).items():
        assert hashes <= runtime[package]
    names = {name for name, _ in locked(text)}
    needed = {"mlflow", "boto3", "psycopg2-binary", "gunicorn", "uvicorn-worker", "uvloop"}
    assert needed <= names
    assert "supervisor" not in names, "the host has systemd"


def test_uv_is_pinned_for_each_architecture() -> None:
    pin = json.loads((LOCKS / "uv.json").read_text())
    version = pin["version"]
    hashes = locked((REQUIREMENTS / "bootstrap.lock").read_text())["uv", version]
    assert {wheel["sha256"] for wheel in pin["wheels"].values()} <= hashes
    for arch, wheel in pin["wheels"].items():
        assert arch in wheel["file"] and f"uv-{version}-" in wheel["file"]
