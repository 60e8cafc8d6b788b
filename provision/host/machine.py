"""What this machine is: its memory, its cores, its own address."""

from __future__ import annotations

import os
import re
import socket

from provision.host import files
from provision.host.places import Places
from provision.model.sizing import Machine


def machine(places: Places) -> Machine:
    """What the server may count on."""
    memory = memory_of(files.read(places.at("/proc/meminfo")))
    return Machine(memory=memory, cores=len(os.sched_getaffinity(0)))


def memory_of(text: str) -> int:
    """The machine's memory in bytes, from the text of /proc/meminfo; 0 where it does not say."""
    found = re.search(r"^MemTotal:\s+(\d+) kB", text, re.MULTILINE)
    return int(found.group(1)) * 1024 if found else 0


def own_address() -> str:
    """The address at which clients arrive: not the loopback, for which the proxy has another
    certificate. Nothing is sent; the kernel only says from where it would."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 443))  # RFC 5737: nobody's
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])
