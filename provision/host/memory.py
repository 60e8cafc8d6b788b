"""How much memory and how many cores this machine has."""

from __future__ import annotations

import os
import re

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
