"""Large objects of the emulated S3: a part of one costs as much as that part."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from moto.s3.models import FakeKey
from moto.s3.responses import S3Response

_in_parts: ContextVar[bool] = ContextVar("in_parts", default=False)


class _Window:
    """An object's content, of which only what is asked for is read."""

    def __init__(self, key: Any) -> None:
        self._key = key

    def __len__(self) -> int:
        return int(self._key.contentsize)

    def __getitem__(self, part: slice) -> bytes:
        begin, end, _ = part.indices(len(self))
        with self._key.lock:
            self._key._value_buffer.seek(begin)
            return bytes(self._key._value_buffer.read(end - begin))


def close_gaps_of_objects() -> None:
    """moto reads all of an object for each part of it: a gigabyte in parts took minutes."""
    whole, answered = FakeKey.value, S3Response.key_response

    def value(self: Any) -> Any:
        return _Window(self) if _in_parts.get() else whole.fget(self)

    def key_response(self: Any, request: Any, *arguments: Any) -> Any:
        in_parts = request.method == "GET" and "-" in request.headers.get("range", "")
        with _reading(in_parts):
            status, headers, content = answered(self, request, *arguments)
        # For a range that is none, S3 sends the whole.
        return status, headers, content[:] if isinstance(content, _Window) else content

    FakeKey.value = whole.setter(whole.fset).getter(value)
    S3Response.key_response = key_response


@contextmanager
def _reading(in_parts: bool) -> Iterator[None]:
    token = _in_parts.set(in_parts)
    try:
        yield
    finally:
        _in_parts.reset(token)
