"""What the documentation shows is run, and what it names is there."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from provision import Stack
from provision.adapters.processes import any_free_port
from provision.adapters.specfile import load_spec
from provision.cli.parser import build_parser
from tests.checkout import ROOT
from tests.conftest import Cli
from tests.docs.blocks import PAGES, Block, all_blocks, blocks_of, commands_of

KNOWN_LANGUAGES = {"console", "yaml", "python", "text", "json"}
README = ROOT / "README.md"
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


def label(block: Block) -> str:
    return block.label


def test_every_block_says_what_it_is() -> None:
    unknown = [b.label for p in PAGES for b in blocks_of(p) if b.language not in KNOWN_LANGUAGES]
    assert unknown == []


def test_every_fence_is_closed() -> None:
    for page in PAGES:
        fences = [x for x in page.read_text(encoding="utf-8").splitlines() if x.startswith("```")]
        assert len(fences) == 2 * len(blocks_of(page)), page


@pytest.mark.parametrize("block", all_blocks("yaml"), ids=label)
def test_yaml_is_a_valid_spec(block: Block, tmp_path: Path) -> None:
    path = tmp_path / "provision.yaml"
    path.write_text(block.text, encoding="utf-8")
    given = yaml.safe_load(block.text)
    spec = load_spec(path)
    assert spec.name == given.get("name", spec.name)


@pytest.fixture
def reader(cli: Cli, tools: Path) -> Cli:
    """Somebody who types what the page says, in a folder of their own with the examples."""
    shutil.copytree(ROOT / "examples", cli.folder / "examples")
    cli.environment["PATH"] = f"{tools}:{os.environ['PATH']}"
    cli.environment["MLFLOW_DISABLE_TELEMETRY"] = "true"
    return cli


def shell(reader: Cli, script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", script], cwd=reader.folder, env=reader.env(),
        capture_output=True, text=True, check=False, timeout=1200,
    )  # fmt: skip


def on_free_port(reader: Cli, command: str) -> str:
    """Port 5000 may be taken here: a spec that was just written gets a free one."""
    if not command.startswith("provision init"):
        return command
    port = any_free_port("127.0.0.1")
    return f"{command} --force && sed -i 's/^  port: .*/  port: {port}/' provision.yaml"


# Their commands need Terraform: tests/terraform runs them.
ACCOUNT_PAGES = {
    "aws.md": ["plan", "up", "status", "down"],
    "in-your-account.md": ["init", "plan", "up", "status", "down"],
    "teardown.md": ["down", "down"],
}
REHEARSAL_PAGE = "rehearsal.md"  # its commands boot a machine: tests/lab runs them
CONSOLE_PAGES = [
    page
    for page in PAGES
    if page.name not in {*ACCOUNT_PAGES, REHEARSAL_PAGE}
    and any(b.language == "console" for b in blocks_of(page))
]


def typed_on(page: Path) -> list[str]:
    return [c for b in blocks_of(page) if b.language == "console" for c in commands_of(b)]


@pytest.mark.slow
@pytest.mark.parametrize("page", CONSOLE_PAGES, ids=lambda page: page.name)
def test_the_commands_of_a_page_work_in_their_order(page: Path, reader: Cli) -> None:
    runs = [command for command in typed_on(page) if not command.startswith("make ")]
    script = ["set -e", "unset MLFLOW_TRACKING_URI"]
    for command in runs:
        script += [f"echo '+' {shlex.quote(command)} >&2", on_free_port(reader, command)]
    done = shell(reader, "\n".join(script))
    assert done.returncode == 0, f"{done.stderr}\n{reader.logs()}"


@pytest.mark.parametrize("name", ACCOUNT_PAGES)
def test_an_account_pages_commands_are_understood(name: str) -> None:
    """What they do is tried by tests/terraform/test_up_*.py, which take minutes."""
    (page,) = (page for page in PAGES if page.name == name)
    typed = [shlex.split(command) for command in typed_on(page)]
    assert [words[:2] for words in typed] == [
        ["provision", command] for command in ACCOUNT_PAGES[name]
    ]
    for words in typed:
        build_parser().parse_args(words[1:])


def test_console_blocks_hold_commands_only() -> None:
    for block in all_blocks("console"):
        assert all(line.startswith("$ ") for line in block.text.splitlines()), block.label


@pytest.mark.parametrize("page", CONSOLE_PAGES, ids=lambda page: page.name)
def test_every_make_target_that_a_page_names_exists(page: Path) -> None:
    content = page.read_text(encoding="utf-8")
    named = re.findall(r"(?:^\$ |`)make ([a-z]+)", content, re.MULTILINE)
    targets = set(re.findall(r"^([a-z]+):", MAKEFILE, re.MULTILINE))
    assert set(named) <= targets
    assert named or page.parent.name in {"docs", "how-to"}


@pytest.mark.slow
def test_the_readmes_day_points_a_client_at_the_server(reader: Cli) -> None:
    """`eval` is only worth something if the shell's next MLflow program logs there."""
    typed = typed_on(README)
    start = typed.index('eval "$(provision env)"')
    begin = [on_free_port(reader, c) for c in typed[:start] if c.startswith("provision ")]
    program = "import mlflow; mlflow.start_run(); print(mlflow.get_tracking_uri())"
    script = ["set -e", *begin, typed[start], f"python -c {shlex.quote(program)}"]
    done = shell(reader, "\n".join(script))
    assert done.returncode == 0, done.stderr
    status = reader.json("status")
    assert status["uri"] in done.stdout.splitlines()
    assert status["server"]["counts"]["runs"] == 1


