"""`provision.pyz` as the machine starts it, and what timers run between bootstraps."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

import provision
from provision.host import watch
from provision.host.failures import HostError
from provision.model.boot import BootReport
from tests.certificates import Authority, Certificate
from tests.host.cloud import running
from tests.host.conftest import SETTINGS, Machine

PACKAGE = Path(provision.__file__).parent
MAIN = "from provision.host.__main__ import main\n\nmain()\n"


@pytest.fixture(scope="module")
def pyz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pyz") / "provision.pyz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("__main__.py", MAIN)
        for file in PACKAGE.rglob("*.py"):
            archive.write(file, file.relative_to(PACKAGE.parent))
    return path


def run(pyz: Path, root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Without any package that is installed here."""
    command = [sys.executable, "-I", "-S", str(pyz), "--root", str(root), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def stack(root: Path, address: str) -> None:
    facts = {"name": "demo", "region": "eu-west-1", "bucket": "b-1"}
    path = root / "etc" / "provision" / "stack.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({**facts, "endpoint": address, "metadata": address}))


def test_it_runs_with_the_standard_library_alone(pyz: Path, tmp_path: Path) -> None:
    with running() as cloud:
        stack(tmp_path, cloud.address)
        done = run(pyz, tmp_path, "--since", "2026-11-21T10:00:00+00:00", "role")
        assert done.returncode == 0, done.stderr
        stored = cloud.objects["provision/boot/i-0123456789abcdef0.json"].decode()
    report = BootReport.from_json(stored)
    assert report.state == "ready" and report.phase("role").state == "unchanged"
    assert report.started_at == "2026-11-21T10:00:00+00:00"
    assert (tmp_path / "var/lib/provision/boot.json").exists()


def test_a_failed_run_says_so_by_its_exit_code(pyz: Path, tmp_path: Path) -> None:
    with running() as cloud:
        stack(tmp_path, cloud.address)
        done = run(pyz, tmp_path, "bundle")
        report = BootReport.from_json(
            cloud.objects["provision/boot/i-0123456789abcdef0.json"].decode()
        )
    assert done.returncode == 1
    assert report.failure is not None and report.failure.code == "bundle-unusable"
    assert "next:" in done.stderr


def test_an_unknown_phase_is_bad_usage(pyz: Path, tmp_path: Path) -> None:
    stack(tmp_path, "http://127.0.0.1:9")
    done = run(pyz, tmp_path, "rolle")
    assert done.returncode == 2
    assert "no such phase: rolle" in done.stderr


def test_to_be_asked_changes_nothing_and_tells_what_does_not_work(
    pyz: Path, tmp_path: Path
) -> None:
    with running() as cloud:
        stack(tmp_path, cloud.address)
        bundle = tmp_path / "opt/provision/bundle"
        bundle.mkdir(parents=True)
        (bundle / "settings.json").write_text(SETTINGS.to_json())
        (tmp_path / "etc/provision/admin-password").write_text("a-long-enough-password")
        done = run(pyz, tmp_path, "--ask")
        assert cloud.objects == {}
    assert done.returncode == 1
    assert "not-ready: a client's request does not come through" in done.stderr
    assert not (tmp_path / "var/lib/provision/boot.json").exists()


@contextmanager
def serving(certificate: Certificate) -> Iterator[int]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.certificate, certificate.key)
    listener = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        with suppress(OSError):
            context.wrap_socket(listener.accept()[0], server_side=True).close()

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    yield listener.getsockname()[1]
    listener.close()
    thread.join(10)


@pytest.mark.parametrize(("days", "restarts"), [(30, False), (-1, True)])
def test_a_certificate_that_runs_out_restarts_the_proxy(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, days: int, restarts: bool
) -> None:
    authority = Authority(tmp_path)
    machine.places.public_ca.write_text(authority.ca_file.read_text())
    measure = watch._hours_left
    with serving(authority.issue("198.51.100.7", days=days)) as port:
        monkeypatch.setattr(
            watch, "_hours_left", lambda host, _address: measure(host, "127.0.0.1", port)
        )
        said = watch.watch(machine.host)
    assert ("systemctl restart caddy.service" in machine.commands.asked) is restarts
    assert ("restarted" in said) is restarts


def test_a_proxy_that_does_not_answer_is_restarted(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "own_address", lambda: "127.0.0.1")
    measure = watch._hours_left
    monkeypatch.setattr(watch, "_hours_left", lambda host, address: measure(host, address, 9))
    machine.places.public_ca.write_text(Authority(machine.places.root).ca_file.read_text())
    watch.watch(machine.host)
    assert "systemctl restart caddy.service" in machine.commands.asked


def test_a_password_is_not_renewed_before_there_is_one(machine: Machine) -> None:
    with pytest.raises(HostError) as caught:
        watch.renew_password(machine.host)
    assert caught.value.code == "database-unknown"
