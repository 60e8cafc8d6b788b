"""Sizing is arithmetic: what fits is worked out, what cannot fit is refused with the numbers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provision.errors import RefusedError
from provision.model import sizing
from provision.model.sizing import MIB, SYSTEM_MIB, Machine, Sizing, Wishes, size

GIB = 1024 * MIB


def of(engine: sizing.Engine = "sqlite", *, memory: int = 24 * GIB, cores: int = 2) -> Sizing:
    return size(Wishes(engine), Machine(memory, cores))


def test_sqlite_gets_two_workers_however_many_cores_there_are() -> None:
    assert of("sqlite", cores=64).workers == 2
    assert of("sqlite", cores=1).workers == 1


def test_postgres_gets_a_worker_per_core_while_memory_lasts() -> None:
    assert of("postgres", cores=2).workers == 2
    assert of("postgres", cores=64, memory=64 * GIB).workers < 64


def test_a_small_machine_gets_one_worker() -> None:
    assert of("postgres", memory=1 * GIB, cores=2).workers == 1


def test_the_job_runner_starts_only_where_its_gigabyte_fits() -> None:
    assert not of().job_runner
    assert size(Wishes("sqlite", memory=2 * GIB), Machine(24 * GIB, 2)).job_runner


def test_a_written_job_runner_raises_the_automatic_budget() -> None:
    result = size(Wishes("sqlite", job_runner=True), Machine(24 * GIB, 2))
    assert result.job_runner
    assert result.budget_mib >= result.needed_mib


def test_what_does_not_fit_is_refused_with_the_sum() -> None:
    with pytest.raises(RefusedError) as refused:
        size(Wishes("postgres", memory=256 * MIB, workers=4), Machine(24 * GIB, 2))
    assert "256 MiB" in refused.value.message
    assert "4 worker(s)" in refused.value.message
    assert "PostgreSQL" in refused.value.message
    assert "MiB" in refused.value.next_step


def test_a_budget_beyond_the_machine_is_refused() -> None:
    with pytest.raises(RefusedError, match="this machine has 1024 MiB"):
        size(Wishes("sqlite", memory=2 * GIB), Machine(1 * GIB, 2))


def test_the_refusal_names_a_memory_that_is_then_accepted() -> None:
    with pytest.raises(RefusedError) as refused:
        size(Wishes("postgres", memory=128 * MIB), Machine(24 * GIB, 2))
    named = int(refused.value.next_step.split("at least ")[1].split("MiB")[0])
    assert size(Wishes("postgres", memory=named * MIB), Machine(24 * GIB, 2)).workers == 1


@given(
    engine=st.sampled_from(["sqlite", "postgres"]),
    memory=st.integers(64 * MIB, 512 * GIB),
    cores=st.integers(1, 128),
    workers=st.none() | st.integers(1, 64),
    threads=st.none() | st.integers(1, 64),
    jobs=st.none() | st.booleans(),
    budget=st.none() | st.integers(1 * MIB, 600 * GIB),
)
def test_a_sizing_fits_or_is_refused(
    engine: sizing.Engine,
    memory: int,
    cores: int,
    workers: int | None,
    threads: int | None,
    jobs: bool | None,
    budget: int | None,
) -> None:
    machine = Machine(memory, cores)
    try:
        result = size(Wishes(engine, budget, workers, threads, jobs), machine)
    except RefusedError as refused:
        assert "MiB" in refused.message and refused.next_step
        return
    assert result.needed_mib <= result.budget_mib <= machine.memory // MIB
    assert result.workers >= 1 and result.pool_size == result.threads
    assert result.max_connections > result.workers * result.threads


@pytest.mark.parametrize(("mib", "workers"), [(952, 2), (1904, 2), (700, 1)])
def test_a_machine_with_nothing_else_to_do_is_used_but_for_its_system(
    mib: int, workers: int
) -> None:
    found = size(Wishes("service", job_runner=False, alone=True), Machine(mib * MIB, 2))
    assert found.workers == workers
    assert found.needed_mib + SYSTEM_MIB <= mib


def test_a_machine_without_room_for_one_worker_is_refused() -> None:
    with pytest.raises(RefusedError, match="340 MiB, but this machine allows 146"):
        size(Wishes("service", alone=True), Machine(476 * MIB, 2))
