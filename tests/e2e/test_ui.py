"""MLflow's UI as people meet it: a real browser, at the address that `provision open` gives."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from tests.clients import client
from tests.conftest import Cli

pytestmark = [pytest.mark.slow, pytest.mark.needs("chromium", "chromedriver")]

LOG_A_RUN = """
import mlflow, matplotlib
matplotlib.use("agg")
from matplotlib import pyplot
mlflow.set_experiment("churn")
with mlflow.start_run(run_name="boosted-trees") as run:
    mlflow.log_params({"depth": 7, "learning_rate": 0.05})
    for step, auc in enumerate((0.61, 0.72, 0.78, 0.8125)):
        mlflow.log_metric("auc", auc, step=step)
    figure, axes = pyplot.subplots()
    axes.plot([0, 0.2, 1], [0, 0.8, 1])
    mlflow.log_figure(figure, "roc.png")
    mlflow.log_text("threshold: 0.4", "notes.txt")
print(run.info.experiment_id, run.info.run_id)
"""
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--window-size=1280,900",
)  # fmt: skip
PATIENCE_SECONDS = 90


class Browser:
    """Chromium with a record of everything that its pages ask for."""

    def __init__(self, profile: Path) -> None:
        options = Options()
        options.binary_location = str(shutil.which("chromium"))
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
        # Named, so that selenium looks for no driver elsewhere.
        service = Service(str(shutil.which("chromedriver")))
        self.driver = webdriver.Chrome(options=options, service=service)

    def open(self, uri: str) -> None:
        self.driver.get(uri)

    def text(self) -> str:
        return str(self.driver.find_element(By.TAG_NAME, "body").text)

    def wait_for(self, *words: str) -> None:
        """Wait until the page shows all of `words`."""

        def shown(_: object) -> bool:
            text = self.text()
            return all(word in text for word in words)

        try:
            self.patiently(shown)
        except Exception:
            pytest.fail(f"not all of {words} at {self.driver.current_url}:\n{self.text()}")

    def patiently(self, condition: Callable[[object], bool]) -> None:
        WebDriverWait(self.driver, PATIENCE_SECONDS, poll_frequency=0.2).until(condition)

    def click(self, label: str) -> None:
        path = f"//*[normalize-space(text())='{label}']"
        self.patiently(lambda _: bool(self.driver.find_elements(By.XPATH, path)))
        self.driver.find_elements(By.XPATH, path)[0].click()

    def picture_is_shown(self, _: object) -> bool:
        script = (
            "return [...document.images].some("
            "i => i.src.startsWith('blob:') && i.complete && i.naturalWidth > 100)"
        )
        return bool(self.driver.execute_script(script))

    def close_assistant(self) -> None:
        """MLflow's assistant takes a quarter of the window; it is not what we look at."""
        path = "//*[normalize-space(text())='MLflow Assistant']/ancestor::*[.//button][1]//button"
        buttons = self.driver.find_elements(By.XPATH, path)
        if buttons:
            buttons[-1].click()

    def log_in(self, username: str, password: str) -> None:
        """Send the account with every request, as a browser does after its log-in window."""
        account = base64.b64encode(f"{username}:{password}".encode()).decode()
        headers = {"Authorization": f"Basic {account}"}
        self.driver.execute_cdp_cmd("Network.enable", {})
        self.driver.execute_cdp_cmd("Network.setExtraHTTPHeaders", {"headers": headers})

    def traffic(self) -> list[Answer]:
        """Every HTTP request of a page, with its status (0: it failed before there was one)."""
        asked: dict[str, str] = {}
        answers = []
        for entry in self.driver.get_log("performance"):  # type: ignore[no-untyped-call]
            message = json.loads(entry["message"])["message"]
            event, about = message["method"], message["params"]
            if event == "Network.requestWillBeSent":
                asked[about["requestId"]] = about["request"]["url"]
            elif event == "Network.responseReceived":
                answers.append(Answer(int(about["response"]["status"]), about["response"]["url"]))
            elif event == "Network.loadingFailed" and not about.get("canceled"):
                answers.append(Answer(0, asked.get(about["requestId"], "")))
        return [answer for answer in answers if answer.url.startswith("http")]


class Answer(NamedTuple):
    status: int
    url: str


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    opened = Browser(tmp_path / "profile")
    yield opened
    opened.driver.quit()


def look_at_the_run(cli: Cli, browser: Browser, picture: Path) -> None:
    """From the front page to the artifact of a run, by clicks."""
    experiment, run = client(cli, LOG_A_RUN).split()
    uri = cli.ok("open", "--print").strip()
    browser.open(uri)
    browser.wait_for("churn", "Recent Experiments")
    browser.open(f"{uri}/#/experiments/{experiment}/runs")
    browser.wait_for("boosted-trees", "1 matching run")
    browser.click("boosted-trees")
    browser.wait_for("Metrics (1)", "auc", "0.8125", "Parameters (2)", "learning_rate", "0.05", run)
    browser.close_assistant()
    browser.driver.save_screenshot(str(picture))
    browser.click("Artifacts")
    browser.wait_for("notes.txt", "roc.png")
    browser.click("notes.txt")
    browser.wait_for("threshold: 0.4")
    browser.click("roc.png")
    browser.patiently(browser.picture_is_shown)


def refused(traffic: list[Answer]) -> list[Answer]:
    return [answer for answer in traffic if not 200 <= answer.status < 400]


def assert_png_of_a_page(picture: Path) -> None:
    content = picture.read_bytes()
    assert content.startswith(b"\x89PNG")
    assert int.from_bytes(content[16:20]) == 1280


def test_the_ui_shows_a_run_with_its_numbers_and_files(
    cli: Cli, port: int, browser: Browser, tmp_path: Path
) -> None:
    cli.spec(f"name: churn\nserver:\n  port: {port}\n")
    cli.ok("up")
    look_at_the_run(cli, browser, tmp_path / "run.png")
    assert_png_of_a_page(tmp_path / "run.png")
    traffic = browser.traffic()
    own = f"127.0.0.1:{port}"
    assert {urlsplit(answer.url).netloc for answer in traffic} == {own}, "nobody else is asked"
    # The UI asks who is logged in; MLflow has that route only with accounts.
    no_accounts = Answer(404, f"http://{own}/ajax-api/2.0/mlflow/users/current")
    assert set(refused(traffic)) == {no_accounts}
    assert any("/get-artifact" in answer.url for answer in traffic)


def test_the_ui_works_with_accounts(cli: Cli, port: int, browser: Browser, tmp_path: Path) -> None:
    cli.spec(f"name: churn\nserver:\n  port: {port}\naccess:\n  auth: basic\n")
    cli.ok("up")
    variables = cli.json("env", "--show-password")["variables"]
    browser.log_in(variables["MLFLOW_TRACKING_USERNAME"], variables["MLFLOW_TRACKING_PASSWORD"])
    look_at_the_run(cli, browser, tmp_path / "run.png")
    assert refused(browser.traffic()) == []


def test_the_ui_shows_strangers_nothing(cli: Cli, port: int, browser: Browser) -> None:
    cli.spec(f"name: churn\nserver:\n  port: {port}\naccess:\n  auth: basic\n")
    cli.ok("up")
    client(cli, LOG_A_RUN)
    uri = f"http://127.0.0.1:{port}"
    browser.open(uri)
    answers = [answer for answer in browser.traffic() if answer.url.startswith(uri)]
    assert answers and {answer.status for answer in answers} <= {0, 401}
    assert "churn" not in browser.text()
