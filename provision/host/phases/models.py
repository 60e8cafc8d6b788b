"""Models as services, each in two units: the program in front, and what runs its versions.

A model is a program of whoever logged it. Its versions run as a user that exists for this alone,
without network, with no file but the model's own, and within an amount of memory that is kept for
them. In front, with the rights of another user, is the program that asks the registry, fetches
files and packages, and knows who may come in.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any, Final

from provision.host import files, models, users
from provision.host.failures import HostError
from provision.host.phases.bundle import code_folder
from provision.host.phases.environment import environment_folder, uv_program
from provision.host.phases.ready import address
from provision.host.phases.service import HARDENING
from provision.host.places import SERVING_USER, Places
from provision.host.run import Host, Step
from provision.host.server_file import ADMIN, PORT, names
from provision.model.serving import ROUTE, Served, ServiceHealth, ServiceState
from provision.model.sizing import SERVICE_MIB

SOCKETS: Final = "/run/provision-models"
"""Below it, a folder per model with the socket `web` that the proxy talks to."""
_SCORERS: Final = "/run/provision-scorers"
_UNITS: Final = "/etc/systemd/system"
_FRONT: Final = "provision-model@{}.service"
_SCORER: Final = "provision-scorer@{}.service"
_LOOK_SECONDS: Final = 5.0
_CERTIFICATES: Final = "/etc/ssl/certs/ca-certificates.crt"


def run(host: Host, step: Step) -> None:
    """Serve what is to be served, and nothing else."""
    wanted = models.listed(host.places)
    _forget(host, {model.ref.slug for model in wanted}, step)
    if not wanted:
        step.detail("no model is served")
        return
    if why := models.problem(host, wanted):
        _give_up(host, wanted, why)
        step.detail(f"no model is served: {why}")
        return
    users.ensure(host, step, SERVING_USER, host.places.models)
    _write_units(host, step)
    step.detail("; ".join(_tried(host, model, step) for model in wanted))


def _tried(host: Host, model: Served, step: Step) -> str:
    """Serve it. A model that cannot be started does not keep the server from being ready."""
    try:
        _serve(host, model, step)
    except HostError as error:
        _tell_failed(host, model, error.message)
        return f"{model.uri} cannot be started: {error.message}"
    return model.uri


def folder_of(places: Places, model: Served) -> Path:
    """What the service of a model keeps."""
    return places.models / model.ref.slug


def runs(host: Host, model: Served) -> bool:
    """Whether the program in front of a model runs."""
    unit = _FRONT.format(model.ref.slug)
    return host.commands.succeeds("systemctl", "is-active", "--quiet", unit)


def begin_anew(host: Host, model: Served) -> None:
    """Let what runs of a model, or failed, start again at the next run."""
    _mark(host, model.ref.slug).unlink(missing_ok=True)


# -- units ----------------------------------------------------------------------------------------


def front_unit(places: Places, *, accounts: bool) -> str:
    """The program in front: it may reach the server, and the package index."""
    password = f"LoadCredential=password:{places.admin_password}\n" if accounts else ""
    return (
        "[Unit]\nDescription=The model %i as a service\n"
        "Wants=network-online.target provision-scorer@%i.service\n"
        "After=network-online.target mlflow.service\nStartLimitIntervalSec=0\n\n"
        f"[Service]\nUser={SERVING_USER}\nGroup={SERVING_USER}\n"
        f"WorkingDirectory={places.models}/%i\n"
        f"{_variables(HOME=f'{places.models}/%i', SSL_CERT_FILE=_CERTIFICATES)}{password}"
        f"ExecStart={places.python} -P -m provision.serving {places.models}/%i\n"
        "Restart=always\nRestartSec=2\nRestartPreventExitStatus=78\nTimeoutStopSec=40\n"
        "CPUWeight=50\nIOWeight=50\nMemoryMax=512M\nLimitNOFILE=16384\n"
        "RuntimeDirectory=provision-models/%i\nRuntimeDirectoryMode=0755\n"
        f"ReadWritePaths={places.models}/%i\n{HARDENING}\n"
        "[Install]\nWantedBy=multi-user.target\n"
    )


def scorer_unit(places: Places, code: Path) -> str:
    """What runs a model's versions: no network, no other files, a user made up for the occasion."""
    kept = [line for line in HARDENING.splitlines() if not line.startswith(_LOOSER)]
    return (
        "[Unit]\nDescription=The versions of the model %i\n"
        "PartOf=provision-model@%i.service\nAfter=provision-model@%i.service\n"
        "StartLimitIntervalSec=0\n\n"
        "[Service]\nDynamicUser=yes\n"
        f"{_variables(HOME='/tmp', PYTHONPATH=str(code), MPLCONFIGDIR='/tmp')}"  # noqa: S108
        f"ExecStart={places.python} -P -m provision.serving.starter {_SCORERS}/%i {SERVING_USER}\n"
        "Restart=always\nRestartSec=2\nTimeoutStopSec=30\nOOMPolicy=continue\n"
        "CPUWeight=50\nTasksMax=256\nMemorySwapMax=0\n"
        "RuntimeDirectory=provision-scorers/%i\nRuntimeDirectoryMode=0755\n"
        f"TemporaryFileSystem={_SCORERS}:ro {places.state}:ro\n"
        f"BindPaths={_SCORERS}/%i\nBindReadOnlyPaths={places.models}/%i\n"
        f"InaccessiblePaths=-{places.settings} -{SOCKETS} -/var/lib/caddy\n"
        "PrivateNetwork=yes\nRestrictAddressFamilies=AF_UNIX\n" + "\n".join(kept) + "\n"
    )


# The starter has to see which user asks, and its children say how they ended in files for others.
_LOOSER: Final = ("PrivateUsers=", "RestrictAddressFamilies=", "UMask=")


