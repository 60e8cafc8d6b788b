"""Whether Terraform will get its AWS provider: from this machine, or from the registry."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from provision.adapters.terraform.providers import PROVIDER, find_mirror

_REGISTRY: Final = ("registry.terraform.io", 443)
_SECONDS: Final = 3.0


def provider_place(environment: Mapping[str, str]) -> str:
    """Where the provider is going to come from, in words.

    Raises `OSError` where it is not on this machine and the registry, or the proxy that leads to
    it, cannot be reached.
    """
    configured = environment.get("TF_CLI_CONFIG_FILE", "")
    if configured and Path(configured).is_file():
        return f"as {configured} says"
    home = Path(environment.get("HOME") or "/nowhere")
    if (home / ".terraformrc").is_file():
        return f"as {home / '.terraformrc'} says"
    mirror = find_mirror(environment)
    if mirror is not None:
        return f"in the mirror {mirror}"
    cache = _cache(environment, home)
    if any(cache.glob(f"{PROVIDER}/*")):
        return f"in the cache {cache}"
    with socket.create_connection(_way(environment), timeout=_SECONDS):
        return "the registry answers"


def _cache(environment: Mapping[str, str], home: Path) -> Path:
    named = environment.get("TF_PLUGIN_CACHE_DIR")
    base = Path(environment.get("XDG_CACHE_HOME") or home / ".cache")
    return Path(named) if named else base / "provision" / "terraform-plugins"


def _way(environment: Mapping[str, str]) -> tuple[str, int]:
    proxy = environment.get("HTTPS_PROXY") or environment.get("https_proxy") or ""
    parts = urlsplit(proxy if "//" in proxy else f"//{proxy}")
    return (parts.hostname, parts.port or 3128) if parts.hostname else _REGISTRY
