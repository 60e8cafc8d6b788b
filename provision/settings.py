"""Where settings come from: flags, then the environment, then defaults. The one reader of it."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

SPEC_FILE_NAME = "provision.yaml"

# What a server process may inherit. Everything else stays out: credentials of the person who
# types `provision up` must not end up in a long-lived process.
_INHERITED = (
    "PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE",
    "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
)  # fmt: skip


class Settings(NamedTuple):
    """What the command line and the environment say about where things are."""

    spec_file: Path
    spec_required: bool
    state_dir: Path
    index_dir: Path
    shell: str
    color: bool
    environment: Mapping[str, str]

    @property
    def cache_dir(self) -> Path:
        """What can be fetched again, for all stacks of this user (XDG base directories)."""
        configured = self.environment.get("XDG_CACHE_HOME", "")
        if configured.startswith("/"):
            return Path(configured) / "provision"
        return Path(self.environment.get("HOME") or Path.home()) / ".cache" / "provision"

    @property
    def inherited(self) -> dict[str, str]:
        """The part of the environment that a server process may see."""
        return {key: self.environment[key] for key in _INHERITED if key in self.environment}


def read_settings(
    file: str | None = None,
    state_dir: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> Settings:
    """Resolve the spec file and the state folder.

    `PROVISION_FILE` and `PROVISION_STATE_DIR` stand in for `--file` and `--state-dir`. Without
    either, the spec is `provision.yaml` in the working directory (it may be absent: then the
    documented default counts) and the state lives in `.provision/` beside it.
    """
    env = os.environ if environment is None else environment
    named = file or env.get("PROVISION_FILE")
    spec_file = Path(named or SPEC_FILE_NAME).expanduser().absolute()
    state = state_dir or env.get("PROVISION_STATE_DIR")
    return Settings(
        spec_file=spec_file,
        spec_required=named is not None,
        # Resolved: a stack's processes are found by this very path, from wherever one asks.
        state_dir=_state_dir(state, spec_file).resolve(),
        index_dir=_state_home(env) / "provision" / "stacks",
        shell=env.get("SHELL", ""),
        color="NO_COLOR" not in env and env.get("TERM") != "dumb",
        environment=env,
    )


def _state_dir(named: str | None, spec_file: Path) -> Path:
    return Path(named).expanduser() if named else spec_file.parent / ".provision"


def _state_home(env: Mapping[str, str]) -> Path:
    configured = env.get("XDG_STATE_HOME", "")
    if configured.startswith("/"):
        return Path(configured)
    return Path(env.get("HOME") or Path.home()) / ".local" / "state"


def python_executable() -> str:
    """The interpreter that runs us, and so the one that has MLflow."""
    return sys.executable
