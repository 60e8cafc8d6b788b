"""`provision emulate`: what it prints is enough to use it, and Ctrl-C ends it in order."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.checkout import ROOT
from tests.conftest import Cli
from tests.docs.blocks import blocks_of

pytestmark = pytest.mark.slow
PAGE = ROOT / "docs/emulated-aws.md"
PROGRAM = """
import boto3
ec2 = boto3.client("ec2")
print(ec2.meta.region_name, ec2.create_key_pair(KeyName="k")["KeyName"])
"""


@contextmanager
def running(cli: Cli, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        cli.command("emulate", *arguments), cwd=cli.folder, env=cli.env(), text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def said_until(process: subprocess.Popen[str], last: str) -> str:
    """What it prints, up to the line that begins with `last`."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith(last):
            return "".join(lines)
    raise AssertionError(f"it ended: {lines} {process.stderr and process.stderr.read()}")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_its_lines_point_a_shell_at_it_and_a_signal_ends_it(
    cli: Cli, number: signal.Signals
) -> None:
    with running(cli, "--region", "eu-central-1") as process:
        lines = said_until(process, "export no_proxy")
        used = subprocess.run(
            ["bash", "-c", f'{lines}\nexec "$0" -c "$1"', sys.executable, PROGRAM],
            env=cli.env(), capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert used.stdout == "eu-central-1 k\n", used.stderr
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    assert (out, process.returncode) == ("", 0)
    assert "All that it holds is lost when this command ends" in err
    assert err.endswith("the emulated account has ended, and with it all that it held\n")


def test_as_json_it_is_one_document(cli: Cli) -> None:
    with running(cli, "--json") as process:
        document = json.loads(said_until(process, "}"))
        os.kill(process.pid, signal.SIGINT)
        assert process.wait(timeout=30) == 0
    assert document["schema"] == "provision.emulate/1"
    assert document["pid"] == process.pid
    assert document["regions"] == ["eu-west-1"]
    assert document["environment"]["AWS_ENDPOINT_URL"] == document["endpoint"]


def test_a_region_that_there_is_not_is_bad_usage(cli: Cli) -> None:
    done = cli.run("emulate", "--region", "moon-1")
    assert done.returncode == 2
    assert "AWS has no region moon-1" in done.stderr


def test_without_moto_it_says_how_to_get_it(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['moto'] = None\n")
    cli.environment["PYTHONPATH"] = str(tmp_path)
    done = cli.run("emulate")
    assert done.returncode == 5
    assert f'next step: {sys.executable} -m pip install "provision-mlflow[' in done.stderr


def test_the_page_shows_what_it_prints(cli: Cli) -> None:
    (shown,) = (block for block in blocks_of(PAGE) if block.language == "text")
    with running(cli) as process:
        printed = said_until(process, "export no_proxy")
    assert re.sub(r"\d+", "N", shown.text) == re.sub(r"\d+", "N", printed)
