import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
from torch import OutOfMemoryError

from optimizers import training
from optimizers.training import Point, TrainConfig, cluster, jobs, landscape_jobs, sweep_jobs
from optimizers.training.data import DataError
from optimizers.training.landscape import Order
from optimizers.training.store import Run, Store, open_store
from optimizers.training.sweep import SweepConfig
from optimizers.training.sweep_store import Sweep, SweepStore

SHORT = TrainConfig(("adam", "momentum(lr=0.01)"), data="shapes10", epochs=1, batch_size=50, limit=500)
LONG = TrainConfig(("adam",), data="shapes10", epochs=1000, batch_size=50, limit=500, threads=1)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ADAMSCOPE_HOME", str(home))  # the cluster's processes inherit it
        yield Store(f"sqlite:///{home / 'runs.sqlite'}")
        cluster.close()


@pytest.fixture
def own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A store that no cluster knows of: a test trains its runs by itself."""
    monkeypatch.setenv("ADAMSCOPE_HOME", str(tmp_path))
    store = open_store(f"sqlite:///{tmp_path / 'runs.sqlite'}")
    yield store
    store.close()


def wait_for(found: Callable[[], object], seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def read(store: Store, run_id: str) -> Run:
    run = store.get(run_id)
    assert run is not None
    return run


def under_way(store: Store, run_id: str) -> bool:
    return read(store, run_id).state == "running" and len(store.news(run_id).points) > 0


def workers(between: psutil.Process) -> list[psutil.Process]:
    """Return Dask's worker processes: children of the one that holds the cluster, or forks of its child."""
    if cluster.FORKED:
        (forker,) = (one for one in between.children() if any("forkserver" in w for w in one.cmdline()))
        return forker.children()
    return [child for child in between.children() if any("spawn_main" in word for word in child.cmdline())]


def test_a_run_trains_in_a_worker_to_its_end(store: Store) -> None:
    run_id = jobs.start(SHORT, store)
    assert read(store, run_id).state == "queued"  # start does not wait for anything
    wait_for(lambda: not read(store, run_id).active)

    run = read(store, run_id)
    assert (run.state, run.message) == ("finished", "")
    assert (run.step, run.total_steps, run.steps_per_epoch) == (10, 10, 10)
    assert run.device in ("cpu", "cuda")
    assert "stand" in run.data_note
    assert run.summary is not None
    news = store.news(run_id)
    for racer in (0, 1):
        mine = news.points[news.points[:, 0] == racer]
        assert mine[-1, 1] == 10
        tests = news.evaluations[news.evaluations[:, 0] == racer]
        assert tests[-1, 1] == 10


def test_sweeps_and_landscapes_are_done_while_a_run_trains(store: Store) -> None:
    run_id = jobs.start(replace(LONG, snapshots=4), store)
    wait_for(lambda: under_way(store, run_id))
    order = Order(plane="random", racers=(0,), size=5, pictures=20, device="cpu", precision="fp32")
    landscape_jobs.start(run_id, order)
    sweeps, base = SweepStore(store), replace(SHORT, racers=("adam",), limit=100, validation=50)
    short = sweep_jobs.start(SweepConfig(base, ("lr=0.001,0.01",)), store)
    wait_for(lambda: measured(run_id) == "done")
    wait_for(lambda: not read_sweep(sweeps, short).active)
    assert read_sweep(sweeps, short).state == "finished"
    assert [network.state for network in sweeps.networks(short)] == ["finished", "finished"]

    long = sweep_jobs.start(SweepConfig(replace(base, epochs=1000), ("lr=0.001,0.01",)), store)
    wait_for(lambda: any(len(network.history) > 1 for network in sweeps.networks(long)))
    before = read(store, run_id)
    assert before.state == "running"
    wait_for(lambda: read(store, run_id).step > before.step)
    sweeps.request_stop(long)
    wait_for(lambda: not read_sweep(sweeps, long).active)
    assert read_sweep(sweeps, long).state == "stopped"
    jobs.stop(run_id, store)
    wait_for(lambda: not read(store, run_id).active)


def measured(run_id: str) -> str:
    told = landscape_jobs.status(run_id)
    assert told is not None
    assert told["state"] not in ("failed", "stopped"), told["message"]
    return str(told["state"])


