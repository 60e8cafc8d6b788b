"""Who may use a service: whoever may read the model on the tracking server."""

from __future__ import annotations

import base64
import hashlib
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Final

from provision.adapters.tracking import TrackingClient
from provision.model.endpoint import Credentials
from provision.model.secrets import Secret
from provision.model.tracking import TrackingError
from provision.serving.settings import ServiceSettings

REMEMBERED_SECONDS: Final = 60.0
"""As the tracking server does: how long somebody who was removed still gets in."""


class Access:
    """Asks the tracking server, and remembers a yes for a minute."""

    def __init__(self, settings: ServiceSettings) -> None:
        self._settings = settings
        self._until: dict[bytes, float] = {}
        self._lock = threading.Lock()

    def status(self, authorization: str) -> int:
        """200, or what to answer instead: 401 (log in), 403 (not this model), 503 (ask later)."""
        if not self._settings.username:
            return 200
        key = hashlib.sha256(authorization.encode()).digest()
        with self._lock:
            self._until = {k: t for k, t in self._until.items() if t > time.monotonic()}
            if key in self._until:
                return 200
        answer = self._ask(authorization)
        if answer == 200:
            with self._lock:
                self._until[key] = time.monotonic() + REMEMBERED_SECONDS
        return answer

    def _ask(self, authorization: str) -> int:
        account = _account(authorization)
        if account is None:
            return 401
        username, password = account
        endpoint = replace(self._settings.endpoint, credentials=Credentials(username, Path()))
        try:
            with TrackingClient(endpoint, password) as client:
                client.get("registered-models/get", name=self._settings.ref.name)
        except TrackingError as error:
            return error.status if error.status in (401, 403) else 503
        return 200


def _account(authorization: str) -> tuple[str, Secret] | None:
    kind, _, encoded = authorization.partition(" ")
    try:
        username, found, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except ValueError:
        return None
    return (username, Secret(password)) if found and kind.lower() == "basic" else None
