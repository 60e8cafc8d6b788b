"""The one line that points a shell at a server."""

from __future__ import annotations

from provision.model.endpoint import Endpoint

_SET = {"fish": "set -gx {} {}", "powershell": '$env:{} = "{}"'}
_EVALUATE = {"fish": "{} | source", "powershell": "{} | Out-String | Invoke-Expression"}


def paste_line(endpoint: Endpoint, shell: str, env_command: str) -> str:
    """What to paste into `shell`.

    Where the tracking URI is all that a client needs, the line says just that and depends on
    nothing; with accounts, or without a server, it runs `env_command`.
    """
    if endpoint.has_server and endpoint.credentials is None and endpoint.ca_file is None:
        return _SET.get(shell, "export {}={}").format("MLFLOW_TRACKING_URI", endpoint.uri)
    return _EVALUATE.get(shell, 'eval "$({})"').format(env_command)
