"""What every section of the spec has in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Frozen, without unknown settings, and never converting a value from one type to another.

    A section's docstring is its description in the JSON Schema and the reference.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
