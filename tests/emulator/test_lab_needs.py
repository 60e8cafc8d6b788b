"""What a rehearsal says about a machine that cannot have one."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from provision.adapters import processes, workspace
from provision.app.questions import ask
from provision.emulator.lab import authority, image, needs
from provision.emulator.lab.client import cache_folder
from provision.errors import MissingError
from provision.model.report import Outcome
from provision.wiring_lab import DISK_BYTES, MEMORY_BYTES, LabQuestions


@pytest.fixture(autouse=True)
def able(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that has everything; each test takes one thing from it."""
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(needs, "_capabilities", lambda: (1 << 41) - 1)
    monkeypatch.setattr(needs, "_load", lambda _: None)
    monkeypatch.setattr(needs, "path_of", lambda program: f"/usr/bin/{program}")
    monkeypatch.setattr(needs, "postgres_folder", lambda: Path("/usr/lib/postgresql/15/bin"))


def missing() -> MissingError:
    with pytest.raises(MissingError) as caught:
        needs.require()
    return caught.value


def test_a_machine_that_has_everything_is_fine() -> None:
    needs.require()


def test_it_takes_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    assert "Linux" in missing().message


def test_it_takes_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    error = missing()
    assert "root" in error.message
    assert "sudo" in error.next_step
    assert error.exit_code == 5


def test_roots_of_containers_are_told_what_they_lack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(needs, "_capabilities", lambda: 0xA80425FB)  # Docker's default
    assert "CAP_SYS_ADMIN and CAP_NET_ADMIN" in missing().message


def test_missing_programs_come_with_the_line_that_installs_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gone = ("dnsmasq", "mmdebstrap")
    monkeypatch.setattr(needs, "path_of", lambda name: None if name in gone else f"/bin/{name}")
    monkeypatch.setattr(needs, "postgres_folder", lambda: None)
    error = missing()
    assert "mmdebstrap, dnsmasq, postgres" in error.message
    packages = "dnsmasq-base mmdebstrap postgresql"
    assert error.next_step == f"apt-get install --no-install-recommends {packages}"


def wrong(folder: Path) -> list[str]:
    asked = LabQuestions(folder, {"XDG_CACHE_HOME": str(folder)}).all()
    findings = ask(asked, time.monotonic, 60).findings()
    return [finding.id for finding in findings if finding.outcome is not Outcome.OK]


def test_doctor_asks_for_each_thing_and_names_exactly_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workspace, "free_bytes", lambda _: DISK_BYTES)
    monkeypatch.setattr(processes, "available_memory", lambda: MEMORY_BYTES)
    cache = cache_folder({"XDG_CACHE_HOME": str(tmp_path)})
    cache.mkdir(parents=True)
    made = image._place(cache, authority.keep(cache, "rehearsal-ca").fingerprint)
    made.touch()
    assert wrong(tmp_path) == []
    for place, value, problem in (
        ("os.geteuid", lambda: 1000, "lab-rights.missing"),
        ("provision.emulator.lab.needs.path_of", lambda _: None, "lab-programs.missing"),
        ("provision.adapters.workspace.free_bytes", lambda _: DISK_BYTES - 1, "lab-disk.full"),
        (
            "provision.adapters.processes.available_memory",
            lambda: MEMORY_BYTES - 1,
            "lab-memory.too-small",
        ),
    ):
        with monkeypatch.context() as broken:
            broken.setattr(place, value)
            assert wrong(tmp_path) == [problem]
    made.unlink()
    assert wrong(tmp_path) == ["lab-image.to-make"]
