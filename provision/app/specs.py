"""The use cases around the spec: begin one, check one, describe what one may hold."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, cast, get_args

from provision.errors import ProvisionError, RefusedError, SpecError, UsageError
from provision.model import rules
from provision.model.aws_fields import unheard_of
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
    "reference",
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
        lines += _summary_of_aws(spec)
    if spec.lifetime.until:
        lines.append(f"until: {spec.lifetime.until}")
    return tuple(lines)


def _summary_of_aws(spec: Spec) -> list[str]:
    aws = spec.aws
    place = f"aws: region {aws.region or 'as your AWS settings say'}, profile {aws.profile}"
    if aws.account:
        place += f", account {aws.account}"
    way_in = ", ".join(aws.ingress) or "through a tunnel alone"
    return [place, f"state: {aws.state}", f"server: auth {spec.access.auth}, reached from {way_in}"]


def _url(spec: Spec) -> str:
    listen = spec.access.listen
    return f"http://{f'[{listen}]' if ':' in listen else listen}:{spec.server.port}"


def _warnings(spec: Spec) -> tuple[str, ...]:
    found = (
        (spec.server.port < 1024, f"port {spec.server.port} needs root on most systems"),
        (_open_to_all(spec), "whoever reaches the server may read, change and delete everything"),
        (_server_unused(spec), "the settings under `server` have no effect without a server"),
        (_makes_roles(spec), _ROLES),
        (bool(_strange_region(spec)), _strange_region(spec)),
    )
    return tuple(text for applies, text in found if applies)


_ON_AWS = ("aws", "rehearsal")
_ROLES = (
    "the profile `team` makes roles for its logs, which an account that needs `instance_profile` "
    "may forbid: then set `database_observed` and `flow_logs` to false"
)


def _open_to_all(spec: Spec) -> bool:
    access: Access = spec.access
    reached = bool(spec.aws.ingress) if spec.target in _ON_AWS else not access.is_loopback
    return access.auth == "none" and reached


def _makes_roles(spec: Spec) -> bool:
    aws, settings = spec.aws, spec.aws.settings
    observed = settings.database_observed is not False
    logs = settings.flow_logs is not False and not aws.network.is_existing
    wanted = aws.profile == "team" and aws.instance_profile is not None and (observed or logs)
    return spec.target in _ON_AWS and wanted


def _strange_region(spec: Spec) -> str:
    meant = unheard_of(spec.aws.region or "")
    return (
        f"the region {spec.aws.region} is not known here: did you mean `{meant}`?" if meant else ""
    )


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
        "aws": {"region": answers.region},
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

    RefusedError where a file is already there and `force` is not given. The file is written, or
    with `force` replaced, as a whole or not at all; ProvisionError where that is not possible.
    """
    folder = path.parent / Path(SCHEMA_FILE).parent
    replaced = path.exists() or path.is_symlink()
    if replaced and not force:
        raise _already_there(path)
    try:
        _write_schema(folder)
        (_write_whole if force else _write_new)(path, text)
    except FileExistsError:  # another `init`, in this very moment
        raise _already_there(path) from None
    except OSError as error:
        step = "Choose a folder that exists, has room and that you may write to."
        raise ProvisionError(
            f"{path} cannot be written: {error.strerror}", next_step=step
        ) from None
    return InitResult(str(path), str(folder / "schema.json"), replaced)


def _already_there(path: Path) -> RefusedError:
    step = "Edit it, or replace it with --force."
    return RefusedError(f"{path} already exists", next_step=step)


def _write_schema(folder: Path) -> None:
    """The schema that the spec's first line names, in a folder that git leaves alone."""
    if folder.exists() and not folder.is_dir():
        step = "Move it away: the schema for editors goes into a folder of this name."
        raise ProvisionError(f"{folder} is not a folder", next_step=step)
    folder.mkdir(exist_ok=True)
    _write_whole(folder / "schema.json", json.dumps(schema(), indent=2) + "\n")
    if not (folder / ".gitignore").exists():
        _write_whole(folder / ".gitignore", "*\n")


def _write_new(path: Path, text: str) -> None:
    """Write a file that is not there yet; FileExistsError if it is."""
    with path.open("x", encoding="utf-8") as stream, _gone_on_failure(path):
        stream.write(text)
        stream.flush()


@contextlib.contextmanager
def _gone_on_failure(path: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):
            path.unlink()
        raise


