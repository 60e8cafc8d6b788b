"""What is refused, and what allows it."""

from __future__ import annotations

import pytest

from provision.errors import RefusedError
from provision.model.guards import PROTECTED, Home, refusals, require_allowed, require_home
from provision.model.plan import Action, Change, Plan
from tests.unit.recorded import BUCKET, DATABASE, MACHINE, plan

HERE = Home("123456789012", "eu-west-1")
BOTH = frozenset(PROTECTED.values())


def of(address: str, action: Action, **more: object) -> Plan:
    return Plan((Change(address, address.split(".")[2], "this", action, **more),))  # type: ignore[arg-type]


def test_a_replaced_database_is_refused_with_the_flag_that_allows_it() -> None:
    (refusal,) = refusals(plan("kms"))
    assert (refusal.what, refusal.flag, refusal.address) == (
        "database", "--replace database", DATABASE,
    )  # fmt: skip
    assert "all experiments" in refusal.reason
    assert "kms_key_id" in refusal.reason
    assert refusals(plan("kms"), frozenset(["database"])) == ()
    assert refusals(plan("kms"), frozenset(["bucket"])) == (refusal,)


def test_a_destroyed_stack_is_refused_for_database_and_bucket_at_once() -> None:
    with pytest.raises(RefusedError) as caught:
        require_allowed(plan("destroy"))
    assert caught.value.exit_code == 4
    assert len(caught.value.message.splitlines()) == 2
    assert "--destroy bucket --destroy database" in caught.value.next_step
    require_allowed(plan("destroy"), BOTH)


@pytest.mark.parametrize("name", ["create", "noop", "changes", "drift", "adopt"])
def test_plans_that_lose_nothing_are_let_through(name: str) -> None:
    require_allowed(plan(name))


@pytest.mark.parametrize("address", [DATABASE, BUCKET])
@pytest.mark.parametrize("action", Action)
def test_only_the_end_of_database_and_bucket_is_guarded(address: str, action: Action) -> None:
    ends = action in (Action.REPLACE, Action.DESTROY)
    assert bool(refusals(of(address, action))) is ends
    assert refusals(of(MACHINE, action)) == ()


def test_a_new_and_empty_database_in_place_of_one_that_vanished_is_refused() -> None:
    (refusal,) = refusals(of(DATABASE, Action.CREATE, vanished=True))
    assert refusal.flag == "--replace database"
    assert "new and empty" in refusal.reason
    assert refusals(of(DATABASE, Action.CREATE, vanished=True), BOTH) == ()


@pytest.mark.parametrize("action", [Action.REPLACE, Action.DESTROY])
def test_what_aws_guards_is_refused_whatever_is_allowed(action: Action) -> None:
    locked = of(DATABASE, action, locked=True)
    with pytest.raises(RefusedError, match="half-way") as caught:
        require_allowed(locked, BOTH)
    assert "deletion_protection: false" in caught.value.next_step
    assert "--" not in caught.value.next_step
    assert refusals(of(DATABASE, Action.UPDATE, locked=True)) == ()


def test_a_last_snapshot_is_mentioned() -> None:
    (refusal,) = refusals(of(DATABASE, Action.DESTROY, keeps="churn-final"))
    assert "but for the snapshot churn-final" in refusal.reason


# --- where ---


def test_the_same_place_and_the_first_run_are_fine() -> None:
    require_home("churn", HERE, recorded=None, account=None)
    require_home("churn", HERE, recorded=HERE, account="123456789012")


@pytest.mark.parametrize(
    ("here", "recorded", "account", "words"),
    [
        (HERE, None, "999999999999", ("aws.account", "999999999999", "123456789012")),
        (Home("999999999999", "eu-west-1"), HERE, None, ("123456789012", "999999999999")),
        (Home("123456789012", "us-east-1"), HERE, None, ("eu-west-1", "us-east-1")),
    ],
)
def test_another_account_or_region_is_refused(
    here: Home, recorded: Home | None, account: str | None, words: tuple[str, ...]
) -> None:
    with pytest.raises(RefusedError, match="churn") as caught:
        require_home("churn", here, recorded=recorded, account=account)
    assert all(word in caught.value.message for word in words)
    assert caught.value.next_step


def test_another_region_names_the_line_to_write() -> None:
    with pytest.raises(RefusedError) as caught:
        require_home("churn", Home("123456789012", "us-east-1"), recorded=HERE, account=None)
    assert "region: eu-west-1" in caught.value.next_step
