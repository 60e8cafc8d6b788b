"""Detailed monitoring of machines, which moto knows at their start alone."""

from __future__ import annotations

from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.responses import EC2Response


def close_gaps_of_monitoring() -> None:
    """Add the two operations with which Terraform's provider switches it."""
    EC2Response.monitor_instances = lambda self: _switch(self, "enabled")
    EC2Response.unmonitor_instances = lambda self: _switch(self, "disabled")


def _switch(self: Any, state: str) -> ActionResult:
    wanted = self._get_param("InstanceIds", [])
    machines = [self.ec2_backend.get_instance(identity) for identity in wanted]
    for machine in machines:
        machine.monitoring_state = state
    found = [{"InstanceId": item.id, "Monitoring": {"State": state}} for item in machines]
    return ActionResult({"InstanceMonitorings": found})
