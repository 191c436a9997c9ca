"""The truth about training runs: workers write points and heartbeats here, pages read what is new.

SQLite in write-ahead mode under `home()` by default; `$ADAMSCOPE_STORE` names another database by its
SQLAlchemy URL, e.g. `postgresql+psycopg://…` where several machines share one. Nothing here imports torch.
"""

import math
import os
import secrets
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from sqlalchemy import (
    JSON,
    CursorResult,
    ForeignKey,
    Index,
    create_engine,
    event,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.exc import ArgumentError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.schema import CreateIndex, CreateTable

from optimizers.training.data import home

STALE = 20.0  # seconds without a heartbeat after which a run counts as interrupted
MOST_POINTS = 4_000  # of one racer in one look: more than a chart has pixels
ACTIVE = ("queued", "starting", "running")
LOST = "Its process ended before the run did."


class _Base(DeclarativeBase):
    type_annotation_map = {dict[str, Any]: JSON}  # noqa: RUF012 (SQLAlchemy reads it)


class Run(_Base):
    """One training run: what was asked for, how far it is, how it ended."""

    __tablename__ = "runs"

    id: Mapped[str] = mapped_column(primary_key=True)
    created: Mapped[float]  # seconds since 1970
    config: Mapped[dict[str, Any]]  # TrainConfig as JSON
    state: Mapped[str]  # queued | starting | running | finished | stopped | failed | interrupted
    message: Mapped[str] = mapped_column(default="")  # one sentence for people
    device: Mapped[str] = mapped_column(default="")
    device_name: Mapped[str] = mapped_column(default="")
    precision: Mapped[str] = mapped_column(default="")
    data_note: Mapped[str] = mapped_column(default="")
    parameters: Mapped[int] = mapped_column(default=0)  # of the model
    steps_per_epoch: Mapped[int] = mapped_column(default=0)
    total_steps: Mapped[int] = mapped_column(default=0)
    step: Mapped[int] = mapped_column(default=0)
    seconds: Mapped[float] = mapped_column(default=0.0)  # since training began
    seconds_left: Mapped[float | None]
    samples_per_second: Mapped[float | None]  # pictures, summed over racers
    diverged: Mapped[dict[str, Any]] = mapped_column(default=dict)  # racer (as text) -> step
    summary: Mapped[dict[str, Any] | None]
    heartbeat: Mapped[float]  # seconds since 1970; only active runs have one worth reading
    stop_requested: Mapped[bool] = mapped_column(default=False)

    @property
    def active(self) -> bool:
        """Whether the run waits, starts or trains."""
        return self.state in ACTIVE


class PointRow(_Base):
    """Training loss and accuracy of one racer, averaged over the batches since its last point."""

    __tablename__ = "points"
    __table_args__ = (Index("points_of_run", "run_id", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"))
    racer: Mapped[int]
    step: Mapped[int]
    examples: Mapped[int]
    seconds: Mapped[float]
    loss: Mapped[float | None]  # NULL is NaN, which SQLite can't hold
    accuracy: Mapped[float | None]
    seed: Mapped[int] = mapped_column(default=0)  # its place among the run's seeds


class EvaluationRow(_Base):
    """Test loss and accuracy of one racer after some epochs."""

    __tablename__ = "evaluations"
    __table_args__ = (Index("evaluations_of_run", "run_id", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"))
    racer: Mapped[int]
    step: Mapped[int]
    epoch: Mapped[int]
    loss: Mapped[float | None]
    accuracy: Mapped[float | None]
    seed: Mapped[int] = mapped_column(default=0)  # its place among the run's seeds


@dataclass(frozen=True)
class News:
    """What a run has written since the last look, oldest first; pass `mark` to the next look."""

    points: np.ndarray  # (n, 4): racer, step, loss, accuracy; NaN where a racer diverged
    evaluations: np.ndarray  # (n, 4), the same columns
    mark: tuple[int, int]  # newest ids seen: of points, of evaluations


def default_url() -> str:
    """$ADAMSCOPE_STORE, or SQLite at home()/runs.sqlite."""
    return os.environ.get("ADAMSCOPE_STORE") or f"sqlite:///{home() / 'runs.sqlite'}"


@lru_cache(maxsize=8)
def open_store(url: str) -> "Store":
    """Return this process's one store for `url`."""
    return Store(url)


class Store:
    """Runs and their points in a database.

    Raises:
        OSError: the folder of an SQLite file can't be made.
        sqlalchemy.exc.SQLAlchemyError: the database can't be reached, read or written.
    """

    def __init__(self, url: str) -> None:
        """Connect to `url` and make the tables where they are missing."""
        self.url = url
        try:
            self._engine = create_engine(url)
        except ValueError:  # SQLAlchemy's own for a port that is no number
            raise ArgumentError("The port in its URL is not a number") from None
        if self._engine.dialect.name == "sqlite":
            if self._engine.url.database:
                os.makedirs(os.path.dirname(self._engine.url.database) or ".", exist_ok=True)
            event.listen(self._engine, "connect", _prepare_sqlite)
        with self._engine.begin() as connection:
            for table in _Base.metadata.sorted_tables:
                connection.execute(CreateTable(table, if_not_exists=True))
                for index in table.indexes:
                    connection.execute(CreateIndex(index, if_not_exists=True))

    def create(self, config: dict[str, Any], message: str = "") -> str:
        """Write down a new run, queued; return its id."""
        run_id = secrets.token_hex(4)
        now = time.time()
        with Session(self._engine) as session, session.begin():
            session.add(
                Run(id=run_id, created=now, config=config, state="queued", message=message, heartbeat=now)
            )
        return run_id

    def get(self, run_id: str) -> Run | None:
        """Return the run as it is now, or None. One whose heartbeat is stale is told as interrupted."""
        with Session(self._engine) as session:
            run = session.get(Run, run_id)
            session.expunge_all()
        return _honest(run) if run else None

    def recent(self, limit: int = 12) -> list[Run]:
        """Return the newest runs, newest first."""
        with Session(self._engine) as session:
            runs = list(session.scalars(select(Run).order_by(Run.created.desc()).limit(limit)))
            session.expunge_all()
        return [_honest(run) for run in runs]

    def active(self) -> list[Run]:
        """Return the runs that wait, start or train, newest first."""
        with Session(self._engine) as session:
            query = select(Run).where(Run.state.in_(ACTIVE)).order_by(Run.created.desc())
            runs = list(session.scalars(query))
            session.expunge_all()
        return [run for run in map(_honest, runs) if run.active]

    def claim(self, run_id: str) -> bool:
        """Take a queued run to train it. Only one caller gets True; where the run is not queued, False."""
        query = (
            update(Run)
            .where(Run.id == run_id, Run.state == "queued")
            .values(state="starting", message="", heartbeat=time.time())
        )
        return self._changed(query) == 1

    def interrupt(self, run_id: str) -> None:
        """Write down that an active run lost its process; others stay as they are."""
        query = update(Run).where(Run.id == run_id, Run.state.in_(ACTIVE))
        self._changed(query.values(state="interrupted", message=LOST))

    def change(self, run_id: str, **values: Any) -> None:
        """Set columns of a run."""
        self._changed(update(Run).where(Run.id == run_id).values(**values))

    def beat(self, run_ids: Iterable[str]) -> None:
        """Say that these queued runs still wait for a living process."""
        query = update(Run).where(Run.id.in_(list(run_ids)), Run.state == "queued")
        self._changed(query.values(heartbeat=time.time()))

    def request_stop(self, run_id: str) -> None:
        """Stop a run: at once where it still waits, else after the step under way."""
        stopped = {"stop_requested": True, "state": "stopped", "message": "Stopped before it began."}
        if not self._changed(update(Run).where(Run.id == run_id, Run.state == "queued").values(**stopped)):
            self.change(run_id, stop_requested=True)

    def stop_requested(self, run_id: str) -> bool:
        """Whether someone asked this run to stop."""
        with self._engine.connect() as connection:
            return bool(connection.scalar(select(Run.stop_requested).where(Run.id == run_id)))

    def write(
        self,
        run_id: str,
        points: Sequence[dict[str, Any]] = (),
        evaluations: Sequence[dict[str, Any]] = (),
        **values: Any,
    ) -> bool:
        """Add rows (columns by name, without run_id), set columns, beat; return whether to stop."""
        with self._engine.begin() as connection:
            for table, rows in ((PointRow, points), (EvaluationRow, evaluations)):
                if rows:
                    connection.execute(insert(table), [_storable(run_id, row) for row in rows])
            connection.execute(update(Run).where(Run.id == run_id).values(heartbeat=time.time(), **values))
            return bool(connection.scalar(select(Run.stop_requested).where(Run.id == run_id)))

    def news(self, run_id: str, mark: tuple[int, int] = (0, 0)) -> News:
        """Return the rows that are newer than `mark`.

        Where a racer has more than `MOST_POINTS` of a kind, they are its first, every k-th and its last.
        """
        found, marks = [], []
        with self._engine.connect() as connection:
            for table, newest in ((PointRow, mark[0]), (EvaluationRow, mark[1])):
                columns = (table.racer, table.step, table.loss, table.accuracy, table.id)
                place = func.row_number().over(partition_by=table.racer, order_by=table.id).label("place")
                total = func.count().over(partition_by=table.racer).label("total")
                new = select(*columns, place, total).where(table.run_id == run_id, table.id > newest)
                all_new = new.subquery()
                at, last = all_new.c.place, all_new.c.total
                kept = (at == 1) | ((last - at) % ((last - 1) // MOST_POINTS + 1) == 0)
                query = select(*list(all_new.c)[:5]).where(kept).order_by(all_new.c.id)
                rows = connection.execute(query).all()
                table_of_rows = np.array([tuple(row) for row in rows], dtype=float)  # NULL becomes NaN
                found.append(table_of_rows.reshape(-1, 5)[:, :4])
                marks.append(rows[-1].id if rows else newest)
        return News(found[0], found[1], (marks[0], marks[1]))

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    def _changed(self, query: Any) -> int:
        with self._engine.begin() as connection:
            result: CursorResult[Any] = connection.execute(query)
            return result.rowcount


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA journal_mode=WAL")  # pages read while a worker writes
    connection.execute(
        "PRAGMA synchronous=NORMAL"
    )  # safe with WAL, and no flush to disk at each batch of points
    connection.execute("PRAGMA busy_timeout=10000")


def _storable(run_id: str, row: dict[str, Any]) -> dict[str, Any]:
    nan = {name: None for name in ("loss", "accuracy") if math.isnan(row[name])}
    return {**row, **nan, "run_id": run_id}


def _honest(run: Run) -> Run:
    patience = 3 * STALE if run.state == "queued" else STALE  # a cluster may be long in starting
    if run.active and time.time() - run.heartbeat > patience:
        run.state, run.message = "interrupted", LOST
    return run
