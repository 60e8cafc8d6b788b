"""What people and harm-doers write into a spec file, and the answers that they get."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from provision.adapters.specfile import (
    MAX_BYTES,
    dump,
    load_spec,
    parse,
    parse_source,
    plain_value,
    read_spec,
)
from provision.app.specs import schema
from provision.errors import SpecError
from provision.model.spec import Spec

VALID = sorted((Path(__file__).parent / "specs" / "ok").glob("*.yaml"))


def problems_in(text: str) -> list[str]:
    """The problems of a text as users see them, without the name of the file."""
    with pytest.raises(SpecError) as caught:
        parse(text, "f.yaml", "folder")
    assert caught.value.next_step
    return [str(problem).removeprefix("f.yaml:") for problem in caught.value.problems]


def one_problem(text: str) -> str:
    (problem,) = problems_in(text)
    return problem


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.stem)
def test_the_schema_refuses_an_unknown_key_in_any_section_of_a_valid_file(path: Path) -> None:
    validator = jsonschema.Draft202012Validator(schema())
    spec = load_spec(path).model_dump(mode="json", exclude_unset=True)
    assert validator.is_valid(spec)
    assert not validator.is_valid({**spec, "unknown": 1})
    for section in ("server", "database", "artifacts", "access", "lifetime"):
        assert not validator.is_valid({**spec, section: {**spec.get(section, {}), "unknown": 1}})


def test_a_valid_file_with_one_key_more_is_refused_by_the_reader_as_by_the_schema() -> None:
    for path in VALID:
        text = dump(load_spec(path)) + "unknown: 1\n"
        assert one_problem(text).endswith("access, lifetime, aws, tags)")


# What a plain value means.


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *[(word, None) for word in ("", "~", "null", "Null", "NULL")],
        *[(word, True) for word in ("true", "True", "TRUE")],
        *[(word, False) for word in ("false", "False", "FALSE")],
        ("0", 0), ("5000", 5000), ("-1", -1), ("+7", 7),
        ("1.5", 1.5), (".5", 0.5), ("1.", 1.0), ("1e3", 1000.0), ("-2.5E-1", -0.25),
    ],
)  # fmt: skip
def test_a_plain_value_of_yaml_1_2_is_what_it_says(text: str, value: object) -> None:
    found = plain_value(text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    "text",
    [
        "yes", "Yes", "no", "NO", "on", "off", "y", "n", "nULL", "tRUE", "fALSE", "08:00", "1:30",
        "010", "0o17", "0x1F", "0b1", "1_000", "00", "-01", "2027-01-31", "1.2.3", ".", "+", "-",
        "e5", "1e", "--1", "1 ", ".inf", ".nan", "nan", "inf", "\u0665", "9" * 101, "=", "<<",
    ],
)  # fmt: skip
def test_every_other_plain_value_stays_the_text_that_it_is(text: str) -> None:
    assert plain_value(text) == text


@given(st.text(max_size=12))
def test_a_plain_value_never_fails(text: str) -> None:
    assert isinstance(plain_value(text), str | int | float | bool | None)


def test_quotes_make_every_value_text() -> None:
    spec = parse("name: 'null'\ntags: {a: \"no\", b: '5', c: \"\"}", "f", "folder")
    assert spec.name == "null"
    assert spec.tags == {"a": "no", "b": "5", "c": ""}


# Lines.


def test_a_problem_has_the_line_of_its_key_and_a_list_item_its_own() -> None:
    text = """\
access:

  allowed_hosts:
    - lab.example

    - "*"
server:
  # a comment
  port:
    99999
