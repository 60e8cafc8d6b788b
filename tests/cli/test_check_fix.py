"""`check --fix`: what is safe is mended, what is not is left to a person."""

from __future__ import annotations

import shutil

from tests.conftest import Cli


def test_what_up_mends_is_mended_and_looked_at_again(cli: Cli) -> None:
    cli.spec("name: churn\nscenario: none\n")
    cli.ok("up")
    shutil.rmtree(cli.root() / "data")
    broken = cli.run("check")
    assert (broken.returncode, "database.no-folder" in broken.stdout) == (6, True)
    mended = cli.run("check", "--fix")
    assert mended.returncode == 0, mended.stdout
    assert "mended by provision up" in mended.stderr
    assert cli.run("check").returncode == 0


def test_what_is_no_database_is_left_to_a_person(cli: Cli) -> None:
    cli.spec("name: churn\nscenario: none\n")
    cli.ok("up")
    (cli.root() / "data/mlflow.db").write_text("not a database, and perhaps somebody's file " * 99)
    left = cli.run("check", "--fix")
    assert (left.returncode, "database.not-sqlite" in left.stdout) == (6, True)
    assert "not a database" in (cli.root() / "data/mlflow.db").read_text()
