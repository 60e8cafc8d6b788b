"""One account's services in one region, reached with what one environment says.

Botocore reads the process' environment by itself. Here the environment is an argument, so that a
rehearsal beside a user's own `AWS_PROFILE` asks the emulated account and nobody else.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from botocore.session import Session

# Seconds, and attempts in all. Botocore's own (60, 60 and 5) leave a user in silence for minutes.
_CONNECT: Final = 8
_READ: Final = 30
_ATTEMPTS: Final = 4
_LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")


class Cloud:
    """Makes clients, each once; may be shared by threads.

    `profile` is the spec's or the command line's, and wins over keys in the environment, as it does
    for Terraform's provider; `AWS_PROFILE` does not, as everywhere else at AWS.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        region: str | None,
        profile: str | None = None,
        attempts: int = _ATTEMPTS,
    ) -> None:
        self.environment = environment
        self.profile = profile or environment.get("AWS_PROFILE") or None
        self._explicit_profile = profile
        self._region = region or environment.get("AWS_REGION")
        self._attempts = attempts
        self._clients: dict[str, Any] = {}
        self._session: Session | None = None
        self._lock = threading.RLock()

    @property
    def region(self) -> str:
        """The region as given, or else as the environment or the profile says; may be empty."""
        return self._region or str(self.session.get_config_variable("region") or "")

    @property
    def has_keys_in_environment(self) -> bool:
        """Whether the credentials come from environment variables."""
        return not self._explicit_profile and bool(self.environment.get("AWS_ACCESS_KEY_ID"))

    def profiles(self) -> list[str]:
        """The profiles in the user's AWS files."""
        return sorted(self._bare().available_profiles)

    def regions(self) -> list[str]:
        """The regions that this version of botocore knows, of all partitions."""
        session = self._bare()
        partitions = session.get_available_partitions()
        return [r for name in partitions for r in session.get_available_regions("ec2", name)]

    def kind_of_profile(self) -> str:
        """`sso` for a profile with an SSO session, else empty."""
        profiles = self._bare().full_config.get("profiles", {})
        settings = profiles.get(self.profile or "default", {})
        return "sso" if {"sso_session", "sso_start_url"} & settings.keys() else ""

    @property
    def session(self) -> Session:
        """Botocore's session, with its configuration and credentials from our environment."""
        with self._lock:
            if self._session is None:
                self._session = _session(self.environment, self._region, self._explicit_profile)
            return self._session

    def _bare(self) -> Session:
        """A session without the profile, which may not exist."""
        without = {k: v for k, v in self.environment.items() if k != "AWS_PROFILE"}
        return _session(without, "us-east-1", None)

    def client(self, service: str) -> Any:
        """The client of a service, by botocore's name for it."""
        with self._lock:
            if service not in self._clients:
                self._clients[service] = self._make(service)
            return self._clients[service]

    def fresh(self, service: str) -> Any:
        """A client that nobody else gets: for whoever changes how one works."""
        with self._lock:
            return self._make(service)

    def paged(
        self, service: str, operation: str, key: str, **arguments: Any
    ) -> list[dict[str, Any]]:
        """All items of a listing, over all of its pages."""
        client = self.client(service)
        if not client.can_paginate(operation):
            return list(getattr(client, operation)(**arguments)[key])
        pages = client.get_paginator(operation).paginate(**arguments)
        return [item for page in pages for item in page.get(key) or []]

    def _make(self, service: str) -> Any:
        from botocore.config import Config  # noqa: PLC0415 - loads botocore

        endpoint = self._endpoint(service)
        here = urlsplit(endpoint or "").hostname in _LOOPBACK
        settings = Config(
            connect_timeout=_CONNECT,
            read_timeout=_READ,
            retries={"mode": "standard", "total_max_attempts": self._attempts},
            # No proxy stands between this machine and itself; elsewhere the user's own counts.
            proxies={} if here else None,
            s3={"addressing_style": "path"} if here else None,
        )
        return self.session.create_client(service, endpoint_url=endpoint, config=settings)

    def _endpoint(self, service: str) -> str | None:
        own = f"AWS_ENDPOINT_URL_{service.upper().replace('-', '_')}"
        return self.environment.get(own) or self.environment.get("AWS_ENDPOINT_URL") or None


def _session(environment: Mapping[str, str], region: str | None, profile: str | None) -> Session:
    from botocore.session import Session  # noqa: PLC0415 - 0.2 s of CPU

    session = Session()
    _configure(session, dict(environment))
    if region is not None:
        session.set_config_variable("region", region)
    if profile is not None:
        session.set_config_variable("profile", profile)
    _credentials(session, dict(environment))
    return session


def _configure(session: Session, environment: dict[str, str]) -> None:
    """Read every setting that botocore knows from our environment, then from the AWS files."""
    from botocore.configprovider import ConfigChainFactory  # noqa: PLC0415

    chains = ConfigChainFactory(session=session, environ=environment)
    store = session.get_component("config_store")
    for name, (in_file, in_environment, default, cast) in session.SESSION_VARIABLES.items():
        chain = chains.create_config_chain(
            instance_name=name,
            env_var_names=in_environment,
            config_property_names=in_file,
            default=default,
            conversion_func=cast,
        )
        store.set_config_provider(name, chain)


def _credentials(session: Session, environment: dict[str, str]) -> None:
    """Let the chain of credentials start at our environment's keys."""
    from botocore.credentials import EnvProvider  # noqa: PLC0415

    chain = session.get_component("credential_provider")
    if session.instance_variables().get("profile") is None:
        chain.remove("env")
        chain.insert_before("assume-role", EnvProvider(environ=environment))
    if environment.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true":
        chain.remove("iam-role")
