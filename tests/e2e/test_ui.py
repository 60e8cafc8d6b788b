"""MLflow's UI as people meet it: a real browser, at the address that `provision open` gives."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.browser import Answer, Browser
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
