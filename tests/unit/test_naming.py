from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from provision.model.naming import NAME_MAX, NAME_MIN, default_name, is_name
from provision.model.spec import default_spec

LETTERS = "abcdefghijklmnopqrstuvwxyz"
SIGNS = LETTERS + "0123456789-"


@pytest.mark.parametrize("name", ["ab", "a1", "churn-course", "a-b-c", "x" * 32, "null", "a" + "-1" * 15])
def test_a_name_of_letters_digits_and_single_dashes_is_one(name: str) -> None:
    assert is_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "", "a", "x" * 33, "1a", "-a", "a-", "a--b", "Ab", "a_b", "a.b", "a b", "a\n", "\na", "ä1",
        "a/b", "../a", "$(id)", "a;b", "a\x00b", "\u0661a", "a\u0661", "-rf",  # an Arabic digit one
    ],
)  # fmt: skip
def test_anything_else_is_no_name(name: str) -> None:
    assert not is_name(name)


@given(st.text(SIGNS, max_size=40) | st.text(max_size=6))
def test_a_name_is_what_the_rules_say_one_by_one(text: str) -> None:
    rules = [
        NAME_MIN <= len(text) <= NAME_MAX,
        set(text) <= set(SIGNS),
        text[:1] in LETTERS,
        not text.endswith("-"),
        "--" not in text,
    ]
    assert is_name(text) == all(rules)


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("churn", "churn"),
        ("Churn Course", "churn-course"),
        ("Übung 1", "ubung-1"),
        ("Jean's model", "jeans-model"),
        ("2027_ml", "stack-2027-ml"),
        ("x", "stack-x"),
        ("a--b__c", "a-b-c"),
        (".hidden.", "hidden"),
        ("", "stack"),  # the root folder has no name
        ("x" * 40, "x" * 32),
        ("x" * 31 + " tail", "x" * 31),
        ("9" * 40, "stack-" + "9" * 26),
    ],
)
def test_a_folder_suggests_a_name(folder: str, name: str) -> None:
    assert default_name(folder) == name


@given(st.text() | st.text(SIGNS, max_size=40))
@example("\ud800")
@example("..")
@example("a" * 31 + "-b")
@example("-" * 300)
def test_every_folder_name_gives_a_valid_name_and_always_the_same(folder: str) -> None:
    name = default_name(folder)
    assert is_name(name)
    assert name == default_name(folder)
    assert default_spec(folder).name == name


@given(st.binary(min_size=1, max_size=20))
def test_a_folder_name_that_is_not_utf_8_gives_a_valid_name(raw: bytes) -> None:
    assert is_name(default_name(raw.decode("utf-8", "surrogateescape")))


@given(st.from_regex("[a-z][a-z0-9]*(-[a-z0-9]+)*", fullmatch=True))
def test_a_folder_with_a_valid_name_keeps_it(folder: str) -> None:
    if is_name(folder):
        assert default_name(folder) == folder


def test_two_folders_without_a_latin_letter_do_not_share_a_name() -> None:
    names = {default_name(folder) for folder in ("客户流失", "数据", "..", "—")}
    assert len(names) == 4
    assert all(name.startswith("stack-") for name in names)
