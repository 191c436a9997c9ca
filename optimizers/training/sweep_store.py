"""Sweeps in the store, beside the runs: how far each is, and every network of its trials.

The process that conducts a sweep writes; pages read. Whether it lives is told from its beats, as with runs.
"""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from sqlalchemy import JSON, ForeignKey, Index, delete, insert, select, update
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, defer, mapped_column

from optimizers.training.config import TrainConfig
from optimizers.training.data import entry
from optimizers.training.store import STALE, Run, Store, _prepare_tables
from optimizers.training.sweep import Network, SweepConfig

ACTIVE = ("queued", "running")
LOST = "Its process ended before the sweep did."
MOST_PACES = 9  # of the newest like it, from which is told how long a sweep takes
MOST_READ = 40  # among so many sweeps, and so many runs


class _Base(DeclarativeBase):
    type_annotation_map = {dict[str, Any]: JSON, list[Any]: JSON}  # noqa: RUF012 (SQLAlchemy reads it)


class Sweep(_Base):
    """One sweep: what was asked for, how far it is, how it ended."""

    __tablename__ = "sweeps"

    id: Mapped[str] = mapped_column(primary_key=True)
    created: Mapped[float]  # seconds since 1970
    config: Mapped[dict[str, Any]]  # SweepConfig as JSON
    state: Mapped[str]  # queued | running | finished | stopped | failed | interrupted
    message: Mapped[str] = mapped_column(default="")  # one sentence for people
    said: Mapped[list[Any]] = mapped_column(default=list)  # sentences: a lost worker, a rung that ended
    share: Mapped[float] = mapped_column(default=0.0)  # 0 to 1: of its work
    seconds: Mapped[float] = mapped_column(default=0.0)
    seconds_left: Mapped[float | None]
    pictures_per_second: Mapped[float | None]
    summary: Mapped[dict[str, Any] | None]
    beats: Mapped[int] = mapped_column(default=0)  # grows while its process lives
    stop_requested: Mapped[bool] = mapped_column(default=False)

    @property
    def active(self) -> bool:
        """Whether the sweep waits or trains."""
        return self.state in ACTIVE


class NetworkRow(_Base):
    """One network of a sweep, as `sweep.Network`."""

    __tablename__ = "sweep_networks"
    __table_args__ = (Index("networks_of_sweep", "sweep_id"),)

    id: Mapped[str] = mapped_column(primary_key=True)  # sweep, trial and seed
    sweep_id: Mapped[str] = mapped_column(ForeignKey("sweeps.id"))
    trial: Mapped[int]
    seed: Mapped[int]
    state: Mapped[str]
    epochs: Mapped[int]
    history: Mapped[list[Any]]  # [epoch, loss, accuracy]; null is NaN, which JSON has none of
    seconds: Mapped[float]
    diverged_at: Mapped[int | None]


