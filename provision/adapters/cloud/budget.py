"""AWS Budgets' own count of a month: free, where Cost Explorer takes 0.01 USD for each call."""

from __future__ import annotations

from provision.adapters.cloud.failures import explained
from provision.adapters.cloud.session import Cloud


def month_spent(cloud: Cloud, account: str, stack: str) -> float | None:
    """US dollars that the stack's budget has counted in this month; `None` before its first count.

    AWS counts up to three times a day, and only once the payer has activated `provision:stack` as a
    cost allocation tag. Needs the right `budgets:ViewBudget`.
    """
    with explained(cloud, "ask for the month's cost"):
        found = cloud.client("budgets").describe_budget(
            AccountId=account, BudgetName=f"provision-{stack}-month"
        )
    counted = found["Budget"].get("CalculatedSpend", {}).get("ActualSpend")
    return None if counted is None else round(float(counted["Amount"]), 2)
