from __future__ import annotations

import itertools
import json
import os
import re
import resource
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import jsonschema
import pytest
import yaml

from provision.adapters.specfile import load_spec, parse, plain_value
from provision.app import specs
from provision.app.specs import (
    QUESTIONS,
    InitAnswers,
    answers_from,
    init_text,
    questions_for,
    schema,
    write_init,
)
from provision.errors import ProvisionError, RefusedError, UsageError
from provision.model.spec import Spec
from provision.model.templates import EDITOR_HEADER, Rung

RUNGS: tuple[Any, ...] = get_args(Rung)
VALUES: dict[str, tuple[Any, ...]] = {
    "name": (None, "churn-course", "null", "no", "true"),
    "port": (None, 80, 65535),
    "auth": (None, "basic", "none"),
    "until": (None, "2027-01-31"),
    "region": (None, "us-gov-west-1"),
}


def every_combination() -> list[InitAnswers]:
    found = []
    for rung in RUNGS:
        asked = [question.id for question in questions_for(rung)]
        for values in itertools.product(*(VALUES[key] for key in asked)):
            found.append(InitAnswers(rung, **dict(zip(asked, values, strict=True))))
    return found


def read(answers: InitAnswers) -> Spec:
    return parse(init_text(answers), "provision.yaml", "folder")


@pytest.mark.parametrize("answers", every_combination(), ids=str)
def test_the_text_for_any_answers_is_a_spec_with_those_answers(answers: InitAnswers) -> None:
    spec = read(answers)
    assert spec.name == (answers.name or "folder")
    assert spec.server.port == (answers.port or 5000)
    assert spec.access.auth == (answers.auth or spec.access.auth)
    assert str(spec.lifetime.until) == str(answers.until)
    assert spec.aws.region == answers.region


def as_an_editor_reads(text: str) -> Any:
    """The text by PyYAML's own composer and the core schema's values, not by our reader."""

    def value(node: yaml.Node) -> Any:
        if isinstance(node, yaml.MappingNode):
            return {key.value: value(child) for key, child in node.value}
        if isinstance(node, yaml.SequenceNode):
            return [value(child) for child in node.value]
        return node.value if getattr(node, "style", None) else plain_value(node.value)

    root = yaml.compose(text, Loader=yaml.SafeLoader)
    return {} if root is None else value(root)


def test_the_text_for_any_answers_passes_the_schema() -> None:
    validator = jsonschema.Draft202012Validator(schema())
    for answers in every_combination():
        validator.validate(as_an_editor_reads(init_text(answers)))


@pytest.mark.parametrize(
    ("rung", "expected"),
    [
        ("none", ("none", "local", "sqlite", "none")),
        ("local", ("server", "local", "sqlite", "none")),
        ("team", ("server", "local", "postgres", "basic")),
        ("compose", ("server", "compose", "postgres", "basic")),
        ("aws", ("server", "aws", "postgres", "basic")),
        ("rehearsal", ("server", "rehearsal", "postgres", "basic")),
    ],
)
def test_each_rung_is_what_its_name_says(rung: Any, expected: tuple[str, ...]) -> None:
    spec = read(InitAnswers(rung))
    assert (spec.scenario, spec.target, spec.database.engine, spec.access.auth) == expected


@pytest.mark.parametrize("rung", RUNGS)
def test_what_is_commented_out_is_valid_too(rung: Any) -> None:
    text = init_text(InitAnswers(rung))
    lines = re.compile(r"^( *)# ([a-z_]+: .*)$", re.MULTILINE)
    uncommented = lines.sub(r"\1\2", text.removeprefix(EDITOR_HEADER))
    assert uncommented != text.removeprefix(EDITOR_HEADER)
    assert parse(uncommented, "provision.yaml", "folder").name == "churn-course"


@pytest.mark.parametrize("rung", RUNGS)
def test_each_text_is_short_explained_and_known_to_editors(rung: Any) -> None:
    text = init_text(InitAnswers(rung))
    assert text.startswith(EDITOR_HEADER)
    assert len(text.splitlines()) < 45
    assert all(len(line) <= 100 and line == line.rstrip() for line in text.splitlines())


