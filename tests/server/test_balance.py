"""Connections are spread over the workers, and one that ends leaves no trace."""

from __future__ import annotations

import os
import socket
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest

from provision.server.balance import Holdings
from tests.server.running import SEARCH, serving, settings_for


def test_a_worker_is_ahead_while_another_one_holds_fewer() -> None:
    holdings = Holdings(workers=2)
    holdings.reserve(1)
    if os.fork() == 0:  # the first worker: it holds two and tells so by its exit code
        holdings.tell(2)
        os._exit(0)
    os.wait()
    holdings.reserve(2)
    holdings.tell(1)
    assert not holdings.is_ahead()
    holdings.tell(3)
    assert holdings.is_ahead()
    holdings.release(1)
    assert not holdings.is_ahead()


def test_slots_of_ended_workers_are_used_again() -> None:
    holdings = Holdings(workers=1)
    for worker in range(1, 50):
        holdings.reserve(worker)
        holdings.tell(worker)
        holdings.release(worker)
    holdings.reserve(50)
    holdings.tell(7)
    assert not holdings.is_ahead()


def test_more_workers_than_slots_only_lose_the_balance() -> None:
    holdings = Holdings(workers=1)
    for worker in range(1, 5):
        holdings.reserve(worker)
    holdings.tell(9)
    assert not holdings.is_ahead()


def held(server_pid: int, port: int) -> Counter[int]:
    """Connections of each worker, by its process id."""
    workers = psutil.Process(server_pid).children()
    return Counter(
        {
            worker.pid: sum(
                c.status == psutil.CONN_ESTABLISHED and c.laddr.port == port
                for c in worker.net_connections("tcp")
            )
            for worker in workers
        }
    )


def settled(server_pid: int, port: int, total: int) -> Counter[int]:
    deadline = time.monotonic() + 20
    while (found := held(server_pid, port)).total() != total and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


@pytest.mark.slow
def test_kept_connections_are_spread_and_a_new_worker_takes_its_share(tmp_path: Path) -> None:
    with serving(tmp_path, settings_for(tmp_path, workers=2)) as server:
        port, master = server.settings.port, server.process.pid
        while len(held(master, port)) < 2:
            time.sleep(0.1)
        victim = psutil.Process(master).children()[0]
        victim.kill()
        victim.wait(20)
        deadline = time.monotonic() + 30
        while True:
            # Both must listen before it can be told who takes what.
            clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(8)]
            shares = sorted(settled(master, port, 8).values())
            for client in clients:
                client.close()
            if shares == [4, 4] or time.monotonic() > deadline:
                break
            settled(master, port, 0)
            time.sleep(0.3)
        assert shares == [4, 4]
        assert server.call("GET", SEARCH).status == 200
