"""The worker processes: Dask.distributed places on them what pages ask for, and none of it in the server.

The server starts one small process beside itself and writes it a line for each order. That process holds the
cluster: workers of its own on this machine, or those of the scheduler that $ADAMSCOPE_SCHEDULER names. A
process that multiprocessing starts re-imports its parent's main script, and under Streamlit that is the page:
the process between has no main script, so nothing can run a page twice, not even when a killed worker is
replaced. It also keeps the scheduler out of the server's interpreter, and everything ends with the server,
because the pipe between the two closes.

Of its own workers there are three kinds, so that nothing long keeps another waiting: runs, sweeps and
landscapes, each one task at a time, or one for each GPU. Those for runs are there from the start; the others
begin when they are first needed, and take less of a CPU that runs want too. On Linux all are forks of one
process that has loaded torch, which costs neither time nor memory twice.
"""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import platform
import secrets
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing import forkserver
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from distributed import Client, Future, LocalCluster

    from optimizers.training.store import Store

SCHEDULER = "ADAMSCOPE_SCHEDULER"  # the environment variable that names an existing scheduler's address
NVIDIA = "nvidia-smi"  # the program that knows the GPUs
PRELOAD = "optimizers.training.worker"  # what every worker of ours loads
FORKED = sys.platform == "linux"  # elsewhere libraries do not outlive a fork
WATCH = 2.0  # seconds between two looks at what was handed to Dask
REACH = 10.0  # seconds to wait for a scheduler to answer

_log = logging.getLogger(__name__)


# In the server ----------------------------------------------------------------------------------------------

_process: subprocess.Popen[str] | None = None
_lock = threading.Lock()


def warm_up() -> None:
    """Start the cluster if there is none; its worker loads torch, so that the first run begins soon."""
    with _lock:
        _pipe()


def close() -> None:
    """End the cluster and what it trains, as the end of the server does."""
    global _process
    with _lock:
        if _process is not None:
            if _process.stdin is not None:
                _process.stdin.close()
            _process.wait()
            _process = None


def order(wanted: dict[str, Any]) -> None:
    """Hand the cluster an order, which is JSON.

    Raises:
        OSError: the cluster's process can't be started.
    """
    line = json.dumps(wanted) + "\n"
    with _lock:
        pipe = _pipe()
        try:
            pipe.write(line)
            pipe.flush()
        except BrokenPipeError:  # it died since the last look
            pipe = _pipe()
            pipe.write(line)
            pipe.flush()


def _pipe() -> IO[str]:
    """Return where the cluster's process reads, having started it where there is none."""
    global _process
    if _process is None or _process.poll() is not None:
        program = "from optimizers.training.cluster import serve; serve()"
        _process = subprocess.Popen(
            # It ends without ceremony; its tracker need not complain of that in the terminal.
            [sys.executable, "-W", "ignore:resource_tracker:UserWarning", "-c", program],
            stdin=subprocess.PIPE,
            text=True,
            # Ctrl-C in the terminal is for the server; this ends when the server has. And Linux shares the
            # CPU out to sessions: training leaves the server its part.
            start_new_session=True,
        )
    assert _process.stdin is not None
    return _process.stdin


# A scheduler that is there already --------------------------------------------------------------------------


def reach(scheduler: str) -> None:
    """Raise ValueError for an address that is none, RuntimeError where nobody listens, in one sentence."""
    kind, _, place = scheduler.rpartition("://")
    if kind in ("inproc", "ucx", "ws", "wss"):  # Dask's others, which it knows best
        return
    host, _, port = place.rpartition(":")
    if kind not in ("", "tcp", "tls") or not host or not port.isdigit():
        raise ValueError(
            f"The scheduler's address is {scheduler!r}, but is written like tcp://10.0.0.1:8786."
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), REACH).close()
    except (OSError, OverflowError) as problem:
        raise RuntimeError(_silent(scheduler, problem)) from None


def connect(scheduler: str) -> Client:
    """Return a client of an existing scheduler that has workers; raises as `reach`."""
    from distributed import Client

    reach(scheduler)
    try:
        client = Client(scheduler, timeout=REACH)
    except (OSError, ValueError) as problem:  # something else listens there
        raise RuntimeError(_silent(scheduler, problem)) from None
    if not client.nthreads():
        client.close()
        raise RuntimeError(
            f"The scheduler at {scheduler} has no workers: start one with "
            f"`dask worker {scheduler} --nthreads 1`."
        )
    return client


def _silent(scheduler: str, problem: Exception) -> str:
    why = str(problem).partition("\n")[0] or "no word in time"
    return (
        f"No Dask scheduler answers at {scheduler} ({why}): start one with `dask scheduler`, or leave it out "
        "to use this machine."
    )


