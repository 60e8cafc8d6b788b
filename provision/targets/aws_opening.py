"""From a spec and a way to an account to everything that a command works with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from provision.adapters.cloud.shared_state import shared_bucket
from provision.adapters.cloud.state_bucket import state_bucket
from provision.adapters.ledger import LedgerFile
from provision.adapters.terraform.door import Terraform
from provision.adapters.terraform.program import find_program
from provision.adapters.terraform.sources import lay_out
from provision.model.facts import Facts
from provision.model.ledger import is_run
from provision.model.outputs import Outputs
from provision.model.spec import Spec
from provision.targets import aws_state
from provision.targets.aws_account import AwsAccount, Opening
from provision.targets.aws_record import AwsPaths
from provision.targets.aws_work import AwsWork
from provision.targets.base import Progress


class Opener:
    """Opens one stack's account and Terraform's folder."""

    def __init__(self, spec: Spec, paths: AwsPaths, now: Callable[[], str]) -> None:
        self._spec = spec
        self._paths = paths
        self._now = now
        self._account = AwsAccount(Facts.of(spec))

    def open(self, opening: Opening, progress: Progress, *, moves: bool = False) -> AwsWork:
        """Lay the configuration out, turn Terraform to the state, know the stack's run.

        With `moves` the state goes where the spec wants it; otherwise it is used where it is.
        """
        terraform = self.terraform(opening, progress, moves=moves)
        ledger = LedgerFile(self._paths.ledger, self._now)
        run = ledger.read().run or self._shared_run(opening) or ledger.run()
        return AwsWork(
            self._spec, opening.access, opening.me, opening.cloud, terraform, ledger, run,
            datetime.fromisoformat(self._now()),
        )  # fmt: skip

    def terraform(self, opening: Opening, progress: Progress, *, moves: bool = False) -> Terraform:
        """Terraform in the stack's folder, turned to its state. The caller holds the lock."""
        access = opening.access
        program = find_program(access.environment)
        root = lay_out(self._paths.terraform, access.override)
        fetching = Terraform(program, root, access.fetching, on_note=progress.note)
        for note in fetching.notes:
            progress.note(note)
        with progress.step("preparing Terraform"):
            fetching.init(self._turned(root, opening, progress, moves=moves))
        return Terraform(program, root, access.environment, on_note=progress.note)

    def _turned(
        self, root: Path, opening: Opening, progress: Progress, *, moves: bool
    ) -> Mapping[str, Any] | None:
        """The backend to use: the spec's, or, where no move is wanted now, the one in use."""
        if not aws_state.is_elsewhere(root, self._place(opening)):
            return self._backend(opening)
        if moves:
            wanted = self._backend(opening)
            aws_state.move(root, wanted, opening, progress)
            return wanted
        progress.note("the spec wants the state in another place: the next provision up moves it")
        return aws_state.where_it_is(root, opening.access.backend)

    def _place(self, opening: Opening) -> Mapping[str, str] | None:
        """Where the spec wants the state; nothing is made for it."""
        aws = self._spec.aws
        if aws.state != "s3":
            return None
        bucket = shared_bucket(opening.me, aws.state_name)
        return {"bucket": bucket, "key": f"{self._spec.name}/terraform.tfstate"}

    def _backend(self, opening: Opening) -> Mapping[str, Any] | None:
        aws = self._spec.aws
        if aws.state != "s3":
            return None
        bucket = state_bucket(opening.cloud, opening.me, aws.state_name, aws.kms_key)
        return {**bucket.backend(self._spec.name), **opening.access.backend}

    def _shared_run(self, opening: Opening) -> str | None:
        if self._spec.aws.state != "s3":
            return None
        run = Outputs.from_json(self._account.shared_outputs(opening)).run
        return run if is_run(run) else None
