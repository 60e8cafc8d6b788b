"""Artifacts on S3: how they come through the server, and what a client hears when S3 says no."""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import boto3
import pytest

from provision.adapters.tracking import TrackingClient, direct
from provision.adapters.tracking.direct import PART_BYTES
from provision.app.check import Looks, check
from provision.emulator.server import Server as Account
from provision.model.diagnosis import of_error
from provision.model.endpoint import Credentials, Endpoint
from provision.model.tracking import Answer, TrackingError
from provision.server.store_refusals import right_of
from tests.mlflow_servers import free_port
from tests.server.running import ADMIN, Server, auth_for, serving, settings_for

BUCKET = "provision-demo"
PATH = "/api/2.0/mlflow-artifacts/artifacts/1/a/artifacts/some%20file.bin"
LIST = "/api/2.0/mlflow-artifacts/artifacts?path=1/a/artifacts"


@dataclass
class Store:
    """A server whose artifacts are in an emulated account, where its rights are looked at."""

    account: Account
    server: Server

    def client(self, service: str) -> Any:
        return boto3.client(
            service, region_name="eu-west-1", endpoint_url=self.account.endpoint,
            aws_access_key_id="testing", aws_secret_access_key="testing",
        )  # fmt: skip

    def deny(self, *actions: str) -> None:
        allowed = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
        statements = [allowed, *({**allowed, "Effect": "Deny", "Action": a} for a in actions)]
        policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
        self.client("iam").put_user_policy(
            UserName="mlflow", PolicyName="s3", PolicyDocument=policy
        )

    def call(self, method: str, path: str, body: Any = None) -> Any:
        return self.server.call(method, path, body, user=ADMIN)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    folder = tmp_path_factory.mktemp("store")
    account = Account()
    account.start()
    made = Store(account, server=None)  # type: ignore[arg-type]
    try:
        iam = made.client("iam")
        iam.create_user(UserName="mlflow")
        key = iam.create_access_key(UserName="mlflow")["AccessKey"]
        made.client("s3").create_bucket(
            Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
        )
        settings = settings_for(
            folder, artifacts_destination=f"s3://{BUCKET}/artifacts", auth=auth_for(folder),
            direct_artifacts=False,
        )  # fmt: skip
        environment = {
            "MLFLOW_S3_ENDPOINT_URL": account.door, "AWS_DEFAULT_REGION": "eu-west-1",
            "AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_MAX_ATTEMPTS": "1",
            "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
        }  # fmt: skip
        with serving(folder, settings, environment=environment) as made.server:
            yield made
    finally:
        account.stop()


@pytest.mark.slow
def test_an_artifact_goes_through_and_a_missing_right_is_named(store: Store) -> None:
    store.deny()
    content = secrets.token_bytes(3 * 2**20 + 7)
    assert store.call("PUT", PATH, content).status == 200
    came = store.call("GET", PATH)
    assert (came.status, came.headers["content-length"]) == (200, str(len(content)))
    assert hashlib.sha256(came.body).digest() == hashlib.sha256(content).digest()
    assert store.server.call("GET", PATH).status == 401
    assert store.call("GET", PATH.replace("some", "no")).status in (404, 500)
    for action, (method, path, body) in {
        "s3:PutObject": ("PUT", PATH, content),
        "s3:GetObject": ("GET", PATH, None),
        "s3:ListBucket": ("GET", LIST, None),
    }.items():
        store.deny(action)
        refused = store.call(method, path, body)
        assert refused.status == 403, refused.body
        told = refused.json()
        assert told["error_code"] == "PERMISSION_DENIED"
        assert f"not authorized to perform: {action}" in told["message"]
        assert "arn:aws" not in told["message"], "who it is stays in the log"
    log = store.server.log.read_text()
    assert "not authorized to perform: s3:PutObject in its artifact store: User: arn:aws" in log
    assert "Traceback" not in log
    store.deny()
    assert store.call("GET", PATH).status == 200


@pytest.mark.slow
def test_a_check_sends_large_files_as_clients_do_straight_to_the_store(
    store: Store, tmp_path: Path
) -> None:
    store.deny()
    (tmp_path / "password").write_text(ADMIN[1])
    endpoint = Endpoint(
        "t", f"http://127.0.0.1:{store.server.settings.port}", version("mlflow"),
        Credentials(ADMIN[0], tmp_path / "password"), direct=True,
    )  # fmt: skip
    looks = Looks(version("mlflow"), large=2 * PART_BYTES + 7)
    report = check(endpoint, TrackingClient.from_endpoint, time.perf_counter, looks)
    assert report.passed, report.first_failure
    told = [f.observed for f in report.findings if f.id == "large-artifact"]
    assert ["straight to and from the store" in words for words in told] == [True]
    left = store.client("s3").list_multipart_uploads(Bucket=BUCKET)
    assert not left.get("Uploads")


def test_a_store_that_only_the_server_reaches_is_named_without_what_was_signed() -> None:
    asked: list[str] = []

    def ask(_method: str, path: str, *_: object) -> Answer:
        asked.append(path)
        signed = f"http://127.0.0.1:{free_port()}/b/k?X-Amz-Signature=secret"
        begun = {"upload_id": "u", "credentials": [{"part_number": 1, "url": signed}]}
        return Answer(200, {}, json.dumps(begun).encode())

    with pytest.raises(TrackingError) as caught:
        direct.upload(ask, "1/a/artifacts/large.bin", 4, [b"four"], 5)
    assert of_error("large-artifact", caught.value) == "large-artifact.store-unreachable"
    assert "secret" not in caught.value.message
    assert [path.split("/")[5] for path in asked] == ["create", "abort"]


@pytest.mark.parametrize(
    ("operation", "words", "right"),
    [
        ("PutObject", "Access Denied", "s3:PutObject"),
        ("HeadObject", "", "s3:GetObject"),
        ("UploadPart", "", "s3:PutObject"),
        (
            "PutObject",
            "is not authorized to perform: kms:GenerateDataKey on",
            "kms:GenerateDataKey",
        ),
    ],
)
def test_the_right_that_is_missing(operation: str, words: str, right: str) -> None:
    assert right_of(operation, words) == right
