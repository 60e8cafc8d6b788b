"""A stack's budget that no state knows of: found by name and tag, and removed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from provision.adapters.cloud.listing import leftovers
from provision.adapters.cloud.removal import Patience, remove
from provision.adapters.cloud.session import Cloud
from provision.emulator import control
from provision.emulator.client import Emulated
from provision.emulator.faults import Fault
from provision.model.leftovers import Names

pytestmark = pytest.mark.slow
REGION = "eu-west-1"
ACCOUNT = "123456789012"
NAMES = Names.of("spender", ACCOUNT, REGION)
SOON = Patience(1, 0.05)


@pytest.fixture
def cloud(emulated: Emulated) -> Cloud:
    keys = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
    files = {"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null"}
    return Cloud({**keys, **files, "AWS_ENDPOINT_URL": emulated.endpoint}, REGION, attempts=1)


@pytest.fixture
def budgets(aws: Callable[..., Any]) -> Iterator[Any]:
    """Budgets of two stacks and one of somebody else, under names that begin alike."""
    client = aws("budgets", "us-east-1")
    limit = {"Amount": "50", "Unit": "USD"}
    stacks = {"spender": "spender", "spender-2": "spender-2", "spender-x": None}
    for name, stack in stacks.items():
        wanted = {"BudgetType": "COST", "TimeUnit": "MONTHLY", "BudgetLimit": limit}
        tags = {"provision:stack": stack, "provision:run": "run-1"} if stack else {}
        client.create_budget(
            AccountId=ACCOUNT,
            Budget={"BudgetName": f"provision-{name}-month", **wanted},
            ResourceTags=[{"Key": key, "Value": value} for key, value in tags.items()],
        )
    yield client
    for budget in client.describe_budgets(AccountId=ACCOUNT).get("Budgets", []):
        client.delete_budget(AccountId=ACCOUNT, BudgetName=budget["BudgetName"])


def test_a_budget_is_found_and_removed_and_no_other(cloud: Cloud, budgets: Any) -> None:
    (found,) = leftovers(cloud, NAMES).found
    assert (found.type, found.run) == ("aws_budgets_budget", "run-1")
    assert found.id == f"{ACCOUNT}:provision-spender-month", "as Terraform imports it"
    remove(cloud, [found], patience=SOON)
    remove(cloud, [found], patience=SOON)
    listing = leftovers(cloud, NAMES)
    assert (listing.found, listing.strangers) == ((), ())
    left = budgets.describe_budgets(AccountId=ACCOUNT)["Budgets"]
    assert {budget["BudgetName"] for budget in left} == {
        "provision-spender-2-month", "provision-spender-x-month",
    }  # fmt: skip


def test_who_may_not_view_budgets_can_still_prove_that_nothing_is_left(
    emulated: Emulated, cloud: Cloud
) -> None:
    control.set_faults(emulated.endpoint, [Fault("denied", service="budgets")])
    try:
        assert leftovers(cloud, NAMES).blind == ()
        assert control.met(emulated.endpoint).hits == (1,)
    finally:
        control.set_faults(emulated.endpoint, [])
