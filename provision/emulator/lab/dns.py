"""AWS' own names in the lab, and leases for its machines: two dnsmasq.

Names and leases are apart because the leases are read anew (their dnsmasq starts again) whenever
the account has another machine, and no question for a name may be lost meanwhile.
"""

from __future__ import annotations

import ipaddress
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from provision.emulator.lab import addresses, namespaces
from provision.emulator.lab.addresses import PACKAGES, RESOLVER, S3, SERVICES
from provision.emulator.lab.network import BRIDGE
from provision.emulator.lab.system import located, write
from provision.emulator.lab.view import Instance

_PLAIN = (
    "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--bind-interfaces",
    "--keep-in-foreground", "--user=root", "--log-facility=-",
)  # fmt: skip


class Names:
    """The resolver. What is not AWS' own leads to the package mirrors; nothing leads outside."""

    def __init__(self, folder: Path, region: str) -> None:
        self._folder = folder / "names"
        self._region = region
        self._log = folder / "dns.log"

    def start(self) -> subprocess.Popen[bytes]:
        """Answer from now on."""
        self._folder.mkdir()
        regional = (f"s3.{self._region}", f"s3.dualstack.{self._region}", "s3")
        s3 = [f"{name}.amazonaws.com" for name in regional]
        words = [
            "dnsmasq", *_PLAIN, f"--listen-address={RESOLVER}", "--log-queries",
            f"--hostsdir={self._folder}", f"--address=/#/{PACKAGES}",
            f"--address=/amazonaws.com/{SERVICES}", *(f"--address=/{name}/{S3}" for name in s3),
        ]  # fmt: skip
        return _start(words, self._log)

    def say(self, names: Mapping[str, str]) -> None:
        """Let these names, and no others of earlier calls, have these addresses."""
        for name in [path.name for path in self._folder.iterdir() if path.name not in names]:
            (self._folder / name).unlink()
        for name, address in names.items():
            line, path = f"{address} {name}\n", self._folder / name
            if not path.exists() or path.read_text(encoding="ascii") != line:
                write(path, line, 0o644)


class Leases:
    """DHCP for the machines that the account has."""

    def __init__(self, folder: Path, region: str) -> None:
        self._folder = folder
        self._region = region
        self._process: subprocess.Popen[bytes] | None = None

    def give(self, instances: Sequence[Instance]) -> None:
        """Lease each of these machines the address that its account gave it."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
        # A machine that is gone must not hold the address that the next one gets; those that are
        # there are given the same again.
        (self._folder / "leases").unlink(missing_ok=True)
        self._process = _start(self._words(instances), self._folder / "dhcp.log")

    def _words(self, instances: Sequence[Instance]) -> list[str]:
        words = [
            "dnsmasq", *_PLAIN, "--port=0", f"--interface={BRIDGE}", "--except-interface=lo",
            "--log-dhcp", f"--dhcp-leasefile={self._folder / 'leases'}",
            f"--dhcp-option=option:dns-server,{RESOLVER}",
            f"--dhcp-option=option:domain-name,{self._region}.compute.internal",
        ]  # fmt: skip
        for number, cidr in enumerate(sorted({i.subnet for i in instances})):
            base, mask = _network(cidr)
            words.append(f"--dhcp-range=set:s{number},{base},static,{mask},1h")
            words.append(f"--dhcp-option=tag:s{number},option:router,{addresses.gateway(cidr)}")
        return words + [f"--dhcp-host={i.mac},{i.private_ip}" for i in instances]


def _network(cidr: str) -> tuple[str, str]:
    network = ipaddress.ip_network(cidr)
    return str(network.network_address), str(network.netmask)


def _start(words: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as out:
        return subprocess.Popen(
            located(namespaces.within("aws", located(words))),
            stdin=subprocess.DEVNULL, stdout=out, stderr=out,
        )  # fmt: skip
