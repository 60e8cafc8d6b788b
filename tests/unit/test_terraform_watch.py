"""The watch: which stall it names after which time, told with the provider's own log lines."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import pytest

from provision.adapters.terraform.watch import Limits, Watch, Watching
from provision.model.terraform_events import ResourceEvent

# As provider 5.100 writes them, shortened: the order of the fields changes from line to line.
_SENT = """\
2026-11-21T07:26:54.026Z [DEBUG] provider.terraform-provider-aws_v5.100.0_x5: HTTP Request Sent: \
rpc.system=aws-api http.request.header.amz_sdk_request="attempt=1; max=25" rpc.method={method} \
rpc.service={service} tf_resource_type=aws_{kind} @module=aws
  http.request.body=
  | Action={method}&Secret=hunter2&rpc.method=Forged
   tf_req_id={request} timestamp=2026-11-21T07:26:54.025Z"""
_ANSWER = """\
2026-11-21T07:26:54.030Z [DEBUG] provider.terraform-provider-aws_v5.100.0_x5: HTTP Response \
Received: @module=aws http.status_code={status} tf_resource_type=aws_{kind} http.duration=4
  http.response.body=
  | {body}
   tf_req_id={request} rpc.method={method} rpc.service={service}"""
_OTHER = "2026-11-21T07:26:54.031Z [DEBUG] provider: waiting for state to become: [available]"
_XML = "<Response><Errors><Error><Code>{}</Code><Message>...</Message></Error></Errors></Response>"
_JSON = '{{"__type":"com.amazonaws.sns#{}","message":"..."}}'


@dataclass
class _Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class _Log:
    """A provider that talks to a watch, with a clock of its own."""

    watch: Watch = field(default_factory=Watch)
    clock: _Clock = field(default_factory=_Clock)

    def __post_init__(self) -> None:
        self.watching = Watching(self.watch, self.clock)

    def sent(self, method: str = "RunInstances", request: str = "a") -> None:
        self._say(_SENT, method, request)

    def answered(
        self, status: int, body: str = "", method: str = "RunInstances", request: str = "a"
    ) -> None:
        self._say(_ANSWER, method, request, status=status, body=body)

    def refused(self, code: str, status: int = 400, template: str = _XML) -> None:
        self.sent()
        self.answered(status, template.format(code))

    def _say(self, template: str, method: str, request: str, **more: object) -> None:
        facts = {"service": "EC2", "kind": "instance", "method": method, "request": request}
        for line in template.format(**facts, **more).splitlines():
            assert self.watching.takes(line)
        assert self.watching.takes(_OTHER)

    def after(self, seconds: float) -> str | None:
        self.clock.now += seconds
        return self.watching.verdict()


def _repeat(log: _Log, code: str, status: int, template: str = _XML) -> str | None:
    """What the watch says while the SDK repeats a refused request for half a minute."""
    for pause in (0.1, 0.5, 1.5, 3.5, 6, 9, 9):
        log.refused(code, status, template)
        verdict = log.after(pause)
        if verdict:
            return verdict
    return None


@pytest.mark.parametrize(
    ("code", "status", "template", "said"),
    [
        ("RequestExpired", 400, _XML, "the AWS credentials have expired (EC2 RunInstances"),
        ("ExpiredToken", 403, _XML, "the AWS credentials have expired"),
        ("ExpiredTokenException", 400, _JSON, "the AWS credentials have expired"),
        ("InsufficientInstanceCapacity", 500, _XML, "AWS has no capacity for this size"),
        ("InsufficientDBInstanceCapacity", 400, _XML, "AWS has no capacity for this size"),
        ("RequestLimitExceeded", 503, _XML, "AWS answers every request with 'slow down'"),
        ("ThrottlingException", 400, _JSON, "AWS answers every request with 'slow down'"),
        ("InternalError", 500, _XML, "AWS answers with errors of its own"),
    ],
)
def test_a_refusal_that_is_repeated_is_named_within_half_a_minute(
    code: str, status: int, template: str, said: str
) -> None:
    log = _Log()
    verdict = _repeat(log, code, status, template)
    assert verdict is not None and verdict.startswith(said)
    assert code in verdict
    assert log.clock.now - 1000.0 <= 30.0
    assert "run the same command again" in log.watching.next_step


def test_a_request_without_an_answer_is_named() -> None:
    log = _Log()
    log.sent()
    assert log.after(24) is None
    assert log.after(2) == ("the connection stalls: AWS has not answered EC2 RunInstances for 26 s")


def test_an_answer_ends_the_wait() -> None:
    log = _Log()
    log.sent()
    log.answered(200)
    assert log.after(600) is None


def test_one_wrong_clock_is_no_expiry() -> None:
    """The SDK takes AWS' time from the first refusal, and its second request succeeds."""
    log = _Log()
    log.refused("RequestExpired")
    log.sent()
    log.answered(200)
    assert log.after(60) is None


