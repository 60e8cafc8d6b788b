"""The server's machine of a stack in an account: brought up, looked at, mended from far away."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from provision.adapters.cloud import host as told
from provision.adapters.cloud.commands import run_on_machine
from provision.adapters.cloud.objects import Bucket
from provision.adapters.cloud.server import elastic_ip, machine_state
from provision.adapters.cloud.session import Cloud
from provision.adapters.tracking import TrackingClient
from provision.adapters.wheels import WheelCache
from provision.errors import CheckFailedError, ProvisionError
from provision.model.account import Identity
from provision.model.boot import BootReport
from provision.model.endpoint import Endpoint
from provision.model.facts import Facts
from provision.model.leftovers import Names
from provision.model.outputs import Outputs
from provision.model.plan import Plan
from provision.model.spec import Spec
from provision.targets import host_bundle
from provision.targets.aws_entrance import Entrance, machine_of
from provision.targets.aws_record import AwsPaths
from provision.targets.base import Progress
from provision.targets.host_delivery import Delivery
from provision.targets.host_trouble import LAB_NEXT_STEP, Ended, runs
from provision.targets.host_wait import HostWait, Patience
from provision.targets.host_word import NewestWord, ask_machine

_AGAIN: Final = "systemctl restart --no-block provision-host.service"
_ASK: Final = "/usr/bin/python3 -I /opt/provision/bundle/provision.pyz --ask"
_REACH_SECONDS: Final = 60.0
_CONSOLE_LINES: Final = 8
_PATIENCE: Final = Patience()


@dataclass(frozen=True)
class AwsHost:
    """One stack's machine. `cache` keeps what comes from the package index."""

    spec: Spec
    paths: AwsPaths
    cache: WheelCache
    mlflow_version: str
    patience: Patience = _PATIENCE
    trouble: Callable[[], str] = lambda: ""
    """What keeps every machine from running, in a rehearsal: its lab has ended."""

    @property
    def entrance(self) -> Entrance:
        """What it tells, and the way in."""
        return Entrance(Facts.of(self.spec), self.paths)

    # -- what it starts with --------------------------------------------------------------------

    def delivery(self, cloud: Cloud, me: Identity, plan: Plan) -> Delivery:
        """The upload of the bundle, not begun yet."""
        arch, packages = host_bundle.architecture(self.spec), self.spec.aws.packages
        names = Names.of(self.spec.name, me.account, me.region)
        fetched = {}

        def fetch(tell: Callable[[str], None]) -> None:
            tell("fetching what the server's machine starts with")
            fetched.update(host_bundle.fetched(self.cache, arch, packages))

        def send(tell: Callable[[str], None]) -> tuple[str, ...]:
            settings = host_bundle.host_settings(
                self.spec, names, region=me.region, address=elastic_ip(cloud, names.stack),
                mlflow_version=self.mlflow_version,
                topic=names.topic(me.account, me.region, me.arn),
            )  # fmt: skip
            made = host_bundle.bundle(settings, arch, fetched)
            done: list[str] = []

            def on_done(name: str) -> None:
                done.append(name)
                tell(f"the server's program: {len(done)} of {len(made.files)} files in the bucket")

            return host_bundle.upload(cloud, Bucket(names.bucket, me.account), made, on_done)

        return Delivery(plan, fetch, send)

    # -- bringing it up -------------------------------------------------------------------------

    def bring_up(
        self, cloud: Cloud, outputs: Outputs, changed: Sequence[str], progress: Progress
    ) -> BootReport:
        """Wait until the machine has done what the bundle says; returns its report.

        A machine that was ready, and whose bundle has changed, or that failed, is told to do it
        again. Raises `ProvisionError` naming what failed on it, or why nothing is heard of it.
        """
        before = self.entrance.report(cloud, outputs)
        if before is not None and before.state == "ready" and not changed:
            return before
        over = before is not None and before.state in ("ready", "failed")
        if over:
            progress.note("the machine's program has changed: it does its work again")
            self._again(cloud, outputs, progress)
        return self.wait(cloud, outputs).until_ready(
            progress, after_run=before.run if before is not None and over else 0
        )

    def repair(self, cloud: Cloud, outputs: Outputs, progress: Progress) -> BootReport:
        """Let the machine do all its work again; returns the report of that run.

        Raises `MissingError` where Systems Manager cannot reach it.
        """
        before = self.entrance.report(cloud, outputs)
        with progress.step("telling the machine to begin again"):
            self.run(cloud, outputs, [_AGAIN])
        after = before.run if before is not None else 0
        return self.wait(cloud, outputs).until_ready(progress, after_run=after)

    def _again(self, cloud: Cloud, outputs: Outputs, progress: Progress) -> None:
        try:
            self.run(cloud, outputs, [_AGAIN])
        except ProvisionError as error:
            # A machine that failed tries again by itself; one that is ready has to be told.
            progress.note(f"{error.message}; {error.next_step}")

    def run(self, cloud: Cloud, outputs: Outputs, commands: Sequence[str]) -> str:
        """Run a command on the machine and return its output; raises when it fails."""
        ran = run_on_machine(cloud, machine_of(outputs).instance_id, commands)
        if ran.code != 0:
            raise ProvisionError(
                f"on the machine, `{commands[-1]}` ended with {ran.code}: "
                f"{(ran.err or ran.out).strip()[-500:]}",
                next_step="provision logs boot shows how the machine is",
            )
        return ran.out

    def wait(self, cloud: Cloud, outputs: Outputs) -> HostWait:
        """A wait for the machine, from now on."""

        look = NewestWord(
            lambda: self.entrance.report(cloud, outputs),
            lambda: ask_machine(cloud, machine_of(outputs).instance_id),
        )

        def silent(what: str) -> ProvisionError:
            return self._silence(cloud, outputs, what)

        def trouble() -> str:
            return self.trouble() or ended()

        ended = Ended(cloud, machine_of(outputs).instance_id)
        return HostWait(look, silent, self.patience, trouble)

    def _silence(self, cloud: Cloud, outputs: Outputs, what: str) -> ProvisionError:
        """What can be known of a machine that does not report: AWS' own view, and its console."""
        machine = machine_of(outputs)
        if trouble := self.trouble():
            return ProvisionError(trouble, next_step=LAB_NEXT_STEP)
        state = machine_state(cloud, machine.instance_id)
        if not runs(state):
            return ProvisionError(
                f"the machine {machine.instance_id} {what}: it is {state}",
                next_step="start it in the console; where it is gone, provision up makes it anew",
            )
        said: list[str] = []
        with contextlib.suppress(ProvisionError):
            said = told.read_console(cloud, machine.instance_id, _CONSOLE_LINES)
        console = "".join(f"\n  | {line}" for line in said) or " (its console is empty)"
        return ProvisionError(
            f"the machine {machine.instance_id} runs and {what}. Either it gets no credentials of "
            "its role (instance profile), or finds no way to S3 (its Elastic IP, the route table, "
            "way out on port 443), or may not write there (s3:PutObject), or its first start (user "
            f"data) did not run. The end of its console:{console}",
            next_step="aws ec2 get-console-output --latest --output text --instance-id "
            f"{machine.instance_id} shows all of it; mend what it names, then provision up",
        )

    def require_reached(self, endpoint: Endpoint, progress: Progress) -> None:
        """Return once a client here gets the server's own word that all is well with it.

        Raises `CheckFailedError` with what a client meets instead.
        """
        with progress.step(f"asking {endpoint.uri} from here"):
            deadline = time.monotonic() + _REACH_SECONDS
            for problem in _problems(endpoint):
                if problem is None:
                    return
                if time.monotonic() > deadline:
                    raise CheckFailedError(
                        f"the machine is ready, but {endpoint.uri} cannot be used from here: "
                        f"{problem}",
                        next_step="provision check names the layer; is this machine in one of the "
                        "networks of aws: ingress:?",
                    )
                time.sleep(1)

    def require_inside(self, cloud: Cloud, outputs: Outputs, progress: Progress) -> str:
        """The same where no port is open: the machine asks itself, by the name that clients use.

        Systems Manager tells it to and brings the answer, on the way that a tunnel takes. Returns
        what was found; raises `CheckFailedError` where either does not work.
        """
        with progress.step("asking the server on its machine, through Systems Manager"):
            deadline = time.monotonic() + _REACH_SECONDS
            while (problem := self._problem_inside(cloud, outputs)) is not None:
                if time.monotonic() > deadline:
                    raise CheckFailedError(
                        f"the machine is ready, but not for clients: {problem.message}",
                        next_step=problem.next_step,
                    ) from problem
                time.sleep(2)
        return "its machine was told by Systems Manager to ask it as a client does: it works"

    def _problem_inside(self, cloud: Cloud, outputs: Outputs) -> ProvisionError | None:
        """The agent of a machine that has just booted takes a while to be there."""
        try:
            self.run(cloud, outputs, [_ASK])
        except ProvisionError as error:
            return error
        return None


def _problems(endpoint: Endpoint) -> Iterator[str | None]:
    """Why the server cannot be used, asked anew each time; `None` once it can."""
    while True:
        try:
            with TrackingClient.from_endpoint(endpoint) as client:
                status = client.server_status()
            state = None if status is None else status.get("state")
            yield None if state in (None, "ok") else f"the server says {state}"
        except ProvisionError as error:
            yield error.message
