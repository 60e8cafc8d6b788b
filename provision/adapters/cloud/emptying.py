"""Empty a versioned bucket: every version, every delete marker, every unfinished upload."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, TypeVar

from provision.adapters.cloud.failures import code_of, explained
from provision.adapters.cloud.pace import Pace
from provision.adapters.cloud.quick_pages import Page, QuickPages
from provision.adapters.cloud.session import Cloud
from provision.errors import ProvisionError
from provision.model.emptied import Emptied

# Pages on their way at once. S3 takes 3,500 deletions a second below one prefix, and counts each
# key of a request (S3 User Guide, "Best practices design patterns"): more would only be refused.
_AT_ONCE: Final = 8
_KEYS: Final = 1000  # what a page lists, and one request deletes, at most (S3 API reference)
# A listing that is empty ends it. Where one is not after this many, somebody writes meanwhile.
_LISTINGS: Final = 20
_GONE: Final = frozenset({"NoSuchBucket", "404"})


T = TypeVar("T")
OnProgress = Callable[[Emptied], None]


def empty_bucket(
    cloud: Cloud,
    bucket: str,
    account: str,
    on_progress: OnProgress = lambda _: None,
    *,
    prefix: str = "",
) -> Emptied:
    """Delete all below `prefix` in a bucket of this account, and see that nothing is left.

    The caller has asked. A bucket that is not there is empty. Safe to repeat and to interrupt. No
    more than a few pages of keys are in memory, however many there are, and S3 gets less at once
    when it says to slow down. Raises `ProvisionError` naming the first object that S3 would not
    delete (an object lock, say), and where somebody goes on writing.
    """
    owner = {"Bucket": bucket, "ExpectedBucketOwner": account}
    work = _Emptying(cloud.fresh("s3"), owner, prefix)
    with explained(cloud, f"empty the bucket {bucket}"):
        try:
            return work.run(on_progress)
        except Exception as error:
            if code_of(error) in _GONE:
                return work.gone
            raise


class _Emptying:
    """One bucket's way to empty."""

    def __init__(self, s3: Any, owner: dict[str, str], prefix: str) -> None:
        self._s3 = s3
        self._owner = owner
        self._where = owner | ({"Prefix": prefix} if prefix else {})
        self._quick = QuickPages(s3, owner, prefix)
        self._pace = Pace()
        self._cut_off = False
        self.gone = Emptied()

    def run(self, on_progress: OnProgress) -> Emptied:
        """List and delete until a listing is empty: one pass over a bucket proves nothing."""
        for _ in range(_LISTINGS):
            before = self.gone
            whole = self._pass(on_progress)
            if whole and self.gone == before:
                return self.gone
        raise ProvisionError(
            f"{self._owner['Bucket']} fills up while it is emptied: somebody still writes to it",
            next_step="stop who logs there (provision status names the server), then run this "
            "again",
        )

    def _pass(self, on_progress: OnProgress) -> bool:
        """Delete what one listing names; whether that listing came to its end."""
        with self._pace.turn():
            self._cut_off = False
        with ThreadPoolExecutor(1) as beside:
            ended = beside.submit(self._abort_uploads)
            for page in self._deleted():
                self.gone += page.holds
                on_progress(self.gone)
            self.gone += Emptied(uploads=ended.result())
        return not self._cut_off

    def _abort_uploads(self) -> int:
        """End all uploads that were never finished; how many there were."""
        uploads = self._s3.get_paginator("list_multipart_uploads").paginate(**self._where)
        number = 0
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for listed in self._while_heard(uploads):
                number += len(list(pool.map(self._abort, listed.get("Uploads", ()))))
        return number

    def _while_heard(self, pages: Iterable[T]) -> Iterator[T]:
        """Pages of a listing, which ends early when S3 says to slow down."""
        try:
            yield from pages
        except Exception as error:
            if not self._pace.heeds(code_of(error)):
                raise
            self._cut_off = True

    def _deleted(self) -> Iterator[Page]:
        """Pages, each once it is deleted; the next are listed meanwhile, but not many."""
        pool = ThreadPoolExecutor(_AT_ONCE)
        under_way: deque[Future[Page]] = deque()
        try:
            for page in self._while_heard(self._quick.pages(_KEYS)):
                under_way.append(pool.submit(self._delete, page))
                if len(under_way) > 2 * _AT_ONCE:
                    yield under_way.popleft().result()
            while under_way:
                yield under_way.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)

    def _delete(self, page: Page) -> Page:
        waiting = page.keys
        while waiting:
            with self._pace.turn() as size:
                refused = self._ask(waiting[:size])
            waiting = [*refused, *waiting[size:]]
        return page

    def _ask(self, keys: list[bytes]) -> list[bytes]:
        """Delete these; returns those that are to be tried again, later and with fewer at once."""
        try:
            refused = self._quick.delete(keys)
        except Exception as error:
            if not self._pace.heeds(code_of(error)):
                raise
            return keys
        self._require_none(e for _, e in refused if not self._pace.heeds(str(e.get("Code"))))
        if not refused:
            self._pace.went_well()
        return [key for key, _ in refused]

    def _require_none(self, refused: Iterable[dict[str, Any]]) -> None:
        for item in refused:
            raise ProvisionError(
                f"S3 would not delete {item.get('Key')} in {self._owner['Bucket']}: "
                f"{item.get('Message')}",
                next_step="remove what holds it (an object lock or a legal hold), then run this "
                "again",
            )

    def _abort(self, upload: dict[str, Any]) -> None:
        self._s3.abort_multipart_upload(
            **self._owner, Key=upload["Key"], UploadId=upload["UploadId"]
        )
