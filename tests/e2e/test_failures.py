"""What goes wrong on a real machine: each time a cause, a next step, an exit code, nothing lost."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from provision.adapters.processes import marked
from tests.conftest import Cli

pytestmark = pytest.mark.slow


def on_small_disk(
    cli: Cli, script: str, *, options: str = "size=4m"
) -> subprocess.CompletedProcess[str]:
    """Run a shell script in a mount namespace where `disk/` is a file system of its own."""
    disk = cli.folder / "disk"
    disk.mkdir(exist_ok=True)
    as_root = [] if os.geteuid() == 0 else ["--map-root-user"]
    program = f'set -e; mount -t tmpfs -o {options} tmpfs "$PWD/disk"; {script}'
    return subprocess.run(
        ["unshare", *as_root, "--mount", "sh", "-c", program],
        cwd=cli.folder, env=cli.env(), capture_output=True, text=True, check=False, timeout=180,
    )  # fmt: skip


def up_command(cli: Cli, *arguments: str) -> str:
    return " ".join(cli.command("up", *arguments))


def explained(done: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert "next step:" in done.stderr
    for word in words:
        assert word in done.stderr, f"{word!r} not in {done.stderr}"


def test_a_disk_with_no_room_is_named_before_anything_starts(cli: Cli, port: int) -> None:
    cli.spec(f"server:\n  port: {port}\n")
    done = on_small_disk(cli, up_command(cli, "--state-dir", "disk/state"))
    explained(done, 5, "are free on the disk", "MiB")


def test_a_full_disk_is_named(cli: Cli, port: int) -> None:
    cli.spec(f"server:\n  port: {port}\n")
    fill = "dd if=/dev/zero of=disk/ballast bs=64k 2>/dev/null || true; "
    done = on_small_disk(cli, fill + up_command(cli, "--state-dir", "disk/state"))
    explained(done, 5, "disk")


def test_a_disk_that_fills_later_loses_nothing_and_is_named_by_the_check(
    cli: Cli, port: int
) -> None:
    cli.spec(f"name: churn\nserver:\n  port: {port}\n")
    program = " ".join(cli.command())
    state = "--state-dir disk/state"
    script = (
        f"{program} up -q {state}; dd if=/dev/zero of=disk/ballast bs=64k 2>/dev/null || true; "
        f"{program} check {state} && exit 90; echo code=$?; rm disk/ballast; "
        f"{program} check {state}; {program} down -q {state}"
    )
    done = on_small_disk(cli, script, options="size=300m")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "code=6" in done.stdout
    assert "FAIL" in done.stdout
    assert "works for clients" in done.stdout


def test_a_folder_that_cannot_be_written_is_named(cli: Cli, port: int) -> None:
    cli.spec(f"server:\n  port: {port}\n")
    done = on_small_disk(cli, up_command(cli, "--state-dir", "disk/state"), options="ro")
    explained(done, 5, "not writable", "--state-dir")


def damaged(path: Path) -> None:
    content = bytearray(path.read_bytes())
    for page in range(1, len(content) // 4096):
        content[page * 4096 : page * 4096 + 512] = b"\xff" * 512
    path.write_bytes(content)


@pytest.fixture
def stopped(cli: Cli, port: int) -> Path:
    """The SQLite file of a stack that ran and was stopped."""
    cli.spec(f"name: churn\nserver:\n  port: {port}\n")
    cli.ok("up")
    cli.ok("down")
    return cli.root() / "data/mlflow.db"


def test_a_damaged_database_is_refused_and_kept(cli: Cli, stopped: Path) -> None:
    damaged(stopped)
    before = stopped.read_bytes()
    explained(cli.run("up"), 4, str(stopped), "damaged")
    assert stopped.read_bytes() == before
    assert marked(cli.root()) == []


def test_a_database_of_a_newer_mlflow_is_refused_and_kept(cli: Cli, stopped: Path) -> None:
    with closing(sqlite3.connect(stopped)) as database, database:
        database.execute("UPDATE alembic_version SET version_num = 'fedcba987654'")
    explained(cli.run("up"), 4, "newer")
    assert marked(cli.root()) == []


OLDER = """
import sys
from sqlalchemy import create_engine
from mlflow.store.db.utils import _get_alembic_config
from mlflow.store.tracking.dbmodels.initial_models import Base
from alembic import command
url = "sqlite:///" + sys.argv[1]
engine = create_engine(url)
Base.metadata.create_all(engine)
config = _get_alembic_config(url)
with engine.begin() as connection:
    config.attributes["connection"] = connection
    command.upgrade(config, sys.argv[2])
