"""What `provision rehearse` does to a stack in its lab. Part of the composition root."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

from provision.accounts import Lab
from provision.adapters.cloud import power
from provision.adapters.cloud.session import Cloud
from provision.adapters.tracking import TrackingClient
from provision.adapters.workspace import read_json
from provision.app.lifecycle import require_working
from provision.errors import CheckFailedError, ProvisionError
from provision.model.endpoint import Endpoint
from provision.model.outputs import Outputs
from provision.targets.aws_record import Access, AwsPaths, AwsRecord
from provision.targets.aws_remote import AwsRemote
from provision.targets.base import DownOptions, Progress, UpOptions
from provision.wiring import OpenedStack

_RUNS = 10
_ARTIFACT = "part.bin"
_ARTIFACT_BYTES = 64 * 1024


@dataclass
class LabStage:
    """See `app.rehearse.Stage`. It remembers what it logged, and asks for all of it again."""

    stack: OpenedStack
    lab: Lab
    access: Callable[[], Access | None]
    progress: Progress
    logged: dict[str, tuple[float, bytes]] = field(default_factory=dict)
    experiment: str = ""

    # -- the steps ------------------------------------------------------------------------------

    def up(self) -> str:
        """Bring it up, and prove that a client can use it."""
        started = self.stack.target.up(UpOptions(), self.progress)
        require_working(self.stack.check(started.endpoint), started.endpoint)
        return started.endpoint.uri

    def check(self) -> str:
        """Every layer of `provision check`."""
        report = self.stack.check(self._endpoint)
        require_working(report, self._endpoint)
        return f"{len(report.findings)} layers"

    def log_from_two_clients(self) -> str:
        """Runs with metrics and an artifact, from two clients at once."""
        with TrackingClient.from_endpoint(self._endpoint) as client:
            self.experiment = client.create_experiment(f"rehearsal-{secrets.token_hex(4)}")
        with ThreadPoolExecutor(2) as clients:
            list(clients.map(lambda _: self._log(_RUNS), range(2)))
        return self._all_there()

    def rotate_while_logging(self) -> str:
        """A client logs on while the password is renewed, and after it."""
        rotated = threading.Event()
        failures: list[ProvisionError] = []

        def log_on() -> None:
            while not rotated.is_set():
                try:
                    self._log(1)
                except ProvisionError as error:
                    failures.append(error)

        client = threading.Thread(target=log_on)
        client.start()
        try:
            self.lab.rotate()
            self._log(_RUNS)
        finally:
            rotated.set()
            client.join()
        if failures:
            raise CheckFailedError(
                f"{len(failures)} runs could not be logged: {failures[0].message}",
                next_step="provision logs server",
            )
        return self._all_there()

    def reboot(self) -> str:
        """As `aws ec2 reboot-instances`."""
        with self._booting_again():
            power.reboot(self._cloud, self._instance)
        return self._all_there()

    def stop_and_start(self) -> str:
        """As in the console; the address stays."""
        with self._booting_again():
            power.stop(self._cloud, self._instance)
            power.start(self._cloud, self._instance)
        return self._all_there()

    def replace_the_host(self) -> str:
        """Its disk goes too: all that counts is in the database, the bucket and the secret."""
        before = self._instance
        power.terminate(self._cloud, before)
        self.up()
        if self._instance == before:
            raise CheckFailedError(
                f"{before} was not replaced", next_step="provision plan shows what is missing"
            )
        return self._all_there()

    def down(self) -> str:
        """All of it, with its data."""
        result = self.stack.down(
            DownOptions(delete_data=True), confirm=lambda *_: None, progress=self.progress
        )
        return result.notes[0] if result.notes else "there was nothing"

    # -- what they need -------------------------------------------------------------------------

    @property
    def _endpoint(self) -> Endpoint:
        return self.stack.require_endpoint()

    @property
    def _cloud(self) -> Cloud:
        access = self.access()
        if access is None:
            raise ProvisionError("the emulated account has ended", next_step="provision rehearse")
        return Cloud(access.environment, self.stack.spec.aws.region)

    @property
    def _instance(self) -> str:
        paths = AwsPaths.below(self.stack.layout.root)
        record = AwsRecord.from_json(read_json(paths.record))
        outputs = Outputs.from_json(record.outputs if record else {})
        return outputs.server.instance_id if outputs.server else ""

    def _log(self, runs: int) -> None:
        with TrackingClient.from_endpoint(self._endpoint, timeout=30) as client:
            for _ in range(runs):
                value = secrets.randbelow(10**9) / 7
                run = client.create_run(self.experiment, "rehearsal")
                client.log_batch(run.run_id, {"value": value}, {}, {})
                root = run.artifact_uri.partition(":")[2].strip("/")
                content = secrets.token_bytes(_ARTIFACT_BYTES)
                client.upload(f"{root}/{_ARTIFACT}", content)
                self.logged[run.run_id] = value, content

    @contextmanager
    def _booting_again(self) -> Iterator[None]:
        """Wait until the machine has done its work once more: it does at each boot."""
        remote = self.stack.target.remote()
        if not isinstance(remote, AwsRemote):
            raise ProvisionError("the stack has no machine", next_step="provision rehearse")
        before = remote.last_run()
        yield
        remote.until_ready(self.progress, after_run=before)

    def _all_there(self) -> str:
        with TrackingClient.from_endpoint(self._endpoint) as client:
            for run_id, (value, content) in self.logged.items():
                found = client.get_run(run_id)
                root = found.artifact_uri.partition(":")[2].strip("/")
                whole = client.download(f"{root}/{_ARTIFACT}") == content
                if found.metrics.get("value") != value or not whole:
                    raise CheckFailedError(
                        f"run {run_id} came back as something else",
                        next_step="provision logs server",
                    )
        return f"{len(self.logged)} runs with their artifacts, none lost"
