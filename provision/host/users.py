"""Accounts of the system that services run as."""

from __future__ import annotations

from pathlib import Path

from provision.host.run import Host, Step


def ensure(host: Host, step: Step, name: str, home: Path) -> None:
    """Leave a user of this name with a group of its own; it cannot log in."""
    if not host.commands.succeeds("id", name):
        host.commands.run(
            "useradd", "--system", "--user-group", "--home-dir", str(home), "--no-create-home",
            "--shell", "/usr/sbin/nologin", name,
        )  # fmt: skip
        step.changed(f"the user {name}")
    elif not host.commands.succeeds("id", "-gn", name):
        # useradd writes the user first: when the power fails right then, its group is not there.
        number = host.commands.run("id", "-g", name).strip()
        host.commands.run("groupadd", "--system", "--gid", number, name)
        step.changed(f"the group {name}")
