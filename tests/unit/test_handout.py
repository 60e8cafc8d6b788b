"""Hand-outs: what is in the files, and that nothing in a name can become code."""

from __future__ import annotations

import ast
import os
import stat
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provision.adapters import handouts as writer
from provision.adapters.packages import data_file, source_file
from provision.app.handouts import HandoutSource, endpoint_for, group_of, write
from provision.errors import UsageError
from provision.model.endpoint import Credentials, Endpoint
from provision.model.handout import CA, CELL, PAGE, Handout, Templates, files
from provision.model.people import Person, Role
from provision.model.secrets import Secret

TEMPLATES = Templates(
    data_file("handout.html"),
    data_file("notebook_cell.txt"),
    source_file("portable", "check_client.py"),
)
ENDPOINT = Endpoint(
    "churn", "http://127.0.0.1:5000", "3.17.2", Credentials("admin", Path("/secret")),
    aliases=("http://mlflow.lab.example:5000",),
)  # fmt: skip
PASSWORD = "aB3dE6gH9jK2mN5pQ8sT1vW4"
ANA = Person("ana", "Ana Muñoz", team="red")


def made(person: Person = ANA, *, ca: str = "", password: str | None = PASSWORD) -> dict[str, str]:
    secret = Secret(password) if password else None
    return files(Handout(person, ENDPOINT, secret, ca), TEMPLATES)


def test_each_kind_of_file_is_there_and_pins_the_servers_version() -> None:
    found = made()
    assert set(found) == {
        "check_client.py", "connect.html", "environment.yml", "mlflow.env", "mlflow.fish",
        "mlflow.ps1", "mlflow.sh", "notebook_cell.py", "requirements.txt",
    }  # fmt: skip
    assert found["requirements.txt"] == "mlflow==3.17.2\n"
    assert "mlflow==3.17.2" in found["environment.yml"] and "mlflow==3.17.2" in found[PAGE]
    assert made(ca="PEM")[CA] == "PEM"


def test_the_administrators_own_account_is_in_no_file() -> None:
    # The check's own texts advise to ask the administrator.
    found = {name: text for name, text in made().items() if name != "check_client.py"}
    assert not any("/secret" in text or "admin" in text for text in found.values())


