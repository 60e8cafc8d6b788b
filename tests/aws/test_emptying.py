"""A versioned bucket is emptied to its end: in bounded memory, and slower when S3 says so."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from moto.s3.models import s3_backends

from provision.adapters.cloud import emptying
from provision.adapters.cloud.emptying import empty_bucket
from provision.adapters.cloud.pace import Pace
from provision.adapters.cloud.session import Cloud
from provision.emulator import control
from provision.emulator.faults import Fault
from provision.errors import ProvisionError
from provision.model.emptied import Emptied
from tests.aws.stack import REGION
from tests.terraform.emulation import ACCOUNT, EmulatedAws, emulated_aws

pytestmark = pytest.mark.slow
BUCKET = "full"
PAGES = 14


@pytest.fixture
def aws() -> Iterator[EmulatedAws]:
    with emulated_aws(REGION, faults=True) as account:
        place = {"LocationConstraint": REGION}
        s3 = account.client("s3")
        s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration=place)
        s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        yield account


def cloud_of(aws: EmulatedAws) -> Cloud:
    files = {"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null"}
    return Cloud(aws.environment | files, REGION, attempts=1)


def fill(keys: int, versions: int = 2) -> None:
    """Straight into the emulation: putting them one by one would take longer than all else."""
    backend = s3_backends[ACCOUNT]["aws"]
    for number in range(keys):
        for _ in range(versions):
            backend.put_object(BUCKET, f"{number % 7}/run-{number:06}/model.bin", value=b"12345")


def everything(aws: EmulatedAws) -> int:
    bucket = s3_backends[ACCOUNT]["aws"].buckets[BUCKET]
    uploads = aws.client("s3").list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])
    return sum(len(bucket.keys.getlist(key)) for key in bucket.keys) + len(uploads)


class Watched:
    """How many pages were listed and not deleted yet, at most."""

    def __init__(self, cloud: Cloud) -> None:
        self._lock = threading.Lock()
        self._now = self.most = 0
        events = cloud.client("s3").meta.events
        events.register("after-call.s3.ListObjectVersions", self._listed)
        events.register("after-call.s3.DeleteObjects", self._deleted)

    def _listed(self, parsed: dict[str, Any], **_: Any) -> None:
        with self._lock:
            self._now += bool(parsed.get("Versions") or parsed.get("DeleteMarkers"))
            self.most = max(self.most, self._now)

    def _deleted(self, **_: Any) -> None:
        with self._lock:
            self._now -= 1


def test_all_versions_markers_and_uploads_go_with_few_pages_in_memory(
    aws: EmulatedAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(emptying, "_AT_ONCE", 4)
    monkeypatch.setattr(emptying, "_KEYS", 50)
    fill(PAGES * 25)
    s3 = aws.client("s3")
    for number in range(3):
        s3.delete_object(Bucket=BUCKET, Key=f"{number % 7}/run-{number:06}/model.bin")
    for number in range(2):
        s3.create_multipart_upload(Bucket=BUCKET, Key=f"never-ended-{number}")
    cloud, seen = cloud_of(aws), []
    watched = Watched(cloud)
    gone = empty_bucket(cloud, BUCKET, ACCOUNT, seen.append)
    assert gone == Emptied(versions=PAGES * 50, bytes=PAGES * 250, markers=3, uploads=2)
    assert everything(aws) == 0
    assert [s.versions + s.markers for s in seen] == sorted(s.versions + s.markers for s in seen)
    assert watched.most <= 2 * 4 + 2, "the listing ran ahead of the deletions"
    assert empty_bucket(cloud, BUCKET, ACCOUNT).is_nothing, "it is safe to repeat"
    assert empty_bucket(cloud, "not-there", ACCOUNT).is_nothing


def test_only_what_is_below_a_prefix_goes_when_that_is_asked(aws: EmulatedAws) -> None:
    fill(60)
    gone = empty_bucket(cloud_of(aws), BUCKET, ACCOUNT, prefix="3/")
    assert gone.versions == 2 * len(range(3, 60, 7))
    left = aws.client("s3").list_object_versions(Bucket=BUCKET)["Versions"]
    assert len(left) == 120 - gone.versions
    assert not [item for item in left if item["Key"].startswith("3/")]


def test_names_with_signs_of_xml_and_of_urls_go_too(aws: EmulatedAws) -> None:
    s3 = aws.client("s3")
    for name in ("a & b", "<c>", "d+e f", "100%", "\u00fc\u4e2d/\u00e9", 'quo"te', "x/%2F/y"):
        for _ in range(2):
            s3.put_object(Bucket=BUCKET, Key=name, Body=b"1")
    assert empty_bucket(cloud_of(aws), BUCKET, ACCOUNT).versions == 14
    assert everything(aws) == 0


def test_it_slows_down_when_told_to_and_still_ends(
    aws: EmulatedAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(emptying, "_KEYS", 50)
    fill(275)
    slow = [
        Fault("throttle", "s3", "POST ?delete", rate=0.5, times=6),
        Fault("throttle", "s3", "GET ?versions", after=1, times=2),
    ]
    control.set_faults(aws.endpoint, slow)
    gone = empty_bucket(cloud_of(aws), BUCKET, ACCOUNT)
    met = control.met(aws.endpoint)
    control.set_faults(aws.endpoint, [])
    assert gone.versions == 550 and everything(aws) == 0
    assert all(met.hits), "S3 never said to slow down"


def test_what_is_locked_is_named(aws: EmulatedAws) -> None:
    fill(2)
    denied = [Fault("denied", "s3", "POST ?delete")]
    control.set_faults(aws.endpoint, denied)
    with pytest.raises(ProvisionError, match="lack the right"):
        empty_bucket(cloud_of(aws), BUCKET, ACCOUNT)
    control.set_faults(aws.endpoint, [])
    assert everything(aws) == 4


def test_a_bucket_that_fills_up_meanwhile_is_told(
    aws: EmulatedAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(emptying, "_LISTINGS", 3)
    fill(1)
    with pytest.raises(ProvisionError, match="somebody still writes to it"):
        empty_bucket(cloud_of(aws), BUCKET, ACCOUNT, lambda _: fill(1))


def test_the_pace_halves_pauses_and_recovers() -> None:
    now, slept = [0.0], []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    def size() -> int:
        with pace.turn() as keys:
            return keys

    pace = Pace(lambda: now[0], sleep)
    assert size() == 1000
    assert not pace.heeds("AccessDenied")
    assert pace.heeds("SlowDown") and pace.heeds("SlowDown"), "two threads of the same moment"
    assert size() == 500 and slept == [0.25]
    assert pace.heeds("503")
    assert size() == 250 and slept == [0.25, 0.5]
    pace.went_well()
    assert size() == 300
    for _ in range(20):
        assert pace.heeds("SlowDown") and size() >= 50
    now[0] = 700.0
    with pytest.raises(ProvisionError, match="refused everything for 10 minutes"):
        pace.heeds("SlowDown")
