"""Landscapes of the store's runs: asked for by a page, measured by a worker process, kept with the run.

Whoever asks and whoever measures share the run's folder, and nothing else: `landscape.json` there says what
was last asked for and how far it is, and is the worker's heartbeat; `landscape-stop` names an order that is
to end; and the newest of each plane stays, as `landscape-pca.npz` and so on. torch is imported where a
worker measures.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from optimizers.files import whole
from optimizers.training.landscape import Order

STALE = 20.0  # seconds without a beat after which nobody measures any more
FLUSH = 0.3  # seconds between two writes of how far it is
STATUS, STOP = "landscape.json", "landscape-stop"
UNDER_WAY = ("queued", "measuring")
LOST = "Its process ended before the landscape was measured: press Measure once more."

_log = logging.getLogger(__name__)


class _StopMeasuring(Exception):  # noqa: N818 (a request, no error)
    """Somebody pressed Stop."""


def start(run_id: str, order: Order) -> None:
    """Have a landscape of a run measured, beside what is trained and behind other landscapes.

    Raises:
        OSError: the run's folder can't be written, or the worker process not be started.
    """
    from optimizers.training import cluster, jobs

    folder = jobs.run_folder(run_id)
    order_id = secrets.token_hex(4)
    _write(folder, id=order_id, state="queued", order=asdict(order), done=0, of=0, message="", left=None)
    try:
        cluster.order({"landscape": {"run_id": run_id, "order_id": order_id}})
    except OSError:
        _change(folder, order_id, state="failed", message="The worker process could not be started.")
        raise


def stop(run_id: str) -> None:
    """Ask the worker to measure no further; an order that still waits ends at once."""
    from optimizers.training import jobs

    folder = jobs.run_folder(run_id)
    found = status(run_id)
    if found is None or found["state"] not in UNDER_WAY:
        return
    (folder / STOP).write_text(found["id"], "utf-8")
    if found["state"] == "queued":
        _change(folder, found["id"], state="stopped", message="Stopped before it began.")


def status(run_id: str) -> dict[str, Any] | None:
    """Return what was last asked for and how far it is: id, state, order, done, of, left, message; or None.

    state: queued | measuring | done | stopped | failed. One whose heartbeat is stale has failed.
    """
    from optimizers.training import jobs

    file = jobs.run_folder(run_id) / STATUS
    try:
        found: dict[str, Any] = json.loads(file.read_text("utf-8"))
        age = time.time() - file.stat().st_mtime
    except FileNotFoundError:
        return None
    except ValueError:  # whole or not there: somebody else's hand
        return None
    if found["state"] in UNDER_WAY and age > STALE:
        found |= {"state": "failed", "message": LOST}
    return found


def file_of(run_id: str, plane: str, place: int = 0) -> Path:
    """Return where the newest landscape of this plane and seed is kept, once there is one."""
    from optimizers.training import jobs

    seed = f"-{place}" if place else ""
    return jobs.run_folder(run_id) / f"landscape-{plane}{seed}.npz"


def beat(run_id: str, order_id: str) -> None:
    """Say that an order which waits still has a living process."""
    from optimizers.training import jobs

    found = status(run_id)
    if found is not None and found["id"] == order_id and found["state"] == "queued":
        os.utime(jobs.run_folder(run_id) / STATUS)


def fail(run_id: str, order_id: str, message: str) -> None:
    """Write down that nobody will measure an order, unless its run has been deleted."""
    from optimizers.training import jobs

    if status(run_id) is not None:
        _change(jobs.run_folder(run_id), order_id, state="failed", message=message, left=None)


def measure_run(run_id: str, order_id: str) -> None:
    """Measure what `start` wrote down, unless something else was asked for since. Runs as a task of Dask."""
    from optimizers.training import jobs
    from optimizers.training.data import DataError
    from optimizers.training.landscape import measure
    from optimizers.training.snapshots import load

    folder, found = jobs.run_folder(run_id), status(run_id)
    if found is None or found["id"] != order_id or found["state"] not in UNDER_WAY:
        return
    order = Order(**found["order"])
    began, told = None, 0.0

    def report(done: int, of: int) -> None:
        nonlocal began, told
        now = time.monotonic()
        began = began or (now, done)  # after the first: before it the pictures were laid out
        if now - told < FLUSH and done < of:
            return
        told = now
        left = (now - began[0]) / (done - began[1]) * (of - done) if done > began[1] else None
        if not _change(folder, order_id, state="measuring", done=done, of=of, left=left) or _stopped(
            folder, order_id
        ):
            raise _StopMeasuring

    try:
        racers = None if order.plane == "random" else order.racers
        landscape = measure(load(folder, racers, order.place), order, report)
        landscape.save(file_of(run_id, order.plane, order.place))
        end = {"state": "done", "message": ""}
    except _StopMeasuring:
        end = {"state": "stopped", "message": "Stopped."}
    except (DataError, ValueError) as problem:
        end = {"state": "failed", "message": str(problem)}
    except Exception as problem:
        _log.exception("The landscape of run %s failed.", run_id)
        end = {
            "state": "failed",
            "message": str(problem).strip().partition("\n")[0] or type(problem).__name__,
        }
    _change(folder, order_id, **end, left=None)


def _stopped(folder: Path, order_id: str) -> bool:
    file = folder / STOP
    return file.exists() and file.read_text("utf-8") == order_id


def _change(folder: Path, order_id: str, **values: Any) -> bool:
    """Write down how an order fares; False where another has taken its place."""
    found = json.loads((folder / STATUS).read_text("utf-8"))
    if found["id"] != order_id:
        return False
    _write(folder, **found | values)
    return True


def _write(folder: Path, **values: Any) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with whole(folder / STATUS) as temporary:
        temporary.write_text(json.dumps(values), "utf-8")
