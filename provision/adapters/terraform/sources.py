"""The modules and roots that come with this package, laid out in a stack's own folder.

Terraform writes beside the configuration (state, lock file, plugin links), so a stack works on a
copy. The copy is renewed at each command: a newer version of this package brings newer modules.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from provision.adapters.terraform.files import PRIVATE_FILE, PRIVATE_FOLDER
from provision.errors import MissingError

_HERE = Path(__file__).resolve()
# In a wheel the folder lies inside the package, in a checkout beside it.
_PLACES = (_HERE.parents[2] / "terraform", _HERE.parents[3] / "terraform")
_ROOT = Path("stacks") / "tracking"
OVERRIDE = "provision_override.tf"
ADOPT = "adopt.tf"


def lay_out(folder: Path, override: str | None = None) -> Path:
    """Copy everything below `folder`, and return the root module's own folder in it.

    What Terraform wrote there stays. `override` is the text of a file that changes the provider's
    settings; without it that file goes.
    """
    source = next((place for place in _PLACES if (place / _ROOT).is_dir()), None)
    if source is None:
        raise MissingError(
            "the Terraform modules of this package are missing",
            next_step="install it again: pip install --force-reinstall provision-mlflow",
        )
    _make_folder(folder)
    for part in ("modules", "stacks"):
        _renew(source / part, folder / part)
    _write(folder / _ROOT / OVERRIDE, override)
    return root_of(folder)


def root_of(folder: Path) -> Path:
    """The root module's own folder in a configuration that is laid out in `folder`."""
    return folder / _ROOT


def _renew(source: Path, target: Path) -> None:
    wanted = {path.relative_to(source) for path in source.rglob("*.tf")}
    for stale in target.rglob("*.tf"):
        if stale.relative_to(target) not in wanted:
            stale.unlink()
    _make_folder(target)
    for path in sorted(wanted):
        for folder in reversed(path.parents):
            _make_folder(target / folder)
        shutil.copyfile(source / path, target / path)
        (target / path).chmod(PRIVATE_FILE)


def _make_folder(folder: Path) -> None:
    """Ours alone, whatever the user's umask."""
    folder.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
    folder.chmod(PRIVATE_FOLDER)


def write_adoption(root: Path, text: str) -> None:
    """Write the `import` blocks of the next plan; an empty text removes them."""
    _write(root / ADOPT, text or None)


def _write(path: Path, text: str | None) -> None:
    if text is None:
        path.unlink(missing_ok=True)
    else:
        path.write_text(text, encoding="utf-8")
        path.chmod(PRIVATE_FILE)
