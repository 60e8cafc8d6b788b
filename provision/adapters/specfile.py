"""The door to YAML: spec files in, with the line of every setting; specs out as YAML.

PyYAML only cuts the text into events. What they mean is decided here, because PyYAML follows YAML
1.1, where `no` is false, `08:00` is 480 and `010` is 8; and because nothing in a file may build
objects, expand without bound or hide a second value under the same key.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

import yaml

from provision.errors import MissingError, Problem, SpecError
from provision.model import naming
from provision.model.complaints import Path as Place
from provision.model.complaints import SpecSource, dotted, located, printable, shown
from provision.model.explain import check_spec
from provision.model.spec import Spec

MAX_BYTES: Final = 256 * 1024
MAX_DEPTH: Final = 16
MAX_NODES: Final = 10_000
_SHOWN_PATH: Final = 4096  # PATH_MAX on Linux: tools open what a problem names, so it stays whole
_BOOLEANS: Final = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_NEXT_STEP: Final = "Correct the file; `provision validate` checks it without starting anything."


def load_spec(path: Path) -> Spec:
    """The spec in the file `path`; MissingError without the file, SpecError with all problems."""
    return read_spec(path).spec


def read_spec(path: Path) -> SpecSource:
    """As `load_spec`, together with the lines, for problems that come to light later."""
    text = _text(path)
    # Resolved: `..` is no name, and one stack has one name, whatever link leads to its folder.
    folder = path.parent.resolve().name
    return parse_source(text, str(path), naming.default_name(folder))


def parse(text: str, filename: str, default_name: str) -> Spec:
    """The spec in `text`; SpecError with all problems, which name the file as `filename`."""
    return parse_source(text, filename, default_name).spec


def parse_source(text: str, filename: str, default_name: str) -> SpecSource:
    """As `parse`, together with the lines. An empty text has all defaults."""
    reader = _Reader(printable(filename, _SHOWN_PATH))
    data = reader.read(text.removeprefix("\ufeff"))
    found = check_spec({"name": default_name, **data}, reader.broken)
    if isinstance(found, Spec) and not reader.problems:
        return SpecSource(found, reader.file, reader.lines)
    complaints = found if isinstance(found, tuple) else ()
    problems = [*reader.problems, *(located(c, reader.file, reader.lines) for c in complaints)]
    raise _in_order(problems)


def _in_order(problems: Iterable[Problem]) -> SpecError:
    return SpecError(sorted(problems, key=lambda p: p.line), next_step=_NEXT_STEP)


def dump(spec: Spec) -> str:
    """`spec` as YAML with the settings that were written, and no others; `parse` reads it back."""
    written = spec.model_dump(mode="json", exclude_unset=True)
    return yaml.dump(written, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10**6)


class _Dumper(yaml.SafeDumper):
    """Writes text in quotes wherever this module's reader would take it for something else."""

    def represent_text(self, text: str) -> yaml.ScalarNode:
        style = None if isinstance(plain_value(text), str) else '"'
        return self.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _Dumper.represent_text)


def plain_value(text: str) -> object:
    """The value of `text` written without quotes: the core schema of YAML 1.2, less its traps.

    Numbers are decimal and without a leading zero, as a person reads them; all else is text,
    `010`, `0x1F`, `1_000`, `08:00`, `no` and dates included.
    """
    if text in ("", "~", "null", "Null", "NULL"):
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if re.fullmatch(r"[-+]?(0|[1-9][0-9]{0,99})", text):
        return int(text)
    if re.fullmatch(r"[-+]?(0|[1-9][0-9]{0,99})?(\.[0-9]+|\.)?([eE][-+]?[0-9]{1,3})?", text):
        return _float(text)
    return text


def _float(text: str) -> object:
    try:
        return float(text)
    except ValueError:  # "." and "e5" fit the form too, and are text
        return text


def _text(path: Path) -> str:
    """The text of the file, or the error that says why there is none."""
    file = printable(str(path), _SHOWN_PATH)
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        step = "`provision init` writes one; or correct the path."
        raise MissingError(f"{file}: there is no such file", next_step=step) from None
    except IsADirectoryError:
        _refuse(file, "this is a folder, not a file", f"Name the file in it: {file}/provision.yaml")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "the path is not valid"
        _refuse(file, f"cannot be read: {reason}", "Make it readable for you, or name another.")
    if len(content) > MAX_BYTES:
        _refuse(file, f"is larger than {MAX_BYTES // 1024} KiB", "A spec has a few dozen lines.")
    return _decoded(content, file)


