"""Our host in a lab, without Terraform: its bundle in the bucket, and a machine that boots."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provision.adapters.cloud.host import read_login
from provision.adapters.cloud.objects import Bucket, read_object
from provision.adapters.cloud.session import Cloud
from provision.adapters.wheels import WheelCache
from provision.emulator.client import Emulated
from provision.emulator.lab.client import cache_folder
from provision.host.settings import HostSettings
from provision.host.user_data import user_data
from provision.model.boot import CA_KEY, BootReport, report_key
from provision.model.endpoint import Credentials, Endpoint
from provision.targets import host_bundle
from tests.lab.stack import ACCOUNT, NAME, REGION, Maker, Stack

MLFLOW = "3.17.2"


@dataclass
class Booting:
    """An emulated account with a lab around it, or folders, in which one of our hosts boots."""

    account: Emulated
    lab: Any
    make: Maker
    folder: Path
    uri: str = ""

    @property
    def cloud(self) -> Cloud:
        return Cloud(self.account.over(os.environ), REGION)

    def ours(self, **changes: Any) -> Stack:
        """Boot our host; `changes` are its settings'."""

        def text(bucket: str, address: str) -> str:
            self.deliver(bucket, address, **changes)
            return user_data(name=NAME, region=REGION, bucket=bucket)

        return self.make.stack(text, database=True)

    def deliver(self, bucket: str, address: str, **changes: Any) -> None:
        """Put the bundle into the bucket, as `up` does."""
        cache = WheelCache(cache_folder(os.environ) / "uv", sys.executable, os.environ)
        settings = HostSettings(
            name=NAME,
            region=REGION,
            bucket=bucket,
            artifact_root=f"s3://{bucket}/artifacts",
            database_identifier=NAME,
            mlflow_version=MLFLOW,
            admin_secret=f"{NAME}/admin",
            hosts=(address, "localhost"),
            **changes,
        )
        files = host_bundle.fetched(cache, "x86_64", settings.packages)
        made = host_bundle.bundle(settings, "x86_64", files)
        host_bundle.upload(self.cloud, Bucket(bucket, ACCOUNT), made)

    def endpoint(self, stack: Stack) -> Endpoint | None:
        """How clients get in; None while the host has not written what they need."""
        authority = read_object(self.cloud, Bucket(stack.bucket, ACCOUNT), CA_KEY)
        login = read_login(self.cloud, f"{NAME}/admin") if authority else None
        if authority is None or login is None:
            return None
        ca, password = self.folder / "ca.pem", self.folder / "password"
        ca.write_bytes(authority)
        password.touch(0o600)
        password.write_text(login.password.reveal() + "\n")
        uri = self.uri or f"https://{stack.public_ip}"
        return Endpoint(NAME, uri, MLFLOW, Credentials("admin", password), ca)

    def report(self, stack: Stack) -> BootReport | None:
        """The boot report; None before there is one."""
        bucket = Bucket(stack.bucket, ACCOUNT)
        text = read_object(self.cloud, bucket, report_key(stack.instance))
        return BootReport.from_json(text.decode()) if text else None
