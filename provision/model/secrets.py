"""A secret value that does not show itself."""

from __future__ import annotations

from typing import Final

_MASK: Final = "********"
# URL- and shell-safe, so that no consumer has to quote or percent-encode it.
_ALPHABET: Final = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


class Secret:
    """A value that prints, formats and pickles as a mask; `reveal()` is the only way to read it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value itself. Write it to a file of mode 0600 or to a socket, and nowhere else."""
        return self._value

    def __repr__(self) -> str:
        return f"Secret({_MASK!r})"

    def __str__(self) -> str:
        return _MASK

    def __format__(self, spec: str) -> str:
        return format(_MASK, spec)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return self._value == other._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a Secret is not pickled: pass the path of the file that holds it")


def generate(length: int = 32) -> Secret:
    """A new random secret of `length` letters and digits (190 bits at 32)."""
    import secrets  # noqa: PLC0415 - loads OpenSSL, which most commands never need

    return Secret("".join(secrets.choice(_ALPHABET) for _ in range(length)))
