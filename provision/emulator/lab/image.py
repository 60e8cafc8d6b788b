"""The machine's disk: a Debian 12 by mmdebstrap, kept as a squashfs in the user's cache."""

from __future__ import annotations

import datetime
import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

from provision.emulator.lab import authority, sources
from provision.emulator.lab.system import run

_FINISH = Path(__file__).with_name("finish.sh")
# What the EC2 image has, by Debian's own list (package debian-cloud-images-packages), as far as a
# machine without hardware can use it. No venv, no pip, no compiler, no web server: as there.
PACKAGES = (
    "systemd", "systemd-sysv", "systemd-resolved", "libnss-resolve", "systemd-timesyncd", "dbus",
    "libpam-systemd", "udev", "cloud-init", "cloud-guest-utils", "netplan.io", "python3",
    "ca-certificates", "openssh-server", "sudo", "curl", "iproute2", "iputils-ping", "less",
    "procps", "unattended-upgrades", "gnupg", "isc-dhcp-client", "gdisk", "openssl", "logrotate",
    "apparmor", "iptables",
)  # fmt: skip

Say = Callable[[str], None]


def prepare(cache: Path, say: Say) -> Path:
    """The image of this month, made where it is not in the cache (minutes, and 140 MB).

    Raises `ProvisionError` with mmdebstrap's last words when Debian's archive cannot be reached.
    """
    root = authority.keep(cache, "rehearsal-ca")
    image = _place(cache, root.fingerprint)
    if not image.exists():
        say("making the Debian 12 image, once for this month (a few minutes)")
        _make(cache, image)
        _forget_others(cache, image)
    return image


def is_made(cache: Path) -> bool:
    """Whether the image of this month is there, for the authority that is. Nothing is made."""
    known = authority.find(cache, "rehearsal-ca")
    return known is not None and _place(cache, known.fingerprint).exists()


def _place(cache: Path, ca: str) -> Path:
    return cache / f"debian-12-{_key(ca)}.squashfs"


def _key(ca: str) -> str:
    month = datetime.datetime.now(datetime.UTC).strftime("%Y-%m")
    parts = (*PACKAGES, _FINISH.read_text(encoding="utf-8"), month, ca)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _make(cache: Path, image: Path) -> None:
    tree, half = cache / "tree", image.with_suffix(".half")
    shutil.rmtree(tree, ignore_errors=True)
    try:
        run(_mmdebstrap(tree, cache), doing="make a Debian tree by mmdebstrap")
        half.unlink(missing_ok=True)
        pack: list[str | Path] = [
            "mksquashfs",
            tree,
            half,
            "-comp",
            "zstd",
            "-Xcompression-level",
            "3",
            "-quiet",
        ]
        run([*pack, "-no-progress"], doing="pack the Debian tree")
        half.rename(image)
    finally:
        shutil.rmtree(tree, ignore_errors=True)


def _mmdebstrap(tree: Path, cache: Path) -> list[str | Path]:
    options = [f"--aptopt={line}" for line in sources.options()]
    return [
        "mmdebstrap", "--quiet", "--mode=root", "--variant=important", "--format=directory",
        f"--include={','.join(PACKAGES)}",
        '--aptopt=Acquire::Languages "none"', '--aptopt=APT::Install-Recommends "false"', *options,
        f"--customize-hook=sh '{_FINISH}' \"$1\" '{cache / 'rehearsal-ca.crt'}'",
        "bookworm", tree, *sources.lines(),
    ]  # fmt: skip


def _forget_others(cache: Path, image: Path) -> None:
    """Earlier months' images; one that a lab has mounted lives on until it is unmounted."""
    for other in cache.glob("debian-12-*.squashfs"):
        if other != image:
            other.unlink()
