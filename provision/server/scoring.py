"""`python -m provision.server.scoring FOLDER SOCKET`: MLflow's scoring server on a Unix socket.

The application is MLflow's own (mlflow/pyfunc/scoring_server/app.py). What is added is that it ends
with whoever started it (the end of its standard input says that he is gone), and that the reason
why a model cannot be loaded is left beside the socket, in SOCKET.error.
"""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import Any

from provision.server.failures import first_line


def main(folder: str, socket: str) -> None:
    """Load the model in `folder` and answer on `socket` until told to stop."""
    threading.Thread(target=_end_with_starter, name="lifeline", daemon=True).start()
    import uvicorn  # noqa: PLC0415

    try:
        application = _application(folder)
    except Exception as error:
        Path(f"{socket}.error").write_text(first_line(error), encoding="utf-8")
        raise
    uvicorn.run(application, uds=socket, log_level="warning", access_log=False)


def _application(folder: str) -> Any:
    # As get_cmd in mlflow/pyfunc/scoring_server/__init__.py does; the file's name is a path to it.
    from mlflow.pyfunc import scoring_server  # noqa: PLC0415

    os.environ[scoring_server._SERVER_MODEL_PATH] = folder
    from mlflow.pyfunc.scoring_server.app import app  # noqa: PLC0415

    return app


def _end_with_starter() -> None:
    os.read(sys.stdin.fileno(), 1)
    os._exit(1)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
