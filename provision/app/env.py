"""`provision env`: what a client has to set, in the style that the user needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from provision.errors import UsageError
from provision.model import clients
from provision.model.endpoint import Endpoint
from provision.model.secrets import Secret

_FILES: Final[Mapping[str, Callable[[Endpoint, Secret | None], str]]] = {
    "dotenv": clients.render_dotenv,
    "json": clients.render_json,
    "conda": lambda endpoint, _: clients.render_conda(endpoint),
    "requirements": lambda endpoint, _: clients.render_requirements(endpoint),
}

STYLES: Final = (*clients.SHELLS, *_FILES)


def env(endpoint: Endpoint, style: str, password: Secret | None = None) -> str:
    """The text for one of STYLES.

    Only `dotenv` and `json` ever contain the password, and only where it is given: shells read it
    from its file. Raises UsageError for an unknown style or a value that it cannot hold.
    """
    if style in clients.SHELLS:
        return clients.render_shell(endpoint, style)
    if style in _FILES:
        return _FILES[style](endpoint, password)
    raise UsageError(
        f"{style}: not a style that `provision env` knows",
        next_step=f"use one of {', '.join(STYLES)}",
    )
