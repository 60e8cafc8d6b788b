"""How Hypothesis works here: without its deadline, which a busy machine breaks at random."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("provision", deadline=None)
settings.load_profile("provision")
