"""The door to Terraform: one folder with a root module, and what can be done with it.

The folder holds secrets when Terraform has worked in it (state, plan, variables): it is ours alone,
of mode 0700, and every file that Terraform writes there gets mode 0600.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from provision.adapters.terraform import initialising, locks, owner
from provision.adapters.terraform.commands import FLAG, Commands
from provision.adapters.terraform.failures import Context, StateRefusedError, failure
from provision.adapters.terraform.files import (
    PRIVATE_FILE,
    PRIVATE_FOLDER,
    read_object,
    write_private_json,
)
from provision.adapters.terraform.program import Program
from provision.adapters.terraform.providers import child_environment, find_providers
from provision.adapters.terraform.running import Done, Patience
from provision.adapters.terraform.state_files import StateFiles
from provision.adapters.terraform.watch import Watch
from provision.adapters.terraform.work import Heard, Work
from provision.errors import MissingError, ProvisionError
from provision.model.terraform_events import Event
from provision.model.terraform_lock import LockInfo

OnEvent = Callable[[Event], None]


class Terraform:
    """Terraform in one folder.

    `environment` is the user's; what would change Terraform's meaning is taken out of it. `on_note`
    is told what the user should know at once. One command runs at a time. Every method raises a
    `ProvisionError` that names cause and next step when Terraform fails, and `UserInterruptError`
    when the user stopped it.
    """

    def __init__(
        self,
        program: Program,
        root: Path,
        environment: Mapping[str, str],
        *,
        on_note: Callable[[str], None] | None = None,
        patience: Patience | None = None,
    ) -> None:
        self.root = root.absolute()
        self.root.mkdir(parents=True, exist_ok=True)
        self.root.chmod(PRIVATE_FOLDER)
        providers = find_providers(environment, self.root)
        child = child_environment(environment, providers)
        self.notes = (*program.notes, *providers.notes)
        self.files = StateFiles(self.root)
        self._program = program
        self._note = on_note or _keep_quiet
        commands = Commands(program.words, self.root, child, patience or Patience())
        self._work = Work(commands, self._note)

    def init(self, backend: Mapping[str, str] | None = None) -> None:
        """Get the provider, and turn to the state: local, or in the S3 bucket that `backend` names.

        Does nothing when nothing has changed since the last time. Raises `RefusedError` when the
        state would be left behind in another place than `backend` says.
        """
        options = {"reconfigure": FLAG} if initialising.turn_to(self.root, backend) else {}
        stamp = initialising.stamp(self.root, self._program.version)
        if initialising.is_done(self.root, stamp):
            return
        done = self._work.quietly(lambda commands: commands.init(**options), "prepare its folder")
        self._require(done, "prepare its folder")
        initialising.mark_done(self.root, stamp)

    def write_variables(self, values: Mapping[str, Any]) -> Path:
        """Write the variables to the one place that they may be in: a file of mode 0600."""
        path = self.root / "provision.tfvars.json"
        write_private_json(path, values)
        return path

    def plan(
        self,
        variables: Path,
        out: Path,
        *,
        destroy: bool = False,
        on_event: OnEvent | None = None,
        watch: Watch | None = None,
    ) -> bool:
        """Plan into the file `out`; True when there is something to do.

        A state that is not whole is restored from our copy before, and never planned anew.
        """
        self._settle_state()
        _close(variables)
        out.unlink(missing_ok=True)
        options = {"var_file": str(variables.absolute()), "out": str(out.absolute())}
        if destroy:
            options["destroy"] = FLAG
        done, heard = self._work.listening(
            lambda commands, ears: commands.plan(**options, **ears), "plan", on_event, watch
        )
        if done.code not in (0, 2):
            raise failure(heard.diagnostics, heard.printed, Context(self.root, "plan"))
        _close(out)
        return done.code == 2

    def show(self, plan: Path) -> dict[str, Any]:
        """A saved plan. It holds sensitive values in clear: keep it in memory, and only there."""
        path = str(plan.absolute())
        doing = "read its plan"
        return self._object(lambda commands: commands.cmd("show", path, json=FLAG), doing)

    def apply(
        self, plan: Path, *, on_event: OnEvent | None = None, watch: Watch | None = None
    ) -> None:
        """Do what a saved plan says, and nothing else.

        Afterwards, also after a failure, a copy of the state is kept, and a state that could not
        be written in its place is brought there.
        """
        self._settle_state()
        self.files.reserve()
        heard = Heard()
        try:
            done, heard = self._work.listening(
                lambda commands, ears: commands.apply(plan, **ears), "apply", on_event, watch, heard
            )
        finally:
            self._secure_state(heard)
        if done.code != 0:
            raise failure(heard.diagnostics, heard.printed, Context(self.root, "apply its plan"))
        owner.forget_dead(self.root)

    def outputs(self) -> dict[str, Any]:
        """The outputs as `terraform output -json` gives them; empty when nothing was applied."""
        doing = "read its outputs"
        return self._object(lambda commands: commands.cmd("output", json=FLAG), doing)

    def state(self) -> dict[str, Any] | None:
        """The state as it is stored, wherever that is; `None` before the first apply.

        It is Terraform's own format (version 4), read without starting the provider, and a local
        one without Terraform: `state pull` takes half a second of CPU to check the provider that
        it does not start. It may hold secrets.
        """
        if not self.files.is_remote:
            self._tell(self.files.require_whole())
            return read_object(self.files.path)
        done = self._work.quietly(lambda commands: commands.cmd("state pull"), "read its state")
        self._require(done, "read its state")
        return _parsed(done.out, "its state") if done.out.strip() else None

    def begin_anew(self) -> None:
        """Let go of half a state that the kill of the very first apply left; no other one.

        What that apply made must be looked for by its tags.
        """
        self._tell(self.files.set_aside_unborn())

    def push_state(self, path: Path) -> None:
        """Make the state in a file the stored one. Terraform refuses an older or another one."""
        words = str(path.absolute())
        done = self._work.quietly(lambda commands: commands.cmd("state push", words), "store")
        self._require(done, "store the state")
        self.files.keep_copy()

    def keep(self, address: str) -> None:
        """Take the mark of a cut-off creation from a resource: it is not made anew because of it.

        The next plan compares it with the configuration, as any other (`terraform untaint`).
        """
        doing = f"keep {address}"
        done = self._work.quietly(lambda commands: commands.cmd("untaint", address), doing)
        self._require(done, doing)
        self.files.keep_copy()

    def forget(self, address: str) -> None:
        """Take a resource out of the state that does not exist any more (`terraform state rm`)."""
        doing = f"forget {address}"
        done = self._work.quietly(lambda commands: commands.cmd("state rm", address), doing)
        self._require(done, doing)
        self.files.keep_copy()

    def lock(self) -> LockInfo | None:
        """Who holds the lock of a local state, or held it when he was killed."""
        return locks.local_lock(self.root)

    def owner_lives(self, lock: LockInfo) -> bool | None:
        """Whether the process that took a lock still runs; `None` where that cannot be seen."""
        return locks.owner_lives(self.root, lock)

    def force_unlock(self, identity: str) -> None:
        """Remove a lock whose owner is gone. The caller has made sure of that, and asked."""
        if locks.remove_local(self.root, identity):
            return
        done = self._work.quietly(
            lambda commands: commands.cmd("force-unlock", identity, force=FLAG), "unlock the state"
        )
        self._require(done, "unlock the state")
        owner.forget_dead(self.root)

    def _settle_state(self) -> None:
        """Before a command: the state is whole, and what could not be stored before is."""
        self._tell(self.files.require_whole())
        self._push_errored()

    def _secure_state(self, heard: Heard) -> None:
        """After a command, however it ended."""
        self._tell(self.files.rescue(heard.emergency_state))
        self.files.keep_copy()
        try:
            self._push_errored()
        except ProvisionError:
            self._tell(
                "the state could not be stored in its bucket: it lies in errored.tfstate, and the "
                "next command stores it"
            )

    def _push_errored(self) -> None:
        errored = self.files.unpushed()
        if errored is None:
            return
        try:
            self.push_state(errored)
        except StateRefusedError:
            self._tell(self.files.set_aside_errored())
        else:
            errored.unlink()
            self._tell("the state in errored.tfstate was stored in its bucket")

    def _tell(self, note: str | None) -> None:
        if note:
            self._note(note)

    def _object(self, command: Callable[[Commands], Done], doing: str) -> dict[str, Any]:
        done = self._work.quietly(command, doing)
        self._require(done, doing)
        return _parsed(done.out, doing)

    def _require(self, done: Done, doing: str) -> None:
        if done.code != 0:
            raise failure((), done.err or done.out, Context(self.root, doing))


def _parsed(text: str, what: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise ProvisionError(
            f"Terraform was to {what}, and answered with something else than JSON",
            next_step="run the same command again; if it stays, look at the version of Terraform",
        )
    return value


def _keep_quiet(_: str) -> None:
    """For a caller who wants no notes."""


def _close(path: Path) -> None:
    """Make a file private: variables and plans hold secrets."""
    try:
        if path.stat().st_mode & 0o077:
            path.chmod(PRIVATE_FILE)
    except FileNotFoundError:
        raise MissingError(
            f"{path} is not there", next_step="run the same command again: it is written anew"
        ) from None
