"""What the bootstrap does, one file for each phase."""

from __future__ import annotations

from provision.host.phases import (
    account,
    bundle,
    database,
    environment,
    models,
    proxy,
    ready,
    role,
    service,
    settings,
    system,
    upkeep,
)
from provision.host.run import PhaseBody

BODIES: dict[str, PhaseBody] = {
    "role": role.run,
    "system": system.run,
    "bundle": bundle.run,
    "environment": environment.run,
    "database": database.run,
    "account": account.run,
    "settings": settings.run,
    "service": service.run,
    "proxy": proxy.run,
    "models": models.run,
    "upkeep": upkeep.run,
    "ready": ready.run,
}
"""In their order, which is that of `provision.model.boot.PHASES`."""
