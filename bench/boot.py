"""From a machine's first moment to a passing client check: our host against the common recipe.

Both boot the same Debian 12 in a lab of their own, in turn, with the same database, bucket and
packages from the lab's shelf. The recipe is what most guides say: `apt upgrade`, a virtual
environment, `pip install mlflow boto3 psycopg2-binary`, `mlflow server`; without HTTPS, accounts, a
role of its own in the database, or updates later. CPU is that of the machine's control group.

    python bench/boot.py [--rounds 3]
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import time
from collections.abc import Sequence
from datetime import datetime
from urllib.parse import quote

from common import machine_line, table, write
from machines import Group, Watch, World, client_works, until, world

from provision.emulator.lab import archive, image
from provision.emulator.lab.client import cache_folder
from provision.model.endpoint import Endpoint
from tests.lab.host import MLFLOW
from tests.lab.stack import NAME, Stack

Phases = dict[str, tuple[float, float]]

TARGET = 3.0  # times less CPU than the recipe
BEST = {"environment": 4.5, "database": 5.5, "service": 6.1}
"""The best that was measured before anything here was built, by a prototype: CPU seconds for the
Python environment, the tables, and the server's start."""
MARGIN = 1.2
_PATIENCE = 1200.0
RECIPE = """\
#cloud-config
locale: C.UTF-8
write_files:
- path: /srv/recipe.sh
  content: |
    set -e
    mark() {{ echo "$1 $(date +%s.%N)" >>/srv/marks; }}
    export DEBIAN_FRONTEND=noninteractive
    sed -i s,http://,https://, /etc/apt/mirrors/*.list
    mark boot
    apt-get -q update
    apt-get -q -y upgrade
    mark upgrade
    apt-get -q -y install --no-install-recommends python3-venv
    python3 -m venv /opt/mlflow
    /opt/mlflow/bin/pip install -q mlflow boto3 psycopg2-binary
    mark environment
    /opt/mlflow/bin/python /srv/database.py
    export AWS_DEFAULT_REGION=eu-west-1
    /opt/mlflow/bin/mlflow server --host 0.0.0.0 --port 443 --allowed-hosts '*' \\
      --artifacts-destination s3://{bucket}/artifacts \\
      --backend-store-uri "$(cat /srv/database)" >/srv/log 2>&1 &
- path: /srv/database
  content: "{server}/mlflow?sslmode=require"
- path: /srv/database.py
  content: |
    import psycopg2
    connection = psycopg2.connect("{server}/postgres?sslmode=require".replace("+psycopg2", ""))
    connection.autocommit = True
    connection.cursor().execute("create database mlflow")
runcmd:
- [bash, /srv/recipe.sh]
"""
PHASES = {
    "boot": "system and cloud-init, until it begins",
    "packages": "`apt upgrade`",
    "environment": "Python environment with MLflow",
    "database": "database: role, tables",
    "service": "server starts (recipe: with its tables)",
    "rest": "all else: HTTPS, accounts, settings, updates, checks",
    "client": "until a client's check has passed",
}


def measured(moments: Sequence[tuple[str, float]], watch: Watch) -> Phases:
    """Wall and CPU seconds for each phase; `moments` are their ends, the first one the start."""
    found: Phases = {}
    for (_, begin), (name, end) in itertools.pairwise(moments):
        wall, cpu = found.get(name, (0.0, 0.0))
        found[name] = wall + end - begin, cpu + watch.at(end) - watch.at(begin)
    return found


def passes(endpoint: Endpoint) -> float:
    return until(lambda: client_works(endpoint), "a client's check passes", _PATIENCE)


def from_recipe(place: World) -> Phases:
    """What its own marks tell; its tables are made while the server starts."""

    def text(bucket: str, _address: str) -> str:
        return RECIPE.format(bucket=bucket, server=_database(place))

    began = time.time()
    stack = place.boot(text)
    with Watch(Group(stack.instance)) as watch:
        end = passes(Endpoint(NAME, f"http://{stack.public_ip}:443", MLFLOW))
        time.sleep(0.2)
    marks = dict(
        line.split() for line in place.lab.run("machine", ["cat", "/srv/marks"]).out.splitlines()
    )
    names = {"boot": "boot", "upgrade": "packages", "environment": "environment"}
    moments = [(phase, float(marks[mark])) for mark, phase in names.items()]
    return measured([("", began), *moments, ("service", end)], watch)


