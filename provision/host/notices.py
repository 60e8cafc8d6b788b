"""What the machine tells people: by the stack's topic, once a day for each kind, and never loudly.

A right that is missing, or a topic that is gone, must not stop a machine from its work.
"""

from __future__ import annotations

import shutil
import time
from typing import Final

from provision.host import files
from provision.host.failures import HostError
from provision.host.run import Host
from provision.model.boot import BootReport

DISK: Final = "disk"
CERTIFICATE: Final = "certificate"
FAILURE: Final = "failure"
IDLE: Final = "idle"
ARCHIVE: Final = "archive"
ARCHIVED: Final = "archived"
FULL_FROM: Final = 0.9
"""The part of the disk that is used when somebody has to know."""
_DAY: Final = 24 * 3600.0
_PATIENCE: Final = 900.0  # a server comes back by itself from most of what fails for shorter


def tell(host: Host, kind: str, subject: str, text: str) -> str:
    """Publish a notice; returns what became of it, empty where nothing was to be done."""
    if not host.settings.topic:
        return ""
    mark = host.places.state / f"told-{kind}"
    if time.time() - _number(files.read(mark)) < _DAY:
        return ""
    try:
        host.aws.notify(host.settings.topic, f"{host.settings.name}: {subject}", text)
    except HostError as error:
        return f"nobody could be told of it: {error.message}"
    files.write(mark, f"{time.time():.0f}\n")
    return "people were told"


def look_at_disk(host: Host) -> str:
    """Tell of a disk that is nearly full; returns how full it is."""
    seen = shutil.disk_usage(host.places.state)
    used = seen.used / seen.total
    said = ""
    if used >= FULL_FROM:
        said = tell(
            host, DISK, "its disk is nearly full",
            f"{used:.0%} of the disk of the MLflow server {host.settings.name} is used. A larger "
            "disk_gib under aws.settings in the spec, then provision up, makes it grow.",
        )  # fmt: skip
    return "; ".join(word for word in (f"{used:.0%} of the disk is used", said) if word)


def look_at_report(host: Host, report: BootReport) -> str:
    """Tell of a machine that has failed for a while, and forget that once it is ready."""
    since = host.places.state / "failing-since"
    if report.state == "ready":
        since.unlink(missing_ok=True)
        return ""
    began = _number(files.read(since))
    if not began:
        files.write(since, f"{time.time():.0f}\n")
    if not began or time.time() - began < _PATIENCE or report.failure is None:
        return ""
    return tell(
        host, FAILURE, "it does not come up",
        f"The MLflow server {host.settings.name} fails again and again in its phase "
        f"{report.failure.phase}: {report.failure.cause}\nnext step: {report.failure.next_step}",
    )  # fmt: skip


def _number(text: str) -> float:
    return float(text) if text.strip().isdigit() else 0.0
