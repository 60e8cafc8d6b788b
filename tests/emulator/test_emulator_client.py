"""An account in a process of its own: started once, found while it lives, lost when it ends."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import psutil
import pytest

from provision.emulator import client, control, record
from provision.emulator.client import Emulated
from provision.emulator.faults import Fault
from provision.errors import ProvisionError

pytestmark = pytest.mark.slow
# As any program would: nothing but the environment says where to go.
LIST_BUCKETS = """
import boto3
print([bucket["Name"] for bucket in boto3.client("s3").list_buckets()["Buckets"]])
"""
ASK_THE_REAL_AWS = """
import boto3, botocore.config
config = botocore.config.Config(retries={"total_max_attempts": 1})
url = "https://sts.eu-west-1.amazonaws.com"
boto3.client("sts", endpoint_url=url, config=config).get_caller_identity()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "rehearsal"
    yield folder
    client.stop(folder)


def start(folder: Path, **more: Any) -> Emulated:
    return client.start(folder, sys.executable, os.environ, regions=["eu-west-1"], **more)


def s3_of(account: Emulated) -> Any:
    keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
    where = {"region_name": "us-east-1", "endpoint_url": account.endpoint}
    return boto3.client("s3", **keys, **where)


def python(account: Emulated, program: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program], env=account.over({**os.environ, **more}),
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def test_a_started_account_is_found_and_used_again(folder: Path) -> None:
    account = start(folder)
    assert client.find(folder) == account == start(folder)
    assert account.account == client.ACCOUNT
    assert account.endpoint.startswith("http://127.0.0.1:")


def test_its_files_are_for_its_user_alone(folder: Path) -> None:
    start(folder)
    assert folder.stat().st_mode & 0o077 == 0
    names = {path.name for path in folder.iterdir()}
    assert names == {"emulator.json", "emulator.lock", "emulator.log"}
    assert all(path.stat().st_mode & 0o177 == 0 for path in folder.iterdir())


def test_it_listens_on_the_loopback_alone(folder: Path) -> None:
    process = psutil.Process(start(folder).pid)
    listening = [c for c in process.net_connections("inet") if c.status == psutil.CONN_LISTEN]
    assert {c.laddr.ip for c in listening} == {"127.0.0.1"}


def test_programs_find_it_by_its_environment_alone(folder: Path) -> None:
    account = start(folder)
    s3_of(account).create_bucket(Bucket="only-here")
    done = python(account, LIST_BUCKETS, AWS_PROFILE="work", AWS_SESSION_TOKEN="real")
    assert (done.stdout.strip(), done.returncode) == ("['only-here']", 0), done.stderr


def test_a_shell_finds_it_by_the_lines(folder: Path) -> None:
    account = start(folder)
    s3_of(account).create_bucket(Bucket="by-shell")
    before = {**os.environ, "AWS_PROFILE": "work", "AWS_SESSION_TOKEN": "real"}
    script = "\n".join(["set -e", *account.lines(), 'exec "$0" -c "$1"'])
    done = subprocess.run(
        ["bash", "-c", script, sys.executable, LIST_BUCKETS], env=before,
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (done.stdout.strip(), done.returncode) == ("['by-shell']", 0), done.stderr


def test_nothing_reaches_the_real_aws(folder: Path) -> None:
    done = python(start(folder), ASK_THE_REAL_AWS)
    assert done.returncode == 1
    assert "Failed to connect to proxy URL" in done.stderr


def test_the_way_out_can_be_left_open(folder: Path) -> None:
    opened = start(folder).environment(closed=False)
    assert not [name for name in opened if "PROXY" in name.upper()]
    assert opened["AWS_CONFIG_FILE"] == os.devnull


def test_its_process_knows_nothing_of_the_users_aws(folder: Path) -> None:
    given = {**os.environ, "AWS_SECRET_ACCESS_KEY": "real", "AWS_PROFILE": "work"}
    account = client.start(folder, sys.executable, given)
    seen = psutil.Process(account.pid).environ()
    assert not [name for name in seen if name.startswith("AWS_")]
    assert seen["HTTPS_PROXY"] == "http://127.0.0.1:9"


def test_it_has_a_session_of_its_own_and_outlives_a_hangup(folder: Path) -> None:
    account = start(folder)
    assert os.getsid(account.pid) == account.pid != os.getsid(0)
    os.kill(account.pid, signal.SIGHUP)
    s3_of(account).list_buckets()


def test_what_it_holds_is_lost_with_it(folder: Path) -> None:
    first = start(folder)
    s3_of(first).create_bucket(Bucket="gone-tomorrow")
    assert client.stop(folder)
    assert not psutil.pid_exists(first.pid) or _is_zombie(first.pid)
    assert client.find(folder) is None
    assert not client.stop(folder)
    second = start(folder)
    assert second.pid != first.pid
    assert s3_of(second).list_buckets()["Buckets"] == []


def _is_zombie(pid: int) -> bool:
    return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)


