from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from provision.adapters import specfile
from provision.app.specs import reference, schema, validate
from provision.errors import SpecError
from provision.model.complaints import Complaint, dotted, shown
from provision.model.explain import check_spec, settings
from provision.model.rules import RULES
from provision.model.spec import Access, Database, Server, Spec, default_spec, late_problems

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "spec.md"
RENEW = (
    'python -c "from provision.app.specs import reference; print(reference(), end=str())" '
    "> docs/reference/spec.md"
)
FOREIGN_WORDS = ("Input should", "pydantic", "Extra inputs", "Field required", "instance of")


def complaints(data: object) -> tuple[Complaint, ...]:
    found = check_spec(data)
    assert isinstance(found, tuple)
    return found


def places(data: object) -> list[str]:
    return [dotted(complaint.path) for complaint in complaints(data)]


def test_an_empty_spec_is_a_local_server_on_sqlite_for_this_machine_alone() -> None:
    spec = Spec(name="churn")
    assert (spec.scenario, spec.target, spec.database.engine) == ("server", "local", "sqlite")
    assert (spec.server.port, spec.access.auth, spec.access.is_loopback) == (5000, "none", True)
    assert spec.server.memory_bytes is None


def test_the_default_spec_is_named_after_the_folder() -> None:
    assert default_spec("Churn Course") == Spec(name="churn-course")


@pytest.mark.parametrize("target", ["compose", "aws", "rehearsal"])
def test_the_engine_follows_the_target_without_counting_as_written(target: Any) -> None:
    for spec in (
        Spec(name="churn", target=target),
        Spec(name="churn", target=target, database=Database()),
    ):
        assert spec.database.engine == "postgres"
        assert spec.database.model_fields_set == set()


@pytest.mark.parametrize("target", ["aws", "rehearsal"])
def test_a_server_on_the_internet_has_accounts_unless_the_spec_says_otherwise(target: Any) -> None:
    spec = Spec(name="churn", target=target)
    assert (spec.access.auth, spec.access.model_fields_set) == ("basic", set())
    open_to_all = Spec(name="churn", target=target, access=Access(auth="none"))
    assert open_to_all.access.auth == "none"


def test_other_targets_keep_their_default_and_no_server_has_no_accounts() -> None:
    assert Spec(name="churn", target="compose").access.auth == "none"
    found = complaints({"name": "churn", "scenario": "none", "target": "aws"})
    assert [dotted(c.path) for c in found] == ["target"]


def test_listening_everywhere_needs_no_word_where_accounts_are_the_default() -> None:
    spec = Spec(name="churn", target="aws", access=Access(listen="0.0.0.0"))
    assert spec.access.auth == "basic"


def test_a_spec_knows_which_settings_were_written() -> None:
    found = check_spec({"name": "churn", "server": {"port": 5000}})
    assert isinstance(found, Spec)
    assert found.server.model_fields_set == {"port"}
    assert found.access.model_fields_set == set()


def test_a_size_is_offered_in_bytes() -> None:
    assert Server(memory="1.5GiB").memory_bytes == 3 * 2**29


def test_a_spec_cannot_be_changed() -> None:
    spec = Spec(name="churn")
    with pytest.raises(ValidationError):
        spec.name = "other"
    with pytest.raises(ValidationError):
        spec.server.port = 1


def test_a_spec_that_breaks_a_rule_cannot_be_built_in_python_either() -> None:
    with pytest.raises(ValidationError, match="auth"):
        Spec(name="churn", access=Access(listen="0.0.0.0"))


@pytest.mark.parametrize("listen", ["127.0.0.1", "127.1.2.3", "::1"])
def test_loopback_needs_no_word_about_accounts(listen: str) -> None:
    assert Spec(name="churn", access=Access(listen=listen)).access.is_loopback


