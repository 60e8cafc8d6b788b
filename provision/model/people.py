"""Who may do what on a tracking server: as wanted, as it is, and the steps from one to the other.

In MLflow's own terms (3.17, without workspaces): a person is an account; what is private is a
grant on one experiment; a team is a role with a grant on one experiment; guests are a role that
reads everything; staff are administrators.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

ADMIN: Final = "admin"
"""The server's own administrator, whose password `provision up` made."""

GUESTS: Final = "guests"
TEAM_PREFIX: Final = "team:"
_OWNER: Final = "MANAGE"  # as MLflow gives to whoever creates an experiment
_MEMBER: Final = "EDIT"  # a member logs and reads, and deletes nobody's runs
_GUEST_READS: Final = ("experiment", "registered_model", "prompt", "scorer")


class Role(StrEnum):
    """What somebody is to a course or team."""

    STUDENT = "student"
    GUEST = "guest"
    STAFF = "staff"


@dataclass(frozen=True)
class Person:
    """Somebody on a roster. `team` is empty without one; `line` is where the roster has it."""

    username: str
    name: str = ""
    email: str = ""
    role: Role = Role.STUDENT
    team: str = ""
    line: int = field(default=0, compare=False)

    @property
    def experiment(self) -> str:
        """The experiment that this person works in: the team's, else an own one; "" for guests."""
        if self.role is Role.GUEST:
            return ""
        return self.team or self.username

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles of MLflow that this person is in."""
        team = (TEAM_PREFIX + self.team,) if self.team else ()
        return (*team, GUESTS) if self.role is Role.GUEST else team


@dataclass(frozen=True)
class Grant:
    """A permission of MLflow on one resource, or on all of its type (`*`)."""

    resource: str
    pattern: str
    permission: str


@dataclass(frozen=True)
class Account:
    """An account as the server has it; `grants` are those that are its own."""

    username: str
    is_admin: bool = False
    roles: frozenset[str] = frozenset()
    grants: frozenset[Grant] = frozenset()


@dataclass(frozen=True)
class Server:
    """What a server knows about people.

    Roles with their grants by name, experiments' ids by name (those in the trash apart), and what
    an account may do with what nobody gave it (MLflow's default permission).
    """

    accounts: Mapping[str, Account]
    roles: Mapping[str, frozenset[Grant]]
    experiments: Mapping[str, str]
    trashed: Mapping[str, str] = field(default_factory=dict)
    default_permission: str = "READ"

    def own_grants(self, username: str) -> frozenset[Grant]:
        """The grants of one account; none where there is no account."""
        account = self.accounts.get(username)
        return account.grants if account else frozenset()


class Kind(StrEnum):
    """What a step does; in the order in which steps are taken."""

    EXPERIMENT = "create-experiment"
    RESTORE = "restore-experiment"
    ROLE = "create-role"
    PERMIT = "permit-role"
    ACCOUNT = "create-account"
    PROMOTE = "make-admin"
    DEMOTE = "unmake-admin"
    GIVE = "give-experiment"
    JOIN = "join-role"
    LEAVE = "leave-role"
    REMOVE = "remove-account"


@dataclass(frozen=True)
class Step:
    """One change: `subject` is an experiment, a role or an account, `target` what it is put to."""

    kind: Kind
    subject: str
    target: str = ""
    permission: str = ""


@dataclass(frozen=True)
class PeoplePlan:
    """What would be done, and what is left alone and why."""

    steps: Sequence[Step]
    kept: Sequence[str] = ()
    notes: Sequence[str] = ()

    @property
    def new(self) -> tuple[str, ...]:
        """The accounts that it creates, which get passwords."""
        return tuple(step.subject for step in self.steps if step.kind is Kind.ACCOUNT)


def plan_sync(people: Sequence[Person], server: Server, *, prune: bool) -> PeoplePlan:
    """The steps to the state in which `people` can work; with `prune`, only they."""
    steps = [
        *_experiments(people, server),
        *_roles(people, server),
        *(step for person in people for step in _person(person, server)),
    ]
    strangers = _strangers(people, server)
    if prune:
        steps += [Step(Kind.REMOVE, name) for name in strangers]
        strangers = ()
    order = list(Kind)
    ordered = tuple(sorted(steps, key=lambda step: order.index(step.kind)))
    return PeoplePlan(ordered, strangers, tuple(_intruders(people, server)))


def plan_removal(names: Sequence[str], server: Server) -> PeoplePlan:
    """Removing accounts; what they logged stays. Unknown names become notes."""
    known = [name for name in names if name in server.accounts]
    missing = [f"{name}: there is no such account" for name in names if name not in known]
    return PeoplePlan(tuple(Step(Kind.REMOVE, name) for name in known), (), tuple(missing))


def is_private(server: Server) -> bool:
    """Whether an account sees only what is its own or was given to it."""
    return server.default_permission == "NO_PERMISSIONS"


def _experiments(people: Sequence[Person], server: Server) -> Iterator[Step]:
    wanted = dict.fromkeys(name for person in people for name in _own_experiments(person))
    for name in wanted:
        if name in server.trashed:
            yield Step(Kind.RESTORE, name)
        elif name not in server.experiments:
            yield Step(Kind.EXPERIMENT, name)


def _own_experiments(person: Person) -> Iterator[str]:
    if person.role is Role.STUDENT:
        yield person.username
    if person.team:
        yield person.team


def _roles(people: Sequence[Person], server: Server) -> Iterator[Step]:
    for name in dict.fromkeys(name for person in people for name in person.roles):
        if name not in server.roles:
            yield Step(Kind.ROLE, name)
        there = server.roles.get(name, frozenset())
        for target, permission in _role_grants(name):
            if _grant(server, target, permission) not in there:
                yield Step(Kind.PERMIT, name, target, permission)


def _role_grants(role: str) -> Iterator[tuple[str, str]]:
    if role == GUESTS:
        yield from ((f"{resource}:*", "READ") for resource in _GUEST_READS)
    else:
        yield f"experiment:{role.removeprefix(TEAM_PREFIX)}", _MEMBER


def _grant(server: Server, target: str, permission: str) -> Grant:
    """A target such as `experiment:ana` as the server stores it, with the experiment's id."""
    resource, _, name = target.partition(":")
    identity = server.experiments.get(name, server.trashed.get(name, ""))
    return Grant(resource, "*" if name == "*" else identity, permission)


def _person(person: Person, server: Server) -> Iterator[Step]:
    name = person.username
    account = server.accounts.get(name)
    if account is None:
        yield Step(Kind.ACCOUNT, name)
    if person.role is Role.STAFF and not (account and account.is_admin):
        yield Step(Kind.PROMOTE, name)
    if person.role is not Role.STAFF and account and account.is_admin:
        yield Step(Kind.DEMOTE, name)
    if person.role is Role.STUDENT:
        yield from _private(person, server)
    yield from _memberships(person, account.roles if account else frozenset())


def _private(person: Person, server: Server) -> Iterator[Step]:
    target = f"experiment:{person.username}"
    if _grant(server, target, _OWNER) not in server.own_grants(person.username):
        yield Step(Kind.GIVE, person.username, target, _OWNER)


def _memberships(person: Person, roles: frozenset[str]) -> Iterator[Step]:
    ours = {role for role in roles if role == GUESTS or role.startswith(TEAM_PREFIX)}
    for role in person.roles:
        if role not in ours:
            yield Step(Kind.JOIN, person.username, role)
    for role in sorted(ours - set(person.roles)):
        yield Step(Kind.LEAVE, person.username, role)


def _intruders(people: Sequence[Person], server: Server) -> Iterator[str]:
    """Who else may see somebody's private experiment: whoever made it before, under that name."""
    owners = (person.username for person in people if person.role is Role.STUDENT)
    names = {server.experiments[name]: name for name in owners if name in server.experiments}
    for account in server.accounts.values():
        seen = {names[grant.pattern] for grant in account.grants if grant.pattern in names}
        for name in sorted(seen - {account.username}) if not account.is_admin else ():
            yield f"{account.username} has a permission of their own on the experiment {name}"


def _strangers(people: Sequence[Person], server: Server) -> tuple[str, ...]:
    """Accounts of nobody on the roster; administrators are never among them."""
    listed = {person.username for person in people}
    accounts = sorted(server.accounts.values(), key=lambda account: account.username)
    return tuple(a.username for a in accounts if a.username not in listed and not a.is_admin)


_WORDS: Final[Mapping[Kind, tuple[str, str]]] = {
    Kind.EXPERIMENT: ("create", "experiment"),
    Kind.RESTORE: ("bring back from the trash", "experiment"),
    Kind.ROLE: ("create", "group"),
    Kind.PERMIT: ("give groups", "permission"),
    Kind.ACCOUNT: ("create", "account"),
    Kind.PROMOTE: ("make", "administrator"),
    Kind.DEMOTE: ("take administration from", "account"),
    Kind.GIVE: ("give", "private experiment"),
    Kind.JOIN: ("add", "group member"),
    Kind.LEAVE: ("remove", "group member"),
    Kind.REMOVE: ("remove", "account"),
}
_NAMED: Final = 5


def words(plan: PeoplePlan) -> tuple[str, ...]:
    """The plan in one line for each kind of step, with the first names."""
    counts = Counter(step.kind for step in plan.steps)
    lines = []
    for kind in (kind for kind in Kind if counts[kind]):
        verb, noun = _WORDS[kind]
        names = list(dict.fromkeys(step.subject for step in plan.steps if step.kind is kind))
        rest = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        plural = "s" if counts[kind] > 1 else ""
        lines.append(f"{verb} {counts[kind]} {noun}{plural}: {', '.join(names[:_NAMED])}{rest}")
    return tuple(lines)
