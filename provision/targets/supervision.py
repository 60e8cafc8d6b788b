"""The supervisor's configuration for a stack: a database first, if it has one, then the server.

The text holds no path and no name of the user's: the supervisor runs in the stack's folder and
reads the programs from its environment, so that no folder name can break its syntax.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

EXIT_FINAL = 78
"""The server program's exit code for a failure that a restart cannot mend (EX_CONFIG)."""
DATABASE_STOP_SECONDS = 60
SERVER_STOP_SECONDS = 20
STOP_PATIENCE_SECONDS = DATABASE_STOP_SECONDS + SERVER_STOP_SECONDS + 5

_SUPERVISOR = """\
; Written by `provision up` at every start.
[supervisord]
nodaemon = true
silent = true
logfile = logs/supervisor.log
logfile_maxbytes = 2MB
logfile_backups = 2
pidfile = run/supervisor.pid
umask = 077
{user}
"""

# startsecs = 0: an exit with EXIT_FINAL counts as final however early it comes (with a positive
# value the supervisor treats every early exit as a failed start and tries again).
_SERVER = f"""
[program:server]
command = %(ENV_PROVISION_PYTHON)s -m provision.server run/server.json
priority = 20
startsecs = 0
autorestart = unexpected
exitcodes = {EXIT_FINAL}
stopsignal = TERM
stopwaitsecs = {SERVER_STOP_SECONDS}
killasgroup = true
redirect_stderr = true
stdout_logfile = logs/server.log
stdout_logfile_maxbytes = 10MB
stdout_logfile_backups = 3
"""

# SIGINT is PostgreSQL's fast shutdown: clients are cut off, the data is written out.
_DATABASE = f"""
[program:database]
command = %(ENV_PROVISION_POSTGRES)s -D data/postgres
priority = 10
startsecs = 1
startretries = 1000000
autorestart = true
stopsignal = INT
stopwaitsecs = {DATABASE_STOP_SECONDS}
redirect_stderr = true
stdout_logfile = logs/database.log
stdout_logfile_maxbytes = 10MB
stdout_logfile_backups = 3
{{user}}
"""


def supervisor_config(*, as_root: bool, database: bool, database_user: str | None) -> str:
    """The configuration file's text."""
    text = _SUPERVISOR.format(user="user = root" if as_root else "")
    if database:
        user = f"user = {database_user}" if database_user else ""
        text += _DATABASE.format(user=user)
    return text + _SERVER


_MODEL = f"""\
; Written by `provision serve` at every start.
[supervisord]
nodaemon = true
silent = true
logfile = models/{{slug}}/supervisor.log
logfile_maxbytes = 2MB
logfile_backups = 2
pidfile = models/{{slug}}/run/supervisor.pid
umask = 077
{{user}}

[program:model]
command = %(ENV_PROVISION_PYTHON)s -m provision.serving models/{{slug}}
startsecs = 0
autorestart = unexpected
exitcodes = {EXIT_FINAL}
stopsignal = TERM
stopwaitsecs = {SERVER_STOP_SECONDS}
killasgroup = true
redirect_stderr = true
stdout_logfile = logs/model-{{slug}}.log
stdout_logfile_maxbytes = 10MB
stdout_logfile_backups = 3
"""


def model_config(slug: str, *, as_root: bool) -> str:
    """The configuration of a model's own supervisor; `slug` holds no character of its syntax."""
    return _MODEL.format(slug=slug, user="user = root" if as_root else "")


def program_variables(python: str, postgres: Path | None) -> Mapping[str, str]:
    """The programs, quoted for the supervisor's word splitting."""
    variables = {"PROVISION_PYTHON": shlex.quote(python)}
    if postgres is not None:
        variables["PROVISION_POSTGRES"] = shlex.quote(str(postgres))
    return variables
