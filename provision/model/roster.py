"""A class list: a CSV file as people and spreadsheets write it, into people or all its problems."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from provision.errors import Problem, SpecError
from provision.model.complaints import shown
from provision.model.people import ADMIN, Person, Role
from provision.model.suggest import closest, did_you_mean

MAX_BYTES: Final = 4 * 1024 * 1024
MAX_PEOPLE: Final = 10_000
_MOST_PROBLEMS: Final = 100
_NEXT_STEP: Final = "correct the file (a spreadsheet: save it as CSV UTF-8), then run this again"

COLUMNS: Final = ("username", "name", "email", "role", "team")
_ALIASES: Final[Mapping[str, str]] = {
    **dict.fromkeys(("user", "user name", "login", "account", "user id", "userid"), "username"),
    **dict.fromkeys(("full name", "student name", "display name"), "name"),
    **dict.fromkeys(("e mail", "mail", "email address", "e mail address"), "email"),
    **dict.fromkeys(("group", "team name", "group name"), "team"),
}
_ROLES: Final[Mapping[str, Role]] = {
    **dict.fromkeys(("", "student", "participant", "member", "learner"), Role.STUDENT),
    **dict.fromkeys(("guest", "reader", "viewer", "observer"), Role.GUEST),
    **dict.fromkeys(("staff", "teacher", "instructor", "admin", "ta", "tutor"), Role.STAFF),
}
_SPELLED: Final = {role.value: role for role in Role}

# What MLflow, basic auth (no colon), file names and URLs all take as it is.
_USERNAME: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._@-]{0,62}[A-Za-z0-9])?")
_TEAM: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9 ._-]{0,62}[A-Za-z0-9])?")
_EMAIL: Final = re.compile(r"[^\s@,;<>\"]+@[^\s@,;<>\"]+")
# Excel writes 123456789012 as 1,23457E+11, and a formula's mistake as #NAME?.
_ROUNDED: Final = re.compile(r"[0-9]([.,][0-9]+)?[eE]\+[0-9]+")
_MISTAKE: Final = re.compile(r"#(NAME\?|REF!|VALUE!|N/A|NULL!|DIV/0!|NUM!)", re.IGNORECASE)
_MARKS: Final = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))


class RosterError(SpecError):
    """A roster with mistakes; carries the first hundred with their lines."""


@dataclass(frozen=True)
class Roster:
    """The people of a file, in its order, and what to know about how it was read."""

    people: Sequence[Person]
    notes: Sequence[str] = ()


def parse(content: bytes, file: str) -> Roster:
    """The people in a CSV file, named `file` in problems.

    UTF-8 with or without a mark, UTF-16 with one, else Windows-1252; separated by commas,
    semicolons or tabs. Raises RosterError with every problem.
    """
    reader = _Reader(file)
    people = reader.read(content)
    if reader.problems:
        raise RosterError(_first(reader.problems, file), next_step=_NEXT_STEP)
    return Roster(people, tuple(reader.notes))


def check_people(people: Sequence[Person], file: str) -> None:
    """Raise RosterError for people who came by another way than a file (`users add`)."""
    reader = _Reader(file)
    for person in people:
        reader.check(person.line, {name: getattr(person, name) for name in COLUMNS})
    reader.compare(people)
    if reader.problems:
        raise RosterError(_first(reader.problems, file), next_step="correct what is named above")


def _first(problems: Sequence[Problem], file: str) -> Sequence[Problem]:
    ordered = sorted(problems, key=lambda problem: problem.line)
    more = len(ordered) - _MOST_PROBLEMS
    if more <= 0:
        return ordered
    last = ordered[_MOST_PROBLEMS - 1].line
    return [*ordered[:_MOST_PROBLEMS], Problem(file, last, "", f"and {more} more problems")]


@dataclass
class _Reader:
    file: str
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    width: int = 0

    def read(self, content: bytes) -> list[Person]:
        text = self._text(content)
        if text is None:
            return []
        rows = self._rows(text)
        header = next(rows, None)
        if header is None:
            self._add(1, "", "the file is empty", f"its first line names columns: {_listed()}")
            return []
        columns = self._columns(*header)
        people = [p for line, row in rows if (p := self._person(line, row, columns)) is not None]
        self._count(people)
        self.compare(people)
        return people

    def _add(self, line: int, path: str, message: str, hint: str = "") -> None:
        self.problems.append(Problem(self.file, line, path, message, hint))

    # The file.

    def _text(self, content: bytes) -> str | None:
        if problem := _no_text(content):
            self._add(1, "", *problem)
            return None
        for mark, encoding in _MARKS:
            if content.startswith(mark):
                return self._decoded(content.removeprefix(mark), encoding)
        try:
            return content.decode("utf-8")
        except UnicodeDecodeError:
            self.notes.append("read as Windows-1252, as it is no UTF-8: look at accents in names")
            return content.decode("cp1252", "replace")

    def _decoded(self, content: bytes, encoding: str) -> str | None:
        try:
            return content.decode(encoding)
        except UnicodeDecodeError as error:
            line = content[: error.start].decode(encoding, "replace").count("\n") + 1
            self._add(line, "", f"not {encoding.upper()}, as the file's first bytes promise")
            return None

    def _rows(self, text: str) -> Iterator[tuple[int, list[str]]]:
        """Rows with something in them, each with the line on which it starts."""
        first = text.partition("\n")[0]
        stated = re.fullmatch(r"sep=([,;\t])\r?", first, re.IGNORECASE)
        separator = stated[1] if stated else max(";\t,", key=first.count)
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
        begins = 1
        try:
            for row in reader:
                cells = [_stripped(cell) for cell in row]
                if any(cells) and not (stated and begins == 1):
                    yield begins, cells
                begins = reader.line_num + 1
        except csv.Error as error:
            hint = 'a quote inside a field is written twice, and a field that begins with " ends so'
            self._add(begins, "", f"not readable as CSV: {error}", hint)

    def _columns(self, line: int, header: Sequence[str]) -> Mapping[int, str]:
        found: dict[int, str] = {}
        self.width = len(header)
        for place, title in enumerate(header):
            column = _column(title)
            if column in found.values():
                self._add(line, "", f"two columns for `{column}`", "keep one of them")
            elif column:
                found[place] = column
            else:
                self._unknown(line, title)
        if "username" not in found.values():
            hint = "" if len(header) > 1 else f"the first line names columns: {_listed()}"
            self._add(line, "", "no column `username`", hint)
        return found

    def _unknown(self, line: int, title: str) -> None:
        meant = closest(_folded(title), (*COLUMNS, *_ALIASES))
        if meant:
            hint = did_you_mean(_ALIASES.get(meant, meant))
            self._add(line, "", f"unknown column {shown(title)}", hint)
        elif title:
            self.notes.append(f"the column {shown(title)} is not used")

    # One person.

    def _person(self, line: int, row: Sequence[str], columns: Mapping[int, str]) -> Person | None:
        cells = {name: row[place] if place < len(row) else "" for place, name in columns.items()}
        if any(row[self.width :]):
            what = f"{len(row)} fields, where the first line has {self.width}"
            self._add(line, "", what, 'a field with a separator in it stands in "quotes"')
        if "username" not in cells:
            return None
        self.check(line, cells)
        role = _ROLES.get(cells.get("role", "").lower(), Role.STUDENT)
        made = Person(cells["username"], cells.get("name", ""), cells.get("email", ""), role)
        return replace(made, team=cells.get("team", ""), line=line)

    def check(self, line: int, cells: Mapping[str, str]) -> None:
        """Add what is wrong with one person's fields."""
        for column, check in _CHECKS.items():
            problem = check(cells.get(column, ""))
            if problem:
                self._add(line, column, *problem)
        if cells.get("team") and _ROLES.get(cells.get("role", "").lower()) is Role.GUEST:
            self._add(line, "team", "a guest reads, and is in no team", "remove one of the two")

    # All people together.

    def _count(self, people: Sequence[Person]) -> None:
        if len(people) > MAX_PEOPLE:
            self._add(people[MAX_PEOPLE].line, "", f"more than {MAX_PEOPLE} people")
        if not people and not self.problems:
            self._add(1, "", "nobody is in it: there is a header and nothing below")

    def compare(self, people: Sequence[Person]) -> None:
        """Add what does not go together: two people, or a person and a team, of one name."""
        seen: dict[str, Person] = {}
        for person in people:
            key = person.username.lower()
            if key and key in seen:
                other = seen[key]
                what = f"{shown(person.username)} is on line {other.line} too"
                if other.username != person.username:
                    what += f", as {shown(other.username)}"
                self._add(person.line, "username", what, "each person has a name of their own")
            seen.setdefault(key, person)
        self._compare_teams(people, seen)

    def _compare_teams(self, people: Sequence[Person], seen: Mapping[str, Person]) -> None:
        spellings: dict[str, Person] = {}
        for person in people:
            key = person.team.lower()
            if not key:
                continue
            first = spellings.setdefault(key, person)
            if first.team != person.team:
                what = f"{shown(person.team)} is written {shown(first.team)} on line {first.line}"
                self._add(person.line, "team", what, "write a team the same everywhere")
            elif key in seen and first is person:
                what = f"{shown(person.team)} is a person's name too (line {seen[key].line})"
                self._add(person.line, "team", what, "give the team another name")


