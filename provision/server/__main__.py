"""`python -m provision.server SETTINGS.json`: start MLflow's server and stay its master process."""

from __future__ import annotations

import logging
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NoReturn

from provision.server import environment, sqlite_file
from provision.server.boot_report import BootReport
from provision.server.failures import BootError, first_line
from provision.server.settings import ServerSettings

_log = logging.getLogger("provision.server")


def main(arguments: list[str]) -> NoReturn:
    """Run the server until it is told to stop.

    Exit codes: 0 stopped; 75 something may come back (the supervisor tries again); 78 somebody
    has to act first; 2 bad usage; others from gunicorn.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    if len(arguments) != 1:
        _say("usage: python -m provision.server SETTINGS.json")
        sys.exit(2)
    os.umask(0o077)
    try:
        _run(ServerSettings.load(Path(arguments[0])))
    except BootError as error:
        _say(f"{error.code}: {error.message}\n  next: {error.next_step}")
        sys.exit(error.exit_code)
    sys.exit(0)


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")


def _run(settings: ServerSettings) -> None:
    report = BootReport(Path(settings.boot_report))
    environment.apply(settings)
    try:
        listener = _import(settings, report)
        with environment.admin_password(settings.auth):
            _database(settings, report)
            _auth(settings, report)
        _serve(settings, report, listener)
    except BootError:
        raise
    except Exception as error:
        _log.exception("the server could not start")
        failure = _unexpected(error)
        report.fail(failure)
        raise failure from error


def _unexpected(error: Exception) -> BootError:
    return BootError(
        "start-failed",
        f"the server could not start: {first_line(error)}",
        next_step="look at `provision logs`",
    )


def _import(settings: ServerSettings, report: BootReport) -> socket.socket:
    with report.phase("import"):
        # gunicorn and uvicorn are imported first: MLflow looks for them to know that it serves.
        from provision.server import serving  # noqa: PLC0415

        listener = serving.listen(settings.host, settings.port)
        import mlflow.server.fastapi_app  # noqa: F401, PLC0415
    return listener


def _database(settings: ServerSettings, report: BootReport) -> None:
    from provision.server import database  # noqa: PLC0415

    with report.phase("database"):
        database.prepare(settings)


def _auth(settings: ServerSettings, report: BootReport) -> None:
    from provision.server import application  # noqa: PLC0415

    with report.phase("auth"):
        if settings.auth:
            application.create_admin()


def _serve(settings: ServerSettings, report: BootReport, listener: socket.socket) -> None:
    from provision.server import application, jobs, serving  # noqa: PLC0415
    from provision.server.lifeline import Lifeline  # noqa: PLC0415

    report.begin("serve")
    lifeline = Lifeline()
    with ExitStack() as after:
        if settings.is_sqlite:
            # After the last worker: what is left is one whole file, which can be copied as it is.
            after.callback(sqlite_file.settle, sqlite_file.path_of(settings.database_url))
        if settings.job_runner:
            after.callback(jobs.clean, jobs.prepare())
            if settings.auth:
                application.share_internal_token()
        asgi = application.build(settings, report.ready)
        if settings.job_runner:
            jobs.start(settings, lifeline, listener)
        after.enter_context(_reported(report))
        serving.Master(asgi, listener, settings, lifeline).run()


@contextmanager
def _reported(report: BootReport) -> Iterator[None]:
    # gunicorn leaves with SystemExit; a code other than 0 before any worker had started means
    # that the workers cannot start at all.
    try:
        yield
    except SystemExit as stopped:
        if stopped.code in (0, None) or report.was_ready():
            raise
        failure = _unexpected(RuntimeError(f"its workers end at once (code {stopped.code})"))
        report.fail(failure)
        raise failure from stopped


if __name__ == "__main__":
    main(sys.argv[1:])
