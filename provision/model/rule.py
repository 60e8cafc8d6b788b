"""What a rule between settings of the spec is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from provision.model.complaints import Complaint, Path

if TYPE_CHECKING:
    from provision.model.spec import Spec


@dataclass(frozen=True)
class Rule:
    """One rule: `says` is its sentence in the reference, `involves` the settings that it reads."""

    says: str
    involves: tuple[Path, ...]
    check: Callable[[Spec], Complaint | None]
