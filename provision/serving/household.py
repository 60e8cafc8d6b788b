"""What a service keeps for its versions: processes, and what was fetched and made for them."""

from __future__ import annotations

from pathlib import Path

from provision.serving.children import Child, LentChild, OwnChild
from provision.serving.fetching import forget
from provision.serving.packages import python_for
from provision.serving.settings import ServiceSettings


class Household:
    """One service's folder."""

    def __init__(self, settings: ServiceSettings, folder: Path) -> None:
        self._settings = settings
        self._folder = folder
        self._homes: dict[Path, Path] = {}

    def child(self, files: Path, name: str) -> Child:
        """Start a version. Raises ScoringError where its packages cannot be had."""
        settings = self._settings
        if not settings.starter:
            return OwnChild(settings.python, files, f"run/{name}")
        python = python_for(files, settings.python, settings.uv, self._folder / "environments")
        self._homes[files] = python.parent.parent
        return LentChild(settings.starter, str(python), files, name)

    def tidy(self, kept: set[Path]) -> None:
        """Forget what was fetched and made for versions that nobody goes back to."""
        forget(self._folder / "versions", kept)
        homes = {home for files, home in self._homes.items() if files in kept}
        forget(self._folder / "environments", homes)
