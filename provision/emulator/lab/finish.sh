#!/bin/sh
# finish.sh ROOT CA: makes a fresh Debian tree look like Debian's EC2 image, plus what a lab needs.
set -eu
root=$1 ca=$2

# --- As Debian's images for EC2 have it (salsa.debian.org/cloud-team/debian-cloud-images) ---------
DEBIAN_FRONTEND=noninteractive chroot "$root" apt-get -qqy purge ifupdown vim-tiny vim-common tasksel tasksel-data >/dev/null 2>&1 || true
cat >"$root/etc/cloud/cloud.cfg.d/01_debian_cloud.cfg" <<X
apt_preserve_sources_list: true
manage_etc_hosts: true
system_info:
  default_user:
    name: admin
    sudo: ALL=(ALL) NOPASSWD:ALL
    shell: /bin/bash
    lock_passwd: True
    gecos: Debian
X
echo 'datasource_list: [ Ec2, None ]' >"$root/etc/cloud/cloud.cfg.d/90_dpkg.cfg"

# The archive's addresses are those that Debian's own cloud-init names.
archive() { sed -n "s/^ *$1: *//p" "$root/etc/cloud/cloud.cfg" | head -n 1; }
mkdir -p "$root/etc/apt/mirrors"
archive primary >"$root/etc/apt/mirrors/debian.list"
archive security >"$root/etc/apt/mirrors/debian-security.list"
test -s "$root/etc/apt/mirrors/debian.list" && test -s "$root/etc/apt/mirrors/debian-security.list"
echo '# See /etc/apt/sources.list.d/debian.sources' >"$root/etc/apt/sources.list"
rm -f "$root"/etc/apt/sources.list.d/*
cat >"$root/etc/apt/sources.list.d/debian.sources" <<X
Types: deb
URIs: mirror+file:///etc/apt/mirrors/debian.list
Suites: bookworm bookworm-updates
Components: main

Types: deb
URIs: mirror+file:///etc/apt/mirrors/debian-security.list
Suites: bookworm-security
Components: main
X
# The lists are fresh in the image only as long as they are in AWS': a machine starts without.
rm -f "$root"/etc/apt/apt.conf.d/99mmdebstrap "$root"/var/cache/apt/archives/*.deb
rm -rf "$root"/var/lib/apt/lists/*

ln -sf ../run/systemd/resolve/stub-resolv.conf "$root/etc/resolv.conf"
: >"$root/etc/machine-id"
rm -f "$root"/etc/ssh/ssh_host_*
echo debian >"$root/etc/hostname"
systemctl --root="$root" enable systemd-networkd systemd-resolved >/dev/null 2>&1

# --- The lab's own layer -------------------------------------------------------------------------
cp "$ca" "$root/usr/local/share/ca-certificates/rehearsal.crt"
chroot "$root" update-ca-certificates >/dev/null 2>&1
bundle=/etc/ssl/certs/ca-certificates.crt
mkdir -p "$root/etc/systemd/system.conf.d"
# For programs with authorities of their own (uv, pip, botocore): on AWS they meet public ones.
cat >"$root/etc/systemd/system.conf.d/rehearsal.conf" <<X
[Manager]
DefaultEnvironment=SSL_CERT_FILE=$bundle PIP_CERT=$bundle AWS_CA_BUNDLE=$bundle REQUESTS_CA_BUNDLE=$bundle
X
# cloud-init asks no firmware in a container, and would not find that it is on EC2: this answers.
cat >"$root/usr/lib/python3/dist-packages/rehearsal_dmi.py" <<X
import importlib.util
import json
import sys


class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name != "cloudinit.dmi":
            return None
        sys.meta_path.remove(Finder)
        spec = importlib.util.find_spec(name)
        load = spec.loader.exec_module

        def loaded(module):
            load(module)
            with open("/etc/rehearsal/dmi.json") as handle:
                values = json.load(handle)
            module.read_dmi_data = values.get

        spec.loader.exec_module = loaded
        return spec


sys.meta_path.insert(0, Finder)
X
echo 'import rehearsal_dmi' >"$root/usr/lib/python3/dist-packages/rehearsal_dmi.pth"
# A veth has no permanent hardware address, which netplan's match asks for: networkd by hand.
echo 'network: {config: disabled}' >"$root/etc/cloud/cloud.cfg.d/99-rehearsal-network.cfg"
cat >"$root/etc/systemd/network/10-rehearsal.network" <<X
[Match]
Name=eth0
[Network]
DHCP=ipv4
[DHCP]
UseDNS=yes
X
# A container has the clock and the kernel of the machine around it.
systemctl --root="$root" mask systemd-timesyncd chrony >/dev/null 2>&1 || true