@pytest.mark.parametrize("listen", ["0.0.0.0", "::", "10.0.0.5", "2001:db8::1"])
@pytest.mark.parametrize("auth", ["none", "basic"])
def test_other_addresses_are_fine_once_the_accounts_are_settled(listen: str, auth: Any) -> None:
    assert not Spec(name="churn", access=Access(listen=listen, auth=auth)).access.is_loopback


def test_an_ipv6_address_is_kept_in_its_shortest_form_and_hosts_in_lower_case() -> None:
    access = Access(listen="0:0:0:0:0:0:0:1", allowed_hosts=("MLflow.Lab.example",))
    assert access.listen == "::1"
    assert access.allowed_hosts == ("mlflow.lab.example",)


def test_problems_of_values_and_of_rules_are_reported_together() -> None:
    data = {
        "name": "Churn",
        "target": "compose",
        "database": {"engine": "sqlite"},
        "server": {"prot": 1},
        "access": {"listen": "0.0.0.0"},
    }
    expected = {"name", "server.prot", "database.engine", "access.listen"}
    assert set(places(data)) == expected


@pytest.mark.parametrize(
    ("data", "place"),
    [
        ({"name": "ab", "target": "awz", "database": {"engine": "sqlite"}}, "target"),
        ({"name": "ab", "access": {"listen": "0.0.0.0", "auth": "bsic"}}, "access.auth"),
        ({"name": "ab", "access": {"listen": "0.0.0.0", "aut": "basic"}}, "access.aut"),
        ({"name": "ab", "scenario": "non", "access": {"auth": "basic"}}, "scenario"),
    ],
)
def test_a_rule_is_silent_about_a_setting_that_is_wrong_itself(
    data: dict[str, object], place: str
) -> None:
    assert places(data) == [place]


def test_nothing_is_said_about_places_that_the_reader_has_complained_about() -> None:
    data = {"name": "ab", "server": {"port": "x"}, "access": {"listen": "0.0.0.0"}}
    assert check_spec(data, [("server", "port"), ("access", "auth")]) == ()


@pytest.mark.parametrize("values", [[1], (1, 2), {1}, b"x", object(), datetime(2027, 1, 1)])
@pytest.mark.parametrize("setting", settings())
def test_values_of_other_types_are_refused_in_words_of_ours(
    setting: tuple[str, ...], values: object
) -> None:
    data: object = values
    for key in reversed(setting):
        data = {key: data}
    found = complaints({"name": "ab", **data})  # type: ignore[dict-item]
    assert found
    assert not any(word in c.message + c.hint for c in found for word in FOREIGN_WORDS)


@pytest.mark.parametrize("data", [None, 1, "text", [], object()])
def test_data_that_is_no_mapping_is_refused(data: object) -> None:
    assert [complaint.path for complaint in complaints(data)] == [()]


def test_a_missing_name_is_a_problem_of_its_own() -> None:
    assert places({}) == ["name"]


def test_each_rule_names_the_settings_that_it_reads() -> None:
    known = set(settings())
    for rule in RULES:
        assert set(rule.involves) <= known
        assert rule.says.endswith(".")


@pytest.mark.parametrize(
    "aws",
    [
        {"instance_profile": "arn:aws:iam::1:instance-profile/a\x1f"},
        {"settings": {"instance_type": "db.\x1f"}},
        {"settings": {"database_class": "t4g\x1f"}},
    ],
)
def test_only_what_would_be_right_is_offered_instead(aws: dict[str, object]) -> None:
    (found,) = complaints({"name": "ab", "aws": aws})
    assert found.hint == ""
    assert found.message.isprintable()


@given(st.text(st.characters(), max_size=200))
def test_a_value_in_a_message_is_short_and_printable(text: str) -> None:
    assert shown(text).isprintable()
    assert len(shown(text)) <= 10 * 40 + 2


# --- the day ---


