"""`provision handout`: what each person gets to connect, in folders and a zip for each group."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import urlsplit

from provision.app.people import PeopleList
from provision.errors import UsageError
from provision.model.endpoint import Endpoint
from provision.model.handout import Handout, Templates, files
from provision.model.people import Person, Role
from provision.model.secrets import Secret
from provision.targets.base import Progress

EVERYONE: Final = "everyone"
_GROUPS: Final = {Role.STUDENT: "students", Role.GUEST: "guests", Role.STAFF: "staff"}


class Writer(Protocol):
    """Where folders and zips go; `adapters.handouts` is one."""

    def write_folder(self, folder: Path, files: Mapping[str, str]) -> None:
        """Write texts by file name into a folder that only its owner may read."""

    def write_zip(self, path: Path, files: Mapping[str, str]) -> None:
        """Write texts by path into a zip that only its owner may read."""


@dataclass(frozen=True)
class HandoutResult:
    """What was written: people, a zip for each group, and whose password is not here.

    `only_here`: the address is this machine's own, so that nobody else gets in by it.
    """

    folder: Path
    uri: str
    people: int
    zips: Sequence[Path]
    without_password: Sequence[str]
    only_here: bool = False


@dataclass(frozen=True)
class HandoutSource:
    """What all hand-outs share: the way in, its certificate, the templates, the passwords."""

    endpoint: Endpoint
    ca: str
    templates: Templates
    password_of: Callable[[str], Secret | None]

    def of(self, person: Person) -> Handout:
        """One person's hand-out."""
        asked = self.endpoint.credentials is not None
        password = self.password_of(person.username) if asked else None
        return Handout(person, self.endpoint, password, self.ca)


def endpoint_for(endpoint: Endpoint, uri: str | None) -> Endpoint:
    """The way in for other machines: by `uri`, else by the server's best name for others.

    Raises UsageError for a URI that is none.
    """
    if uri is not None and not uri.startswith(("http://", "https://")):
        raise UsageError(f"--uri {uri}: no address", next_step="write it as http(s)://host:port")
    chosen = uri or (endpoint.aliases[0] if endpoint.aliases else endpoint.uri)
    return replace(endpoint, uri=chosen.rstrip("/"))


def everybody(accounts: PeopleList, own: str) -> Sequence[Person]:
    """The people who have accounts, but for the one that belongs to provision itself."""
    rows = (row for row in accounts.accounts if row.username != own)
    return [Person(row.username, role=Role(row.role), team=_one_team(row.team)) for row in rows]


def _one_team(listed: str) -> str:
    return listed.partition(", ")[0]


def group_of(person: Person) -> str:
    """The group in whose zip a person's folder lies."""
    return person.team or _GROUPS[person.role]


def write(
    people: Sequence[Person], folder: Path, source: HandoutSource, writer: Writer, tell: Progress
) -> HandoutResult:
    """Write everybody's folder below `folder/GROUP`, and `folder/GROUP.zip`."""
    groups: dict[str, dict[str, str]] = {}
    missing = []
    with tell.step(f"writing hand-outs for {len(people)}"):
        for place in (folder, *(folder / group_of(person) for person in people)):
            writer.write_folder(place, {})
        for person in people:
            handout = source.of(person)
            made = files(handout, source.templates)
            group = group_of(person)
            writer.write_folder(folder / group / person.username, made)
            inside = {f"{group}/{person.username}/{name}": text for name, text in made.items()}
            groups.setdefault(group, {}).update(inside)
            if handout.has_account and handout.password is None:
                missing.append(person.username)
        zips = list(_zips(groups, folder, writer))
    uri = source.endpoint.uri
    return HandoutResult(folder, uri, len(people), zips, missing, _is_own(uri))


def _is_own(uri: str) -> bool:
    host = urlsplit(uri).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")


def _zips(groups: Mapping[str, Mapping[str, str]], folder: Path, writer: Writer) -> Iterable[Path]:
    for group, inside in sorted(groups.items()):
        path = folder / f"{group}.zip"
        writer.write_zip(path, inside)
        yield path
