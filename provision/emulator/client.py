"""Start, find and stop an emulated account that lives in a process of its own.

It outlives the command and the terminal that started it. What it holds is in its memory alone: it
is lost when the process ends, by `stop`, by a restart of the machine, or killed.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from provision.adapters import workspace
from provision.emulator import record
from provision.errors import MissingError, ProvisionError
from provision.installing import install_extra

ACCOUNT = "123456789012"  # moto's, for whoever shows a key that it does not know
_NOWHERE = "http://127.0.0.1:9"  # the discard port: nobody listens there
_LOOPBACK = "127.0.0.1,localhost"
_HERE = ("127.0.0.1", "localhost", "::1")
_POLL_SECONDS = 0.05
_STOP_SECONDS = 10.0
# What a shell may have set that would win over the keys and the address, or break them.
_IN_THE_WAY = (
    "AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN",
    "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT", "AWS_CA_BUNDLE",
)  # fmt: skip
# What the override file says about the provider; the reasons stand beside the settings in it.
_OVERRIDE = """\
# An emulated account: buckets in the path instead of the host name, and few attempts, as what the
# emulation cannot do fails every time.
provider "aws" {{
{keys}  s3_use_path_style           = true
  skip_credentials_validation = true
  skip_region_validation      = true
  max_retries                 = {max_retries}
}}
"""
_KEYS = """\
  access_key                  = "testing"
  secret_key                  = "testing"
"""


def keys_of(endpoint: str) -> dict[str, str]:
    """The address for every service, and keys that are worth nothing anywhere else."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
    }


def override(max_retries: int = 3, *, keys: bool = True) -> str:
    """A Terraform override file that turns the provider to whatever emulated account it is given.

    `max_retries` counts attempts; the provider's own default is 25. Without `keys`, made-up ones,
    those of the environment count.
    """
    return _OVERRIDE.format(max_retries=max_retries, keys=_KEYS if keys else "")


def is_lent(environment: Mapping[str, str]) -> bool:
    """Whether AWS' settings lead to this machine: to an account that `provision emulate` runs.

    Nobody but an emulation answers there: AWS' own addresses are never on the loopback.
    """
    return urlsplit(environment.get("AWS_ENDPOINT_URL", "")).hostname in _HERE


def opened(environment: Mapping[str, str]) -> dict[str, str]:
    """The same with the ways out that `Emulated.environment` closed; a user's own proxies stay."""
    return {name: value for name, value in environment.items() if value != _NOWHERE}


@dataclass(frozen=True)
class Emulated:
    """An emulated account that answers; all that it holds is lost when its process ends.

    `started_at` is ISO 8601 in UTC; `regions` are those that were asked for, the first of them the
    one that `environment` names; `faults` says whether it lets itself be made to fail. At `door`
    policies hold as on AWS, at `endpoint` everything is allowed.
    """

    endpoint: str
    pid: int
    account: str
    started_at: str
    regions: tuple[str, ...] = ()
    faults: bool = False
    door: str = ""

    def environment(self, *, closed: bool = True) -> dict[str, str]:
        """What programs need to use this account, and no other.

        It is to replace all other AWS settings (`over` drops them). With `closed` there is no way
        to the real AWS: what does not go to the loopback is sent to a proxy that is not there.
        Only a program that must fetch something else (`terraform init` from the registry) wants it
        otherwise.
        """
        region = self.regions[0] if self.regions else None
        return {
            **keys_of(self.endpoint),
            **({"AWS_REGION": region, "AWS_DEFAULT_REGION": region} if region else {}),
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            **(_closed_ways() if closed else {}),
        }

    def over(self, inherited: Mapping[str, str], *, closed: bool = True) -> dict[str, str]:
        """A program's whole environment: `inherited` without its AWS settings, and ours."""
        return _without_aws(inherited) | self.environment(closed=closed)

    def lines(self) -> list[str]:
        """What a shell (bash, zsh) runs to use this account, and no other."""
        exports = (f"export {n}={shlex.quote(v)}" for n, v in self.environment().items())
        return [f"unset {' '.join(_IN_THE_WAY)}", *exports]

    def override(self, max_retries: int = 3) -> str:
        """The text of the provider's override file for Terraform; see `override`."""
        return override(max_retries)


