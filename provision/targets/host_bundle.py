"""The bundle: what a host starts with, put into the stack's bucket under `provision/host/`.

The program is this very package, as a zip without compression and without times: the same version
gives the same bytes on every machine, and an `up` that changes nothing uploads nothing. The
manifest goes last; a host that reads it in between finds hashes that do not fit, and waits.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from provision.adapters.cloud.objects import Bucket, Content, put_changed, sha256, size
from provision.adapters.cloud.session import Cloud
from provision.adapters.wheels import Wheel, WheelCache, locked
from provision.host.settings import HostSettings
from provision.model.leftovers import Names
from provision.model.lifetime import Lifetime
from provision.model.schedules import archive_of
from provision.model.spec import DEFAULT_PERMISSIONS, Spec

PREFIX: Final = "provision/host/"
SCHEMA: Final = "provision.bundle/1"
TUNNEL_HOSTS: Final = ("localhost", "127.0.0.1")
"""How a client at the end of a tunnel names the server."""

_PACKAGE: Final = Path(__file__).parents[1]
_LOCKS: Final = _PACKAGE / "host" / "locks"
_PARTS: Final = (
    "__init__.py", "_version.py", "errors.py", "host", "model", "server", "serving",
    "adapters/__init__.py", "adapters/tracking", "adapters/workspace.py",
)  # fmt: skip
_KINDS: Final = (".py", ".html")
_MAIN: Final = """\
from provision.host.__main__ import main

main()
"""
_MANIFEST: Final = "manifest.json"
# The first moment that a zip file can name.
_NO_TIME: Final = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Bundle:
    """The files of a bundle by their names, without the manifest."""

    files: Mapping[str, Content]

    @property
    def manifest(self) -> bytes:
        """Names, hashes and sizes of all the files."""
        files = {
            name: {"sha256": sha256(content), "bytes": size(content)}
            for name, content in sorted(self.files.items())
        }
        return json.dumps({"schema": SCHEMA, "files": files}, indent=1).encode() + b"\n"


def architecture(spec: Spec) -> str:
    """The machine's, as Linux calls it: by the image, whose public parameter names it."""
    image = spec.aws.settings.image_parameter or ""
    return "aarch64" if "arm64" in image else "x86_64"


def program() -> bytes:
    """`provision.pyz`: this package, as far as a host needs it."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(_entry("__main__.py"), _MAIN)
        for path in _sources():
            name = path.relative_to(_PACKAGE.parent).as_posix()
            archive.writestr(_entry(name), path.read_bytes())
    return made.getvalue()


def _sources() -> Iterator[Path]:
    for part in _PARTS:
        path = _PACKAGE / part
        below = sorted(file for file in path.rglob("*") if file.suffix in _KINDS)
        yield from below if path.is_dir() else [path]


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _NO_TIME)
    entry.external_attr = 0o644 << 16
    return entry


def host_settings(  # noqa: PLR0913 - all but two are passed by name
    spec: Spec,
    names: Names,
    *,
    region: str,
    address: str,
    mlflow_version: str,
    topic: str = "",
) -> HostSettings:
    """What the host is told. `address` is the Elastic IP, `topic` the ARN of the alarms' one."""
    access, server = spec.access, spec.server
    return HostSettings(
        name=spec.name,
        region=region,
        bucket=names.bucket,
        artifact_root=f"s3://{names.bucket}/artifacts",
        database_identifier=names.prefix,
        mlflow_version=mlflow_version,
        admin_secret=f"{names.prefix}/admin" if access.auth == "basic" else "",
        hosts=_hosts(spec, address),
        auth=access.auth,
        default_permission=DEFAULT_PERMISSIONS[access.others],
        artifacts=spec.artifacts.mode,
        packages=spec.aws.packages,
        ssm=True,
        memory=server.memory_bytes,
        workers=None if server.workers == "auto" else server.workers,
        threads=None if server.threads == "auto" else server.threads,
        job_runner=server.job_runner is True,
        extra_hosts=_extra_hosts(spec),
        allowed_origins=access.allowed_origins,
        topic=topic,
        idle_hours=spec.lifetime.idle_hours or 0,
        archive_from=_archive_from(spec.lifetime),
        ends_on=str(spec.lifetime.until or ""),
    )


def _archive_from(lifetime: Lifetime) -> str:
    """When the machine archives before it goes; empty where the spec lets it stay."""
    moment = archive_of(lifetime)
    return "" if moment is None else moment.isoformat()


def _hosts(spec: Spec, address: str) -> tuple[str, ...]:
    own = (spec.access.domain,) if spec.access.domain else ()
    return (*own, address, *TUNNEL_HOSTS)


def _extra_hosts(spec: Spec) -> tuple[str, ...]:
    """Without ports: here there is one, and the host's rule knows each name with and without."""
    return tuple(dict.fromkeys(host.partition(":")[0] for host in spec.access.allowed_hosts))


def fetched(cache: WheelCache, arch: str, packages: str) -> dict[str, Path]:
    """The bundle's files that come from the package index: uv, and with `bundled` every wheel."""
    pin = json.loads((_LOCKS / "uv.json").read_text(encoding="utf-8"))
    uv = Wheel(pin["name"], pin["version"], pin["wheels"][arch]["sha256"])
    files = {"uv.whl": next(iter(cache.get([uv], arch).values()))}
    if packages == "bundled":
        found = cache.get(locked(lock_text(arch)), arch)
        files |= {f"wheels/{name}": path for name, path in found.items()}
    return files


def lock_text(arch: str) -> str:
    """The lock of the server's environment for an architecture: one hash for each package."""
    return (_LOCKS / f"{arch}.lock").read_text(encoding="utf-8")


def bundle(settings: HostSettings, arch: str, from_index: Mapping[str, Path]) -> Bundle:
    """All of it, from the settings and from what `fetched` brought."""
    return Bundle(
        {
            "provision.pyz": program(),
            "requirements.lock": lock_text(arch).encode(),
            "settings.json": settings.to_json().encode(),
            **from_index,
        }
    )


def upload(
    cloud: Cloud, bucket: Bucket, made: Bundle, on_done: Callable[[str], None] = lambda _: None
) -> tuple[str, ...]:
    """Write what the bucket does not hold yet, the manifest last; returns the names of it."""
    objects = {PREFIX + name: content for name, content in made.files.items()}
    changed = put_changed(cloud, bucket, objects, lambda key: on_done(key.removeprefix(PREFIX)))
    manifest = put_changed(cloud, bucket, {PREFIX + _MANIFEST: made.manifest})
    return tuple(key.removeprefix(PREFIX) for key in changed or manifest)
