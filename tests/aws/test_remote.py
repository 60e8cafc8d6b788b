"""Logs, repair, commands and tunnels: what is done to a machine through Systems Manager."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from provision.adapters.cloud.commands import open_session, run_on_machine
from provision.adapters.cloud.session import Cloud
from provision.adapters.session_manager import PROGRAM, find_plugin
from provision.cli.remote_logs import _new
from provision.emulator.rehearsal import REHEARSAL
from provision.errors import MissingError
from provision.targets.aws_opening import Opening
from provision.targets.aws_record import Access
from provision.targets.aws_remote import AwsRemote
from tests.aws.stack import Stack, StandIn, broken, ready
from tests.aws.test_host_bundle import deliver
from tests.progress import Quiet

pytestmark = [pytest.mark.xdist_group("aws-host"), pytest.mark.slow]
Answer = Callable[[str], tuple[int, str, str]]


def remote(stack: Stack) -> AwsRemote:
    access = Access(stack.cloud.environment, stack.cloud.environment)
    return AwsRemote(stack.host(), Opening(access, stack.me, stack.cloud), stack.outputs)


@contextmanager
def agent(stack: Stack, answer: Answer) -> Iterator[list[str]]:
    """Systems Manager's agent on the machine: `answer` takes a line and gives code, out, err."""
    seen: list[str] = []
    done = threading.Event()

    def work() -> None:
        while not done.is_set():
            for key, command in list(REHEARSAL.pending.items()):
                lines = command.parameters["commands"]
                seen.extend(lines)
                code, out, err = answer(lines[-1])
                told = {"id": key[0], "instance": key[1], "code": code, "out": out, "err": err}
                REHEARSAL._learn({"results": [told]})
            time.sleep(0.02)

    REHEARSAL._learn({"agents": [stack.instance]})
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    yield seen
    done.set()
    thread.join()
    REHEARSAL._learn({"agents": None})


def test_a_command_comes_back_with_code_and_both_outputs(stack: Stack) -> None:
    with agent(stack, lambda _: (3, "out\n", "err\n")) as seen:
        ran = run_on_machine(stack.cloud, stack.instance, ["systemctl status mlflow"])
        again = remote(stack).run(["echo", "two words", "$HOME"])
    assert (ran.code, ran.out, ran.err) == (3, "out\n", "err\n")
    assert seen == ["systemctl status mlflow", "echo 'two words' '$HOME'"]
    assert again.code == 3


def test_a_machine_without_its_agent_is_named(stack: Stack) -> None:
    with agent(stack, lambda _: (0, "", "")):
        REHEARSAL._learn({"agents": []})
        with pytest.raises(MissingError, match="no connection to the machine") as caught:
            run_on_machine(stack.cloud, stack.instance, ["true"])
    assert "provision logs boot" in caught.value.next_step


def test_repair_uploads_again_starts_again_and_says_what_changed(stack: Stack) -> None:
    guest = StandIn(stack)
    deliver(stack)
    guest.boot()
    stack.aws.client("s3").delete_object(
        Bucket=deliver_bucket(stack), Key="provision/host/provision.pyz"
    )

    def restarts(line: str) -> tuple[int, str, str]:
        threading.Thread(target=lambda: guest.boot("Caddyfile"), daemon=True).start()
        return 0, "", ""

    with agent(stack, restarts) as seen:
        result = remote(stack).repair(Quiet())
    assert seen == ["systemctl restart --no-block provision-host.service"]
    assert (result.run, result.uploaded) == (2, ("provision.pyz",))
    assert result.changed == ("ready: Caddyfile",)
    assert not guest.problems


def deliver_bucket(stack: Stack) -> str:
    assert stack.outputs.artifacts is not None
    return stack.outputs.artifacts.bucket


def test_a_changed_bundle_starts_the_machine_again(stack: Stack) -> None:
    guest = StandIn(stack)
    deliver(stack)
    guest.boot()

    def restarts(line: str) -> tuple[int, str, str]:
        threading.Thread(target=guest.boot, daemon=True).start()
        return 0, "", ""

    with agent(stack, restarts) as seen:
        host = stack.host()
        report = host.bring_up(stack.cloud, stack.outputs, ("settings.json",), Quiet())
    assert len(seen) == 1
    assert report.run == 2


def test_the_logs_of_a_machine(stack: Stack) -> None:
    there = remote(stack)
    with pytest.raises(MissingError, match="has not reported yet"):
        there.log("boot", 10)
    stack.report(broken(stack.instance, 1))
    assert there.log_names()[0] == "boot"
    assert any("password authentication failed" in line for line in there.log("boot", 5))
    stack.report(ready(stack.instance, 2))
    assert there.log_names()[0] == "server"
    with agent(stack, lambda line: (0, "one\ntwo\n", "")) as seen:
        assert there.log("server", 7) == ["one", "two"]
    assert shlex.split(seen[0])[:5] == [
        "journalctl", "--unit", "mlflow.service", "--lines", "7",
    ]  # fmt: skip
    assert there.log("console", 3)