class SweepStore:
    """Sweeps in the database of a `Store`.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: the database can't be reached, read or written.
    """

    def __init__(self, store: Store) -> None:
        """Make the tables where they are missing."""
        self.store, self._engine = store, store._engine
        self._seen: dict[str, tuple[int, float]] = {}  # sweep -> beats, since when
        with self._engine.begin() as connection:
            _prepare_tables(connection, _Base.metadata)

    def create(self, config: SweepConfig, message: str = "") -> str:
        """Write down a new sweep, queued; return its id."""
        sweep_id = secrets.token_hex(4)
        sweep = Sweep(
            id=sweep_id, created=time.time(), config=config.to_dict(), state="queued", message=message
        )
        with Session(self._engine) as session, session.begin():
            session.add(sweep)
        return sweep_id

    def get(self, sweep_id: str) -> Sweep | None:
        """Return the sweep as it is now, or None. One that has ceased to beat is told as interrupted."""
        with Session(self._engine) as session:
            sweep = session.get(Sweep, sweep_id)
            session.expunge_all()
        return self._honest(sweep) if sweep else None

    def recent(self, limit: int = 12) -> list[Sweep]:
        """Return the newest sweeps without their summaries, newest first."""
        query = select(Sweep).options(defer(Sweep.summary, raiseload=True)).order_by(Sweep.created.desc())
        with Session(self._engine) as session:
            found = list(session.scalars(query.limit(limit)))
            session.expunge_all()
        return [self._honest(sweep) for sweep in found]

    def active(self) -> list[Sweep]:
        """Return the sweeps that wait or train, newest first."""
        with Session(self._engine) as session:
            query = select(Sweep).where(Sweep.state.in_(ACTIVE)).order_by(Sweep.created.desc())
            found = list(session.scalars(query))
            session.expunge_all()
        return [sweep for sweep in map(self._honest, found) if sweep.active]

    def networks(self, sweep_id: str) -> list[Network]:
        """Return every network that has been written down, trial after trial."""
        query = select(NetworkRow).where(NetworkRow.sweep_id == sweep_id)
        with Session(self._engine) as session:
            rows = list(session.scalars(query.order_by(NetworkRow.trial, NetworkRow.seed)))
        return [
            Network(
                row.trial,
                row.seed,
                row.state,
                row.epochs,
                tuple((epoch, _from(loss), _from(accuracy)) for epoch, loss, accuracy in row.history),
                row.seconds,
                row.diverged_at,
            )
            for row in rows
        ]

    def write(self, sweep_id: str, networks: Iterable[Network] = (), **values: Any) -> bool:
        """Replace these networks, set columns of the sweep, beat; return whether to stop."""
        rows = [
            {
                "id": f"{sweep_id}-{one.trial}-{one.seed}",
                "sweep_id": sweep_id,
                "trial": one.trial,
                "seed": one.seed,
                "state": one.state,
                "epochs": one.epochs,
                "history": [[epoch, _to(loss), _to(accuracy)] for epoch, loss, accuracy in one.history],
                "seconds": one.seconds,
                "diverged_at": one.diverged_at,
            }
            for one in networks
        ]
        here = update(Sweep).where(Sweep.id == sweep_id)
        with self._engine.begin() as connection:
            connection.execute(here.values(beats=Sweep.beats + 1, **values))
            if rows:
                connection.execute(delete(NetworkRow).where(NetworkRow.id.in_([row["id"] for row in rows])))
                connection.execute(insert(NetworkRow), rows)
            return bool(connection.scalar(select(Sweep.stop_requested).where(Sweep.id == sweep_id)))

    def request_stop(self, sweep_id: str) -> None:
        """Ask a sweep to stop after the steps under way; what was found is kept."""
        query = update(Sweep).where(Sweep.id == sweep_id, Sweep.state.in_(ACTIVE))
        with self._engine.begin() as connection:
            connection.execute(query.values(stop_requested=True))

    def interrupt(self, sweep_id: str, message: str = LOST) -> None:
        """Write down that an active sweep lost its process; others stay as they are."""
        query = update(Sweep).where(Sweep.id == sweep_id, Sweep.state.in_(ACTIVE))
        with self._engine.begin() as connection:
            connection.execute(query.values(state="interrupted", message=message))

    def _honest(self, sweep: Sweep) -> Sweep:
        """Tell a sweep as interrupted whose beats this reader has not seen change for long."""
        now = time.monotonic()
        seen, since = self._seen.get(sweep.id, (-1, now))
        if not sweep.active:
            self._seen.pop(sweep.id, None)
        elif seen != sweep.beats:
            self._seen[sweep.id] = sweep.beats, now
        elif now - since > STALE * (3 if sweep.state == "queued" else 1):  # a cluster may be long in starting
            sweep.state, sweep.message = "interrupted", LOST
        return sweep

    def pace(self, config: SweepConfig) -> Pace | None:
        """Return how fast the newest runs and sweeps like this one were trained; None where there are none.

        Like it is what has its network, its kind of examples, and its device and precision where it names
        them. A machine that others use is slow at times: the middle of several says more than the newest.
        """
        base = config.base
        ended = ("finished", "stopped")
        of_sweeps = select(Sweep).where(Sweep.state.in_(ended), Sweep.pictures_per_second > 0)
        of_runs = select(Run).where(Run.state.in_(ended), Run.samples_per_second > 0)
        found: list[tuple[float, float]] = []  # when, pictures a second
        with Session(self._engine) as session:
            for sweep in session.scalars(of_sweeps.order_by(Sweep.created.desc()).limit(MOST_READ)):
                given = sweep.config["base"]
                if _alike(base, given, given.get("device"), given.get("precision")):
                    found.append((sweep.created, sweep.pictures_per_second or 0.0))
            of_runs = of_runs.options(defer(Run.summary, raiseload=True))
            found += [
                (run.created, run.samples_per_second or 0.0)
                for run in session.scalars(of_runs.order_by(Run.created.desc()).limit(MOST_READ))
                if _alike(base, run.config, run.device, run.precision)
            ]
        if not found:
            return None
        newest = [each for _, each in sorted(found)[-MOST_PACES:]]
        slow, middle, fast = np.quantile(newest, (0.25, 0.5, 0.75)).tolist()
        return Pace(slow, middle, fast, len(newest))


class Pace(NamedTuple):
    """How fast several were trained, in pictures a second of all networks together."""

    slow: float  # a quarter was slower
    middle: float
    fast: float  # a quarter was faster
    of: int  # how many they were


def _alike(base: TrainConfig, given: dict[str, Any], device: str | None, precision: str | None) -> bool:
    """Whether something trained the network of `base` on the like of its examples, in a like way."""
    try:
        same = entry(given.get("data", "")).shape == entry(base.data).shape
    except ValueError:  # written by a version that knew other data
        return False
    named = base.device in ("auto", device) and base.precision in ("auto", precision)
    return same and given.get("model") == base.model and named


def _to(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _from(value: float | None) -> float:
    return math.nan if value is None else value
