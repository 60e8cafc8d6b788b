"""What a rehearsal says about a machine that cannot have one."""

from __future__ import annotations

from pathlib import Path

import pytest

from provision.emulator.lab import needs
from provision.errors import MissingError


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
