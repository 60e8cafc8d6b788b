"""`python -m provision.server.health SETTINGS.json`: the health check of a server in a container.

It asks the server for its own status, which asks the database and the artifact store; MLflow's own
`/health` says OK while both are gone. Standard library only: it is started every few seconds.
"""

from __future__ import annotations

import base64
import http.client
import json
import sys
from pathlib import Path
from typing import Any, Final

PATH: Final = "/provision/status"
_SECONDS: Final = 20


def main(arguments: list[str]) -> int:
    """Exit code 0 when a client could work; the line that is printed says what was seen."""
    settings = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    try:
        status, text = _ask(settings)
    except OSError as error:
        sys.stdout.write(f"no answer: {error}\n")
        return 1
    seen, healthy = judged(status, text)
    sys.stdout.write(seen + "\n")
    return 0 if healthy else 1


def _ask(settings: dict[str, Any]) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", settings["port"], timeout=_SECONDS)
    connection.request("GET", PATH, headers=_headers(settings))
    answer = connection.getresponse()
    return answer.status, answer.read().decode("utf-8", "replace")


def _headers(settings: dict[str, Any]) -> dict[str, str]:
    headers = {"Host": settings["allowed_hosts"][0]}
    if settings["auth"]:
        password = Path(settings["auth"]["admin_password_file"]).read_text(encoding="utf-8").strip()
        pair = f"{settings['auth']['admin_username']}:{password}".encode()
        headers["Authorization"] = f"Basic {base64.b64encode(pair).decode('ascii')}"
    return headers


def judged(status: int, text: str) -> tuple[str, bool]:
    """What an answer means, in words, and whether it is a healthy server's."""
    if status == 401:
        # It looked the account up in the database to know that.
        return "the admin's password was changed in MLflow: the store was not looked at", True
    try:
        document = json.loads(text)
        parts = {name: document[name]["error"] for name in ("database", "artifacts")}
    except (ValueError, KeyError, TypeError):
        return f"an answer that is not the server's: HTTP {status}", False
    broken = [f"{name}: {error}" for name, error in parts.items() if error]
    return "; ".join(broken) or "database and store answer", not broken


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