"""


def test_a_database_of_an_older_mlflow_is_migrated_on_request_after_a_backup(
    cli: Cli, stopped: Path
) -> None:
    stopped.unlink()
    revision = "cc1f77228345"  # MLflow 1.27's schema
    subprocess.run(
        [sys.executable, "-c", OLDER, stopped, revision], check=True, capture_output=True
    )
    with closing(sqlite3.connect(stopped)) as database, database:
        database.execute(
            "INSERT INTO experiments(experiment_id, name, artifact_location, lifecycle_stage)"
            " VALUES (7, 'of long ago', 'mlflow-artifacts:/7', 'active')"
        )
    explained(cli.run("up"), 4, "older", "provision up --upgrade-database")
    assert not list((cli.root() / "backups").iterdir())

    cli.ok("up", "--upgrade-database")
    (backup,) = (cli.root() / "backups").iterdir()
    with closing(sqlite3.connect(backup)) as old:
        assert old.execute("SELECT version_num FROM alembic_version").fetchone() == (revision,)
    with closing(sqlite3.connect(stopped)) as new:
        names = [name for (name,) in new.execute("SELECT name FROM experiments")]
    assert "of long ago" in names
    cli.ok("check")


def test_postgres_without_binaries_says_what_to_install(cli: Cli, port: int) -> None:
    """In a root of its own where no PostgreSQL is: the folders that hold it are covered."""
    cli.spec(f"server:\n  port: {port}\ndatabase:\n  engine: postgres\n")
    places = "/usr/lib/postgresql /usr/pgsql-* /usr/local/pgsql"
    cover = f"for d in {places}; do [ ! -d $d ] || mount -t tmpfs tmpfs $d; done; "
    cli.environment["PATH"] = "/usr/bin:/bin"
    done = on_small_disk(cli, cover + up_command(cli))
    explained(done, 5, "no PostgreSQL server is installed", "apt-get install postgresql")


def test_a_server_that_does_not_fit_is_refused_with_the_numbers(cli: Cli, port: int) -> None:
    cli.spec(f"server:\n  port: {port}\n  memory: 300MiB\n  workers: 4\n")
    explained(cli.run("up"), 4, "4 worker(s)", "MiB", "server.memory")


def test_a_spec_with_many_mistakes_is_answered_once_with_all(cli: Cli) -> None:
    cli.spec("nmae: x\nserver:\n  prot: 5000\n  memory: lots\ntarget: lokal\n")
    done = cli.run("up")
    explained(done, 2, "provision.yaml:1", "provision.yaml:3", "provision.yaml:4", "did you mean")
    assert not (cli.folder / ".provision").exists()


def test_a_target_of_a_later_rung_is_refused_plainly(cli: Cli) -> None:
    cli.spec("name: churn\ntarget: aws\n")
    explained(cli.run("up"), 5, "aws")


def test_another_database_engine_is_refused_while_runs_are_in_the_old_one(
    cli: Cli, stopped: Path
) -> None:
    spec = cli.folder / "provision.yaml"
    spec.write_text(spec.read_text() + "database:\n  engine: postgres\n")
    explained(cli.run("up"), 4, "are in sqlite", "database.engine: sqlite")
    assert stopped.exists()


def test_artifacts_move_only_when_the_user_moves_them(cli: Cli, stopped: Path) -> None:
    spec = cli.folder / "provision.yaml"
    old = cli.root() / "artifacts"
    (old / "1").mkdir(exist_ok=True)
    spec.write_text(spec.read_text() + "artifacts:\n  path: elsewhere\n")
    explained(cli.run("up"), 4, str(old), "elsewhere/churn")
    (cli.folder / "elsewhere").mkdir()
    old.rename(cli.folder / "elsewhere/churn")
    cli.ok("up")


def test_deleting_a_stack_spares_its_neighbours_in_the_artifact_folder(cli: Cli, port: int) -> None:
    shared = cli.folder / "shared"
    shared.mkdir(mode=0o755)
    (shared / "thesis.txt").write_text("three years of work")
    cli.spec(f"name: churn\nserver:\n  port: {port}\nartifacts:\n  path: shared\n")
    cli.ok("up")
    cli.ok("down", "--delete-data", "--yes")
    assert (shared / "thesis.txt").read_text() == "three years of work"
    assert shared.stat().st_mode & 0o777 == 0o755
    assert not (shared / "churn").exists()


def test_a_stack_is_found_through_a_symbolic_link(cli: Cli, port: int) -> None:
    cli.spec(f"server:\n  port: {port}\n")
    cli.ok("up")
    link = cli.folder.parent / "link"
    link.symlink_to(cli.folder)
    arguments = ("--state-dir", str(link / ".provision"), "-f", str(cli.folder / "provision.yaml"))
    assert Cli(link).json("status", *arguments)["state"] == "running"
