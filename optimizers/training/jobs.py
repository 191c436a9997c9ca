"""Runs of the store: begun, paused and ended from the pages, trained by a worker of the `cluster`."""

import json
import logging
import secrets
import shutil
import threading
import time
from collections import defaultdict
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import psutil
from sqlalchemy.exc import SQLAlchemyError

from optimizers.training import cluster
from optimizers.training.data import home
from optimizers.training.store import (
    LOST,
    STALE,
    EvaluationRow,
    InsideRow,
    LookRow,
    PictureRow,
    PointRow,
    Row,
    SharpnessRow,
    Store,
    TakenOverError,
    default_url,
    open_store,
)

if TYPE_CHECKING:
    from optimizers.training import Look, TrainConfig

FLUSH = 0.2  # seconds between two writes of a worker to the store
QUIET = STALE / 10  # seconds without news after which a worker writes a bare heartbeat
PATIENCE = 30.0  # seconds for which a worker tries to write to a store that refuses it

WAITING = "Waiting for a worker process."

_log = logging.getLogger(__name__)


# In the server ----------------------------------------------------------------------------------------------


def start(config: "TrainConfig", store: Store | None = None) -> str:
    """Write a run into the store, hand it to the cluster, and return its id at once.

    Raises:
        OSError: the cluster's process can't be started.

    >>> run_id = start(TrainConfig(racers=("adam", "adam(bias_correction=False)")))  # doctest: +SKIP
    """
    store = store or open_store(default_url())
    owner = secrets.token_hex(8)
    run_id = store.create(json.loads(config.to_json()), message=WAITING, owner=owner)
    _hand_over(run_id, owner, store)
    return run_id


def resume(run_id: str, store: Store | None = None) -> bool:
    """Let a run that rests go on from its checkpoint, or from step 0 where it has none.

    Returns False where there is no such run, or it is under way.

    Raises:
        OSError: the cluster's process can't be started.
    """
    store = store or open_store(default_url())
    run, owner = store.get(run_id), secrets.token_hex(8)
    if run is None or not store.requeue(run, owner, message=WAITING):
        return False
    _hand_over(run_id, owner, store)
    return True


def _hand_over(run_id: str, owner: str, store: Store) -> None:
    try:
        cluster.order({"run_id": run_id, "url": store.url, "owner": owner})
    except OSError:  # nobody will ever train it
        store.change(run_id, state="failed", message="Its worker process could not be started.")
        raise


def stop(run_id: str, store: Store | None = None) -> None:
    """Ask a run to stop after the step under way; one that still waits stops at once."""
    (store or open_store(default_url())).request_stop(run_id)


def pause(run_id: str, store: Store | None = None) -> None:
    """Ask a run to rest after the step under way, so that others may train; `resume` lets it go on."""
    (store or open_store(default_url())).request_pause(run_id)


def delete(run_id: str, store: Store | None = None) -> bool:
    """Delete a run that rests, its points and its files; False where there is none, or it is under way."""
    store = store or open_store(default_url())
    run = store.get(run_id)
    if run is None or not store.delete(run):
        return False
    shutil.rmtree(run_folder(run_id), ignore_errors=True)
    return True


def run_folder(run_id: str) -> Path:
    """Return where the checkpoints and other files of a run are, on the machine that trains it."""
    return home() / "runs" / run_id


# In a worker ------------------------------------------------------------------------------------------------


def train_run(run_id: str, url: str, owner: str = "") -> None:
    """Train a run of the store to its end, from its checkpoint where it has one. Runs as a task of Dask.

    Dask hands the task of a killed worker to the next one, which goes on from the run's last checkpoint. A
    run that was killed before its first one is not begun again unasked: it is written down as interrupted.
    """
    store = open_store(url)
    claim = store.claim(run_id, owner)
    if claim is None:  # stopped while it waited, or deleted, or resumed elsewhere
        return
    run = store.get(run_id)
    assert run is not None
    folder = run_folder(run_id)
    kept = run.kept_step is not None
    if claim.again and not kept:
        store.interrupt(run_id, owner, f"{LOST} It had no checkpoint yet: resumed, it begins at step 0.")
        return
    from torch import OutOfMemoryError

    from optimizers.training import TrainConfig, train
    from optimizers.training.data import DataError

    try:
        config = TrainConfig.from_json(json.dumps(run.config))
    except ValueError as problem:  # written by another version
        store.change(run_id, state="failed", message=str(problem))
        return
    try:
        with Recorder(store, run_id, claim.attempt) as record:
            result = train(config, record, folder=folder, resume=kept)
        end: dict[str, Any] = {"state": "finished", "summary": result.summary}
        if result.stopped:
            now = store.get(run_id)
            paused = now is not None and now.pause_requested
            end = {"state": "paused"} if paused else end | {"state": "stopped"}
    except TakenOverError:
        _log.warning("Run %s is deleted, or another process trains it.", run_id)
        return
    except OutOfMemoryError:
        _log.exception("Run %s found no room on the GPU.", run_id)
        end = {"state": "failed", "message": FULL_GPU}
    except DataError as problem:
        end = {"state": "failed", "message": str(problem)}
    except SQLAlchemyError as problem:
        _log.exception("Run %s could not be written down.", run_id)
        end = {"state": "failed", "message": unwritten(problem)}
    except Exception as problem:
        _log.exception("Run %s failed.", run_id)
        end = {"state": "failed", "message": _first_line(problem)}
    with suppress(TakenOverError):
        store.write(run_id, attempt=claim.attempt, seconds_left=0.0, **end)


FULL_GPU = (
    "The GPU's memory is full: end other programs that use it, or take fewer racers, smaller batches or bf16."
)


