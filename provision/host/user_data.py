"""What the machine is given at its first boot: names, the loader, and the unit that runs it.

EC2 takes at most 16 KB, and every program on the machine can read it: it holds no secret.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

LIMIT_BYTES: Final = 16384
UNIT: Final = "provision-host.service"
LOADER: Final = "/usr/local/sbin/provision-host"

_UNIT_TEXT: Final = f"""\
[Unit]
Description=Bring this tracking server into the state that its stack asks for
Documentation=https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/user-data.html
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=0

[Service]
Type=oneshot
ExecStart=/usr/bin/python3 {LOADER}
Restart=on-failure
RestartSec=60
TimeoutStartSec=infinity
StandardOutput=journal+console
StandardError=journal+console

[Install]
WantedBy=multi-user.target
"""


def user_data(*, name: str, region: str, bucket: str) -> str:
    """The cloud-config of a stack's host; the same words give the same text.

    `locale` is set because cloud-init's own way fails on images without locales; nothing is
    upgraded, as that would cost more time than all the rest.
    """
    stack = json.dumps({"name": name, "region": region, "bucket": bucket}) + "\n"
    loader = Path(__file__).with_name("loader.py").read_text(encoding="utf-8")
    files = (
        _file("/etc/provision/stack.json", "0644", stack),
        _file(f"/etc/systemd/system/{UNIT}", "0644", _UNIT_TEXT),
        _file(LOADER, "0755", loader),
    )
    return (
        "#cloud-config\n"
        "locale: C.UTF-8\npackage_update: false\npackage_upgrade: false\n"
        f"write_files:\n{''.join(files)}"
        "runcmd:\n"
        "- [systemctl, daemon-reload]\n"
        f"- [systemctl, enable, {UNIT}]\n"
        f"- [systemctl, start, --no-block, {UNIT}]\n"
    )


def _file(path: str, mode: str, text: str) -> str:
    body = "".join(f"    {line}\n" if line else "\n" for line in text.splitlines())
    return f'- path: {path}\n  permissions: "{mode}"\n  content: |\n{body}'