def test_throttling_is_no_stall_as_long_as_something_gets_through() -> None:
    log = _Log()
    for number in range(60):
        log.refused("RequestLimitExceeded", 503)
        log.sent("DescribeVpcs", f"b{number}")
        log.answered(200, method="DescribeVpcs", request=f"b{number}")
        assert log.after(5) is None


def test_no_capacity_is_named_although_the_database_gets_on() -> None:
    log = _Log()
    verdict = None
    for number in range(6):
        log.refused("InsufficientInstanceCapacity", 500)
        log.sent("DescribeDBInstances", f"b{number}")
        log.answered(200, method="DescribeDBInstances", request=f"b{number}")
        verdict = verdict or log.after(5)
    assert verdict is not None and "no capacity" in verdict


@pytest.mark.parametrize("code", ["VpcLimitExceeded", "UnauthorizedOperation", "InvalidParameter"])
def test_a_refusal_that_terraform_reports_itself_is_left_to_it(code: str) -> None:
    log = _Log()
    log.refused(code, 400)
    assert log.after(600) is None


def test_what_a_failed_resource_waited_for_is_forgotten() -> None:
    log = _Log()
    log.sent()
    log.watching.event(ResourceEvent("failed", "module.server.aws_instance.this", "create"))
    assert log.after(600) is None


def test_a_wait_of_the_provider_without_requests_is_no_stall() -> None:
    """It sleeps up to a minute between two looks at a database."""
    log = _Log()
    log.sent()
    log.answered(200)
    for _ in range(10):
        assert log.after(60) is None


def test_what_is_not_the_providers_log_stays_terraforms() -> None:
    log = _Log()
    assert not log.watching.takes("Error: Failed to load plugin schemas")
    assert log.watching.takes(_OTHER)
    assert log.watching.takes("  | a body")
    assert not log.watching.takes("╷")


def test_without_a_watch_the_provider_logs_nothing() -> None:
    assert Watching(None).environment == {}
    assert Watching(Watch(reads_log=False)).environment == {}
    assert Watching(Watch()).environment == {"TF_LOG_PROVIDER": "DEBUG"}
    assert Watching(None).verdict() is None


def test_nothing_of_a_request_is_kept() -> None:
    log = _Log()
    for _ in range(20):
        log.refused("RequestLimitExceeded", 503)
    assert "hunter2" not in repr(log.watching)


def test_the_callers_probe_is_asked_again_and_again_beside_us() -> None:
    asked = threading.Semaphore(0)
    answers = iter([None, None, "the credentials expire in 2 minutes"])

    def probe() -> str | None:
        answer = next(answers)
        asked.release()
        return answer

    log = _Log(Watch(probe=probe, limits=Limits(between_probes=20)))
    assert log.after(19) is None
    assert not asked.acquire(timeout=0.05), "not yet"
    verdict = None
    for _ in range(3):
        log.after(21)
        assert asked.acquire(timeout=10)
    for _ in range(200):
        verdict = verdict or log.after(0)
        threading.Event().wait(0.01)
    assert verdict == "the credentials expire in 2 minutes"


def test_the_callers_probe_is_asked_less_often_while_something_succeeds() -> None:
    asked = threading.Semaphore(0)
    limits = Limits(between_probes=20, between_probes_at_work=50)
    log = _Log(Watch(probe=lambda: asked.release() or None, limits=limits))
    for _ in range(4):
        log.sent()
        log.answered(200)
        log.after(12)
    assert not asked.acquire(timeout=0.05), "48 seconds of work"
    log.sent()
    log.answered(200)
    log.after(12)
    assert asked.acquire(timeout=10)
    log.after(21)
    assert asked.acquire(timeout=10), "and soon again when it is silent"


def test_a_probe_that_hangs_holds_nobody() -> None:
    release = threading.Event()
    log = _Log(Watch(probe=lambda: release.wait(60) and None))
    for _ in range(5):
        assert log.after(30) is None
    release.set()
