"""`provision` as somebody types it on a laptop, whose AWS settings lead to the emulated account."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tests.checkout import ROOT
from tests.conftest import Cli
from tests.terraform.emulation import EmulatedAws
from tests.terraform.program import environment
from tests.terraform.provider import VARIABLE

_LONGEST = 300.0


@dataclass(frozen=True)
class Said:
    """How a command ended: its exit code, its JSON document, and what it wrote to stderr."""

    code: int
    document: dict[str, Any]
    err: str

    @property
    def message(self) -> str:
        return str(self.document["error"]["message"])

    @property
    def next_step(self) -> str:
        return str(self.document["error"]["next_step"])


@dataclass
class Command:
    """A command under way, alone in its process group, as a terminal starts it."""

    process: subprocess.Popen[bytes]
    out: Path
    err: Path

    def when(self, reached: Callable[[], object], what: str) -> None:
        """Wait until `reached()`."""
        deadline = time.monotonic() + _LONGEST
        while not reached():
            assert self.process.poll() is None, f"it ended before {what}: {self._told()}"
            assert time.monotonic() < deadline, f"never: {what}: {self._told()}"
            time.sleep(0.05)

    def interrupt(self) -> None:
        """Ctrl-C: the terminal sends SIGINT to the whole group."""
        os.killpg(self.process.pid, signal.SIGINT)

    def kill(self) -> None:
        """SIGKILL to it and to everything that it has started, so that nobody can save anything."""
        everyone = [psutil.Process(self.process.pid)]
        everyone += everyone[0].children(recursive=True)
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for process in everyone:
                with suppress(psutil.NoSuchProcess):
                    process.send_signal(number)
        self.process.wait()

    def kill_terraform(self) -> None:
        """SIGKILL to Terraform alone, as the kernel does when memory is short."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        (terraform,) = (child for child in children if child.name() == "terraform")
        terraform.kill()

    def end(self) -> Said:
        """Wait for its end."""
        code = self.process.wait(timeout=_LONGEST)
        err = self.err.read_text(encoding="utf-8")
        document = json.loads(self.out.read_text(encoding="utf-8") or "{}")
        assert "Traceback" not in err, err
        return Said(code, document, err)

    def _told(self) -> str:
        return self.out.read_text() + self.err.read_text()[-3000:]


class Laptop(Cli):
    """A folder with a spec, a home and AWS settings of its own."""

    def say(self, *arguments: str) -> Said:
        with self.at_work(*arguments) as command:
            return command.end()

    @contextmanager
    def at_work(self, *arguments: str) -> Iterator[Command]:
        """A command that is under way in the block, and is gone after it."""
        logs = self.folder.parent / "said"
        logs.mkdir(exist_ok=True)
        number = len(list(logs.iterdir()))
        out, err = logs / f"{number}-{arguments[0]}.out", logs / f"{number}-{arguments[0]}.err"
        with out.open("wb") as to_out, err.open("wb") as to_err:
            process = subprocess.Popen(
                self.command(*arguments, "--json"),
                cwd=self.folder,
                env=self.env(),
                stdin=subprocess.DEVNULL,
                stdout=to_out,
                stderr=to_err,
                start_new_session=True,
                umask=0o022,  # what most people have; private files must not depend on it
            )
        command = Command(process, out, err)
        try:
            yield command
        finally:
            if process.poll() is None:
                command.kill()

    def kept_of(self, stack: str) -> set[str]:
        """What the stack's folder still holds."""
        return {path.name for path in (self.folder / ".provision" / stack).iterdir()}

    def aws_folder(self, stack: str) -> Path:
        """What is kept about a stack that lives in an account."""
        return self.folder / ".provision" / stack / "aws"


def laptop(folder: Path, aws: EmulatedAws, spec: str, **more: str) -> Laptop:
    """A laptop below `folder`. Each command starts a provider of its own, as users have it.

    `more` are AWS settings that differ from the account's usual ones.
    """
    desk = folder / "desk"
    desk.mkdir(parents=True)
    seen = environment(folder) | aws.environment | {"PYTHONPATH": str(ROOT)} | more
    kept = {key: value for key, value in seen.items() if key not in (VARIABLE, "HOME", "GOGC")}
    made = Laptop(desk, kept)
    made.spec(spec)
    return made


def ours(aws: EmulatedAws, stack: str, operation: str, key: str) -> list[dict[str, Any]]:
    """What EC2 lists with the tag of a stack."""
    tagged = [{"Name": "tag:provision:stack", "Values": [stack]}]
    found = getattr(aws.client("ec2"), operation)(Filters=tagged)[key]
    assert isinstance(found, list)
    return found


def session_of(aws: EmulatedAws, account: str, name: str) -> dict[str, str]:
    """Credentials of a role in an account, as environment variables: real-looking, and secret."""
    arn = f"arn:aws:iam::{account}:role/{name}"
    made = aws.client("sts").assume_role(RoleArn=arn, RoleSessionName=name)["Credentials"]
    return {
        "AWS_ACCESS_KEY_ID": made["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": made["SecretAccessKey"],
        "AWS_SESSION_TOKEN": made["SessionToken"],
    }
