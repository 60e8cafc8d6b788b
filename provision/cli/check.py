"""`check`: try everything that a client does, here or at a user's own machine."""

from __future__ import annotations

from argparse import Namespace

from provision import wiring_check
from provision.cli import texts
from provision.cli.client import endpoint_of
from provision.cli.context import open_stack
from provision.errors import UsageError
from provision.model.report import Finding, Report
from provision.model.units import parse_size, suggested_size
from provision.settings import read_settings
from provision.ui import Ui


def check(arguments: Namespace, ui: Ui) -> int:
    """Try everything that a client does; exit code 6 when a layer is broken."""
    if arguments.print_script:
        ui.line(wiring_check.script_for_clients().rstrip("\n"))
        return 0
    report = _of_this_machine(arguments, ui) if arguments.client else _of_the_stack(arguments, ui)
    document = {"passed": report.passed, "uri": report.uri, "findings": report.findings}
    ui.result("check", document, texts.check_summary(report, ui.paint))
    return 0 if report.passed else 6


def _of_the_stack(arguments: Namespace, ui: Ui) -> Report:
    stack = open_stack(arguments)

    def look() -> Report:
        return wiring_check.check(
            stack,
            endpoint_of(stack, arguments),
            lambda finding: _show(finding, ui),
            timeout=arguments.timeout,
            large=_bytes(arguments.size) if arguments.size else 0,
        )

    report = look()
    if arguments.fix and wiring_check.mend(stack, report, ui):
        ui.note("that was mended by provision up; looking again")
        return look()
    return report


def _of_this_machine(arguments: Namespace, ui: Ui) -> Report:
    settings = read_settings(arguments.file, arguments.state_dir)
    report = wiring_check.check_client(settings, arguments.timeout)
    for finding in report.findings:
        _show(finding, ui)
    return report


def _show(finding: Finding, ui: Ui) -> None:
    if not ui.as_json:
        ui.line(texts.check_line(finding, ui.paint))


def _bytes(text: str) -> int:
    try:
        return parse_size(text)
    except ValueError:
        raise UsageError(
            f"{text} is not a size", next_step=f"--size {suggested_size(text) or '1GiB'}"
        ) from None
