"""From who is on a server to who shall be: the steps, taken by an interpreter in memory."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provision.app.people_server import PeopleServer
from provision.errors import MissingError, RefusedError
from provision.model.people import (
    Account,
    Grant,
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
from provision.model.tracking import Answer, raise_for_status

EMPTY = Server({"admin": Account("admin", is_admin=True)}, {}, {"Default": "0"})
NAMES = ("ana", "bo", "cy", "dan", "eve")


@st.composite
def rosters(draw: st.DrawFn) -> list[Person]:
    names = draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=5))
    people = []
    for name in names:
        role = draw(st.sampled_from(list(Role)))
        team = "" if role is Role.GUEST else draw(st.sampled_from(["", "red", "blue"]))
        people.append(Person(name, role=role, team=team))
    return people


def taken(server: Server, steps: object) -> Server:
    """The server after all `steps`, each in its turn."""
    for step in steps:  # type: ignore[attr-defined]
        server = after(server, step)
    return server


def after(server: Server, step: Step) -> Server:
    accounts, roles = dict(server.accounts), dict(server.roles)
    experiments, trashed = dict(server.experiments), dict(server.trashed)
    account = accounts.get(step.subject)
    if step.kind is Kind.EXPERIMENT:
        assert step.subject not in experiments | trashed
        experiments[step.subject] = str(len(experiments) + len(trashed))
    elif step.kind is Kind.RESTORE:
        experiments[step.subject] = trashed.pop(step.subject)
    elif step.kind is Kind.ROLE:
        assert step.subject not in roles
        roles[step.subject] = frozenset()
    elif step.kind is Kind.ACCOUNT:
        assert account is None
        accounts[step.subject] = Account(step.subject)
    elif step.kind is Kind.REMOVE:
        del accounts[step.subject]
    elif step.kind is Kind.PERMIT:
        roles[step.subject] |= {granted(step, experiments)}
    else:
        assert account is not None
        accounts[step.subject] = changed(account, step, experiments, set(roles))
    return replace(server, accounts=accounts, roles=roles, experiments=experiments, trashed=trashed)


def granted(step: Step, experiments: dict[str, str]) -> Grant:
    resource, _, name = step.target.partition(":")
    return Grant(resource, name if name == "*" else experiments[name], step.permission)


def changed(account: Account, step: Step, experiments: dict[str, str], roles: set[str]) -> Account:
    if step.kind in (Kind.PROMOTE, Kind.DEMOTE):
        return replace(account, is_admin=step.kind is Kind.PROMOTE)
    if step.kind is Kind.GIVE:
        return replace(account, grants=account.grants | {granted(step, experiments)})
    assert step.target in roles
    ours = {step.target}
    kept = account.roles | ours if step.kind is Kind.JOIN else account.roles - ours
    return replace(account, roles=kept)


@given(rosters(), rosters(), st.booleans())
def test_a_second_sync_has_nothing_to_do(
    first: list[Person], then: list[Person], prune: bool
) -> None:
    server = taken(EMPTY, plan_sync(first, EMPTY, prune=prune).steps)
    server = taken(server, plan_sync(then, server, prune=prune).steps)
    assert plan_sync(then, server, prune=prune).steps == ()


@given(rosters(), rosters())
def test_after_a_sync_everybody_has_what_the_roster_says_and_nothing_else_of_ours(
    first: list[Person], then: list[Person]
) -> None:
    server = taken(EMPTY, plan_sync(first, EMPTY, prune=False).steps)
    server = taken(server, plan_sync(then, server, prune=True).steps)
    for person in then:
        account = server.accounts[person.username]
        assert account.is_admin is (person.role is Role.STAFF)
        assert account.roles == set(person.roles)
        if person.role is Role.STUDENT:
            own = Grant("experiment", server.experiments[person.username], "MANAGE")
            assert own in account.grants
    left = {a.username for a in server.accounts.values() if not a.is_admin}
    assert left <= {person.username for person in then}


@given(rosters())
def test_any_interrupted_sync_is_finished_by_the_next(people: list[Person]) -> None:
    steps = plan_sync(people, EMPTY, prune=False).steps
    whole = taken(EMPTY, steps)
    for stop in range(len(steps)):
        partly = taken(EMPTY, steps[:stop])
        assert taken(partly, plan_sync(people, partly, prune=False).steps) == whole


def test_strangers_are_kept_and_named_unless_pruned_and_admins_always_stay() -> None:
    server = replace(EMPTY, accounts={**EMPTY.accounts, "zoe": Account("zoe")})
    kept = plan_sync([], server, prune=False)
    assert (kept.steps, kept.kept) == ((), ("zoe",))
    assert plan_sync([], server, prune=True).steps == (Step(Kind.REMOVE, "zoe"),)


def test_an_experiment_in_the_trash_comes_back_instead_of_a_second_one() -> None:
    server = replace(EMPTY, trashed={"ana": "7"})
    steps = plan_sync([Person("ana")], server, prune=False).steps
    assert steps[0] == Step(Kind.RESTORE, "ana")
    assert Grant("experiment", "7", "MANAGE") in taken(server, steps).accounts["ana"].grants


def test_somebody_who_made_an_experiment_under_anothers_name_is_named() -> None:
    """Whoever creates an experiment manages it: a private one of that name would not be private."""
    eve = Account("eve", grants=frozenset({Grant("experiment", "9", "MANAGE")}))
    server = replace(EMPTY, accounts={**EMPTY.accounts, "eve": eve}, experiments={"ana": "9"})
    plan = plan_sync([Person("ana"), Person("eve")], server, prune=False)
    assert plan.notes == ("eve has a permission of their own on the experiment ana",)


def test_the_plan_in_words_counts_and_names_the_first() -> None:
    people = [Person(f"s{n}") for n in range(7)]
    said = words(plan_sync(people, EMPTY, prune=False))
    assert "create 7 accounts: s0, s1, s2, s3, s4 and 2 more" in said
    assert words(PeoplePlan((Step(Kind.REMOVE, "ana"),))) == ("remove 1 account: ana",)


def test_removal_says_who_is_not_there() -> None:
    plan = plan_removal(["ana", "admin"], EMPTY)
    assert plan.steps == (Step(Kind.REMOVE, "admin"),)
    assert plan.notes == ("ana: there is no such account",)


def test_privacy_is_the_servers_default_permission() -> None:
    assert not is_private(EMPTY)
    assert is_private(replace(EMPTY, default_permission="NO_PERMISSIONS"))


class Refusing:
    """A server that answers everything with one status."""

    def __init__(self, status: int) -> None:
        self.status = status

    def ask(self, method: str, path: str, *_: object, **__: object) -> Answer:
        return raise_for_status(path, Answer(self.status, {}, b"{}"))


@pytest.mark.parametrize(("status", "error"), [(403, RefusedError), (404, MissingError)])
def test_who_may_not_or_cannot_is_told_so(status: int, error: type[Exception]) -> None:
    with pytest.raises(error):
        PeopleServer(Refusing(status)).observe()
