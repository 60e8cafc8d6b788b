"""Progress that nobody sees."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager


class Quiet:
    """For commands that are called in the test's own process."""

    @contextmanager
    def step(self, _: str) -> Iterator[None]:
        yield

    def note(self, _: str) -> None:
        pass

    @contextmanager
    def board(self, _: Callable[[], Sequence[str]]) -> Iterator[Callable[[str], None]]:
        yield self.note
