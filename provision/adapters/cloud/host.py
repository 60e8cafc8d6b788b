"""What a host tells without being reached: its boot report, its console, its first account."""

from __future__ import annotations

import json
from typing import Final, NamedTuple

from provision.adapters.cloud.failures import code_of, explained
from provision.adapters.cloud.objects import Bucket, read_object
from provision.adapters.cloud.session import Cloud
from provision.errors import ProvisionError
from provision.model.boot import BootReport, log_key, report_key
from provision.model.secrets import Secret

_NOT_THERE: Final = frozenset({"ResourceNotFoundException", "InvalidRequestException"})


class Login(NamedTuple):
    """The first account of a server."""

    username: str
    password: Secret


def read_report(cloud: Cloud, bucket: Bucket, instance: str) -> BootReport | None:
    """The instance's boot report; `None` before it has written one.

    Raises `ProvisionError` for something else in its place.
    """
    key = report_key(instance)
    text = read_object(cloud, bucket, key)
    if text is None:
        return None
    try:
        return BootReport.from_json(text.decode("utf-8", "replace"))
    except ValueError as error:
        raise ProvisionError(
            f"s3://{bucket.name}/{key} is not a boot report that this version can read: {error}",
            next_step="update provision, if a newer one made this stack; else provision repair",
        ) from error


def read_boot_log(cloud: Cloud, bucket: Bucket, instance: str) -> list[str]:
    """The last lines of the instance's boot log, as far as it has written them."""
    text = read_object(cloud, bucket, log_key(instance)) or b""
    return text.decode("utf-8", "replace").splitlines()


def read_console(cloud: Cloud, instance: str, lines: int) -> list[str]:
    """The last lines of the machine's own console, as far as EC2 has them."""
    with explained(cloud, f"read the console of {instance}"):
        answer = cloud.client("ec2").get_console_output(InstanceId=instance, Latest=True)
    # Botocore has decoded it already.
    text = str(answer.get("Output") or "")
    return [line.rstrip() for line in text.splitlines() if line.strip()][-lines:]


def read_login(cloud: Cloud, secret: str) -> Login | None:
    """The first account; `None` while the server has not written it.

    `secret` is the secret's ARN or name. Raises `ProvisionError` for another form.
    """
    with explained(cloud, "read the server's first account"):
        try:
            answer = cloud.client("secretsmanager").get_secret_value(SecretId=secret)
        except Exception as error:
            if code_of(error) in _NOT_THERE:
                return None
            raise
    try:
        value = json.loads(answer["SecretString"])
        return Login(str(value["username"]), Secret(str(value["password"])))
    except (KeyError, TypeError, ValueError) as error:
        raise ProvisionError(
            f"the secret {secret} does not hold a name and a password",
            next_step="provision repair: the server writes it again",
        ) from error
