"""What a client hears while the database is away, before any handler of MLflow's is reached."""

from __future__ import annotations

import logging

import pytest
from flask import Flask
from sqlalchemy.exc import OperationalError

from provision.model import diagnosis
from provision.model.tracking import Answer
from provision.server import database_refusals

WORDS = 'connection to server at "db.rds.amazonaws.com" (10.0.0.9), port 5432 failed: refused'


def test_a_database_that_is_away_is_told_as_mlflow_does(caplog: pytest.LogCaptureFixture) -> None:
    app = Flask("mlflow")
    database_refusals.install(app)

    @app.before_request
    def who() -> None:
        raise OperationalError("SELECT 1", {}, Exception(WORDS))

    with caplog.at_level(logging.ERROR):
        answer = app.test_client().post("/api/2.0/mlflow/runs/search")
    assert answer.status_code == 503
    assert answer.json is not None
    assert answer.json["error_code"] == "TEMPORARILY_UNAVAILABLE"
    assert "failed: refused" in answer.json["message"]
    assert "rds.amazonaws.com" not in answer.json["message"]
    assert "rds.amazonaws.com" in caplog.text
    seen = Answer(answer.status_code, {}, answer.data)
    assert diagnosis.of_first_answer(seen, with_credentials=True) == "http.database-gone"
