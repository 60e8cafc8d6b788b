"""The one-file check of a client, filled in: what findings mean, and for which server it is."""

from __future__ import annotations

import pprint
from collections.abc import Iterable, Mapping
from typing import Final

from provision.model.checks import found, passed
from provision.model.findings import CLIENT_LAYERS, PROBLEMS
from provision.model.report import Finding, Report

SCRIPT: Final = "check_client.py"
_TEXTS: Final = "TEXTS: Dict[str, List[str]] = {}"
_HANDED_OUT: Final = "HANDED_OUT: Dict[str, str] = {}"
_LAYERS: Final = {layer.name: layer for layer in CLIENT_LAYERS}


def filled(source: str, uri: str = "") -> str:
    """The program's text with the table's texts in it, and the tracking URI that it is for."""
    texts = {
        problem.id: [problem.outcome.value, problem.cause, problem.next_step]
        for problem in PROBLEMS.values()
        if problem.layer in _LAYERS
    }
    table = pprint.pformat(texts, width=98, sort_dicts=False)
    handed_out = {"uri": uri} if uri else {}
    made = source.replace(_TEXTS, f"{_TEXTS[:-2]}{table}")
    return made.replace(_HANDED_OUT, f"{_HANDED_OUT[:-2]}{handed_out!r}")


def report(uri: str, seen: Iterable[tuple[str, str, Mapping[str, str]]]) -> Report:
    """What the program saw (id, observed, facts), as a report."""
    return Report(uri, [finding(*one) for one in seen])


def finding(found_id: str, observed: str, facts: Mapping[str, str]) -> Finding:
    """One thing that the program saw, with the table's texts."""
    layer = _LAYERS[found_id.partition(".")[0]]
    if "." not in found_id:
        return passed(layer, observed)
    return found(layer, found_id, observed, {"ca_file": "", "wanted": "", **facts})
