"""A real browser, headless, with a record of everything that its pages ask for."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

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

    def enter(self, username: str, password: str) -> None:
        """Take any certificate, and log in with every request from now on."""
        account = base64.b64encode(f"{username}:{password}".encode()).decode()
        for command, given in (
            ("Security.setIgnoreCertificateErrors", {"ignore": True}),
            ("Network.enable", {}),
            ("Network.setExtraHTTPHeaders", {"headers": {"Authorization": f"Basic {account}"}}),
        ):
            self.driver.execute_cdp_cmd(command, given)  # type: ignore[no-untyped-call]

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
