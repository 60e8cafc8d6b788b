"""What it took to bring a bucket back to a moment."""

from __future__ import annotations

from dataclasses import dataclass

from provision.model.units import amount


@dataclass(frozen=True)
class Rewound:
    """Objects that are there again with their bytes, and objects of later that are hidden."""

    restored: int = 0
    bytes: int = 0
    hidden: int = 0

    def __add__(self, other: Rewound) -> Rewound:
        return Rewound(
            self.restored + other.restored, self.bytes + other.bytes, self.hidden + other.hidden
        )

    def __str__(self) -> str:
        return (
            f"{self.restored:,} artifacts back ({amount(self.bytes)}), {self.hidden:,} of later "
            "hidden"
        )
