"""Small objects past botocore: what is believed, and what botocore is asked for again."""

from __future__ import annotations

import base64
import zlib
from hashlib import sha256
from pathlib import Path

import pytest

from provision.server.archive.bucket import Bucket
from provision.server.archive.quick import _arrived
from tests.server.test_archive_bucket import OWNER, REGION, ROOT, S3, s3

__all__ = ["s3"]


def test_botocore_is_asked_for_the_first_object_alone(
    s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    names = ["a b/ü+%.txt", "2", "3", "4"]
    for name in names:
        s3.put(f"artifacts/{name}", name.encode())
    bucket, asked = Bucket(ROOT, REGION, OWNER), []
    bucket._s3.meta.events.register("before-call.s3.GetObject", lambda **_: asked.append(1))
    for found in list(bucket.all(print)):
        fetched = found.fetch(tmp_path / "one", lambda _: None)
        assert fetched is not None
        assert (tmp_path / "one").read_bytes() == found.name.encode()
        assert fetched.digest == sha256(found.name.encode()).hexdigest()
        assert fetched.facts == found.facts()
    assert len(asked) == 1
    assert bucket.get("gone", 1, tmp_path / "one", lambda _: None) is None
    assert len(asked) == 2, "what is not there is botocore's to say"


@pytest.mark.parametrize(
    ("told", "believed"),
    [
        ({}, True),
        ({"Content-Length": "3"}, False),
        ({"x-amz-checksum-crc32": zlib.crc32(b"text").to_bytes(4, "big")}, True),
        ({"x-amz-checksum-crc32": b"0000"}, False),
        ({"x-amz-checksum-sha256": sha256(b"text").digest()}, True),
        ({"x-amz-checksum-sha256": sha256(b"next").digest()}, False),
        ({"x-amz-checksum-sha256": "of-parts-2"}, True),
    ],
)
def test_what_did_not_arrive_as_s3_has_it_is_not_believed(
    told: dict[str, str | bytes], believed: bool
) -> None:
    headers = {"Content-Length": "4"} | {
        name: value if isinstance(value, str) else base64.b64encode(value).decode()
        for name, value in told.items()
    }
    assert _arrived(b"text", sha256(b"text").digest(), headers) is believed
