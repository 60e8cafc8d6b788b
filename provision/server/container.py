"""`python -m provision.server.container SETTINGS.json`: the server as a container's main program.

With `bucket` instead of the settings, the bucket is made and nothing else happens.

A container is given its secrets in the environment. They go into files of mode 0600 in memory (the
container's `/tmp`) and out of the environment, the bucket is made where there is none, and then
this process becomes the server.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any, Final

from provision.server.failures import first_line

SECRETS: Final = Path("/tmp/provision")  # noqa: S108 - the container's own, and in memory
FILES: Final = {
    "ADMIN_PASSWORD": "admin-password",
    "SESSION_KEY": "session-key",
    "GATEWAY_PASSPHRASE": "gateway-passphrase",
}
"""What the environment holds, and the file that the server reads it from."""
PASSFILE: Final = "database.pass"
_DATABASE: Final = "DATABASE_PASSWORD"
_PATIENCE_SECONDS: Final = 60.0
_THERE: Final = ("BucketAlreadyOwnedByYou", "BucketAlreadyExists")


def main(arguments: list[str]) -> None:
    """Prepare, then run the server in place of this process."""
    if arguments == ["bucket"]:
        ensure_bucket(os.environ["STORE_BUCKET"])
        return
    os.umask(0o077)
    keep_secrets(os.environ, SECRETS)
    ensure_bucket(os.environ["STORE_BUCKET"])
    server = [sys.executable, "-P", "-m", "provision.server", *arguments]
    os.execv(sys.executable, server)  # noqa: S606 - the arguments are ours


def keep_secrets(environment: MutableMapping[str, str], folder: Path) -> None:
    """Move the secrets out of the environment, where every program that is started would see them.

    Those of the object store stay: boto reads them there.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    password = environment.pop(_DATABASE)
    _write(folder / PASSFILE, f"*:*:*:*:{password}\n")
    for name, file in FILES.items():
        if value := environment.pop(name, ""):
            _write(folder / file, value + "\n")


def _write(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        stream.write(text)


def ensure_bucket(name: str) -> None:
    """Make the bucket where there is none; waits for the store for a minute."""
    import boto3  # noqa: PLC0415 - takes longer than all the rest
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    store: Any = boto3.client("s3")
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            names = [bucket["Name"] for bucket in store.list_buckets()["Buckets"]]
            if name not in names:
                store.create_bucket(Bucket=name)
            return
        except (BotoCoreError, ClientError) as error:
            if any(word in str(error) for word in _THERE):
                return
            if time.monotonic() > deadline:
                sys.exit(f"the object store cannot be used: {first_line(error)}")
        time.sleep(1)


if __name__ == "__main__":
    main(sys.argv[1:])