# In the process that holds the cluster ----------------------------------------------------------------------


@dataclass
class Workers:
    """Where tasks are placed: on workers of our own, or on those of `client` as they are."""

    client: Client
    cluster: LocalCluster | None = None  # ours
    gpus: tuple[str, ...] = ()  # of this machine, as CUDA_VISIBLE_DEVICES names them
    kinds: set[str] = field(default_factory=set)  # that have been started
    beacon: Path | None = None  # a file by which workers that are not ours tell whether they see our folder

    def submit(self, kind: str, task: Callable[..., None], **arguments: Any) -> Future:
        """Hand Dask a task of the lab. First come, first served: within fifo_timeout Dask takes any first."""
        words: dict[str, Any] = {"pure": False, "fifo_timeout": 0, "resources": self.resources(kind)}
        if self.beacon is None:
            return self.client.submit(task, **arguments, **words)
        seen = (platform.node(), str(self.beacon.parent.parent), self.beacon.name)
        return self.client.submit(_if_shared, task, arguments, *seen, **words)

    def resources(self, kind: str) -> dict[str, float]:
        """Return what a task of this kind asks of its worker, having started the kind where it is missing."""
        if self.cluster is None:
            return {}
        if kind not in self.kinds:
            self.kinds.add(kind)
            for gpu in self.gpus or (None,):
                own = {"resources": {kind: 1}, "env": {} if gpu is None else {"CUDA_VISIBLE_DEVICES": gpu}}
                options = self.cluster.new_spec["options"] | own
                self.cluster.new_spec = self.cluster.new_spec | {"options": options}
                self.cluster.scale(len(self.cluster.worker_spec) + 1)
        return {kind: 1}

    @property
    def each(self) -> int:
        """How many workers of our own there are of a kind; 0 where they are not ours."""
        return 0 if self.cluster is None else max(1, len(self.gpus))


def own_workers(gpus: tuple[str, ...]) -> Workers:
    """Start a cluster on this machine, with workers for runs."""
    import dask
    from distributed import Client, LocalCluster

    dask.config.set(
        {
            # Not Dask's own: one thread for each worker's arithmetic, where ours has the machine to itself,
            # and MALLOC_TRIM_THRESHOLD_, by which every large tensor is mapped anew: half the speed.
            "distributed.nanny.pre-spawn-environ": {},
            "distributed.worker.multiprocessing-method": "forkserver" if FORKED else "spawn",
            "logging.distributed": "error",
        }
    )
    cluster = LocalCluster(
        processes=True,
        n_workers=0,
        threads_per_worker=1,
        memory_limit=0,
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",  # None would take port 8787
        silence_logs=logging.ERROR,
        preload=[PRELOAD],
    )
    workers = Workers(Client(cluster), cluster, gpus)
    workers.resources("run")
    return workers


def workers_of(scheduler: str) -> Workers:
    """Take the workers of an existing scheduler; raises RuntimeError in one sentence."""
    from optimizers.training.data import home

    client = connect(scheduler)
    beacon = home() / "cluster" / secrets.token_hex(8)
    beacon.parent.mkdir(parents=True, exist_ok=True)
    beacon.touch()
    return Workers(client, beacon=beacon)


def may_have_gpus() -> bool:
    """Whether a run may find a GPU, as far as can be told at once."""
    return SCHEDULER in os.environ or shutil.which(NVIDIA) is not None


