"""A course on a real server: a roster in, and everybody may do what they should and no more."""

from __future__ import annotations

import base64
import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Cli
from tests.e2e.test_ui import Browser

pytestmark = pytest.mark.slow

SPEC = "name: course\nserver:\n  port: {port}\naccess:\n  auth: basic\n  others: none\n"
ROSTER = (
    "\ufeffUsername;Name;E-Mail;Role;Team\r\n"
    "ana;Ana Muñoz;ana@example.org;;\r\n"
    "bo;Bo;;student;red\r\n"
    "cy;Cy;;student;red\r\n"
    "eve;Eve;;guest;\r\n"
    "tom;Tom;;teacher;\r\n"
)
# Tries things as one user after the other, and says what went.
TRY = """
import json, os, sys, mlflow
from mlflow.exceptions import MlflowException
os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "1"
os.environ["MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD"] = "false"
uri, accounts = sys.argv[1], json.loads(sys.stdin.read())
mlflow.set_tracking_uri(uri)
client = mlflow.MlflowClient()

def may(action):
    try:
        action()
        return True
    except MlflowException as error:
        assert "403" in str(error) or "PERMISSION_DENIED" in str(error), error
        return False

def log(name):
    experiment = mlflow.set_experiment(name)
    with mlflow.start_run() as run:
        mlflow.log_metric("auc", 0.8)
        mlflow.log_text("notes", "notes.txt")
    assert mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/notes.txt") == "notes"
    runs.setdefault(name, run.info.run_id)

runs = {}
found = {}
for user, password in accounts.items():
    os.environ.update(MLFLOW_TRACKING_USERNAME=user, MLFLOW_TRACKING_PASSWORD=password)
    found[user] = {
        "sees": sorted(e.name for e in client.search_experiments()),
        "logs": [name for name in ("ana", "bo", "red") if may(lambda: log(name))],
        "reads": [n for n, run in runs.items() if may(lambda: client.get_run(run))],
        "deletes": [n for n, run in runs.items() if may(lambda: client.delete_run(run))],
        "creates": may(lambda: client.create_experiment("by-" + user)),
        "registers": may(lambda: client.create_registered_model("by-" + user)),
    }
print(json.dumps(found))
"""


@pytest.fixture
def course(cli: Cli, port: int) -> Cli:
    cli.spec(SPEC.format(port=port))
    cli.ok("up", "--quiet")
    (cli.folder / "class.csv").write_text(ROSTER, encoding="utf-8", newline="")
    return cli


def passwords(cli: Cli) -> dict[str, str]:
    files = sorted((cli.root() / "people").glob("*.password"))
    return {file.stem: file.read_text(encoding="utf-8").strip() for file in files}


def sync(cli: Cli, *flags: str) -> dict[str, Any]:
    return cli.json("users", "sync", "--roster", "class.csv", *flags)


