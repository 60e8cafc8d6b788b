"""`provision.pyz`: bring this machine into the state that its stack asks for.

All phases, or those that are named; `--again` is allowed for clarity and changes nothing, as each
run looks at everything anew. Exit codes: 0 ready, 1 failed, 2 bad usage.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from provision.host import notices, serve, watch
from provision.host.aws import Aws
from provision.host.commands import SystemCommands
from provision.host.failures import HostError
from provision.host.phases import BODIES, ready
from provision.host.places import Places
from provision.host.run import Host, Log, Run, only_one
from provision.model.boot import BootReport


def main(arguments: list[str] | None = None) -> None:
    """Read the arguments, take the lock, and run."""
    chosen = _parser().parse_args(arguments)
    os.umask(0o022)
    places = Places(Path(chosen.root))
    log = Log(places.log)
    try:
        with only_one(places.lock, log.say):
            code = _work(chosen, _host(places), log)
    except HostError as error:
        log.say(f"{error.code}: {error.message}\n  next: {error.next_step}")
        code = error.exit_code
    sys.exit(code)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("provision.pyz", description=__doc__)
    parser.add_argument("phases", nargs="*", metavar="PHASE", help=", ".join(BODIES))
    parser.add_argument("--again", action="store_true", help="a repair")
    parser.add_argument("--since", default="", help="when the machine began (ISO 8601)")
    parser.add_argument("--root", default="/", help="another folder than / (rehearsals)")
    parser.add_argument("--renew-password", action="store_true", help="only that")
    parser.add_argument(
        "--watch", action="store_true", help="only look at certificate, disk and idleness"
    )
    parser.add_argument("--models", metavar="JSON", help="only what provision serve asks for")
    parser.add_argument("--ask", action="store_true", help="only ask the server as a client does")
    return parser


def _host(places: Places) -> Host:
    stack = json.loads(places.stack.read_text(encoding="utf-8"))
    first = "" if places.root == Path("/") else str(places.at("/usr/local/sbin"))
    return Host(places, SystemCommands(first), Aws(stack))


def _work(chosen: argparse.Namespace, host: Host, log: Log) -> int:
    for wanted, act in (
        (chosen.renew_password, watch.renew_password),
        (chosen.watch, watch.watch),
        (chosen.ask, ready.ask),
    ):
        if wanted:
            log.say(act(host))
            return 0
    if chosen.models:
        sys.stdout.write(serve.answer(host, chosen.models, log.say) + "\n")
        return 0
    unknown = [name for name in chosen.phases if name not in BODIES]
    if unknown:
        log.say(f"no such phase: {', '.join(unknown)}; there are {', '.join(BODIES)}")
        return 2
    named = chosen.phases or list(BODIES)
    phases = [(name, body) for name, body in BODIES.items() if name in named]
    report = Run(host, log, chosen.since).go(phases)
    _tell(host, log, report)
    return 0 if report.state == "ready" else 1


def _tell(host: Host, log: Log, report: BootReport) -> None:
    """People hear of a machine that fails for a while; settings that are not there tell nobody."""
    try:
        said = notices.look_at_report(host, report)
    except HostError as error:
        said = error.message
    if said:
        log.say(said)


if __name__ == "__main__":
    main()
