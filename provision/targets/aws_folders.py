"""The folders of a stack in an account."""

from __future__ import annotations

from provision.adapters import workspace
from provision.targets.aws_record import AwsPaths


def make_folders(paths: AwsPaths) -> None:
    """The stack's own folders, private and out of git."""
    stack = paths.root.parent
    workspace.make_folder(stack.parent, 0o711, enforce=False)
    workspace.write_ignore_file(stack.parent)
    workspace.make_folder(stack)
    workspace.make_folder(paths.root)
