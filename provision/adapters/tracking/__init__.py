"""The door to a tracking server: MLflow's REST API over the standard library's HTTP client.

MLflow itself is not imported (that takes about two seconds of CPU), and nothing of the environment
is read: no proxy, no AWS_* variable, no netrc. What this client sees is what a client on a fresh
machine sees.
"""

from __future__ import annotations

from provision.adapters.tracking.client import TrackingClient

__all__ = ["TrackingClient"]
