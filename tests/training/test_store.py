import math
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import create_engine

from optimizers.training import store as store_module
from optimizers.training.store import (
    MOST_INSIDES,
    MOST_POINTS,
    STALE,
    InsideRow,
    LookRow,
    PictureRow,
    Run,
    SharpnessRow,
    Store,
    TakenOverError,
)

CONFIG = {"racers": ["adam", "momentum"], "data": "shapes10"}


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    store = Store(url)
    yield store
    store.close()


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
        first.points[:, :5], [[0, 1, 2.5, 0.25, 0], [1, 1, math.nan, 0.25, 0], [0, 2, math.inf, 0.25, 0]]
    )
    np.testing.assert_array_equal(first.points[:, 5:], [[32, 0.1], [32, 0.1], [64, 0.1]])
    np.testing.assert_array_equal(first.evaluations, [[1, 2, 0.5, 0.75, 0]])
    assert len(store.news(run_id, first.mark).points) == 0
    store.write(run_id, [point(0, 3, 1.0)])
    np.testing.assert_array_equal(store.news(run_id, first.mark).points[:, :5], [[0, 3, 1.0, 0.25, 0]])

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


class Clock:
    """In place of `time`: both of its clocks go only where a test puts them."""

    def __init__(self) -> None:
        self.wall, self.steady = 1e9, 100.0

    def time(self) -> float:
        return self.wall

    def monotonic(self) -> float:
        return self.steady


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(store_module, "time", clock)
    return clock


def test_active_runs_are_those_that_wait_or_train_with_a_living_process(store: Store, clock: Clock) -> None:
    waiting, training, finished, silent = (store.create(CONFIG) for _ in range(4))
    store.change(training, state="running")
    store.change(finished, state="finished")
    store.change(silent, state="running")
    assert {run.id for run in store.active()} == {training, waiting, silent}
    clock.steady += STALE + 1
    store.write(training)
    assert {run.id for run in store.active()} == {training, waiting}


def test_a_page_can_read_while_a_worker_is_writing(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'runs.sqlite'}")
    run_id = store.create(CONFIG)
    with sqlite3.connect(tmp_path / "runs.sqlite") as writer:
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


def test_a_run_that_ceases_to_beat_is_told_as_interrupted(store: Store, clock: Clock) -> None:
    silent, finished = store.create(CONFIG), store.create(CONFIG)
    for run_id in (silent, finished):
        assert store.claim(run_id)
    store.change(finished, state="finished")
    store.change(silent, state="running")
    assert state(store, silent) == "running"
    clock.steady += STALE - 1
    assert state(store, silent) == "running"
    clock.steady += 2
    assert state(store, silent) == "interrupted"
    assert state(store, finished) == "finished"
    store.write(silent)  # it was only the machine that slept: it beats again
    assert state(store, silent) == "running"


@pytest.mark.parametrize("jump", [-1e7, -STALE, STALE, 1e7])
def test_a_clock_that_jumps_interrupts_no_run_and_keeps_none_alive(
    store: Store, clock: Clock, jump: float
) -> None:
    living, silent = store.create(CONFIG), store.create(CONFIG)
    for run_id in (living, silent):
        store.claim(run_id)
        store.write(run_id, state="running")
        assert state(store, run_id) == "running"
    clock.wall += jump
    assert (state(store, living), state(store, silent)) == ("running", "running")
    for _ in range(5):
        clock.steady += STALE / 4
        store.write(living)
        assert state(store, living) == "running"
    assert state(store, silent) == "interrupted"


def test_a_run_is_begun_once_and_stops_while_it_waits(store: Store) -> None:
    begun, waiting, paused = (store.create(CONFIG, owner="here") for _ in range(3))
    assert store.claim(begun, "another cluster") is None
    assert store.claim(begun, "here") == (1, False)
    assert store.claim(begun, "here") == (2, True)  # its process is gone, and the cluster tries again
    store.interrupt(begun, "another cluster")
    assert state(store, begun) == "starting"
    store.interrupt(begun, "here")
    assert state(store, begun) == "interrupted"
    assert store.claim(begun, "here") is None

    store.request_stop(waiting)
    assert state(store, waiting) == "stopped"
    assert store.claim(waiting, "here") is None
    store.interrupt(waiting, "here")
    assert state(store, waiting) == "stopped"
    store.request_pause(paused)
    assert state(store, paused) == "paused"


