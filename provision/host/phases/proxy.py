"""HTTPS by Caddy: with the host's own authority, or for a domain by ACME; body sizes are unlimited.

Caddy makes the authority (valid ten years), and renews what it signs (every few hours) by itself.
Clients verify: the authority's certificate is published in the bucket.
"""

from __future__ import annotations

from typing import Final

from provision.host import apt, files
from provision.host.failures import HostError
from provision.host.phases.models import SOCKETS
from provision.host.phases.service import journal
from provision.host.run import Host, Step
from provision.host.server_file import PORT, names, netloc
from provision.host.settings import HostSettings
from provision.model.boot import CA_KEY
from provision.model.serving import ROUTE

UNIT: Final = "caddy.service"
CONFIG: Final = "/etc/caddy/Caddyfile"
REQUESTS: Final = "/var/lib/caddy/requests.log"
"""Written at each request, where somebody asks when the last one came."""
_DROP_IN: Final = "/etc/systemd/system/caddy.service.d/provision.conf"
_START_SECONDS: Final = 60.0
_LOCAL: Final = ("localhost", "127.0.0.1")

# Debian's unit leaves a killed Caddy dead.
_DROP_IN_TEXT: Final = """\
[Unit]
StartLimitIntervalSec=0

[Service]
Restart=always
RestartSec=1
NoNewPrivileges=yes
CapabilityBoundingSet=CAP_NET_BIND_SERVICE
ProtectSystem=strict
ReadWritePaths=/var/lib/caddy
ProtectHome=yes
PrivateDevices=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
"""

# A dial that fails is tried again, so that a restart of the server costs few requests. Those with
# a body may still get a 502, as Caddy 2.6 closes the body with the first dial; clients repeat them.
# No time-outs on bodies: a large artifact takes as long as it takes.
# Each model has a folder named for it, with a socket: one that comes or goes changes nothing here.
_PROXY: Final = f"""\
	@model path_regexp model ^{ROUTE}([A-Za-z0-9._@-]+)/
	handle @model {{
		uri strip_prefix {ROUTE}{{re.model.1}}
		reverse_proxy unix/{SOCKETS}/{{re.model.1}}/web {{
			transport http {{
				dial_timeout 5s
				compression off
			}}
		}}
	}}
	@nearly path_regexp nearly ^({ROUTE}[A-Za-z0-9._@-]+)$
	redir @nearly {{re.nearly.1}}/ 308
	@pages path /static-files/*
	encode @pages gzip
	reverse_proxy 127.0.0.1:{PORT} {{
		flush_interval -1
		lb_try_duration 20s
		lb_try_interval 250ms
		transport http {{
			dial_timeout 5s
			keepalive 60s
			compression off
		}}
	}}
"""
# Its time is what counts; Caddy leaves passwords out of it.
_LOG: Final = f"""\
	log {{
		output file {REQUESTS} {{
			roll_size 1MiB
			roll_keep 1
		}}
	}}
"""


def run(host: Host, step: Step) -> None:
    """Install and configure the proxy, and publish the authority's certificate."""
    text = caddyfile(host.settings)
    new = [_write(host, CONFIG, text), _write(host, _DROP_IN, _DROP_IN_TEXT)]
    # With the configuration in place first, Caddy never opens port 80, as Debian's own would.
    apt.ensure(host, step, "caddy")
    if any(new):
        _validate(host)
        host.commands.run("systemctl", "daemon-reload")
        host.commands.run("systemctl", "enable", UNIT)
        host.commands.run("systemctl", "restart", UNIT)
        step.changed("the configuration of Caddy")
    elif not host.commands.succeeds("systemctl", "is-active", "--quiet", UNIT):
        host.commands.run("systemctl", "start", UNIT)
        step.changed("Caddy was started")
    _publish(host, step)
    step.detail(", ".join(names(host.settings)))


def _write(host: Host, path: str, text: str) -> bool:
    target = host.places.at(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    return files.write(target, text)


def caddyfile(settings: HostSettings) -> str:
    """The configuration for Caddy 2.6.

    Clients that come by address name no server in the TLS handshake (RFC 6066, section 3), which
    is what `default_sni` is for. Port 80 stays shut: `disable_redirects`. Without the admin
    interface nothing on the machine can talk Caddy into another configuration.
    """
    proxy = _PROXY + (_LOG if settings.idle_hours else "")
    ours = [n for n in dict.fromkeys([*names(settings), *_LOCAL]) if n != settings.domain]
    sites = [_site(ours, "\ttls internal\n", proxy)]
    if settings.domain:
        sites.append(_site([settings.domain], _ACME, proxy))
    return (
        "{\n"
        "\tadmin off\n"
        f"\tdefault_sni {names(settings)[0]}\n"
        "\tskip_install_trust\n"
        "\tauto_https disable_redirects\n"
        "\tservers {\n\t\tprotocols h1 h2\n\t}\n"
        "}\n\n" + "\n".join(sites) + f"\n:443 {{\n{proxy}}}\n"
    )


# The challenge comes over port 443 (TLS-ALPN), from anywhere in the world.
_ACME: Final = (
    "\ttls {\n\t\tissuer acme {\n\t\t\tdisable_http_challenge\n\t\t}\n\t\tissuer internal\n\t}\n"
)


def _site(hosts: list[str], tls: str, proxy: str) -> str:
    addresses = ", ".join(f"https://{netloc(name)}" for name in hosts)
    return f"{addresses} {{\n{tls}{proxy}}}\n"


def _validate(host: Host) -> None:
    env = {"HOME": "/var/lib/caddy", "XDG_DATA_HOME": "/tmp", "XDG_CONFIG_HOME": "/tmp"}  # noqa: S108
    config = str(host.places.at(CONFIG))
    command = ["caddy", "adapt", "--config", config, "--adapter", "caddyfile"]
    host.commands.run(*command, env=env)


def _publish(host: Host, step: Step) -> None:
    began = host.clock()
    while not (text := files.read(host.places.ca)):
        if host.clock() - began > _START_SECONDS:
            raise HostError(
                "proxy-failed",
                "Caddy did not make its certificate authority",
                next_step="the last lines above say why; `provision repair` tries again at once",
                command=f"systemctl restart {UNIT}",
                tail=journal(host, UNIT),
            )
        host.sleep(0.25)
    if files.write(host.places.public_ca, text):
        step.changed("the host's own certificate authority")
    # Each time: the bucket may have been emptied meanwhile.
    host.aws.publish(CA_KEY, text, "application/x-pem-file")
