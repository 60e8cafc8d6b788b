"""Connections spread evenly over the workers.

A client keeps its connection, and the worker that took it serves it for as long as it lasts. Which
worker takes a new one is a race among those that wait, and one worker may win it every time: then
one core serves everybody while the others idle. Here a worker that holds more than another one lets
the others go first.
"""

from __future__ import annotations

import asyncio
import contextlib
import mmap
import socket
from typing import Any

from uvicorn import Server

_HEAD_START_SECONDS = 0.02
_NO_DESCRIPTOR_SECONDS = 0.5


class Holdings:
    """How many connections each worker holds: memory that the master makes and its workers share.

    One unsigned number for each worker: 0 while nobody has the slot, otherwise one more than its
    connections. Each slot has one writer at a time, so no lock is needed.
    """

    def __init__(self, workers: int) -> None:
        # Twice as many: a worker may start before the one that it replaces has ended.
        self._slots = memoryview(mmap.mmap(-1, 4 * 2 * workers)).cast("I")
        self._owners: dict[int, int] = {}
        self._own: int | None = None

    def reserve(self, worker: int) -> None:
        """In the master, before the fork of the worker with this number: give it a slot."""
        self._own = next((slot for slot, value in enumerate(self._slots) if value == 0), None)
        if self._own is not None:
            self._owners[worker] = self._own
            self._slots[self._own] = 1

    def release(self, worker: int) -> None:
        """In the master, after the end of a worker: nobody lets it go first any more."""
        slot = self._owners.pop(worker, None)
        if slot is not None:
            self._slots[slot] = 0

    def tell(self, connections: int) -> None:
        """In a worker: how many it holds now."""
        if self._own is not None:
            self._slots[self._own] = connections + 1

    def is_ahead(self) -> bool:
        """In a worker: whether another one holds fewer."""
        if self._own is None:
            return False
        own = self._slots[self._own]
        return any(0 < value < own for value in self._slots)


class BalancedServer(Server):
    """uvicorn's server, with listeners that know of the other workers."""

    holdings: Holdings

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the application, then take connections from each of `sockets`."""
        await super().startup(sockets=[])
        self._listeners = [asyncio.create_task(self._listen(found)) for found in sockets or []]

    async def on_tick(self, counter: int) -> bool:
        """Called ten times a second; connections that were closed are counted off here.

        A listener never ends by itself: if one has failed, the worker ends, and another takes over.
        """
        self._tell()
        for task in self._listeners:
            if task.done():
                task.result()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more connections, and finish those that there are."""
        for task in self._listeners:
            task.cancel()
        await asyncio.gather(*self._listeners, return_exceptions=True)
        await super().shutdown(sockets)

    def _tell(self) -> None:
        self.holdings.tell(len(self.server_state.connections))

    async def _listen(self, listener: socket.socket) -> None:
        while True:
            await _readable(listener)
            if self.holdings.is_ahead():
                # The connection stays in the queue: whoever holds fewer takes it meanwhile.
                await asyncio.sleep(_HEAD_START_SECONDS)
            await self._take(listener)

    async def _take(self, listener: socket.socket) -> None:
        try:
            connection, _address = listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return
        except OSError:
            # Out of file descriptors: they come back when connections end.
            await asyncio.sleep(_NO_DESCRIPTOR_SECONDS)
            return
        connection.setblocking(False)
        # The client may have gone by now.
        with contextlib.suppress(OSError):
            await asyncio.get_running_loop().connect_accepted_socket(self._protocol, connection)
        self._tell()

    def _protocol(self) -> asyncio.Protocol:
        kind: Any = self.config.http_protocol_class
        made: asyncio.Protocol = kind(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return made


async def _readable(listener: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(listener, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(listener)