def test_a_later_attempt_shuts_out_an_earlier_one(store: Store) -> None:
    run_id = store.create(CONFIG, owner="first")
    earlier = store.claim(run_id, "first")
    assert earlier is not None
    store.write(run_id, [point(0, 1, 2.5)], attempt=earlier.attempt, state="running")
    store.interrupt(run_id, "first")
    assert store.requeue(read(store, run_id), "second")
    assert store.claim(run_id, "first") is None
    later = store.claim(run_id, "second")
    assert later is not None
    with pytest.raises(TakenOverError):
        store.write(run_id, [point(0, 2, 2.5)], attempt=earlier.attempt)
    store.write(run_id, [point(0, 2, 1.5)], attempt=later.attempt)
    np.testing.assert_array_equal(store.news(run_id).points[:, 1:3], [[1, 2.5], [2, 1.5]])


def test_a_run_goes_on_only_from_rest_and_forgets_what_it_measures_anew(store: Store, clock: Clock) -> None:
    run_id = store.create(CONFIG)
    store.claim(run_id)
    store.write(run_id, [point(0, step, 2.5) for step in range(1, 9)], state="running")
    assert not store.requeue(read(store, run_id), "me")  # it trains
    clock.steady += STALE + 1
    silent = read(store, run_id)
    assert silent.state == "interrupted"
    store.write(run_id)  # but it beats again, before the press arrives
    assert not store.requeue(silent, "me")
    assert not store.delete(silent)
    store.request_stop(run_id)
    store.change(run_id, state="stopped")
    assert store.requeue(read(store, run_id), "me")
    run = read(store, run_id)
    assert (run.state, run.stop_requested) == ("queued", False)
    store.write(run_id, [point(0, 6, 1.5)], rewind=5)
    np.testing.assert_array_equal(store.news(run_id).points[:, 1], [1, 2, 3, 4, 5, 6])


def test_a_deleted_run_leaves_nothing_and_its_process_is_told(store: Store) -> None:
    run_id, other = store.create(CONFIG), store.create(CONFIG)
    evaluation = {"racer": 0, "step": 1, "epoch": 1, "loss": 0.5, "accuracy": 0.75}
    for one in (run_id, other):
        store.write(one, [point(0, 1, 2.5)], [evaluation], state="finished")
    assert store.best([run_id, other]) == {run_id: 0.75, other: 0.75}
    assert store.delete(read(store, run_id))
    assert store.get(run_id) is None
    assert [len(rows) for rows in store.rows(run_id)] == [0, 0]
    assert [len(rows) for rows in store.rows(other)] == [1, 1]
    with pytest.raises(TakenOverError):
        store.write(run_id)


OLD = """
CREATE TABLE runs (id VARCHAR NOT NULL PRIMARY KEY, created FLOAT NOT NULL, config JSON NOT NULL,
  state VARCHAR NOT NULL, message VARCHAR NOT NULL, device VARCHAR NOT NULL, device_name VARCHAR NOT NULL,
  precision VARCHAR NOT NULL, data_note VARCHAR NOT NULL, parameters INTEGER NOT NULL,
  steps_per_epoch INTEGER NOT NULL, total_steps INTEGER NOT NULL, step INTEGER NOT NULL,
  seconds FLOAT NOT NULL, seconds_left FLOAT, samples_per_second FLOAT, diverged JSON NOT NULL, summary JSON,
  heartbeat FLOAT NOT NULL, stop_requested BOOLEAN NOT NULL);
CREATE TABLE points (id {serial} PRIMARY KEY, run_id VARCHAR NOT NULL REFERENCES runs (id),
  racer INTEGER NOT NULL, step INTEGER NOT NULL, examples INTEGER NOT NULL, seconds FLOAT NOT NULL,
  loss FLOAT, accuracy FLOAT);
INSERT INTO runs VALUES ('1f2e3d4c', 5.0, '{config}', 'finished', '', 'cpu', '', 'fp32', '', 7, 10, 10, 10,
  3.0, 0.0, 99.0, '{{}}', NULL, 6.0, {no});
INSERT INTO points (run_id, racer, step, examples, seconds, loss, accuracy)
  VALUES ('1f2e3d4c', 1, 10, 320, 3.0, 2.5, 0.25)
"""  # as version 0.1 made them


