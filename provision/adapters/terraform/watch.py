"""A watch on progress: recognises within half a minute what Terraform is silent about for minutes.

The provider repeats a refused request 25 times and waits without end for an answer that does not
come, and tells nobody (measured: 4 to 10 minutes of silence). Its debug log, however, has one entry
per request and one per answer. It holds whole requests: it is read as it comes and never kept.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from provision.errors import MissingError, ProvisionError
from provision.model.terraform_events import Event, ResourceEvent

_ENTRY: Final = re.compile(r"\d{4}-\d\d-\d\dT\S+ \[(?:TRACE|DEBUG|INFO|WARN|ERROR)\] ")
_FIELD: Final = re.compile(
    r"\b(rpc\.service|rpc\.method|tf_req_id|tf_resource_type|http\.status_code)=\"?([^\s\"]+)"
)
_CODE: Final = re.compile(
    r"<Code>([\w.]+)</Code>|\"__type\":\"(?:[\w.]+#)?(\w+)|x_amzn_errortype=\"?(\w+)"
)
# Codes as AWS' API references list them under "common errors".
_EXPIRED: Final = frozenset(
    {"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"}
)
_CAPACITY: Final = frozenset(
    {
        "InsufficientInstanceCapacity",
        "InsufficientDBInstanceCapacity",
        "InsufficientHostCapacity",
        "InsufficientCapacity",
        "Server.InsufficientInstanceCapacity",
    }
)
_THROTTLED: Final = frozenset(
    {
        "Throttling", "ThrottlingException", "ThrottledException", "RequestThrottled",
        "RequestThrottledException", "RequestLimitExceeded", "TooManyRequestsException",
        "PriorRequestNotComplete", "SlowDown", "BandwidthLimitExceeded",
        "ProvisionedThroughputExceededException", "TransactionInProgressException",
        "EC2ThrottledException",
    }
)  # fmt: skip
_LONGEST_ENTRY = 400
_REQUEST: Final = ": HTTP Re"  # "HTTP Request Sent", "HTTP Response Received"
_AGAIN: Final = "then run the same command again: what exists is kept and taken up"


@dataclass(frozen=True)
class Limits:
    """Seconds after which something counts as a stall.

    `unanswered`: one request without an answer. `refused`: every answer says "slow down" or
    "internal error". `no_capacity`: AWS has had no machine. `expired`: every answer calls the
    credentials expired (the SDK mends a wrong clock with its second request). `between_probes`:
    how often the caller's own look at the credentials is repeated while nothing succeeds;
    `between_probes_at_work`: while something does. Each costs a request and some CPU.
    """

    unanswered: float = 25.0
    refused: float = 25.0
    no_capacity: float = 15.0
    expired: float = 3.0
    between_probes: float = 20.0
    between_probes_at_work: float = 50.0


@dataclass(frozen=True)
class Watch:
    """How to watch. `probe` asks AWS who we are, say, and returns a cause to stop, or `None`; it
    runs in a thread of its own. Without `reads_log` only the probe counts.
    """

    probe: Callable[[], str | None] | None = None
    limits: Limits = Limits()
    reads_log: bool = True


class _Cause(NamedTuple):
    """Why a command is stopped, what to do about it, and the class of error that it is."""

    said: str
    next_step: str
    kind: type[ProvisionError] = ProvisionError


@dataclass
class _Call:
    """One request of the provider's that has not succeeded yet. Times are monotonic seconds."""

    name: str
    resource_type: str
    sent_at: float
    waiting: bool = True
    refused_since: float | None = None
    code: str = ""
    status: int = 0


@dataclass
class _Probe:
    """The caller's probe in its thread."""

    ask: Callable[[], str | None]
    asked_at: float
    answer: str | None = None
    thread: threading.Thread | None = None

    def turn(self, now: float, between: float) -> str | None:
        """The answer, once there is one that is a cause; asks again when it is time."""
        running = self.thread is not None and self.thread.is_alive()
        if not running and not self.answer and now - self.asked_at >= between:
            self.asked_at = now
            self.thread = threading.Thread(target=self._run, daemon=True)
            self.thread.start()
        return self.answer

    def _run(self) -> None:
        self.answer = self.ask()


