"""Faults that a rehearsal can ask for: what AWS does on a bad day, at a time of one's choosing.

They are set and read at `/provision/faults` of a server that was started with faults allowed:

- `PUT` with a JSON list of faults replaces all of them; their counts start anew;
- `GET` answers with `{"faults": [..., "met": N], "calls": {"ec2:RunInstances": N}}`;
- `DELETE` removes them all; connections that stall are reset.
"""

from __future__ import annotations

import json
import random
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from typing import Any

from provision.emulator.calls import Answer, Call

PATH = "/provision/faults"
KINDS = (
    "throttle", "error", "reset", "stall", "expired", "denied", "capacity", "quota",
)  # fmt: skip

# Codes and HTTP statuses by protocol; "" is every other one. Sources: EC2 API Reference "Error
# codes for the Amazon EC2 API"; S3 API Reference "Error responses"; "Common Errors" of the others.
_THROTTLED = {
    "ec2": (503, "RequestLimitExceeded"), "s3": (503, "SlowDown"), "query": (400, "Throttling"),
    "rest": (429, "TooManyRequestsException"), "": (400, "ThrottlingException"),
}  # fmt: skip
_EXPIRED = {
    "ec2": (400, "RequestExpired"), "s3": (400, "ExpiredToken"), "query": (403, "ExpiredToken"),
    "rest": (403, "ExpiredTokenException"), "": (400, "ExpiredTokenException"),
}  # fmt: skip
_DENIED = {
    "ec2": (403, "UnauthorizedOperation"), "s3": (403, "AccessDenied"),
    "query": (403, "AccessDenied"), "rest": (403, "AccessDeniedException"),
    "": (400, "AccessDeniedException"),
}  # fmt: skip
_FAILED = {"ec2": "InternalError", "s3": "InternalError", "": "InternalFailure"}
_UNAVAILABLE = {"ec2": "Unavailable", "": "ServiceUnavailable"}
_CAPACITY = {
    "RunInstances": (500, "InsufficientInstanceCapacity"),
    "CreateDBInstance": (400, "InsufficientDBInstanceCapacity"),
}
_QUOTA = {
    "RunInstances": (400, "VcpuLimitExceeded"),
    "CreateVpc": (400, "VpcLimitExceeded"),
    "CreateInternetGateway": (400, "InternetGatewayLimitExceeded"),
    "CreateSecurityGroup": (400, "SecurityGroupLimitExceeded"),
    "AllocateAddress": (400, "AddressLimitExceeded"),
    "CreateDBInstance": (400, "InstanceQuotaExceeded"),
    "CreateBucket": (400, "TooManyBuckets"),
    "CreateRole": (409, "LimitExceeded"),
}
_TYPES: dict[str, Any] = {
    "kind": str, "service": str, "action": str, "code": str, "rate": int | float, "after": int,
    "times": int | None, "acted": bool, "seconds": int | float | None, "status": int,
}  # fmt: skip
_WORDS = {
    "throttle": "Rate exceeded",
    "error": "An internal error has occurred",
    "expired": "The security token included in the request is expired",
    "capacity": "We currently do not have sufficient capacity in the Availability Zone you "
    "requested",
    "quota": "You have reached the limit of this account for this resource",
}


