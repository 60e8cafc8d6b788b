"""What a machine tells people, how often, and when it switches itself off."""

from __future__ import annotations

import os
import shutil
import time
from collections import namedtuple

import pytest

from provision.host import notices, watch
from provision.model.boot import BootReport, Failure, first
from tests.host.conftest import Machine

TOPIC = "arn:aws:sns:eu-west-1:123456789012:provision-demo-alarms"
Usage = namedtuple("Usage", "total used free")


def report(state: str) -> BootReport:
    failure = Failure("database", "database-gone", "no database", "provision up")
    begun = first("i-1", 3, "2026-11-27T08:00:00+00:00", "0.1.0")
    return begun.__class__(**{**vars(begun), "state": state, "failure": failure})


def test_a_notice_of_one_kind_comes_once_a_day(machine: Machine) -> None:
    machine.with_settings(topic=TOPIC)
    assert notices.tell(machine.host, notices.DISK, "full", "buy") == "people were told"
    assert notices.tell(machine.host, notices.DISK, "full", "buy") == ""
    notices.tell(machine.host, notices.CERTIFICATE, "old", "renew")
    assert [subject for _, subject, _ in machine.account.notices] == ["demo: full", "demo: old"]
    mark = machine.places.state / "told-disk"
    mark.write_text(f"{time.time() - 90_000:.0f}\n")
    assert notices.tell(machine.host, notices.DISK, "full", "buy") == "people were told"


def test_without_a_topic_or_the_right_nobody_is_told_and_nothing_fails(machine: Machine) -> None:
    machine.with_settings(topic="")
    assert notices.tell(machine.host, notices.DISK, "full", "buy") == ""
    machine.with_settings(topic=TOPIC).account.refused.add("sns:Publish")
    assert "nobody could be told" in notices.tell(machine.host, notices.DISK, "full", "buy")
    machine.account.refused.clear()
    assert notices.tell(machine.host, notices.DISK, "full", "buy") == "people were told"


@pytest.mark.parametrize(("used", "told"), [(50, 0), (89, 0), (90, 1), (99, 1)])
def test_a_disk_that_is_nearly_full_is_told(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, used: int, told: int
) -> None:
    machine.with_settings(topic=TOPIC)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(100, used, 100 - used))
    assert notices.look_at_disk(machine.host).startswith(f"{used}% of the disk is used")
    assert len(machine.account.notices) == told


def test_a_machine_that_fails_for_a_while_says_why_and_one_that_comes_back_forgets_it(
    machine: Machine,
) -> None:
    machine.with_settings(topic=TOPIC)
    assert notices.look_at_report(machine.host, report("failed")) == ""
    since = machine.places.state / "failing-since"
    since.write_text(f"{time.time() - 1000:.0f}\n")
    assert notices.look_at_report(machine.host, report("failed")) == "people were told"
    (_, subject, text) = machine.account.notices[0]
    assert subject == "demo: it does not come up"
    assert "no database" in text and "provision up" in text
    notices.look_at_report(machine.host, report("ready"))
    assert not since.exists()


@pytest.mark.parametrize(
    ("limit", "up_hours", "request_hours", "off"),
    [
        (0, 100, 100, False),
        (6, 100, 7, True),
        (6, 100, 5, False),
        (6, 100, None, True),
        (6, 2, 100, False),
    ],
)
def test_a_machine_that_nobody_uses_switches_itself_off(
    machine: Machine, limit: int, up_hours: int, request_hours: int | None, off: bool
) -> None:
    machine.with_settings(topic=TOPIC, idle_hours=limit)
    machine.clock.now = up_hours * 3600.0
    if request_hours is not None:
        log = machine.places.at("/var/lib/caddy/requests.log")
        log.parent.mkdir(parents=True)
        log.write_text("{}\n")
        os.utime(log, times=(time.time(), time.time() - request_hours * 3600))
    watch.switch_off_if_idle(machine.host)
    assert ("systemctl poweroff" in machine.commands.asked) is off
    assert len(machine.account.notices) == int(off)
