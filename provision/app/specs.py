"""The use cases around the spec: begin one, check one, describe what one may hold."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, cast, get_args

from provision.errors import ProvisionError, RefusedError, SpecError, UsageError
from provision.model.complaints import Complaint, SpecSource, dotted, shown
from provision.model.explain import check_spec
from provision.model.spec import Access, Spec, default_spec, late_problems
from provision.model.templates import (
    QUESTIONS,
    SCHEMA_FILE,
    InitAnswers,
    Question,
    Rung,
    spec_text,
)

__all__ = [
    "QUESTIONS",
    "InitAnswers",
    "InitResult",
    "Question",
    "ValidationResult",
    "answers_from",
    "default_spec",
    "init_text",
    "questions_for",
    "schema",
    "validate",
    "write_init",
]

_SCHEMA_ID = "urn:provision-mlflow:spec:1"


@dataclass(frozen=True)
class ValidationResult:
    """A valid spec in short. `summary` and `warnings` are sentences, a line each."""

    file: str
    name: str
    scenario: str
    target: str
    summary: tuple[str, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class InitResult:
    """The files that `init` wrote; `replaced` says that a spec stood there before."""

    file: str
    schema_file: str
    replaced: bool


def validate(path: Path, today: date, read: Callable[[Path], SpecSource]) -> ValidationResult:
    """The spec in `path` in short; `read` is the door to spec files.

    Raises SpecError with every problem, those that depend on the day `today` included.
    """
    source = read(path)
    late = late_problems(source.spec, today)
    if late:
        problems = [source.locate(complaint) for complaint in late]
        raise SpecError(problems, next_step="Correct the file and run the command again.")
    spec = source.spec
    return ValidationResult(
        source.file, spec.name, spec.scenario, spec.target, _summary(spec), _warnings(spec)
    )


def _summary(spec: Spec) -> tuple[str, ...]:
    lines = [f"name: {spec.name}", f"target: {spec.target}", f"database: {spec.database.engine}"]
    if spec.scenario == "none":
        lines.append("no server: clients use files on this machine")
    elif spec.target in ("local", "compose"):
        lines.append(f"server: {_url(spec)}, memory {spec.server.memory}, auth {spec.access.auth}")
    else:
        lines.append(f"server: memory {spec.server.memory}, auth {spec.access.auth}")
    if spec.lifetime.until:
        lines.append(f"until: {spec.lifetime.until}")
    return tuple(lines)


def _url(spec: Spec) -> str:
    listen = spec.access.listen
    return f"http://{f'[{listen}]' if ':' in listen else listen}:{spec.server.port}"


def _warnings(spec: Spec) -> tuple[str, ...]:
    found = (
        (spec.server.port < 1024, f"port {spec.server.port} needs root on most systems"),
        (_open_to_all(spec), "whoever reaches the server may read, change and delete everything"),
        (_server_unused(spec), "the settings under `server` have no effect without a server"),
    )
    return tuple(text for applies, text in found if applies)


def _open_to_all(spec: Spec) -> bool:
    access: Access = spec.access
    return access.auth == "none" and not access.is_loopback


def _server_unused(spec: Spec) -> bool:
    return spec.scenario == "none" and bool(spec.server.model_fields_set)


def questions_for(rung: str) -> tuple[Question, ...]:
    """The questions to ask once the rung is known (all but the one for the rung)."""
    return tuple(q for q in QUESTIONS if q.id != "rung" and rung in q.rungs)


def answers_from(replies: Mapping[str, str]) -> InitAnswers:
    """The answers behind `replies` (id of the question to text); UsageError for a bad one.

    An empty text, or none, takes the default.
    """
    given = {key: text.strip() for key, text in replies.items() if text.strip()}
    rung = given.pop("rung", "local")
    if rung not in get_args(Rung):
        listed = ", ".join(get_args(Rung))
        raise UsageError(f"there is no rung {shown(rung)}", next_step=f"Take one of: {listed}.")
    port = given.pop("port", None)
    if port is not None and not (port.isascii() and port.isdigit() and len(port) < 6):
        step = "Give a whole number from 1 to 65535."
        raise UsageError(f"port: {shown(port)} is not a port", next_step=step)
    return _checked(InitAnswers(cast(Rung, rung), port=int(port) if port else None, **given))


def init_text(answers: InitAnswers) -> str:
    """The commented spec for `answers`; UsageError where one is not valid or does not apply."""
    return spec_text(_checked(answers))


def _checked(answers: InitAnswers) -> InitAnswers:
    _check_they_apply(answers)
    data: dict[str, object] = {
        "name": answers.name or "nameless",
        "server": {} if answers.port is None else {"port": answers.port},
        "access": {} if answers.auth is None else {"auth": answers.auth},
        "lifetime": {"until": answers.until},
    }
    found = check_spec(data)
    if isinstance(found, tuple):
        raise UsageError("\n".join(map(_line, found)), next_step="Give another value.")
    return answers


def _line(complaint: Complaint) -> str:
    hint = f" ({complaint.hint})" if complaint.hint else ""
    return f"{dotted(complaint.path[-1:])}: {complaint.message}{hint}"


def _check_they_apply(answers: InitAnswers) -> None:
    for question in QUESTIONS:
        if getattr(answers, question.id) is None or answers.rung in question.rungs:
            continue
        raise UsageError(
            f"a spec for `{answers.rung}` has no `{question.id}`",
            next_step=f"Leave it out, or take one of: {', '.join(question.rungs)}.",
        )


def write_init(path: Path, text: str, force: bool) -> InitResult:
    """Write the spec `text` to `path`, and the schema for editors beside it.

    RefusedError where a file is already there and `force` is not given. With `force` the file is
    replaced as a whole or not at all.
    """
    folder = path.parent / Path(SCHEMA_FILE).parent
    replaced = path.exists()
    try:
        if replaced and not force:
            raise FileExistsError
        folder.mkdir(exist_ok=True)
        _write_whole(folder / "schema.json", json.dumps(schema(), indent=2) + "\n")
        if not (folder / ".gitignore").exists():
            (folder / ".gitignore").write_text("*\n", encoding="utf-8")
        if force:
            _write_whole(path, text)
        else:
            with path.open("x", encoding="utf-8") as stream:
                stream.write(text)
    except FileExistsError:
        step = "Edit it, or replace it with --force."
        raise RefusedError(f"{path} already exists", next_step=step) from None
    except OSError as error:
        step = "Choose a folder that exists and that you may write to."
        raise ProvisionError(
            f"{path} cannot be written: {error.strerror}", next_step=step
        ) from None
    return InitResult(str(path), str(folder / "schema.json"), replaced)


def _write_whole(path: Path, text: str) -> None:
    """Replace the file at `path`, following a link: a crash leaves the old text or the new one."""
    target = path.resolve()
    with tempfile.NamedTemporaryFile(
        "w", dir=target.parent, prefix=".new-", encoding="utf-8", delete=False
    ) as stream:
        new = Path(stream.name)
    try:
        new.write_text(text, encoding="utf-8")
        new.chmod(0o644)
        new.replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            new.unlink()
        raise


def schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of `provision.yaml`, for editors and other checkers.

    Rules between settings are not in it: see `provision.model.rules`.
    """
    generated = Spec.model_json_schema()
    # The reader of the file fills the name in from the folder.
    del generated["required"]
    for field in generated["properties"].values():
        section = next((o["$ref"] for o in field.get("anyOf", ()) if "$ref" in o), "")
        if section:
            field["description"] = generated["$defs"][section.rpartition("/")[2]]["description"]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": _SCHEMA_ID,
        **generated,
        "title": "provision.yaml",
    }