def python_blocks(*, tests: bool) -> list[Block]:
    return [b for b in all_blocks("python") if ("def test_" in b.text) is tests]


@pytest.mark.slow
@pytest.mark.parametrize("block", python_blocks(tests=False), ids=label)
def test_python_runs(block: Block, reader: Cli, port: int) -> None:
    reader.spec(f"name: churn\nserver:\n  port: {port}\n")
    (reader.folder / "example.py").write_text(block.text, encoding="utf-8")
    done = shell(reader, "python example.py")
    assert done.returncode == 0, f"{done.stderr}\n{reader.logs()}"
    with Stack.load(reader.folder / "provision.yaml").up() as endpoint:
        import mlflow

        runs = mlflow.MlflowClient(endpoint.uri).search_runs(["0"])
    assert [run.data.metrics for run in runs] == [{"auc": 0.81}]


@pytest.mark.slow
@pytest.mark.parametrize("block", python_blocks(tests=True), ids=label)
def test_python_tests_pass(block: Block, reader: Cli) -> None:
    name = re.findall(r"def (test_\w+)", block.text)[0]
    logs = "    with mlflow.start_run():\n        mlflow.log_metric('auc', 0.81)\n"
    program = f"import mlflow\n\n{block.text}{logs}"
    (reader.folder / "test_example.py").write_text(program, encoding="utf-8")
    done = shell(reader, "pytest -v -p no:cacheprovider --basetemp=temporary")
    assert done.returncode == 0, done.stdout
    assert f"{name} PASSED" in done.stdout


def shape(text: str) -> str:
    """A text without its numbers: ports and versions differ, words do not."""
    return re.sub(r"\d+(\.\d+)*", "N", text).strip()


@pytest.mark.slow
def test_the_output_that_the_readme_shows_is_the_real_one(reader: Cli, port: int) -> None:
    (shown,) = (b for b in blocks_of(README) if b.language == "text")
    reader.spec(f"name: {shown.text.split()[0]}\nserver:\n  port: {port}\n")
    assert shape(reader.ok("up")) == shape(shown.text)


def commands_of_the_parser() -> set[str]:
    (action,) = (a for a in build_parser()._actions if a.choices)
    return set(action.choices or ())


def test_the_readmes_table_names_exactly_the_commands_that_exist() -> None:
    rows = re.findall(r"^\| (`.*?) \|", README.read_text(encoding="utf-8"), re.MULTILINE)
    named = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    assert len(named) == len(set(named))
    assert set(named) == commands_of_the_parser()


def flags_of(command: str) -> set[str]:
    """A command's flags, with those of the commands below it."""
    (action,) = (a for a in build_parser()._actions if a.choices)
    choices = action.choices
    assert isinstance(choices, dict)
    parser = choices[command]
    below = [a.choices for a in parser._actions if isinstance(a.choices, dict)]
    inner = [flag for each in below for p in each.values() for flag in p._option_string_actions]
    return {*parser._option_string_actions, *inner}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_and_flag_in_prose_exists(page: Path) -> None:
    content = page.read_text(encoding="utf-8")
    for typed in re.findall(r"(?:^\$ |`|\$\()provision ([^`\n)]+)", content, re.MULTILINE):
        command, *words = typed.split()
        assert command.strip(",.") in commands_of_the_parser() | {"--help"}, typed
        flags = {w.split("=")[0] for w in words if re.fullmatch(r"--[a-z-]+(=.*)?", w)}
        assert flags <= (flags_of(command) if flags else set()), typed


def anchor(heading: str) -> str:
    """GitHub's anchor of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_and_picture_leads_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        path, _, fragment = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), f"{page.name} links to {target}"
        assert there.is_relative_to(ROOT), f"{page.name} links out of the repository: {target}"
        if fragment and there.suffix == ".md":
            headings = re.findall(r"^#+ (.*)$", there.read_text(encoding="utf-8"), re.MULTILINE)
            assert fragment in {anchor(heading) for heading in headings}, target


def test_every_picture_is_shown_somewhere_and_is_small() -> None:
    shown = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    for picture in (ROOT / "docs/pictures").iterdir():
        assert f"pictures/{picture.name}" in shown, f"no page shows {picture.name}"
        assert picture.stat().st_size < 200_000, picture