def test_following_shows_each_line_once() -> None:
    assert _new(["a", "b"], ["a", "b", "c"]) == ["c"]
    assert _new(["a", "b"], ["b", "c", "d"]) == ["c", "d"]
    assert _new(["a", "b"], ["a", "b"]) == []
    assert _new(["a"], ["x", "y"]) == ["x", "y"]
    assert _new([], ["x"]) == ["x"]


# -- sessions -----------------------------------------------------------------------------------


def test_without_an_open_port_the_machine_is_told_to_ask_itself(stack: Stack) -> None:
    answers = iter([(1, "", "not-ready: it starts"), (0, "", "")])
    with agent(stack, lambda _: next(answers)) as seen:
        said = stack.host().require_inside(stack.cloud, stack.outputs, Quiet())
    assert "it works" in said
    assert seen == ["/usr/bin/python3 -I /opt/provision/bundle/provision.pyz --ask"] * 2


PLUGIN = """\
#!/bin/sh
[ "$1" = --version ] && { echo VERSION; exit 0; }
{ for word in "$@"; do printf '%s\\n' "$word"; done; } > "$PLUGIN_LOG"
printf '%s' "$AWS_SSM_START_SESSION_RESPONSE" > "$PLUGIN_LOG.answer"
exit 4
"""


class SessionService(BaseHTTPRequestHandler):
    """Systems Manager's StartSession alone: the emulation has none."""

    asked: list[dict[str, Any]] = []  # noqa: RUF012 - emptied by the fixture

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        assert self.headers["X-Amz-Target"] == "AmazonSSM.StartSession"
        self.asked.append(json.loads(body))
        text = json.dumps({"SessionId": "s-1", "StreamUrl": "wss://x", "TokenValue": "T0KEN"})
        self.send_response(200)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def sessions() -> Iterator[Cloud]:
    SessionService.asked.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), SessionService)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    keys = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
    endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    yield Cloud({**keys, "AWS_ENDPOINT_URL_SSM": endpoint}, "eu-west-1", attempts=1)
    server.shutdown()


def plugin_in(folder: Path, version: str = "1.2.707.0") -> dict[str, str]:
    program = folder / PROGRAM
    program.write_text(PLUGIN.replace("VERSION", version), encoding="utf-8")
    program.chmod(0o755)
    return {"PATH": f"{folder}{os.pathsep}/usr/bin:/bin", "PLUGIN_LOG": str(folder / "log")}


def test_the_plugin_gets_the_session_and_its_token_by_no_argument(
    sessions: Cloud, tmp_path: Path
) -> None:
    forward = {"portNumber": ["443"], "localPortNumber": ["8443"]}
    opened = open_session(sessions, "i-1", "AWS-StartPortForwardingSession", forward)
    assert SessionService.asked == [
        {
            "Target": "i-1",
            "DocumentName": "AWS-StartPortForwardingSession",
            "Parameters": forward,
        }
    ]
    assert "T0KEN" not in repr(opened)
    assert find_plugin(plugin_in(tmp_path)).run(opened) == 4
    words = (tmp_path / "log").read_text(encoding="utf-8").splitlines()
    assert words[:3] == ["AWS_SSM_START_SESSION_RESPONSE", "eu-west-1", "StartSession"]
    assert json.loads(words[4]) == SessionService.asked[0]
    assert "T0KEN" not in "".join(words)
    assert json.loads((tmp_path / "log.answer").read_text())["TokenValue"] == "T0KEN"


def test_a_plugin_that_would_show_the_token_is_refused(sessions: Cloud, tmp_path: Path) -> None:
    opened = open_session(sessions, "i-1", None, {})
    for version in ("1.2.497.0", "1.1.61", "no version"):
        with pytest.raises(MissingError, match="to every user of this machine"):
            find_plugin(plugin_in(tmp_path, version)).run(opened)
    assert not (tmp_path / "log").exists()


def test_without_the_plugin_the_command_says_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="session-manager-plugin") as caught:
        find_plugin({"PATH": str(tmp_path)})
    assert caught.value.exit_code == 5
    assert "docs.aws.amazon.com" in caught.value.next_step


@pytest.mark.parametrize("command", [["tunnel"], ["ssh"]])
def test_on_this_machine_the_plugin_is_asked_for_first(command: list[str], tmp_path: Path) -> None:
    import sys

    (tmp_path / "provision.yaml").write_text("name: churn\ntarget: aws\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "provision", *command],
        cwd=tmp_path,
        env={"PATH": str(tmp_path), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 5
    assert "session-manager-plugin" in done.stderr
