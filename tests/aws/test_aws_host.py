"""Waiting for a machine, saying what is wrong with it, and fetching what clients need."""

from __future__ import annotations

import itertools
import stat
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import pytest

from provision.adapters import workspace
from provision.errors import MissingError, ProvisionError
from provision.model import boot_view
from provision.model.boot import CA_KEY, BootReport, first, report_key
from provision.targets.host_trouble import Ended
from provision.targets.host_wait import HostWait, Patience
from provision.targets.host_word import QUIET_SECONDS, NewestWord
from tests.aws.stack import (
    AT,
    PASSWORD,
    SOON,
    SPEC,
    Stack,
    StandIn,
    beside,
    broken,
    passed,
    ready,
)
from tests.aws.test_host_bundle import deliver

pytestmark = [pytest.mark.xdist_group("aws-host"), pytest.mark.slow]
CLOSED = SPEC.replace(", ingress: [203.0.113.0/24]", "")


class Heard:
    """Progress that remembers what was said."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.boards: list[Sequence[str]] = []
        self.waits = threading.Event()

    def until(self, said: str) -> None:
        while not any(said in text for text in self.told):
            time.sleep(0.01)

    @contextmanager
    def step(self, text: str) -> Iterator[None]:
        self.told.append(text)
        yield

    def note(self, text: str) -> None:
        self.told.append(text)

    @contextmanager
    def board(self, lines: Callable[[], Sequence[str]]) -> Iterator[Callable[[str], None]]:
        self.waits.set()
        yield lambda text: (self.boards.append(lines()), self.told.append(text))[0]


def test_up_waits_for_the_machine_and_shows_each_phase(stack: Stack) -> None:
    heard, host, guest = Heard(), stack.host(), StandIn(stack)
    changed = deliver(stack)
    with beside(lambda: guest.boot("22 tables")):
        report = host.bring_up(stack.cloud, stack.outputs, changed, heard)
    assert (report.state, report.run) == ("ready", 1)
    assert any(line.startswith("ready") and "22 tables" in line for line in heard.told)
    assert any("0 phases of 12 to do" in lines[0] for lines in heard.boards)


def test_a_machine_that_is_ready_is_left_alone(stack: Stack) -> None:
    stack.report(ready(stack.instance, 3))
    heard = Heard()
    assert stack.host().bring_up(stack.cloud, stack.outputs, (), heard).run == 3
    assert not heard.told


def test_one_failed_run_is_told_and_a_second_one_ends_the_wait(stack: Stack) -> None:
    heard, host = Heard(), stack.host()

    stack.report(first(stack.instance, 1, AT))

    def fails_twice() -> None:
        heard.waits.wait()
        stack.report(broken(stack.instance, 1))
        heard.until("tries again")
        stack.report(first(stack.instance, 2, AT))
        stack.report(broken(stack.instance, 2))

    with beside(fails_twice), pytest.raises(ProvisionError) as caught:
        host.bring_up(stack.cloud, stack.outputs, ("all",), heard)
    assert caught.value.exit_code == 1
    for part in ("'database'", "refuses the password", "psql -c", "| FATAL: password"):
        assert part in caught.value.message
    assert caught.value.next_step == "rotate it, then provision up"
    assert any("tries again in a minute" in line for line in heard.told)


def test_a_failure_that_the_machine_overcomes_is_none(stack: Stack) -> None:
    heard = Heard()
    stack.report(first(stack.instance, 1, AT))

    def recovers() -> None:
        heard.waits.wait()
        stack.report(broken(stack.instance, 1))
        heard.until("tries again")
        stack.report(ready(stack.instance, 2))

    with beside(recovers):
        report = stack.host().bring_up(stack.cloud, stack.outputs, ("all",), heard)
    assert report.run == 2


def test_a_machine_that_may_not_write_to_its_bucket_is_asked_itself(stack: Stack) -> None:
    now, asked = [0.0], itertools.count()
    old, new = ready(stack.instance, 1), broken(stack.instance, 2)

    def machine() -> BootReport:
        next(asked)
        return new

    look = NewestWord(lambda: old, machine, clock=lambda: now[0])
    assert (look(), look()) == (old, old)
    now[0] += QUIET_SECONDS
    assert (look(), look()) == (new, new)
    assert next(asked) == 1, "only where the bucket has been quiet, and then not each time"


def test_a_machine_without_a_word_is_named_with_all_that_may_be_wrong(stack: Stack) -> None:
    with pytest.raises(ProvisionError) as caught:
        stack.host().bring_up(stack.cloud, stack.outputs, ("all",), Heard())
    said = caught.value.message
    for part in (stack.instance, "has not reported", "instance profile", "S3", "user data", "| "):
        assert part in said
    assert f"get-console-output --latest --output text --instance-id {stack.instance}" in (
        caught.value.next_step
    )


def test_a_machine_that_was_stopped_is_not_called_silent(stack: Stack) -> None:
    stack.aws.client("ec2").stop_instances(InstanceIds=[stack.instance])
    with pytest.raises(ProvisionError, match="it is stopped"):
        stack.host().bring_up(stack.cloud, stack.outputs, ("all",), Heard())


def test_a_machine_that_ends_meanwhile_is_noticed_long_before_patience_does(stack: Stack) -> None:
    stack.aws.client("ec2").terminate_instances(InstanceIds=[stack.instance])
    now = iter(range(0, 10_000, 60))
    ended = Ended(stack.cloud, stack.instance, clock=lambda: float(next(now)))
    wait = HostWait(lambda: None, lambda what: ProvisionError(what, next_step="-"), SOON, ended)
    with pytest.raises(ProvisionError, match="does not report"):
        wait.until_ready(Heard())


def test_a_lab_that_ends_is_noticed_at_once_and_named(stack: Stack) -> None:
    host = replace(stack.host(patience=Patience(poll=0.02)), trouble=lambda: "the lab has ended")
    with pytest.raises(ProvisionError, match=r"^the lab has ended$") as caught:
        host.bring_up(stack.cloud, stack.outputs, ("all",), Heard())
    assert "provision up starts the lab anew" in caught.value.next_step


def test_trouble_that_passes_is_none(stack: Stack) -> None:
    said = itertools.chain(["starting"], itertools.repeat(""))
    host = replace(stack.host(), trouble=lambda: next(said))
    with pytest.raises(ProvisionError, match="has not reported within"):
        host.bring_up(stack.cloud, stack.outputs, ("all",), Heard())


def test_the_loaders_word_counts_as_one_but_ends_nothing(stack: Stack) -> None:
    waiting = passed(first(stack.instance, 0, AT), "bundle", state="running", detail="no manifest")
    stack.report(waiting)
    with pytest.raises(ProvisionError, match="has not reported anything new"):
        stack.host().bring_up(stack.cloud, stack.outputs, ("all",), Heard())
    assert "bundle       at work: no manifest" in boot_view.lines(waiting, 1)[1]


def test_something_else_in_the_reports_place_is_named(stack: Stack) -> None:
    stack.write(report_key(stack.instance), "<html>")
    with pytest.raises(ProvisionError, match="not a boot report"):
        stack.host().entrance.report(stack.cloud, stack.outputs)


def test_clients_get_the_authority_and_the_password_in_files(stack: Stack) -> None:
    host = stack.host()
    with pytest.raises(MissingError, match=r"has not written .*ca\.pem"):
        host.entrance.fetch_keys(stack.cloud, stack.outputs)
    stack.write(CA_KEY, "-----BEGIN CERTIFICATE-----\n")
    with pytest.raises(MissingError, match="has not written the secret"):
        host.entrance.fetch_keys(stack.cloud, stack.outputs)
    deliver(stack)
    StandIn(stack).boot()
    host.entrance.fetch_keys(stack.cloud, stack.outputs)
    assert workspace.read_secret(host.paths.password).reveal() == PASSWORD
    modes = [stat.S_IMODE(p.stat().st_mode) for p in (host.paths.password, host.paths.authority)]
    assert modes == [0o600, 0o644]
    endpoint = host.entrance.endpoint(stack.outputs, "3.17.2")
    assert endpoint is not None
    assert endpoint.credentials is not None
    assert endpoint.ca_file == host.paths.authority


def test_without_accounts_there_is_no_password(stack: Stack) -> None:
    host = stack.host(SPEC + "access: {auth: none}\n")
    stack.write(CA_KEY, "-----BEGIN CERTIFICATE-----\n")
    host.entrance.fetch_keys(stack.cloud, stack.outputs)
    endpoint = host.entrance.endpoint(stack.outputs, "3.17.2")
    assert endpoint is not None
    assert endpoint.credentials is None


@pytest.mark.parametrize(
    ("spec", "uri"),
    [
        (SPEC, "https://IP"),
        (CLOSED, "https://localhost:8443"),
        (SPEC + "access: {domain: mlflow.lab.example}\n", "https://mlflow.lab.example"),
    ],
    ids=["open", "closed", "named"],
)
def test_the_tracking_uri_is_what_leads_to_the_server(stack: Stack, spec: str, uri: str) -> None:
    endpoint = stack.host(spec).entrance.endpoint(stack.outputs, "3.17.2")
    assert endpoint is not None
    assert stack.outputs.server is not None
    assert endpoint.uri == uri.replace("IP", stack.outputs.server.public_ip)


def test_phases_are_told_once_each() -> None:
    before = passed(first("i-1", 1, AT), "role")
    now = passed(before, "system", changed=("swap of 1 GiB",))
    assert [line.split()[0] for line in boot_view.news(None, now)] == ["role", "system"]
    assert boot_view.news(before, now) == ["system       done: swap of 1 GiB"]
    assert boot_view.news(now, now) == []
    assert boot_view.changes(now) == ["system: swap of 1 GiB"]


def test_status_says_what_the_machine_says() -> None:
    report = passed(first("i-1", 1, AT), "role")
    working = passed(report, "system", state="running", detail="package sources")
    assert boot_view.summary(working) == "at work on system (package sources)"
    assert boot_view.summary(broken("i-1", 1)).startswith("its phase 'database' failed: the data")
    assert boot_view.summary(ready("i-1", 1)) == "ready"


def test_a_transcript_holds_report_failure_and_log() -> None:
    text = boot_view.transcript(broken("i-1", 2), ["last words"])
    assert text[0].startswith("run 2 on i-1: failed")
    assert "next step: rotate it, then provision up" in text
    assert text[-1] == "last words"


def test_a_report_survives_its_way_through_the_bucket(stack: Stack) -> None:
    sent = broken(stack.instance, 4)
    stack.report(sent)
    found: BootReport | None = stack.host().entrance.report(stack.cloud, stack.outputs)
    assert found == sent
