"""From data to a spec, or to everything that is wrong with the data, in words of ours."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from provision.model.complaints import Complaint, Path
from provision.model.spec import Spec
from provision.model.suggest import setting_hint, setting_meant

_DROPPED: Final = object()


def check_spec(data: object, broken: Collection[Path] = ()) -> Spec | tuple[Complaint, ...]:
    """The spec that `data` describes, or every complaint about it.

    `data` is what a YAML or JSON reader gives. `broken` are places that the reader has already
    complained about: nothing more is said about them or derived from them, so that with `broken`
    the complaints can be none.
    """
    try:
        return Spec.model_validate(data)
    except ValidationError as error:
        found = _explained(error)
    if not any(complaint.involves for complaint in found):
        found += _rules_of_the_rest(data, found)
    unread = {*broken, *_unread(found)}
    return tuple(c for c in found if not (_inside(c.path, broken) or _reads(c, unread)))


def settings() -> tuple[Path, ...]:
    """The paths of all sections and settings, each section before its own settings."""
    return tuple(_settings(Spec, ()))


def _settings(model: type[BaseModel], at: Path) -> Iterator[Path]:
    for name, field in model.model_fields.items():
        yield (*at, name)
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _settings(field.annotation, (*at, name))


def _rules_of_the_rest(data: object, found: Collection[Complaint]) -> list[Complaint]:
    """The rules between settings that are broken by what is left without the wrong places.

    pydantic runs a model's own validator only once all fields are valid; people want to hear
    about both at once.
    """
    rest = _without(data, (), {complaint.path for complaint in found})
    if not isinstance(rest, dict):
        return []
    try:
        Spec.model_validate({"name": "nameless", **rest})
    except ValidationError as error:
        return [complaint for complaint in _explained(error) if complaint.involves]
    return []


def _without(data: object, at: Path, wrong: Collection[Path]) -> object:
    if at in wrong:
        return _DROPPED
    if isinstance(data, dict):
        kept = {key: _without(value, (*at, key), wrong) for key, value in data.items()}
        return {key: value for key, value in kept.items() if value is not _DROPPED}
    if isinstance(data, list):
        items = (_without(item, (*at, index), wrong) for index, item in enumerate(data))
        return [item for item in items if item is not _DROPPED]
    return data


def _unread(found: Collection[Complaint]) -> Iterator[Path]:
    """The settings whose values are unknown because of the complaints `found`."""
    for complaint in found:
        if not complaint.involves:
            yield complaint.path
            yield complaint.meant or complaint.path


def _reads(complaint: Complaint, unread: Collection[Path]) -> bool:
    """True when the rule behind `complaint` reads one of the places `unread`."""
    return any(_inside(path, unread) for path in complaint.involves)


def _inside(path: Path, places: Collection[Path]) -> bool:
    return any(path[: len(place)] == place for place in places)


def _explained(error: ValidationError) -> list[Complaint]:
    return [_complaint(detail) for detail in error.errors(include_url=False)]


def _complaint(detail: ErrorDetails) -> Complaint:
    path = _path(detail["loc"])
    kind = detail["type"]
    if kind == "spec":
        context = detail["ctx"]
        involves = context.get("involves", ())
        return Complaint(path, context["message"], context["hint"], involves=involves)
    if kind == "extra_forbidden":
        meant = setting_meant(path, settings())
        hint = setting_hint(path, meant, settings())
        return Complaint(path, "there is no such setting", hint, meant)
    if kind == "missing":
        return Complaint(path, "must be written")
    return Complaint(path, "cannot be read as a value of this setting")


def _path(location: tuple[int | str, ...]) -> Path:
    """pydantic's location of an error as a path; it marks the key of a mapping by "[key]"."""
    of_tag = len(location) == 3 and location[0] == "tags"
    return location[:2] if of_tag else location
