"""A database that is away, told to clients in MLflow's own form instead of Flask's page.

MLflow's handlers do that themselves; what is asked before them, whether the account is an admin's,
does not, and a client saw the HTML of `500 Internal Server Error`.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any, Final

from flask import Response
from sqlalchemy.exc import InterfaceError, OperationalError, SQLAlchemyError, TimeoutError

from provision.server.failures import first_line

if TYPE_CHECKING:
    from flask import Flask

_LOG: Final = logging.getLogger("provision.server")
# Where the database is, is not for whoever has not signed in yet; the log has it.
_WHERE: Final = re.compile(r' at "[^"]*"( \([^)]*\))?, port \d+')


def install(app: Flask) -> None:
    """From now on, in MLflow's Flask application; before the first request."""
    for kind in (OperationalError, InterfaceError, TimeoutError):
        app.register_error_handler(kind, _told)


def _told(error: SQLAlchemyError) -> Response:
    from mlflow.exceptions import MlflowException  # noqa: PLC0415
    from mlflow.protos.databricks_pb2 import TEMPORARILY_UNAVAILABLE  # noqa: PLC0415

    words = first_line(error)
    _LOG.error("the server does not reach its database: %s", words)
    told: Any = MlflowException(
        f"the server does not reach its database: {_WHERE.sub('', words)}", TEMPORARILY_UNAVAILABLE
    )
    body, status = told.serialize_as_json(), told.get_http_status_code()
    return Response(body, status, mimetype="application/json")
