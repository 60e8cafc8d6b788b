from __future__ import annotations

import json
import string
from pathlib import Path

import jsonschema
import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from provision.adapters.specfile import MAX_BYTES, dump, load_spec, parse, plain_value, read_spec
from provision.app.specs import schema
from provision.errors import MissingError, ProvisionError, SpecError
from provision.model import explain
from provision.model.explain import check_spec
from provision.model.naming import is_name
from provision.model.spec import Spec

SPECS = Path(__file__).parent / "specs"
VALID = sorted((SPECS / "ok").glob("*.yaml"))
INVALID = sorted((SPECS / "error").glob("*.yaml"))
# Pieces of pydantic's and PyYAML's own messages.
FOREIGN_WORDS = ("Input should", "Extra inputs", "Field required", "pydantic", "<block", "while ")
UNMAPPED = "cannot be read as a value of this setting"


def outcome(text: str) -> Spec | SpecError:
    """The spec in `text` or its problems; anything else that is raised fails the test."""
    try:
        return parse(text, "provision.yaml", "folder")
    except SpecError as error:
        return error


def assert_in_our_words(error: SpecError, text: str) -> None:
    assert error.problems
    assert error.next_step
    for problem in error.problems:
        line = str(problem)
        assert line.isprintable(), line
        # PyYAML counts the line after the last line break too, and breaks lines at more signs.
        assert 1 <= problem.line <= len(text.splitlines()) + 1
        if not any(word in text for word in FOREIGN_WORDS):
            assert not any(word in line for word in FOREIGN_WORDS), line
        assert UNMAPPED not in line


def written_settings(model: BaseModel) -> object:
    """Which settings were written, section by section."""
    fields = {name: getattr(model, name) for name in model.model_fields_set}
    return {k: written_settings(v) if isinstance(v, BaseModel) else None for k, v in fields.items()}


def as_editors_read_it(node: yaml.Node | None) -> object:
    if isinstance(node, yaml.MappingNode):
        return {key.value: as_editors_read_it(value) for key, value in node.value}
    if isinstance(node, yaml.SequenceNode):
        return [as_editors_read_it(item) for item in node.value]
    if isinstance(node, yaml.ScalarNode):
        return plain_value(node.value) if node.style is None else node.value
    return None


# --- the case files ---


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.stem)
def test_a_valid_file_is_read_written_and_read_again(path: Path) -> None:
    spec = load_spec(path)
    again = parse(dump(spec), "again", "another")
    assert again == spec
    assert written_settings(again) == written_settings(spec)


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.stem)
def test_a_valid_file_passes_the_editors_schema(path: Path) -> None:
    data = as_editors_read_it(yaml.compose(path.read_text(encoding="utf-8")))
    jsonschema.validate(data or {}, schema())


