"""A session with a machine, as one service opens it and a program of this machine holds it."""

from __future__ import annotations

from dataclasses import dataclass

from provision.model.secrets import Secret


@dataclass(frozen=True)
class RemoteSession:
    """A session of AWS Session Manager that was opened and is not held yet.

    `answer` is what StartSession answered, as JSON: whoever has its token has the session.
    `request` is what it was asked, as JSON; `endpoint` the address that was asked.
    """

    answer: Secret
    request: str
    region: str
    endpoint: str
