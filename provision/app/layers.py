"""Walking through the layers of a check: each rests on the ones before it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from provision.model import diagnosis
from provision.model.checks import found, not_reached, passed
from provision.model.problem import Layer
from provision.model.report import Finding, Outcome
from provision.model.tracking import TrackingError


class ProblemError(Exception):
    """A layer's own verdict that it has the problem `id`."""

    def __init__(self, problem_id: str, observed: str, **facts: str) -> None:
        super().__init__(problem_id)
        self.id = problem_id
        self.observed = observed
        self.facts = facts


@dataclass
class Walk:
    """Goes from layer to layer, and past those behind a broken one."""

    facts: Mapping[str, str]
    clock: Callable[[], float]
    on_layer: Callable[[Finding], None]
    findings: list[Finding] = field(default_factory=list)
    broken: bool = False

    def visit(self, layer: Layer, step: Callable[[], str]) -> None:
        """Look at `layer`, unless an earlier one failed."""
        if self.broken:
            self.note(not_reached(layer))
        else:
            self.finish(layer, step)

    def finish(self, layer: Layer, step: Callable[[], str]) -> None:
        """Look at `layer` in any case."""
        start = self.clock()
        finding = self._judge(layer, step)
        self.note(replace(finding, milliseconds=(self.clock() - start) * 1000))

    def note(self, finding: Finding) -> None:
        """Add a finding to the report."""
        self.findings.append(finding)
        self.broken = self.broken or finding.outcome is Outcome.FAILED
        self.on_layer(finding)

    def _judge(self, layer: Layer, step: Callable[[], str]) -> Finding:
        try:
            return passed(layer, step())
        except ProblemError as verdict:
            return found(layer, verdict.id, verdict.observed, {**self.facts, **verdict.facts})
        except TrackingError as error:
            return found(layer, diagnosis.of_error(layer.name, error), error.message, self.facts)