def find_gpus() -> tuple[str, ...]:
    """Return the GPUs of this machine as CUDA_VISIBLE_DEVICES names them, without loading torch."""
    program = shutil.which(NVIDIA)
    if program is None:
        return ()
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return tuple(one.strip() for one in named.split(",") if one.strip() not in ("", "-1"))
    asked = [program, "--query-gpu=index", "--format=csv,noheader"]
    told = subprocess.run(asked, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
    return tuple(told.stdout.split()) if told.returncode == 0 else ()


def _draw() -> None:
    """Draw the stand-in if it is needed, while the workers load torch: they find it on the disk."""
    from optimizers.training.data import available, home, keep_shapes10

    if not available("cifar10"):
        keep_shapes10(home())


def serve() -> None:
    """Carry out what standard input orders, one line of JSON each, until it closes."""
    scheduler = os.environ.get(SCHEDULER)
    if FORKED and not scheduler:
        # Before all else: it takes longest, and loads torch while this process imports Dask.
        multiprocessing.set_forkserver_preload([PRELOAD])
        forkserver.ensure_running()
    from sqlalchemy.exc import SQLAlchemyError

    from optimizers.training import jobs, landscape_jobs, sweep_jobs
    from optimizers.training.store import open_store

    workers = None if scheduler else own_workers(find_gpus())
    if not scheduler:
        threading.Thread(target=_draw, daemon=True).start()
    runs: dict[str, tuple[Future, str, Store]] = {}  # by their owner
    maps: dict[str, tuple[Future, str]] = {}  # landscapes
    threading.Thread(target=_watch, args=(runs, maps), daemon=True).start()
    for line in sys.stdin:
        wanted = json.loads(line)
        if scheduler and (workers is None or workers.client.status != "running"):
            try:
                workers = workers_of(scheduler)
            except (RuntimeError, ValueError, OSError) as problem:
                _refuse(wanted, str(problem))
                continue
        assert workers is not None
        if "landscape" in wanted:
            asked = wanted["landscape"]
            future = workers.submit("landscape", landscape_jobs.measure_run, **asked)
            maps[asked["order_id"]] = future, asked["run_id"]
        elif "sweep_id" in wanted:
            sweep_jobs.place(workers, wanted)
        else:
            future = workers.submit("run", jobs.train_run, **wanted)
            runs[wanted["owner"]] = future, wanted["run_id"], open_store(wanted["url"])
    sweep_jobs.interrupt_all()
    for owner, (_, run_id, store) in list(runs.items()):
        try:
            run = store.get(run_id)
            # What another cluster trains already it trains to its end, and writes down.
            if run is not None and (not scheduler or run.state == "queued"):
                store.interrupt(run_id, owner)
        except SQLAlchemyError:  # its silence will tell
            _log.exception("Run %s could not be written down as interrupted.", run_id)
    if workers is not None and workers.beacon is not None:
        workers.beacon.unlink(missing_ok=True)
    # Workers end with this process at once; to close the cluster in good order would take seconds.
    os._exit(0)


def _watch(runs: dict[str, tuple[Future, str, Store]], maps: dict[str, tuple[Future, str]]) -> None:
    """Beat for the runs and landscapes that wait, and tell of those whose task ended without a word."""
    from sqlalchemy.exc import SQLAlchemyError

    from optimizers.training import landscape_jobs
    from optimizers.training.store import LOST

    while True:
        time.sleep(WATCH)
        for order_id, (future, run_id) in list(maps.items()):
            if future.done():
                del maps[order_id]
                if why := _why(future):
                    landscape_jobs.fail(run_id, order_id, why)
            else:
                landscape_jobs.beat(run_id, order_id)
        for owner, (future, run_id, store) in list(runs.items()):
            try:
                if future.done():
                    # does nothing to a run that ended as it should
                    store.interrupt(run_id, owner, _why(future) or LOST)
                    del runs[owner]
                else:
                    store.beat([run_id])
            except SQLAlchemyError:
                _log.exception("The store could not be written; it is tried again.")


def _why(future: Future) -> str:
    """Return the sentence with which a worker refused a task, or "" if it didn't."""
    problem = future.exception() if future.status == "error" else None
    return str(problem) if isinstance(problem, UnsharedError) else ""


def _refuse(wanted: dict[str, Any], sentence: str) -> None:
    """Write down that nobody will carry out an order."""
    from sqlalchemy.exc import SQLAlchemyError

    from optimizers.training import landscape_jobs, sweep_jobs
    from optimizers.training.store import open_store

    if "landscape" in wanted:
        landscape_jobs.fail(**wanted["landscape"], message=sentence)
        return
    try:
        if "sweep_id" in wanted:
            sweep_jobs.fail(**wanted, message=sentence)
        else:
            open_store(wanted["url"]).interrupt(wanted["run_id"], wanted["owner"], sentence)
    except SQLAlchemyError:  # its silence will tell
        _log.exception("An order that nobody will carry out could not be written down.")


# In a worker that is not ours -------------------------------------------------------------------------------


class UnsharedError(RuntimeError):
    """A worker sees something else than the server, in one sentence that says what to do."""


def _if_shared(
    task: Callable[..., None], arguments: dict[str, Any], host: str, folder: str, beacon: str
) -> None:
    """Carry out a task where its pages see what it writes."""
    from optimizers.training.data import home

    here, sqlite = platform.node(), arguments.get("url", "").startswith("sqlite")
    if sqlite and here != host:
        raise UnsharedError(
            f"The worker on {here} can't write into an SQLite file of {host}: name a PostgreSQL database "
            "in $ADAMSCOPE_STORE."
        )
    if not (home() / "cluster" / beacon).exists():
        raise UnsharedError(
            f"The worker on {here} does not see {folder} of {host}, where runs keep their files: set its "
            "$ADAMSCOPE_HOME to that folder, on a disk that both share."
        )
    task(**arguments)
