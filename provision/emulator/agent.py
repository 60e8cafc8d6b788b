"""A stand-in for the agent of Systems Manager, as AWS publishes the real one for Debian.

It says that it is there, and no more: what Run Command was sent is executed by the lab, from
outside the machine, as long as the stand-in runs.
"""

from __future__ import annotations

import io
import re
import tarfile
from functools import cache

# Systems Manager's user guide, "Manually installing SSM Agent on Debian Server instances".
PATH = re.compile(r"/amazon-ssm-[a-z0-9-]+/latest/debian_(amd64|arm64)/amazon-ssm-agent\.deb")
ONLINE = "var/lib/amazon/ssm/online"  # exists in a machine while its agent runs
_CONTROL = """\
Package: amazon-ssm-agent
Version: 3.3.0.0-1+rehearsal
Architecture: {architecture}
Maintainer: provision <nobody@example.invalid>
Description: stand-in for AWS' agent, for rehearsals
"""
_POSTINST = """\
#!/bin/sh
set -e
systemctl daemon-reload
systemctl enable --now amazon-ssm-agent.service
"""
_UNIT = f"""\
[Unit]
Description=amazon-ssm-agent
After=network-online.target

[Service]
ExecStart=/bin/sleep infinity
ExecStartPost=/bin/sh -c 'mkdir -p /{ONLINE.rpartition("/")[0]} && touch /{ONLINE}'
ExecStopPost=/bin/rm -f /{ONLINE}
Restart=always

[Install]
WantedBy=multi-user.target
"""


@cache
def package(architecture: str) -> bytes:
    """The file that a machine downloads: a Debian package (deb(5))."""
    control = {
        "control": (_CONTROL.format(architecture=architecture), 0o644),
        "postinst": (_POSTINST, 0o755),
    }
    data = {"lib/systemd/system/amazon-ssm-agent.service": (_UNIT, 0o644)}
    parts = {
        "debian-binary": b"2.0\n",
        "control.tar.gz": _tar(control),
        "data.tar.gz": _tar(data),
    }
    return b"!<arch>\n" + b"".join(_member(name, body) for name, body in parts.items())


def _member(name: str, body: bytes) -> bytes:
    """One file of an archive by ar, padded to an even length."""
    head = f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(body):<10}`\n"
    return head.encode() + body + b"\n" * (len(body) % 2)


def _tar(files: dict[str, tuple[str, int]]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz", format=tarfile.USTAR_FORMAT) as archive:
        for name, (text, mode) in files.items():
            info = tarfile.TarInfo(f"./{name}")
            info.size, info.mode = len(text.encode()), mode
            archive.addfile(info, io.BytesIO(text.encode()))
    return packed.getvalue()
