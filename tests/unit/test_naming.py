from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from provision.model.naming import NAME_MAX, NAME_MIN, default_name, is_name
from provision.model.units import format_size, parse_size, suggested_size

ANY_FOLDER = st.text(st.characters(), max_size=80)
LETTERS = "abcdefghijklmnopqrstuvwxyz"
SIGNS = LETTERS + "0123456789-"


@given(ANY_FOLDER)
@example("")
@example("/")
@example("-" * 40)
@example("a" * 31 + "-b")
@example("\ud800")
@example("..")
@example("; rm -rf ~")
def test_every_folder_gives_a_valid_name(folder: str) -> None:
    assert is_name(default_name(folder))


@given(ANY_FOLDER)
def test_a_valid_name_is_its_own_default(folder: str) -> None:
    name = default_name(folder)
    assert default_name(name) == name


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("churn-course", "churn-course"),
        ("Churn Course (2027)", "churn-course-2027"),
        ("Übung 1", "ubung-1"),
        ("anna's notes", "annas-notes"),
        ("2027", "stack-2027"),
        ("x", "stack-x"),
        ("", "stack"),  # the root folder has no name
        ("a--b__c", "a-b-c"),
        (".hidden.", "hidden"),
        ("9" * 40, "stack-" + "9" * 26),
        ("x" * 31 + " tail", "x" * 31),
        ("a" * 50, "a" * NAME_MAX),
    ],
)
def test_the_name_resembles_the_folder(folder: str, name: str) -> None:
    assert default_name(folder) == name


def test_folders_without_a_latin_letter_do_not_share_a_name() -> None:
    assert default_name("実験") != default_name("模型")


@given(st.binary(min_size=1, max_size=20))
def test_a_folder_name_that_is_not_utf_8_gives_a_valid_name(raw: bytes) -> None:
    assert is_name(default_name(raw.decode("utf-8", "surrogateescape")))


@given(st.text(SIGNS, max_size=40) | st.text(max_size=6))
@example("ab")
@example("a" * 32)
@example("a" * 33)
def test_a_name_is_what_follows_all_the_rules(text: str) -> None:
    rules = [
        NAME_MIN <= len(text) <= NAME_MAX,
        set(text) <= set(SIGNS),
        text[:1] in LETTERS,
        not text.endswith("-"),
        "--" not in text,
    ]
    assert is_name(text) == all(rules)


@pytest.mark.parametrize(
    "text",
    [
        "a",
        "A1",
        "1a",
        "-ab",
        "ab-",
        "a--b",
        "a_b",
        "a.b",
        "ab\n",
        "a b",
        "ü1",
        "a" * 33,
        "$(x)",
        "../a",
        "a\x00b",
        "a\u0661",
        "",
    ],
)
def test_other_names_are_refused(text: str) -> None:
    assert not is_name(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("512MiB", 512 * 2**20),
        ("1.5GiB", 3 * 2**29),
        ("2 GB", 2 * 10**9),
        ("0.001TB", 10**9),
        ("1TiB", 2**40),
        ("750MB", 750 * 10**6),
    ],
)
def test_a_size_is_read_in_bytes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["512", "2g", "1gib", "-1GiB", "1e3MB", "GiB", "1GiB\n", "\u0661GiB", ""]
)
def test_a_size_without_its_exact_unit_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a size"):
        parse_size(text)


@given(st.integers(1, 999_999), st.sampled_from(["MiB", "GiB", "TiB", "MB", "GB", "TB"]))
def test_a_size_written_out_is_read_back_within_its_rounding(count: int, unit: str) -> None:
    size = parse_size(f"{count}{unit}")
    assert parse_size(format_size(size)) == pytest.approx(size, rel=0.06)


@pytest.mark.parametrize(
    ("text", "meant"),
    [("512", "512MiB"), ("2g", "2GiB"), ("1gb", "1GB"), ("1gib", "1GiB"), ("lots", None)],
)
def test_the_size_that_was_probably_meant_is_offered(text: str, meant: str | None) -> None:
    assert suggested_size(text) == meant
    assert meant is None or parse_size(meant) > 0