class Reading(HTMLParser):
    """The texts of a page, and every tag and attribute that could run something."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        assert not any(name.startswith("on") for name, _ in attrs)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def read(page: str) -> Reading:
    reading = Reading()
    reading.feed(page)
    return reading


PLAIN_TAGS = read(made()[PAGE]).tags


@given(st.text(min_size=1, max_size=60))
def test_no_name_becomes_markup_or_a_placeholder(name: str) -> None:
    reading = read(made(Person("ana", name, team="red"))[PAGE])
    assert reading.tags == PLAIN_TAGS
    if name.isprintable():
        assert any(f"For {name}," in text for text in reading.texts)


def test_a_script_in_a_name_stays_text() -> None:
    page = made(Person("ana", "</script><script>alert(1)</script>${uri}$x"))[PAGE]
    assert "<script>alert" not in page
    assert "${uri}" in page


@given(st.sampled_from(list(Role)), st.booleans(), st.booleans())
def test_the_notebook_cell_is_python(role: Role, ca: bool, known: bool) -> None:
    person = Person("ana", role=role, team="" if role is Role.GUEST else "red")
    cell = made(person, ca="PEM" if ca else "", password=PASSWORD if known else None)[CELL]
    ast.parse(cell)
    assert (PASSWORD in cell) is known
    assert ("create_run" in cell) is (role is Role.STUDENT)


SHELLS = {"bash": "mlflow.sh", "zsh": "mlflow.sh", "fish": "mlflow.fish"}


@pytest.mark.parametrize(
    "shell",
    [
        pytest.param(name, marks=pytest.mark.needs(name) if name != "bash" else ())
        for name in SHELLS
    ],
)
def test_a_shell_that_reads_the_file_has_everything_and_the_ca_from_beside_it(
    shell: str, tmp_path: Path
) -> None:
    folder = tmp_path / "it's a folder"
    writer.write_folder(folder, made(ca="PEM"))
    program = (
        "import os; print(*(f'{k}={v}' for k, v in os.environ.items() if 'MLFLOW' in k), sep='\\n')"
    )
    line = f'source "{folder}/{SHELLS[shell]}"; exec "$PYTHON" -c "$PROGRAM"'
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHON": sys.executable}
    done = subprocess.run(
        [shell, "-c", line], cwd=tmp_path, capture_output=True, text=True, check=True,
        env={**environment, "PROGRAM": program, "MLFLOW_RUN_ID": "of another server"},
    )  # fmt: skip
    seen = dict(entry.split("=", 1) for entry in done.stdout.splitlines())
    assert seen.pop("MLFLOW_TRACKING_SERVER_CERT_PATH") == str(folder / CA)
    assert seen == {
        "MLFLOW_TRACKING_URI": "http://127.0.0.1:5000",
        "MLFLOW_TRACKING_USERNAME": "ana",
        "MLFLOW_TRACKING_PASSWORD": PASSWORD,
        "MLFLOW_EXPERIMENT_NAME": "red",
        "MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD": "false",
        "MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD": "false",
    }


def test_powershell_looks_beside_the_script_too() -> None:
    assert "$env:MLFLOW_TRACKING_SERVER_CERT_PATH = Join-Path $PSScriptRoot 'ca.pem'" in (
        made(ca="PEM")["mlflow.ps1"].splitlines()
    )


def test_guests_and_staff_have_no_experiment_of_their_own() -> None:
    for role in (Role.GUEST, Role.STAFF):
        assert "EXPERIMENT_NAME" not in made(Person("eve", role=role))["mlflow.sh"]


def test_a_person_whose_password_is_elsewhere_is_told_so() -> None:
    found = made(password=None)
    assert "PASSWORD" not in found["mlflow.sh"].replace("unset", "")
    assert "the one that you have already" in found[PAGE]


class Quiet:
    """Progress that nobody sees."""

    @contextmanager
    def step(self, _: str) -> Iterator[None]:
        yield

    def note(self, _: str) -> None: ...

    def board(self, _: object) -> object: ...


def hand_out(people: list[Person], folder: Path) -> object:
    source = HandoutSource(ENDPOINT, "", TEMPLATES, lambda _: Secret(PASSWORD))
    return write(people, folder, source, writer, Quiet())  # type: ignore[arg-type]


def test_folders_and_zips_are_closed_to_others_and_complete(tmp_path: Path) -> None:
    people = [ANA, Person("bo", team="red"), Person("cy"), Person("eve", role=Role.GUEST)]
    folder = tmp_path / "out"
    hand_out(people, folder)
    for path in (folder, *folder.rglob("*")):
        wanted = 0o700 if path.is_dir() else 0o600
        assert stat.S_IMODE(path.stat().st_mode) == wanted, path
    assert {path.name for path in folder.glob("*.zip")} == {"red.zip", "students.zip", "guests.zip"}
    with zipfile.ZipFile(folder / "red.zip") as archive:
        names = archive.namelist()
        assert archive.read("red/ana/connect.html").decode() == (
            folder / "red/ana/connect.html"
        ).read_text(encoding="utf-8")
    assert {name.split("/")[1] for name in names} == {"ana", "bo"}
    assert [group_of(person) for person in people] == ["red", "red", "students", "guests"]


def test_the_same_hand_outs_make_the_same_zip(tmp_path: Path) -> None:
    hand_out([ANA], tmp_path / "a")
    hand_out([ANA], tmp_path / "b")
    assert (tmp_path / "a/red.zip").read_bytes() == (tmp_path / "b/red.zip").read_bytes()


def test_a_link_in_the_folder_is_not_followed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "precious"
    elsewhere.write_text("mine")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mlflow.sh").symlink_to(elsewhere)
    writer.write_folder(tmp_path / "out", {"mlflow.sh": "x"})
    assert elsewhere.read_text() == "mine"


def test_an_address_that_nobody_else_can_use_is_noticed(tmp_path: Path) -> None:
    assert hand_out([ANA], tmp_path).only_here  # type: ignore[attr-defined]


def test_others_get_the_address_for_others() -> None:
    assert endpoint_for(ENDPOINT, None).uri == "http://mlflow.lab.example:5000"
    assert endpoint_for(ENDPOINT, "https://proxy.example/").uri == "https://proxy.example"
    with pytest.raises(UsageError):
        endpoint_for(ENDPOINT, "mlflow.lab.example")