@pytest.mark.parametrize("path", INVALID, ids=lambda path: path.stem)
def test_a_file_with_problems_reports_all_of_them_at_once(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    expected = []
    for line in text.splitlines():
        if not line.startswith("# "):
            break
        expected.append(line.removeprefix("# "))
    assert expected, "the file's first comment lines hold its problems"
    found = outcome(text)
    assert isinstance(found, SpecError)
    assert [str(p).removeprefix("provision.yaml:") for p in found.problems] == expected
    assert_in_our_words(found, text)


def test_words_that_yaml_1_1_would_change_stay_what_they_are() -> None:
    spec = load_spec(SPECS / "ok" / "words-that-yaml-1.1-changes.yaml")
    expected = ["no", "on", "08:00", "010", "1_000", "2027-01-31", "0x1F", "off"]
    assert spec.name == "yes"
    assert list(spec.tags.values()) == expected


def test_an_escaped_pair_of_surrogates_is_one_character_and_half_of_one_is_no_key() -> None:
    # json.dumps escapes U+1F600 and the letter U+10400 like this.
    text = '{"tags": {"a\\ud801\\udc00": "b\\ud801\\udc00"}}'
    assert parse(text, "provision.yaml", "folder").tags == {"a\U00010400": "b\U00010400"}
    found = outcome('"\\ud801": a')
    assert isinstance(found, SpecError)
    assert found.problems[0].message == 'a key must be text, not "\\ud801"'


def test_everything_that_is_written_arrives() -> None:
    spec = load_spec(SPECS / "ok" / "everything-local.yaml")
    assert (spec.server.port, spec.server.threads, spec.server.job_runner) == (8080, 8, False)
    assert spec.server.memory_bytes == 3 * 2**29
    assert spec.access.listen == "::"
    assert spec.access.allowed_hosts[2] == "*.lan:5000"
    assert str(spec.lifetime.until) == "2027-01-31"
    assert spec.tags["größe"] == "klein"


def test_a_section_without_settings_counts_as_written_but_none_of_its_settings_does() -> None:
    spec = load_spec(SPECS / "ok" / "sections-without-settings.yaml")
    assert "server" in spec.model_fields_set
    assert spec.server.model_fields_set == set()


# --- files ---


def test_the_name_comes_from_the_folder_unless_it_is_written(tmp_path: Path) -> None:
    folder = tmp_path / "Churn Course"
    folder.mkdir()
    path = folder / "provision.yaml"
    path.write_text("")
    assert load_spec(path).name == "churn-course"
    path.write_text("name: other")
    assert load_spec(path).name == "other"


def test_the_name_is_the_same_from_wherever_the_file_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "churn" / "inner"
    folder.mkdir(parents=True)
    (tmp_path / "churn" / "provision.yaml").write_text("")
    monkeypatch.chdir(folder)
    assert load_spec(Path("../provision.yaml")).name == "churn"


def test_the_line_of_every_setting_is_known(tmp_path: Path) -> None:
    path = tmp_path / "provision.yaml"
    path.write_text("target: local\nserver:\n  port: 1\naccess: {allowed_hosts: [a,\n  b]}\n")
    lines = read_spec(path).lines
    assert lines[("target",)] == 1
    assert lines[("server", "port")] == 3
    assert lines[("access", "allowed_hosts", 1)] == 5


@pytest.mark.parametrize("name", ["no-such-file.yaml", "file/provision.yaml"])
def test_a_file_that_is_not_there_is_missing(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MissingError, match="no such file") as caught:
        load_spec(tmp_path / name)
    assert "provision init" in caught.value.next_step


def test_a_folder_is_not_read(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="folder") as caught:
        load_spec(tmp_path)
    assert str(tmp_path / "provision.yaml") in caught.value.next_step


def test_a_file_that_cannot_be_opened_says_why(tmp_path: Path) -> None:
    loop = tmp_path / "provision.yaml"
    loop.symlink_to(loop)
    with pytest.raises(SpecError, match=r"cannot be read: .*symbolic links"):
        load_spec(loop)
    with pytest.raises(ProvisionError):
        load_spec(tmp_path / "a\0b")
    with pytest.raises(SpecError, match="cannot be read"):
        load_spec(tmp_path / ("a" * 300))


def test_a_file_that_never_ends_is_refused() -> None:
    with pytest.raises(SpecError, match="larger than 256 KiB"):
        load_spec(Path("/dev/zero"))


def test_a_file_of_the_largest_size_is_read_and_one_byte_more_is_not(tmp_path: Path) -> None:
    path = tmp_path / "provision.yaml"
    path.write_bytes(b"#" * MAX_BYTES)
    assert load_spec(path).target == "local"
    path.write_bytes(b"#" * (MAX_BYTES + 1))
    with pytest.raises(SpecError, match="larger"):
        load_spec(path)


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbftarget: aws\n",
        b"target: aws\r\n",
        b"\xef\xbb\xbf---\r\ntarget: aws",
        b"target:   aws",
    ],
)
def test_marks_and_line_ends_of_other_editors_do_not_matter(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "provision.yaml"
    path.write_bytes(content)
    assert load_spec(path).target == "aws"


def test_lines_are_counted_with_windows_line_ends() -> None:
    found = outcome("target: local\r\nserver:\r\n  port: 0\r\n")
    assert isinstance(found, SpecError)
    assert [problem.line for problem in found.problems] == [3]


@pytest.mark.parametrize(
    ("content", "line"),
    [("name: a\ntags: {a: gr\xf6n}".encode("latin-1"), 2), ("name: ab".encode("utf-16"), 1)],
)
def test_another_encoding_is_refused_at_its_line(tmp_path: Path, content: bytes, line: int) -> None:
    path = tmp_path / "provision.yaml"
    path.write_bytes(content)
    with pytest.raises(SpecError, match="UTF-8") as caught:
        load_spec(path)
    assert caught.value.problems[0].line == line


def test_a_hostile_file_name_is_shown_in_one_printable_line() -> None:
    with pytest.raises(SpecError) as caught:
        parse("x: 1", "a\nb\x1b[31m\ud800", "folder")
    assert str(caught.value.problems[0]).isprintable()


# --- any input ---

SETTINGS = explain.settings()
WORDS = [str(setting[-1]) for setting in SETTINGS] + [
    *("auto", "local", "aws", "none", "basic", "postgres", "0.0.0.0", "*", "", "~", "<<", "5000"),
    *(
        "; rm -rf /",
        "$(reboot)",
        "../x",
        "a\nb",
        "${x}",
        "a" * 70,
        "-x",
        "ü",
        "\ud800",
        "{m}",
        "%s",
    ),
]
TEXTS = st.sampled_from(WORDS) | st.text(st.characters(), max_size=12)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | TEXTS
DATA = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


def spec_shaped(at: tuple[str, ...] = ()) -> st.SearchStrategy[object]:
    """Mappings with known keys and any value, so that the checks of each setting are reached."""
    here = [setting for setting in SETTINGS if setting[:-1] == at]
    sections = {s[:-1] for s in SETTINGS}
    optional = {str(s[-1]): DATA | spec_shaped(s) if s in sections else DATA for s in here}
    return st.fixed_dictionaries({}, optional=optional)


@given(st.text(st.characters(), max_size=300))
@example('name: "\\UFFFFFFFF"')
@example("%YAML 1." + "9" * 5000 + "\n---\na: b")
@example("%YAML 2.0\n---\na: b")
@example("[" * 50_000)
@example("- " * 500)
@example("? " * 500)
@example("{" * 500 + ":")
@example("server: {port: " + "9" * 5000 + "}")
@example("a: 1e999\nb: .\nc: +\nd: e5")
@example("name: a\x00b")
@example("&a a: *a")
@example("&a : *a")
@example("*a : b")
@example("!!str : b")
@example("\ufeff\ufeffname: ab")
@example("- &a [*a]")
@example("a\u2028b: c\x85d: [")
def test_any_text_is_a_spec_or_a_list_of_problems(text: str) -> None:
    found = outcome(text)
    if isinstance(found, SpecError):
        assert_in_our_words(found, text)


@given(st.lists(st.sampled_from([*WORDS[:20], *":-?[]{}&*!|>'\"%@#,\n\t ", "  ", ": ", "- "])))
def test_any_sequence_of_yamls_signs_is_a_spec_or_a_list_of_problems(pieces: list[str]) -> None:
    text = "".join(pieces)
    found = outcome(text)
    if isinstance(found, SpecError):
        assert_in_our_words(found, text)


@given(DATA | spec_shaped())
@settings(max_examples=300)
def test_any_structure_is_a_spec_or_a_list_of_problems(data: object) -> None:
    text = json.dumps(data)
    found = outcome(text)
    if isinstance(found, SpecError):
        assert_in_our_words(found, text)


@given(st.text(st.characters(), max_size=70))
@example("ab\n")
def test_only_valid_names_get_in(name: str) -> None:
    found = outcome(json.dumps({"name": name}))
    assert isinstance(found, Spec) == is_name(name)


@given(st.text(st.characters(codec="utf-8"), max_size=12))
@example("1e5")
@example("010")
@example("")
@example("null")
@example("=")
@example("<<")
@example(" a ")
def test_a_tags_value_survives_writing_and_reading(value: str) -> None:
    found = check_spec({"name": "ab", "tags": {"key": value}})
    if isinstance(found, Spec):
        assert parse(dump(found), "again", "another").tags == {"key": value}


# --- round trip ---

LABEL = st.text(string.ascii_lowercase + string.digits, min_size=1, max_size=8)
TAG_TEXT = st.text(string.ascii_letters + string.digits + " _.:/=+-@éß中", max_size=20)
AUTO = st.just("auto")
COUNT = AUTO | st.integers(1, 64)
ADDRESSES = st.ip_addresses().map(str)
AWS = {
    "region": st.sampled_from(["eu-west-1", "us-gov-west-1"]),
    "account": st.from_regex("[0-9]{12}", fullmatch=True),
    "profile": st.sampled_from(["course", "team"]),
    "ingress": st.lists(st.ip_addresses(v=4).map("{}/32".format), max_size=3),
    "state": st.sampled_from(["local", "s3"]),
    "network": st.fixed_dictionaries({}, optional={"cidr": st.just("10.1.0.0/16")}),
    "settings": st.fixed_dictionaries(
        {},
        optional={
            "multi_az": st.none() | st.booleans(),
            "disk_gib": st.integers(10, 100),
            "database_major": st.integers(14, 19),
            "final_snapshot_name": st.just("no") | LABEL,
        },
    ),
}
VALID_DATA = st.fixed_dictionaries(
    {"name": st.from_regex(r"[a-z][a-z0-9]{1,8}(-[a-z0-9]{1,5}){0,3}", fullmatch=True)},
    optional={
        "scenario": st.sampled_from(["server", "none"]),
        "target": st.sampled_from(["local", "compose", "aws", "rehearsal"]),
        "server": st.fixed_dictionaries(
            {},
            optional={
                "port": st.integers(1, 65535),
                "memory": AUTO | st.integers(1, 9999).map("{}MiB".format),
                "workers": COUNT,
                "threads": COUNT,
                "job_runner": AUTO | st.booleans(),
            },
        ),
        "database": st.fixed_dictionaries(
            {}, optional={"engine": st.sampled_from(["sqlite", "postgres"])}
        ),
        "artifacts": st.fixed_dictionaries({}, optional={"path": st.none() | st.text(max_size=12)}),
        "access": st.fixed_dictionaries(
            {},
            optional={
                "listen": ADDRESSES,
                "auth": st.sampled_from(["none", "basic"]),
                "allowed_hosts": st.lists(LABEL.map("*.{}.example".format) | LABEL, max_size=3),
                "allowed_origins": st.lists(LABEL.map("https://{}.example:1".format), max_size=3),
            },
        ),
        "lifetime": st.fixed_dictionaries({}, optional={"until": st.dates().map(str)}),
        "aws": st.fixed_dictionaries({}, optional=AWS),
        "tags": st.dictionaries(TAG_TEXT, TAG_TEXT, max_size=4),
    },
)


@given(VALID_DATA)
@settings(max_examples=300)
def test_a_spec_written_and_read_again_is_the_same_spec(data: dict[str, object]) -> None:
    spec = check_spec(data)
    if isinstance(spec, Spec):
        again = parse(dump(spec), "again", "another")
        assert again == spec
        assert written_settings(again) == written_settings(spec)


def test_only_what_was_written_is_written_again() -> None:
    spec = parse("target: aws\nserver:\n  port: 5000\n", "first", "churn")
    assert dump(spec) == "name: churn\ntarget: aws\nserver:\n  port: 5000\n"
