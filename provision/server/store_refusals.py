"""What S3 refuses this server, or that it does not answer, told to clients instead of a bare 500.

MLflow lets botocore's errors through, and a client sees "Internal Server Error". Here each becomes
an error of MLflow's own that names the right which is missing: 403 where the server's role lacks
it, as asking again changes nothing, 503 where waiting may help. AWS's own words, which name the
role and the account, go to the log alone.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any, Final

_LOG: Final = logging.getLogger("provision.server")

# An operation's right has another name than the operation (Service Authorization Reference, S3).
_RIGHTS: Final[Mapping[str, str]] = {
    "HeadObject": "s3:GetObject",
    "ListObjectsV2": "s3:ListBucket",
    "ListObjects": "s3:ListBucket",
    "HeadBucket": "s3:ListBucket",
    "DeleteObjects": "s3:DeleteObject",
    "CreateMultipartUpload": "s3:PutObject",
    "UploadPart": "s3:PutObject",
    "CompleteMultipartUpload": "s3:PutObject",
    "ListParts": "s3:ListMultipartUploadParts",
}
# An answer to HEAD has no body, and then its status stands for S3's code.
_DENIED: Final = ("AccessDenied", "AllAccessDisabled", "403")
_CLOCK: Final = ("RequestTimeTooSkewed",)
_SAID: Final = re.compile(r"not authorized to perform:? ([\w-]+:\w+)")


def install() -> None:
    """From now on, for each client of S3 that is made of boto3's default session."""
    import boto3  # noqa: PLC0415 - only a server with its artifacts on S3 needs it

    boto3.setup_default_session()
    events = boto3.DEFAULT_SESSION.events
    events.register("after-call.s3", _refuse)
    events.register("after-call-error.s3", _give_up)


def right_of(operation: str, words: str) -> str:
    """The right that is missing: the one that AWS names, which may be a key's, or the call's."""
    said = _SAID.search(words)
    return said[1] if said else _RIGHTS.get(operation, f"s3:{operation}")


def _refuse(parsed: Mapping[str, Any], model: Any, **_: Any) -> None:
    """Raise MlflowException for an answer that says no."""
    error = parsed.get("Error") or {}
    code, words = str(error.get("Code", "")), str(error.get("Message", ""))
    if code in _CLOCK:
        raise _unavailable("S3 refuses requests as the clock of the server's machine is off", words)
    if code in _DENIED:
        raise _forbidden(right_of(model.name, words), words)


def _forbidden(right: str, words: str) -> Exception:
    from mlflow.exceptions import MlflowException  # noqa: PLC0415
    from mlflow.protos.databricks_pb2 import PERMISSION_DENIED  # noqa: PLC0415

    told = f"the server's role is not authorized to perform: {right} in its artifact store"
    _LOG.error("%s: %s", told, words or "Access Denied")
    return MlflowException(f"{told}; whoever runs the server can allow it", PERMISSION_DENIED)


def _give_up(exception: BaseException, **_: Any) -> None:
    """Raise MlflowException where no answer came, or none could be asked for."""
    from botocore.exceptions import BotoCoreError  # noqa: PLC0415

    if isinstance(exception, BotoCoreError):
        raise _unavailable("the server does not reach its artifact store", str(exception))


def _unavailable(told: str, words: str) -> Exception:
    from mlflow.exceptions import MlflowException  # noqa: PLC0415
    from mlflow.protos.databricks_pb2 import TEMPORARILY_UNAVAILABLE  # noqa: PLC0415

    _LOG.error("%s: %s", told, words)
    return MlflowException(f"{told}: {words}", TEMPORARILY_UNAVAILABLE)
