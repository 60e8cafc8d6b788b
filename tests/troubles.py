"""The troubles that users of self-hosted MLflow servers report most, and what is done about each.

A trouble is recognised by a finding, or cannot happen here; the tests that prove it are named.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Trouble(NamedTuple):
    """`findings` are ids that name it; `proofs` are `file::test` below `tests/`."""

    number: int
    what: str
    findings: tuple[str, ...]
    proofs: tuple[str, ...]


_REAL = "e2e/test_check_real_server.py::"
_SERVER = "server/test_check_troubles.py::"
_CLIENT = "contract/test_check_client.py::"
_ROAD = "terraform/test_up_road.py::"
_SERVING_PHASES = "host/test_phases_serving.py::"
_CLOUD = "unit/test_cloud_services.py::"

TROUBLES: Final = (
    Trouble(
        1, "403, Invalid Host header", ("host.not-allowed",),
        (
            f"{_REAL}test_a_name_that_the_server_refuses_is_found_behind_its_green_health",
            f"{_SERVING_PHASES}test_hosts_are_answered_with_and_without_port",
        ),
    ),
    Trouble(
        2, "NoCredentialsError on a student's laptop", ("artifact-upload.cloud-root",),
        (
            f"{_REAL}test_a_root_that_only_keys_of_the_cloud_open_is_found",
            f"{_REAL}test_a_frozen_artifact_root_is_found_and_not_written_to",
            "contract/test_tracking.py::"
            "test_proxies_and_cloud_credentials_in_the_environment_do_not_matter",
        ),
    ),
    Trouble(
        3, "psycopg2 or boto3 missing", (),
        (
            "host/test_phases.py::test_an_environment_is_built_once_for_a_lock",
            "host/test_user_data.py::test_the_locks_hold_one_hash_that_the_kits_own_lock_knows",
        ),
    ),
    Trouble(
        4, "the artifact location is frozen in old experiments", ("artifact-root.frozen",),
        (f"{_SERVER}test_an_experiment_that_keeps_its_artifacts_elsewhere_is_named",),
    ),
    Trouble(
        5, "out of memory on a micro machine", ("memory.too-small",),
        (
            f"{_SERVING_PHASES}test_a_machine_that_is_too_small_is_named",
            "unit/test_sizing.py::test_what_does_not_fit_is_refused_with_the_sum",
        ),
    ),
    Trouble(
        6, "large artifacts time out on their way", ("large-artifact.timed-out",),
        (f"{_SERVER}test_a_proxy_that_gives_up_on_large_files_is_named",),
    ),
    Trouble(
        7, "413 from nginx", ("artifact-upload.too-large", "large-artifact.too-large"),
        (
            f"{_SERVER}test_an_nginx_as_it_comes_is_named_and_its_limit_lifted",
            f"{_SERVER}test_a_proxy_with_a_limit_is_named_whatever_the_size",
        ),
    ),
    Trouble(
        8, "temporary files fill the disk", ("artifact-upload.disk-full", "http.disk-full"),
        (
            f"{_SERVER}test_a_full_disk_is_named_and_mended_by_making_room",
            f"{_SERVING_PHASES}test_upkeep_installs_timers_and_security_updates",
        ),
    ),
    Trouble(
        9, "out-of-date database schema after an upgrade", ("http.schema", "database.older"),
        (
            "server/test_databases.py::test_an_older_postgres_schema_is_dumped_and_upgraded",
            "server/test_databases.py::test_an_upgrade_that_fails_leaves_the_database_as_it_was",
            "unit/test_checks.py::test_a_schema_is_older_newer_or_foreign",
        ),
    ),
    Trouble(
        10, "a default password, or sign-up for everybody",
        ("accounts.default-password", "accounts.sign-up-open"),
        (
            f"{_REAL}test_an_old_password_that_everybody_knows_is_found_until_it_is_changed",
            f"{_REAL}test_a_sign_up_that_a_proxy_opens_to_strangers_is_found",
            "unit/test_check_walk.py::test_strangers_known_passwords_and_sign_ups_are_tried",
            "server/test_boot.py::test_a_short_admin_password_is_refused",
        ),
    ),
    Trouble(
        11, "special characters in the database's password", ("http.database-password",),
        (
            f"{_SERVER}test_what_is_wrong_with_the_database_is_named_and_passes",
            f"{_SERVING_PHASES}test_the_database_url_verifies_and_never_waits_for_long",
        ),
    ),
    Trouble(
        12, "the database's connections are used up", ("http.connections-used-up",),
        (f"{_SERVER}test_what_is_wrong_with_the_database_is_named_and_passes",),
    ),
    Trouble(
        13, "RDS wants TLS from PostgreSQL 15 on", ("http.database-tls",),
        (
            f"{_SERVER}test_what_is_wrong_with_the_database_is_named_and_passes",
            f"{_SERVING_PHASES}test_the_database_url_verifies_and_never_waits_for_long",
        ),
    ),
    Trouble(
        14, "this version of PostgreSQL cannot be ordered", ("engine.no-version",),
        ("unit/test_preflight.py::test_an_answer_means_exactly_one_thing",),
    ),
    Trouble(
        15, "refusals of the free plan", ("account.free-plan",),
        ("unit/test_preflight.py::test_an_answer_means_exactly_one_thing",),
    ),
    Trouble(
        16, "applied, and the service is dead", ("http.gateway", "tcp.refused"),
        (
            "aws/test_aws_host.py::test_up_waits_for_the_machine_and_shows_each_phase",
            "host/test_run.py::test_the_report_is_on_the_disk_and_in_the_bucket",
        ),
    ),
    Trouble(
        17, "python-terraform cannot destroy", (),
        (
            "unit/test_terraform_commands.py::"
            "test_destroy_is_a_saved_plan_without_the_flag_that_terraform_refuses",
        ),
    ),
    Trouble(
        18, "destroy stops at a bucket or at a final snapshot", (),
        (
            "aws/test_emptying.py::test_all_versions_markers_and_uploads_go_with_few_pages_in_memory",
            "terraform/test_terraform_apply.py::"
            "test_apply_settles_and_destroy_leaves_the_account_as_it_was",
        ),
    ),
    Trouble(
        19, "something is left after destroy, and costs", (),
        (
            f"{_ROAD}test_the_second_laptop_ends_it_and_nothing_is_left",
            "unit/test_leftovers.py::test_every_kind_has_its_place_and_its_way_to_go",
        ),
    ),
    Trouble(
        20, "a stopped RDS starts again after seven days", ("money.database-awake",),
        (f"{_ROAD}test_a_pause_wins_over_the_office_hours_until_resume",),
    ),
    Trouble(
        21, "the address changes when the machine was stopped", (),
        (
            f"{_ROAD}test_a_pause_wins_over_the_office_hours_until_resume",
            "unit/test_leftovers.py::test_an_address_that_the_plan_replaces_is_in_the_state_already",
        ),
    ),
    Trouble(
        22, "a lock or half a state after Ctrl-C", (),
        (
            "terraform/test_up_hard_times.py::test_ctrl_c_stops_in_order_and_says_what_is_left",
            "unit/test_unlock.py::"
            "test_the_lock_of_a_process_that_is_gone_is_removed_with_its_record",
        ),
    ),
    Trouble(
        23, "client and server of different versions", ("version.differs",),
        (
            f"{_SERVER}test_a_client_of_another_minor_version_is_warned",
            "unit/test_checks.py::test_versions_agree_within_one_minor",
        ),
    ),
    Trouble(
        24, "gc is incomplete; deleted names stay taken", ("cleanup.left-behind",),
        (
            "server/test_trash.py::test_gc_shows_first_then_deletes_only_what_is_in_the_trash",
            f"{_SERVER}test_fifty_checks_of_a_healthy_server_find_nothing_and_leave_nothing",
        ),
    ),
    Trouble(
        25, "data is lost silently on a move", (),
        ("e2e/test_archive_moved.py::test_everything_outlives_its_server",),
    ),
)  # fmt: skip
