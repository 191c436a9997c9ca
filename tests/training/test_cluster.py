"""Where tasks are placed: on the free GPU, and on workers that are not ours."""

import os
import platform
import secrets
import time
from pathlib import Path

import dask
import pytest
from distributed import LocalCluster

from app.cli import run
from optimizers.training import TrainConfig, cluster, jobs
from optimizers.training.store import open_store

METHOD = "distributed.worker.multiprocessing-method"
SHORT = TrainConfig(("adam",), data="shapes10", epochs=1, batch_size=50, limit=100, threads=1)


def at_work(workers: cluster.Workers, here: Path) -> list[str]:
    """Return the GPUs of two runs and two tasks of a sweep, all under way at once."""

    def gpu_at_work() -> str:  # sent as it is: workers need not find this module
        (here / secrets.token_hex(8)).touch()
        deadline = time.monotonic() + 60
        while len(list(here.iterdir())) < 4:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return os.environ["CUDA_VISIBLE_DEVICES"]

    futures = [workers.submit(kind, gpu_at_work) for kind in ("run", "run", "sweep", "sweep")]  # type: ignore[arg-type]
    return [future.result(timeout=90) for future in futures]


def test_runs_are_placed_on_the_free_gpu_and_a_sweep_beside_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "PRELOAD", "json")  # no GPU is used, and no torch
    keys = ("distributed.nanny.pre-spawn-environ", METHOD, "logging.distributed")
    with dask.config.set({key: dask.config.get(key, None) for key in keys}):  # what follows is set back
        workers = cluster.own_workers(("2", "5"))
        assert workers.cluster is not None
        with workers.cluster, workers.client:
            used = at_work(workers, tmp_path)
    assert workers.each == 2
    assert sorted(used[:2]) == sorted(used[2:]) == ["2", "5"]


@pytest.mark.parametrize(
    ("named", "told", "found"),
    [
        (None, "0\n1\n", ("0", "1")),
        ("1, GPU-7a", "0\n1\n", ("1", "GPU-7a")),
        ("", "0\n", ()),
        (None, None, ()),  # no driver
    ],
)
def test_gpus_are_counted_without_torch(
    named: str | None,
    told: str | None,
    found: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if told is not None:
        program = tmp_path / "nvidia-smi"
        program.write_text(f"#!/bin/sh\nprintf '{told}'\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    if named is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
    assert cluster.find_gpus() == found


def test_a_run_is_trained_by_an_existing_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its one worker is this process, so that nothing is started but the process that hands out orders."""
    monkeypatch.setenv("ADAMSCOPE_HOME", str(tmp_path))
    store = open_store(f"sqlite:///{tmp_path / 'runs.sqlite'}")
    with LocalCluster(
        processes=False, n_workers=1, threads_per_worker=1, protocol="tcp", dashboard_address="127.0.0.1:0"
    ) as existing:
        monkeypatch.setenv(cluster.SCHEDULER, existing.scheduler_address)
        try:
            finished = ended(store, jobs.start(SHORT, store))
            monkeypatch.setenv("ADAMSCOPE_HOME", str(tmp_path / "other"))  # of the worker
            unseen = ended(store, jobs.start(SHORT, store))
        finally:
            cluster.close()
    assert (finished.state, finished.message) == ("finished", "")
    assert unseen.state == "interrupted"
    assert unseen.message == (
        f"The worker on {platform.node()} does not see {tmp_path} of {platform.node()}, where runs keep "
        "their files: set its $ADAMSCOPE_HOME to that folder, on a disk that both share."
    )
    assert not list((tmp_path / "cluster").iterdir())  # nothing is left of what was looked for


def test_a_scheduler_that_is_gone_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADAMSCOPE_HOME", str(tmp_path))
    monkeypatch.setenv(cluster.SCHEDULER, "tcp://127.0.0.1:9")
    store = open_store(f"sqlite:///{tmp_path / 'runs.sqlite'}")
    try:
        run = ended(store, jobs.start(SHORT, store))
    finally:
        cluster.close()
    assert (run.state, run.message.partition(" (")[0]) == (
        "interrupted",
        "No Dask scheduler answers at tcp://127.0.0.1:9",
    )


def ended(store, run_id):
    deadline = time.monotonic() + 60
    while (run := store.get(run_id)).active:
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)
    return run


def test_an_sqlite_file_is_no_store_for_another_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADAMSCOPE_HOME", str(tmp_path))
    (tmp_path / "cluster").mkdir()
    (tmp_path / "cluster" / "beacon").touch()
    done: list[str] = []
    task = lambda url: done.append(url)  # noqa: E731
    seen = ("elsewhere", "/there", "beacon")
    with pytest.raises(cluster.UnsharedError, match="name a PostgreSQL database"):
        cluster._if_shared(task, {"url": "sqlite:////there/runs.sqlite"}, *seen)
    assert not done
    cluster._if_shared(task, {"url": "postgresql://db/runs"}, *seen)
    assert done == ["postgresql://db/runs"]


@pytest.mark.parametrize("address", ["", "10.0.0.1", "http://10.0.0.1:80", "tcp://10.0.0.1:port"])
def test_an_address_that_is_none_is_said(address: str) -> None:
    with pytest.raises(ValueError, match="is written like tcp://"):
        cluster.reach(address)


@pytest.mark.parametrize(
    ("address", "told", "code"),
    [
        ("tcp://127.0.0.1:9", "adamscope: No Dask scheduler answers at tcp://127.0.0.1:9 (", 1),
        ("here", "adamscope: The scheduler's address is 'here', but is written like tcp://", 2),
    ],
)
def test_the_app_does_not_start_without_the_scheduler_it_is_told_of(
    address: str, told: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["--no-browser", "--scheduler", address]) == code
    said = capsys.readouterr().err
    assert said.startswith(told)
    assert said.count("\n") == 1


def test_nothing_of_it_is_left_in_this_process() -> None:
    assert dask.config.get(METHOD) == "spawn"
