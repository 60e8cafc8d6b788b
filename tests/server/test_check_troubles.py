"""Troubles of the field, done to one real server on PostgreSQL: the right finding, then none.

The server's artifacts lie on a small disk of its own (a mount in a namespace), so that it fills up.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from provision.adapters.tracking import TrackingClient
from provision.app.check import Looks, check
from provision.model.endpoint import Endpoint
from provision.model.report import Outcome, Report
from tests.nginx import nginx
from tests.relay import Rules, relaying
from tests.server.conftest import Cluster
from tests.server.running import Server, serving, settings_for

pytestmark = [pytest.mark.slow, pytest.mark.needs("postgres"), pytest.mark.needs("unshare")]

MLFLOW = version("mlflow")
MIB = 2**20
ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"
PASSWORD = r"@:/%40?#&= \ü"  # what breaks a URL, and a backslash, which a passfile wants doubled
ESCAPED = PASSWORD.replace("\\", r"\\").replace(":", r"\:")
PASSWORDS_WANTED = "host all all 127.0.0.1/32 scram-sha-256\n"
OWN_DISK = (
    "unshare", "--user", "--map-root-user", "--mount", "sh", "-c",
    'mount -t tmpfs -o size=12m tmpfs "$0" && exec "$@"',
)  # fmt: skip


def let_in(cluster: Cluster, rules: str) -> Callable[[], None]:
    """PostgreSQL's rules about who may connect, until what is returned is called."""
    file = Path(str(cluster.query("SHOW hba_file")[0][0]))
    before = file.read_text()
    file.write_text(f"host all postgres 127.0.0.1/32 trust\n{rules}")
    cluster.query("SELECT pg_reload_conf()")

    def mend() -> None:
        file.write_text(before)
        cluster.query("SELECT pg_reload_conf()")

    return mend


