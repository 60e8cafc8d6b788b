"""`terraform init` when it is needed, and never away from a state that exists."""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

from provision._version import __version__
from provision.adapters.terraform.files import (
    PRIVATE_FILE,
    read_object,
    write_private,
    write_private_json,
)
from provision.errors import RefusedError

BACKEND_FILE = "provision_backend.tf.json"
_POINTER = ".terraform/terraform.tfstate"
_LOCK = ".terraform.lock.hcl"
_STAMP = ".terraform/provision-initialised"


def remote(root: Path) -> Mapping[str, object] | None:
    """The settings of the remote state that this folder was turned to, if it was."""
    backend = (read_object(root / _POINTER) or {}).get("backend")
    if not isinstance(backend, dict) or backend.get("type") == "local":
        return None
    config = backend.get("config")
    return config if isinstance(config, dict) else {}


def turn_to(root: Path, backend: Mapping[str, str] | None) -> bool:
    """Write which state the root module uses. The settings of a bucket are no secret.

    True where the folder was turned to that very state before: other settings of it (its key at
    KMS, say) then need no migration, which Terraform would ask for. Raises `RefusedError` when a
    state exists elsewhere: Terraform would plan everything anew.
    """
    before = remote(root)
    if before is not None and any(
        before.get(key) != (backend or {}).get(key) for key in ("bucket", "key")
    ):
        raise RefusedError(
            f"the state of this stack is in the bucket {before.get('bucket')} "
            f"({before.get('key')}), and the spec says otherwise now",
            next_step="set state and state_name back to what they were; provision up moves a state",
        )
    file = root / BACKEND_FILE
    if backend is None:
        file.unlink(missing_ok=True)
        return False
    if before is None and holds_resources(root):
        raise RefusedError(
            f"the state of this stack is in {root}, and the spec now asks for a shared one",
            next_step="provision up moves it there; or set state: local again",
        )
    write_private_json(file, {"terraform": {"backend": {"s3": _typed(backend)}}})
    return before is not None


def holds_resources(root: Path) -> bool:
    """Whether a local state knows of anything."""
    return bool((read_object(root / "terraform.tfstate") or {}).get("resources"))


def is_at(root: Path, backend: Mapping[str, str] | None) -> bool:
    """Whether this folder is turned to the state that `backend` names."""
    before = remote(root)
    if before is None or backend is None:
        return before is None and backend is None
    return all(before.get(key) == backend.get(key) for key in ("bucket", "key"))


def forget_remote(root: Path) -> None:
    """Turn the folder away from a bucket whose state was taken out of it."""
    (root / BACKEND_FILE).unlink(missing_ok=True)
    (root / _POINTER).unlink(missing_ok=True)


def _typed(backend: Mapping[str, str]) -> dict[str, object]:
    words = {"true": True, "false": False}
    return {key: words.get(value, value) for key, value in backend.items()}


def stamp(root: Path, version: str) -> str:
    """What `init` depends on: our version (the modules come with it), Terraform's, the root."""
    digest = hashlib.sha256(f"{__version__} {version}".encode())
    for path in sorted((*root.glob("*.tf"), *root.glob("*.tf.json"))):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def is_done(root: Path, wanted: str) -> bool:
    """Whether `init` was done for this stamp, and the providers are still where it put them."""
    lock, folder = root / _LOCK, root / ".terraform/providers"
    try:
        same = (root / _STAMP).read_text(encoding="ascii") == wanted
        locked = lock.read_text(encoding="utf-8") if folder.exists() else ""
    except FileNotFoundError:
        return False
    names = re.findall(r'^provider "([^"]+)"', locked, re.MULTILINE)
    return same and all(any((folder / name).glob("*/*/terraform-provider-*")) for name in names)


def mark_done(root: Path, done: str) -> None:
    """Remember that `init` was done for this stamp."""
    with contextlib.suppress(FileNotFoundError):  # there is none where no provider is used
        (root / _LOCK).chmod(PRIVATE_FILE)  # Terraform opens this one to all, whatever the umask
    write_private(root / _STAMP, done.encode("ascii"))
