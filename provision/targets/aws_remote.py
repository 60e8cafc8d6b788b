"""What can be done to a stack's machine from far away, once it is there."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from provision.adapters.cloud.commands import open_session, run_on_machine
from provision.adapters.cloud.host import read_console
from provision.adapters.cloud.objects import Bucket, read_object
from provision.errors import MissingError
from provision.model import boot_view
from provision.model.outputs import Outputs
from provision.model.plan import Plan
from provision.model.remote_session import RemoteSession
from provision.model.serving import LIST_KEY, served_from
from provision.targets.aws_account import Opening
from provision.targets.aws_host import AwsHost
from provision.targets.base import Progress, RemoteCommand, Repaired

_HTTPS: Final = "443"
_FORWARD: Final = "AWS-StartPortForwardingSession"
_JOURNALS: Final = {
    "server": "mlflow.service", "proxy": "caddy.service", "transfer": "provision-transfer.service",
}  # fmt: skip
_CONSOLE: Final = "console"
_MODEL: Final = "model-"


@dataclass(frozen=True)
class AwsRemote:
    """One stack's machine, with the account that it is in opened. See `targets.base.Remote`."""

    host: AwsHost
    opening: Opening
    outputs: Outputs

    @property
    def instance(self) -> str:
        """The machine's id."""
        if self.outputs.server is None:
            raise MissingError("the stack has no machine", next_step="provision up makes it")
        return self.outputs.server.instance_id

    # -- logs -----------------------------------------------------------------------------------

    def log_names(self) -> Sequence[str]:
        """The logs that there are, the most useful first: how it boots, until it serves."""
        report = self.host.entrance.report(self.opening.cloud, self.outputs)
        names = ["boot", *_JOURNALS, _CONSOLE]
        if report is None or report.state != "ready":
            return names
        return [*_JOURNALS, *self._models(), "boot", _CONSOLE]

    def _models(self) -> list[str]:
        """The logs of the models that the machine serves."""
        cloud, store = self.opening.cloud, self.outputs.artifacts
        if store is None or self.outputs.account_id is None:
            return []
        bucket = Bucket(store.bucket, self.outputs.account_id)
        text = (read_object(cloud, bucket, LIST_KEY) or b"").decode()
        return [f"{_MODEL}{model.ref.slug}" for model in served_from(text)]

    def log(self, name: str, lines: int) -> list[str]:
        """The last lines of one of them."""
        cloud = self.opening.cloud
        if name == "boot":
            return self._boot(lines)
        if name == _CONSOLE:
            return read_console(cloud, self.instance, lines)
        units = _units(name)
        command = f"journalctl {units} --lines {lines} --no-pager --output cat"
        return self.host.run(cloud, self.outputs, [command]).splitlines()

    def _boot(self, lines: int) -> list[str]:
        report = self.host.entrance.report(self.opening.cloud, self.outputs)
        if report is None:
            raise MissingError(
                f"the machine {self.instance} has not reported yet",
                next_step="provision logs console shows what it printed; provision up waits for it",
            )
        log = self.host.entrance.boot_log(self.opening.cloud, self.outputs)
        return boot_view.transcript(report, log[-lines:] if lines else [])

    # -- mending --------------------------------------------------------------------------------

    def repair(self, progress: Progress) -> Repaired:
        """Upload the bundle again, let the machine do all its work again, and say what changed."""
        opening = self.opening
        delivery = self.host.delivery(opening.cloud, opening.me, Plan())
        delivery.start()
        with progress.step("bringing the server's program to the bucket"):
            uploaded = delivery.finish()
        report = self.host.repair(opening.cloud, self.outputs, progress)
        self.host.entrance.fetch_keys(opening.cloud, self.outputs)
        return Repaired(report.run, tuple(uploaded), tuple(boot_view.changes(report)))

    def last_run(self) -> int:
        """The number of the machine's last run; it makes one at each boot. 0 before the first."""
        report = self.host.entrance.report(self.opening.cloud, self.outputs)
        return 0 if report is None else report.run

    def until_ready(self, progress: Progress, *, after_run: int) -> None:
        """Wait for a run after that one to end well; raises what made it fail."""
        self.host.wait(self.opening.cloud, self.outputs).until_ready(progress, after_run=after_run)

    # -- ways in --------------------------------------------------------------------------------

    def tunnel(self, port: int) -> RemoteSession:
        """A session that forwards `port` of this machine to the server."""
        return open_session(
            self.opening.cloud,
            self.instance,
            _FORWARD,
            {"portNumber": [_HTTPS], "localPortNumber": [str(port)]},
        )

    def shell(self) -> RemoteSession:
        """A session with a shell on the machine."""
        return open_session(self.opening.cloud, self.instance, None, {})

    def run(self, command: Sequence[str]) -> RemoteCommand:
        """Run one command as root, its words as they are; a single one may be a shell's line."""
        line = command[0] if len(command) == 1 else shlex.join(command)
        ran = run_on_machine(self.opening.cloud, self.instance, [line])
        return RemoteCommand(ran.code, ran.out, ran.err)


def _units(name: str) -> str:
    """What of the journal is the log of this name."""
    if name in _JOURNALS:
        return f"--unit {_JOURNALS[name]}"
    slug = name.removeprefix(_MODEL)
    return f"--unit provision-model@{slug}.service --unit provision-scorer@{slug}.service"
