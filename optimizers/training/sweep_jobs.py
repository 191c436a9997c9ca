"""Sweeps of the pages: conducted by the process that holds the `cluster`, written down in the store.

Workers of their own carry them out, one task at a time and first come, first served: runs and other people's
sweeps need not wait for the end of one.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import SQLAlchemyError

from optimizers.training import cluster, jobs
from optimizers.training.data import DataError
from optimizers.training.store import Store, default_url, open_store
from optimizers.training.sweep import Changed, Network, Pace, Said, SweepConfig
from optimizers.training.sweep_store import SweepStore
from optimizers.training.telemetry import StopTraining

if TYPE_CHECKING:
    from optimizers.training.cluster import Workers

FLUSH = 0.4  # seconds between two writes of what has changed
BEAT = 2.0  # seconds between two writes where nothing has
PATIENCE = 30.0  # seconds for which a store that refuses to be written is tried again

_log = logging.getLogger(__name__)


# In the server ----------------------------------------------------------------------------------------------


def start(config: SweepConfig, store: Store | None = None) -> str:
    """Write a sweep into the store, hand it to the cluster, and return its id at once.

    Raises:
        OSError: the cluster's process can't be started.
    """
    store = store or open_store(default_url())
    sweeps = SweepStore(store)
    sweep_id = sweeps.create(config, message=jobs.WAITING)
    try:
        cluster.order({"sweep_id": sweep_id, "url": store.url})
    except OSError:  # nobody will ever train it
        sweeps.write(sweep_id, state="failed", message="Its worker process could not be started.")
        raise
    return sweep_id


# In the process that holds the cluster ----------------------------------------------------------------------

_conducted: dict[str, SweepStore] = {}  # the sweeps under way


def place(workers: Workers, order: dict[str, str]) -> None:
    """Conduct a sweep from a thread of its own."""
    sweeps = SweepStore(open_store(order["url"]))
    _conducted[order["sweep_id"]] = sweeps
    workers.resources("sweep")  # started from here: two threads at once would start twice as many
    threading.Thread(target=conduct, args=(workers, order["sweep_id"], sweeps), daemon=True).start()


def fail(sweep_id: str, url: str, message: str) -> None:
    """Write down that nobody will conduct a sweep."""
    SweepStore(open_store(url)).write(sweep_id, state="failed", message=message)


def interrupt_all() -> None:
    """Write down that this process ends before its sweeps do."""
    for sweep_id, sweeps in list(_conducted.items()):
        try:
            sweeps.interrupt(sweep_id)
        except SQLAlchemyError:  # its silence will tell
            _log.exception("Sweep %s could not be written down as interrupted.", sweep_id)


def conduct(workers: Workers, sweep_id: str, sweeps: SweepStore) -> None:
    """Carry out a sweep of the store to its end."""
    from optimizers.training.sweep_report import summarise
    from optimizers.training.sweep_run import run_on

    sweep = sweeps.get(sweep_id)
    assert sweep is not None
    end: dict[str, Any]
    try:
        config = SweepConfig.from_json(json.dumps(sweep.config))
        recorder = Recorder(sweeps, sweep_id)
        recorder.values |= {"state": "running", "message": ""}
        result = run_on(
            workers.client, config, recorder, resources=workers.resources("sweep"), slots=workers.each
        )
        state = "stopped" if result.stopped else "finished"
        end = {"state": state, "seconds": result.seconds, "summary": summarise(result)}
        if not result.stopped:
            end["share"] = 1.0
        end |= {"seconds_left": 0.0, "said": list(result.said), "networks": result.networks}
    except (ValueError, DataError) as problem:  # what is wrong with the question, or the pictures
        end = {"state": "failed", "message": str(problem)}
    except Exception as problem:
        _log.exception("Sweep %s failed.", sweep_id)
        end = {"state": "failed", "message": jobs._first_line(problem)}
    try:
        sweeps.write(sweep_id, **end)
    except SQLAlchemyError:  # its silence will tell
        _log.exception("The end of sweep %s could not be written.", sweep_id)
    del _conducted[sweep_id]


class Recorder:
    """Takes the events of `run_on`, which come twice a second at least, and writes them to the store."""

    def __init__(self, sweeps: SweepStore, sweep_id: str) -> None:
        """Record for this sweep."""
        self._sweeps, self._sweep_id = sweeps, sweep_id
        self.networks: dict[tuple[int, int], Network] = {}  # changed since the last write
        self.values: dict[str, Any] = {}
        self._said: list[str] = []
        self._written = self._well = time.monotonic()

    def __call__(self, event: object) -> None:
        """Take one event; raises StopTraining when the sweep is to stop."""
        match event:
            case Changed():
                self.networks.update({(one.trial, one.seed): one for one in event.networks})
            case Said():
                self._said.append(event.text)
                self.values["said"] = list(self._said)
            case Pace():
                news = bool(self.networks or self.values)
                if time.monotonic() - self._written > (FLUSH if news else BEAT):
                    self.values |= {
                        "share": event.share,
                        "seconds": event.seconds,
                        "seconds_left": event.seconds_left,
                        "pictures_per_second": event.pictures_per_second,
                    }
                    self.flush()

    def flush(self) -> None:
        """Write what has changed; what can't be written is tried again for PATIENCE seconds."""
        now = self._written = time.monotonic()
        try:
            stop = self._sweeps.write(self._sweep_id, self.networks.values(), **self.values)
        except SQLAlchemyError:
            if now - self._well > PATIENCE:
                raise
            _log.exception("The store could not be written; it is tried again.")
            return
        self._well = now
        self.networks, self.values = {}, {}
        if stop:
            raise StopTraining
