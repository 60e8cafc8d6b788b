"""The server's settings, worked out from this machine's memory and cores."""

from __future__ import annotations

from provision.host import models
from provision.host.role_program import database_of
from provision.host.run import Host, Step
from provision.host.server_file import sizing
from provision.host.server_state import local_server, write_server_file


def run(host: Host, step: Step) -> None:
    """Write what the server program reads."""
    models.recall(host)
    address, port = database_of(host)
    server = local_server(host, address, port, models.room(host))
    if write_server_file(host, server, host.places.server_settings):
        step.changed("the server's settings")
    step.detail(str(sizing(host.settings, server.machine, server.models)))
