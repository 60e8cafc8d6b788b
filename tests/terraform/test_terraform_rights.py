"""What the server's role can and cannot do, tried with its own credentials."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.terraform.emulation import EmulatedAws, enforced
from tests.terraform.program import REGION, Workspace, needs_terraform

pytestmark = [needs_terraform, pytest.mark.slow, pytest.mark.xdist_group("terraform-rights")]
BUCKET = f"provision-rights-123456789012-{REGION}"
OTHER = "somebody-elses-bucket"
ROLE = "provision-rights-server"
PROGRAM = "provision/host/provision.pyz"
VALUES = {"name": "rights", "region": REGION, "user_data": "#cloud-config\n"}


@pytest.fixture(scope="module")
def role(aws: EmulatedAws, stack: Callable[[str], Workspace]) -> Any:
    """A client of S3 with the role's rights, and the buckets that it tries them on."""
    tracking = stack("tracking")
    file = tracking.folder / "rights.tfvars.json"
    file.write_text(json.dumps(VALUES), encoding="utf-8")
    target = "-target=module.tracking_server.aws_iam_role_policy.use"
    tracking.ok("apply", "-auto-approve", f"-var-file={file}", target)
    s3 = aws.client("s3")
    for bucket in (BUCKET, OTHER):
        place = {"LocationConstraint": REGION}
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration=place)
        for key in ("model", "artifacts/model", PROGRAM):
            s3.put_object(Bucket=bucket, Key=key, Body=b"1")
    yield aws.client("s3", ROLE)
    for bucket in (BUCKET, OTHER):
        for item in s3.list_objects_v2(Bucket=bucket).get("Contents", []):
            s3.delete_object(Bucket=bucket, Key=item["Key"])
        s3.delete_bucket(Bucket=bucket)
    tracking.ok("destroy", "-auto-approve", f"-var-file={file}")


def test_role_can_do_all_that_mlflow_does_with_artifacts(role: Any) -> None:
    with enforced():
        role.put_object(Bucket=BUCKET, Key="artifacts/a", Body=b"x")
        assert role.get_object(Bucket=BUCKET, Key="artifacts/a")["Body"].read() == b"x"
        role.head_object(Bucket=BUCKET, Key="artifacts/a")
        assert role.list_objects_v2(Bucket=BUCKET, Prefix="artifacts/")["KeyCount"] == 2
        role.get_bucket_location(Bucket=BUCKET)
        upload = role.create_multipart_upload(Bucket=BUCKET, Key="artifacts/big")["UploadId"]
        where = {"Bucket": BUCKET, "Key": "artifacts/big", "UploadId": upload}
        tag = role.upload_part(**where, PartNumber=1, Body=b"x")["ETag"]
        role.list_parts(**where)
        parts = {"Parts": [{"PartNumber": 1, "ETag": tag}]}
        role.complete_multipart_upload(**where, MultipartUpload=parts)
        ours = [{"Key": "artifacts/a"}, {"Key": "artifacts/big"}]
        role.delete_objects(Bucket=BUCKET, Delete={"Objects": ours})


def test_role_reads_its_program_and_tells_how_it_is(role: Any) -> None:
    with enforced():
        assert role.get_object(Bucket=BUCKET, Key=PROGRAM)["Body"].read() == b"1"
        handed = "provision/transfer/1/mlflow.db"
        for key in ("provision/boot/i-1.json", "provision/public/ca.pem", handed):
            role.put_object(Bucket=BUCKET, Key=key, Body=b"{}")
            assert role.get_object(Bucket=BUCKET, Key=key)["Body"].read() == b"{}"


@pytest.mark.parametrize(
    "attempt",
    [
        lambda s3: s3.get_object(Bucket=OTHER, Key="artifacts/model"),
        lambda s3: s3.list_objects_v2(Bucket=OTHER),
        lambda s3: s3.put_object(Bucket=OTHER, Key="artifacts/x", Body=b""),
        lambda s3: s3.get_object(Bucket=BUCKET, Key="model"),
        lambda s3: s3.put_object(Bucket=BUCKET, Key="model", Body=b""),
        lambda s3: s3.put_object(Bucket=BUCKET, Key=PROGRAM, Body=b"mine now"),
        lambda s3: s3.delete_object(Bucket=BUCKET, Key=PROGRAM),
        lambda s3: s3.delete_object(Bucket=BUCKET, Key="provision/public/ca.pem"),
        lambda s3: s3.delete_object(Bucket=BUCKET, Key="provision/transfer/1/mlflow.db"),
        lambda s3: s3.list_buckets(),
        lambda s3: s3.list_object_versions(Bucket=BUCKET),
        lambda s3: s3.put_bucket_versioning(
            Bucket=BUCKET, VersioningConfiguration={"Status": "Suspended"}
        ),
        lambda s3: s3.delete_bucket_policy(Bucket=BUCKET),
        lambda s3: s3.delete_bucket(Bucket=BUCKET),
    ],
    ids=[
        "read another bucket", "list another bucket", "write another bucket",
        "read beside the artifacts", "write beside the artifacts", "change its program",
        "delete its program", "delete the authority", "delete what it handed over", "list buckets",
        "list versions", "stop versioning", "drop the TLS policy", "delete the bucket",
    ],
)  # fmt: skip
def test_role_can_do_nothing_else_with_s3(attempt: Callable[[Any], Any], role: Any) -> None:
    with enforced(), pytest.raises(ClientError) as refused:
        attempt(role)
    assert refused.value.response["Error"]["Code"] == "AccessDenied"
