"""A teardown in words and figures: who is meant, what stays, what the receipt says."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from provision.adapters.receipts import ReceiptFiles
from provision.app.usage import usage
from provision.errors import MissingError, RefusedError
from provision.model.by_tag import run_of
from provision.model.emptied import Emptied
from provision.model.farewell import Going, farewell
from provision.model.leftovers import Found
from provision.model.plan_words import PlanWords
from provision.model.receipt import Receipt, Thing, text
from provision.model.receipt_page import page
from provision.model.usage import Contents, Usage, sentences
from provision.targets.aws_ending import price_table
from provision.targets.aws_receipts import compact, receipted, stopped
from provision.targets.base import DownOptions

RUN, OTHER = "20261101-aaaaaaaaaaaa", "20261102-bbbbbbbbbbbb"
NOW = datetime(2026, 11, 27, 22, 31, 10, tzinfo=UTC)
VPC = Found("aws_vpc", "vpc-1", "", "provision-churn", RUN)
BUCKET = Found("aws_s3_bucket", "provision-churn-1", "", "provision-churn-1", RUN)
DATABASE = Found("aws_db_instance", "provision-churn", "", "provision-churn", RUN, NOW)
ROLE = Found("aws_iam_role", "provision-churn-server", "", "provision-churn-server", RUN)
SNAPSHOT = Found("aws_db_snapshot", "exam", "", "exam", RUN, NOW, size_gib=20.0)
KEY = Found("aws_kms_key", "1234", "", "1234", RUN)
NASTY = '<script>alert("x")</script>'


@pytest.mark.parametrize(
    ("found", "asked", "run"),
    [
        ([], "", None),
        ([VPC, ROLE], "", RUN),
        ([VPC, replace(ROLE, run=OTHER)], "", RUN),
        ([VPC, replace(BUCKET, run=None)], "", RUN),
        ([replace(VPC, run=None)], "", None),
        ([VPC, replace(BUCKET, run=OTHER)], OTHER, OTHER),
        ([ROLE], RUN, RUN),
    ],
)
def test_the_run_that_is_meant_is_found(found: list[Found], asked: str, run: str | None) -> None:
    assert run_of(found, "churn", asked) == run


@pytest.mark.parametrize(
    ("found", "asked", "said"),
    [
        ([VPC, replace(BUCKET, run=OTHER)], "", "was made more than once: run"),
        ([ROLE], "", "may lie in another region: run"),
        ([VPC], OTHER, f"nothing of churn carries the run {OTHER}: run {RUN} (1 things)"),
        ([], OTHER, f"nothing of churn carries the run {OTHER}"),
    ],
)
def test_a_choice_is_not_made_for_the_user(found: list[Found], asked: str, said: str) -> None:
    with pytest.raises(RefusedError, match=re.escape(said)) as refused:
        run_of(found, "churn", asked)
    assert "--run" in refused.value.next_step


def test_what_goes_and_what_stays_is_said_before() -> None:
    by_hand = Found("aws_ebs_volume", "vol-1", "", "", None)
    found = (VPC, BUCKET, DATABASE, SNAPSHOT, by_hand)
    going = Going(found, (SNAPSHOT,), (by_hand,), usage=Usage(bucket=Contents(3, 1200, "2026")))
    assert going.ending == (VPC, BUCKET, DATABASE)
    said = str(farewell(going))
    for part in (
        "3 things to remove, found by their tags",
        "Its server does not answer",
        "In its bucket: 3 versions of objects, 1 kB.",
        "All experiments, runs and registered models in its database would be lost.",
        "Stays, and costs: aws_db_snapshot exam",
        "Left alone, as another run or somebody by hand made it: aws_ebs_volume vol-1",
        "remove   1 VPC: provision-churn",
    ):
        assert part in said
    too = replace(going, backups_too=True)
    assert SNAPSHOT in too.ending and "Stays" not in str(farewell(too))
    planned = farewell(going, PlanWords("2 to destroy", ("The end.",), ("destroy network VPC",)))
    assert str(planned).startswith("2 to destroy\nIts server")
    assert "destroy network VPC" in planned.lines


def test_who_works_with_it_is_said() -> None:
    people = [f"student-{number}" for number in range(11)]
    known = Usage(True, 3, 1, 1200, "2026-11-27T10:00:00+00:00", people)
    full = Contents(31000, 2 * 10**9, "2026-11-27", more=True)
    said = " ".join(sentences(known.with_bucket(full)))
    assert "3 experiments, 1 run and 1,200 registered models" in said
    assert "student-7 and 3 others" in said
    assert "more than 31,000 versions of objects, more than 2.0 GB" in said
    assert "Last activity: 2026-11-27T10:00:00+00:00." in said
    assert "by: nobody." in " ".join(sentences(Usage(True)))
    assert "Last activity: none is known." in " ".join(sentences(Usage()))


class Server:
    """MLflow's own answers, as far as they are read; which ones a real server gives is tested where
    one runs."""

    def __init__(self, *started: tuple[str, int]) -> None:
        self.started = started
        self.asked: list[dict[str, Any]] = []

    def server_status(self) -> dict[str, Any]:
        return {"counts": {"experiments": 2, "runs": 5, "registered_models": 1}}

    def post(self, route: str, **fields: Any) -> dict[str, Any]:
        self.asked.append(fields)
        if route == "experiments/search":
            return {"experiments": [{"experiment_id": "0"}, {"experiment_id": "7"}]}
        after = int(str(fields.get("filter", "> 0")).rpartition("> ")[2])
        found = [
            {"info": {"start_time": at, "user_id": who}, "data": {"tags": []}}
            for who, at in self.started
            if at > after
        ]
        return {"runs": found[: fields["max_results"]]}


def test_the_server_says_who_used_it_this_week() -> None:
    now, day = int(NOW.timestamp() * 1000), 86_400_000
    server = Server(("ana", now - day), ("ben", now - 2 * day), ("ana", now - 3 * day),
                    ("eve", now - 30 * day))  # fmt: skip
    seen = usage(server, NOW)
    assert (seen.experiments, seen.runs, seen.models) == (2, 5, 1)
    assert list(seen.people) == ["ana", "ben"]
    assert seen.last == "2026-11-26T22:31:10+00:00"
    quiet = usage(Server(("eve", now - 30 * day)), NOW)
    assert (list(quiet.people), quiet.last) == ([], "2026-10-28T22:31:10+00:00")
    assert usage(Server(), NOW).last == ""


BEGUN = Receipt(
    stack="churn", account="123456789012", region="eu-west-1", emulated=False,
    by="arn:aws:iam::123456789012:user/ana", run=RUN, begun_at=NOW.isoformat(),
    existed=(Thing.of(VPC), Thing.of(DATABASE), replace(Thing.of(BUCKET), name=NASTY)),
    usage=Usage(True, 3, 12, 1, NOW.isoformat(), ["ana", NASTY]),
    emptied=Emptied(48_000, 10**9, 2000, 12), archive="/srv/ana/churn-end",
)  # fmt: skip
ENDED = BEGUN.ended(
    "2026-11-27T22:40:00+00:00", left=(), kept=(SNAPSHOT, KEY), prices=price_table()
)


def test_the_receipt_says_what_was_kept_and_what_it_costs() -> None:
    assert ENDED.complete
    snapshot, key = ENDED.kept
    assert snapshot.usd_per_month == pytest.approx(20 * 1.0737 * 0.095, rel=0.2)
    assert key.usd_per_month == 1.0 and key.delete.endswith("--key-id 1234")
    assert ENDED.usd_per_month == round(1.0 + (snapshot.usd_per_month or 0), 2)
    said = text(ENDED)
    for part in (
        "TEARDOWN OF churn",
        "1 database: provision-churn",
        "48,000 versions of objects (1.0 GB), 2,000 delete markers, 12 unfinished uploads",
        f"Kept on purpose: 2, at most {ENDED.usd_per_month:.2f} USD a month",
        "zero: but for what was kept on purpose, nothing in the account",
        "archive    /srv/ana/churn-end",
    ):
        assert part in said


@pytest.mark.parametrize(
    ("receipt", "said"),
    [
        (BEGUN, "the teardown did not come to its end"),
        (replace(ENDED, left=(Thing.of(VPC),)), "1 thing is still there"),
        (replace(ENDED, blind=("rds:DescribeDBInstances",)), "not proven: these credentials"),
    ],
)
def test_a_receipt_never_claims_what_is_not_proven(receipt: Receipt, said: str) -> None:
    assert not receipt.complete
    assert said in text(receipt) and said.split(":", maxsplit=1)[0].lower() in page(receipt).lower()
    assert "not complete" in page(receipt) and "nothing left" not in page(receipt)
    if receipt.ended_at:
        with pytest.raises(RefusedError):
            stopped(receipt)


def test_the_page_stands_alone_and_shows_names_as_they_are() -> None:
    shown = page(ENDED)
    assert "<script" not in shown and "&lt;script&gt;" in shown
    assert not re.findall(r"(?:src|href)=|url\(|@import", shown)
    assert shown.count("<tr>") == 2 + 3 + 2 and "@media print" in shown
    assert "nothing left" in shown


def test_receipts_are_written_in_all_forms_and_where_the_user_says(tmp_path: Path) -> None:
    own = tmp_path / "office/churn.json"
    files = ReceiptFiles(tmp_path / "receipts", own).write(ENDED)
    names = [f"churn-20261127223110{end}" for end in (".txt", ".json", ".html")]
    assert [Path(file).name for file in files] == [*names, "churn.json"]
    document = json.loads(own.read_text(encoding="utf-8"))
    assert document["schema"] == "provision.receipt/1"
    assert document["kept"][0]["thing"]["what"] == "database snapshot"
    assert {path.stat().st_mode & 0o777 for path in map(Path, files)} == {0o600}
    (tmp_path / "file").write_text("")
    with pytest.raises(MissingError, match="the receipt cannot be written"):
        ReceiptFiles(tmp_path / "receipts", tmp_path / "file/churn.txt").write(ENDED)


def test_a_teardown_that_fails_leaves_a_receipt_too() -> None:
    kept: list[Receipt] = []
    with (
        pytest.raises(RuntimeError),
        receipted(BEGUN, DownOptions(receipt=kept.append)) as keep,
    ):
        keep(replace(BEGUN, emptied=Emptied(1)))
        raise RuntimeError
    assert [receipt.emptied.versions for receipt in kept] == [1]


def test_a_time_becomes_a_part_of_a_name() -> None:
    assert compact("2026-11-27T22:31:10+00:00") == "20261127-2231"


def test_one_of_a_kind_is_said_as_one() -> None:
    assert str(Emptied(1, 5, 1, 1)) == (
        "1 version of an object (5 B), 1 delete marker, 1 unfinished upload"
    )
    assert str(Emptied()) == "nothing"
