"""What goes into Terraform, held against what the root declares, as it stands in its files."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provision.adapters.specfile import load_spec
from provision.model.aws import MACHINES, STORAGE_GIB, Settings
from provision.model.explain import check_spec
from provision.model.spec import Spec
from provision.model.variables import variables

ROOT = Path(__file__).parents[2] / "terraform" / "stacks" / "tracking"
SPECS = Path(__file__).parent / "specs" / "ok"
KNOWN = {"account": "123456789012", "run": "r-1", "user_data": "#cloud-config\n"}
Declared = Any  # the name of a simple type, or (kind, what is inside)


class Declarations:
    """Reads the declared types of `variables.tf`: the type expressions alone."""

    def __init__(self, text: str) -> None:
        self._tokens = re.findall(r'"[^"]*"|[A-Za-z_]\w*|[{}()=,\[\]]', text)

    def type(self) -> Declared:
        word = self._tokens.pop(0)
        if word in ("string", "number", "bool"):
            return word
        self._expect("(")
        inner = self._fields() if word == "object" else self.type()
        if word == "optional" and self._tokens[0] == ",":
            while self._tokens[0] != ")":
                self._tokens.pop(0)
        self._expect(")")
        return (word, inner)

    def _fields(self) -> dict[str, Declared]:
        fields: dict[str, Declared] = {}
        self._expect("{")
        while self._tokens[0] != "}":
            name = self._tokens.pop(0)
            self._expect("=")
            fields[name] = self.type()
        self._expect("}")
        return fields

    def _expect(self, token: str) -> None:
        assert self._tokens.pop(0) == token


def declared() -> dict[str, Declared]:
    text = (ROOT / "variables.tf").read_text(encoding="utf-8")
    blocks = re.findall(r'^variable "(\w+)" \{(.*?)^\}', text, re.MULTILINE | re.DOTALL)
    return {name: Declarations(_type_of(body)).type() for name, body in blocks}


def _type_of(body: str) -> str:
    return body.split("type ", 1)[1].split("=", 1)[1]


def fits(value: Any, kind: Declared) -> bool:
    """Whether Terraform takes a JSON value for a type without converting it."""
    simple = {"string": str, "number": int, "bool": bool}
    if isinstance(kind, str):
        return type(value) is simple[kind]
    word, inner = kind
    if word == "optional":
        return fits(value, inner)
    if word == "object":
        required = {key for key, k in inner.items() if k[0] != "optional"}
        known = all(key in inner and fits(v, inner[key]) for key, v in value.items())
        return known and required <= set(value)
    if word == "map":
        return all(fits(v, inner) for v in value.values())
    distinct = word != "set" or len(set(value)) == len(value)
    return isinstance(value, list) and distinct and all(fits(v, inner) for v in value)


def made(spec: Spec) -> dict[str, Any]:
    return variables(spec, region=spec.aws.region or "eu-west-1", **KNOWN)


def spec_of(**data: object) -> Spec:
    found = check_spec({"name": "churn", "target": "aws", **data})
    assert isinstance(found, Spec), found
    return found


def test_the_reader_of_declarations_sees_what_is_there() -> None:
    kinds = declared()
    assert kinds["name"] == "string"
    assert kinds["tags"] == ("map", "string")
    assert kinds["access"][1]["ingress_cidrs"] == ("optional", ("set", "string"))
    assert kinds["network"][1]["existing"][1][1]["vpc_id"] == "string"
    assert not fits({"disk_gib": "40"}, kinds["settings"])
    assert not fits({"existing": {"vpc_id": "vpc-1"}}, kinds["network"])
    assert not fits({"ingress_cidrs": ["a", "a"]}, kinds["access"])


@pytest.mark.parametrize("path", sorted(SPECS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_valid_spec_fits_the_declared_types(path: Path) -> None:
    kinds, values = declared(), made(load_spec(path))
    # The root learns of `run` together with the tag.
    for name, value in values.items():
        assert fits(value, kinds["name"] if name == "run" else kinds[name]), name
    assert json.loads(json.dumps(values)) == values


def test_every_declared_variable_is_set_and_no_other() -> None:
    assert set(made(Spec(name="churn"))) == set(declared()) | {"run"}


def test_a_database_out_of_a_snapshot_is_asked_for_by_name() -> None:
    values = variables(Spec(name="churn"), region="eu-west-1", snapshot="point", **KNOWN)
    assert values["settings"] == {"database_snapshot": "point"}
    assert fits(values["settings"], declared()["settings"])


def test_every_setting_of_the_root_can_be_written_in_a_spec() -> None:
    ours = {"database_snapshot"}  # the way back to a backup says it, not a spec
    assert set(Settings.model_fields) == set(declared()["settings"][1]) - ours


def test_a_spec_with_everything_arrives_whole() -> None:
    spec = load_spec(SPECS / "everything-aws.yaml")
    values = made(spec)
    assert set(values["settings"]) == set(Settings.model_fields)
    assert values["settings"]["database_major"] == "17"
    assert values["settings"]["multi_az"] is False
    assert values["network"] == {"cidr": "10.20.0.0/16", "zones": ["eu-west-1a", "eu-west-1c"]}
    assert values["access"]["ingress_cidrs"] == ["198.51.100.7/32", "203.0.113.0/24"]
    assert values["access"]["existing_instance_profile"] == "LabInstanceProfile"
    assert values["lifetime"] == {
        "ends_on": "2027-07-31", "alarm_email": "ml-team@example.com", "budget": 50,
    }  # fmt: skip
    assert (values["profile"], values["run"], values["tags"]) == ("team", "r-1", {"team": "churn"})


def test_what_a_spec_leaves_out_is_left_to_the_root() -> None:
    values = made(spec_of())
    assert (values["settings"], values["network"], values["lifetime"]) == ({}, {}, {})
    assert values["access"] == {"ingress_cidrs": []}
    assert (values["account_id"], values["region"]) == ("123456789012", "eu-west-1")


def test_an_existing_network_comes_instead_of_a_new_one() -> None:
    spec = load_spec(SPECS / "aws-existing-network.yaml")
    private = ["subnet-0a1b2c3d4e5f60719", "subnet-0a1b2c3d4e5f6071a"]
    existing = {"vpc_id": "vpc-0a1b2c3d4e5f60718", "public_subnet_id": "subnet-0a1b2c3d"}
    assert made(spec)["network"] == {"existing": {**existing, "private_subnet_ids": private}}


@given(st.lists(st.ip_addresses(v=4).map("{}/32".format), max_size=6))
def test_a_network_named_twice_is_one(cidrs: list[str]) -> None:
    spec = spec_of(aws={"ingress": [*cidrs, *cidrs]})
    assert made(spec)["access"]["ingress_cidrs"] == sorted(set(cidrs))


def test_the_rules_know_the_profiles_as_the_root_holds_them() -> None:
    text = (ROOT / "profiles.tf").read_text(encoding="utf-8")
    for profile, expected in STORAGE_GIB.items():
        block = text.split(f"{profile} = {{", 1)[1].split("}", 1)[0]
        found = [int(re.findall(rf"database_{end}_gib\s+= (\d+)", text_)[0]) for end, text_ in
                 (("initial", block), ("maximum", block))]  # fmt: skip
        assert tuple(found) == expected
        assert re.findall(r'instance_type\s+= "(.+)"', block) == [MACHINES[profile]]