def _without_aws(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if not name.startswith("AWS_")}


def _closed_ways() -> dict[str, str]:
    ways = {"HTTP_PROXY": _NOWHERE, "HTTPS_PROXY": _NOWHERE, "NO_PROXY": _LOOPBACK}
    # curl and Python read the small ones too, and prefer them.
    return ways | {name.lower(): value for name, value in ways.items()}


def require_moto() -> None:
    """Raise `MissingError` where the extra that brings the emulation is not installed."""
    if any(find_spec(module) is None for module in ("moto", "flask")):
        raise MissingError(
            "the emulated AWS needs moto, which is not installed",
            next_step=install_extra("rehearsal"),
        )


def start(  # noqa: PLR0913 - the last three are passed by name
    folder: Path,
    python: str,
    environment: Mapping[str, str],
    *,
    regions: Sequence[str] = (),
    faults: bool = False,
    patience: float = 60.0,
) -> Emulated:
    """Start an account for `folder`, or return the one that it has already, as it is.

    `environment` is what the process inherits; AWS settings in it are dropped. Raises
    `MissingError` without moto, `ProvisionError` when it does not answer after `patience` seconds.
    """
    require_moto()
    workspace.make_folder(folder)
    if (running := find(folder)) is not None:
        return running
    process = _spawn(folder, python, environment, _options(regions, faults=faults))
    deadline = time.monotonic() + patience
    while (found := find(folder)) is None:
        if process.poll() is not None or time.monotonic() > deadline:
            # Whoever started one at the same time may have been faster.
            if (found := find(folder)) is not None:
                break
            raise _failed(process, folder)
        time.sleep(_POLL_SECONDS)
    if found.pid != process.pid:
        # It still hopes for the folder, and would take it as soon as the other one ends.
        process.kill()
        process.wait()
    return found


def _options(regions: Sequence[str], *, faults: bool) -> list[str]:
    named = [word for region in regions for word in ("--region", region)]
    return [*named, "--faults"] if faults else named


def _spawn(
    folder: Path, python: str, environment: Mapping[str, str], options: Sequence[str]
) -> subprocess.Popen[bytes]:
    """A session of its own: neither a hang-up nor Ctrl-C reaches it."""
    with open(folder / record.LOG, "wb", opener=_private) as log:
        return subprocess.Popen(
            [python, "-m", "provision.emulator", str(folder.absolute()), *options],
            cwd=folder,
            env=_without_aws(environment) | _closed_ways(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            umask=0o077,
        )


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _failed(process: subprocess.Popen[bytes], folder: Path) -> ProvisionError:
    process.kill()
    process.wait()
    said = "\n".join(workspace.tail(folder / record.LOG, 5)) or "it said nothing"
    return ProvisionError(
        f"the emulated AWS did not start: {said}",
        next_step=f"read {folder / record.LOG}, mend what it names, then run this again",
    )


def find(folder: Path) -> Emulated | None:
    """The account that this folder has; `None` when there is none, or its process is dead."""
    value = record.read(folder)
    return None if value is None else _from_record(value)


def _from_record(value: Mapping[str, Any]) -> Emulated:
    return Emulated(
        endpoint=value["endpoint"],
        pid=value["pid"],
        account=value["account"],
        started_at=value["started_at"],
        regions=tuple(value["regions"]),
        faults=value["faults"],
        door=value.get("door", ""),
    )


def stop(folder: Path) -> bool:
    """End the folder's account, and with it all that it holds; `False` when there was none."""
    pid = record.holder(folder)
    if pid is None:
        return False
    _end(folder, pid, signal.SIGTERM, _STOP_SECONDS)
    _end(folder, pid, signal.SIGKILL, _STOP_SECONDS)
    record.forget(folder)
    return True


def _end(folder: Path, pid: int, number: signal.Signals, patience: float) -> None:
    deadline = time.monotonic() + patience
    if record.holder(folder) == pid:
        os.kill(pid, number)
    while record.holder(folder) == pid and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
