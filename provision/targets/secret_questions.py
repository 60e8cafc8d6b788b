"""Where the secrets of a stack must not be: asked of files, processes, git and the account."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from provision.adapters import git_history, processes
from provision.adapters.searching import Search, files_below, open_to_others
from provision.model.findings.audit import LAYERS
from provision.model.questions import Question, Verdict

UNKNOWN: Final = "audit.not-known"
_LAYERS: Final = {layer.name: layer for layer in LAYERS}
_MOST_NAMED: Final = 5

Hits = Mapping[str, Iterable[str]]
"""Names of secrets by where they were found."""


def question(layer: str, ask: Callable[[], Verdict]) -> Question:
    """One of the audit's."""
    return Question(_LAYERS[layer], ask, unknown=UNKNOWN)


def leak(where: str, looked_at: str, hits: Hits) -> Verdict:
    """What it means that secrets were found, or not, in a kind of place (`in-state`)."""
    found = {place: sorted(names) for place, names in hits.items() if names}
    if not found:
        return Verdict(f"none in {looked_at}")
    places = list(found)
    more = f" and {len(places) - _MOST_NAMED} more" if len(places) > _MOST_NAMED else ""
    facts = {
        "secrets": ", ".join(sorted({name for names in found.values() for name in names})),
        "places": ", ".join(places[:_MOST_NAMED]) + more,
    }
    return Verdict(f"found in {facts['places']}", f"secret.{where}", facts)


@dataclass(frozen=True)
class SecretsHere:
    """The places on this machine. `private` are files and folders that nobody else may read."""

    search: Search
    spec_folder: Path
    private: Sequence[Path]

    def everywhere(self, *, environment: bool = True) -> Sequence[Question]:
        """What counts on every rung; containers get their secrets by their `environment`."""
        return [
            question("secret", self._arguments),
            *([question("secret", self._environment)] if environment else []),
            question("secret", self._git),
            question("files", self._modes),
        ]

    def files(self, where: str, what: str, paths: Iterable[Path]) -> Question:
        """Some files."""
        chosen = list(paths)
        return question("secret", lambda: self._files(where, what, chosen))

    def _files(self, where: str, what: str, paths: Sequence[Path]) -> Verdict:
        hits = self.search.in_files(paths)
        return leak(where, f"{len(paths)} {what}", hits)

    def _arguments(self) -> Verdict:
        found = processes.words()
        hits = {f"{p.name} ({p.pid})": self.search.in_text(p.arguments) for p in found}
        return leak("in-arguments", f"{len(found)} command lines", hits)

    def _environment(self) -> Verdict:
        found = processes.words()
        hits = {f"{p.name} ({p.pid})": self.search.in_text(p.environment) for p in found}
        return leak("in-environment", f"{len(found)} environments", hits)

    def _git(self) -> Verdict:
        top = git_history.top_of(self.spec_folder)
        if top is None:
            return Verdict("no git repository around the spec")
        hits: dict[str, set[str]] = {}
        count = 0
        for path, content in git_history.contents(top):
            count += 1
            if names := self.search.in_bytes(content):
                hits.setdefault(path, set()).update(names)
        return leak("in-git", f"{count} files of {top}, in all versions", hits)

    def _modes(self) -> Verdict:
        found = open_to_others(self.private)
        if not found:
            return Verdict(f"{len(self.private)} files and folders")
        return Verdict(
            f"{len(found)} open", "files.open-mode", {"files": ", ".join(map(str, found))}
        )


def all_below(*folders: Path) -> list[Path]:
    """Folders that are there, with all that is in them."""
    there = [folder for folder in folders if folder.exists()]
    return [*there, *(file for folder in there for file in files_below(folder))]
