"""What `up` refuses because runs or artifacts would seem to be gone."""

from __future__ import annotations

import shlex
from pathlib import Path

from provision.errors import MissingError, RefusedError, UsageError
from provision.model.layout import Layout
from provision.model.spec import Spec
from provision.targets.record import StackRecord


def require_mlflow(version: str) -> None:
    """Raise `MissingError` when MLflow is not installed beside us."""
    if not version:
        raise MissingError(
            "MLflow is not installed in the environment that provision runs in",
            next_step="install provision with its dependencies: pip install provision-mlflow",
        )


def nothing_to_plan(spec: Spec) -> UsageError:
    """What `plan` answers on a rung that makes nothing in an account."""
    return UsageError(
        f"{spec.name} runs on this machine (target: {spec.target}), where nothing is planned",
        next_step="provision up starts it; provision plan is for target: aws",
    )


def require_same_place(stored: StackRecord | None, spec: Spec, layout: Layout) -> None:
    """Raise `RefusedError` when the spec now names another place for data that exists.

    A server on an empty database would come up without a word, and the runs would seem lost.
    """
    if layout.before_upgrade.exists() and not layout.data.exists():
        raise RefusedError(
            f"an upgrade of {spec.name} was cut off just when its new database moved in",
            next_step="provision upgrade goes on with it",
        )
    if stored is None:
        return
    if "compose" in (stored.target, spec.target) and stored.target != spec.target:
        raise RefusedError(
            f"{spec.name} was brought up with target: {stored.target}, and its runs are there; the "
            f"spec now says target: {spec.target}",
            next_step="give the new stack another name, and provision move brings the runs along",
        )
    if stored.engine != spec.database.engine and _store_exists(stored, layout):
        raise RefusedError(
            f"the runs of {spec.name} are in {stored.engine}, but the spec now says "
            f"database.engine: {spec.database.engine}, which would start empty",
            next_step=f"set database.engine: {stored.engine}, or give the new stack another name",
        )
    before = Path(stored.artifacts)
    if before != layout.artifacts and _has_files(before):
        raise RefusedError(
            f"the artifacts of {spec.name} are in {before}, but the spec now puts them into "
            f"{layout.artifacts}, where clients would not find them",
            next_step=f"provision down; mkdir -p {shlex.quote(str(layout.artifacts.parent))}; "
            f"mv {shlex.quote(str(before))} {shlex.quote(str(layout.artifacts))}; provision up",
        )


def require_root(root: Path, name: str) -> None:
    """Raise `MissingError` where a stack has no folder."""
    if not root.is_dir():
        raise _never_up(name)


def require_record(stored: StackRecord | None, name: str) -> StackRecord:
    """What a stack remembers; `MissingError` before its first `up`."""
    if stored is None:
        raise _never_up(name)
    return stored


def _never_up(name: str) -> MissingError:
    return MissingError(
        f"{name} was never brought up from here, so there is no data of it",
        next_step="provision up (provision list shows the stacks that there are)",
    )


def _store_exists(stored: StackRecord, layout: Layout) -> bool:
    place = layout.sqlite_file if stored.engine == "sqlite" else layout.cluster
    return place.exists()


def _has_files(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())