@pytest.fixture(scope="module")
def server(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("troubles")
    artifacts = folder / "artifacts"
    artifacts.mkdir()
    cluster.query(f"CREATE ROLE mlflow LOGIN PASSWORD '{PASSWORD}'")
    cluster.query("CREATE DATABASE troubles OWNER mlflow")
    passfile = folder / "pgpass"
    passfile.write_text(f"127.0.0.1:*:*:mlflow:{ESCAPED}\n")
    passfile.chmod(0o600)
    url = f"postgresql+psycopg2://mlflow@127.0.0.1:{cluster.port}/troubles?passfile={passfile}"
    settings = settings_for(folder, database_url=url, artifacts_destination=str(artifacts))
    mend = let_in(cluster, PASSWORDS_WANTED)
    with serving(folder, settings, inside=(*OWN_DISK, str(artifacts))) as found:
        yield found
    mend()
    cluster.query("DROP DATABASE troubles WITH (FORCE)")
    cluster.query("DROP ROLE mlflow")


def uri_of(server: Server) -> str:
    return f"http://127.0.0.1:{server.settings.port}"


def look(uri: str, client: str = MLFLOW, **more: Any) -> Report:
    def connect(endpoint: Endpoint) -> TrackingClient:
        return TrackingClient.from_endpoint(endpoint, timeout=60)

    return check(Endpoint("t", uri, MLFLOW), connect, time.perf_counter, Looks(client, **more))


def found(report: Report) -> list[str]:
    """What is wrong: the ids, without those of layers behind a broken one."""
    wrong = (Outcome.FAILED, Outcome.WARNING)
    return [finding.id for finding in report.findings if finding.outcome in wrong]


def test_fifty_checks_of_a_healthy_server_find_nothing_and_leave_nothing(
    server: Server, cluster: Cluster
) -> None:
    with ThreadPoolExecutor(2) as pool:
        reports = list(pool.map(lambda _: look(uri_of(server)), range(50)))
    assert [found(report) for report in reports] == [[]] * 50
    assert cluster.query("SELECT name FROM experiments", "troubles") == [("Default",)]
    assert cluster.query("SELECT count(*) FROM runs", "troubles") == [(0,)]


def test_the_trash_of_others_is_out_of_reach(server: Server, cluster: Cluster) -> None:
    created = server.call("POST", "/api/2.0/mlflow/experiments/create", {"name": "mine"}).json()
    number = created["experiment_id"]
    forget = f"/provision/check/{number}"
    assert server.call("DELETE", forget).status == 403
    server.call("POST", "/api/2.0/mlflow/experiments/delete", {"experiment_id": number})
    assert server.call("DELETE", forget).status == 403
    assert server.call("DELETE", "/provision/check/99999").status == 404
    cluster.query(f"DELETE FROM experiments WHERE experiment_id = {number}", "troubles")


def test_an_experiment_that_keeps_its_artifacts_elsewhere_is_named(
    server: Server, cluster: Cluster
) -> None:
    body = {"name": "old", "artifact_location": "s3://gone/1"}
    server.call("POST", "/api/2.0/mlflow/experiments/create", body)
    report = look(uri_of(server))
    assert found(report) == ["artifact-root.frozen"]
    assert any("old (s3://gone/1)" in finding.observed for finding in report.findings)
    cluster.query("DELETE FROM experiments WHERE name = 'old'", "troubles")
    assert found(look(uri_of(server))) == []


def test_a_client_of_another_minor_version_is_warned(server: Server) -> None:
    assert found(look(uri_of(server), "2.22.1")) == ["version.differs"]


def test_a_proxy_with_a_limit_is_named_whatever_the_size(server: Server) -> None:
    with relaying(uri_of(server), Rules(limit=MIB)) as proxy:
        assert found(look(proxy.endpoint().uri)) == ["artifact-upload.too-large"]
    with relaying(uri_of(server), Rules(limit=2 * MIB)) as proxy:
        assert found(look(proxy.endpoint().uri)) == []
        assert found(look(proxy.endpoint().uri, large=3 * MIB)) == ["large-artifact.too-large"]


@pytest.mark.needs("nginx")
def test_an_nginx_as_it_comes_is_named_and_its_limit_lifted(server: Server, tmp_path: Path) -> None:
    """It refuses bodies of more than a megabyte."""
    with nginx(tmp_path, uri_of(server)) as proxy:
        assert found(look(proxy)) == ["artifact-upload.too-large"]
    with nginx(tmp_path, uri_of(server), "client_max_body_size 0;") as proxy:
        assert found(look(proxy, large=3 * MIB)) == []


def test_a_proxy_that_gives_up_on_large_files_is_named(server: Server) -> None:
    with relaying(uri_of(server), Rules(cut=2 * MIB)) as proxy:
        report = look(proxy.endpoint().uri, large=5 * MIB)
    assert found(report) == ["large-artifact.timed-out"]
    assert found(look(uri_of(server), large=5 * MIB)) == []


def test_a_full_disk_is_named_and_mended_by_making_room(server: Server) -> None:
    filler = f"{ARTIFACTS}/filler.bin"
    assert server.call("PUT", filler, b"x" * (12 * MIB - 300_000)).status == 200
    assert found(look(uri_of(server))) == ["artifact-upload.disk-full"]
    assert server.call("DELETE", filler).status == 200
    assert found(look(uri_of(server), large=8 * MIB)) == []
    assert found(look(uri_of(server), large=20 * MIB)) == ["large-artifact.disk-full"]
    assert found(look(uri_of(server))) == []


def encrypted_only(cluster: Cluster) -> Callable[[], None]:
    """Only connections with TLS are let in, as RDS does from PostgreSQL 15 on."""
    return let_in(cluster, "hostssl all all 127.0.0.1/32 trust\n")


def another_password(cluster: Cluster) -> Callable[[], None]:
    cluster.query("ALTER ROLE mlflow PASSWORD 'renewed, and told to nobody'")
    return lambda: (cluster.query(f"ALTER ROLE mlflow PASSWORD '{PASSWORD}'"), None)[1]


def by_rule(rule: str, undo: str) -> Callable[[Cluster], Callable[[], None]]:
    def make(cluster: Cluster) -> Callable[[], None]:
        cluster.query(rule)
        return lambda: (cluster.query(undo), None)[1]

    return make


BROKEN = {
    "http.database-password": another_password,
    "http.database-tls": encrypted_only,
    "http.connections-used-up": by_rule(
        "ALTER ROLE mlflow CONNECTION LIMIT 0", "ALTER ROLE mlflow CONNECTION LIMIT -1"
    ),
    "http.database-gone": by_rule(
        "ALTER DATABASE troubles ALLOW_CONNECTIONS false",
        "ALTER DATABASE troubles ALLOW_CONNECTIONS true",
    ),
}


@pytest.mark.parametrize("problem", BROKEN)
def test_what_is_wrong_with_the_database_is_named_and_passes(
    problem: str, server: Server, cluster: Cluster
) -> None:
    mend = BROKEN[problem](cluster)
    try:
        cluster.query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename='mlflow'"
        )
        assert server.call("GET", "/health").status == 200
        assert found(look(uri_of(server))) == [problem]
    finally:
        mend()
    assert found(look(uri_of(server))) == []
