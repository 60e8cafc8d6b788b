"""Who we are at AWS: against moto, against servers that refuse, and with AWS files of our own."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer

from provision.adapters.cloud.identity import identity, identity_of, trouble
from provision.adapters.cloud.session import Cloud
from provision.errors import MissingError, ProvisionError

pytestmark = pytest.mark.slow
ALONE = {
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": "/dev/null",
    "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
}
KEYS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
REGION = "eu-west-1"
CONFIG = """\
[default]
region = eu-west-3
[profile team]
region = eu-central-1
sso_session = uni
sso_account_id = 123456789012
sso_role_name = Dev
[sso-session uni]
sso_start_url = https://uni.example/start
sso_region = eu-west-1
[profile keys]
aws_access_key_id = testing
aws_secret_access_key = testing
[profile chained]
role_arn = arn:aws:iam::123456789012:role/deployer
source_profile = keys
[profile broken]
role_arn = arn:aws:iam::123456789012:role/deployer
source_profile = nobody
"""


@pytest.fixture(autouse=True)
def hostile_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What botocore would read by itself is somebody else's, and must not count."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_PROFILE", "somebody-elses")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody-elses")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "somebody-elses")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "sa-east-1")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def config(tmp_path: Path) -> dict[str, str]:
    file = tmp_path / "config"
    file.write_text(CONFIG, encoding="utf-8")
    return {**ALONE, "AWS_CONFIG_FILE": str(file)}


@pytest.fixture
def refusing() -> Iterator[ThreadingHTTPServer]:
    """A server that answers every call with `server.code` and `server.text`."""

    class Refusal(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            body = (
                f"<ErrorResponse><Error><Code>{self.server.code}</Code>"  # type: ignore[attr-defined]
                f"<Message>{self.server.text}</Message></Error></ErrorResponse>"  # type: ignore[attr-defined]
            ).encode()
            self.send_response(403)
            self.send_header("Content-Type", "text/xml")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Refusal)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def refused(environment: dict[str, str], region: str | None = REGION, **more: str) -> str:
    with pytest.raises(MissingError) as raised:
        identity(environment, region, **more)
    assert raised.value.next_step
    return f"{raised.value.message}\n{raised.value.next_step}"


def test_account_arn_region_and_partition(endpoint: str) -> None:
    me = identity({**ALONE, **KEYS, "AWS_ENDPOINT_URL": endpoint}, REGION)
    assert (me.account, me.region, me.partition) == ("123456789012", REGION, "aws")
    assert me.arn.startswith("arn:aws:sts::123456789012:")
    assert me.expires_at is None


def test_the_region_falls_back_to_environment_and_profile(
    endpoint: str, config: dict[str, str]
) -> None:
    here = {**config, **KEYS, "AWS_ENDPOINT_URL": endpoint}
    assert identity({**here, "AWS_REGION": "eu-north-1"}, None).region == "eu-north-1"
    assert identity({**here, "AWS_DEFAULT_REGION": "eu-south-1"}, None).region == "eu-south-1"
    assert identity(here, None).region == "eu-west-3"
    assert "no AWS region is set" in refused({**ALONE, **KEYS, "AWS_ENDPOINT_URL": endpoint}, None)


def test_when_the_credentials_end_is_told_where_it_is_known(endpoint: str) -> None:
    end = {"AWS_CREDENTIAL_EXPIRATION": "2099-01-31T12:00:00Z", "AWS_SESSION_TOKEN": "t"}
    me = identity({**ALONE, **KEYS, **end, "AWS_ENDPOINT_URL": endpoint}, REGION)
    assert me.expires_at == datetime(2099, 1, 31, 12, tzinfo=UTC)


def test_an_assumed_role_is_honoured(
    endpoint: str, config: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Botocore asks for the role before there is a client of ours.
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    environment = {**config, "AWS_ENDPOINT_URL": endpoint, "AWS_PROFILE": "chained"}
    me = identity(environment, REGION)
    assert ":assumed-role/deployer/" in me.arn
    assert me.expires_at is not None
    assert me.expires_at > datetime.now(UTC)


def test_no_credentials() -> None:
    text = refused(ALONE)
    assert "there are no AWS credentials" in text
    assert "aws configure" in text


def test_half_a_key_pair_names_the_other_half() -> None:
    assert "AWS_SECRET_ACCESS_KEY" in refused({**ALONE, "AWS_ACCESS_KEY_ID": "x"})


def test_a_profile_that_does_not_exist(config: dict[str, str]) -> None:
    text = refused({**config, "AWS_PROFILE": "taem"})
    assert "no AWS profile taem" in text
    assert "did you mean team?" in text


def test_a_profile_wins_over_keys_only_when_it_is_given(
    endpoint: str, config: dict[str, str]
) -> None:
    both = {**config, **KEYS, "AWS_PROFILE": "team", "AWS_ENDPOINT_URL": endpoint}
    assert identity(both, REGION).account == "123456789012"
    assert "SSO session" in refused(both, profile="team")


def test_an_sso_session_that_has_ended(config: dict[str, str]) -> None:
    text = refused({**config, "AWS_PROFILE": "team"})
    assert "SSO session of profile team has expired" in text
    assert text.endswith("aws sso login --profile team")


def test_a_role_whose_source_is_missing(config: dict[str, str]) -> None:
    text = refused({**config, "AWS_PROFILE": "broken"})
    assert "profile broken" in text
    assert "nobody" in text


def test_a_config_file_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("no section\n", encoding="utf-8")
    text = refused({**ALONE, "AWS_CONFIG_FILE": str(tmp_path / "config")})
    assert str(tmp_path / "config") in text


@pytest.mark.parametrize(
    ("code", "text", "cause", "step"),
    [
        ("ExpiredToken", "is expired", "have expired", "AWS_SESSION_TOKEN"),
        ("RequestExpired", "Request has expired", "have expired", "AWS_SESSION_TOKEN"),
        ("InvalidClientTokenId", "is invalid", "does not know", "aws sts get-caller-identity"),
        ("SignatureDoesNotMatch", "Signature not yet current", "clock", "timedatectl"),
        (
            "AccessDenied",
            "User: arn:aws:iam::1:user/a is not authorized to perform: sts:GetCallerIdentity",
            "lack the right sts:GetCallerIdentity",
            "administrator",
        ),
    ],
)
def test_what_aws_refuses(
    code: str, text: str, cause: str, step: str, refusing: ThreadingHTTPServer
) -> None:
    refusing.code, refusing.text = code, text  # type: ignore[attr-defined]
    here = f"http://127.0.0.1:{refusing.server_port}"
    said = refused({**ALONE, **KEYS, "AWS_ENDPOINT_URL": here})
    assert cause in said
    assert step in said


def test_a_region_that_aws_does_not_have_is_told_from_a_dead_network() -> None:
    nowhere = {**ALONE, **KEYS, "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    with pytest.raises(ProvisionError) as dead:
        identity_of(Cloud(nowhere, REGION, attempts=1))
    assert "does not answer" in dead.value.message
    assert dead.value.exit_code == 1
    assert "did you mean eu-west-1?" in refused(nowhere, "eu-wset-1")
    assert "has no region" in refused(nowhere, "Europe; rm -rf /")


def test_no_key_is_in_any_message(refusing: ThreadingHTTPServer) -> None:
    refusing.code, refusing.text = "InternalFailure", "no"  # type: ignore[attr-defined]
    secret = {"AWS_ACCESS_KEY_ID": "AKIACANARY", "AWS_SECRET_ACCESS_KEY": "secret-canary"}
    here = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{refusing.server_port}"}
    with pytest.raises(ProvisionError) as raised:
        identity({**ALONE, **secret, **here}, REGION)
    assert "canary" not in json.dumps([raised.value.message, raised.value.next_step]).lower()


def test_trouble_is_named_anew_each_time(endpoint: str, refusing: ThreadingHTTPServer) -> None:
    now = datetime(2099, 1, 31, 12, tzinfo=UTC)
    end = {"AWS_CREDENTIAL_EXPIRATION": "2099-01-31T12:05:00Z", "AWS_SESSION_TOKEN": "t"}
    here = {**ALONE, **KEYS, **end, "AWS_ENDPOINT_URL": endpoint}
    assert trouble(here, REGION, None, now=now) is None
    soon = trouble(here, REGION, None, now=now, margin=timedelta(minutes=10))
    assert soon == "the AWS credentials end at 12:05:00 UTC"
    refusing.code, refusing.text = "ExpiredToken", "is expired"  # type: ignore[attr-defined]
    dead = {**ALONE, **KEYS, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{refusing.server_port}"}
    assert "have expired" in str(trouble(dead, REGION, None, now=now))
