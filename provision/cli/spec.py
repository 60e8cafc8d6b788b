"""`init`, `validate` and `schema`: the commands about the spec itself."""

from __future__ import annotations

import json
from argparse import Namespace

from provision import wiring
from provision.app import specs
from provision.settings import read_settings
from provision.ui import Ui

_FIELDS = ("rung", "name", "port", "auth", "region", "until")


def init(arguments: Namespace, ui: Ui) -> int:
    """Write a commented spec; what no flag answers is asked where there is somebody to ask."""
    settings = read_settings(arguments.file, arguments.state_dir)
    given = {key: getattr(arguments, key) for key in _FIELDS if getattr(arguments, key) is not None}
    replies = _ask(given, ui) if ui.interactive and "rung" not in given else given
    text = specs.init_text(specs.answers_from(replies))
    result = specs.write_init(settings.spec_file, text, arguments.force)
    ui.result("init", result, f"wrote {result.file}; next: provision validate, provision up")
    return 0


def _ask(given: dict[str, str], ui: Ui) -> dict[str, str]:
    replies = dict(given)
    first = specs.QUESTIONS[0]
    ui.note(first.help)
    replies["rung"] = ui.ask(first.text, first.choices, first.default)
    for question in specs.questions_for(replies["rung"]):
        if question.id not in replies:
            ui.note(question.help)
            replies[question.id] = ui.ask(question.text, question.choices, question.default)
    return replies


def validate(arguments: Namespace, ui: Ui) -> int:
    """Say that the spec is right, or list every problem with its line."""
    settings = read_settings(arguments.file, arguments.state_dir)
    result = wiring.validate_spec(settings)
    lines = [f"{result.file} is valid", *(f"  {line}" for line in result.summary)]
    lines += [ui.paint("warn", f"  warning: {warning}") for warning in result.warnings]
    ui.result("validate", result, "\n".join(lines))
    return 0


def schema(_: Namespace, ui: Ui) -> int:
    """Print the JSON Schema of the spec."""
    ui.line(json.dumps(specs.schema(), indent=2))
    return 0
