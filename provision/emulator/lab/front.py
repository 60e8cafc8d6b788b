"""HTTPS in the lab: every name has a certificate of the lab's authority, made when it is asked for.

Behind TLS the bytes go on as they came: to the emulated account for AWS' names (host header and
signature untouched, at the door where policies hold), to the lab's own shelf for all others.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path

from provision.emulator.lab.authority import Authority

_BLOCK = 256 * 1024
_NAMELESS = "nameless.invalid"  # for clients that say no name (RFC 6761: no such name exists)

# Name -> host and port of what answers for it.
Route = Callable[[str], tuple[str, int]]
_Side = ssl.SSLSocket | ssl.SSLObject


class Front:
    """Answers at these listeners; `route` says what answers for a name.

    `nameless` is the name in the certificate for clients that say none.
    """

    def __init__(
        self,
        authority: Authority,
        folder: Path,
        listeners: Sequence[socket.socket],
        route: Route,
        nameless: str = _NAMELESS,
    ) -> None:
        self._nameless = nameless
        self._authority = authority
        self._folder = folder
        self._route = route
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._asked: weakref.WeakKeyDictionary[_Side, str] = weakref.WeakKeyDictionary()
        # The loop itself holds its tasks weakly; one that waits must not be collected.
        self._relays: set[asyncio.Task[None]] = set()
        self._listeners = listeners

    def start(self) -> None:
        """Answer from now on, in a thread of its own."""
        threading.Thread(target=asyncio.run, args=(self._serve(),), daemon=True).start()

    async def _serve(self) -> None:
        first = self._context(self._nameless)
        first.sni_callback = self._name
        servers = [
            await asyncio.start_server(self._accept, sock=listener, ssl=first, limit=_BLOCK)
            for listener in self._listeners
        ]
        await asyncio.gather(*(server.serve_forever() for server in servers))

    def _name(self, side: _Side, name: str | None, _: ssl.SSLContext) -> None:
        self._asked[side] = name or self._nameless
        side.context = self._context(name or self._nameless)

    def _context(self, name: str) -> ssl.SSLContext:
        if name not in self._contexts:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*self._authority.issue(self._folder, name))
            self._contexts[name] = context
        return self._contexts[name]

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._relay(reader, writer))
        self._relays.add(task)
        task.add_done_callback(self._relays.discard)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        name = self._asked.get(writer.get_extra_info("ssl_object"), self._nameless)
        with contextlib.suppress(OSError), contextlib.closing(writer):
            behind, there = await asyncio.open_connection(*self._route(name), limit=_BLOCK)
            with contextlib.closing(there):
                await asyncio.gather(_copy(reader, there), _copy(behind, writer))


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    """Everything that comes, until one side ends; the other one is told."""
    try:
        while block := await source.read(_BLOCK):
            target.write(block)
            await target.drain()
    finally:
        # TLS cannot be ended in one direction alone.
        target.write_eof() if target.can_write_eof() else target.close()
