"""`terraform init` when it is needed, and never away from a state that exists."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

from provision._version import __version__
from provision.adapters.terraform.files import read_object, write_private, write_private_json
from provision.errors import RefusedError

BACKEND_FILE = "provision_backend.tf.json"
_POINTER = ".terraform/terraform.tfstate"
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
            next_step="set state and state_name back to what they were; a state cannot move yet",
        )
    file = root / BACKEND_FILE
    if backend is None:
        file.unlink(missing_ok=True)
        return False
    if before is None and (read_object(root / "terraform.tfstate") or {}).get("resources"):
        raise RefusedError(
            f"the state of this stack is in {root}, and the spec now asks for a shared one",
            next_step="set state: local again, or take the stack down before; a state cannot "
            "move yet",
        )
    write_private_json(file, {"terraform": {"backend": {"s3": _typed(backend)}}})
    return before is not None


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
    lock, folder = root / ".terraform.lock.hcl", root / ".terraform/providers"
    try:
        same = (root / _STAMP).read_text(encoding="ascii") == wanted
        locked = lock.read_text(encoding="utf-8") if folder.exists() else ""
    except FileNotFoundError:
        return False
    names = re.findall(r'^provider "([^"]+)"', locked, re.MULTILINE)
    return same and all(any((folder / name).glob("*/*/terraform-provider-*")) for name in names)


def mark_done(root: Path, done: str) -> None:
    """Remember that `init` was done for this stamp."""
    write_private(root / _STAMP, done.encode("ascii"))
