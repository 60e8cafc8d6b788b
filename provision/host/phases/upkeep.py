"""What keeps the machine in order without anybody: updates, renewals, clean-up, remote access."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from provision.host import apt, files
from provision.host.failures import HostError
from provision.host.places import SERVER_USER
from provision.host.run import Host, Step

_PROGRAM: Final = "/usr/bin/python3 -I /opt/provision/bundle/provision.pyz"

# Only what Debian's security team publishes; nothing restarts the machine by itself.
_UPDATES: Final = """\
APT::Periodic::Update-Package-Lists "1";
APT::Periodic::Unattended-Upgrade "1";
APT::Periodic::AutocleanInterval "7";
Acquire::Retries "3";
#clear Unattended-Upgrade::Origins-Pattern;
Unattended-Upgrade::Origins-Pattern { "origin=Debian,codename=${distro_codename}-security,label=Debian-Security"; };
Unattended-Upgrade::Remove-Unused-Dependencies "true";
Unattended-Upgrade::Automatic-Reboot "false";
"""  # noqa: E501

# Uploads that a killed server left half way; its dumps; nothing else grows.
_TEMPORARY: Final = f"""\
d /var/lib/provision/server/tmp 0700 {SERVER_USER} {SERVER_USER} 1d
e /var/lib/provision/server/backups - - - 90d
"""

_JOURNAL: Final = """\
[Journal]
Storage=persistent
SystemMaxUse=300M
SystemKeepFree=500M
MaxRetentionSec=60day
"""

_FILES: Final = {
    "/etc/apt/apt.conf.d/99provision": _UPDATES,
    "/etc/tmpfiles.d/provision.conf": _TEMPORARY,
    "/etc/systemd/journald.conf.d/provision.conf": _JOURNAL,
}


def _service(description: str, action: str) -> str:
    return (
        f"[Unit]\nDescription={description}\nWants=network-online.target\n"
        "After=network-online.target\nStartLimitIntervalSec=0\n\n"
        f"[Service]\nType=oneshot\nExecStart={_PROGRAM} {action}\n"
        "Restart=on-failure\nRestartSec=30\n"
    )


def _timer(description: str, when: str) -> str:
    return (
        f"[Unit]\nDescription={description}\n\n[Timer]\n{when}\nRandomizedDelaySec=10min\n"
        "Persistent=true\n\n[Install]\nWantedBy=timers.target\n"
    )


_RENEWAL: Final = "Renew the password of the server's database role"
_WATCH: Final = "Look whether the certificate is renewed in time"
_UNITS: Final = {
    "provision-renew.service": _service(_RENEWAL, "--renew-password"),
    "provision-renew.timer": _timer(_RENEWAL, "OnCalendar=Sun 03:30"),
    "provision-watch.service": _service(_WATCH, "--watch"),
    "provision-watch.timer": _timer(_WATCH, "OnCalendar=hourly"),
}


def run(host: Host, step: Step) -> None:
    """Install what works by itself from now on."""
    apt.ensure(host, step, "unattended-upgrades")
    new = [path for path, text in _FILES.items() if _write(host, path, text)]
    if new:
        host.commands.run("systemctl", "try-restart", "systemd-journald.service")
        host.commands.succeeds("systemd-tmpfiles", "--create", "/etc/tmpfiles.d/provision.conf")
        step.changed("security updates, clean-up and limits of logs")
    _timers(host, step)
    if host.settings.ssm:
        _agent(host, step)


def _write(host: Host, path: str, text: str) -> bool:
    target = host.places.at(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    return files.write(target, text)


def _timers(host: Host, step: Step) -> None:
    folder = "/etc/systemd/system"
    new = [name for name, text in _UNITS.items() if _write(host, f"{folder}/{name}", text)]
    if new:
        host.commands.run("systemctl", "daemon-reload")
        timers = [name for name in _UNITS if name.endswith(".timer")]
        host.commands.run("systemctl", "enable", "--now", *timers)
        step.changed("the timers that renew password and certificate")


def _agent(host: Host, step: Step) -> None:
    """AWS's agent, from the bucket that AWS keeps in each region.

    What is verified: TLS to S3, and that the package is AWS's agent for this architecture. Not its
    detached signature: AWS replaces that key every few years, and a machine with an old one here
    could no longer be reached at all.
    """
    if apt.installed(host, "amazon-ssm-agent"):
        return
    local = host.places.bundle / "debs" / "amazon-ssm-agent.deb"
    package = local if local.is_file() else _download_agent(host, step)
    _check_agent(host, package)
    host.commands.run("dpkg", "--force-confold", "--install", str(package))
    host.commands.run("systemctl", "enable", "--now", "amazon-ssm-agent.service")
    step.changed("the SSM agent")


def _architecture(host: Host) -> str:
    return host.commands.run("dpkg", "--print-architecture").strip()


def agent_url(region: str, architecture: str) -> str:
    """Where AWS keeps the agent (Systems Manager's guide, "Install SSM Agent on Debian")."""
    suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    return (
        f"https://s3.{region}.{suffix}/amazon-ssm-{region}/latest/debian_{architecture}/"
        "amazon-ssm-agent.deb"
    )


def _download_agent(host: Host, step: Step) -> Path:
    target = host.places.code / "amazon-ssm-agent.deb"
    url = agent_url(host.settings.region, _architecture(host))

    def fetch() -> None:
        try:
            host.commands.run(
                "curl", "-q", "--silent", "--show-error", "--fail", "--max-time", "300",
                "--output", str(target), url,
            )  # fmt: skip
        except HostError as error:
            raise _no_agent(error.message, error) from error

    host.patiently(fetch, 300.0, ["ssm-agent-away"], step)
    return target


def _check_agent(host: Host, package: Path) -> None:
    fields = ("Package", "Architecture")
    found = [host.commands.run("dpkg-deb", "--field", str(package), f).strip() for f in fields]
    if found != ["amazon-ssm-agent", _architecture(host)]:
        raise _no_agent(f"what came is the package {' for '.join(found)}")


def _no_agent(why: str, error: HostError | None = None) -> HostError:
    return HostError(
        "ssm-agent-away",
        f"the SSM agent could not be installed: {why}",
        next_step="let the machine reach S3 on port 443; it tries again every minute. The server "
        "works without the agent, but `provision ssh` and `provision tunnel` need it",
        command=error.command if error else "",
        tail=error.tail if error else (),
    )
