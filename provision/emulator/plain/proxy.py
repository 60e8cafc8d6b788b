"""Stands in for Caddy in a folder: `python -m provision.emulator.plain.proxy ROOT`.

It makes its authority where Caddy keeps its own, and answers at the port where a tunnel would end.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
from pathlib import Path

from provision.emulator.lab import authority
from provision.emulator.lab.front import Front
from provision.emulator.plain.programs import PORT

_AUTHORITY = "var/lib/caddy/.local/share/caddy/pki/authorities/local"


def main(root: Path) -> None:
    """Answer until killed."""
    folder = root / _AUTHORITY
    folder.mkdir(parents=True, exist_ok=True)
    own = authority.keep(folder, "root")
    bundle = root / "opt" / "provision" / "bundle"
    hosts = json.loads((bundle / "settings.json").read_text(encoding="utf-8"))["hosts"]
    stack = json.loads((root / "etc" / "provision" / "stack.json").read_text(encoding="utf-8"))
    host, _, port = stack["front"].rpartition(":")
    listener = socket.create_server((host, int(port)), reuse_port=False)

    def route(_name: str) -> tuple[str, int]:
        return "127.0.0.1", int((root / PORT).read_text(encoding="ascii"))

    Front(own, folder, [listener], route, nameless=hosts[0]).start()
    threading.Event().wait()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
