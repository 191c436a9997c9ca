import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from optimizers import training
from optimizers.training import TrainConfig, jobs
from optimizers.training.data import DataError
from optimizers.training.store import Run, Store

SHORT = TrainConfig(("adam", "momentum(lr=0.01)"), data="shapes10", epochs=1, batch_size=50, limit=500)
LONG = TrainConfig(("adam",), data="shapes10", epochs=1000, batch_size=50, limit=500)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ADAMSCOPE_HOME", str(home))  # the cluster's processes inherit it
        yield Store(f"sqlite:///{home / 'runs.sqlite'}")
        jobs.close()


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


def workers(cluster: psutil.Process) -> list[psutil.Process]:
    """Return Dask's worker processes: children of the one that holds the cluster."""
    return [child for child in cluster.children() if any("spawn_main" in word for word in child.cmdline())]


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


def test_stop_ends_a_run_under_way_and_one_that_waits(store: Store) -> None:
    first, second = jobs.start(LONG, store), jobs.start(LONG, store)
    wait_for(lambda: under_way(store, first))
    assert read(store, second).state == "queued"
    jobs.stop(second, store)
    assert read(store, second).state == "stopped"
    jobs.stop(first, store)
    wait_for(lambda: not read(store, first).active, 10)
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
    ],
)
def test_what_nobody_foresaw_leaves_a_traceback_in_the_log_and_a_sentence_on_the_page(
    problem: Exception,
    message: str,
    logged: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(*_: object) -> None:
        raise problem

    monkeypatch.setattr(training, "train", fail)
    store = Store(f"sqlite:///{tmp_path / 'runs.sqlite'}")
    run_id = store.create(json.loads(SHORT.to_json()))
    jobs.train_run(run_id, store.url)
    run = read(store, run_id)
    assert (run.state, run.message) == ("failed", message)
    assert [record.exc_info[1] for record in caplog.records if record.exc_info] == [problem] * logged


# A page's script has no `if __name__ == "__main__"`: whoever imports it again starts another run.
PAGE = """
import sys
from optimizers.training import TrainConfig, jobs

def start(epochs):
    return jobs.start(TrainConfig(("adam",), data="shapes10", epochs=epochs, batch_size=50, limit=500))

print(start(epochs=1000), jobs._cluster.pid, flush=True)
sys.stdin.readline()
print(start(epochs=1), flush=True)
assert "torch" not in sys.modules
assert "distributed" not in sys.modules
sys.stdin.read()
"""


def test_a_killed_run_is_not_begun_again_no_page_is_run_twice_and_nothing_is_orphaned(tmp_path: Path) -> None:
    page = tmp_path / "page.py"
    page.write_text(PAGE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ADAMSCOPE_HOME", str(tmp_path))
        command = [sys.executable, str(page)]
        server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with server:
        assert server.stdin is not None
        assert server.stdout is not None
        killed, pid = server.stdout.readline().split()
        store, cluster = Store(f"sqlite:///{tmp_path / 'runs.sqlite'}"), psutil.Process(int(pid))
        wait_for(lambda: under_way(store, killed))
        (worker,) = workers(cluster)
        worker.kill()
        wait_for(lambda: read(store, killed).state == "interrupted")
        points = len(store.news(killed).points)

        print(file=server.stdin, flush=True)
        later = server.stdout.readline().strip()
        wait_for(lambda: not read(store, later).active)
        assert read(store, later).state == "finished"  # by the worker that came after
        assert [run.id for run in store.recent()] == [later, killed]
        assert read(store, killed).state == "interrupted"
        assert len(store.news(killed).points) == points

        assert server.poll() is None
        family = [cluster, *cluster.children(recursive=True)]
        server.kill()
        _, alive = psutil.wait_procs(family, timeout=10)
        assert not alive
