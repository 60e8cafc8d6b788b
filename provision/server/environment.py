"""The variables MLflow reads at import, set for this process only and before MLflow is imported."""

from __future__ import annotations

import configparser
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from provision.server.failures import BootError
from provision.server.settings import AuthSettings, ServerSettings

ARTIFACT_ROOT = "mlflow-artifacts:/"
"""What clients see as the place of artifacts: this server, never a path or a bucket."""

AUTH_CACHE_SECONDS = 60
"""How long a verified password is remembered, and so how long a removed user may still get in."""

_ADMIN_PASSWORD = "MLFLOW_AUTH_ADMIN_PASSWORD"  # noqa: S105  (the variable's name)

# Whatever the caller's shell exported about some other server must not steer this one; above all
# MLFLOW_SERVER_DISABLE_SECURITY_MIDDLEWARE.
_FOREIGN_PREFIXES = (
    "_MLFLOW_",
    "MLFLOW_SERVER_",
    "MLFLOW_AUTH_",
    "MLFLOW_TRACKING_",
    "MLFLOW_REGISTRY_",
    "MLFLOW_SQLALCHEMYSTORE_",
    "MLFLOW_FLASK_",
    "MLFLOW_BACKEND_",
    "MLFLOW_ENABLE_WORKSPACES",
)


def variables(settings: ServerSettings) -> dict[str, str]:
    """MLflow's own variables for these settings.

    The names with an underscore are those which `mlflow server` passes to its workers
    (`mlflow/server/__init__.py`, `_run_server`); a test compares them with MLflow's constants.
    """
    chosen = {
        "_MLFLOW_SERVER_FILE_STORE": settings.database_url,
        "_MLFLOW_SERVER_REGISTRY_STORE": settings.database_url,
        "_MLFLOW_SERVER_ARTIFACT_ROOT": ARTIFACT_ROOT,
        "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
        "_MLFLOW_SERVER_ARTIFACT_DESTINATION": settings.artifacts_destination,
        "_MLFLOW_SERVER_BOOT_ID": uuid.uuid4().hex,
        "_MLFLOW_IN_JOB_EXECUTOR": "false",
        "_MLFLOW_SGI_NAME": "uvicorn",
        "MLFLOW_ENABLE_WORKSPACES": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": str(settings.job_runner).lower(),
        "MLFLOW_SQLALCHEMYSTORE_POOL_SIZE": str(settings.pool_size),
        "MLFLOW_SQLALCHEMYSTORE_MAX_OVERFLOW": str(settings.max_overflow),
    }
    return chosen | _access_variables(settings)


def _access_variables(settings: ServerSettings) -> dict[str, str]:
    chosen = {}
    if settings.allowed_hosts:
        chosen["MLFLOW_SERVER_ALLOWED_HOSTS"] = ",".join(settings.allowed_hosts)
    if settings.allowed_origins:
        chosen["MLFLOW_SERVER_CORS_ALLOWED_ORIGINS"] = ",".join(settings.allowed_origins)
    if settings.auth:
        chosen["MLFLOW_AUTH_CONFIG_PATH"] = settings.auth.config_file
    return chosen


def apply(settings: ServerSettings) -> None:
    """Set the variables in this process, after dropping those that belong to other servers."""
    for name in [name for name in os.environ if name.startswith(_FOREIGN_PREFIXES)]:
        del os.environ[name]
    os.environ.update(variables(settings))
    if settings.gateway_passphrase_file:
        # Without one, MLflow encrypts the gateway's API keys with a passphrase from its source
        # (mlflow/utils/crypto.py, DEFAULT_KEK_PASSPHRASE).
        passphrase = secret(settings.gateway_passphrase_file)
        os.environ["MLFLOW_CRYPTO_KEK_PASSPHRASE"] = passphrase


def write_auth_config(auth: AuthSettings) -> None:
    """Write MLflow's auth ini with mode 0600. It names no password: that stays in its own file."""
    config = configparser.ConfigParser(interpolation=None)
    config["mlflow"] = {
        "default_permission": auth.default_permission,
        # MLflow reads the file with interpolation on, where a lone % is an error.
        "database_uri": auth.database_url.replace("%", "%%"),
        "admin_username": auth.admin_username.replace("%", "%%"),
        "authorization_function": "mlflow.server.auth:authenticate_request_basic_auth",
        "auth_cache_ttl_seconds": str(AUTH_CACHE_SECONDS),
    }
    path = Path(auth.config_file)
    path.unlink(missing_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        config.write(stream)


@contextmanager
def admin_password(auth: AuthSettings | None) -> Iterator[None]:
    """Where MLflow may read the first admin's password: in this process, while the body runs.

    No program that is started later inherits it.
    """
    if auth is None:
        yield
        return
    write_auth_config(auth)
    os.environ[_ADMIN_PASSWORD] = secret(auth.admin_password_file)
    try:
        yield
    finally:
        del os.environ[_ADMIN_PASSWORD]


def secret(path: str) -> str:
    """The secret in a file; raises BootError `auth-failed` where there is none."""
    try:
        value = Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise auth_failed(str(error)) from error
    if not value:
        raise auth_failed(f"{path} is empty")
    return value


def auth_failed(reason: str) -> BootError:
    """The error for accounts that cannot be set up."""
    return BootError(
        "auth-failed",
        f"basic auth cannot be set up: {reason}",
        next_step="put the secret back into its file (at least 12 characters for the admin's "
        "password); then `provision up`",
    )
