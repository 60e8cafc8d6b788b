"""The server as a systemd service with as few rights as it works with."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final

from provision.host import files
from provision.host.failures import HostError
from provision.host.phases.bundle import code_folder
from provision.host.phases.environment import environment_folder
from provision.host.places import SERVER_USER, Places
from provision.host.run import Host, Step
from provision.host.server_file import PORT

UNIT: Final = "mlflow.service"
_START_SECONDS: Final = 300.0
_FAILED_SECONDS: Final = 45.0
_SYSTEM_CERTIFICATES: Final = "/etc/ssl/certs/ca-certificates.crt"

# Botocore asks the metadata service once, for a second; one slow answer, and a worker has no
# credentials for minutes (botocore #1791, #2304).
VARIABLES: Final = {
    "AWS_METADATA_SERVICE_TIMEOUT": "5",
    "AWS_METADATA_SERVICE_NUM_ATTEMPTS": "5",
    "AWS_CA_BUNDLE": _SYSTEM_CERTIFICATES,
    "PYTHONDONTWRITEBYTECODE": "1",
}

HARDENING: Final = """\
NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
PrivateUsers=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
ProtectProc=invisible
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
RemoveIPC=yes
KeyringMode=private
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM
UMask=0077
"""


def run(host: Host, step: Step) -> None:
    """Install the unit, start the server or restart it where something is new, and wait for it."""
    unit = unit_text(host.places, host.settings.region)
    if files.write(host.places.at(f"/etc/systemd/system/{UNIT}"), unit):
        host.commands.run("systemctl", "daemon-reload")
        host.commands.run("systemctl", "enable", UNIT)
        step.changed("the unit of the server")
    mark = host.places.state / "started"
    wanted = _fingerprint(host, unit)
    if files.read(mark) != wanted:
        host.commands.run("systemctl", "restart", UNIT)
        step.changed("the server was started anew")
    elif not host.commands.succeeds("systemctl", "is-active", "--quiet", UNIT):
        host.commands.run("systemctl", "start", UNIT)
        step.changed("the server was started")
    _wait(host, step)
    files.write(mark, wanted)
    step.detail(f"{UNIT} answers on port {PORT}, for this machine alone")


def unit_text(places: Places, region: str) -> str:
    """The unit. It names no secret: what the server needs is in files that its group may read."""
    variables = {
        **VARIABLES,
        "AWS_DEFAULT_REGION": region,
        "HOME": str(places.server),
        "TMPDIR": str(places.server / "tmp"),
    }
    return (
        "[Unit]\nDescription=MLflow tracking server\nWants=network-online.target\n"
        "After=network-online.target\nStartLimitIntervalSec=0\n\n"
        f"[Service]\nUser={SERVER_USER}\nGroup={SERVER_USER}\n"
        f"WorkingDirectory={places.server}\n"
        + "".join(f"Environment={name}={value}\n" for name, value in variables.items())
        + f"ExecStart={places.python} -P -m provision.server {places.server_settings}\n"
        "Restart=always\nRestartSec=2\nKillMode=control-group\nTimeoutStopSec=30\n"
        "OOMPolicy=continue\nLimitNOFILE=16384\n"
        f"ReadWritePaths={places.server}\n"
        f"{HARDENING}\n"
        "[Install]\nWantedBy=multi-user.target\n"
    )


def _fingerprint(host: Host, unit: str) -> str:
    """Changes when a running server is not the wanted one."""
    places = host.places
    secrets = [files.read(places.settings / n) for n in ("session-key", "gateway-passphrase")]
    parts = [unit, files.read(places.server_settings), *secrets]
    parts += [str(environment_folder(host)), str(code_folder(host))]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest() + "\n"


def _wait(host: Host, step: Step) -> None:
    """Until the server's own report says that requests are answered."""
    began = host.clock()
    while True:
        report = _report(host)
        if report.get("state") == "ready":
            return
        waited = host.clock() - began
        failed = report.get("state") == "failed"
        if waited > (_FAILED_SECONDS if failed else _START_SECONDS):
            raise _not_started(host, report)
        step.waits(f"the server: {_phase(report)}")
        host.sleep(0.25)


def _report(host: Host) -> dict[str, Any]:
    """The report of the process that systemd runs now; an older one is somebody else's."""
    try:
        report = dict(json.loads(files.read(host.places.server_report)))
    except ValueError:
        return {}
    main = host.commands.run("systemctl", "show", "--property=MainPID", "--value", UNIT).strip()
    if report.get("state") != "failed" and str(report.get("pid")) != main:
        return {}
    return report


def _phase(report: dict[str, Any]) -> str:
    phases = report.get("phases") or [{"name": "starting"}]
    return str(phases[-1]["name"])


def _not_started(host: Host, report: dict[str, Any]) -> HostError:
    told = report.get("error") or {}
    tail = journal(host, UNIT)
    return HostError(
        told.get("code", "server-failed"),
        told.get("message", f"the server did not start in {_START_SECONDS:.0f} s"),
        next_step=told.get("next_step", "the last lines above say why; `provision repair` tries "
                           "again at once"),
        command=f"systemctl start {UNIT}",
        tail=tail,
    )  # fmt: skip


def journal(host: Host, unit: str, lines: int = 15) -> list[str]:
    """The last lines that a unit has written."""
    try:
        text = host.commands.run(
            "journalctl", "--no-pager", "--output=cat", f"--lines={lines}", f"--unit={unit}"
        )
    except HostError:
        return []
    return text.splitlines()
