"""Models of the examples as services: `provision serve`, its page, and MLflow's own command."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from selenium.webdriver.common.by import By

from provision.adapters.processes import any_free_port, marked
from tests.browser import Browser
from tests.conftest import Cli
from tests.examples.conftest import Rung
from tests.lab.serving import Caller

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("examples")]

IRIS = "models:/iris-classifier@champion"
FLOWER = {"dataframe_records": [
    {
        "sepal length (cm)": 6.3, "sepal width (cm)": 3.3,
        "petal length (cm)": 6.0, "petal width (cm)": 2.5,
    }
]}  # fmt: skip
PATIENCE_SECONDS = 120


def ask(url: str, body: Any = None, **headers: str) -> tuple[int, Any]:
    data = None if body is None else json.dumps(body).encode()
    names = {"Content-Type": "application/json", **headers}
    request = urllib.request.Request(url, data, names)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return int(answer.status), json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.2)


@pytest.fixture
def served(rung: Rung) -> Iterator[str]:
    rung.once("iris", "train.py")
    yield rung.cli.json("serve", IRIS)["service"]["uri"]
    rung.cli.run("serve", "--stop", IRIS)


def by_mlflow(rung: Rung, tmp_path: Path) -> tuple[int, Any]:
    """`mlflow models serve`, as one does it where there is no server."""
    port = any_free_port("127.0.0.1")
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", IRIS, "-p", str(port)]
    environment = rung.environment()
    # MLflow starts `uvicorn` by its name.
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    log = tmp_path / "log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [*command, "--env-manager", "local"], cwd=tmp_path, env=environment, stdout=output,
            stderr=output,
        )  # fmt: skip
    try:
        eventually(lambda: process.poll() is not None or listens(port))
        assert process.poll() is None, log.read_text()
        return ask(f"http://127.0.0.1:{port}/invocations", FLOWER)
    finally:
        process.terminate()
        process.wait(timeout=60)


def listens(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def served_on_the_machine(rung: Rung) -> None:
    """The same command, and an answer over HTTPS for whoever has an account."""
    rung.once("iris", "train.py")
    done = rung.cli.json("serve", IRIS)
    names = ("SERVER_CERT_PATH", "USERNAME", "PASSWORD")
    keys = (rung.variables[f"MLFLOW_TRACKING_{name}"] for name in names)
    model = Caller(done["service"]["uri"], *keys)
    assert model.ask("/invocations", FLOWER) == (200, {"predictions": [2]})
    assert model.ask("/invocations", FLOWER, known=False)[0] == 401
    rung.cli.ok("serve", "--stop", IRIS)


@pytest.mark.capability("serving")
def test_a_registered_model_answers(
    rung: Rung, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    if rung.name == "rehearsal":
        served_on_the_machine(rung)
        return
    if rung.name not in ("sqlite", "postgres"):
        # `provision serve` is for servers that hold models; MLflow's own command is for all.
        rung.once("iris", "train.py")
        assert by_mlflow(rung, tmp_path) == (200, {"predictions": [2]})
        return
    uri = request.getfixturevalue("served")
    assert ask(f"{uri}/invocations", FLOWER) == (200, {"predictions": [2]})
    example = ask(f"{uri}/example")[1]
    assert ask(f"{uri}/invocations", example)[0] == 200
    (state,) = rung.cli.json("serve", "--list")["services"]
    assert (state["model"], state["version"], state["health"]) == (IRIS, "1", "ready")
    assert rung.cli.json("serve", IRIS)["changed"] is False


@pytest.mark.needs("chromium", "chromedriver")
@pytest.mark.parametrize("rung", ["sqlite"], indirect=True)
def test_the_page_of_a_service_asks_the_model(rung: Rung, served: str, browser: Browser) -> None:
    browser.open(served)
    browser.wait_for("models:/iris-classifier@champion", "version 1, ready since", "petal width")
    fields = browser.driver.find_elements(By.TAG_NAME, "input")
    assert [field.get_attribute("name") for field in fields] == list(FLOWER["dataframe_records"][0])
    for field, value in zip(fields, FLOWER["dataframe_records"][0].values(), strict=True):
        field.clear()
        field.send_keys(str(value))
    browser.click("Predict")
    answer = browser.driver.find_element(By.ID, "answer")
    browser.patiently(lambda _: answer.text == "2")
    fields[0].clear()
    browser.click("Predict")
    browser.patiently(lambda _: "failed" in str(answer.get_attribute("class")))
    assert "compatible with the model" in answer.text, "MLflow's own words"
    assert {urlsplit(found.url).netloc for found in browser.traffic()} == {served[7:]}
    said = browser.driver.get_log("browser")  # type: ignore[no-untyped-call]
    assert [entry for entry in said if "Content Security" in entry["message"]] == []


# -- how a service lives: on a stack of its own, with models that cost nothing to make ------------

MAKE = """
import mlflow, sys
import pandas as pd
class Says(mlflow.pyfunc.PythonModel):
    def __init__(self, word): self.word = word
    def load_context(self, context):
        if self.word == "bad": raise RuntimeError("its weights are gone")
    def predict(self, context, model_input, params=None): return [self.word] * len(model_input)
mlflow.set_experiment("words")
for word in ("one", "bad", "two"):
    mlflow.pyfunc.log_model(
        name="model", python_model=Says(word), registered_model_name="word",
        pip_requirements=["mlflow"],
    )
