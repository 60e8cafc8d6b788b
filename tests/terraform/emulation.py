"""The emulated account of these tests: the product's own, in this process."""

from __future__ import annotations

from provision.emulator.account import EmulatedAws, emulated_aws, enforced, publish_image
from provision.emulator.client import ACCOUNT, override

OVERRIDE = override()

__all__ = ["ACCOUNT", "OVERRIDE", "EmulatedAws", "emulated_aws", "enforced", "publish_image"]
