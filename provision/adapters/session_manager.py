"""The door to AWS' session-manager-plugin, the program that speaks Session Manager's protocol.

AWS publishes it for each system and not as a Python package; it is found on the PATH. It is called
as the AWS command line calls it (awscli/customizations/sessionmanager.py).
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from typing import Final, NamedTuple

from provision.errors import MissingError, ProvisionError
from provision.model.remote_session import RemoteSession

PROGRAM: Final = "session-manager-plugin"
INSTALL: Final = (
    "https://docs.aws.amazon.com/systems-manager/latest/userguide/"
    "session-manager-working-with-install-plugin.html"
)
# From the release after it on, the answer may come in the environment instead of an argument.
_LAST_WITHOUT: Final = (1, 2, 497, 0)
_VARIABLE: Final = "AWS_SSM_START_SESSION_RESPONSE"


class Plugin(NamedTuple):
    """The program, and the environment in which it was found."""

    program: str
    environment: Mapping[str, str]

    def run(self, session: RemoteSession) -> int:
        """Hold the session until it ends, on this terminal; returns the plugin's exit code.

        The session's token goes through the environment, which other users cannot read; the
        plugin knows no third way. Raises `MissingError` for a plugin that is too old for it.
        """
        _require_new(self._version())
        command = [
            self.program, _VARIABLE, session.region, "StartSession", "", session.request,
            session.endpoint,
        ]  # fmt: skip
        variables = {**self.environment, _VARIABLE: session.answer.reveal()}
        with subprocess.Popen(command, env=variables) as process:
            while True:
                try:
                    return process.wait()
                except KeyboardInterrupt:  # it is the plugin's, which closes the session
                    continue

    def _version(self) -> str:
        try:
            done = subprocess.run(
                [self.program, "--version"], env=dict(self.environment), capture_output=True,
                text=True, timeout=30, check=False,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ProvisionError(
                f"{self.program} does not start: {error}",
                next_step=f"install it again: {INSTALL}",
            ) from error
        return done.stdout.strip()


def find_plugin(environment: Mapping[str, str]) -> Plugin:
    """The plugin on the PATH; raises `MissingError` saying where to get it."""
    program = shutil.which(PROGRAM, path=environment.get("PATH", ""))
    if program is None:
        raise MissingError(
            f"{PROGRAM}, which opens the way to the machine, is not installed",
            next_step=f"install it as AWS describes for your system: {INSTALL}",
        )
    return Plugin(program, environment)


def _require_new(version: str) -> None:
    numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:4])
    if len(numbers) < 3 or numbers <= _LAST_WITHOUT:
        raise MissingError(
            f"{PROGRAM} {version or 'of an unknown version'} would show the session's token to "
            "every user of this machine",
            next_step=f"install a newer one than 1.2.497: {INSTALL}",
        )