def _variables(**more: str) -> str:
    words = {
        "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1", "MLFLOW_DISABLE_TELEMETRY": "true",
        **more,
    }  # fmt: skip
    return "".join(f"Environment={name}={value}\n" for name, value in words.items())


def _write_units(host: Host, step: Step) -> None:
    folder = host.places.at(_UNITS)
    folder.mkdir(parents=True, exist_ok=True)
    front = front_unit(host.places, accounts=host.settings.auth == "basic")
    scorer = scorer_unit(host.places, code_folder(host))
    new = [
        files.write(folder / _FRONT.format(""), front),
        files.write(folder / _SCORER.format(""), scorer),
    ]
    if any(new):
        host.commands.run("systemctl", "daemon-reload")
        step.changed("the units of models")


# -- one model ------------------------------------------------------------------------------------


def _serve(host: Host, model: Served, step: Step) -> None:
    slug, folder = model.ref.slug, folder_of(host.places, model)
    user = host.places.serving_user
    files.folder(host.places.models)
    files.folder(folder, 0o755, user)
    told = json.dumps(service_settings(host, model), indent=1) + "\n"
    files.write(folder / "service.json", told, 0o640, group=user)
    _limit(host, model)
    unit, mark = _FRONT.format(slug), _mark(host, slug)
    wanted = _fingerprint(host, told, model)
    if files.read(mark) != wanted:
        _note_start(folder, model, user)
        host.commands.run("systemctl", "enable", unit)
        host.commands.run("systemctl", "restart", unit)
        files.write(mark, wanted)
        step.changed(f"the service of {model.uri} was started anew")
    elif not runs(host, model):
        host.commands.run("systemctl", "start", unit)
        step.changed(f"the service of {model.uri} was started")


def service_settings(host: Host, model: Served) -> dict[str, Any]:
    """What the service is told (`provision.serving.settings.ServiceSettings`)."""
    slug, settings = model.ref.slug, host.settings
    accounts = settings.auth == "basic"
    return {
        "model": model.uri,
        "host": "",
        "port": 0,
        "uri": f"{address(host)}{ROUTE}{slug}/",
        "tracking_uri": f"http://127.0.0.1:{PORT}",
        "artifacts": "",
        "python": str(host.places.python),
        "allowed_hosts": [*names(settings), *settings.extra_hosts, "localhost", "127.0.0.1"],
        "username": ADMIN if accounts else "",
        "password_file": f"/run/credentials/{_FRONT.format(slug)}/password" if accounts else "",
        "look_seconds": _LOOK_SECONDS,
        "socket": f"{SOCKETS}/{slug}/web",
        "starter": f"{_SCORERS}/{slug}/control.sock",
        "uv": uv_program(host) if settings.packages == "index" else "",
    }


def _limit(host: Host, model: Served) -> None:
    """Its memory ends with it alone, not with the server."""
    folder = host.places.at(f"{_UNITS}/{_SCORER.format(model.ref.slug)}.d")
    folder.mkdir(parents=True, exist_ok=True)
    if files.write(folder / "memory.conf", f"[Service]\nMemoryMax={model.memory}M\n"):
        host.commands.run("systemctl", "daemon-reload")


def _note_start(folder: Path, model: Served, user: str) -> None:
    """The version that answered last is kept: it comes back where the registry is silent."""
    last = ServiceState.from_json(json.loads(files.read(folder / "state.json") or "null"))
    kept = (last.version, last.files) if last else ("", "")
    fresh = ServiceState(model.uri, "", ServiceHealth.STARTING, *kept)
    files.write(folder / "state.json", json.dumps(fresh.to_json()) + "\n", 0o644, user)


def _fingerprint(host: Host, told: str, model: Served) -> str:
    """Changes when a running service is not the wanted one."""
    password = files.read(host.places.admin_password)
    parts = [told, password, str(model.memory), str(SERVICE_MIB)]
    parts += [str(environment_folder(host)), str(code_folder(host))]
    parts += [files.read(host.places.at(f"{_UNITS}/{u.format('')}")) for u in (_FRONT, _SCORER)]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest() + "\n"


def _mark(host: Host, slug: str) -> Path:
    return host.places.models / f"{slug}.started"


# -- none -----------------------------------------------------------------------------------------


def _give_up(host: Host, wanted: tuple[Served, ...], why: str) -> None:
    """The server goes first: models that do not fit beside it any more stand still, and say so."""
    for model in wanted:
        _stop(host, model.ref.slug)
        _tell_failed(host, model, why)


def _tell_failed(host: Host, model: Served, why: str) -> None:
    folder = folder_of(host.places, model)
    files.folder(folder, 0o755, host.places.serving_user)
    state = ServiceState(model.uri, "", ServiceHealth.FAILED, reason=why)
    text = json.dumps(state.to_json()) + "\n"
    files.write(folder / "state.json", text, 0o644, host.places.serving_user)


def _stop(host: Host, slug: str) -> None:
    host.commands.succeeds("systemctl", "disable", "--now", _FRONT.format(slug))
    host.commands.succeeds("systemctl", "stop", _SCORER.format(slug))
    _mark(host, slug).unlink(missing_ok=True)


def _forget(host: Host, kept: set[str], step: Step) -> None:
    """What is not served any more leaves nothing."""
    if not host.places.models.is_dir():
        return
    for folder in [path for path in host.places.models.iterdir() if path.is_dir()]:
        slug = folder.name
        if slug not in kept:
            _stop(host, slug)
            shutil.rmtree(folder)
            unit = f"{_UNITS}/{_SCORER.format(slug)}.d"
            shutil.rmtree(host.places.at(unit), ignore_errors=True)
            step.changed(f"the service {slug} was ended")