def unwritten(problem: SQLAlchemyError) -> str:
    """Return what a learner reads where points could not be written for long."""
    why = str(getattr(problem, "orig", None) or problem).strip().partition("\n")[0].rstrip(".")
    return f"The store could not be written ({why}): see to its disk, then resume."


def _first_line(problem: Exception) -> str:
    """Return what a learner reads of a problem whose traceback is in the log."""
    return str(problem).strip().partition("\n")[0] or type(problem).__name__


class Recorder:
    """Takes the events of `train` and writes them to the store in batches, from a thread of its own.

    The thread also beats while training is busy, and looks whether a stop was asked for. What can't be
    written is tried again for PATIENCE seconds, while training goes on; then the run ends.
    """

    def __init__(self, store: Store, run_id: str, attempt: int | None = None) -> None:
        """Record for this run, as its claim says."""
        self._store, self._run_id, self._attempt = store, run_id, attempt
        self._rows: defaultdict[Row, list[dict[str, Any]]] = defaultdict(list)
        self._values: dict[str, Any] = {}
        self._diverged: dict[str, int] = {}
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._stop, self._device = False, ""
        self._problem: SQLAlchemyError | TakenOverError | None = None
        self._thread = threading.Thread(target=self._write_on, daemon=True)

    def __enter__(self) -> "Recorder":
        """Begin to beat."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write what is left; raises what the store says where that can't be done."""
        self._over.set()
        self._thread.join()
        if self._problem is None:
            self._flush_patiently()
        if self._problem is not None and problem is None:
            raise self._problem

    def __call__(self, event: object) -> None:
        """Take one event; after the last one of a step it raises StopTraining where the run is to stop."""
        from optimizers.training import (
            Diverged,
            Evaluated,
            Inside,
            Kept,
            Look,
            Point,
            Preparing,
            Progress,
            Sharpness,
            Started,
            StopTraining,
            Way,
        )

        if self._problem:
            raise self._problem
        with self._lock:
            match event:
                case Point():
                    self._rows[PointRow].append(asdict(event))
                case Evaluated():
                    self._rows[EvaluationRow].append(asdict(event))
                case Inside():
                    self._rows[InsideRow].append(asdict(event))
                case Sharpness():
                    self._rows[SharpnessRow].append(asdict(event))
                case Look():
                    self._rows[LookRow].append(_look(event))
                    self._rows[PictureRow] += _pictures(event)
                case Progress():
                    self._values |= asdict(event) | {"memory": _memory(self._device)}
                case Diverged():
                    self._diverged.setdefault(str(event.racer), event.step)
                    self._values["diverged"] = dict(self._diverged)
                case Kept():
                    self._values |= {"kept_step": event.step, "warning": event.problem}
                case Preparing():
                    self._values["message"] = event.text
                case Way():
                    self._values["how"] = event.how
                case Started():
                    self._device = event.device
                    self._values |= {
                        "state": "running",
                        "message": "",
                        "device": event.device,
                        "device_name": event.device_name,
                        "precision": event.precision,
                        "data_note": event.data_note,
                        "how": "",
                        "parameters": event.parameters,
                        "steps_per_epoch": event.steps_per_epoch,
                        "total_steps": event.total_steps,
                        "layers": list(event.layers),
                        "classes": list(event.classes),
                        "diverged": {},
                        "rewind": -1 if event.resumed_at is None else event.resumed_at,
                    }
        if self._stop and isinstance(event, Progress):
            raise StopTraining

    def _write_on(self) -> None:
        quiet = 0.0
        while not self._over.wait(FLUSH):
            quiet += FLUSH
            if self._rows or self._values or quiet >= QUIET:
                self._flush_patiently()
                quiet = 0.0
            else:
                with suppress(SQLAlchemyError):  # the next write says so
                    self._stop = self._store.stop_requested(self._run_id)
            if self._problem is not None:
                return

    def _flush_patiently(self) -> None:
        """Write what is there, again and again where the store refuses it."""
        began = time.monotonic()
        while True:
            try:
                self._flush()
                return
            except TakenOverError as problem:
                self._problem = problem
                return
            except SQLAlchemyError as problem:  # the disk is full, say: it may have room again in a moment
                _log.warning("The store could not be written; it is tried again.", exc_info=problem)
                if time.monotonic() - began > PATIENCE:
                    self._problem = problem
                    return
            time.sleep(FLUSH)

    def _flush(self) -> None:
        with self._lock:
            rows, self._rows = self._rows, defaultdict(list)
            values, self._values = self._values, {}
        try:
            self._stop = self._store.write(self._run_id, more=rows, attempt=self._attempt, **values)
        except SQLAlchemyError:
            with self._lock:
                for table, newer in self._rows.items():
                    rows[table] += newer
                self._rows, self._values = rows, values | self._values
            raise


def _look(event: "Look") -> dict[str, Any]:
    columns = (event.positions, event.labels, event.predictions, event.confidence.round(4))
    return {
        "racer": event.racer,
        "seed": event.seed,
        "step": event.step,
        "epoch": event.epoch,
        "confusion": event.confusion.tolist(),
        "filters": event.filters.tobytes(),
        "shape": list(event.filters.shape),
        "largest": event.largest,
        "mistakes": [list(mistake) for mistake in zip(*(c.tolist() for c in columns), strict=True)],
    }


def _pictures(event: "Look") -> list[dict[str, Any]]:
    return [
        {"position": position, "shape": list(picture.shape), "data": picture.tobytes()}
        for position, picture in zip(
            event.positions.tolist(), event.pictures, strict=False
        )  # texts have none
    ]


def _memory(device: str) -> float:
    """Return the bytes that this process has of the GPU's memory, or of the machine's where it uses none."""
    if device == "cuda":
        import torch

        return float(torch.cuda.memory_reserved())
    return float(psutil.Process().memory_info().rss)