def _no_text(content: bytes) -> tuple[str, str] | None:
    if len(content) > MAX_BYTES:
        return f"larger than {MAX_BYTES // 2**20} MiB", "a roster has one short line per person"
    if content.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        return "a workbook, not a CSV file", "save it from the spreadsheet as `CSV UTF-8`"
    if b"\x00" in content and not content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "not a text file: it has NUL bytes", "save it from the spreadsheet as `CSV UTF-8`"
    return None


def _stripped(cell: str) -> str:
    """Without what spreadsheets and web pages put around a text: spaces of all kinds, and marks."""
    return cell.strip(" \t\r\n\u00a0\u200b\u2007\u202f\ufeff")


def _folded(title: str) -> str:
    return re.sub(r"[\s_./-]+", " ", title).strip().lower()


def _column(title: str) -> str | None:
    word = _folded(title)
    return word if word in COLUMNS else _ALIASES.get(word)


def _listed() -> str:
    return ", ".join(f"`{column}`" for column in COLUMNS)


def _username_problem(text: str) -> tuple[str, str] | None:
    if _USERNAME.fullmatch(text):
        if text.lower() == ADMIN:
            return f"{shown(text)} is the server's own administrator", "take another name"
        return None
    if not text:
        return "is missing", "every line names one person"
    if hint := _excel(text):
        return f"{shown(text)} is not what was typed", hint
    rule = "must be 1 to 64 of a-z, 0-9 and . _ @ -, from a letter or digit to one"
    return f"{rule}, not {shown(text)}", did_you_mean(_username_meant(text))


