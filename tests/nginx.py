"""A real nginx in front of a server, as most recipes put one there."""

from __future__ import annotations

import getpass
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.mlflow_servers import free_port

_CONFIGURATION = """
user {user};  # its own could not write below a test's folder
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port};
    {settings}
    location / {{ proxy_pass {uri}; proxy_set_header Host $http_host; }}
  }}
}}
"""


@contextmanager
def nginx(folder: Path, uri: str, settings: str = "") -> Iterator[str]:
    """Yields the address of an nginx that passes requests on; its defaults but for `settings`."""
    port = free_port()
    file = folder / "nginx.conf"
    text = _CONFIGURATION.format(
        folder=folder, port=port, uri=uri, settings=settings, user=getpass.getuser()
    )
    file.write_text(text)
    command = ["nginx", "-p", str(folder), "-c", str(file), "-g", "daemon off;"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        _wait(port, process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 5).close()
            return
        except ConnectionRefusedError:
            time.sleep(0.02)
    raise RuntimeError(f"nginx ended at once, with {process.returncode}")
