"""python-terraform with its faults closed: it writes the command lines, we run them.

What python-terraform 0.10.1 does, found with Terraform 1.11, and what this class does instead:

- `destroy()` adds `-force`, which Terraform refuses since 0.15, and `apply()` asks for approval on
  a terminal that nobody reads: here both take a saved plan, which needs no approval.
- `output(name)` raises TypeError, as it expects the answer of Terraform 0.11.
- Variables as a dict end in a temporary file that stays behind with its secrets after Ctrl-C, and
  in the debug log; as a list they end in the argument list, which every user can read: refused.
- Any attribute is a command (`tf.anything()` runs it, and so does a notebook that asks for
  `_repr_html_`), and is logged to the root logger, which turns its output on.
- Ctrl-C ends Python and leaves Terraform behind with the lock; all output is kept to the end: both
  are `running`'s work.
- The state is read and parsed after each command, and a truncated one raises: not read at all.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import python_terraform

from provision.adapters.terraform import running

FLAG = python_terraform.IsFlagged
_NO_FLAG = python_terraform.IsNotFlagged


@dataclass(frozen=True)
class Listeners:
    """Who hears what a command says while it runs; see `running.Task`."""

    line: running.Line | None = None
    error: running.Line | None = None
    tick: Callable[[], str | None] | None = None
    signal: Callable[[int], None] | None = None


class Commands(python_terraform.Terraform):  # type: ignore[misc]
    """Commands of one Terraform in one folder. Each returns how it ended, and none raises for it.

    `words` start the program, `environment` is all that it gets to see.
    """

    def __init__(
        self,
        words: Sequence[str],
        folder: Path,
        environment: Mapping[str, str],
        patience: running.Patience,
    ) -> None:
        super().__init__(working_dir=str(folder), terraform_bin_path=words[0])
        self._words = tuple(words)
        self._folder = folder
        self._environment = dict(environment)
        self._patience = patience

    def __getattr__(self, item: str) -> Any:
        raise AttributeError(f"{type(self).__name__} has no command {item!r}")

    def read_state_file(self, file_path: str | None = None) -> None:
        """Nothing: a state that cannot be parsed must not end us, and no secret be kept here."""

    def generate_cmd_string(self, cmd: str, *args: str, **kwargs: Any) -> list[str]:
        """The argument list of a command. Raises `ValueError` for variables: they are secrets."""
        options = {key: value for key, value in kwargs.items() if value not in ({}, [], None)}
        for option, value in options.items():
            if option in ("var", "backend_config") or isinstance(value, dict):
                raise ValueError(f"{option}: give a file, an argument list can be read by all")
        words = super().generate_cmd_string(cmd, *args, **options)
        return [*self._words, *words[1:]]

    def cmd(self, cmd: str, *args: str, **kwargs: Any) -> running.Done:
        """Run a command; `listeners` hear it while it runs, `environment` adds some variables."""
        heard = kwargs.pop("listeners", Listeners())
        more = kwargs.pop("environment", {})
        task = running.Task(
            words=self.generate_cmd_string(cmd, *args, **kwargs),
            folder=self._folder,
            environment={**self._environment, **more},
            on_line=heard.line,
            on_error=heard.error,
            on_tick=heard.tick,
            on_signal=heard.signal,
            patience=self._patience,
        )
        return running.run(task)

    def init(self, **options: Any) -> running.Done:
        """`terraform init`; not with python-terraform's `-reconfigure`, which forgets a state."""
        return self.cmd("init", input=False, no_color=FLAG, **options)

    def plan(self, **options: Any) -> running.Done:
        """`terraform plan -json`; code 2: there are changes."""
        fixed = {"json": FLAG, "input": False, "detailed_exitcode": FLAG}
        return self.cmd("plan", **fixed, **options)

    def apply(self, plan: Path, **options: Any) -> running.Done:
        """Apply a saved plan, which is not asked about."""
        return self.cmd("apply", str(plan.absolute()), json=FLAG, input=False, **options)

    def destroy(self, plan: Path, **options: Any) -> running.Done:
        """Apply a saved plan that destroys: there is no other way to destroy here."""
        return self.apply(plan, **options)

    def output(self, name: str | None = None) -> Any:
        """All outputs by name, or the value of one; `None` where there are none."""
        done = self.cmd("output", json=FLAG, no_color=FLAG)
        if done.code != 0:
            return None
        values = json.loads(done.out)
        return values if name is None else values.get(name, {}).get("value")
