import math
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable

from optimizers.training.store import MOST_POINTS, STALE, Run, Store

CONFIG = {"racers": ["adam", "momentum"], "data": "shapes10"}


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'new folder' / 'runs.sqlite'}"


@pytest.fixture
def store(url: str) -> Store:
    return Store(url)


def point(racer: int, step: int, loss: float) -> dict[str, float]:
    return {
        "racer": racer,
        "step": step,
        "examples": 32 * step,
        "seconds": 0.1,
        "loss": loss,
        "accuracy": 0.25,
    }


def test_a_page_reads_what_a_worker_wrote_once_and_in_order(store: Store) -> None:
    run_id, other = store.create(CONFIG), store.create(CONFIG)
    store.write(run_id, [point(0, 1, 2.5), point(1, 1, math.nan)], state="running", device="cpu")
    store.write(other, [point(0, 1, 9.0)])
    store.write(
        run_id, [point(0, 2, math.inf)], [{"racer": 1, "step": 2, "epoch": 1, "loss": 0.5, "accuracy": 0.75}]
    )

    first = store.news(run_id)
    np.testing.assert_array_equal(
        first.points, [[0, 1, 2.5, 0.25], [1, 1, math.nan, 0.25], [0, 2, math.inf, 0.25]]
    )
    np.testing.assert_array_equal(first.evaluations, [[1, 2, 0.5, 0.75]])
    assert len(store.news(run_id, first.mark).points) == 0
    store.write(run_id, [point(0, 3, 1.0)])
    np.testing.assert_array_equal(store.news(run_id, first.mark).points, [[0, 3, 1.0, 0.25]])

    run = store.get(run_id)
    assert run is not None
    assert (run.state, run.device, run.config) == ("running", "cpu", CONFIG)
    assert [run.id for run in store.recent()] == [other, run_id]
    assert store.get("0000") is None


def test_a_very_long_run_is_thinned_to_its_first_its_last_and_every_kth_point(store: Store) -> None:
    run_id = store.create(CONFIG)
    total = 2 * MOST_POINTS + 10
    store.write(run_id, [point(0, step, 2.5) for step in range(1, total + 1)])
    store.write(run_id, [point(1, step, 2.5) for step in range(1, MOST_POINTS + 1)])
    news = store.news(run_id)
    long, short = (news.points[news.points[:, 0] == racer, 1] for racer in (0, 1))
    np.testing.assert_array_equal(long, [1, *range(1 + (total - 1) % 3, total + 1, 3)])
    np.testing.assert_array_equal(short, range(1, MOST_POINTS + 1))
    assert len(store.news(run_id, news.mark).points) == 0


def test_active_runs_are_those_that_wait_or_train_with_a_living_process(store: Store) -> None:
    waiting, training, finished, silent = (store.create(CONFIG) for _ in range(4))
    store.change(training, state="running")
    store.change(finished, state="finished")
    store.change(silent, state="running", heartbeat=time.time() - 2 * STALE)
    assert [run.id for run in store.active()] == [training, waiting]


def test_a_page_can_read_while_a_worker_is_writing(store: Store, url: str) -> None:
    run_id = store.create(CONFIG)
    with sqlite3.connect(url.removeprefix("sqlite:///")) as writer:
        assert writer.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("UPDATE runs SET step = 7")
        began = time.monotonic()
        run = store.get(run_id)
        assert run is not None
        assert run.step == 0
        assert time.monotonic() - began < 1
        writer.rollback()


def test_another_process_writes_and_none_of_it_is_lost(store: Store, url: str) -> None:
    run_id = store.create(CONFIG)
    program = f"""
from optimizers.training.store import Store
store = Store({url!r})
for step in range(200):
    row = dict(step=step, examples=0, seconds=0.0, loss=1.0, accuracy=0.5)
    store.write({run_id!r}, [dict(row, racer=0), dict(row, racer=1)], step=step)
store.change({run_id!r}, state="finished")
"""
    with subprocess.Popen([sys.executable, "-c", program]) as worker:
        mark, seen, over = (0, 0), [], False
        while not over:
            over = worker.poll() is not None  # one more look after its end
            news = store.news(run_id, mark)
            mark = news.mark
            seen += [tuple(row) for row in news.points[:, :2].astype(int).tolist()]
    assert worker.returncode == 0
    assert seen == [(racer, step) for step in range(200) for racer in (0, 1)]


def test_a_run_whose_process_is_silent_is_told_as_interrupted(store: Store) -> None:
    silent, finished = store.create(CONFIG), store.create(CONFIG)
    for run_id in (silent, finished):
        assert store.claim(run_id)
    store.change(finished, state="finished", heartbeat=time.time() - 2 * STALE)
    store.change(silent, state="running", heartbeat=time.time() - STALE / 2)
    assert state(store, silent) == "running"
    store.change(silent, heartbeat=time.time() - 2 * STALE)
    assert state(store, silent) == "interrupted"
    assert state(store, finished) == "finished"
    store.write(silent)  # it was only the machine that slept: it beats again
    assert state(store, silent) == "running"


def test_a_run_is_begun_once_and_stops_while_it_waits(store: Store) -> None:
    begun, waiting = store.create(CONFIG), store.create(CONFIG)
    assert store.claim(begun)
    assert not store.claim(begun)
    store.interrupt(begun)
    assert state(store, begun) == "interrupted"

    store.request_stop(waiting)
    assert state(store, waiting) == "stopped"
    assert not store.claim(waiting)
    store.interrupt(waiting)
    assert state(store, waiting) == "stopped"


def test_a_stop_reaches_the_worker_with_its_next_write(store: Store) -> None:
    run_id = store.create(CONFIG)
    store.claim(run_id)
    assert store.write(run_id) is False
    store.request_stop(run_id)
    assert store.write(run_id) is True
    assert store.stop_requested(run_id)
    assert state(store, run_id) == "starting"  # the worker says when it has stopped


def test_postgresql_takes_the_same_tables() -> None:
    for table in Run.metadata.sorted_tables:
        text = str(CreateTable(table, if_not_exists=True).compile(dialect=postgresql.dialect()))
        assert text.strip().startswith(f"CREATE TABLE IF NOT EXISTS {table.name}")
        for index in table.indexes:
            assert CreateIndex(index, if_not_exists=True).compile(dialect=postgresql.dialect())


def state(store: Store, run_id: str) -> str:
    run = store.get(run_id)
    assert run is not None
    return run.state
