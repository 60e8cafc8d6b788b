"""How a teardown ends: with a receipt in the caller's hands, and in words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from provision.errors import RefusedError
from provision.model.receipt import Receipt, price, verdict
from provision.targets.base import DownOptions, Stopped


@contextmanager
def receipted(begun: Receipt, options: DownOptions) -> Iterator[Callable[[Receipt], None]]:
    """Hand the last receipt that was kept over, whatever happens in the block."""
    receipts = [begun]
    try:
        yield receipts.append
    finally:
        options.receipt(receipts[-1])


def stopped(receipt: Receipt) -> Stopped:
    """What `down` did; raises `RefusedError` where zero is not proven."""
    if receipt.blind:
        raise RefusedError(
            f"whether anything is left cannot be proven: {verdict(receipt)}",
            next_step="run provision down again with credentials that may",
        )
    if receipt.left:
        names = ", ".join(f"{thing.what} {thing.name} ({thing.id})" for thing in receipt.left)
        raise RefusedError(
            f"still there: {names}",
            next_step="run provision down --delete-data again: it removes what is left",
        )
    notes = [
        f"{len(receipt.existed)} things removed; nothing that carries the tag "
        f"provision:stack={receipt.stack} is left in account {receipt.account}, {receipt.region}"
    ]
    notes += [
        f"kept on purpose: {k.thing.what} {k.thing.name} ({k.why}), {price(k)}"
        for k in receipt.kept
    ]
    return Stopped(0, notes)


def compact(at: str) -> str:
    """A time as a part of a name: 20261127-2231."""
    digits = "".join(character for character in at[:16] if character.isdigit())
    return f"{digits[:8]}-{digits[8:]}"