def test_a_killed_one_is_not_found_and_can_be_replaced(folder: Path) -> None:
    first = start(folder)
    os.kill(first.pid, signal.SIGKILL)
    psutil.wait_procs([psutil.Process(first.pid)], timeout=10)
    assert (folder / record.RECORD).exists()
    assert client.find(folder) is None
    assert start(folder).pid != first.pid


def test_a_record_that_names_somebody_elses_process_is_not_believed(folder: Path) -> None:
    start(folder)
    client.stop(folder)
    mine = {"pid": os.getpid(), "endpoint": "http://127.0.0.1:1", "account": "1"}
    record.write(folder, {**mine, "started_at": "", "regions": [], "faults": False})
    assert client.find(folder) is None
    assert not client.stop(folder)


def test_one_that_does_not_end_when_told_is_killed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = start(folder)
    monkeypatch.setattr(client, "_STOP_SECONDS", 1.0)
    os.kill(account.pid, signal.SIGSTOP)
    assert client.stop(folder)
    assert client.find(folder) is None


def test_two_that_start_at_once_share_one(folder: Path) -> None:
    folder.mkdir()
    with ThreadPoolExecutor(2) as pool:
        one, two = pool.map(lambda _: start(folder), range(2))
    assert one == two == client.find(folder)
    assert serving(folder) == [one.pid]
    client.stop(folder)
    assert serving(folder) == []


def serving(folder: Path) -> list[int]:
    """All processes that serve this folder, or would like to."""
    return [process.pid for process in psutil.process_iter() if str(folder) in _arguments(process)]


def _arguments(process: psutil.Process) -> list[str]:
    with contextlib.suppress(psutil.Error):
        return list(process.cmdline())
    return []


def test_a_folder_has_one_account_only(folder: Path) -> None:
    account = start(folder)
    again = subprocess.run(
        [sys.executable, "-m", "provision.emulator", str(folder)],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert again.returncode == 4
    assert f"process {account.pid}" in again.stderr


def test_a_region_that_there_is_not_is_named(folder: Path) -> None:
    with pytest.raises(ProvisionError, match="AWS has no region moon-1"):
        client.start(folder, sys.executable, os.environ, regions=["moon-1"])
    assert client.find(folder) is None


def test_one_that_cannot_start_says_where_to_look(folder: Path) -> None:
    with pytest.raises(ProvisionError) as failure:
        client.start(folder, "/bin/false", os.environ)
    assert "emulator.log" in failure.value.next_step


def test_faults_are_for_those_who_asked_for_them(folder: Path) -> None:
    account = start(folder)
    with pytest.raises(ValueError, match="no faults can be set"):
        control.set_faults(account.endpoint, [Fault("reset")])
    s3_of(account).list_buckets()


def test_the_override_names_nothing_but_the_emulation(folder: Path) -> None:
    account = start(folder)
    assert account.override() == client.override()
    assert "max_retries                 = 25" in account.override(max_retries=25)
    assert account.endpoint not in account.override(), "it comes by the environment"


def test_the_record_says_what_the_account_is(folder: Path) -> None:
    account = start(folder, faults=True)
    written = json.loads((folder / record.RECORD).read_text())
    assert written["schema"] == "provision.emulator/1"
    assert written["endpoint"] == account.endpoint
    assert (written["pid"], written["faults"]) == (account.pid, True)


@pytest.mark.parametrize(
    ("endpoint", "lent"),
    [
        ("http://127.0.0.1:4100", True),
        ("http://localhost:4566", True),
        ("http://[::1]:4100", True),
        ("https://vpce-1.ec2.eu-west-1.vpce.amazonaws.com", False),
        ("http://localhost.example.com", False),
        ("", False),
    ],
)
def test_an_account_is_lent_where_the_settings_lead_to_this_machine(
    endpoint: str, lent: bool
) -> None:
    assert client.is_lent({"AWS_ENDPOINT_URL": endpoint}) is lent


def test_only_the_ways_that_were_closed_are_opened() -> None:
    closed = Emulated("http://127.0.0.1:1", 1, client.ACCOUNT, "").environment()
    ours = client.opened({**closed, "https_proxy": "http://proxy.example:3128"})
    assert {name for name in ours if "_PROXY" in name.upper()} == {
        "NO_PROXY", "no_proxy", "https_proxy",
    }  # fmt: skip
    assert ours["AWS_ENDPOINT_URL"] == "http://127.0.0.1:1"


def test_without_made_up_keys_the_override_leaves_those_of_the_environment() -> None:
    assert '"testing"' in client.override()
    assert "_key" not in client.override(keys=False)
