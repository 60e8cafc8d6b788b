"""AWS Budgets as its API reference has it: subscribers, tags and changes, which moto lacks."""

from __future__ import annotations

import json
from typing import Any

from moto.budgets.models import Budget, BudgetsBackend
from moto.budgets.responses import BudgetsResponse


def close_gaps_of_budgets() -> None:
    """Add the five operations that the provider calls for every budget."""
    BudgetsResponse.describe_subscribers_for_notification = _subscribers
    BudgetsResponse.list_tags_for_resource = _tags
    BudgetsResponse.tag_resource = _tag
    BudgetsResponse.untag_resource = _untag
    BudgetsResponse.update_budget = _update
    _remember_tags_from_the_start()


def _remember_tags_from_the_start() -> None:
    create = BudgetsResponse.create_budget

    def created(self: Any) -> str:
        answer: str = create(self)
        budget = self._get_param("Budget")["BudgetName"]
        arn = f"arn:aws:budgets::{self._get_param('AccountId')}:budget/{budget}"
        _all_tags(self)[arn] = _plain(self._get_param("ResourceTags"))
        return answer

    BudgetsResponse.create_budget = created


def _all_tags(self: Any) -> dict[str, dict[str, str]]:
    """Tags by ARN; they live and end with moto's own state."""
    backend: BudgetsBackend = self.backend
    if not hasattr(backend, "tags_by_arn"):
        backend.tags_by_arn = {}
    found: dict[str, dict[str, str]] = backend.tags_by_arn
    return found


def _plain(tags: list[dict[str, str]] | None) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in tags or []}


def _tags(self: Any) -> str:
    tags = _all_tags(self).get(self._get_param("ResourceARN"), {})
    return json.dumps({"ResourceTags": [{"Key": k, "Value": v} for k, v in tags.items()]})


def _tag(self: Any) -> str:
    tags = _all_tags(self).setdefault(self._get_param("ResourceARN"), {})
    tags.update(_plain(self._get_param("ResourceTags")))
    return "{}"


def _untag(self: Any) -> str:
    tags = _all_tags(self).get(self._get_param("ResourceARN"), {})
    for key in self._get_param("ResourceTagKeys") or []:
        tags.pop(key, None)
    return "{}"


def _update(self: Any) -> str:
    wanted = self._get_param("NewBudget")
    budgets = self.backend.budgets[self._get_param("AccountId")]
    budget: Budget = budgets[wanted["BudgetName"]]
    budget.budget.update(wanted)
    return "{}"


def _subscribers(self: Any) -> str:
    budget = self.backend.budgets[self._get_param("AccountId")][self._get_param("BudgetName")]
    asked = _identity(self._get_param("Notification"))
    found = (n.subscribers for n in budget.notifications if _identity(n.details) == asked)
    return json.dumps({"Subscribers": next(found, [])})


def _identity(notification: dict[str, Any]) -> tuple[Any, ...]:
    """What tells a budget's notifications apart."""
    threshold = float(notification.get("Threshold", 0))
    kind, operator = notification.get("NotificationType"), notification.get("ComparisonOperator")
    return kind, operator, threshold, notification.get("ThresholdType") or "PERCENTAGE"
