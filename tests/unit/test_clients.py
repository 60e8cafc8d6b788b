from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from provision.app.env import STYLES, env
from provision.errors import UsageError
from provision.model import clients
from provision.model.clients import shell_from, sqlite_file, sqlite_uri
from provision.model.endpoint import Credentials, Endpoint
from provision.model.secrets import Secret

NASTY = """it's "a" $HOME `id` \\n ü 模型 !x *? ~ # ; & | % {a,b}"""
PASSWORD = "p'a\"s$s\\w`o`rd"
NAMES = ("bash", "dash", "zsh", "fish")
SHELLS = [pytest.param(name, marks=pytest.mark.needs(name)) for name in NAMES]

OPTIONS = {"bash": ["--norc"], "dash": [], "zsh": ["-f"], "fish": ["--no-config"]}


def shell_output(shell: str, script: str, environment: Mapping[str, str] | None = None) -> str:
    run = subprocess.run(
        [shell, *OPTIONS[shell], "-c", script],
        env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", **(environment or {})},
        capture_output=True,
        check=True,
    )
    assert run.stderr == b""
    return run.stdout.decode()


def exported(
    shell: str, lines: str, environment: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The MLflow variables that a program started by the shell gets."""
    script = 'eval "$LINES_TO_PASTE"; env -0'
    output = shell_output(shell, script, {"LINES_TO_PASTE": lines, **(environment or {})})
    pairs = (entry.split("=", 1) for entry in output.split("\0") if "=" in entry)
    return {name: value for name, value in pairs if "MLFLOW_" in name and name != "LINES_TO_PASTE"}


def style_of(shell: str) -> str:
    return shell_from(f"/usr/bin/{shell}")


@pytest.fixture
def nasty_endpoint(tmp_path: Path) -> Endpoint:
    folder = tmp_path / NASTY
    folder.mkdir()
    (folder / "password").write_text(PASSWORD + "\n")
    return Endpoint(
        name="team",
        uri="https://mlflow.lab.example",
        mlflow_version="3.17.2",
        credentials=Credentials(f"user {NASTY}", folder / "password"),
        ca_file=folder / "ca.pem",
    )


@pytest.fixture
def store_endpoint() -> Endpoint:
    uri = "sqlite:////data/mlflow.db"
    return Endpoint("solo", uri, "3.17.2", artifact_root=Path("/data/artifacts"))


def expected_variables(endpoint: Endpoint) -> dict[str, str]:
    assert endpoint.credentials is not None
    return {
        "MLFLOW_TRACKING_URI": endpoint.uri,
        "MLFLOW_TRACKING_USERNAME": endpoint.credentials.username,
        "MLFLOW_TRACKING_PASSWORD": PASSWORD,
        "MLFLOW_TRACKING_SERVER_CERT_PATH": str(endpoint.ca_file),
        "MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD": "false",
        "MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD": "false",
    }


@pytest.mark.parametrize("shell", SHELLS)
def test_a_real_shell_exports_exactly_the_variables(shell: str, nasty_endpoint: Endpoint) -> None:
    lines = env(nasty_endpoint, style_of(shell))
    assert exported(shell, lines) == expected_variables(nasty_endpoint)


@pytest.mark.parametrize("shell", SHELLS)
def test_what_a_former_stack_left_behind_is_gone(shell: str, store_endpoint: Endpoint) -> None:
    stale = dict.fromkeys(clients.stale_variables(store_endpoint), "old")
    assert {"MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_REGISTRY_URI"} <= set(
        stale
    )
    kept = {"MLFLOW_EXPERIMENT_NAME": "mine", "MLFLOW_HTTP_REQUEST_TIMEOUT": "5"}
    found = exported(shell, env(store_endpoint, style_of(shell)), {**stale, **kept})
    assert found == {
        "MLFLOW_TRACKING_URI": store_endpoint.uri,
        "_MLFLOW_SERVER_ARTIFACT_ROOT": "/data/artifacts",
        **kept,
    }


@pytest.mark.parametrize("style", clients.SHELLS)
def test_shell_lines_have_no_comments_because_zsh_runs_pasted_ones(
    style: str, nasty_endpoint: Endpoint
) -> None:
    first_words = {line.split()[0] for line in env(nasty_endpoint, style).splitlines()}
    assert not any(word.startswith("#") for word in first_words)


def test_variables_that_an_endpoint_does_not_set_are_unset(store_endpoint: Endpoint) -> None:
    wanted = set(clients.client_variables(store_endpoint))
    stale = set(clients.stale_variables(store_endpoint))
    assert not wanted & stale
    server = Endpoint("team", "http://127.0.0.1:5000", "3.17.2")
    assert "_MLFLOW_SERVER_ARTIFACT_ROOT" in clients.stale_variables(server)
    assert "_MLFLOW_SERVER_ARTIFACT_ROOT" in wanted


@pytest.mark.parametrize("style", STYLES)
def test_no_style_shows_a_password_that_was_not_asked_for(
    style: str, nasty_endpoint: Endpoint
) -> None:
    nasty = Path(nasty_endpoint.credentials.password_file)  # type: ignore[union-attr]
    nasty.write_text("unmistakable-password")
    assert "unmistakable" not in env(nasty_endpoint, style)


def test_shells_read_the_password_from_its_file_even_where_it_is_given(
    nasty_endpoint: Endpoint,
) -> None:
    shown = {style: env(nasty_endpoint, style, Secret("unmistakable-password")) for style in STYLES}
    holders = {style for style, text in shown.items() if "unmistakable" in text}
    assert holders == {"dotenv", "json"}


anything = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
# Half of the characters are ones that some shell gives a meaning.
texts = st.text(anything | st.sampled_from("\\\\\\'\"$`!*?~#;&|%{}() \n\t-"), max_size=40)


@settings(max_examples=25, deadline=None)
@example(["\\", "a\\\\b", "\\'", "'", "", "-n", "$HOME", "`id`", "a\nb\n", "!x", "~", NASTY])
@given(st.lists(texts, min_size=1, max_size=60))
@pytest.mark.parametrize(
    ("shell", "quote"),
    [
        pytest.param(
            shell,
            clients.quote_fish if shell == "fish" else clients.quote_posix,
            marks=pytest.mark.needs(shell),
        )
        for shell in (*NAMES, "sh")
    ],
)
def test_quoted_text_reaches_a_program_unchanged(
    shell: str, quote: object, values: Sequence[str]
) -> None:
    assert callable(quote)
    # One process for all values: each is printed with a NUL behind it by /usr/bin/printf.
    script = f"exec env printf '%s\\0' {' '.join(quote(value) for value in values)}"
    run = subprocess.run(
        [shell, "-c", script],
        env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "HOME": "/nonexistent"},
        capture_output=True,
        check=True,
    )
    assert run.stdout.decode().split("\0")[:-1] == list(values)


@pytest.mark.parametrize(
    ("text", "literal"),
    [
        ("C:\\a b", "'C:\\a b'"),
        ("it's $HOME", "'it''s $HOME'"),
        ("\u2018curly\u2019", "'\u2018\u2018curly\u2019\u2019'"),
    ],
)
def test_powershell_literals_double_every_kind_of_single_quote(text: str, literal: str) -> None:
    assert clients.quote_powershell(text) == literal


def test_powershell_reads_the_password_from_its_file(nasty_endpoint: Endpoint) -> None:
    lines = env(nasty_endpoint, "powershell").splitlines()
    assert "$env:MLFLOW_TRACKING_URI = 'https://mlflow.lab.example'" in lines
    assert any(
        line.startswith("$env:MLFLOW_TRACKING_PASSWORD = (Get-Content -Raw -LiteralPath '")
        for line in lines
    )
    assert "Remove-Item -ErrorAction SilentlyContinue Env:MLFLOW_TRACKING_TOKEN" in lines


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1))
def test_python_dotenv_reads_back_what_a_dotenv_file_says(username: str) -> None:
    import io

    from dotenv import dotenv_values

    account = Credentials(username, Path("/x/password"))
    endpoint = Endpoint("team", "http://127.0.0.1:5000", "3.17.2", account)
    try:
        text = env(endpoint, "dotenv", Secret(username))
    except UsageError:
        assert "${" in username
        return
    values = dotenv_values(stream=io.StringIO(text))
    assert values["MLFLOW_TRACKING_USERNAME"] == username
    assert values["MLFLOW_TRACKING_PASSWORD"] == username
    assert values["MLFLOW_TRACKING_URI"] == "http://127.0.0.1:5000"


def test_a_dotenv_file_without_the_password_says_where_it_is(nasty_endpoint: Endpoint) -> None:
    endpoint = Endpoint("t", "http://h:1", "3.17.2", Credentials("ann", Path("/s/password")))
    text = env(endpoint, "dotenv")
    assert "# MLFLOW_TRACKING_PASSWORD is left out; it is in the file /s/password\n" in text
    assert "\nMLFLOW_TRACKING_PASSWORD=" not in text


def test_a_plain_dotenv_value_is_not_quoted_so_that_docker_reads_it_too() -> None:
    text = env(Endpoint("team", "http://127.0.0.1:5000", "3.17.2"), "dotenv")
    assert text.splitlines()[0] == "MLFLOW_TRACKING_URI=http://127.0.0.1:5000"


@pytest.mark.parametrize("value", ["a\nb", "a\rb", "a${b}"])
def test_a_value_that_dotenv_files_cannot_hold_is_refused(value: str) -> None:
    endpoint = Endpoint("team", "http://127.0.0.1:5000", "3.17.2", ca_file=Path("/x") / value)
    with pytest.raises(UsageError, match="MLFLOW_TRACKING_SERVER_CERT_PATH"):
        env(endpoint, "dotenv")


def test_json_holds_variables_stale_names_and_where_the_password_is(
    nasty_endpoint: Endpoint,
) -> None:
    document = json.loads(env(nasty_endpoint, "json"))
    expected = expected_variables(nasty_endpoint)
    del expected["MLFLOW_TRACKING_PASSWORD"]
    assert document["variables"] == expected
    assert "MLFLOW_TRACKING_TOKEN" in document["unset"]
    assert document["password_file"].endswith("/password")
    assert document["password_included"] is False
    with_password = json.loads(env(nasty_endpoint, "json", Secret(PASSWORD)))
    assert with_password["variables"] == expected_variables(nasty_endpoint)
    assert with_password["password_included"] is True


def test_conda_and_pip_files_pin_the_servers_mlflow(nasty_endpoint: Endpoint) -> None:
    conda = yaml.safe_load(env(nasty_endpoint, "conda"))
    assert conda["name"] == "team"
    assert conda["dependencies"] == ["python=3.11", "pip", {"pip": ["mlflow==3.17.2"]}]
    expected = expected_variables(nasty_endpoint)
    del expected["MLFLOW_TRACKING_PASSWORD"]
    assert conda["variables"] == expected
    assert env(nasty_endpoint, "requirements") == "mlflow==3.17.2\n"


def test_an_unknown_style_names_the_known_ones() -> None:
    with pytest.raises(UsageError) as caught:
        env(Endpoint("t", "http://h:1", "3.17.2"), "csh")
    assert (
        "bash, zsh, fish, powershell, dotenv, json, conda, requirements" in caught.value.next_step
    )


@pytest.mark.parametrize(
    ("path", "style"),
    [
        ("/bin/bash", "bash"),
        ("", "bash"),
        ("/bin/sh", "bash"),
        ("/usr/bin/dash", "bash"),
        ("/bin/zsh", "zsh"),
        ("/opt/homebrew/bin/fish", "fish"),
        ("/usr/bin/pwsh", "powershell"),
        ("C:\\Program Files\\PowerShell\\7\\pwsh.EXE", "powershell"),
    ],
)
def test_the_style_follows_from_the_login_shell(path: str, style: str) -> None:
    assert shell_from(path) == style


def test_a_shell_without_a_style_is_named() -> None:
    with pytest.raises(UsageError, match="/bin/tcsh"):
        shell_from("/bin/tcsh")


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0/"), min_size=1))
def test_a_database_files_path_survives_the_way_through_its_uri(name: str) -> None:
    from sqlalchemy.engine import make_url

    file = Path("/data") / name / "mlflow.db"
    assert sqlite_file(sqlite_uri(file)) == file
    assert make_url(sqlite_uri(file)).database == str(file)


def test_an_artifact_root_with_a_percent_sign_becomes_a_uri() -> None:
    root = Path("/data/50%41/artifacts")
    endpoint = Endpoint("t", "sqlite:////d.db", "3.17.2", artifact_root=root)
    assert clients.client_variables(endpoint)["_MLFLOW_SERVER_ARTIFACT_ROOT"] == root.as_uri()


def test_another_databases_uri_is_no_sqlite_file() -> None:
    with pytest.raises(UsageError, match="postgresql"):
        sqlite_file("postgresql://h/d")
