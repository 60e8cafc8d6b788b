"""Server settings from memory and cores: arithmetic, not taste.

All figures are proportional set sizes in MiB, measured with MLflow 3.17 on Python 3.11 under load;
`bench/results/server.md` holds the current ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from provision.errors import RefusedError

MIB = 1024 * 1024

FIRST_WORKER_MIB = 340
"""The parent process and the first worker, with room for what a day of use adds."""
NEXT_WORKER_MIB = 90
"""Each further worker: it shares the parent's pages, so only what it writes counts."""
JOB_RUNNER_MIB = 1150
"""MLflow's job runner: a runner and up to six queue consumers, each with MLflow imported."""
POSTGRES_MIB = 90
"""A private PostgreSQL before the first client, shared buffers included."""
CONNECTION_MIB = 6
"""One PostgreSQL connection in use."""
SYSTEM_MIB = 330
"""On a machine of AWS: Debian, the proxy, the SSM agent and apt's daily work, beside the server."""
SERVICE_MIB = 80
"""A model as a service on such a machine: the program in front of it, and what starts versions."""
MODEL_MIB = 600
"""Two versions of a scikit-learn model, as both are there while the new one takes over."""

THREADS = 8
OVERFLOW = 2
_SQLITE_WORKERS = 2
_ENGINES = 3  # MLflow opens one pool each for tracking, registry and, with auth on, for users
_BUDGET_FLOOR_MIB = 512
_BUDGET_CEILING_MIB = 1024
_MACHINE_SHARE = 0.8

Engine = Literal["sqlite", "postgres", "service"]
"""`service` is a PostgreSQL that runs elsewhere: its memory is not this machine's."""


@dataclass(frozen=True)
class Machine:
    """What this process may use: bytes of memory, and cores; a container's limits count."""

    memory: int
    cores: int


@dataclass(frozen=True)
class Wishes:
    """What the spec says about size; `None` means: work it out. `memory` in bytes.

    `alone`: the machine has nothing else to do, so all but `SYSTEM_MIB` is the server's, and the
    models', of which `models` is what they may use, in MiB.
    """

    engine: Engine
    memory: int | None = None
    workers: int | None = None
    threads: int | None = None
    job_runner: bool | None = None
    alone: bool = False
    models: int = 0


@dataclass(frozen=True)
class Sizing:
    """The settings that follow, with the memory they need and the budget they fit, in MiB."""

    workers: int
    threads: int
    pool_size: int
    max_overflow: int
    max_connections: int
    job_runner: bool
    needed_mib: int
    budget_mib: int

    def __str__(self) -> str:
        jobs = "with the job runner" if self.job_runner else "no job runner"
        return (
            f"{self.workers} worker{'s' if self.workers > 1 else ''} of {self.threads} threads, "
            f"{jobs}: needs {self.needed_mib} MiB of {self.budget_mib} MiB"
        )


def size(wishes: Wishes, machine: Machine) -> Sizing:
    """Work out workers, threads, database pool and job runner.

    Raises `RefusedError`, with the numbers, when the wishes do not fit the budget or the machine.
    """
    threads = wishes.threads or THREADS
    least = _needed(wishes.workers or 1, threads, wishes.engine, wishes.job_runner or False)
    budget = _budget(wishes, machine, least)
    if least > budget:
        raise _refusal(wishes, threads, least, budget)
    jobs = _job_runner(wishes, threads, budget)
    workers = wishes.workers or _workers(wishes.engine, threads, jobs, budget, machine.cores)
    return Sizing(
        workers=workers,
        threads=threads,
        pool_size=threads,
        max_overflow=OVERFLOW,
        max_connections=workers * _ENGINES * (threads + OVERFLOW) + 10,
        job_runner=jobs,
        needed_mib=_needed(workers, threads, wishes.engine, jobs),
        budget_mib=budget,
    )


def _needed(workers: int, threads: int, engine: Engine, jobs: bool) -> int:
    database = POSTGRES_MIB + workers * threads * CONNECTION_MIB if engine == "postgres" else 0
    runner = JOB_RUNNER_MIB if jobs else 0
    return FIRST_WORKER_MIB + (workers - 1) * NEXT_WORKER_MIB + database + runner


def _budget(wishes: Wishes, machine: Machine, least: int) -> int:
    """The written budget, or a quarter of the machine: more only if what was written needs it."""
    usable = max(int(machine.memory * _MACHINE_SHARE) // MIB - wishes.models, 0)
    if wishes.memory is not None:
        written = wishes.memory // MIB
        if written > usable:
            beside = f" beside {wishes.models} MiB for models" if wishes.models else ""
            raise RefusedError(
                f"server.memory asks for {written} MiB, but this machine has "
                f"{machine.memory // MIB} MiB, of which {usable} MiB may be used{beside}",
                next_step=f"set server.memory to at most {usable}MiB, or leave it on auto",
            )
        return written
    if wishes.alone:
        return max(min(machine.memory // MIB - SYSTEM_MIB - wishes.models, usable), 0)
    quarter = machine.memory // MIB // 4
    wanted = max(min(quarter, _BUDGET_CEILING_MIB), _BUDGET_FLOOR_MIB, least)
    return min(wanted, usable)


def _job_runner(wishes: Wishes, threads: int, budget: int) -> bool:
    if wishes.job_runner is not None:
        return wishes.job_runner
    return _needed(wishes.workers or 1, threads, wishes.engine, jobs=True) <= budget


def _workers(engine: Engine, threads: int, jobs: bool, budget: int, cores: int) -> int:
    # SQLite has one writer at a time: a second worker still gives half as much again
    # (docs/decisions/0002), further ones would mostly wait.
    limit = min(cores, _SQLITE_WORKERS) if engine == "sqlite" else cores
    workers = 1
    while workers < limit and _needed(workers + 1, threads, engine, jobs) <= budget:
        workers += 1
    return workers


def _refusal(wishes: Wishes, threads: int, least: int, budget: int) -> RefusedError:
    workers = wishes.workers or 1
    parts = [f"{workers} worker(s) {FIRST_WORKER_MIB + (workers - 1) * NEXT_WORKER_MIB} MiB"]
    if wishes.engine == "postgres":
        parts.append(f"PostgreSQL {POSTGRES_MIB + workers * threads * CONNECTION_MIB} MiB")
    if wishes.job_runner:
        parts.append(f"job runner {JOB_RUNNER_MIB} MiB")
    source = "server.memory allows" if wishes.memory is not None else "this machine allows"
    if wishes.models:
        source = f"beside {wishes.models} MiB for models {source}"
    return RefusedError(
        f"the server does not fit: {' + '.join(parts)} = {least} MiB, but {source} {budget} MiB",
        next_step=f"set server.memory to at least {least}MiB, or ask for less "
        "(fewer workers or threads, database.engine: sqlite, job_runner: false)",
    )
