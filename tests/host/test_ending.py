"""What a machine does before its account takes it down, and what it says."""

from __future__ import annotations

from provision.host.ending import archive_at_end
from tests.host.conftest import Machine

TOPIC = "arn:aws:sns:eu-west-1:123456789012:provision-demo-alarms"
DATABASE = "arn:aws:rds:eu-west-1:123456789012:db:provision-demo"
DAY = "2026-11-01"
TAGS = [
    (DATABASE, "provision:archived", DAY),
    ("i-0123456789abcdef0", "provision:archived", DAY),
]
BEFORE, LATER = "2000-01-01T08:00:00+00:00", "2200-01-01T08:00:00+00:00"


def ending(machine: Machine, since: str = BEFORE) -> Machine:
    machine.with_settings(topic=TOPIC, archive_from=since, ends_on=DAY)
    return machine


def test_nothing_happens_before_the_end_or_where_the_stack_stays(machine: Machine) -> None:
    assert archive_at_end(ending(machine, LATER).host) == ""
    assert archive_at_end(ending(machine, "").host) == ""
    assert not machine.commands.asked and not machine.account.tags


def test_at_the_end_it_archives_once_says_so_and_lets_both_go(machine: Machine) -> None:
    assert "everything is archived" in archive_at_end(ending(machine).host)
    stop, job = machine.commands.asked
    assert stop == "systemctl stop mlflow.service"
    assert "--wait --unit=provision-transfer --property=User=mlflow" in job
    assert f" export provision-demo 123456789012 ended-{DAY}-" in job and job.endswith(" {}")
    assert machine.account.tags == TAGS
    ((_, subject, text),) = machine.account.notices
    assert subject == "demo: it is archived, and goes now" and "provision archive DIR" in text
    archive_at_end(machine.host)
    assert sum("systemd-run" in line for line in machine.commands.asked) == 1
    assert machine.account.tags == TAGS * 2


def test_what_cannot_be_archived_stays_serves_on_and_is_told(machine: Machine) -> None:
    ending(machine).commands.fail("systemd-run")
    said = archive_at_end(machine.host)
    assert said.startswith("no archive: ") and "people were told" in said
    assert machine.commands.asked[-1] == "systemctl start mlflow.service"
    assert machine.account.tags == []
    ((_, subject, text),) = machine.account.notices
    assert subject == "demo: it is not archived, and stays" and "provision down" in text
    machine.commands.answers.clear()
    assert "everything is archived" in archive_at_end(machine.host)
    assert machine.account.tags == TAGS


def test_without_the_right_to_say_so_nothing_goes(machine: Machine) -> None:
    ending(machine).account.refused.add("rds:AddTagsToResource")
    assert "lacks rds:AddTagsToResource" in archive_at_end(machine.host)
    assert machine.account.tags == []
    assert "not archived" in machine.account.notices[-1][1]
