"""Ways to accounts: the user's own, and an emulated one. Part of the composition root."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from provision.emulator import client as emulator
from provision.emulator.lab.client import Lab as BootedLab
from provision.settings import Settings, python_executable
from provision.targets.aws_record import Access, AwsPaths

# Terraform's S3 backend asks for buckets by host name, and for more than the emulation knows.
_EMULATED_BACKEND = {
    "use_path_style": "true",
    "skip_credentials_validation": "true",
    "skip_requesting_account_id": "true",
}

REHEARSAL_REGION = "eu-west-1"


class Lab(Protocol):
    """What makes the machines of an emulated account run."""

    @property
    def is_up(self) -> bool:
        """Whether it does."""

    def up(self, say: Callable[[str], None] = ...) -> None:
        """Start it, or find it running."""

    def down(self) -> None:
        """End it, and leave nothing."""

    def trouble(self) -> str:
        """Why no machine can run in it; empty while one can."""

    def rotate(self, identifier: str | None = None) -> None:
        """Renew a database's managed password."""


def lab_of(region: str | None, paths: AwsPaths, settings: Settings) -> Lab:
    """The lab of a stack's rehearsal."""
    place = region or REHEARSAL_REGION
    return BootedLab(paths.lab, paths.emulator, settings.environment, place)


def connect(
    target: str,
    region: str | None,
    paths: AwsPaths,
    settings: Settings,
    lab: Lab | None = None,
) -> Accounts:
    """The ways of a stack with this target; in a rehearsal none leads to a real account.

    `lab` is the one around it, where it is another than the usual.
    """
    rehearses = target == "rehearsal"
    if lab is None and rehearses:
        lab = lab_of(region, paths, settings)
    return Accounts(
        paths.emulator,
        python_executable(),
        settings.environment,
        region or REHEARSAL_REGION if rehearses else region,
        lab=lab,
    )


class Accounts:
    """What `targets.aws_record.Connect` asks for."""

    def __init__(
        self,
        folder: Path,
        python: str,
        environment: Mapping[str, str],
        region: str | None,
        *,
        lab: Lab | None = None,
    ) -> None:
        self._lab = lab
        self._folder = folder
        self._python = python
        self._environment = environment
        self._region = region

    def real(self) -> Access:
        """The account that the user's credentials lead to; it may be one of `provision emulate`."""
        if not emulator.is_lent(self._environment):
            return Access(self._environment, self._environment)
        return Access(
            environment=self._environment,
            fetching=emulator.opened(self._environment),
            override=emulator.override(keys=False),
            backend=_EMULATED_BACKEND,
            boots=False,
        )

    def emulated(
        self, *, start: bool, say: Callable[[str], None] = lambda _: None
    ) -> Access | None:
        """The stack's emulated account; with a lab, one in which machines boot."""
        found = emulator.find(self._folder)
        if found is None and start:
            regions = [self._region] if self._region else []
            found = emulator.start(self._folder, self._python, self._environment, regions=regions)
        if found is None:
            return None
        if self._lab is not None and start:
            self._lab.up(say)
        boots = self._lab is not None and self._lab.is_up
        return Access(
            environment=found.over(self._environment),
            fetching=found.over(self._environment, closed=False),
            override=found.override(),
            backend=_EMULATED_BACKEND,
            own=True,
            boots=boots,
        )

    def end_emulated(self) -> None:
        """End it, with all that it holds."""
        if self._lab is not None:
            self._lab.down()
        emulator.stop(self._folder)