mlflow.MlflowClient().set_registered_model_alias("word", "champion", 1)
"""
WORD = "models:/word@champion"
ROW = {"inputs": [{"a": 1}]}


class Service:
    """`models:/word@champion` of a running stack: version 1 says one, 2 cannot load, 3 says two."""

    def __init__(self, cli: Cli, client: Any, account: str) -> None:
        self.cli = cli
        self.client = client
        self.account = account
        self.uri = cli.json("serve", WORD)["service"]["uri"]

    def point_at(self, version: int) -> None:
        self.client.set_registered_model_alias("word", "champion", version)

    def state(self) -> dict[str, str]:
        return dict(ask(f"{self.uri}/status", Authorization=self.account)[1])

    def says(self) -> Any:
        return ask(f"{self.uri}/invocations", ROW, Authorization=self.account)

    def processes(self) -> list[Any]:
        """Those that score: one, and two while a version takes over."""
        return [p for p in marked(self.cli.root()) if "provision.server.scoring" in p.cmdline()]


def basic(username: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


def only_those_with_an_account_get_in(service: Service, password: str) -> None:
    for path in ("/", "/status", "/example"):
        assert status_of(service.uri + path) == 401
    assert ask(f"{service.uri}/invocations", ROW)[0] == 401
    wrong = basic("admin", "not-the-password")
    assert ask(f"{service.uri}/invocations", ROW, Authorization=wrong)[0] == 401
    assert status_of(f"{service.uri}/ping") == 200
    # Another site that points a name of its own at this address.
    rebound = {"Authorization": service.account, "Host": "evil.example"}
    assert ask(f"{service.uri}/invocations", ROW, **rebound)[0] == 403
    # The password is in no process of the service and in none of its files.
    stack = service.cli.root()
    for process in marked(stack):
        assert password not in str(process.cmdline()) + str(process.environ())
    files = [path for path in (stack / "models").rglob("*") if path.is_file()]
    assert files and not [path for path in files if password in path.read_text()]
    assert all(path.stat().st_mode & 0o077 == 0 for path in files)


def of_a_model(process: Any) -> bool:
    words = " ".join(process.cmdline())
    return any(part in words for part in ("provision.serving", "server.scoring", " models/"))


def status_of(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_a_service_follows_its_alias_and_survives_what_goes_wrong(
    cli: Cli, port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    cli.spec(f"name: words\nserver:\n  port: {port}\naccess:\n  auth: basic\n")
    cli.ok("up")
    variables = cli.json("env", "--show-password")["variables"]
    for name, value in {**variables, "MLFLOW_DISABLE_TELEMETRY": "true"}.items():
        monkeypatch.setenv(name, value)
    subprocess.run([sys.executable, "-c", MAKE], check=True, capture_output=True, cwd=tmp_path)
    account = basic(variables["MLFLOW_TRACKING_USERNAME"], variables["MLFLOW_TRACKING_PASSWORD"])
    service = Service(cli, mlflow.MlflowClient(f"http://127.0.0.1:{port}"), account)
    only_those_with_an_account_get_in(service, variables["MLFLOW_TRACKING_PASSWORD"])
    one, two = (200, {"predictions": ["one"]}), (200, {"predictions": ["two"]})
    assert service.says() == one

    # A version that cannot be loaded is not taken, and says why.
    service.point_at(2)
    eventually(lambda: service.state()["rejected"] == "2")
    assert "its weights are gone" in service.state()["reason"]
    shown = cli.ok("serve", "--list")
    assert "version 2 was not taken" in shown and "its weights are gone" in shown
    assert service.says() == one

    # The next one takes over while requests come in: none is lost.
    service.point_at(3)
    answers = []
    eventually(lambda: answers.append(service.says()) or answers[-1] == two)  # type: ignore[func-returns-value]
    assert set(map(str, answers)) <= {str(one), str(two)}
    eventually(lambda: service.state()["rejected"] == "")

    # Its process dies: it comes back.
    eventually(lambda: len(service.processes()) == 1)
    service.processes()[0].kill()
    eventually(lambda: service.says()[0] != 200 or service.state()["health"] == "starting")
    eventually(lambda: service.says() == two)

    # The stack goes and comes: so does the service, at the same address, and then for good.
    cli.ok("down")
    assert marked(cli.root()) == []
    (state,) = cli.json("serve", "--list")["services"]
    assert state["health"] == "stopped"
    cli.ok("up")
    eventually(lambda: listens(int(service.uri.rpartition(":")[2])))
    assert service.says() == two

    # Its supervisor is killed with all below it: `up` starts it again, and nothing else.
    for process in [p for p in marked(cli.root()) if of_a_model(p)]:
        process.kill()
    eventually(lambda: not listens(int(service.uri.rpartition(":")[2])))
    assert cli.json("up")["changed"] is False
    eventually(lambda: listens(int(service.uri.rpartition(":")[2])))
    assert service.says() == two
    cli.ok("serve", "--stop")
    assert cli.json("serve", "--list")["services"] == []
    assert [p for p in marked(cli.root()) if of_a_model(p)] == []

    # What cannot be served leaves nothing behind and says what to do.
    done = cli.run("serve", "models:/word/2")
    assert (done.returncode, "its weights are gone" in done.stderr) == (1, True)
    assert "next step: provision logs model-word@v2" in done.stderr
    assert cli.run("serve", "models:/nobody@champion").returncode == 1
    assert cli.json("serve", "--list")["services"] == []
    assert "RuntimeError: its weights are gone" in cli.ok("logs", "model-word@v2")
