"""`provision users`: people in and out, by name or from a roster, with a plan first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Final, Protocol

from provision.app.people_server import PeopleServer
from provision.errors import UsageError
from provision.model.people import (
    GUESTS,
    TEAM_PREFIX,
    Account,
    Kind,
    PeoplePlan,
    Person,
    Role,
    Server,
    Step,
    is_private,
    plan_removal,
    plan_sync,
    words,
)
from provision.model.secrets import Secret, generate
from provision.model.suggest import closest, did_you_mean
from provision.targets.base import Progress

_PASSWORD_LENGTH: Final = 24  # 142 bits; what the server's route for drawn passwords asks for
_BY_HAND: Final = (Kind.LEAVE, Kind.DEMOTE)

_OPEN: Final = (
    "every account may read everything on this server: `others: none` under `access` in "
    "provision.yaml, then provision up, makes experiments private"
)


class Vault(Protocol):
    """Where passwords are kept until they are handed out."""

    def keep(self, username: str, password: Secret) -> Path:
        """Write one; returns its file."""

    def drop(self, username: str) -> None:
        """Delete one."""


Approve = Callable[[PeoplePlan], None]
"""Shows a plan; returns when it is agreed to, raises RefusedError otherwise."""


@dataclass(frozen=True)
class PeopleResult:
    """What was done. `passwords` are the files with the passwords of new accounts."""

    steps: Sequence[Step]
    passwords: Sequence[Path] = ()
    kept: Sequence[str] = ()
    notes: Sequence[str] = ()

    @property
    def words(self) -> tuple[str, ...]:
        """What was done, in a line for each kind of step."""
        return words(PeoplePlan(self.steps))


@dataclass(frozen=True)
class Row:
    """One account of a list: `role` is student, guest or staff."""

    username: str
    role: str
    team: str
    experiments: int


@dataclass(frozen=True)
class PeopleList:
    """Everybody, and whether experiments are private to whom they belong."""

    accounts: Sequence[Row]
    private: bool


@dataclass(frozen=True)
class People:
    """The use cases about people, on one server."""

    server: PeopleServer
    vault: Vault
    progress: Progress

    def plan(self, people: Sequence[Person], *, prune: bool) -> PeoplePlan:
        """What `sync` would do."""
        return self._with_privacy(people, prune=prune)[0]

    def sync(self, people: Sequence[Person], approve: Approve, *, prune: bool) -> PeopleResult:
        """Make the server's accounts those of `people`; strangers stay, unless `prune`."""
        plan, _ = self._with_privacy(people, prune=prune)
        return self._carry_out(plan, approve)

    def add(self, people: Sequence[Person]) -> PeopleResult:
        """Add people who are not there yet. Raises UsageError where it would take rights away."""
        plan, _ = self._with_privacy(people, prune=False)
        for step in plan.steps:
            if step.kind in _BY_HAND:
                raise UsageError(
                    f"{step.subject} is there already, with another role or team",
                    next_step="write everybody into a roster: provision users sync --roster FILE",
                )
        return self._carry_out(plan, lambda _: None)

    def remove(self, names: Sequence[str], approve: Approve) -> PeopleResult:
        """Remove accounts; what they logged stays."""
        server = self._observe()
        _require_known([name for name in names if name not in server.accounts], server)
        return self._carry_out(plan_removal(names, server), approve)

    def reset(self, names: Sequence[str]) -> PeopleResult:
        """Draw new passwords."""
        server = self._observe()
        _require_known([name for name in names if name not in server.accounts], server)
        return PeopleResult((), self._put(list(dict.fromkeys(names))))

    def list(self) -> PeopleList:
        """Everybody who has an account."""
        server = self._observe()
        rows = sorted((_row(account) for account in server.accounts.values()), key=_by_role)
        return PeopleList(rows, is_private(server))

    def _observe(self) -> Server:
        with self.progress.step("asking the server who is there"):
            return self.server.observe()

    def _with_privacy(self, people: Sequence[Person], *, prune: bool) -> tuple[PeoplePlan, Server]:
        server = self._observe()
        plan = plan_sync(people, server, prune=prune)
        if is_private(server) or all(person.role is Role.STAFF for person in people):
            return plan, server
        return PeoplePlan(plan.steps, plan.kept, (*plan.notes, _OPEN)), server

    def _carry_out(self, plan: PeoplePlan, approve: Approve) -> PeopleResult:
        if not plan.steps:
            return PeopleResult((), (), plan.kept, plan.notes)
        approve(plan)
        files: Sequence[Path] = ()
        for kind, steps in groupby(plan.steps, key=lambda step: step.kind):
            if kind is Kind.ACCOUNT:
                files = self._put([step.subject for step in steps])
            else:
                self._take(list(steps))
        return PeopleResult(plan.steps, files, plan.kept, plan.notes)

    def _take(self, steps: Sequence[Step]) -> None:
        (text,) = words(PeoplePlan(steps))
        with self.progress.step(text):
            for step in steps:
                self.server.take(step)
                if step.kind is Kind.REMOVE:
                    self.vault.drop(step.subject)

    def _put(self, names: Sequence[str]) -> Sequence[Path]:
        """Give accounts new passwords: each is in its file before the server knows it."""
        files: list[Path] = []
        with self.progress.step(f"setting {len(names)} passwords"):
            for part in self.server.parts(names):
                passwords = {name: generate(_PASSWORD_LENGTH) for name in part}
                files += [self.vault.keep(name, found) for name, found in passwords.items()]
                self.server.put_accounts(passwords)
        return files


def _require_known(unknown: Sequence[str], server: Server) -> None:
    if not unknown:
        return
    hint = did_you_mean(closest(unknown[0], server.accounts))
    raise UsageError(
        f"no such account: {', '.join(unknown)}" + (f" ({hint})" if hint else ""),
        next_step="provision users list shows everybody",
    )


def _row(account: Account) -> Row:
    role = Role.STAFF if account.is_admin else Role.STUDENT
    if GUESTS in account.roles:
        role = Role.GUEST
    teams = sorted(_teams(account.roles))
    experiments = sum(grant.resource == "experiment" for grant in account.grants)
    return Row(account.username, role.value, ", ".join(teams), experiments)


def _teams(roles: Iterable[str]) -> Iterable[str]:
    prefixed = (role for role in roles if role.startswith(TEAM_PREFIX))
    return (role.removeprefix(TEAM_PREFIX) for role in prefixed)


def _by_role(row: Row) -> tuple[int, str, str]:
    return -[*Role].index(Role(row.role)), row.team, row.username
