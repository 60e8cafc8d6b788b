"""`python -m tests.pictures TRACKING_URI SERVICE_URI`: take the tutorial's pictures anew.

Wants what the tutorial has brought up just before its `provision down`. Look at what comes out.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

from tests.browser import Browser
from tests.checkout import ROOT

PICTURES = ROOT / "docs/pictures"
# The last button of the assistant's head, in the corner.
CLOSE_ASSISTANT = "document.elementFromPoint(1244, 42).closest('button')?.click()"


def asked(uri: str, path: str, **body: Any) -> Any:
    request = urllib.request.Request(
        f"{uri}/api/2.0/mlflow/{path}",
        json.dumps(body).encode() if body else None,
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def save(browser: Browser, name: str, height: int) -> None:
    browser.driver.set_window_size(1280, height)
    time.sleep(2)  # the assistant slides in
    browser.driver.execute_script(CLOSE_ASSISTANT)
    time.sleep(1)
    browser.driver.save_screenshot(str(PICTURES / f"{name}.png"))


def compare(browser: Browser, uri: str) -> None:
    path = "experiments/get-by-name?experiment_name=house-prices"
    experiment = asked(uri, path)["experiment"]["experiment_id"]
    found = asked(uri, "runs/search", experiment_ids=[experiment], max_results=3)["runs"]
    chosen = ",".join(f"%22{run['info']['run_id']}%22" for run in found)
    browser.open(f"{uri}/#/compare-runs?runs=[{chosen}]&experiments=[%22{experiment}%22]")
    browser.wait_for("Comparing 3 Runs", "rmse")
    save(browser, "compare", 1000)


def registry(browser: Browser, uri: str) -> None:
    browser.open(f"{uri}/#/models/churn")
    browser.wait_for("champion", "challenger", "Version 2")
    save(browser, "registry", 700)


def service(browser: Browser, uri: str) -> None:
    browser.open(uri)
    browser.wait_for("ready since", "months")
    browser.click("Predict")
    save(browser, "service", 560)


def main(tracking: str, serving: str) -> None:
    with tempfile.TemporaryDirectory() as profile:
        browser = Browser(Path(profile))
        try:
            compare(browser, tracking)
            registry(browser, tracking)
            service(browser, serving)
        finally:
            browser.driver.quit()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
