"""Class lists: whatever a spreadsheet or a person made of them, it is people or all problems."""

from __future__ import annotations

import csv
import io
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provision.model.people import Person, Role
from provision.model.roster import (
    MAX_BYTES,
    MAX_PEOPLE,
    Roster,
    RosterError,
    check_people,
    parse,
)

EDGE = string.ascii_letters + string.digits
USERNAMES = st.builds(
    lambda first, middle, last: first + middle + last,
    st.sampled_from(EDGE),
    st.text(EDGE + "._@-", max_size=10),
    st.sampled_from(EDGE),
).filter(lambda name: name.lower() != "admin")
# Letters of any script, and all that CSV has to quote; no surrounding space, which is stripped.
NAMES = st.text(
    st.characters(categories=("L", "Nd", "Po", "Sc"), include_characters=" ,;\"'"), max_size=20
).filter(lambda name: name == name.strip() and not name.startswith("#"))


@st.composite
def people(draw: st.DrawFn) -> list[Person]:
    names = draw(st.lists(USERNAMES, min_size=1, max_size=8, unique_by=str.lower))
    teams = ["", "Team 1", "Team.2-b"]
    made = []
    for name in names:
        role = draw(st.sampled_from(list(Role)))
        team = "" if role is Role.GUEST else draw(st.sampled_from(teams))
        made.append(Person(name, draw(NAMES), draw(st.sampled_from(["", "a@b.org"])), role, team))
    return made


def as_csv(written: list[Person], separator: str, *, quote_all: bool) -> str:
    out = io.StringIO()
    quoting = csv.QUOTE_ALL if quote_all else csv.QUOTE_MINIMAL
    rows = csv.writer(out, delimiter=separator, quoting=quoting)
    rows.writerow(["username", "name", "email", "role", "team"])
    for person in written:
        rows.writerow([person.username, person.name, person.email, person.role, person.team])
    return out.getvalue()


