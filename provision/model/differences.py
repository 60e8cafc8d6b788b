"""What differs between two values of a resource, leaf by leaf, with nothing secret in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from provision.model.complaints import printable

_LONGEST: Final = 60
_HIDDEN: Final = "..."
# Texts and digests that say nothing to a reader; some hold what is better not shown.
_UNTOLD: Final = frozenset(
    ("user_data", "user_data_base64", "policy", "assume_role_policy", "master_user_secret")
)


@dataclass(frozen=True)
class Difference:
    """One leaf that changes. `path` leaves out the numbers of list entries.

    `before` and `after` are texts to show: "" where there is no value, "..." where it is sensitive
    or nothing to read. `unknown` says that what comes after is known only later.
    """

    path: str
    before: str = ""
    after: str = ""
    unknown: bool = False

    def __str__(self) -> str:
        if {self.before, self.after} <= {"", _HIDDEN}:
            return self.path
        after = "known later" if self.unknown else self.after
        return f"{self.path}: {self.before or 'none'} -> {after or 'none'}"


def differences(change: Mapping[str, Any]) -> tuple[Difference, ...]:
    """The differences in a `change` of Terraform's plan format (JSON, version 1)."""
    found = _walk(
        (),
        (change.get("before"), change.get("after")),
        change.get("after_unknown"),
        (change.get("before_sensitive"), change.get("after_sensitive")),
    )
    named = {difference.path: difference for difference in found}
    # Every tag of `tags` is in `tags_all` again.
    doubled = {f"tags_all.{path.removeprefix('tags.')}" for path in named if path != "tags"}
    return tuple(d for path, d in named.items() if path not in doubled or path.startswith("tags."))


def dotted(path: Sequence[object]) -> str:
    """A path into a resource without the numbers of list entries."""
    return ".".join(printable(str(part)) for part in path if not isinstance(part, int))


def _walk(
    path: tuple[object, ...], values: tuple[Any, Any], unknown: Any, sensitive: tuple[Any, Any]
) -> Iterator[Difference]:
    before, after = values
    hidden = any(mark is True for mark in sensitive)
    if unknown is True:
        told = _HIDDEN if hidden or _any_true(sensitive) else _told(path, before)
        yield Difference(dotted(path), told, unknown=True)
    elif hidden:
        if before != after:
            yield Difference(dotted(path), _HIDDEN, _HIDDEN)
    elif isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in dict.fromkeys((*before, *after, *_keys(unknown))):
            inner = (before.get(key), after.get(key))
            yield from _walk((*path, key), inner, _at(unknown, key), _both(sensitive, key))
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, inner in enumerate(zip(before, after, strict=True)):
            yield from _walk((*path, index), inner, _at(unknown, index), _both(sensitive, index))
    elif before != after:
        safe = not _any_true(sensitive)
        shown = (_told(path, before), _told(path, after)) if safe else (_HIDDEN, _HIDDEN)
        yield Difference(dotted(path), *shown)


def _told(path: tuple[object, ...], value: Any) -> str:
    """A value in a few characters."""
    if value is None or value == "":
        return ""
    if _UNTOLD & set(map(str, path)) or isinstance(value, Mapping | list):
        return _HIDDEN
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return printable(text, _LONGEST)


def _keys(marks: Any) -> tuple[object, ...]:
    return tuple(marks) if isinstance(marks, Mapping) else ()


def _at(marks: Any, key: object) -> Any:
    """The marks below `key`: a mark on the whole holds for each part."""
    if marks is True:
        return True
    if isinstance(marks, Mapping):
        return marks.get(key)
    if isinstance(marks, list) and isinstance(key, int) and key < len(marks):
        return marks[key]
    return None


def _both(marks: tuple[Any, Any], key: object) -> tuple[Any, Any]:
    return _at(marks[0], key), _at(marks[1], key)


def _any_true(marks: Any) -> bool:
    if isinstance(marks, Mapping):
        return any(map(_any_true, marks.values()))
    if isinstance(marks, list | tuple):
        return any(map(_any_true, marks))
    return marks is True
