"""`python -m provision.server.prepare SETTINGS.json`: the database made ready, and nothing served.

The host's bootstrap runs it as root before the server's first start: the server's own user cannot
write bytecode next to the code, so what a start needs is imported here once.
"""

from __future__ import annotations

import logging
import os
import sys
from importlib import import_module
from pathlib import Path
from typing import NoReturn

from provision.server import environment
from provision.server.boot_report import BootReport
from provision.server.failures import BootError
from provision.server.settings import ServerSettings


def main(arguments: list[str]) -> NoReturn:
    """Prepare the database; exit codes as `python -m provision.server`, details in its report."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    os.umask(0o022)
    settings = ServerSettings.load(Path(arguments[0]))
    report = BootReport(Path(settings.boot_report))
    try:
        _prepare(settings, report)
    except BootError as error:
        sys.stderr.write(f"{error.code}: {error.message}\n  next: {error.next_step}\n")
        sys.exit(error.exit_code)
    report.ready()
    sys.exit(0)


def _prepare(settings: ServerSettings, report: BootReport) -> None:
    environment.apply(settings)
    if settings.auth:
        # MLflow reads it as soon as anything of its auth application is imported.
        environment.write_auth_config(settings.auth)
    with report.phase("import"):
        _import()
    from provision.server import database  # noqa: PLC0415

    with report.phase("database"):
        database.prepare(settings)
    report.begin("bytecode")
    if settings.auth:
        import_module("mlflow.server.auth")
    import_module("boto3")


def _import() -> None:
    # gunicorn and uvicorn are imported first: MLflow looks for them to know that it serves.
    for name in ("provision.server.serving", "mlflow.server.fastapi_app"):
        import_module(name)
    import_module("provision.server.application")


if __name__ == "__main__":
    main(sys.argv[1:])