"""
    assert [problem.partition(" ")[0] for problem in problems_in(text)] == ["6:", "9:"]


def test_lines_are_counted_the_same_for_every_line_break() -> None:
    for end in ("\n", "\r\n", "\r"):
        assert one_problem(end.join(["name: ok", "", "server:", "  prot: 1"])).startswith("4:")


def test_problems_come_in_the_order_of_the_file_whoever_found_them() -> None:
    text = "prot: 1\nname: !!str x\nname: y\nserver:\n  port: x\n2: 3\n"
    lines = [int(problem.partition(":")[0]) for problem in problems_in(text)]
    assert lines == sorted(lines) == [1, 2, 3, 5, 6]


def test_problems_found_before_the_text_breaks_off_are_in_order_too() -> None:
    text = "server: !!x {}\nserver: 1\nname: 'x\n"
    lines = [int(problem.partition(":")[0]) for problem in problems_in(text)]
    assert lines == [1, 2, 3]


def test_a_source_remembers_where_every_setting_was_written() -> None:
    source = parse_source("name: ab\nserver:\n  port: 1\ntags: {a: b}\n", "f", "folder")
    assert source.file == "f"
    assert source.lines == {
        (): 1, ("name",): 1, ("server",): 2, ("server", "port"): 3, ("tags",): 4, ("tags", "a"): 4,
    }  # fmt: skip


def test_the_file_of_a_problem_is_whole_and_on_one_line() -> None:
    with pytest.raises(SpecError) as caught:
        parse("x: 1", "/data/" + "deep/" * 100 + "a\nb.yaml", "folder")
    (problem,) = caught.value.problems
    assert problem.file == "/data/" + "deep/" * 100 + "a\\nb.yaml"


# Words that are near.


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("nmae: x", "(did you mean `name`?)"),
        ("Target: x", "(did you mean `target`?)"),
        ("port: 1", "(`port` belongs under `server`)"),
        ("server: {auth: basic}", "(`auth` belongs under `access`)"),
        ("artifacts: {auth: basic}", "(`auth` belongs under `access`)"),
        ("access: {path: artifacts}", "(`path` belongs under `artifacts`)"),
        ("database: {name: ab}", "(`name` belongs at the top level)"),
        ("PORT: 1", "(did you mean `port`, under `server`?)"),
        ("worker: 1", "(did you mean `workers`, under `server`?)"),
        ("host: 0.0.0.0", "(did you mean `listen`, under `access`?)"),
        ("server: {host: 0.0.0.0}", "(did you mean `listen`, under `access`?)"),
        ("artifacts: {zzz: 1}", "(known here: path, mode)"),
        ("target: AWS", "(did you mean `aws`?)"),
        ("target: docker", "(did you mean `compose`?)"),
        ("target: rehersal", "(did you mean `rehearsal`?)"),
        ("database: {engine: postgresql}", "(did you mean `postgres`?)"),
        ("access: {auth: no}", "(did you mean `none`?)"),
        ("access: {auth: false}", "(did you mean `none`?)"),
        ("server: {workers: Auto}", "(did you mean `auto`?)"),
        ("server: {job_runner: off}", "(did you mean `false`?)"),
        ("server: {memory: 2g}", "(did you mean `2GiB`?)"),
        ("access: {listen: localhost}", "(did you mean `127.0.0.1`?)"),
        ("access: {listen: '::ffff:127.0.0.1'}", "(did you mean `127.0.0.1`?)"),
        ("name: Churn Course", "(did you mean `churn-course`?)"),
    ],
)
def test_what_was_probably_meant_is_offered(text: str, hint: str) -> None:
    assert one_problem(text).endswith(hint)


def test_a_key_that_is_not_there_resembles_none_where_none_is_near() -> None:
    assert "did you mean" not in one_problem("qqqqqqq: 1")
    assert "did you mean" not in one_problem("target: qqqqqqq")


def test_an_empty_key_is_shown_as_one() -> None:
    assert one_problem("'': 1").startswith('1: "": there is no such setting')
    assert one_problem("server: {'': 1}").startswith('1: server."": there is no such setting')


@pytest.mark.parametrize("path", ["a/..", "/tmp/..", "./", "a/../..", "//", "..", "/", ". "])
def test_a_folder_that_is_not_the_stacks_own_is_refused_however_it_is_written(path: str) -> None:
    assert "must be a folder of its own" in one_problem(f'artifacts: {{path: "{path}"}}')


# Texts that mean harm, and texts that are broken.


def test_a_bomb_of_aliases_is_refused_before_it_grows() -> None:
    levels = [f"k{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
    text = "k0: &a0 [x]\n" + "\n".join(levels)
    assert "holds more than 10000 values, aliases included" in one_problem(text)


def test_a_chain_of_aliases_cannot_nest_deeper_than_what_is_written() -> None:
    # A key written again is dropped, so that only the last link of the chain is ever unfolded.
    chain = [f"x: &a{n} [*a{n - 1}]" for n in range(1, 1500)]
    text = "\n".join(["x: &a0 [0]", *chain, "y: *a1499"])
    found = problems_in(text)
    assert [p for p in found if "is written twice" not in p] == [
        "1485: is nested too deep for a spec"
    ]


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? ", "{? ", "a: {", "[{", "? - "])
def test_nesting_without_end_is_refused(opening: str) -> None:
    assert "nested too deep" in one_problem(opening * 5000)


def test_an_alias_of_something_small_is_fine() -> None:
    spec = parse("tags: {a: &x some, b: *x}", "f", "folder")
    assert spec.tags == {"a": "some", "b": "some"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("access: {allowed_hosts: [*.lab.example]}", "`*` or `&` begins an alias"),
        ("access:\n  allowed_hosts: *\n", "2: `*` or `&` begins an alias"),
        ("name: *churn", "`*churn` does not stand for anything above it"),
        ("access:\n  allowed_hosts: - a.example", "2: a list cannot begin on the line of its key"),
        ("name:churn\ntarget: local", "put a space after the `:`"),
        ("  name: ab\ntarget: local", "2: the indentation does not match"),
        ("%YAML 3.1\n---\n", "cannot be read as YAML"),
        ('name: "\\UFFFFFFFF"', "too large"),
        (f"%YAML 1.{'9' * 5000}\n---\n", "too large"),
        ("name: \x00", 'holds the character "\\x00"'),
        ("name: ab\n\ntags: {a: \x1b}", '3: holds the character "\\x1b"'),
        ("name: \ud800", 'holds the character "\\ud800"'),
        ("a: 1\n...\n---\nb: 2", "3: a second document starts here"),
        ("server:\n  !!str port: 1", "2: server: YAML tags such as `!!str` are not allowed"),
        ("name: ! ab", "1: name: YAML tags such as `!` are not allowed"),
    ],
)
def test_a_text_that_is_no_spec_is_answered_in_words_of_ours(text: str, words: str) -> None:
    assert words in one_problem(text)


def test_a_key_written_three_times_names_the_first_line_twice() -> None:
    assert problems_in("name: ab\nname: bc\nname: cd") == [
        "2: name: is written twice, on line 1 and here (remove one)",
        "3: name: is written twice, on line 1 and here (remove one)",
    ]


# Files.


def written(folder: Path, content: bytes) -> Path:
    path = folder / "provision.yaml"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    "content", [b"", b"\n\n", b"# only this\n", b"---\n", b"\xef\xbb\xbf", b"~"]
)
def test_a_file_with_nothing_in_it_has_all_defaults(tmp_path: Path, content: bytes) -> None:
    folder = tmp_path / "Churn Course"
    folder.mkdir()
    assert load_spec(written(folder, content)) == Spec(name="churn-course")


def test_a_byte_order_mark_is_not_part_of_the_first_key(tmp_path: Path) -> None:
    source = read_spec(written(tmp_path, b"\xef\xbb\xbfname: churn\r\ntarget: aws\r\n"))
    assert (source.spec.name, source.spec.target) == ("churn", "aws")
    assert source.lines[("target",)] == 2


@pytest.mark.parametrize(
    ("content", "line", "message"),
    [
        (b"name: ab\ntags: {a: \xe4}\n", 2, "is not text in UTF-8"),
        ("name: ab".encode("utf-16"), 1, "is not text in UTF-8"),
        (
            b"\x7fELF\x02\x01\x01\x00\x00",
            1,
            'holds the character "\\x7f", which YAML does not allow',
        ),
        (b"#" * (MAX_BYTES + 1), 1, "is larger than 256 KiB"),
    ],
)
def test_a_file_that_is_no_text_is_refused(
    tmp_path: Path, content: bytes, line: int, message: str
) -> None:
    path = written(tmp_path, content)
    with pytest.raises(SpecError) as caught:
        read_spec(path)
    assert caught.value.problems == ((str(path), line, "", message, ""),)
    assert caught.value.next_step


@pytest.fixture
def closed_file(tmp_path: Path) -> Iterator[Path]:
    """A file that nobody may read, seen by somebody who is not root: root may read everything."""
    path = written(tmp_path, b"")
    path.chmod(0)
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    yield path
    os.seteuid(before)


def a_loop_of_links(path: Path) -> Path:
    path.symlink_to(path)
    return path


def a_socket(path: Path) -> Path:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(path))
    return path


@pytest.mark.parametrize(
    "make",
    [
        a_loop_of_links,
        a_socket,
        lambda path: path.with_name("x" * 300),
        lambda path: path.with_name("nul\x00byte"),
    ],
    ids=["loop", "socket", "long name", "NUL"],
)
def test_a_path_that_cannot_be_opened_is_an_error_with_a_next_step(
    tmp_path: Path, make: Callable[[Path], Path]
) -> None:
    path = make(tmp_path / "odd.yaml")
    with pytest.raises(SpecError, match="cannot be read: ") as caught:
        read_spec(path)
    assert caught.value.next_step
    assert caught.value.message.isprintable()


def test_a_file_that_one_may_not_read_is_an_error_with_a_next_step(closed_file: Path) -> None:
    with pytest.raises(SpecError, match="cannot be read: Permission denied") as caught:
        read_spec(closed_file)
    assert "Make it readable" in caught.value.next_step


def test_the_name_comes_from_the_folder_itself_however_one_gets_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = tmp_path / "churn" / "inner"
    inner.mkdir(parents=True)
    written(tmp_path / "churn", b"")
    (tmp_path / "link").symlink_to(tmp_path / "churn")
    monkeypatch.chdir(inner)
    ways = ("../provision.yaml", f"{tmp_path}/link/provision.yaml", f"{inner}/../provision.yaml")
    assert {load_spec(Path(way)).name for way in ways} == {"churn"}


# Writing.


@pytest.mark.parametrize(
    "word",
    [
        "no",
        "on",
        "null",
        "true",
        "010",
        "1_000",
        "08:00",
        "5",
        " a ",
        "-",
        "=",
        "1e5",
        "2027-01-31",
    ],
)
def test_a_text_that_looks_like_something_else_is_read_back_as_text(word: str) -> None:
    spec = Spec(name="null", tags={"key": word, word: "value"})
    assert parse(dump(spec), "again", "other") == spec
