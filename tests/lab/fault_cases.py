"""The faults: what is done, what has to be seen, and how it has to end."""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from provision.model.boot import PHASES
from tests.lab.faults import NAME, Scene
from tests.waiting import until

LATE_SECONDS: Final = 600.0
AWAY_SECONDS: Final = 60.0
_MIB: Final = 2**20
_PROGRAM: Final = "python3 -I /opt/provision/bundle/provision.pyz"

Ending = tuple[str, str]  # survived or named, and what was said


@dataclass(frozen=True)
class Case:
    """One fault. `what` is for people; `needs_stack`: a stack that stands."""

    name: str
    what: str
    act: Callable[[Scene], Ending]
    needs_stack: bool = True


def waiting(scene: Scene, words: str, but: str = "") -> str:
    """What a machine (another than `but`) says that it waits for, once these words are in it."""

    def look() -> str:
        for machine in scene.machines():
            report = scene.report(str(machine["InstanceId"]))
            if machine["InstanceId"] != but and report is not None:
                said = [p.detail for p in report.phases if p.state == "running"]
                if any(words in detail for detail in said):
                    return said[0]
        return ""

    return str(until(look, f"it waits and says {words!r}"))


def late_database(scene: Scene) -> Ending:
    up = scene.begin("up", "--yes")
    until(lambda: scene.lab.is_up, "the lab is there")
    scene.lab.hold_database(f"provision-{NAME}")
    said = waiting(scene, "RDS calls it creating")
    time.sleep(LATE_SECONDS)
    scene.lab.release_database(f"provision-{NAME}")
    scene.finished(up)
    scene.works()
    return "survived", said


def packages_away(scene: Scene) -> Ending:
    scene.lose()
    scene.lab.cut("packages")
    up = scene.begin("up", "--yes")
    said = waiting(scene, "package")
    time.sleep(AWAY_SECONDS)
    scene.lab.mend()
    scene.finished(up)
    scene.works()
    return "survived", said


def program_denied(scene: Scene) -> Ending:
    scene.lab.deny("s3:GetObject")
    scene.lose()
    up = scene.begin("up", "--yes")
    waiting(scene, "s3:GetObject")
    said = scene.command("status", code=None).words("s3:GetObject")
    scene.lab.mend()
    scene.finished(up)
    return "named", said


def secrets_denied(scene: Scene) -> Ending:
    scene.lab.deny("secretsmanager:GetSecretValue")
    scene.lose()
    up = scene.command("up", "--yes", code=1)
    said = up.words("error: ", "secretsmanager:GetSecretValue", "next step:")
    scene.lab.mend()
    scene.command("up", "--yes")
    return "named", said


def uploads_denied(scene: Scene) -> Ending:
    scene.lab.deny("s3:PutObject")
    said = scene.command("check", code=6).words("s3:PutObject", "http.store-denied")
    scene.command("logs", "server", "--lines", "20").words(
        "not authorized to perform: s3:PutObject"
    )
    scene.command("repair", code=1).words("lacks the right s3:PutObject", "next step:")
    scene.lab.mend()
    scene.command("repair")
    scene.works()
    return "named", said


def wrong_clock(scene: Scene) -> Ending:
    scene.lab.clock(20 * 60)
    scene.command("check", code=6).words("clock of the server's machine")
    said = scene.command("repair", code=1).words("clock is wrong", "next step:")
    scene.lab.mend()
    scene.command("repair")
    scene.works()
    return "named", said


def small_disk(scene: Scene) -> Ending:
    scene.lab.limit(disk_bytes=900 * _MIB)
    scene.lose()
    said = scene.command("up", "--yes", code=1).words("error: ", "MiB are free", "next step:")
    scene.lab.limit()
    scene.lose()
    scene.command("up", "--yes")
    return "named", said