# --- answers ---


@pytest.mark.parametrize("rung", RUNGS)
def test_the_default_of_every_question_is_a_valid_answer(rung: str) -> None:
    replies = {question.id: question.default for question in questions_for(rung)}
    assert init_text(answers_from({"rung": rung, **replies})).startswith(EDITOR_HEADER)


def test_the_first_question_offers_every_rung() -> None:
    assert QUESTIONS[0].id == "rung"
    assert set(QUESTIONS[0].choices) == set(RUNGS)
    assert QUESTIONS[0].default in RUNGS
    assert all(rung in QUESTIONS[0].help for rung in RUNGS)


def test_replies_become_answers_and_empty_ones_the_default() -> None:
    replies = {"rung": "team", "name": " ", "port": "8080", "auth": "none"}
    assert answers_from(replies) == InitAnswers("team", port=8080, auth="none")
    assert answers_from({}) == InitAnswers("local")


@pytest.mark.parametrize(
    "replies",
    [
        {"rung": "cloud"},
        {"name": "; rm -rf ~"},
        {"name": "a\nserver: {port: 1}"},
        {"port": "0"},
        {"port": "65536"},
        {"port": "\u0663"},
        {"port": "-1"},
        {"port": "http"},
        {"rung": "team", "auth": "ldap"},
        {"rung": "aws", "until": "tomorrow"},
        {"rung": "aws", "until": "2027-02-30"},
        {"rung": "aws", "until": "2027-01-31\ntags: {a: b}"},
        {"rung": "aws", "region": "Ireland"},
        {"rung": "aws", "region": "eu-west-1\nprofile: team"},
        {"rung": "team", "region": "eu-west-1"},
        {"rung": "none", "port": "5000"},
        {"rung": "local", "auth": "basic"},
        {"rung": "local", "until": "2027-01-31"},
    ],
)
def test_a_reply_that_is_not_valid_or_does_not_apply_is_refused(replies: dict[str, str]) -> None:
    with pytest.raises(UsageError) as caught:
        init_text(answers_from(replies))
    assert caught.value.next_step


def test_every_problem_with_the_answers_is_named_at_once_in_our_words() -> None:
    with pytest.raises(UsageError) as caught:
        answers_from({"rung": "team", "name": "Churn Course", "port": "0", "auth": "basc"})
    lines = caught.value.message.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["name", "port", "auth"]
    assert "did you mean `churn-course`?" in lines[0]
    assert "did you mean `basic`?" in lines[2]


# --- writing ---


def modes_and_names(folder: Path) -> dict[str, int]:
    return {p.name: stat.S_IMODE(p.stat().st_mode) for p in folder.iterdir() if p.is_file()}


def test_init_writes_the_spec_and_the_schema_that_its_first_line_names(tmp_path: Path) -> None:
    path = tmp_path / "provision.yaml"
    result = write_init(path, init_text(InitAnswers("team")), force=False)
    assert (result.file, result.replaced) == (str(path), False)
    assert load_spec(path).access.auth == "basic"
    named = path.read_text().splitlines()[0].partition("$schema=")[2]
    assert Path(result.schema_file) == tmp_path / named
    assert json.loads(Path(result.schema_file).read_text()) == schema()
    assert (tmp_path / ".provision" / ".gitignore").read_text() == "*\n"
    assert set(modes_and_names(tmp_path)) == {"provision.yaml"}


def test_a_file_that_is_there_is_kept_unless_forced(tmp_path: Path) -> None:
    path = tmp_path / "provision.yaml"
    path.write_text("name: mine\n")
    with pytest.raises(RefusedError, match="already exists") as caught:
        write_init(path, "name: new\n", force=False)
    assert "--force" in caught.value.next_step
    assert path.read_text() == "name: mine\n"
    assert not (tmp_path / ".provision").exists()
    assert write_init(path, "name: new\n", force=True).replaced
    assert path.read_text() == "name: new\n"


