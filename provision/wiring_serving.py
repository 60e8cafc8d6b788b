"""What serves the models of a stack."""

from __future__ import annotations

from provision import wiring
from provision.app.serving import Services
from provision.errors import MissingError

# ruff: noqa: PLC0415 - each command loads only what it works with


def services(stack: wiring.OpenedStack) -> Services:
    """Models beside the stack's server.

    Raises `MissingError` where the stack has no server, or one that has no place for them.
    """
    from provision.targets.aws import AwsTarget
    from provision.targets.local import LocalTarget

    if isinstance(stack.target, LocalTarget):
        from provision.targets.local_services import LocalServices

        return LocalServices(stack.target)
    if isinstance(stack.target, AwsTarget):
        from provision.targets.aws_models import AwsServices

        return AwsServices(stack.target.remote, stack.require_endpoint().uri)
    runs = "runs in containers" if stack.spec.target == "compose" else "has no server"
    raise MissingError(
        f"{stack.spec.name} {runs}, and models are served beside a server of its own",
        next_step="use target: local with scenario: server or target: aws, or mlflow models serve "
        "-m models:/NAME@ALIAS --env-manager local",
    )
