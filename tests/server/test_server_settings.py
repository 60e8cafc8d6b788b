"""The settings file, the variables that follow from it, and how a database is judged."""

from __future__ import annotations

import importlib
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from provision.server import environment
from provision.server.failures import BootError
from provision.server.schemas import Expected, Facts, State, classify
from provision.server.settings import ServerSettings
from tests.server.running import auth_for, settings_for


def test_settings_come_back_as_they_were_and_are_closed_to_others(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, auth=auth_for(tmp_path), allowed_hosts=("a:1", "b"))
    path = tmp_path / "settings.json"
    settings.save(path)
    settings.save(path)
    assert ServerSettings.load(path) == settings
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("change, words", [
    ({"prot": 1}, "prot"),
    ({"database_url": "postgresql+psycopg2://u:secret@h/d"}, "passfile"),
    ({"workers": 0}, "workers"),
    ({"local_artifact_root": "/elsewhere"}, "/elsewhere"),
    ({"auth": {"admin_username": "a"}}, "missing"),
])  # fmt: skip
def test_settings_that_cannot_be_used_are_refused(
    tmp_path: Path, change: dict[str, object], words: str
) -> None:
    path = tmp_path / "settings.json"
    settings_for(tmp_path).save(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(BootError) as caught:
        ServerSettings.load(path)
    assert caught.value.code == "settings-invalid"
    assert words in caught.value.message
    assert "secret@" not in caught.value.message


def test_a_settings_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BootError, match="none"):
        ServerSettings.load(tmp_path / "none.json")


@pytest.mark.parametrize("constant", [
    "BACKEND_STORE_URI_ENV_VAR", "REGISTRY_STORE_URI_ENV_VAR", "ARTIFACT_ROOT_ENV_VAR",
    "SERVE_ARTIFACTS_ENV_VAR", "ARTIFACTS_DESTINATION_ENV_VAR",
])  # fmt: skip
def test_the_variables_have_the_names_that_mlflow_reads(tmp_path: Path, constant: str) -> None:
    source = importlib.util.find_spec("mlflow").submodule_search_locations[0]  # type: ignore[union-attr, index]
    text = Path(source, "server", "constants.py").read_text(encoding="utf-8")
    (name,) = [line.split('"')[1] for line in text.splitlines() if line.startswith(f"{constant} =")]
    assert name in environment.variables(settings_for(tmp_path))


def test_variables_about_other_servers_are_dropped_and_others_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in list(os.environ):
        monkeypatch.setenv(name, os.environ[name])
    monkeypatch.setattr(os, "environ", dict(os.environ))
    os.environ.update(
        MLFLOW_TRACKING_URI="http://other", MLFLOW_SERVER_DISABLE_SECURITY_MIDDLEWARE="true",
        MLFLOW_S3_ENDPOINT_URL="http://s3",
    )  # fmt: skip
    environment.apply(replace(settings_for(tmp_path), allowed_hosts=("a", "b:1")))
    assert "MLFLOW_TRACKING_URI" not in os.environ
    assert "MLFLOW_SERVER_DISABLE_SECURITY_MIDDLEWARE" not in os.environ
    assert os.environ["MLFLOW_S3_ENDPOINT_URL"] == "http://s3"
    assert os.environ["MLFLOW_SERVER_ALLOWED_HOSTS"] == "a,b:1"


EXPECTED = Expected(
    revisions=frozenset({"first", "last"}),
    head="last",
    tables=frozenset({"experiments", "runs", "traces"}),
    first_tables=frozenset({"experiments", "runs"}),
    alone=True,
)
ALL = frozenset({"experiments", "runs", "traces"})
SOME = frozenset({"experiments", "runs"})


@pytest.mark.parametrize("facts, state", [
    (Facts(frozenset(), None, False), State.EMPTY),
    (Facts(SOME, None, False), State.EMPTY),
    (Facts(SOME, None, True), State.OLDER),
    (Facts(SOME, "first", True), State.OLDER),
    (Facts(ALL, "last", True), State.CURRENT),
    (Facts(ALL | {"users"}, "last", True), State.CURRENT),
    (Facts(SOME, "last", True), State.INCOMPLETE),
    (Facts(ALL, "later", True), State.NEWER),
    (Facts(frozenset({"invoices"}), "later", False), State.FOREIGN),
    (Facts(frozenset({"invoices"}), None, False), State.FOREIGN),
])  # fmt: skip
def test_a_database_is_judged_by_its_tables_and_its_revision(facts: Facts, state: State) -> None:
    assert classify(facts, EXPECTED) is state


def test_a_schema_that_shares_its_database_does_not_mind_other_tables() -> None:
    shared = replace(EXPECTED, alone=False)
    assert classify(Facts(frozenset({"invoices"}), None, False), shared) is State.EMPTY
