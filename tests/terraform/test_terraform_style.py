"""The house rules of the configuration that Terraform itself does not check."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.terraform.program import MODULES, STACKS, TERRAFORM
from tests.terraform.readme import Block, blocks, documented, rendered

ROOMS = [*MODULES, *STACKS]
FILES = sorted(p for room in ROOMS for p in (TERRAFORM / room).glob("*.tf"))
MOST_VARIABLES = 11
FORBIDDEN = {
    r"type\s*=\s*any\b": "a type says what goes in",
    r"local-exec|remote-exec": "programs are started by the kit",
    r"\b(timestamp|uuid|bcrypt)\(": "a plan must be the same twice",
    r"\"\w+:\*\"": "no wildcard action",
    r"(?i)moto|localhost|127\.0\.0\.1|endpoint_url": "the emulation stays outside",
    r"\b(access_key|secret_key|password|secret_string)(_wo)?\s*=": "no secret passes through",
    r"resource \"aws_nat_gateway\"": "it costs more than the server",
}  # fmt: skip
# A policy that refuses has to refuse everything.
ALLOWED = {("artifact-store/access.tf", '"s3:*"')}


@pytest.mark.parametrize("file", FILES, ids=lambda p: p.relative_to(TERRAFORM).as_posix())
def test_nothing_forbidden_is_written(file: Path) -> None:
    place = file.relative_to(TERRAFORM / "modules") if "modules" in file.parts else file
    found = [
        f"{match.group()} ({why})"
        for pattern, why in FORBIDDEN.items()
        for match in re.finditer(pattern, _code(file))
        if (Path(place).as_posix(), match.group()) not in ALLOWED
    ]
    assert not found


@pytest.mark.parametrize("room", ROOMS, ids=str)
def test_room_has_the_four_files_and_few_variables(room: Path) -> None:
    names = {p.name for p in (TERRAFORM / room).glob("*.tf")}
    assert {"terraform.tf", "main.tf", "variables.tf", "outputs.tf"} <= names
    assert len(blocks(TERRAFORM / room / "variables.tf")) <= MOST_VARIABLES


@pytest.mark.parametrize("room", ROOMS, ids=str)
def test_variables_and_outputs_are_described_in_sentences(room: Path) -> None:
    for block in _interface(room):
        assert re.fullmatch(r"[A-Z`].+\.", block.text("description")), block.name


@pytest.mark.parametrize("room", ROOMS, ids=str)
def test_null_is_allowed_only_where_it_means_something(room: Path) -> None:
    for block in blocks(TERRAFORM / room / "variables.tf"):
        nullable = block.value("nullable") != "false"
        assert nullable == ("null" in block.text("description").lower()), block.name


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_no_module_calls_a_module_or_sets_up_a_provider(module: Path) -> None:
    text = "\n".join(_code(p) for p in (TERRAFORM / module).glob("*.tf"))
    assert not re.search(r'^(module|provider|backend) "', text, re.MULTILINE)


@pytest.mark.parametrize("stack", STACKS, ids=str)
def test_stacks_wire_and_make_nothing_themselves(stack: Path) -> None:
    text = "\n".join(_code(p) for p in (TERRAFORM / stack).glob("*.tf"))
    assert not re.search(r'^resource "', text, re.MULTILINE)


@pytest.mark.parametrize("room", ROOMS, ids=str)
def test_readme_tables_are_fresh(room: Path) -> None:
    readme = TERRAFORM / room / "README.md"
    fresh = documented(readme.read_text(encoding="utf-8"), rendered(TERRAFORM / room))
    assert readme.read_text(encoding="utf-8") == fresh, "run: python -m tests.terraform.readme"


def _interface(room: Path) -> list[Block]:
    return blocks(TERRAFORM / room / "variables.tf") + blocks(TERRAFORM / room / "outputs.tf")


def _code(file: Path) -> str:
    """The file without its comments."""
    return re.sub(r"(?m)^\s*#.*$", "", file.read_text(encoding="utf-8"))


def test_nothing_is_used_that_version_6_of_the_provider_took_away() -> None:
    """Its upgrade guide, for the kinds that are used here; terraform/README.md has the table."""
    gone = re.compile(
        r"^\s*(vpc|log_group_name|cpu_core_count|cpu_threads_per_core|character_set_name"
        r"|s3_us_east_1_regional_endpoint)\s*="
        r"|data\.aws_region\.\w+\.name\b|aws_s3_bucket\.\w+(\[\w+\])?\.region\b",
        re.MULTILINE,
    )
    used = {
        f"{path.relative_to(TERRAFORM)}: {found[0].strip()}"
        for path in TERRAFORM.rglob("*.tf")
        if ".terraform" not in path.parts
        for found in gone.finditer(path.read_text(encoding="utf-8"))
    }
    assert not used
