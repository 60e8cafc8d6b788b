"""The door to containers: one Compose project, by Docker's or Podman's `compose` command.

`.env` and `compose.yaml` in the project's folder say everything. The user's own environment goes
along, as it says where the engine is, but none of Compose's settings and none of our variables: a
shell's `DATABASE_PASSWORD` would win over the one in `.env`.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from provision.errors import MissingError, ProvisionError

_COMMANDS: Final = (("docker", "compose"), ("podman", "compose"))
_ASK_SECONDS: Final = 30
_LONG_SECONDS: Final = 3600
_LAST_LINES: Final = 12
_OURS: Final = (
    "COMPOSE_", "DATABASE_PASSWORD", "STORE_", "GATEWAY_PASSPHRASE", "ADMIN_PASSWORD",
    "SESSION_KEY",
)  # fmt: skip
_ENGINE_AWAY: Final = (
    "cannot connect to the docker daemon", "is the docker daemon running", "no such host",
    "unable to connect to podman", "connection refused", "cannot connect to podman",
)  # fmt: skip
_INSTALL: Final = (
    "install Docker Engine with its Compose plugin (https://docs.docker.com/engine/install), or "
    "Podman 4.7 or newer with podman-compose, and start it"
)


@dataclass(frozen=True)
class Container:
    """One container of a project: `health` is empty where there is no health check."""

    service: str
    id: str
    state: str
    health: str

    @property
    def works(self) -> bool:
        """Whether it runs, and its health check says so too."""
        return self.state == "running" and self.health in ("", "healthy")


class Project:
    """A Compose project, whose files lie in `folder`."""

    def __init__(self, command: Sequence[str], folder: Path, environment: Mapping[str, str]):
        self._command = (*command, "--project-directory", str(folder), "--file",
                         str(folder / "compose.yaml"))  # fmt: skip
        self._environment = environment

    def build(self) -> None:
        """Build the images; what is unchanged is taken from the engine's own store."""
        self._run("build", seconds=_LONG_SECONDS)

    def start(self, *services: str) -> None:
        """Start the services (all, where none is named) and wait until their checks are content."""
        self._run(
            "up", "--detach", "--wait", "--wait-timeout", "900", "--remove-orphans", *services,
            seconds=_LONG_SECONDS,
        )  # fmt: skip

    def stop(self, *services: str) -> None:
        """Stop some services; they stay where they are."""
        self._run("stop", *services)

    def remove(self, *, volumes: bool = False) -> None:
        """Stop and remove all containers, and with `volumes` the data."""
        self._run("down", "--remove-orphans", *(["--volumes", "--rmi", "local"] if volumes else []))

    def containers(self) -> list[Container]:
        """Every container of the project, whatever its state."""
        return [_container(item) for item in _items(self._run("ps", "--all", "--format", "json"))]

    def read(self, service: str, path: str) -> str:
        """A file of a running container."""
        return self._run("exec", "-T", service, "cat", path)

    def once(self, service: str, *command: str) -> str:
        """Run a command in a new container of a service, which is removed again."""
        return self._run("run", "--rm", "--no-deps", "-T", service, *command, seconds=_LONG_SECONDS)

    def port(self, service: str, port: int) -> int:
        """The port of this machine that leads to a running service's own."""
        return int(self._run("port", service, str(port)).strip().rpartition(":")[2])

    def logs(self, service: str, lines: int) -> list[str]:
        """The last lines that a service has written."""
        text = self._run("logs", "--no-log-prefix", "--no-color", "--tail", str(lines), service)
        return text.splitlines()

    def _run(self, *arguments: str, seconds: int = 300) -> str:
        try:
            done = subprocess.run(
                [*self._command, *arguments], env=dict(self._environment), text=True,
                capture_output=True, stdin=subprocess.DEVNULL, timeout=seconds, check=False,
                encoding="utf-8", errors="replace",
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ProvisionError(
                f"{' '.join(self._command[:2])} {arguments[0]} does not end: {error}",
                next_step="look at the engine (docker info, podman info), then run this again",
            ) from error
        if done.returncode:
            raise _failure(f"{' '.join(self._command[:2])} {arguments[0]}", done.stderr)
        return done.stdout


def open_project(folder: Path, environment: Mapping[str, str]) -> Project:
    """The project in `folder`, run by what there is; `MissingError` without an engine that answers.

    Source for `compose version`: https://docs.docker.com/reference/cli/docker/compose/version/
    """
    own = {k: v for k, v in environment.items() if not k.startswith(_OURS)}
    problems = []
    for command in _COMMANDS:
        problem = _problem(command, own)
        if problem is None:
            return Project(command, folder, own)
        problems.append(problem)
    raise MissingError(
        f"no container engine can be used: {'; '.join(problems)}",
        next_step=f"{_INSTALL}; then provision up. The files for it are in {folder}",
    )


def _problem(command: Sequence[str], environment: Mapping[str, str]) -> str | None:
    """What keeps a command from being used; asks for its Compose first, then for its engine."""
    program = shutil.which(command[0], path=environment.get("PATH"))
    if program is None:
        return f"{command[0]} is not installed"
    for arguments, what in ((["compose", "version"], "has no Compose"), (["info"], "")):
        answer = _ask([program, *arguments], environment)
        if answer is not None:
            return f"{command[0]} {what}" if what else f"{command[0]}'s engine: {answer}"
    return None


def _ask(command: Sequence[str], environment: Mapping[str, str]) -> str | None:
    """Why a command fails, in its own last words; `None` when it does not."""
    try:
        done = subprocess.run(
            command, env=dict(environment), capture_output=True, text=True, check=False,
            stdin=subprocess.DEVNULL, timeout=_ASK_SECONDS,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    return None if done.returncode == 0 else (lines or ["it does not answer"])[-1].strip()


def _failure(what: str, said: str) -> ProvisionError:
    tail = "\n  ".join(line for line in said.splitlines() if line.strip()).strip()
    last = "\n  ".join(tail.splitlines()[-_LAST_LINES:])
    low = said.lower()
    if any(word in low for word in _ENGINE_AWAY) and "registry" not in low:
        return MissingError(f"{what} failed: {last}", next_step=f"{_INSTALL}; then run this again")
    if "permission denied" in low and "sock" in low:
        return MissingError(
            f"this user may not use the engine: {last}",
            next_step="add yourself to the group docker and log in again, or use Podman",
        )
    if "port is already allocated" in low or "address already in use" in low:
        return MissingError(f"{what} failed: {last}", next_step="provision up --port N")
    return ProvisionError(
        f"{what} failed:\n  {last}",
        next_step="correct what the last lines name, then run this again; nothing was lost",
    )


def _items(text: str) -> list[dict[str, Any]]:
    """An array, or an object a line, as Compose prints since 2.21."""
    text = text.strip()
    if text.startswith("["):
        return list(json.loads(text))
    return [json.loads(line) for line in text.splitlines() if line.strip()]


def _container(item: Mapping[str, Any]) -> Container:
    return Container(
        service=str(item.get("Service", "")),
        id=str(item.get("ID", "")),
        state=str(item.get("State", "")),
        health=str(item.get("Health", "") or ""),
    )


class _Plain(yaml.SafeDumper):
    """Writes what is there twice twice: people read `cap_drop: [ALL]` more easily than `*id001`."""

    def ignore_aliases(self, _data: Any) -> bool:
        return True


def yaml_text(value: Mapping[str, Any]) -> str:
    """Data as YAML, in its own order."""
    return yaml.dump(dict(value), Dumper=_Plain, sort_keys=False, width=100)
