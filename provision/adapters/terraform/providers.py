"""Where the AWS provider comes from, and the environment that Terraform runs in."""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from provision.adapters.terraform.files import write_private

# https://developer.hashicorp.com/terraform/cli/config/config-file: HOST/NAMESPACE/TYPE/VERSION/
# PLATFORM, or the archives of a packed mirror in HOST/NAMESPACE/TYPE.
PROVIDER: Final = Path("registry.terraform.io/hashicorp/aws")
_USUAL_ROOTS: Final = (
    "usr/local/share", "usr/share", "usr/local/lib", "usr/lib", "opt", "srv", "var/lib",
)  # fmt: skip
_DEPTHS: Final = ("", "*/", "*/*/")
# Each of these would change what Terraform does behind our back.
_REMOVED: Final = ("TF_LOG", "TF_CLI_ARGS", "TF_WORKSPACE", "TF_DATA_DIR", "TF_VAR_")
_MACHINES: Final = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


@dataclass(frozen=True)
class Providers:
    """What Terraform's environment says about where providers are, and what to tell the user."""

    variables: Mapping[str, str]
    notes: tuple[str, ...] = ()


def find_providers(
    environment: Mapping[str, str], folder: Path, file_system: Path = Path("/")
) -> Providers:
    """How Terraform shall get its providers. Writes a configuration to `folder` if it needs one.

    In this order: a configuration of the user's (`TF_CLI_CONFIG_FILE`, `~/.terraformrc`), a
    mirror on this machine, the registry with a cache that all stacks share. A
    `TF_CLI_CONFIG_FILE` that points to nothing is dropped: Terraform would warn with every
    command, and look at no other file.
    """
    named = environment.get("TF_CLI_CONFIG_FILE", "")
    if named and Path(named).is_file():
        return Providers({"TF_CLI_CONFIG_FILE": named})
    notes = (_DROPPED.format(named=named),) if named else ()
    home = _home(environment)
    if home is not None and (home / ".terraformrc").is_file():
        return Providers({}, notes)
    mirror = find_mirror(environment, file_system)
    if mirror is not None:
        file = folder / "provision.tfrc"
        write_private(file, _mirrored(mirror).encode())
        return Providers({"TF_CLI_CONFIG_FILE": str(file)}, notes)
    return Providers(_cached(environment, home), notes)


_DROPPED = "TF_CLI_CONFIG_FILE is left out: {named} is not a file"


def find_mirror(environment: Mapping[str, str], file_system: Path = Path("/")) -> Path | None:
    """A folder on this machine that holds the AWS provider for it; Terraform's own places first."""
    for root in _roots(environment, file_system):
        for depth in _DEPTHS:
            for provider in sorted(root.glob(f"{depth}{PROVIDER}")):
                if _fits(provider):
                    return provider.parents[2]
    return None


def _roots(environment: Mapping[str, str], file_system: Path) -> Iterator[Path]:
    """https://developer.hashicorp.com/terraform/cli/config/config-file#implied-local-mirror-directories"""
    home = _home(environment)
    if home is not None:
        yield home / ".terraform.d"
        yield Path(environment.get("XDG_DATA_HOME") or home / ".local/share") / "terraform"
        if sys.platform == "darwin":
            yield home / "Library/Application Support/io.terraform"
    yield from (file_system / root for root in _USUAL_ROOTS)


def _fits(provider: Path) -> bool:
    system = f"{sys.platform}_{_MACHINES.get(platform.machine().lower(), platform.machine())}"
    unpacked = provider.glob(f"*/{system}/terraform-provider-aws_*")
    return any(unpacked) or any(provider.glob(f"terraform-provider-aws_*_{system}.zip"))


def _mirrored(mirror: Path) -> str:
    source = PROVIDER.as_posix()
    return f"""\
disable_checkpoint = true

provider_installation {{
  filesystem_mirror {{
    path    = {_quoted(str(mirror))}
    include = ["{source}"]
  }}
  direct {{
    exclude = ["{source}"]
  }}
}}
"""


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("${", "$${").replace("%{", "%%{")


def _cached(environment: Mapping[str, str], home: Path | None) -> dict[str, str]:
    """One copy of the provider (700 MB) for all stacks; Terraform wants the folder to be there."""
    if environment.get("TF_PLUGIN_CACHE_DIR") or home is None:
        return {}
    base = Path(environment.get("XDG_CACHE_HOME") or home / ".cache")
    cache = base / "provision" / "terraform-plugins"
    try:
        cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        return {}  # each stack then downloads its own
    # Without a lock file's word Terraform would download again what is in the cache; the lock
    # file stays on this machine, so that the hashes of other platforms are not missed in it.
    return {
        "TF_PLUGIN_CACHE_DIR": str(cache),
        "TF_PLUGIN_CACHE_MAY_BREAK_DEPENDENCY_LOCK_FILE": "1",
    }


def _home(environment: Mapping[str, str]) -> Path | None:
    home = environment.get("HOME", "")
    return Path(home) if home.startswith("/") else None


def child_environment(user: Mapping[str, str], providers: Providers) -> dict[str, str]:
    """The environment of every command: the user's, without what would change its meaning.

    A garbage collector that starts less often (`GOGC=400`) saves 20 to 40 % of the CPU of
    Terraform and the provider for a third more memory (measured with 1.11.4 and 5.100).
    """
    kept = {
        key: value
        for key, value in user.items()
        if not key.startswith(_REMOVED) and key != "TF_CLI_CONFIG_FILE"
    }
    ours = {"CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1", "TF_INPUT": "0"}
    return {"GOGC": "400", **kept, **ours, **providers.variables}