def read_sweep(sweeps: SweepStore, sweep_id: str) -> Sweep:
    sweep = sweeps.get(sweep_id)
    assert sweep is not None
    return sweep


def test_stop_ends_a_run_under_way_and_one_that_waits(store: Store) -> None:
    first, second = jobs.start(LONG, store), jobs.start(LONG, store)
    wait_for(lambda: under_way(store, first))
    assert read(store, second).state == "queued"
    jobs.stop(second, store)
    assert read(store, second).state == "stopped"
    jobs.stop(first, store)
    wait_for(lambda: not read(store, first).active)
    run = read(store, first)
    assert run.state == "stopped"
    assert 0 < run.step < run.total_steps


def test_missing_pictures_fail_with_the_sentence_that_helps(store: Store) -> None:
    run_id = jobs.start(TrainConfig(("adam",), data="cifar10"), store)
    wait_for(lambda: not read(store, run_id).active)
    run = read(store, run_id)
    assert run.state == "failed"
    assert "adamscope data cifar10" in run.message


@pytest.mark.parametrize(
    ("problem", "message", "logged"),
    [
        (RuntimeError("out of memory\nat 0x7f"), "out of memory", True),
        (ValueError("shapes do not fit"), "shapes do not fit", True),
        (ZeroDivisionError(), "ZeroDivisionError", True),
        (DataError("cifar10 is damaged."), "cifar10 is damaged.", False),
        (OutOfMemoryError("CUDA out of memory."), jobs.FULL_GPU, True),
    ],
)
def test_what_nobody_foresaw_leaves_a_traceback_in_the_log_and_a_sentence_on_the_page(
    problem: Exception,
    message: str,
    logged: bool,
    own_store: Store,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise problem

    monkeypatch.setattr(training, "train", fail)
    run_id = handed_out(own_store)
    jobs.train_run(run_id, own_store.url, "here")
    run = read(own_store, run_id)
    assert (run.state, run.message) == ("failed", message)
    assert [record.exc_info[1] for record in caplog.records if record.exc_info] == [problem] * logged


def test_a_run_pauses_makes_room_and_goes_on(store: Store) -> None:
    first, second = jobs.start(LONG, store), jobs.start(SHORT, store)
    wait_for(lambda: under_way(store, first))
    jobs.pause(first, store)
    wait_for(lambda: not read(store, first).active)
    paused = read(store, first)
    assert (paused.state, paused.kept_step) == ("paused", paused.step)
    wait_for(lambda: read(store, second).state == "finished")

    assert jobs.resume(first, store)
    assert not jobs.resume(first, store)  # it waits already
    wait_for(lambda: read(store, first).state == "running" and read(store, first).step > paused.step)
    jobs.stop(first, store)
    wait_for(lambda: read(store, first).state == "stopped")
    steps = store.news(first).points[:, 1]
    np.testing.assert_array_equal(steps, np.arange(1, len(steps) + 1))  # none is missing, none is twice

    assert jobs.delete(first, store)
    assert store.get(first) is None
    assert not jobs.run_folder(first).exists()
    assert not jobs.delete(first, store)


def handed_out(store: Store, config: TrainConfig = SHORT) -> str:
    return store.create(json.loads(config.to_json()), owner="here")


def test_a_run_killed_before_its_first_checkpoint_is_not_begun_again_unasked(
    easy_data: object, own_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = handed_out(own_store)
    own_store.claim(run_id, "here")  # by a process that was killed
    jobs.train_run(run_id, own_store.url, "here")  # as Dask does then
    run = read(own_store, run_id)
    assert run.state == "interrupted"
    assert "had no checkpoint yet: resumed, it begins at step 0." in run.message
    monkeypatch.setattr(cluster, "order", lambda order: jobs.train_run(**order))
    assert jobs.resume(run_id, own_store)
    assert read(own_store, run_id).state == "finished"


def test_a_corrupt_checkpoint_is_said_on_the_page(own_store: Store) -> None:
    run_id = handed_out(own_store)
    own_store.write(run_id, kept_step=5)
    folder = jobs.run_folder(run_id)
    folder.mkdir(parents=True)
    (folder / "checkpoint.pt").write_bytes(b"adamscope checkpoint 1 00\nhalf")
    jobs.train_run(run_id, own_store.url, "here")
    run = read(own_store, run_id)
    assert (run.state, run.message) == (
        "failed",
        "The newest checkpoint is damaged or only half written, and there is no other: start the run anew.",
    )


def full_disk(store: Store, full: bool) -> None:
    """Let the database take no page more, or as many as it wants."""
    with store._engine.begin() as connection:
        connection.exec_driver_sql(f"PRAGMA max_page_count = {1 if full else 10**6}")


def test_points_wait_while_the_disk_is_full_and_none_is_lost(
    own_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "FLUSH", 0.01)
    run_id = handed_out(own_store)
    with jobs.Recorder(own_store, run_id) as record:
        full_disk(own_store, full=True)
        for step in range(2_000):
            record(Point(0, step, 1, 1.0, 2.5, 0.25))
        wait_for(lambda: len(own_store.news(run_id).points) == 0 and record._thread.is_alive())
        time.sleep(0.1)
        full_disk(own_store, full=False)
    assert [row["step"] for row in own_store.rows(run_id)[0]] == list(range(2_000))


def test_a_disk_that_stays_full_ends_the_run_with_a_sentence(
    own_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "FLUSH", 0.01)
    monkeypatch.setattr(jobs, "PATIENCE", 0.1)

    def endless(config: TrainConfig, record: Callable[[object], None], **options: object) -> None:
        full_disk(own_store, full=True)
        while True:
            record(Point(0, 1, 1, 1.0, 2.5, 0.25))
            time.sleep(0.001)

    monkeypatch.setattr(training, "train", endless)
    run_id = handed_out(own_store)
    jobs.train_run(run_id, own_store.url, "here")
    run = read(own_store, run_id)
    assert run.state == "failed"
    assert run.message == (
        "The store could not be written (database or disk is full): see to its disk, then resume."
    )


# A page's script has no `if __name__ == "__main__"`: whoever imports it again starts another run.
PAGE = """
import sys
from optimizers.training import TrainConfig, cluster, jobs

config = TrainConfig(("adam",), data="shapes10", epochs=1000, batch_size=50, limit=500, threads=1)
print(jobs.start(config), cluster._process.pid, flush=True)
assert "torch" not in sys.modules
assert "distributed" not in sys.modules
sys.stdin.read()
"""


def test_a_killed_worker_goes_on_and_a_killed_server_leaves_its_runs_to_the_other(
    store: Store, tmp_path: Path
) -> None:
    page = tmp_path / "page.py"
    page.write_text(PAGE)
    before = {run.id for run in store.recent(100)}
    ours = jobs.start(LONG, store)  # of another server on the same store
    with subprocess.Popen(
        [sys.executable, str(page)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as server:
        assert server.stdout is not None
        theirs, pid = server.stdout.readline().decode().split()
        between = psutil.Process(int(pid))
        wait_for(lambda: read(store, theirs).kept_step is not None)
        (worker,) = workers(between)
        worker.kill()
        killed = read(store, theirs)
        wait_for(lambda: read(store, theirs).attempt == 2 and read(store, theirs).step > killed.step)
        assert read(store, theirs).state == "running"

        wait_for(lambda: under_way(store, ours))
        assert server.poll() is None
        family = [between, *between.children(recursive=True)]
        server.kill()
        _, alive = psutil.wait_procs(family, timeout=60)
        assert not alive
    assert read(store, theirs).state == "interrupted"
    assert read(store, ours).state == "running"
    assert {run.id for run in store.recent(100)} == before | {ours, theirs}  # no page was run twice

    jobs.stop(ours, store)
    rests = read(store, theirs)
    assert jobs.resume(theirs, store)
    wait_for(lambda: read(store, theirs).state == "running" and read(store, theirs).step > rests.step)
    jobs.stop(theirs, store)
    wait_for(lambda: not read(store, theirs).active)
    steps = store.news(theirs).points[:, 1]
    np.testing.assert_array_equal(steps, np.arange(1, len(steps) + 1))