def _excel(text: str) -> str:
    if _ROUNDED.fullmatch(text):
        return "the spreadsheet rounded a number: format that column as text and fill it again"
    return "the spreadsheet shows a mistake of its own there" if _MISTAKE.fullmatch(text) else ""


def _username_meant(text: str) -> str | None:
    plain = unicodedata.normalize("NFKD", text[:200]).encode("ascii", "ignore").decode().lower()
    meant = re.sub(r"[^a-z0-9@]+", ".", plain.replace("'", "")).strip(".@")[:64].strip(".@")
    return meant if _USERNAME.fullmatch(meant) else None


def _name_problem(text: str) -> tuple[str, str] | None:
    if hint := _excel(text):
        return f"{shown(text)} is not what was typed", hint
    return _line_problem(text, 200)


def _line_problem(text: str, most: int) -> tuple[str, str] | None:
    if len(text) > most:
        return f"longer than {most} characters", "is a quote missing?"
    if any(unicodedata.category(sign) in ("Cc", "Cs", "Zl", "Zp") for sign in text):
        return f"a line break or control sign in {shown(text)}", "write it on one line"
    return None


def _email_problem(text: str) -> tuple[str, str] | None:
    if problem := _line_problem(text, 254):
        return problem
    good = not text or _EMAIL.fullmatch(text)
    return None if good else (f"not an address: {shown(text)}", "leave it empty if there is none")


def _role_problem(text: str) -> tuple[str, str] | None:
    if text.lower() in _ROLES:
        return None
    meant = closest(text, (role for role in _ROLES if role))
    hint = did_you_mean(_ROLES[meant].value if meant else None)
    return f"must be one of `student`, `guest`, `staff`, not {shown(text)}", hint


def _team_problem(text: str) -> tuple[str, str] | None:
    if not text or _TEAM.fullmatch(text):
        return None
    rule = "must be 1 to 64 of a-z, 0-9, spaces and . _ -, from a letter or digit to one"
    return f"{rule}, not {shown(text)}", _excel(text)


_CHECKS: Final = {
    "username": _username_problem,
    "name": _name_problem,
    "email": _email_problem,
    "role": _role_problem,
    "team": _team_problem,
}
