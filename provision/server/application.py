"""MLflow's application as it is served here: its stores, its auth, the status route, the front."""

from __future__ import annotations

import gc
import os
import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine

from provision.server import (
    accounts_route,
    check_route,
    database_refusals,
    environment,
    postgres_dialect,
    proxied_artifacts,
    status_route,
    store_refusals,
    streamed_downloads,
)
from provision.server.failures import BootError, first_line
from provision.server.front import Direct, Front, direct_paths, with_cors
from provision.server.settings import ServerSettings

if TYPE_CHECKING:
    from starlette.types import ASGIApp

_SECRET_KEY = "MLFLOW_FLASK_SERVER_SECRET_KEY"  # noqa: S105  (the variable's name)


def create_admin() -> None:
    """Load MLflow's auth application and create the first admin, if there is none yet.

    MLflow reads the password when its auth application is imported: call this within
    `environment.admin_password`. Raises BootError `auth-failed`.
    """
    try:
        from mlflow.exceptions import MlflowException  # noqa: PLC0415
        from mlflow.server.auth import bootstrap_admin_user  # noqa: PLC0415

        bootstrap_admin_user()
    except MlflowException as error:
        raise environment.auth_failed(first_line(error)) from error
    os.environ["_MLFLOW_AUTH_ADMIN_BOOTSTRAPPED"] = "true"


def build(settings: ServerSettings, on_started: Callable[[], None]) -> ASGIApp:
    """The whole application; `on_started` is called in each worker once it has started.

    MLflow's Flask application was created at import, when `mlflow.server` saw that it runs as a
    server and put its host and origin checks in place; without them nothing is served.
    """
    from mlflow import server as mlflow_server  # noqa: PLC0415

    if not mlflow_server.is_running_as_server:
        raise BootError(
            "checks-missing",
            "MLflow was imported before its settings, so its host check is off",
            next_step="start the server as `python -m provision.server SETTINGS.json`",
        )
    _open_stores(settings)
    if not settings.direct_artifacts:
        proxied_artifacts.install()
    status_route.add(mlflow_server.app, settings)
    database_refusals.install(mlflow_server.app)
    check_route.add(mlflow_server.app, auth=settings.auth is not None)
    if settings.auth:
        accounts_route.add(mlflow_server.app)
    full = _full_application(settings)
    if settings.artifacts_destination.startswith("s3:"):
        store_refusals.install()
        streamed_downloads.install(full)
    direct = with_cors(full, Direct(mlflow_server.app.wsgi_app, settings.threads))
    paths = direct_paths(mlflow_server.app, full, auth=settings.auth is not None)
    front = Front(full, direct, paths, on_started)
    close_connections()
    return front


def _open_stores(settings: ServerSettings) -> None:
    from mlflow.server import handlers  # noqa: PLC0415

    from provision.server import metric_store, sqlite_sessions  # noqa: PLC0415

    if settings.is_sqlite:
        sqlite_sessions.Turns().install()
    else:
        postgres_dialect.install()
    metric_store.install()
    url = settings.database_url
    handlers.initialize_backend_stores(url, url, environment.ARTIFACT_ROOT)
    if settings.is_sqlite:
        sqlite_sessions.set_once(handlers._get_tracking_store())
        sqlite_sessions.set_once(handlers._get_model_registry_store())


def _full_application(settings: ServerSettings) -> Any:
    if settings.auth is None:
        from mlflow.server.fastapi_app import app  # noqa: PLC0415

        return app
    from mlflow.server import auth  # noqa: PLC0415

    os.environ[_SECRET_KEY] = environment.secret(settings.auth.secret_key_file)
    try:
        application = auth.create_app()
    finally:
        del os.environ[_SECRET_KEY]
    from provision.server import sqlite_sessions, user_lookup  # noqa: PLC0415

    if settings.is_sqlite:
        sqlite_sessions.set_once(auth.store)
    user_lookup.shorten(auth.store)
    accounts_route.keep_guests_out(auth)
    return application


def share_internal_token() -> None:
    """Let MLflow's job processes call the gateway when auth is on (as `mlflow server` does)."""
    os.environ["_MLFLOW_INTERNAL_GATEWAY_AUTH_TOKEN"] = secrets.token_hex(32)


def close_connections() -> None:
    """Close every pooled database connection, so that no two processes share one after a fork."""
    for engine in [found for found in gc.get_objects() if isinstance(found, Engine)]:
        engine.dispose()
