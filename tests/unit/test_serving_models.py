"""Which version a service answers with, decided without any process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from provision.errors import MissingError, UsageError
from provision.model.layout import Layout
from provision.model.serving import ModelRef, ServiceHealth, ServiceState
from provision.model.tracking import ErrorKind, TrackingError
from provision.serving import roller as rolling
from provision.serving.roller import Roller
from provision.serving.scorer import Scorer, ScoringError
from provision.targets.model_services import ModelServices

MODEL = "models:/churn@champion"


class Fake(Scorer):
    """A version whose process is a flag."""

    def __init__(self, version: str, files: Path) -> None:
        self.version = version
        self.files = files
        self.lives = True
        self.stopped = False

    def alive(self) -> bool:
        return self.lives

    def stop(self) -> None:
        self.stopped = True


class Stage:
    """A registry and the processes of a service."""

    def __init__(self, **state: str) -> None:
        self.wanted = "1"
        self.silent = False
        self.bad: set[str] = set()
        self.started: list[Fake] = []
        self.told: list[ServiceState] = []
        self.roller = Roller(
            ServiceState(MODEL, "http://h", **state),  # type: ignore[arg-type]
            self.look_up, self.place, self.start, self.told.append,
        )  # fmt: skip

    def look_up(self) -> str:
        if self.silent:
            raise TrackingError(ErrorKind.REFUSED, "refused")
        return self.wanted

    def place(self, version: str) -> Path:
        if self.silent:
            raise TrackingError(ErrorKind.REFUSED, "refused")
        return Path(version)

    def start(self, version: str, files: Path) -> Fake:
        if version in self.bad:
            raise ScoringError(f"version {version} is bad")
        self.started.append(Fake(version, files))
        return self.started[-1]

    def look(self, wanted: str) -> ServiceState:
        self.wanted = wanted
        self.roller.look()
        return self.roller.state


@pytest.mark.parametrize(
    ("uri", "ref", "slug"),
    [
        (MODEL, ModelRef("churn", alias="champion"), "churn@champion"),
        ("models:/churn/3", ModelRef("churn", version="3"), "churn@v3"),
    ],
)
def test_addresses_are_read(uri: str, ref: ModelRef, slug: str) -> None:
    assert ModelRef.parse(uri) == ref
    assert (ref.uri, ref.slug) == (uri, slug)


def test_names_with_other_characters_get_files_of_their_own() -> None:
    slugs = {ModelRef(name, alias="a").slug for name in ("é %", "è %", "- -")}
    assert len(slugs) == 3
    assert all(s.isascii() and not set(s) & set(" %;/") for s in slugs)


@pytest.mark.parametrize(
    "uri", ["churn", "models:/churn", "runs:/1/m", "models:/a/b", "models:/a@"]
)
def test_other_addresses_are_refused(uri: str) -> None:
    with pytest.raises(UsageError, match="not the address of a registered model"):
        ModelRef.parse(uri)


def test_a_moved_alias_is_followed_and_the_old_version_ends() -> None:
    stage = Stage()
    stage.look("1")
    state = stage.look("2")
    assert (state.health, state.version, state.files) == (ServiceHealth.READY, "2", "2")
    assert [(s.version, s.stopped) for s in stage.started] == [("1", True), ("2", False)]


def test_a_bad_version_is_not_taken_and_the_old_one_stays() -> None:
    stage = Stage()
    stage.look("1")
    stage.bad = {"2"}
    state = stage.look("2")
    assert (state.health, state.version) == (ServiceHealth.READY, "1")
    assert (state.rejected, state.reason) == ("2", "version 2 is bad")
    assert not stage.started[0].stopped


def test_a_bad_version_is_tried_again_only_after_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(rolling.time, "monotonic", lambda: now[0])
    stage = Stage()
    stage.look("1")
    stage.bad = {"2"}
    stage.look("2")
    stage.bad = set()
    assert stage.look("2").version == "1"
    now[0] += 61
    state = stage.look("2")
    assert (state.version, state.rejected) == ("2", "")


def test_an_alias_that_moves_back_forgives() -> None:
    stage = Stage()
    stage.look("1")
    stage.bad = {"2"}
    stage.look("2")
    state = stage.look("1")
    assert (state.rejected, state.reason) == ("", "")


def test_a_version_that_dies_is_started_again() -> None:
    stage = Stage()
    stage.look("1")
    stage.started[0].lives = False
    state = stage.look("1")
    assert (state.health, state.version, len(stage.started)) == (ServiceHealth.READY, "1", 2)
    assert ServiceHealth.STARTING in [told.health for told in stage.told[1:]]


def test_a_version_that_cannot_come_back_gives_way_to_the_one_before() -> None:
    stage = Stage()
    stage.look("1")
    stage.look("2")
    stage.started[1].lives = False
    stage.bad = {"2"}
    state = stage.look("2")
    assert (state.health, state.version, state.rejected) == (ServiceHealth.READY, "1", "2")


def test_without_the_registry_the_last_version_comes_back() -> None:
    stage = Stage(version="7", files="seven")
    stage.silent = True
    state = stage.look("8")
    assert (state.version, state.files) == ("7", "seven")
    stage.silent = False
    assert stage.look("8").version == "8"


def failing(error: Exception) -> Callable[[], str]:
    def look_up() -> str:
        raise error

    return look_up


def test_an_alias_that_goes_away_leaves_the_version_and_one_that_never_was_fails() -> None:
    missing = failing(MissingError("no such alias", next_step="set it"))
    stage = Stage()
    stage.look("1")
    stage.roller._wanted = missing
    assert stage.look("1").health is ServiceHealth.READY
    fresh = Stage()
    fresh.roller._wanted = missing
    state = fresh.look("1")
    assert (state.health, state.reason) == (ServiceHealth.FAILED, "no such alias")


def test_a_state_survives_its_file_and_foreign_ones_are_ignored() -> None:
    state = ServiceState(MODEL, "http://h", ServiceHealth.READY, "3", "/f", "now", "4", "bad")
    assert ServiceState.from_json(state.to_json()) == state
    assert ServiceState.from_json({**state.to_json(), "schema": "other"}) is None
    assert ServiceState.from_json({**state.to_json(), "health": "odd"}) is None
    assert ServiceState.from_json(None) is None


def test_what_another_version_left_is_passed_over(tmp_path: Path) -> None:
    layout = Layout.below(tmp_path, "churn")
    for name, text in {"a": "{", "b": '{"model": "m"}', "c": "[]"}.items():
        (layout.models / name).mkdir(parents=True)
        (layout.models / name / "service.json").write_text(text)
    services = ModelServices(layout, "python", {})
    assert services.states() == []
    services.resume({"host": "127.0.0.1"})
    assert services.logs() == {}