def test_a_last_day_in_the_past_is_a_problem_and_today_is_not() -> None:
    today = date(2027, 1, 31)
    spec = check_spec({"name": "ab", "lifetime": {"until": "2027-01-31"}})
    assert isinstance(spec, Spec)
    assert late_problems(spec, today) == ()
    late = late_problems(spec, date(2027, 2, 1))
    assert [complaint.path for complaint in late] == [("lifetime", "until")]
    assert late_problems(Spec(name="ab"), today) == ()


def test_validate_says_what_the_file_describes_and_what_to_watch(tmp_path: Path) -> None:
    path = tmp_path / "provision.yaml"
    path.write_text("name: churn\nserver: {port: 80}\naccess: {listen: '::', auth: none}\n")
    result = validate(path, date(2027, 1, 1), specfile.read_spec)
    assert (result.file, result.name, result.target) == (str(path), "churn", "local")
    assert any("http://[::]:80" in line for line in result.summary)
    assert len(result.warnings) == 2


def test_validate_warns_of_server_settings_without_a_server(tmp_path: Path) -> None:
    path = tmp_path / "provision.yaml"
    path.write_text("scenario: none\nserver: {port: 5001}\n")
    result = validate(path, date(2027, 1, 1), specfile.read_spec)
    assert [("server" in line, "no effect" in line) for line in result.warnings] == [(True, True)]


def warned(tmp_path: Path, text: str) -> tuple[str, ...]:
    path = tmp_path / "provision.yaml"
    path.write_text(text)
    return validate(path, date(2027, 1, 1), specfile.read_spec).warnings


AWS = "target: aws\naccess: {auth: none}\naws: {ingress: [203.0.113.0/24]}\n"


def test_validate_warns_where_everybody_may_do_everything(tmp_path: Path) -> None:
    assert len(warned(tmp_path, AWS)) == 1
    assert warned(tmp_path, AWS.replace("none", "basic")) == ()
    assert warned(tmp_path, AWS.replace("203.0.113.0/24", "")) == ()


def test_validate_warns_of_a_region_that_nobody_has_heard_of(tmp_path: Path) -> None:
    (warning,) = warned(tmp_path, "aws: {region: us-esat-1}\n")
    assert "us-esat-1" in warning
    assert "did you mean `us-east-1`?" in warning
    assert warned(tmp_path, "aws: {region: us-east-1}\n") == ()


def test_validate_warns_of_roles_in_an_account_that_may_forbid_them(tmp_path: Path) -> None:
    lab = "target: aws\naws:\n  profile: team\n  instance_profile: LabInstanceProfile\n"
    without = "  settings: {database_observed: false, flow_logs: false}\n"
    assert len(warned(tmp_path, lab)) == 1
    assert warned(tmp_path, lab + without) == ()
    assert warned(tmp_path, lab.replace("team", "course")) == ()


def test_validate_says_where_in_aws_the_stack_would_be(tmp_path: Path) -> None:
    path = tmp_path / "provision.yaml"
    path.write_text('target: aws\naws: {region: eu-west-1, account: "123456789012"}\n')
    result = validate(path, date(2027, 1, 1), specfile.read_spec)
    text = "\n".join(result.summary)
    for part in ("eu-west-1", "123456789012", "course", "auth basic", "tunnel"):
        assert part in text


def test_validate_has_nothing_to_warn_of_in_the_default(tmp_path: Path) -> None:
    path = tmp_path / "provision.yaml"
    path.write_text("")
    assert validate(path, date(2027, 1, 1), specfile.read_spec).warnings == ()


def test_validate_reports_a_day_in_the_past_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "provision.yaml"
    path.write_text("target: aws\nlifetime:\n  until: 2026-12-31\n")
    with pytest.raises(SpecError) as caught:
        validate(path, date(2027, 1, 1), specfile.read_spec)
    (problem,) = caught.value.problems
    assert (problem.line, problem.path) == (3, "lifetime.until")


# --- the schema and the reference ---


