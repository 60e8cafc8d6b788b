"""What is decided about things that no state knows of."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provision.adapters.cloud.removal_steps import DELETE, EXISTS
from provision.model.leftovers import (
    BACKUPS,
    KEPT,
    ORDER,
    PARTS,
    WITH_DATA,
    Found,
    Names,
    bucket_name,
    removal_order,
    sort_out,
)

RUN = "20270131-9f86d081884c"
NAMES = Names.of("churn", "123456789012", "eu-west-1")
VPC = Found("aws_vpc", "vpc-1", "", "provision-churn", RUN)
SUBNET = Found("aws_subnet", "subnet-1", "", "provision-churn-public-a", RUN, parents=("vpc-1",))
GROUP = Found("aws_security_group", "sg-1", "", "provision-churn-server", RUN, parents=("vpc-1",))
BUCKET = Found("aws_s3_bucket", NAMES.bucket, "", NAMES.bucket, RUN)
EXAMPLES = [VPC, SUBNET, GROUP, BUCKET]


def create(kind: str, address: str, **after: Any) -> dict[str, Any]:
    change = {"actions": ["create"], "after": after}
    return {"address": address, "type": kind, "mode": "managed", "change": change}


def plan(*changes: dict[str, Any]) -> dict[str, Any]:
    return {"resource_changes": list(changes)}


def state(kind: str, **values: Any) -> dict[str, Any]:
    resource = {"address": "x", "type": kind, "mode": "managed", "values": values}
    child = {"address": "module.x", "resources": [resource]}
    return {"values": {"root_module": {"child_modules": [child]}}}


PLAN = plan(
    create("aws_vpc", "module.network.aws_vpc.this[0]", tags={"Name": "provision-churn"}),
    create(
        "aws_subnet",
        'module.network.aws_subnet.public["a"]',
        tags={"Name": "provision-churn-public-a"},
    ),
    create("aws_s3_bucket", "module.artifact_store.aws_s3_bucket.this", bucket=NAMES.bucket),
)


def decide(*found: Found, run: str | None = RUN, **given: Any) -> Any:
    return sort_out(found, run=run, names=NAMES, **{"state": None, "plan": PLAN, **given})


def test_what_the_plan_would_make_again_is_adopted() -> None:
    decision = decide(SUBNET, VPC, BUCKET)
    assert [(i.address, i.found.id) for i in decision.imports] == [
        ("module.network.aws_vpc.this[0]", "vpc-1"),
        ('module.network.aws_subnet.public["a"]', "subnet-1"),
        ("module.artifact_store.aws_s3_bucket.this", NAMES.bucket),
    ]
    assert decision.removals == ()


def test_what_the_state_knows_is_no_leftover() -> None:
    assert decide(VPC, state=state("aws_vpc", id="vpc-1")).imports == ()
    known = state("aws_db_instance", id="db-XYZ", identifier="provision-churn")
    database = Found("aws_db_instance", "provision-churn", "", "provision-churn", RUN)
    assert decide(database, state=known).removals == ()
    # A name is no identity across kinds: the subnet group has the database's.
    group = replace(database, type="aws_db_subnet_group")
    assert decide(group, state=known).removals == (group,)


def test_of_two_networks_the_one_with_more_in_it_is_adopted_with_all_that_it_holds() -> None:
    second = replace(VPC, id="vpc-0")
    other = replace(SUBNET, id="subnet-0", parents=("vpc-0",))
    group = replace(GROUP, parents=("vpc-1",))
    decision = decide(second, other, VPC, SUBNET, group)
    assert {i.found.id for i in decision.imports} == {"vpc-1", "subnet-1"}
    assert [f.id for f in decision.removals] == ["sg-1", "subnet-0", "vpc-0"]


def test_nothing_in_a_network_that_goes_is_adopted() -> None:
    without = plan(*PLAN["resource_changes"][1:])
    decision = decide(VPC, SUBNET, plan=without)
    assert decision.imports == ()
    assert [f.id for f in decision.removals] == ["subnet-1", "vpc-1"]


def test_without_a_plan_everything_goes() -> None:
    decision = decide(VPC, SUBNET, BUCKET, plan=None)
    assert decision.imports == ()
    assert decision.to_hcl() == ""
    assert [f.id for f in decision.removals] == [NAMES.bucket, "subnet-1", "vpc-1"]


@pytest.mark.parametrize("run", ["20260101-aaaaaaaaaaaa", None])
def test_what_another_run_of_that_name_made_is_left_alone(run: str | None) -> None:
    theirs = replace(VPC, run=run)
    decision = decide(theirs, SUBNET)
    assert decision.foreign == (theirs,)
    assert theirs not in decision.removals
    # What is ours in a network of theirs cannot be adopted into ours.
    assert decision.imports == ()


def test_a_bucket_that_has_no_tag_yet_is_ours_by_its_name() -> None:
    assert decide(replace(BUCKET, run=None)).imports[0].found.id == NAMES.bucket
    assert decide(replace(BUCKET, run="20260101-aaaaaaaaaaaa")).imports == ()


def test_with_a_lost_record_the_stacks_tag_decides() -> None:
    decision = decide(replace(VPC, run="20260101-aaaaaaaaaaaa"), run=None, plan=None)
    assert decision.foreign == ()
    assert [f.id for f in decision.removals] == ["vpc-1"]


def test_the_open_rule_that_ec2_makes_goes_from_an_unfinished_group_alone() -> None:
    rule = Found("aws_vpc_security_group_egress_rule", "sgr-1", "", "", RUN, parents=("sg-1",))
    wanted = create("aws_security_group", "g", name="x", tags={"Name": "provision-churn-server"})
    unfinished = decide(GROUP, rule, plan=plan(wanted))
    assert [i.found.id for i in unfinished.imports] == ["sg-1"]
    assert unfinished.removals == (rule,)
    finished = decide(GROUP, rule, state=state("aws_security_group", id="sg-1"), plan=plan())
    assert finished.removals == ()


def test_parts_are_adopted_or_go_with_their_whole() -> None:
    table = Found("aws_route_table", "rtb-1", "", "provision-churn-public", RUN)
    route = replace(table, type="aws_route", id="rtb-1_0.0.0.0/0", parents=("rtb-1", "igw-1"))
    wanted = create("aws_route", "module.network.aws_route.internet[0]", tags=None)
    adopted = decide(route, state=state("aws_route_table", id="rtb-1"), plan=plan(wanted))
    assert [i.address for i in adopted.imports] == ["module.network.aws_route.internet[0]"]
    gone = decide(table, route, plan=plan())
    assert [f.type for f in gone.removals] == ["aws_route_table"]


def test_an_address_that_the_plan_replaces_is_in_the_state_already() -> None:
    change = create("aws_vpc", "module.network.aws_vpc.this[0]", tags={"Name": "provision-churn"})
    change["change"]["actions"] = ["delete", "create"]
    assert decide(VPC, plan=plan(change)).imports == ()


def test_snapshots_outlive_the_stack() -> None:
    final = Found("aws_db_snapshot", "final", "", "final", RUN)
    decision = decide(final, plan=None)
    assert (decision.kept, decision.removals) == ((final,), ())


def test_an_import_block_is_one_whatever_the_id_says() -> None:
    wanted = create("aws_vpc", "module.x", tags={"Name": "n"})
    hostile = Found("aws_vpc", 'a"}\nresource "x" {${file("/etc/passwd")}%{if true}', "", "n", RUN)
    text = decide(hostile, plan=plan(wanted)).to_hcl()
    assert text.count("\n") == 4
    assert '\\"}\\nresource' in text
    assert "$${file(" in text
    assert "%%{if" in text


def test_names_are_those_of_the_module() -> None:
    assert NAMES.bucket == "provision-churn-123456789012-eu-west-1"
    long = bucket_name("provision-abcdefghij-abcdefghij-abcdefghij", "123456789012", "eu-west-1")
    assert len(long) <= 63


def test_every_kind_has_its_place_and_its_way_to_go() -> None:
    assert set(DELETE) == (set(ORDER) - PARTS) | BACKUPS
    assert set(EXISTS) <= set(DELETE)
    assert set(ORDER) >= WITH_DATA | PARTS
    assert not KEPT & set(ORDER)


kinds = st.sampled_from([*ORDER, *KEPT, "aws_new_thing"])
ids = st.sampled_from(["a", "b", "c", "d"])
things = st.builds(
    Found,
    type=kinds,
    id=ids,
    arn=st.just(""),
    name=ids,
    run=st.sampled_from([RUN, None, "20260101-aaaaaaaaaaaa"]),
    parents=st.lists(ids, max_size=2).map(tuple),
)
plans = st.lists(
    st.builds(
        lambda kind, address, name: create(
            kind, address, tags={"Name": name}, name=name, identifier=name, bucket=name
        ),
        kinds,
        ids,
        ids,
    ),
    max_size=5,
).map(lambda changes: plan(*changes))


@given(st.lists(things, max_size=12, unique_by=lambda f: (f.type, f.id)), plans)
def test_everything_has_one_fate(found: list[Found], planned: dict[str, Any]) -> None:
    decision = sort_out(found, run=RUN, names=NAMES, state=None, plan=planned)
    adopted = [item.found for item in decision.imports]
    fates = [*adopted, *decision.removals, *decision.kept, *decision.foreign]
    assert len(fates) == len(set(fates))
    unseen = set(found) - set(fates)
    assert all(f.type in PARTS or f.type.startswith("aws_vpc_security_group") for f in unseen)
    assert not {f.run for f in [*adopted, *decision.removals]} & {"20260101-aaaaaaaaaaaa"}
    wanted = [(c["type"], c["address"]) for c in planned["resource_changes"]]
    assert all((i.found.type, i.address) in wanted for i in decision.imports)
    assert json.dumps(decision.to_hcl())


@given(st.lists(st.sampled_from(EXAMPLES), unique=True))
def test_children_go_before_what_they_lie_in(found: list[Found]) -> None:
    order = [f.id for f in removal_order(found)]
    for item in found:
        assert all(order.index(item.id) < order.index(p) for p in item.parents if p in order)
