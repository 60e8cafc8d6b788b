"""What a client has to set to use an endpoint, written for each shell and kind of file."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final
from urllib.parse import quote, unquote

from provision.errors import UsageError
from provision.model.endpoint import Endpoint
from provision.model.secrets import Secret

_USERNAME: Final = "MLFLOW_TRACKING_USERNAME"
_PASSWORD: Final = "MLFLOW_TRACKING_PASSWORD"  # noqa: S105 - a variable's name
_SQLITE: Final = "sqlite:///"
# Characters that no reader of .env files gives a meaning.
_PLAIN: Final = re.compile(r"[A-Za-z0-9_./:@%+,=-]+")
# PowerShell takes these typographic quotes for ' (its tokenizer's IsSingleQuote).
_POWERSHELL_QUOTES: Final = re.compile("(['\u2018\u2019\u201a\u201b])")

# What a former stack may have left behind and what would then win over, or mix with, this one:
_FOREIGN: Final = (
    "MLFLOW_TRACKING_TOKEN",  # a former server's token would be sent to this one
    "MLFLOW_TRACKING_AUTH",  # replaces basic auth by a plugin's
    "MLFLOW_TRACKING_AWS_SIGV4",  # overwrites the Authorization header
    "MLFLOW_TRACKING_INSECURE_TLS",  # no certificate checks; with a CA file MLflow refuses to start
    "MLFLOW_TRACKING_CLIENT_CERT_PATH",  # a former server's client certificate
    "MLFLOW_REGISTRY_URI",  # models would go to the former server, runs to this one
    "MLFLOW_WORKSPACE",  # a server without workspaces refuses requests that name one
    "MLFLOW_EXPERIMENT_ID",  # ids are small numbers: it names another experiment here
    "MLFLOW_RUN_ID",
)
# What this module sets for some endpoints and has to take back for the others.
_OWN: Final = (
    _USERNAME,
    _PASSWORD,
    "MLFLOW_TRACKING_SERVER_CERT_PATH",
    "MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD",
    "MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD",
    "_MLFLOW_SERVER_ARTIFACT_ROOT",
)


@dataclass(frozen=True)
class FileContent:
    """A value that a shell reads from a file when the line runs, so that no output holds it."""

    path: Path


@dataclass(frozen=True)
class BesideScript:
    """A file beside the script that sets the variable, wherever somebody puts that folder."""

    name: str


Value = str | FileContent
Variables = Mapping[str, Value | BesideScript]


def client_variables(endpoint: Endpoint) -> dict[str, Value]:
    """The environment variables of a client, in the order in which they are shown."""
    values: dict[str, Value] = {"MLFLOW_TRACKING_URI": endpoint.uri}
    if endpoint.credentials is not None:
        values[_USERNAME] = endpoint.credentials.username
        values[_PASSWORD] = FileContent(endpoint.credentials.password_file)
    if endpoint.ca_file is not None:
        values["MLFLOW_TRACKING_SERVER_CERT_PATH"] = str(endpoint.ca_file)
    if endpoint.has_server:
        # Unless told otherwise, clients fetch large files by presigned URL straight from the
        # artifact store, and without a route to it retry for over nine minutes.
        direct = "true" if endpoint.direct else "false"
        values["MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD"] = direct
        values["MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD"] = direct
    elif endpoint.artifact_root is not None:
        # MLflow's client takes it as the default artifact root of a database store
        # (mlflow/tracking/_tracking_service/utils.py, _get_sqlalchemy_store); without it artifacts
        # go to ./mlruns of whatever folder the client was started in.
        values["_MLFLOW_SERVER_ARTIFACT_ROOT"] = _artifact_location(endpoint.artifact_root)
    return values


def _artifact_location(folder: Path) -> str:
    """MLflow percent-decodes a bare path too when it writes, and so would miss a real `%41`."""
    return folder.as_uri() if "%" in str(folder) else str(folder)


def stale_variables(endpoint: Endpoint) -> tuple[str, ...]:
    """The variables that must not be set for this endpoint, because a client would obey them."""
    wanted = client_variables(endpoint)
    return tuple(name for name in (*_OWN, *_FOREIGN) if name not in wanted)


def sqlite_uri(file: Path) -> str:
    """The tracking URI of a database file with an absolute path; SQLAlchemy percent-decodes it."""
    return _SQLITE + quote(str(file), safe="/ ")


def sqlite_file(uri: str) -> Path:
    """The database file of a `sqlite:///` tracking URI.

    Raises UsageError for any other URI.
    """
    if not uri.startswith(_SQLITE):
        raise UsageError(
            f"{uri}: neither an http(s) nor a sqlite:/// tracking URI",
            next_step="give the tracking URI as `provision status` prints it",
        )
    return Path(unquote(uri.removeprefix(_SQLITE).partition("?")[0]))


def shell_from(path: str) -> str:
    """The style for a login shell's path (the value of $SHELL): "bash" where there is none."""
    name = PurePosixPath(path.replace("\\", "/")).name.lower().removesuffix(".exe")
    known = {"": "bash", "sh": "bash", "dash": "bash", "ash": "bash", "ksh": "bash"}
    known |= {"pwsh": "powershell", "powershell": "powershell"}
    style = known.get(name, name)
    if style not in ("bash", "zsh", "fish", "powershell"):
        raise UsageError(
            f"{path}: no lines can be written for this shell",
            next_step="name another with --format: bash, zsh, fish or powershell",
        )
    return style


