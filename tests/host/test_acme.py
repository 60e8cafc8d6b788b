"""With a domain, the certificate comes by ACME: here another Caddy is the authority."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from provision.host.phases.proxy import caddyfile
from provision.host.settings import HostSettings

pytestmark = [pytest.mark.slow, pytest.mark.needs("caddy", "rehearsal")]
DOMAIN = "mlflow.course.example"
AUTHORITY = """\
{
	admin off
	skip_install_trust
	auto_https disable_redirects
}
https://ca.test:8444 {
	tls internal
	acme_server
}
http://:5000 {
	respond "the server"
}
"""
# In namespaces of their own, where both names lead to the loopback and port 443 is free.
SCRIPT = """\
set -e
cd "$1"
ip link set lo up
echo "127.0.0.1 localhost ca.test $2" >hosts
echo "hosts: files" >nsswitch
mount --bind hosts /etc/hosts
mount --bind nsswitch /etc/nsswitch.conf
run() {
  HOME=$PWD/$1 XDG_DATA_HOME=$PWD/$1 caddy run --adapter caddyfile --config $1.conf 2>$1.log &
}
patiently() { for _ in $(seq 600); do "$@" && return; sleep 0.1; done; tail -n 5 ./*.log; exit 1; }
root=authority/caddy/pki/authorities/local/root.crt
run authority
patiently test -s $root
run ours
issued() { test -n "$(find ours -path '*directory*' -name "$1.crt")"; }
patiently issued "$2"
curl -sS --max-time 60 --cacert $root "https://$2/"
"""


def test_a_domains_certificate_is_obtained_over_port_443(tmp_path: Path) -> None:
    root = tmp_path / "authority/caddy/pki/authorities/local/root.crt"
    directory = "https://ca.test:8444/acme/local/directory"
    settings = HostSettings(
        name="demo", region="eu-west-1", bucket="b", artifact_root="s3://b/artifacts",
        database_identifier="demo", mlflow_version="3.17.2", admin_secret="demo/admin",
        hosts=(DOMAIN, "127.0.0.1"), domain=DOMAIN,
    )  # fmt: skip
    usual = "issuer acme {\n"
    ours = caddyfile(settings)
    assert usual in ours
    ours = ours.replace(usual, f"{usual}\t\t\tdir {directory}\n\t\t\ttrusted_roots {root}\n")
    for name, text in {"authority": AUTHORITY, "ours": ours}.items():
        (tmp_path / name).mkdir()
        (tmp_path / f"{name}.conf").write_text(text, encoding="utf-8")
    done = subprocess.run(
        ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child",
         "bash", "-c", SCRIPT, "bash", str(tmp_path), DOMAIN],
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "the server"), done
