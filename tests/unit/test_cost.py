"""Estimates: they add up, follow the spec and the region, and the picture shows the same."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import date
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provision.adapters.packages import data_file
from provision.app.cost import cost, days_until
from provision.model.aws_fields import KNOWN_REGIONS
from provision.model.cost import Use, estimate
from provision.model.cost_picture import picture
from provision.model.hours import parse_hours
from provision.model.prices import PROFILES, Prices
from provision.model.spec import Spec
from tests.checkout import ROOT

TABLE = Prices.from_json(json.loads(data_file("prices.json")))


def spec(**aws: object) -> Spec:
    return Spec.model_validate({"name": "churn", "target": "aws", "aws": aws})


def month(region: str = "us-east-1", use: Use | None = None, **aws: object) -> float:
    return estimate(spec(**aws).aws, region, TABLE, use or Use()).month


def test_the_profiles_are_those_of_the_terraform_root() -> None:
    text = (ROOT / "terraform/stacks/tracking/profiles.tf").read_text(encoding="utf-8")
    for profile, settings in PROFILES.items():
        (block,) = re.findall(rf"^    {profile} = {{\n(.*?)^    }}", text, re.MULTILINE | re.DOTALL)
        there = dict(re.findall(r"^ +(\w+) += (.*)$", block, re.MULTILINE))
        for name, value in settings.items():
            if (profile, name) == ("team", "flow_logs"):
                assert there[name] == "var.network.existing == null"
            else:
                assert json.loads(there[name]) == value, (profile, name)


def test_the_table_is_dated_names_its_sources_and_knows_what_it_must() -> None:
    assert date.fromisoformat(TABLE.as_of) <= date.today()
    assert TABLE.sources and TABLE.factor(TABLE.base_region) == 1
    assert set(TABLE.regions) <= set(KNOWN_REGIONS)
    for settings in PROFILES.values():
        assert TABLE.hourly(str(settings["instance_type"]), "eu-west-1")
        assert TABLE.hourly(str(settings["database_class"]), "eu-west-1")


def test_a_month_of_the_course_profile_by_hand() -> None:
    """730 h of t3.small, db.t4g.micro and an address; 20 GB disk, database, artifacts; the rest."""
    by_hand = 15.18 + 1.60 + 3.65 + 11.68 + 2.30 + 0.46 + 0 + 0.40 + 0.30
    assert month() == pytest.approx(by_hand, abs=0.001)


def test_a_standby_doubles_the_database_and_its_storage() -> None:
    once = month(settings={"multi_az": False, "database_initial_gib": 50})
    twice = month(settings={"multi_az": True, "database_initial_gib": 50})
    assert twice - once == pytest.approx(11.68 + 50 * 0.115, abs=0.011)


def test_other_regions_cost_their_factor_for_machines_and_storage_alone() -> None:
    found = estimate(spec().aws, "sa-nowhere-1", TABLE, Use())
    assert (found.factor, found.known_region) == (1.0, False)
    dear = {
        line.what: line.month for line in estimate(spec().aws, "eu-central-1", TABLE, Use()).lines
    }
    here = {line.what: line.month for line in found.lines}
    assert dear["server"] == pytest.approx(here["server"] * 1.143, abs=0.01)
    assert dear["alarms"] == here["alarms"]
    assert dear["public IPv4 address"] == here["public IPv4 address"]


def test_what_has_no_price_is_named_and_not_guessed() -> None:
    found = estimate(spec(settings={"instance_type": "u7i.big"}).aws, "us-east-1", TABLE, Use())
    assert found.unknown == ("u7i.big",)
    assert found.month == pytest.approx(month() - 15.18, abs=0.001)


def test_the_first_hundred_gb_out_are_free() -> None:
    assert month(use=Use(data_out_gb=100)) == month(use=Use(data_out_gb=0))
    paid = month(use=Use(data_out_gb=150)) - month(use=Use(data_out_gb=100))
    assert paid == pytest.approx(4.5, abs=0.001)


USES = st.builds(
    Use,
    artifacts_gb=st.floats(0, 1e5),
    data_out_gb=st.floats(0, 1e5),
    people=st.integers(1, 10_000),
    days=st.integers(1, 3650),
)


@given(USES, st.sampled_from(sorted(TABLE.regions)), st.sampled_from(["course", "team"]))
def test_every_estimate_adds_up(use: Use, region: str, profile: str) -> None:
    found = estimate(spec(profile=profile).aws, region, TABLE, use)
    assert found.month == pytest.approx(sum(line.month for line in found.lines), abs=0.006)
    assert found.day * 730 / 24 == pytest.approx(found.month, abs=0.16)
    assert found.total == pytest.approx(found.month / (730 / 24) * use.days, abs=0.01)
    assert found.person_day * use.people == pytest.approx(found.day, abs=0.6 + found.day * 0.01)


@given(USES)
def test_the_picture_shows_every_line_that_costs_something(use: Use) -> None:
    found = estimate(spec(profile="team").aws, "eu-west-1", TABLE, use)
    drawn = ElementTree.fromstring(picture(found, 'a<b>&"c'))
    texts = [node.text or "" for node in drawn.iter("{http://www.w3.org/2000/svg}text")]
    for line in found.lines:
        assert (line.what in texts) is bool(line.month)
    assert any(f"{found.month:.2f} USD" in text for text in texts)
    widths = [
        float(node.attrib["width"])
        for node in drawn.iter("{http://www.w3.org/2000/svg}rect")
        if "rx" in node.attrib
    ]
    assert widths == sorted(widths, reverse=True) and max(widths) <= 400


def test_what_aws_says_wins_over_the_table_and_takes_no_factor() -> None:
    asked: list[object] = []

    def ask(region: str, names: object) -> dict[str, float]:
        asked.append((region, names))
        return {"t3.small": 1.0}

    found = cost(spec(), "eu-central-1", TABLE, Use(), ask)
    assert asked == [("eu-central-1", ["t3.small", "db.t4g.micro"])]
    server, database = (
        next(x for x in found.estimate.lines if x.what == n) for n in ("server", "database")
    )
    assert (server.month, server.live) == (730.0, True)
    assert not database.live


def test_days_until_the_end_count_today_too() -> None:
    today = date(2026, 11, 21)
    assert days_until(date(2026, 11, 21), today) == 1
    assert days_until(date(2026, 12, 20), today) == 30
    assert days_until(None, today) == 30
    assert days_until(date(2026, 1, 1), today, fallback=7) == 7


def test_a_table_with_live_prices_keeps_everything_else() -> None:
    assert replace(TABLE.with_live({"t3.small": 2.0}), live={}) == TABLE


def test_office_hours_pay_machine_and_database_for_their_share_and_say_what_they_save() -> None:
    always = estimate(spec().aws, "us-east-1", TABLE, Use())
    hours = parse_hours("Mon-Fri 08:00-20:00 UTC")
    found = estimate(spec().aws, "us-east-1", TABLE, Use(), hours)
    by_hand = (15.18 + 11.68) * (1 - 60 / 168)
    assert found.saved == pytest.approx(by_hand, abs=0.011)
    assert found.without_hours == always.month and always.saved == 0
    drawn = picture(found, "churn")
    ElementTree.fromstring(drawn)
    assert f">{found.saved:.2f}<" in drawn and "stroke-dasharray" in drawn
    assert "stroke-dasharray" not in picture(always, "churn")