def _decoded(content: bytes, file: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        _refuse(file, "is not text in UTF-8", "Save it in the encoding UTF-8.", line)


def _refuse(file: str, message: str, next_step: str, line: int = 1) -> NoReturn:
    raise SpecError([Problem(file, line, "", message)], next_step=next_step) from None


@dataclass(frozen=True)
class _Node:
    """A piece of the file: a plain value, a list of nodes, or key, line of the key and node."""

    line: int
    value: object = None
    items: tuple[_Node, ...] | None = None
    entries: tuple[tuple[str, int, _Node], ...] | None = None


class _UnreadableError(Exception):
    """The text cannot be read past `line`."""

    def __init__(self, line: int, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.line, self.message, self.hint = line, message, hint


class _Reader:
    """Reads one text. What can be read in spite of a problem is read on, to report all at once."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.lines: dict[Place, int] = {}
        self.problems: list[Problem] = []
        self.broken: list[Place] = []
        self._anchors: dict[str, _Node] = {}
        self._nodes = 0

    def read(self, text: str) -> dict[str, object]:
        """The settings in `text`; SpecError at once where the rest makes no sense."""
        try:
            data = self._document(_events(text))
        except _UnreadableError as stop:
            self._problem(stop.line, (), stop.message, stop.hint)
            raise _in_order(self.problems) from None
        return data

    def _problem(self, line: int, place: Place, message: str, hint: str = "") -> None:
        self.problems.append(Problem(self.file, line, dotted(place), message, hint))

    def _document(self, events: Iterator[yaml.Event]) -> dict[str, object]:
        started = [
            e for e in (next(events), next(events)) if isinstance(e, yaml.DocumentStartEvent)
        ]
        if not started:
            return {}
        node = self._node(next(events), events, ())
        next(events)  # the end of the document
        after = next(events)
        if isinstance(after, yaml.DocumentStartEvent):
            message = "a second document starts here"
            raise _UnreadableError(_line(after), message, "a file holds one spec: remove the `---`")
        data = {} if node == _Node(node.line) else self._data(node, ())
        if isinstance(data, dict):
            return data
        hint = "write settings such as `target: local`, each on its line"
        raise _UnreadableError(node.line, f"must be settings, not {shown(data)}", hint)

    def _node(self, event: yaml.Event, events: Iterator[yaml.Event], place: Place) -> _Node:
        """The node that `event` begins, taken whole from `events`."""
        self._count(_line(event))
        self._check_depth(_line(event), place)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        tag, anchor = getattr(event, "tag", None), getattr(event, "anchor", None)
        if tag is not None:
            self._tagged(tag, _line(event), place)
        node = self._fresh(event, events, place)
        if anchor is not None:
            self._anchors[anchor] = node
        return node

    def _fresh(self, event: yaml.Event, events: Iterator[yaml.Event], place: Place) -> _Node:
        if isinstance(event, yaml.MappingStartEvent):
            return _Node(_line(event), entries=tuple(self._entries(events, place)))
        if isinstance(event, yaml.SequenceStartEvent):
            return _Node(_line(event), items=tuple(self._items(events, place)))
        text, quoted = str(getattr(event, "value", "")), getattr(event, "style", None) is not None
        return _Node(_line(event), _joined(text) if quoted else plain_value(text))

    def _alias(self, event: yaml.AliasEvent) -> _Node:
        anchor = str(event.anchor)
        found = self._anchors.get(anchor)
        if found is None:
            # An anchor is known only once its node has ended, so that none can hold itself.
            message = f"`*{printable(anchor)}` does not stand for anything above it"
            raise _UnreadableError(_line(event), message, _QUOTE_IT)
        return _Node(_line(event), found.value, found.items, found.entries)

    def _tagged(self, tag: str, line: int, place: Place) -> None:
        self.broken.append(place)
        short = tag.replace("tag:yaml.org,2002:", "!!")
        message = f"YAML tags such as `{printable(short)}` are not allowed"
        # A key is read at the place "" of its section.
        shown_place = place[:-1] if place[-1:] == ("",) else place
        self._problem(line, shown_place, message, "remove it; quotes make a value text")

    def _items(self, events: Iterator[yaml.Event], place: Place) -> Iterator[_Node]:
        for index, event in enumerate(events):
            if isinstance(event, yaml.SequenceEndEvent):
                return
            yield self._node(event, events, (*place, index))

    def _entries(
        self, events: Iterator[yaml.Event], place: Place
    ) -> Iterator[tuple[str, int, _Node]]:
        seen: dict[str, int] = {}
        for event in events:
            if isinstance(event, yaml.MappingEndEvent):
                return
            key = self._key(event, events, place)
            node = self._node(next(events), events, (*place, key or ""))
            if key is None:
                continue
            if key in seen:
                self._twice((*place, key), seen[key], _line(event))
                continue
            seen[key] = _line(event)
            yield key, _line(event), node

    def _key(self, event: yaml.Event, events: Iterator[yaml.Event], place: Place) -> str | None:
        """The key that `event` begins, or None after a complaint."""
        node = self._node(event, events, (*place, ""))
        plain = getattr(event, "style", None) is None
        if node.value == "<<" and plain:
            hint = "write the settings out"
            self._problem(node.line, place, "merge keys (`<<`) are not part of YAML 1.2", hint)
            self.broken.append(place)
            return None
        if isinstance(node.value, str) and not _HALF.search(node.value):
            return node.value
        value = {} if node.entries is not None else [] if node.items is not None else node.value
        hint = f'write it in quotes: "{shown(value)}"' if isinstance(value, int | float) else ""
        self._problem(node.line, place, f"a key must be text, not {shown(value)}", hint)
        return None

    def _twice(self, place: Place, first: int, line: int) -> None:
        self.broken.append(place)
        self._problem(line, place, f"is written twice, on line {first} and here", "remove one")

    def _data(self, node: _Node, place: Place) -> object:
        """The node as plain data; notes the line of everything in it."""
        self._count(node.line)
        self._check_depth(node.line, place)  # again: aliases nest deeper than what is written
        self.lines.setdefault(place, node.line)
        if node.items is not None:
            return [self._data(item, (*place, i)) for i, item in enumerate(node.items)]
        if node.entries is None:
            return node.value
        for key, line, _ in node.entries:
            self.lines[(*place, key)] = line
        return {key: self._data(child, (*place, key)) for key, _, child in node.entries}

    def _check_depth(self, line: int, place: Place) -> None:
        if len(place) > MAX_DEPTH:
            raise _UnreadableError(line, "is nested too deep for a spec")

    def _count(self, line: int) -> None:
        self._nodes += 1
        if self._nodes > 2 * MAX_NODES:  # each is counted as it is read and as it is used
            raise _UnreadableError(line, f"holds more than {MAX_NODES} values, aliases included")


_HALF: Final = re.compile("[\ud800-\udfff]")


def _joined(text: str) -> str:
    """`text` with pairs of surrogates as the character they stand for: JSON escapes it so."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark is not None else 1


def _events(text: str) -> Iterator[yaml.Event]:
    """PyYAML's events, with its errors in our words."""
    try:
        yield from yaml.parse(text, Loader=yaml.SafeLoader)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        message = f"holds the character {shown(chr(error.character))}, which YAML does not allow"
        raise _UnreadableError(line, message) from None
    except yaml.MarkedYAMLError as error:
        raise _unreadable(error) from None
    except (ValueError, OverflowError):
        # An escape such as "\UFFFFFFFF", or a version number of 5000 digits.
        line = text.count("\n") + 1
        raise _UnreadableError(line, "holds a number or an escape that is too large") from None


_QUOTE_IT: Final = 'put text with such a sign in quotes: "*.lab.example"'
_ALIGN_IT: Final = "align it with the setting that it belongs to"
# What PyYAML's problem contains, what it means for the person who wrote the file, and what helps.
_SYNTAX: Final = (
    ("'\\t' that cannot start", "a tab is where YAML wants spaces", "indent with spaces"),
    ("cannot start any token", "a value begins with a sign that YAML reserves", "put it in quotes"),
    ("mapping values are not allowed", "a `:` where none can be",
     "put the text in quotes, correct the indentation, or put a space after the `:` further up"),
    ("sequence entries are not allowed", "a list cannot begin on the line of its key",
     "begin each `- ` on a line of its own, or write it as [a, b]"),
    ("expected alphabetic or numeric", "`*` or `&` begins an alias or an anchor here", _QUOTE_IT),
    ("could not find expected ':'", "a line without `key: value`", "add the colon and the value"),
    ("unexpected end of stream", "a quote is never closed", "close it"),
    ("expected ',' or", "a bracket is never closed", "close it, or put the text in quotes"),
    ("unknown escape character", "an unknown escape with a backslash", "use single quotes"),
    ("expected <block end>", "the indentation does not match the lines above", _ALIGN_IT),
    ("expected '<document start>'", "the indentation does not match the lines above", _ALIGN_IT),
)  # fmt: skip


def _unreadable(error: yaml.MarkedYAMLError) -> _UnreadableError:
    problem = str(error.problem)
    unclosed = "end of stream" in problem or "expected ',' or" in problem
    mark = (error.context_mark if unclosed else None) or error.problem_mark or error.context_mark
    line = int(mark.line) + 1 if mark is not None else 1
    for fragment, message, hint in _SYNTAX:
        if fragment in problem:
            return _UnreadableError(line, message, hint)
    return _UnreadableError(line, "cannot be read as YAML", "compare it with what `init` writes")
