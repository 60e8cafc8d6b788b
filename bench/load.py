"""Eight clients that log runs as MLflow's client does: create, batches, single metrics, tags, end.

Plain http.client over kept-alive connections: MLflow's own client would spend more time in itself
than in the server. Prints one JSON object.
"""

from __future__ import annotations

import base64
import http.client
import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

CLIENTS = 8
API = "/api/2.0/mlflow/runs/"


class Client:
    def __init__(self, port: int, account: str | None) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        self._headers = {"Content-Type": "application/json"}
        if account:
            token = base64.b64encode(account.encode()).decode()
            self._headers["Authorization"] = f"Basic {token}"
        self.latencies: list[float] = []
        self.errors = 0

    def call(self, route: str, **body: Any) -> dict[str, Any]:
        started = time.perf_counter()
        self._connection.request("POST", API + route, json.dumps(body), self._headers)
        response = self._connection.getresponse()
        content = response.read()
        self.latencies.append(time.perf_counter() - started)
        self.errors += response.status != 200
        answer: dict[str, Any] = json.loads(content) if response.status == 200 else {}
        return answer

    def log_a_run(self) -> None:
        now = int(time.time() * 1000)
        run = self.call("create", experiment_id="0", start_time=now)
        if not run:
            return
        run_id = run["run"]["info"]["run_id"]
        params = [{"key": f"p{i}", "value": "1"} for i in range(10)]
        self.call("log-batch", run_id=run_id, params=params, tags=[{"key": "t", "value": "v"}])
        for step in range(3):
            metrics = [
                {"key": f"m{i}", "value": i * 1.5, "timestamp": now, "step": step}
                for i in range(50)
            ]
            self.call("log-batch", run_id=run_id, metrics=metrics)
        for step in range(5):
            self.call("log-metric", run_id=run_id, key="loss", value=step, timestamp=now, step=step)
        self.call("set-tag", run_id=run_id, key="x", value="y")
        self.call("update", run_id=run_id, status="FINISHED", end_time=now)


def main(port: int, seconds: float, account_file: str | None) -> None:
    account = Path(account_file).read_text(encoding="utf-8") if account_file else None
    clients = [Client(port, account) for _ in range(CLIENTS)]
    stop = time.monotonic() + seconds

    def work(client: Client) -> None:
        while time.monotonic() < stop:
            client.log_a_run()

    started = time.monotonic()
    threads = [threading.Thread(target=work, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    taken = time.monotonic() - started
    latencies = sorted(second for client in clients for second in client.latencies)
    print(
        json.dumps(
            {
                "requests": len(latencies),
                "seconds": taken,
                "p50_ms": latencies[len(latencies) // 2] * 1000,
                "p95_ms": latencies[int(len(latencies) * 0.95)] * 1000,
                "errors": sum(client.errors for client in clients),
            }
        )
    )


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else None)