def test_everybody_may_do_what_they_should_and_no_more(course: Cli, port: int) -> None:
    planned = course.run("users", "sync", "--roster", "class.csv", "--plan", "--json")
    assert planned.returncode == 3
    refused = course.run("users", "sync", "--roster", "class.csv")
    assert refused.returncode == 4, "there is nobody to ask"
    assert passwords(course) == {}
    done = sync(course, "--yes")
    assert done["steps"] == json.loads(planned.stdout)["steps"]
    folder = course.root() / "people"
    modes = {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert (stat.S_IMODE(folder.stat().st_mode), modes) == (0o700, {0o600})
    assert set(passwords(course)) == {"ana", "bo", "cy", "eve", "tom"}
    assert not any(word in json.dumps(done) for word in passwords(course).values())
    assert sync(course, "--plan")["steps"] == []

    found = tried(course, port)
    assert found["ana"] == {
        "sees": ["ana"], "logs": ["ana"], "reads": ["ana"], "deletes": ["ana"],
        "creates": True, "registers": True,
    }  # fmt: skip
    assert found["bo"] == {
        "sees": ["bo", "red"], "logs": ["bo", "red"], "reads": ["bo", "red"], "deletes": ["bo"],
        "creates": True, "registers": True,
    }  # fmt: skip
    assert found["cy"]["sees"] == ["cy", "red"]
    assert (found["cy"]["logs"], found["cy"]["reads"]) == (["red"], ["red"])
    guest = found["eve"]
    assert {"ana", "bo", "cy", "red"} <= set(guest["sees"])
    assert guest["reads"] == ["ana", "bo", "red"]
    assert (guest["logs"], guest["deletes"]) == ([], [])
    assert (guest["creates"], guest["registers"]) == (False, False)
    assert found["tom"]["logs"] == ["ana", "bo", "red"]


def tried(cli: Cli, port: int) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", TRY, f"http://127.0.0.1:{port}"],
        input=json.dumps(passwords(cli)), cwd=cli.folder.parent, capture_output=True, text=True,
        env={**cli.env(), "MLFLOW_DISABLE_TELEMETRY": "true"}, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert isinstance(found, dict)
    return found


def status_of(cli: Cli, port: int, user: str, password: str) -> int:
    """What MLflow answers to somebody who logs in."""
    import http.client

    account = base64.b64encode(f"{user}:{password}".encode()).decode()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request(
        "GET", "/api/2.0/mlflow/users/current", headers={"Authorization": f"Basic {account}"}
    )
    status = connection.getresponse().status
    connection.close()
    return status


def test_people_come_and_go(course: Cli, port: int) -> None:
    sync(course, "--yes")
    first = passwords(course)
    added = course.json("users", "add", "zoe", "yan", "--team", "red")
    assert {step["subject"] for step in added["steps"] if step["kind"] == "create-account"} == {
        "zoe", "yan",
    }  # fmt: skip
    assert course.json("users", "add", "zoe", "--team", "red")["steps"] == []
    assert course.run("users", "add", "bo").returncode == 2, "it would take bo out of his team"
    assert sync(course, "--plan")["kept"] == ["yan", "zoe"]
    assert status_of(course, port, "zoe", passwords(course)["zoe"]) == 200

    course.ok("users", "reset", "ana")
    assert passwords(course)["ana"] != first["ana"]
    assert status_of(course, port, "ana", passwords(course)["ana"]) == 200

    assert course.run("users", "remove", "zoe").returncode == 4
    pruned = sync(course, "--prune", "--yes")
    assert [step["subject"] for step in pruned["steps"]] == ["yan", "zoe"]
    assert "zoe" not in passwords(course)
    listed = {row["username"]: row["role"] for row in course.json("users", "list")["accounts"]}
    assert listed == {
        "admin": "staff", "tom": "staff", "eve": "guest", "ana": "student", "bo": "student",
        "cy": "student",
    }  # fmt: skip

    unknown = course.run("users", "reset", "anna")
    assert unknown.returncode == 2 and "did you mean `ana`?" in unknown.stderr
    for command in ("reset", "remove"):
        assert course.run("users", command, "admin", "-q").returncode == 4


def test_a_class_larger_than_one_request_and_a_server_that_shows_all(cli: Cli, port: int) -> None:
    cli.spec(SPEC.format(port=port).replace("  others: none\n", ""))
    cli.ok("up", "--quiet")
    names = [f"s{n:03}" for n in range(120)]
    (cli.folder / "class.csv").write_text("\n".join(["username", *names]), encoding="utf-8")
    done = sync(cli, "--yes")
    assert list(passwords(cli)) == names
    assert len(set(passwords(cli).values())) == len(names)
    assert "others: none" in done["notes"][0]
    assert status_of(cli, port, names[-1], passwords(cli)[names[-1]]) == 200


def test_a_server_without_accounts_says_how_to_have_them(cli: Cli, port: int) -> None:
    cli.spec(f"name: open\nserver:\n  port: {port}\n")
    cli.ok("up", "--quiet")
    refused = cli.run("users", "list")
    assert refused.returncode == 5
    assert "auth: basic" in refused.stderr
    cli.ok("handout", "out")
    assert (cli.folder / "out/students/everyone/connect.html").exists()


def run_cell(folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    return subprocess.run(
        [sys.executable, "notebook_cell.py"], cwd=folder, capture_output=True, text=True,
        env={**environment, "MLFLOW_DISABLE_TELEMETRY": "true"}, check=False, timeout=180,
    )  # fmt: skip


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    opened = Browser(tmp_path / "profile")
    yield opened
    opened.driver.quit()


@pytest.mark.needs("chromium", "chromedriver")
def test_a_hand_out_explains_connects_and_verifies(
    course: Cli, port: int, browser: Browser, tmp_path: Path
) -> None:
    sync(course, "--yes")
    result = course.json("handout", "out", "--roster", "class.csv")
    assert (result["people"], result["without_password"]) == (5, [])
    for place, user in (("red/bo", "bo"), ("guests/eve", "eve"), ("staff/tom", "tom")):
        done = run_cell(course.folder / "out" / place)
        assert done.returncode == 0, done.stderr
        assert f"Connected to http://127.0.0.1:{port} as {user}" in done.stdout
    look_at_the_page(course.folder / "out/students/ana/connect.html", port, browser)
    password = passwords(course)["ana"]
    shown_only_when_asked(browser, password)
    copies_whole(browser, password)
    fits_phone_and_paper(course.folder / "out/red/bo/connect.html", browser, tmp_path)
    course.ok("down")
    browser.open((course.folder / "out/students/ana/connect.html").as_uri())
    browser.wait_for("This device does not reach the server")


def look_at_the_page(page: Path, port: int, browser: Browser) -> None:
    browser.open(page.as_uri())
    browser.wait_for("For Ana Muñoz", "This device reaches the server.", "pip install mlflow==")
    uri = f"http://127.0.0.1:{port}"
    asked = {answer.url.partition("?")[0] for answer in browser.traffic()}
    assert asked == {f"{uri}/static-files/favicon.ico"}, "nobody else is asked"


def shown_only_when_asked(browser: Browser, password: str) -> None:
    secret = "return getComputedStyle(document.getElementById('password')).filter"
    assert "blur" in browser.driver.execute_script(secret)
    browser.click("Show")
    assert browser.driver.execute_script(secret) == "none"
    shown = browser.driver.execute_script("return document.getElementById('password').textContent")
    assert shown == password


def copies_whole(browser: Browser, password: str) -> None:
    """What the button copies: the cell's text, which is Python with the password in it."""
    browser.driver.execute_script(
        "navigator.clipboard.writeText = async text => { window.copied = text; };"
        "document.querySelector('[data-copy=cell]').click();"
    )
    copied = browser.driver.execute_script("return window.copied")
    compile(copied, "cell", "exec")
    assert password in copied


def fits_phone_and_paper(page: Path, browser: Browser, folder: Path) -> None:
    sizes = ((375, 812, True), (1280, 900, False))
    for width, height, mobile in sizes:
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile}
        browser.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        browser.open(page.as_uri())
        browser.wait_for("For Bo")
        wide = browser.driver.execute_script("return document.documentElement.scrollWidth")
        assert wide <= width, "nothing is cut off, nothing scrolls sideways"
    printed = browser.driver.execute_cdp_cmd("Page.printToPDF", {"preferCSSPageSize": True})
    pdf = base64.b64decode(printed["data"])
    (folder / "page.pdf").write_bytes(pdf)
    assert pdf.count(b"/Type /Page\n") == 1, "one sheet of A4"
