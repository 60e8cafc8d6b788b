"""The emulated AWS behind a server that fails on demand, in the services' own words."""

from __future__ import annotations

import io
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

_ERROR = (
    "<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors>"
    "<RequestID>7d2c</RequestID></Response>"
)
Answer = tuple[int, str, str]
THROTTLED: Answer = (503, "RequestLimitExceeded", "Request limit exceeded.")
NO_CAPACITY: Answer = (500, "InsufficientInstanceCapacity", "We currently do not have capacity")
EXPIRED: Answer = (400, "RequestExpired", "Request has expired.")
QUOTA: Answer = (400, "VpcLimitExceeded", "The maximum number of VPCs has been reached.")
DENIED: Answer = (
    403,
    "UnauthorizedOperation",
    "You are not authorized to perform this operation. User: arn:aws:iam::123456789012:user/ana "
    "is not authorized to perform: ec2:CreateVpc on resource: * because no identity-based policy "
    "allows the ec2:CreateVpc action.",
)
FORBIDDEN: Answer = (403, "AccessDenied", "Access Denied")
STALLED: Answer = (0, "", "")


@dataclass
class FaultyAws:
    """Answers `fault` to what matches (`CreateVpc`, `PUT /bucket/key`), and as moto otherwise."""

    endpoint: str = ""
    matching: str = "$."
    fault: Answer = THROTTLED
    calls: list[str] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)

    def fail(self, matching: str, fault: Answer) -> None:
        self.matching, self.fault = matching, fault

    def application(self, moto: Any) -> Any:
        def answer(environ: dict[str, Any], start: Callable[..., Any]) -> Any:
            action = _action(environ)
            self.calls.append(action)
            if not re.fullmatch(self.matching, action):
                return moto(environ, start)
            status, code, message = self.fault
            if status == 0:
                self.released.wait(20)
                status = 500
            start(f"{status} Injected", [("Content-Type", "text/xml")])
            return [_ERROR.format(code=code, message=message).encode()]

        return answer


def _action(environ: dict[str, Any]) -> str:
    if "urlencoded" not in environ.get("CONTENT_TYPE", ""):
        return f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}"
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = io.BytesIO(body)
    match = re.search(rb"(?:^|&)Action=(\w+)", body)
    return match[1].decode() if match else ""


@contextmanager
def faulty_aws() -> Iterator[FaultyAws]:
    """A server on a free port; it shares its resources with the other emulation in this process."""
    faulty = FaultyAws()
    application = faulty.application(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, application, threaded=True)
    server.daemon_threads = True  # type: ignore[attr-defined]
    faulty.endpoint = f"http://127.0.0.1:{server.port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield faulty
    finally:
        faulty.released.set()
        server.shutdown()