def full_disk(scene: Scene) -> Ending:
    scene.lab.limit(disk_bytes=2600 * _MIB)
    scene.lose()
    scene.command("up", "--yes")
    scene.inside("dd if=/dev/zero of=/srv/large bs=1M", code=None)
    checked = scene.command("check", code=6)
    said = checked.words("FAIL", "disk")
    scene.inside("rm /srv/large")
    scene.works()
    scene.lab.limit()
    return "named", said


def reboots(scene: Scene) -> Ending:
    """A power cut at the first entry into each phase, once the bucket knows of it."""
    scene.lose()
    up = scene.begin("up", "--yes")
    instance = str(until(lambda: [m["InstanceId"] for m in scene.machines()], "a new one")[0])
    met = []
    for phase in PHASES:
        met.append(until(lambda p=phase: _in_phase(scene, instance, p), f"it is at {phase}"))
        scene.lab.reset()
    scene.finished(up)
    scene.works()
    runs = scene.report(instance)
    assert runs is not None
    hit = sum(state == "running" for state in met)
    assert hit, f"no cut came in the middle of a phase: {met}"
    cuts = f"{len(met)} power cuts, {hit} of them in the middle of their phase"
    return "survived", f"{cuts}; ready at run {runs.run}"


def _in_phase(scene: Scene, instance: str, phase: str) -> str:
    report = scene.report(instance)
    state = report.phase(phase).state if report and report.run else "waiting"
    return "" if state == "waiting" else state


def two_bootstraps(scene: Scene) -> Ending:
    said = scene.inside(f"{_PROGRAM} & a=$!; {_PROGRAM} & b=$!; wait $a && wait $b")
    line = next(line for line in said.splitlines() if "another run" in line)
    scene.works()
    return "survived", line


def second_host(scene: Scene) -> Ending:
    ec2, first = scene.client("ec2"), scene.machines()[0]
    user_data = ec2.describe_instance_attribute(
        InstanceId=first["InstanceId"], Attribute="userData"
    )["UserData"]["Value"]
    made = ec2.run_instances(
        ImageId=first["ImageId"], InstanceType=first["InstanceType"], MinCount=1, MaxCount=1,
        UserData=base64.b64decode(user_data).decode(),
        IamInstanceProfile={"Arn": first["IamInstanceProfile"]["Arn"]},
        NetworkInterfaces=[{"DeviceIndex": 0, "SubnetId": first["SubnetId"],
                            "Groups": [g["GroupId"] for g in first["SecurityGroups"]]}],
    )["Instances"][0]["InstanceId"]  # fmt: skip
    address = ec2.allocate_address(Domain="vpc")["AllocationId"]
    ec2.associate_address(AllocationId=address, InstanceId=made)
    try:
        said = waiting(scene, "another machine uses this database", but=str(first["InstanceId"]))
        scene.works()
    finally:
        ec2.terminate_instances(InstanceIds=[made])
        ec2.release_address(AllocationId=address)
    return "named", said


_SHORT = """
set -e
cd /var/lib/caddy/.local/share/caddy
pki=pki/authorities/local
crt=$(ls certificates/local/*/*.crt | grep -v localhost | head -n 1)
key=${crt%.crt}.key
openssl x509 -in $crt -noout -ext subjectAltName | tail -n 1 | \
  sed 's/IP Address:/IP:/g; s/^ */subjectAltName=critical,/' >/tmp/names
openssl req -new -key $key -subj / -out /tmp/csr
cat >/tmp/ca.conf <<X
[ca]
default_ca = all
[all]
database = /tmp/index
new_certs_dir = /tmp
serial = /tmp/serial
policy = any
default_md = sha256
copy_extensions = none
unique_subject = no
email_in_dn = no
[any]
X
: >/tmp/index; echo 1000 >/tmp/serial
at() { date -u -d "$1 min" +%Y%m%d%H%M%SZ; }
openssl ca -batch -config /tmp/ca.conf -startdate $(at -715) -enddate $(at +5) \
  -cert $pki/intermediate.crt -keyfile $pki/intermediate.key \
  -extfile /tmp/names -in /tmp/csr -out /tmp/leaf -notext
cat /tmp/leaf $pki/intermediate.crt >$crt
systemctl restart caddy
"""