def _write_whole(path: Path, text: str) -> None:
    """Replace the file at `path`, following a link: a crash leaves the old text or the new one."""
    target = path.resolve()
    with tempfile.NamedTemporaryFile(
        "w", dir=target.parent, prefix=".new-", encoding="utf-8", delete=False
    ) as stream:
        new = Path(stream.name)
    with _gone_on_failure(new):
        new.write_text(text, encoding="utf-8")
        new.chmod(target.stat().st_mode & 0o777 if target.exists() else 0o644)
        new.replace(target)


def schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of `provision.yaml`, for editors and other checkers.

    Rules between settings are not in it: see `provision.model.rules`.
    """
    generated = Spec.model_json_schema()
    # The reader of the file fills the name in from the folder.
    del generated["required"]
    for part in (generated, *generated["$defs"].values()):
        for field in part["properties"].values():
            section = _definition(field, generated["$defs"])
            if section is not None:
                field["description"] = section["description"]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": _SCHEMA_ID,
        **generated,
        "title": "provision.yaml",
    }


_REFERENCE_HEAD = """\
<!-- Generated from the models: do not edit. `tests/unit/test_spec.py` says how to renew it. -->
# `provision.yaml`

Every setting has a default: an empty file, or none, is a local server named after its folder.
`provision init` writes a commented file, `provision validate` checks one, and `provision schema`
prints the JSON Schema for editors.

YAML is read as people write it: only `true` and `false` are booleans, `no` and `08:00` are text.
A key written twice, tags (`!!type`), merge keys (`<<`) and a second document are refused.
"""


def reference() -> str:
    """The page docs/reference/spec.md: every setting and every rule between them, as Markdown."""
    whole = schema()
    single, sections = _tables(whole, whole["$defs"], "")
    rule_lines = "\n".join(f"- {rule.says}" for rule in rules.RULES)
    parts = [
        _REFERENCE_HEAD,
        _table("At the top level", whole["description"], single),
        *sections,
        f"## Rules between settings\n\n{rule_lines}\n",
    ]
    return "\n".join(parts)


def _tables(
    part: dict[str, Any], definitions: dict[str, Any], at: str
) -> tuple[dict[str, Any], list[str]]:
    """The settings of a section, and the tables of the sections inside it with all of theirs."""
    single, tables = {}, []
    for name, field in part["properties"].items():
        definition = _definition(field, definitions)
        if definition is None:
            single[name] = field
            continue
        inner, more = _tables(definition, definitions, f"{at}{name}.")
        tables += [_table(f"`{at}{name}`", field["description"], inner), *more]
    return single, tables


def _definition(field: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any] | None:
    """The schema of the section that `field` holds, or None for a setting."""
    reference = next((o["$ref"] for o in field.get("anyOf", ()) if "$ref" in o), None)
    return definitions[reference.rpartition("/")[2]] if reference else None


def _table(title: str, text: str, settings: dict[str, Any]) -> str:
    unset = "as the profile" if title == "`aws.settings`" else "none set"
    rows = [
        f"| `{name}` | {_values(field)} | {_default(name, field, unset)} | {field['description']} "
        f"| {_examples(field)} |"
        for name, field in settings.items()
    ]
    head = "| setting | values | default | meaning | examples |\n| --- | --- | --- | --- | --- |\n"
    return f"## {title}\n\n{text}\n\n{head}" + "\n".join(rows) + "\n"


def _values(field: dict[str, Any]) -> str:
    if "anyOf" in field:
        return " or ".join(_values(option) for option in field["anyOf"] if option != _NULL)
    if "enum" in field or "const" in field:
        return ", ".join(f"`{value}`" for value in field.get("enum", [field.get("const")]))
    if field["type"] == "integer":
        return f"{field['minimum']} to {field['maximum']}"
    return _TYPES[field.get("format", field["type"])]


_NULL = {"type": "null"}
_TYPES = {
    "string": "text",
    "boolean": "`true`, `false`",
    "array": "list of texts",
    "object": "texts by key",
    "date": "date",
}


def _default(name: str, field: dict[str, Any], unset: str) -> str:
    value = field.get("default")
    if name == "name":
        return "from the folder"
    if name in ("engine", "auth"):
        return "follows `target`"
    return unset if value in (None, []) else f"`{value}`"


def _examples(field: dict[str, Any]) -> str:
    return ", ".join(f"`{_yaml(value)}`" for value in field["examples"])


def _yaml(value: object) -> str:
    """A value as one writes it in YAML; JSON is YAML too."""
    return value if isinstance(value, str) and not value.isdigit() else json.dumps(value)