@given(
    people(),
    st.sampled_from([",", ";", "\t"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    st.booleans(),
)
def test_what_was_written_is_read(
    written: list[Person], separator: str, encoding: str, quote_all: bool
) -> None:
    content = as_csv(written, separator, quote_all=quote_all).encode(encoding)
    assert parse(content, "class.csv").people == written


@given(st.binary(max_size=400) | st.text(max_size=200).map(str.encode))
def test_any_file_is_people_or_problems(content: bytes) -> None:
    last = content.count(b"\n") + content.count(b"\r") + 1
    try:
        found = parse(content, "class.csv")
    except RosterError as error:
        assert error.problems
        assert all(1 <= problem.line <= last for problem in error.problems)
        assert all(problem.message.isprintable() for problem in error.problems)
    else:
        assert isinstance(found, Roster) and found.people


@given(people(), st.data())
def test_two_of_one_name_are_found_whatever_the_case(
    written: list[Person], data: st.DataObject
) -> None:
    again = data.draw(st.sampled_from(written))
    text = as_csv(written, ",", quote_all=False) + f"{again.username.swapcase()}\r\n"
    with pytest.raises(RosterError) as refused:
        parse(text.encode(), "class.csv")
    lines = [p.line for p in refused.value.problems if "too" in p.message]
    assert lines == [len(written) + 2]


@given(st.text(max_size=30))
def test_a_name_that_is_taken_can_be_a_file_a_url_and_an_account(name: str) -> None:
    try:
        check_people([Person(name)], "name")
    except RosterError:
        return
    assert name.isascii() and not set(name) & set("/\\:\0 \n'\"<>&%?#=+$`")
    assert name not in (".", "..") and name.lower() != "admin"


def problems(content: bytes | str) -> list[str]:
    data = content.encode() if isinstance(content, str) else content
    with pytest.raises(RosterError) as refused:
        parse(data, "c.csv")
    return [str(problem) for problem in refused.value.problems]


@pytest.mark.parametrize(
    ("header", "meant"),
    [
        ("usrname,name", "username"),
        ("username,nmae", "name"),
        ("username,emial", "email"),
        ("username,tema", "team"),
        ("Username,Rolle", "role"),
        ("username,gruop", "team"),
    ],
)
def test_a_misspelled_header_is_answered_with_what_was_meant(header: str, meant: str) -> None:
    found = problems(f"{header}\nana,x\n")
    assert any(line.startswith("c.csv:1:") and f"did you mean `{meant}`?" in line for line in found)


def test_other_spellings_of_headers_are_understood_and_strange_columns_only_noted() -> None:
    text = "User Name;E-Mail;Group;Matriculation 2026\nana;a@b.org;red;123\n"
    found = parse(text.encode(), "c.csv")
    assert found.people == [Person("ana", "", "a@b.org", Role.STUDENT, "red")]
    assert found.notes == ('the column "Matriculation 2026" is not used',)


def test_all_problems_come_at_once_with_their_lines() -> None:
    text = (
        "username,name,email,role,team\n"
        "ana,Ana,a@b.org,student,red\n"
        ",Bob,,,\n"
        "jos\u00e9,Jos\u00e9,,,\n"
        "1.23457E+11,x,,,\n"
        "#NAME?,x,,,\n"
        "ana,twice,,,\n"
        "ADMIN,x,,,\n"
        "cy,Cy,not an address,,\n"
        "dan,Dan,,techer,\n"
        "eve,Eve,,guest,red\n"
        "fay,Fay,,,RED\n"
        "red,Red,,,\n"
        '=cmd|"x",x,,,,,7\n'
    )
    found = [line.split(": ", 1) for line in problems(text)]
    lines = [place for place, _ in found]
    assert [f"c.csv:{line}" for line in (3, 4, 5, 6, 7, 8, 9, 10, 11, 12)] == sorted(
        set(lines) - {"c.csv:2", "c.csv:13", "c.csv:14"}, key=lambda place: int(place[6:])
    )
    said = dict(found)
    assert "did you mean `jose`?" in said["c.csv:4"]
    assert "rounded" in said["c.csv:5"]
    assert "line 2" in said["c.csv:7"]
    assert "administrator" in said["c.csv:8"]
    assert "did you mean `staff`?" in said["c.csv:10"]
    assert "a person's name too (line 13)" in said["c.csv:2"]
    assert {"c.csv:14"} <= set(lines)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"username\n", "nobody"),
        (b"name;email\nx;y\n", "no column `username`"),
        (b"username,login\na,b\n", "two columns for `username`"),
        (b"PK\x03\x04rest", "workbook"),
        (b"username\nana\x00\n", "NUL"),
        (b"\xff\xfeu\x00s", "not UTF-16-LE"),
        (b'username,name\nana,"open\nbo,x\n', "not readable as CSV"),
        (b"username,name\nana,a,b\n", "3 fields"),
        (b"username\n" + b"a" * 70 + b"\n", "1 to 64"),
        (b"username,name\nana," + b"x" * 201 + b"\n", "longer than 200"),
        (b"username,name\nana,\"a\nb\"\n", "line break"),
        (b"x" * (MAX_BYTES + 1), "larger than"),
    ],
)  # fmt: skip
def test_unreadable_files(content: bytes, said: str) -> None:
    assert any(said in line for line in problems(content))


def test_excel_in_western_europe() -> None:
    content = "sep=;\r\nusername;name\r\nana;Ana Muñoz\r\n;;\r\n".encode("cp1252")
    found = parse(content, "c.csv")
    assert found.people == [Person("ana", "Ana Muñoz")]
    assert "Windows-1252" in found.notes[0]
    marked = parse(b"\xef\xbb\xbfusername;name\r\n\xc2\xa0ana\xc2\xa0; Ana \r\n", "c.csv")
    assert marked.people == [Person("ana", "Ana")]


def test_ten_thousand_lines_are_a_roster_and_one_more_is_not() -> None:
    lines = ["username,team", *(f"s{n},team {n % 50}" for n in range(MAX_PEOPLE))]
    assert len(parse("\n".join(lines).encode(), "c.csv").people) == MAX_PEOPLE
    assert problems("\n".join([*lines, "last,"])) == ["c.csv:10002: more than 10000 people"]


def test_ten_thousand_mistakes_do_not_flood_the_screen() -> None:
    found = problems("username\n" + "a b\n" * 10_000)
    assert len(found) == 101
    assert found[0].startswith("c.csv:2: ")
    # Each of the 10,000 lines has two: its name is none, and all but the first say it again.
    assert found[-1].endswith("and 19899 more problems")
