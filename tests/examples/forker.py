"""Runs Python programs one after another, each in a fork of an interpreter that has MLflow loaded.

`python -m tests.examples.forker`: each line of the input is a JSON object with `argv` (a script, or
`-m` and a module), `cwd`, `environment` and `output` (a file); each line of the answer is the exit
code. Importing MLflow and scikit-learn takes about four seconds of CPU, which is spent once here
instead of once per example; what a fork changes (autolog, the active experiment) ends with it.
"""

from __future__ import annotations

import json
import os
import runpy
import sys
from pathlib import Path


def preload() -> None:
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot
    import sklearn.datasets
    import sklearn.ensemble
    import sklearn.linear_model
    import sklearn.model_selection  # noqa: F401
    import skops.io  # noqa: F401


def become(task: dict[str, object]) -> None:
    """In the fork: be the program that the task names."""
    output = os.open(str(task["output"]), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(output, stream)
    os.chdir(str(task["cwd"]))
    os.environ.clear()
    os.environ.update(task["environment"])  # type: ignore[call-overload]
    argv = task["argv"]
    assert isinstance(argv, list)
    if argv[0] == "-m":
        sys.argv = argv[1:]
        runpy.run_module(argv[1], run_name="__main__", alter_sys=True)
        return
    sys.argv = argv
    sys.path[0] = str(Path(argv[0]).resolve().parent)
    runpy.run_path(argv[0], run_name="__main__")


def main() -> None:
    preload()
    # The tasks come by a descriptor of their own: a fork must not read those of others.
    tasks = os.fdopen(os.dup(0))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for line in iter(tasks.readline, ""):
        child = os.fork()
        if child == 0:
            become(json.loads(line))
            return
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