def test_a_database_of_an_older_version_is_upgraded_in_place(url: str, tmp_path: Path) -> None:
    (tmp_path / "new folder").mkdir(exist_ok=True)
    engine = create_engine(url)
    sqlite = engine.dialect.name == "sqlite"
    words = {"serial": "INTEGER" if sqlite else "SERIAL", "no": "0" if sqlite else "false"}
    with engine.begin() as connection:
        for statement in OLD.format(config='{"racers": ["adam"]}', **words).split(";"):
            connection.exec_driver_sql(statement)
    engine.dispose()
    with ThreadPoolExecutor(4) as pool:  # as several processes do, all at once
        first, *others = pool.map(Store, [url] * 4)
    run = read(first, "1f2e3d4c")
    assert (run.state, run.step, run.name, run.attempt, run.kept_step) == ("finished", 10, "", 0, None)
    np.testing.assert_array_equal(first.news(run.id).points[:, :5], [[1, 10, 2.5, 0.25, 0]])
    first.write(run.id, [point(0, 20, 1.5) | {"seed": 2}], name="the old one")
    np.testing.assert_array_equal(others[0].news(run.id).points[1, :5], [0, 20, 1.5, 0.25, 2])
    assert read(others[0], first.create(CONFIG)).state == "queued"
    for store in (first, *others):
        store.close()


def test_a_stop_reaches_the_worker_with_its_next_write(store: Store) -> None:
    run_id = store.create(CONFIG)
    store.claim(run_id)
    assert store.write(run_id) is False
    store.request_stop(run_id)
    assert store.write(run_id) is True
    assert store.stop_requested(run_id)
    assert state(store, run_id) == "starting"  # the worker says when it has stopped


def read(store: Store, run_id: str) -> Run:
    run = store.get(run_id)
    assert run is not None
    return run


def state(store: Store, run_id: str) -> str:
    return read(store, run_id).state


INSIDE = dict.fromkeys(
    ("effective_low", "effective_median", "effective_high", "ratio", "gradient", "distance"), 0.5
)


def inside(racer: int, step: int, layer: int) -> dict[str, float]:
    own = {"racer": racer, "seed": 0, "step": step, "layer": layer, "cosine": -0.25, "under_eps": math.nan}
    return INSIDE | own


def test_what_lies_inside_is_read_once_thinned_by_layer_and_forgotten_beyond_a_checkpoint(
    store: Store,
) -> None:
    run_id = store.create(CONFIG)
    sharp = {"racer": 1, "seed": 0, "step": 2, "raw": 3.5, "preconditioned": math.nan, "bound": 20.0}
    store.write(run_id, more={InsideRow: [inside(0, 1, -1), inside(0, 1, 0)], SharpnessRow: [sharp]})
    first = store.inside(run_id)
    assert first.insides[:, :4].tolist() == [[0, 0, 1, -1], [0, 0, 1, 0]]
    np.testing.assert_array_equal(first.insides[0, 4:], [0.5] * 5 + [-0.25, math.nan, 0.5])
    np.testing.assert_array_equal(first.sharpnesses, [[1, 0, 2, 3.5, math.nan, 20]])
    assert len(store.inside(run_id, first.mark).insides) == 0
    many = range(2, 2 * MOST_INSIDES + 2)
    store.write(run_id, more={InsideRow: [inside(0, step, layer) for step in many for layer in (-1, 0)]})
    news = store.inside(run_id, first.mark).insides
    of_layer = news[news[:, 3] == 0, 2]
    assert (of_layer[0], of_layer[-1]) == (2, many[-1])
    assert len(of_layer) <= MOST_INSIDES + 1
    store.write(run_id, rewind=1)
    assert store.inside(run_id).insides[:, 2].tolist() == [1, 1]
    assert len(store.inside(run_id).sharpnesses) == 0


def test_looks_and_their_pictures_are_read_once_and_a_picture_is_kept_once(store: Store) -> None:
    run_id, other = store.create(CONFIG), store.create(CONFIG)
    look = {
        "racer": 0,
        "step": 5,
        "epoch": 1,
        "confusion": [[3, 1], [0, 4]],
        "filters": b"ab",
        "shape": [2, 1, 1, 1],
        "largest": 0.5,
        "mistakes": [[7, 0, 1, 0.75]],
    }
    picture = {"position": 7, "shape": [1, 1, 3], "data": b"rgb"}
    for run in (run_id, other, run_id):
        store.write(run, more={LookRow: [look], PictureRow: [picture, picture]})
    first = store.looks(run_id)
    assert [(row.confusion, row.filters, row.mistakes) for row in first.looks] == [
        ([[3, 1], [0, 4]], b"ab", [[7, 0, 1, 0.75]])
    ] * 2
    assert [(row.position, row.data) for row in first.pictures] == [(7, b"rgb")]
    again = store.looks(run_id, first.mark)
    assert (again.looks, again.pictures, again.mark) == ([], [], first.mark)