def _render_posix(values: Variables, stale: Sequence[str]) -> str:
    """For bash, zsh, dash and ksh; without comments, which an interactive zsh runs as commands."""
    lines = [f"unset {' '.join(stale)}"] if stale else []
    for name, value in values.items():
        if isinstance(value, FileContent):
            lines.append(f'export {name}="$(cat {quote_posix(str(value.path))})"')
        elif isinstance(value, BesideScript):
            # The path of a sourced script, in bash and in zsh; neither looks at the other's part.
            here = '$(cd "$(dirname "${BASH_SOURCE[0]:-${(%):-%x}}")" && pwd)'
            lines.append(f'export {name}="{here}"/{quote_posix(value.name)}')
        else:
            lines.append(f"export {name}={quote_posix(value)}")
    return _lines(lines)


def _render_fish(values: Variables, stale: Sequence[str]) -> str:
    lines = [f"set -e {' '.join(stale)}"] if stale else []
    for name, value in values.items():
        if isinstance(value, FileContent):
            lines.append(f"set -gx {name} (cat {quote_fish(str(value.path))} | string collect)")
        elif isinstance(value, BesideScript):
            lines.append(f"set -gx {name} (realpath (status dirname))/{quote_fish(value.name)}")
        else:
            lines.append(f"set -gx {name} {quote_fish(value)}")
    return _lines(lines)


def _render_powershell(values: Variables, stale: Sequence[str]) -> str:
    lines = [f"Remove-Item -ErrorAction SilentlyContinue Env:{name}" for name in stale]
    for name, value in values.items():
        if isinstance(value, FileContent):
            path = quote_powershell(str(value.path))
            lines.append(f"$env:{name} = (Get-Content -Raw -LiteralPath {path}).Trim()")
        elif isinstance(value, BesideScript):
            lines.append(f"$env:{name} = Join-Path $PSScriptRoot {quote_powershell(value.name)}")
        else:
            lines.append(f"$env:{name} = {quote_powershell(value)}")
    return _lines(lines)


def quote_posix(text: str) -> str:
    """`text` as one word of a POSIX shell."""
    return "'" + text.replace("'", "'\\''") + "'"


def quote_fish(text: str) -> str:
    """`text` as one word of fish, where a backslash escapes itself and ' inside single quotes."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def quote_powershell(text: str) -> str:
    """`text` as a literal string of PowerShell, where a doubled quote stands for itself."""
    return "'" + _POWERSHELL_QUOTES.sub(r"\1\1", text) + "'"


SHELLS: Final[Mapping[str, Callable[[Variables, Sequence[str]], str]]] = {
    "bash": _render_posix,
    "zsh": _render_posix,
    "fish": _render_fish,
    "powershell": _render_powershell,
}


def render_shell(endpoint: Endpoint, shell: str) -> str:
    """The lines to paste into, or evaluate in, one of SHELLS."""
    return SHELLS[shell](client_variables(endpoint), stale_variables(endpoint))


def render_dotenv(endpoint: Endpoint, password: Secret | None = None) -> str:
    """A .env file; without `password` it says in a comment where that is.

    Raises UsageError for a value that .env files cannot hold.
    """
    lines = []
    for name, value in client_variables(endpoint).items():
        if not isinstance(value, FileContent):
            lines.append(f"{name}={quote_dotenv(name, value)}")
        elif password is not None:
            lines.append(f"{name}={quote_dotenv(name, password.reveal())}")
        else:
            lines.append(f"# {name} is left out; it is in the file {value.path}")
    return _lines(lines)


def quote_dotenv(name: str, value: str) -> str:
    """A value for a .env file; raises UsageError for one that it cannot hold.

    Readers differ: python-dotenv expands ${...} even in quotes, a shell no escape in them.
    """
    if _PLAIN.fullmatch(value):
        return value
    if "\n" in value or "\r" in value or "${" in value:
        raise UsageError(
            f"{name}: a .env file cannot hold a line break or ${{ in a value",
            next_step="use `provision env --format bash`, or a path without it",
        )
    if "'" not in value and "\\" not in value:
        return f"'{value}'"
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def render_json(endpoint: Endpoint, password: Secret | None = None) -> str:
    """An object with `variables`, `unset`, and `password_file`, null without credentials."""
    given: dict[str, str] = {}
    for name, value in client_variables(endpoint).items():
        if isinstance(value, str):
            given[name] = value
        elif password is not None:
            given[name] = password.reveal()
    account = endpoint.credentials
    document = {
        "variables": given,
        "unset": list(stale_variables(endpoint)),
        "password_file": str(account.password_file) if account else None,
        "password_included": _PASSWORD in given,
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def render_requirements(endpoint: Endpoint) -> str:
    """A requirements.txt with the server's MLflow."""
    return f"mlflow=={endpoint.mlflow_version}\n"


def render_conda(endpoint: Endpoint) -> str:
    """An environment.yml with the server's MLflow and the variables that hold no secret."""
    # JSON strings are YAML strings, whatever they contain.
    lines = [
        f"name: {json.dumps(endpoint.name)}",
        "channels:",
        "  - conda-forge",
        "dependencies:",
        "  - python=3.11",
        "  - pip",
        "  - pip:",
        f"      - mlflow=={endpoint.mlflow_version}",
        "variables:",
    ]
    values = client_variables(endpoint).items()
    lines += [f"  {name}: {json.dumps(value)}" for name, value in values if isinstance(value, str)]
    return _lines(lines)


def _lines(lines: Sequence[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
