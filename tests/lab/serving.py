"""What the test of models on a machine needs: versions that are made in a moment, and a client."""

from __future__ import annotations

import base64
import json
import ssl
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

IRIS = "models:/iris-classifier@champion"
FLOWER = {"inputs": [
    {
        "sepal length (cm)": 6.3, "sepal width (cm)": 3.3,
        "petal length (cm)": 6.0, "petal width (cm)": 2.5,
    }
]}  # fmt: skip
PACKAGE = "provision-greeting"

# Two more versions: one that cannot be loaded, and one that needs a package of its own and says
# what of the machine it can reach.
MORE = f"""\
import mlflow

class Fails(mlflow.pyfunc.PythonModel):
    def load_context(self, context):
        raise RuntimeError("its weights are gone")
    def predict(self, context, model_input, params=None):
        return []

class Looks(mlflow.pyfunc.PythonModel):
    def load_context(self, context):
        import provision_greeting
        self.found = [provision_greeting.WORD]
    def predict(self, context, model_input, params=None):
        import os, pathlib, socket
        for at in (("169.254.169.254", 80), ("127.0.0.1", 5000)):
            try:
                socket.create_connection(at, 3)
                self.found.append(at[0])
            except OSError:
                pass
        for path in ("/etc/provision/admin-password", "/var/lib/provision/server",
                     "/run/provision-models", "/var/lib/caddy"):
            if os.access(path, os.R_OK):
                self.found.append(path)
        return self.found

mlflow.set_experiment("versions")
for model, needs in ((Fails(), []), (Looks(), ["{PACKAGE}==1.0"])):
    mlflow.pyfunc.log_model(
        name="model", python_model=model, registered_model_name="iris-classifier",
        pip_requirements=["mlflow==" + mlflow.__version__, *needs],
    )
"""


@contextmanager
def on_the_shelf(folder: Path) -> Iterator[None]:
    """A package that no index has, in the lab's own one."""
    wheel = folder / f"{PACKAGE.replace('-', '_')}-1.0-py3-none-any.whl"
    about = f"{PACKAGE.replace('-', '_')}-1.0.dist-info"
    parts = {
        "provision_greeting.py": 'WORD = "hello"\n',
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {PACKAGE}\nVersion: 1.0\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{name},,\n" for name in (*parts, f"{about}/RECORD"))
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in {**parts, f"{about}/RECORD": record}.items():
            archive.writestr(name, text)
    try:
        yield
    finally:
        wheel.unlink()


@dataclass(frozen=True)
class Caller:
    """A client of one service, with the server's authority and an account."""

    uri: str
    ca_file: str
    username: str
    password: str

    def ask(self, path: str, body: Any = None, *, known: bool = True) -> tuple[int, Any]:
        """One request; its status and what came."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        if known:
            both = base64.b64encode(f"{self.username}:{self.password}".encode()).decode()
            headers["Authorization"] = f"Basic {both}"
        request = urllib.request.Request(self.uri + path, data, headers)
        trusted = ssl.create_default_context(cafile=self.ca_file)
        try:
            with urllib.request.urlopen(request, timeout=120, context=trusted) as answer:
                return int(answer.status), json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def says(self) -> tuple[int, Any]:
        """What the version that answers says to a flower."""
        return self.ask("/invocations", FLOWER)

    def state(self) -> dict[str, str]:
        """How the service is; empty while nothing answers for it yet."""
        code, told = self.ask("/status")
        return dict(told) if code == 200 else {}