def certificate_ends(scene: Scene) -> Ending:
    """Twelve hours old but for five minutes, as if the proxy had not renewed it all the time."""
    scene.inside(_SHORT)

    def hours() -> str:
        said = scene.inside(f"{_PROGRAM} --watch", code=None)
        found = re.search(r"the certificate is valid for ([\d.]+) hours", said)
        return found[0] if found and float(found[1]) > 6 else ""

    said = str(until(hours, "it is renewed"))
    scene.works()
    return "survived", said


def _server(scene: Scene) -> str:
    return scene.inside("systemctl show --property=MainPID --value mlflow")


def _cut_off(how: str) -> Callable[[Scene], Ending]:
    def act(scene: Scene) -> Ending:
        before = _server(scene)
        scene.lab.cut("rds", how)
        said = scene.command("check", code=6).words("FAIL", "next step:")
        scene.command("status", code=6)
        scene.lab.mend()
        scene.works()
        assert _server(scene) == before, "the server was not started anew for it"
        return "survived", said

    return act


def cut_off_bootstrap(scene: Scene) -> Ending:
    scene.lab.cut("rds", "drop")
    repair = scene.begin("repair")
    said = waiting(scene, "the database does not answer")
    scene.lab.mend()
    scene.finished(repair)
    scene.works()
    return "survived", said


def database_restarts(scene: Scene) -> Ending:
    scene.lab.restart_database(seconds_down=5.0)
    return "survived", scene.works().words("works for clients")


def slow_metadata(scene: Scene) -> Ending:
    scene.lab.slow_metadata(3.0)
    scene.inside("systemctl restart mlflow")
    return "survived", scene.works().words("works for clients")


def no_metadata(scene: Scene) -> Ending:
    scene.lab.cut("imds")
    scene.works()
    scene.inside("systemctl restart mlflow")
    until(lambda: "http.store-gone" in scene.command("check", code=None).text, "check names it")
    said = scene.command("check", code=6).words("artifact store", "http.store-gone")
    scene.lab.mend()
    scene.works()
    return "named", said


def killed(scene: Scene) -> Ending:
    scene.inside("pkill -9 -f provision[.]server; pkill -9 caddy")
    return "survived", scene.works().words("works for clients")


CASES: Final = (
    Case("late-database", f"RDS is not ready for {LATE_SECONDS / 60:.0f} minutes", late_database,
         needs_stack=False),
    Case("uploads-denied", "`s3:PutObject` is denied to a server that runs", uploads_denied),
    Case("clock", "AWS's clock and the machine's are 20 minutes apart", wrong_clock),
    Case("rds-dropped", "packets to RDS are dropped", _cut_off("drop")),
    Case("rds-refused", "connections to RDS are refused", _cut_off("refuse")),
    Case("rds-dropped-boot", "packets to RDS are dropped while the bootstrap works",
         cut_off_bootstrap),
    Case("rds-restarts", "RDS restarts, and is away for five seconds", database_restarts),
    Case("metadata-slow", "each answer of the metadata service takes three seconds", slow_metadata),
    Case("metadata-gone", "the metadata service is gone when the server starts", no_metadata),
    Case("certificate", "the certificate ends in five minutes", certificate_ends),
    Case("two-bootstraps", "two bootstraps at once", two_bootstraps),
    Case("second-host", "a second machine on the same database", second_host),
    Case("killed", "`kill -9` of server, workers and proxy", killed),
    Case("packages-away", "package sources are out of reach for a minute, at the first boot",
         packages_away),
    Case("program-denied", "`s3:GetObject` is denied at the first boot", program_denied),
    Case("secrets-denied", "Secrets Manager is denied at the first boot", secrets_denied),
    Case("reboots", f"the power fails in each of the {len(PHASES)} phases", reboots),
    Case("small-disk", "a disk that is too small, at the first boot", small_disk),
    Case("full-disk", "the disk is full while the server runs", full_disk),
)  # fmt: skip