@dataclass
class Watching:
    """One command under watch."""

    watch: Watch | None
    clock: Callable[[], float] = time.monotonic
    next_step: str = ""
    kind: type[ProvisionError] = ProvisionError
    _calls: dict[tuple[str, str], _Call] = field(default_factory=dict)
    _entry: list[str] = field(default_factory=list)
    _entry_at: float = 0.0
    _inside: bool = False
    _progress_at: float = 0.0
    _probe: _Probe | None = None

    def __post_init__(self) -> None:
        self._progress_at = self.clock()
        if self.watch is not None and self.watch.probe is not None:
            self._probe = _Probe(self.watch.probe, self.clock())

    @property
    def environment(self) -> Mapping[str, str]:
        """What makes the provider tell of its requests: nothing but its own log, on stderr."""
        return {"TF_LOG_PROVIDER": "DEBUG"} if self.watch and self.watch.reads_log else {}

    def event(self, event: Event) -> None:
        """A resource that is done is progress; one that failed waits for nothing any more."""
        if not isinstance(event, ResourceEvent):
            return
        if event.kind == "done":
            self._progress_at = self.clock()
        elif event.kind == "failed":
            for key in [
                k for k, c in self._calls.items() if f"{c.resource_type}." in event.address
            ]:
                del self._calls[key]

    def takes(self, line: str) -> bool:
        """Read one line of stderr; False when it is not the provider's log."""
        if not self.environment:
            return False
        if _ENTRY.match(line):
            self._finish_entry()
            self._inside = True
            if _REQUEST in line:
                self._entry, self._entry_at = [line], self.clock()
            return True
        if not self._inside or (line and not line[0].isspace()):
            return False
        if 0 < len(self._entry) < _LONGEST_ENTRY:
            self._entry.append(line)
        return True

    def verdict(self) -> str | None:
        """The cause to stop for, or `None` as long as all is well."""
        if self.watch is None:
            return None
        now = self.clock()
        if self._entry and now - self._entry_at > 0.5:
            self._finish_entry()
        found = self._from_calls(now) or self._from_probe(now)
        if found is None:
            return None
        said, self.next_step, self.kind = found
        return said

    # -- the log --------------------------------------------------------------------------------

    def _finish_entry(self) -> None:
        entry, self._entry = self._entry, []
        if not entry:
            return
        text = "\n".join(entry)
        # What a request or an answer holds comes in lines that begin with a bar.
        own = "\n".join(line for line in entry if not line.startswith("  |"))
        fields = dict(_FIELD.findall(own))
        name = f"{fields.get('rpc.service', 'AWS')} {fields.get('rpc.method', 'request')}"
        key = (fields.get("tf_req_id", ""), name)
        if ": HTTP Request Sent" in entry[0]:
            self._sent(key, name, fields.get("tf_resource_type", ""))
        else:
            self._answered(key, int(fields.get("http.status_code", "0") or 0), text)

    def _sent(self, key: tuple[str, str], name: str, resource_type: str) -> None:
        call = self._calls.setdefault(key, _Call(name, resource_type, self._entry_at))
        call.sent_at, call.waiting = self._entry_at, True

    def _answered(self, key: tuple[str, str], status: int, text: str) -> None:
        call = self._calls.get(key)
        code = _code(text) if status >= 400 else ""
        if not _is_retried(status, code):
            # A success, or a refusal that Terraform itself reports.
            self._calls.pop(key, None)
            self._progress_at = self._entry_at
        elif call is not None:
            call.waiting, call.code, call.status = False, code, status
            call.refused_since = call.refused_since or self._entry_at

    # -- verdicts -------------------------------------------------------------------------------

    def _from_calls(self, now: float) -> _Cause | None:
        assert self.watch is not None  # noqa: S101 - for the type checker
        limits = self.watch.limits
        for call in self._calls.values():
            refused = now - call.refused_since if call.refused_since is not None else -1.0
            if call.code in _EXPIRED and refused > limits.expired:
                return _expired(call)
            if call.code in _CAPACITY and refused > limits.no_capacity:
                return _no_capacity(call)
            if call.waiting and now - call.sent_at > limits.unanswered:
                return _unanswered(call, now - call.sent_at)
            if min(refused, now - self._progress_at) > limits.refused:
                return _throttled(call) if _is_throttled(call.status, call.code) else _broken(call)
        return None

    def _from_probe(self, now: float) -> _Cause | None:
        if self.watch is None or self._probe is None:
            return None
        limits = self.watch.limits
        silent = now - self._progress_at >= limits.between_probes
        between = limits.between_probes if silent else limits.between_probes_at_work
        cause = self._probe.turn(now, between)
        return _Cause(cause, f"mend it, {_AGAIN}", MissingError) if cause else None


def _code(text: str) -> str:
    match = _CODE.search(text)
    return next((group for group in match.groups() if group), "") if match else ""


def _is_throttled(status: int, code: str) -> bool:
    return code in _THROTTLED or status == 429


def _is_retried(status: int, code: str) -> bool:
    """Whether the SDK repeats a request with this answer (aws-sdk-go-v2's standard retryer)."""
    return status >= 500 or _is_throttled(status, code) or code in _EXPIRED | _CAPACITY


def _expired(call: _Call) -> _Cause:
    return _Cause(
        f"the AWS credentials have expired ({call.name}: {call.code})",
        f"sign in again (aws sso login, or new keys), {_AGAIN}",
        MissingError,
    )


def _no_capacity(call: _Call) -> _Cause:
    return _Cause(
        f"AWS has no capacity for this size in this zone now ({call.name}: {call.code})",
        f"wait some minutes, or choose another size or zone, {_AGAIN}",
    )


def _unanswered(call: _Call, seconds: float) -> _Cause:
    return _Cause(
        f"the connection stalls: AWS has not answered {call.name} for {seconds:.0f} s",
        f"look at the network (a VPN, a proxy, a firewall), {_AGAIN}",
    )


def _throttled(call: _Call) -> _Cause:
    return _Cause(
        f"AWS answers every request with 'slow down' ({call.name}: {call.code or call.status})",
        f"wait until what else works in this account has ended, {_AGAIN}",
    )


def _broken(call: _Call) -> _Cause:
    return _Cause(
        f"AWS answers with errors of its own ({call.name}: {call.status} {call.code})",
        f"look at https://health.aws.amazon.com/health/status, {_AGAIN}",
    )
