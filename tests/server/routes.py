"""Print every route of MLflow's server as JSON: `[[path, [methods]], ...]`, with auth if asked."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from typing import Any


def native(routes: list[Any], prefix: str = "") -> Iterator[tuple[str, set[str]]]:
    """Routes of a FastAPI application; an included router keeps its own list and prefix."""
    for route in routes:
        if hasattr(route, "original_router"):
            inner = prefix + getattr(route.include_context, "prefix", "")
            yield from native(route.original_router.routes, inner)
        elif hasattr(route, "endpoint"):
            yield prefix + route.path, set(route.methods or ())


def main() -> None:
    os.environ["_MLFLOW_SGI_NAME"] = "uvicorn"
    os.environ["_MLFLOW_SERVER_SERVE_ARTIFACTS"] = "true"
    from mlflow.server import app as flask_app

    if "auth" in sys.argv:
        from mlflow.server.auth import create_app

        full = create_app()
    else:
        from mlflow.server.fastapi_app import app as full
    found = [(rule.rule, set(rule.methods or ())) for rule in flask_app.url_map.iter_rules()]
    found += list(native(full.routes))
    merged: dict[str, set[str]] = {}
    for path, methods in found:
        merged.setdefault(path, set()).update(methods - {"HEAD", "OPTIONS"})
    routes = sorted((path, sorted(methods)) for path, methods in merged.items())
    sys.stdout.write(json.dumps(routes))


if __name__ == "__main__":
    main()