def objects_in(part: object) -> list[dict[str, Any]]:
    if isinstance(part, dict):
        inner = [found for value in part.values() for found in objects_in(value)]
        return [part, *inner] if "properties" in part else inner
    return []


def test_the_schema_is_a_valid_schema_that_describes_every_setting() -> None:
    whole = schema()
    jsonschema.Draft202012Validator.check_schema(whole)
    assert whole["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    for part in objects_in(whole):
        assert part["additionalProperties"] is False
        assert all(field.get("description") for field in part["properties"].values())


@pytest.mark.parametrize(
    "data",
    [
        {"prot": 1},
        {"server": {"prot": 1}},
        {"server": {"port": 0}},
        {"server": {"port": "5000"}},
        {"server": {"memory": 512}},
        {"server": {"memory": "2g"}},
        {"server": {"workers": 65}},
        {"target": "awz"},
        {"lifetime": {"alarm_email": "nobody"}},
        {"aws": {"regoin": "eu-west-1"}},
        {"aws": {"region": "Ireland"}},
        {"aws": {"account": 123456789012}},
        {"aws": {"profile": "prod"}},
        {"aws": {"state_name": "a" * 27}},
        {"aws": {"network": {"vpc": "vpc-x"}}},
        {"aws": {"settings": {"disk_gib": 9}}},
        {"aws": {"settings": {"multi_az": "yes"}}},
        {"aws": {"settings": {"database_major": "16"}}},
        {"name": "a--b"},
        {"name": "a"},
        {"tags": {"a": 1}},
        {"tags": {f"k{i}": "v" for i in range(41)}},
    ],
)
def test_what_the_schema_refuses_the_spec_refuses_too(data: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(data, schema())
    assert complaints({"name": "ab", **data})


# Where the schema's title of a section is not its place in the file.
SECTIONS: dict[str, tuple[str, ...]] = {
    "provision.yaml": (),
    "Network": ("aws", "network"),
    "Settings": ("aws", "settings"),
}


def test_every_example_of_a_setting_is_valid() -> None:
    for section in objects_in(schema()):
        for key, field in section["properties"].items():
            for value in field.get("examples", ()):
                data: dict[str, Any] = {key: value}
                for part in reversed(SECTIONS.get(section["title"], (section["title"].lower(),))):
                    data = {part: data}
                found = check_spec({"name": "ab", **data})
                # A rule may ask for a second setting beside the example.
                assert isinstance(found, Spec) or all(c.involves for c in found), found


def test_the_reference_page_says_what_the_models_say() -> None:
    assert REFERENCE.read_text(encoding="utf-8") == reference(), f"renew it by: {RENEW}"


def test_the_reference_names_every_setting_and_rule() -> None:
    text = reference()
    assert all(f"`{s[-1]}`" in text or f"## `{dotted(s)}`" in text for s in settings())
    assert all(rule.says in text for rule in RULES)


@pytest.mark.parametrize("budget", [0, -5, 1_000_001, "50", 9.5, True])
def test_a_budget_is_a_number_of_dollars_and_never_nothing(budget: object) -> None:
    data = {"name": "ab", "lifetime": {"budget": budget, "alarm_email": "a@b.org"}}
    (complaint,) = complaints(data)
    assert complaint.path == ("lifetime", "budget")
    assert "1 to 1000000 (US dollars a month)" in complaint.message


def test_a_budget_needs_somebody_to_tell_and_privacy_needs_accounts() -> None:
    assert places({"name": "ab", "lifetime": {"budget": 50}}) == ["lifetime.budget"]
    assert places({"name": "ab", "access": {"others": "none"}}) == ["access.others"]
    private = {"name": "ab", "access": {"others": "none", "auth": "basic"}}
    assert isinstance(check_spec(private), Spec)
    on_aws = {"name": "ab", "target": "aws", "access": {"others": "none"}}
    assert isinstance(check_spec(on_aws), Spec), "accounts are the default there"