def _database(place: World) -> str:
    """The admin's own account, as guides have it."""
    place.lab.look()
    rds = place.make.client("rds").describe_db_instances(DBInstanceIdentifier=NAME)
    found = rds["DBInstances"][0]
    secret = place.make.client("secretsmanager").get_secret_value(
        SecretId=found["MasterUserSecret"]["SecretArn"]
    )
    password = quote(json.loads(secret["SecretString"])["password"], safe="")
    return (
        f"postgresql+psycopg2://{found['MasterUsername']}:{password}@{found['Endpoint']['Address']}"
    )


def from_ours(place: World) -> Phases:
    """What its boot report tells."""
    began = time.time()
    stack = place.ours()
    with Watch(Group(stack.instance)) as watch:
        until(lambda: place.endpoint(stack) is not None, "it has written its keys", _PATIENCE)
        endpoint = place.endpoint(stack)
        assert endpoint is not None
        end = passes(endpoint)
        until(lambda: _state(place, stack) == "ready", "it is ready", _PATIENCE)
        time.sleep(0.2)
    report = place.report(stack)
    assert report is not None
    moments = [("", began), ("boot", _seconds(report.started_at))]
    for phase in report.phases:
        assert phase.started_at and phase.ended_at
        name = phase.name if phase.name in PHASES else "rest"
        moments += [("rest", _seconds(phase.started_at)), (name, _seconds(phase.ended_at))]
    last = moments[-1][1]
    return measured([*moments, ("client", max(end, last))], watch)


def _state(place: World, stack: Stack) -> str:
    report = place.report(stack)
    return report.state if report else ""


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()


STARTS = {"recipe": from_recipe, "ours": from_ours}


def medians(rounds: Sequence[Phases]) -> Phases:
    """For each phase, and for the whole."""
    return {
        name: (
            statistics.median(r.get(name, (0.0, 0.0))[0] for r in rounds),
            statistics.median(r.get(name, (0.0, 0.0))[1] for r in rounds),
        )
        for name in (*PHASES, "whole")
    }


def rows(found: dict[str, Phases]) -> list[list[str]]:
    recipe, ours = found["recipe"], found["ours"]
    shown = [[PHASES[n], *_cells(recipe[n]), *_cells(ours[n])] for n in PHASES]
    ratios = [f"{recipe['whole'][k] / ours['whole'][k]:.1f} times" for k in (0, 1)]
    whole = ["**boot to first passing check**", *_cells(recipe["whole"]), *_cells(ours["whole"])]
    return [*shown, whole, ["the recipe against ours", *ratios, "1", "1"]]


def _cells(value: tuple[float, float]) -> list[str]:
    return [f"{part:.1f}" if part else "" for part in value]


def against_best(ours: Phases) -> float:
    """Our CPU for what the prototype's best row measured, over that row's."""
    return sum(ours[name][1] for name in BEST) / sum(BEST.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    count = parser.parse_args().rounds
    cache = cache_folder(os.environ)
    archive.fill(
        cache / "shelf", image.prepare(cache, print), print, [*archive.PACKAGES, "python3-venv"]
    )
    taken: dict[str, list[Phases]] = {name: [] for name in STARTS}
    for _ in range(count):
        for name, start in STARTS.items():
            with world() as place:
                phases = start(place)
            phases["whole"] = sum(w for w, _ in phases.values()), sum(c for _, c in phases.values())
            print(name, {k: (round(w, 1), round(c, 1)) for k, (w, c) in phases.items()})
            taken[name].append(phases)
    found = {name: medians(rounds) for name, rounds in taken.items()}
    ratio = found["recipe"]["whole"][1] / found["ours"]["whole"][1]
    best = against_best(found["ours"])
    counted = f"Medians of {count} boots each," if count > 1 else "One boot each,"
    head = ["phase", "recipe: s", "CPU s", "provision: s", "CPU s"]
    text = (
        "# From a machine's first moment to a passing client check\n\n"
        f"{machine_line()}. {counted} in turn, every one a new machine, "
        "database and bucket. Packages come from the lab's shelf at the speed of a local disk, "
        "and the image is of this month: a real network and an older image make the recipe's "
        f"share larger. Targets: the recipe's CPU at least {TARGET:.0f} times ours; ours for "
        f"environment, tables and start at most {MARGIN} times the {sum(BEST.values()):.1f} s of "
        f"the best prototype: {best:.2f} times.\n\n" + table(head, rows(found)) + "\n"
    )
    write("boot", text, {"taken": taken, "medians": found, "ratio": ratio, "best": best})


if __name__ == "__main__":
    main()