def test_a_link_to_nowhere_counts_as_a_file_that_is_there(tmp_path: Path) -> None:
    path = tmp_path / "provision.yaml"
    path.symlink_to(tmp_path / "gone")
    with pytest.raises(RefusedError):
        write_init(path, "", force=False)
    assert not (tmp_path / ".provision").exists()


def test_of_two_at_once_the_second_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "provision.yaml"

    def meanwhile(folder: Path) -> None:
        path.write_text("name: first\n")

    monkeypatch.setattr(specs, "_write_schema", meanwhile)
    with pytest.raises(RefusedError, match="already exists"):
        write_init(path, "name: second\n", force=False)
    assert path.read_text() == "name: first\n"


def test_forcing_follows_a_link_and_keeps_it(tmp_path: Path) -> None:
    (tmp_path / "shared.yaml").write_text("name: old\n")
    path = tmp_path / "provision.yaml"
    path.symlink_to("shared.yaml")
    write_init(path, "name: new\n", force=True)
    assert path.is_symlink()
    assert (tmp_path / "shared.yaml").read_text() == "name: new\n"


def test_a_gitignore_of_the_user_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / ".provision").mkdir()
    (tmp_path / ".provision" / ".gitignore").write_text("!schema.json\n")
    write_init(tmp_path / "provision.yaml", "", force=False)
    assert (tmp_path / ".provision" / ".gitignore").read_text() == "!schema.json\n"


def test_a_place_that_cannot_be_written_is_an_error_with_a_next_step(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "no" / "such" / "x.yaml", tmp_path / "file" / "x.yaml"):
        with pytest.raises(ProvisionError, match="cannot be written") as caught:
            write_init(path, "", force=False)
        assert caught.value.next_step


def test_a_file_in_the_place_of_the_schemas_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / ".provision").write_text("")
    with pytest.raises(ProvisionError, match="not a folder"):
        write_init(tmp_path / "provision.yaml", "", force=False)
    assert not (tmp_path / "provision.yaml").exists()


def files(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if not p.is_dir()}


WRITTEN = {"provision.yaml", ".provision/schema.json", ".provision/.gitignore"}


@pytest.mark.parametrize("force", [False, True])
def test_everybody_may_read_what_init_writes(tmp_path: Path, force: bool) -> None:
    before = os.umask(0o022)
    try:
        write_init(tmp_path / "provision.yaml", "", force=force)
    finally:
        os.umask(before)
    assert {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in WRITTEN} == {0o644}


def test_force_replaces_the_file_and_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "provision.yaml"
    path.write_text("name: mine\n", encoding="utf-8")
    path.chmod(0o640)
    assert write_init(path, "name: other\n", force=True).replaced
    assert path.read_text(encoding="utf-8") == "name: other\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert files(tmp_path) == WRITTEN


@pytest.fixture
def full_disk() -> Iterator[None]:
    """No file can grow beyond 32 KiB: what a full disk does, with another number."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (32 * 1024, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.usefixtures("full_disk")
def test_a_spec_that_cannot_be_written_whole_is_not_written_at_all(tmp_path: Path) -> None:
    with pytest.raises(ProvisionError, match="cannot be written: File too large") as caught:
        write_init(tmp_path / "provision.yaml", "#" * 100_000, force=False)
    assert caught.value.exit_code == 1
    assert "provision.yaml" not in files(tmp_path)


@pytest.mark.usefixtures("full_disk")
def test_a_spec_that_cannot_be_replaced_whole_stays_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "provision.yaml"
    path.write_text("name: mine\n", encoding="utf-8")
    with pytest.raises(ProvisionError, match="cannot be written"):
        write_init(path, "#" * 100_000, force=True)
    assert path.read_text(encoding="utf-8") == "name: mine\n"
    assert files(tmp_path) == WRITTEN  # and no temporary file


def test_a_folder_in_the_place_of_the_spec_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "provision.yaml").mkdir()
    with pytest.raises(ProvisionError, match="Is a directory"):
        write_init(tmp_path / "provision.yaml", "", force=True)
    assert (tmp_path / "provision.yaml").is_dir()
    assert not list(tmp_path.glob(".new-*"))