@dataclass(frozen=True)
class Fault:
    """What goes wrong, for which calls, how often.

    `kind` is one of `KINDS`. `service` (`ec2`) and `action` (`Describe*`) are shell patterns. The
    first `after` matching calls pass; of those that follow, the share `rate` is hit, at most
    `times` of them (`None`: without end).

    - `throttle`, `expired`, `denied`: refused, with the codes that the service itself uses;
    - `error`: HTTP `status`, 500 or 503;
    - `capacity`, `quota`: refused where AWS has a code for it (starting a machine or a database;
      also making a VPC, bucket, role, address), other calls pass. `code` replaces the usual one;
    - `reset`: the connection is reset;
    - `stall`: no answer for `seconds`, then the call goes on; `None` (or `acted`) never answers.

    With `acted`, the account does what was asked before the fault hides its answer: so a resource
    comes to be that nobody was told of.
    """

    kind: str
    service: str = "*"
    action: str = "*"
    rate: float = 1.0
    after: int = 0
    times: int | None = None
    acted: bool = False
    seconds: float | None = None
    status: int = 500
    code: str = ""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"there is no fault {self.kind!r}: choose one of {', '.join(KINDS)}")

    @classmethod
    def from_plain(cls, value: Any) -> Fault:
        """From JSON; raises `ValueError` for a key that there is not, or of another type."""
        if not isinstance(value, Mapping) or "kind" not in value:
            raise ValueError(f"not a fault: {value!r}")
        for name, given in value.items():
            if not isinstance(given, _TYPES.get(name, ())):
                raise ValueError(f"a fault cannot have {name}: {given!r}")
        return cls(**value)

    def concerns(self, call: Call) -> bool:
        """True for the calls that this fault can hit."""
        table = {"capacity": _CAPACITY, "quota": _QUOTA}.get(self.kind)
        if table is not None and not self.code and call.action not in table:
            return False
        return fnmatchcase(call.service, self.service) and fnmatchcase(call.action, self.action)

    def refusal(self, call: Call) -> Answer:
        """The refusal, as the service of the call writes it; not for `reset` and `stall`."""
        status, code = self._status_and_code(call)
        return call.refusal(status, self.code or code, self._message(call))

    def _status_and_code(self, call: Call) -> tuple[int, str]:
        if self.kind == "error":
            names = _UNAVAILABLE if self.status == 503 else _FAILED
            return self.status, names.get(call.protocol, names[""])
        if self.kind in ("capacity", "quota"):
            table = _CAPACITY if self.kind == "capacity" else _QUOTA
            return table.get(call.action, (400, self.code))
        table_of = {"throttle": _THROTTLED, "expired": _EXPIRED, "denied": _DENIED}[self.kind]
        return table_of.get(call.protocol, table_of[""])

    def _message(self, call: Call) -> str:
        if self.kind != "denied":
            return _WORDS[self.kind]
        who = "User: arn:aws:iam::123456789012:user/emulated is not authorized to perform"
        return (
            f"{who}: {call.name} on resource: * because no identity-based policy allows the "
            f"{call.name} action"
        )


class Faults:
    """The faults that are set, and what they and the account have met; safe for threads.

    Chance is the same in every run: the generator starts anew whenever faults are set.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: Counter[str] = Counter()
        self._woken = threading.Event()
        self._set: Sequence[Fault] = ()
        self.replace(())

    def replace(self, faults: Sequence[Fault]) -> None:
        """Set these and no others; whoever stalls is woken."""
        with self._lock:
            self._woken.set()
            self._woken = threading.Event()
            self._set = tuple(faults)
            self._seen = [0] * len(self._set)
            self._met = [0] * len(self._set)
            self._chance = random.Random(0)  # noqa: S311 - a rehearsal must repeat itself

    def meet(self, call: Call) -> Fault | None:
        """Count this call, and say which fault hits it."""
        with self._lock:
            self._calls[call.name] += 1
            return next((f for i, f in enumerate(self._set) if self._hits(i, f, call)), None)

    def _hits(self, index: int, fault: Fault, call: Call) -> bool:
        if not fault.concerns(call):
            return False
        self._seen[index] += 1
        spent = fault.times is not None and self._met[index] >= fault.times
        if spent or self._seen[index] <= fault.after or self._chance.random() >= fault.rate:
            return False
        self._met[index] += 1
        return True

    def stall(self, seconds: float | None) -> bool:
        """Wait; `True` when the time is over, `False` when the faults were changed meanwhile."""
        return not self._woken.wait(seconds)

    def to_json(self) -> bytes:
        """What `GET` answers."""
        with self._lock:
            faults = [
                {**asdict(fault), "met": met}
                for fault, met in zip(self._set, self._met, strict=True)
            ]
            return json.dumps({"faults": faults, "calls": dict(self._calls)}).encode()

    def control(self, method: str, body: bytes) -> tuple[str, bytes]:
        """Do what a request to `PATH` asks; returns HTTP status and body."""
        try:
            if method in ("PUT", "POST"):
                self.replace([Fault.from_plain(item) for item in json.loads(body)])
            elif method == "DELETE":
                self.replace(())
        except (ValueError, TypeError, RecursionError) as error:
            return "400 Bad Request", json.dumps({"message": str(error)}).encode()
        return "200 OK", self.to_json()
