"""The truth about training runs: workers write points and heartbeats here, pages read what is new.

SQLite in write-ahead mode under `home()` by default; `$ADAMSCOPE_STORE` names another database by its
SQLAlchemy URL, e.g. `postgresql+psycopg://…` where several machines share one. Nothing here imports torch.
"""

import math
import os
import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from sqlalchemy import (
    JSON,
    Connection,
    CursorResult,
    ForeignKey,
    Index,
    MetaData,
    Table,
    create_engine,
    delete,
    event,
    false,
    func,
    insert,
    inspect,
    select,
    text,
    update,
)
from sqlalchemy.exc import ArgumentError, DatabaseError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, defer, mapped_column
from sqlalchemy.schema import CreateColumn, CreateIndex, CreateTable

from optimizers.training.data import home

STALE = 20.0  # seconds in which a run has not beaten, after which it counts as interrupted
MOST_POINTS = 4_000  # of one racer in one look: more than a chart has pixels
MOST_INSIDES = 500  # of one racer and layer
MOST_LOOKS = 60  # of one racer
MOST_LISTED = 200  # runs
ACTIVE = ("queued", "starting", "running")
RESUMABLE = ("paused", "stopped", "failed", "interrupted")
LOST = "Its process ended before the run did."


class _Base(DeclarativeBase):
    type_annotation_map = {dict[str, Any]: JSON, list[Any]: JSON}  # noqa: RUF012 (SQLAlchemy reads it)


class Run(_Base):
    """One training run: what was asked for, how far it is, how it ended."""

    __tablename__ = "runs"

    id: Mapped[str] = mapped_column(primary_key=True)
    created: Mapped[float]  # seconds since 1970
    config: Mapped[dict[str, Any]]  # TrainConfig as JSON
    state: Mapped[str]  # queued | starting | running | paused | finished | stopped | failed | interrupted
    message: Mapped[str] = mapped_column(default="")  # one sentence for people
    warning: Mapped[str] = mapped_column(default="", server_default="")  # the same, while the run goes on
    name: Mapped[str] = mapped_column(default="", server_default="")  # a learner's own
    notes: Mapped[str] = mapped_column(default="", server_default="")
    device: Mapped[str] = mapped_column(default="")
    device_name: Mapped[str] = mapped_column(default="")
    precision: Mapped[str] = mapped_column(default="")
    data_note: Mapped[str] = mapped_column(default="")
    how: Mapped[str] = mapped_column(default="", server_default="")  # the networks train at once, on a GPU
    parameters: Mapped[int] = mapped_column(default=0)  # of the model
    steps_per_epoch: Mapped[int] = mapped_column(default=0)
    total_steps: Mapped[int] = mapped_column(default=0)
    step: Mapped[int] = mapped_column(default=0)
    seconds: Mapped[float] = mapped_column(default=0.0)  # since training began
    seconds_left: Mapped[float | None]
    samples_per_second: Mapped[float | None]  # pictures, summed over racers
    diverged: Mapped[dict[str, Any]] = mapped_column(default=dict)  # racer (as text) -> step
    summary: Mapped[dict[str, Any] | None]
    heartbeat: Mapped[float]  # seconds since 1970 by the writer's clock, for people: clocks jump, and differ
    beats: Mapped[int] = mapped_column(default=0, server_default="0")  # grows while its process lives
    stop_requested: Mapped[bool] = mapped_column(default=False)
    pause_requested: Mapped[bool] = mapped_column(
        default=False, server_default=false()
    )  # how the stop is meant
    owner: Mapped[str] = mapped_column(default="", server_default="")  # the order it was last handed out with
    attempt: Mapped[int] = mapped_column(default=0, server_default="0")  # how often it was begun or resumed
    kept_step: Mapped[int | None]  # of its newest checkpoint
    layers: Mapped[list[Any] | None]  # names of the network's
    classes: Mapped[list[Any] | None]  # names of the data's
    memory: Mapped[float | None]  # bytes its process takes, or takes of the GPU's

    @property
    def active(self) -> bool:
        """Whether the run waits, starts or trains."""
        return self.state in ACTIVE

    @property
    def resumable(self) -> bool:
        """Whether the run rests and can go on."""
        return self.state in RESUMABLE


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
    seed: Mapped[int] = mapped_column(default=0, server_default="0")  # its place among the run's seeds


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
    seed: Mapped[int] = mapped_column(default=0, server_default="0")  # its place among the run's seeds


class InsideRow(_Base):
    """What a step did inside a network: `telemetry.Inside`. NULL is NaN."""

    __tablename__ = "insides"
    __table_args__ = (Index("insides_of_run", "run_id", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"))
    racer: Mapped[int]
    seed: Mapped[int]
    step: Mapped[int]
    layer: Mapped[int]
    effective_low: Mapped[float | None]
    effective_median: Mapped[float | None]
    effective_high: Mapped[float | None]
    ratio: Mapped[float | None]
    gradient: Mapped[float | None]
    cosine: Mapped[float | None]
    under_eps: Mapped[float | None]
    distance: Mapped[float | None]


class SharpnessRow(_Base):
    """`telemetry.Sharpness`. NULL is NaN."""

    __tablename__ = "sharpnesses"
    __table_args__ = (Index("sharpnesses_of_run", "run_id", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"))
    racer: Mapped[int]
    seed: Mapped[int]
    step: Mapped[int]
    raw: Mapped[float | None]
    preconditioned: Mapped[float | None]
    bound: Mapped[float | None]


class LookRow(_Base):
    """What a network makes of the test pictures: `telemetry.Look`, its pictures aside."""

    __tablename__ = "looks"
    __table_args__ = (Index("looks_of_run", "run_id", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"))
    racer: Mapped[int]
    step: Mapped[int]
    epoch: Mapped[int]
    confusion: Mapped[list[Any]]  # K × K
    filters: Mapped[bytes]  # (n, H, W, C) int8
    shape: Mapped[list[Any]]  # n, H, W, C
    largest: Mapped[float]
    mistakes: Mapped[list[Any]]  # of each: position, label, prediction, confidence
    seed: Mapped[int] = mapped_column(default=0, server_default="0")  # its place among the run's seeds


class PictureRow(_Base):
    """A test picture that a network got wrong."""

    __tablename__ = "pictures"
    __table_args__ = (Index("pictures_of_run", "run_id", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"))
    position: Mapped[int]  # in the test set
    shape: Mapped[list[Any]]  # H, W, C
    data: Mapped[bytes]  # uint8


MEASURED = (PointRow, EvaluationRow, InsideRow, SharpnessRow, LookRow)  # have a step
Row = type[PointRow | EvaluationRow | InsideRow | SharpnessRow | LookRow | PictureRow]


@dataclass(frozen=True)
class News:
    """What a run has written since the last look, oldest first; pass `mark` to the next look."""

    points: np.ndarray  # (n, 7): racer, step, loss, accuracy, seed, examples, seconds; NaN where one diverged
    evaluations: np.ndarray  # (n, 5), the first five of these columns
    mark: tuple[int, int]  # newest ids seen: of points, of evaluations


@dataclass(frozen=True)
class InsideNews:
    """The same of what was measured inside the networks."""

    insides: np.ndarray  # (n, 12): the columns of InsideRow from racer on
    sharpnesses: np.ndarray  # (n, 6): those of SharpnessRow
    mark: tuple[int, int]


@dataclass(frozen=True)
class LookNews:
    """The same of what the networks make of the test pictures."""

    looks: list[LookRow]
    pictures: list[PictureRow]
    mark: tuple[int, int]


class Claim(NamedTuple):
    """A run that was taken to train it."""

    attempt: int  # goes with every write: a later attempt shuts out an earlier one
    again: bool  # its process had begun and is gone, and nobody pressed anything: the cluster tries again


class TakenOverError(RuntimeError):
    """The run was deleted, or another process trains it: this one has no more to say."""


def default_url() -> str:
    """$ADAMSCOPE_STORE, or SQLite at home()/runs.sqlite."""
    return os.environ.get("ADAMSCOPE_STORE") or f"sqlite:///{home() / 'runs.sqlite'}"


@lru_cache(maxsize=8)
def open_store(url: str) -> "Store":
    """Return this process's one store for `url`."""
    return Store(url)


class Store:
    """Runs and their points in a database.

    Whether the process of a run lives is told from its beats: each of its writes adds one. A reader that has
    seen none for `STALE` seconds of its own monotonic clock takes the run as interrupted. No two clocks are
    compared, and none that can be set.

    Raises:
        OSError: the folder of an SQLite file can't be made.
        sqlalchemy.exc.SQLAlchemyError: the database can't be reached, read or written.
    """

    def __init__(self, url: str) -> None:
        """Connect to `url` and make the tables where they are missing."""
        self.url = url
        try:
            self._engine = create_engine(url, pool_pre_ping=True)  # a database server may be started anew
        except ValueError:  # SQLAlchemy's own for a port that is no number
            raise ArgumentError("The port in its URL is not a number") from None
        if self._engine.dialect.name == "sqlite":
            if self._engine.url.database:
                os.makedirs(os.path.dirname(self._engine.url.database) or ".", exist_ok=True)
            event.listen(self._engine, "connect", _prepare_sqlite)
        self._seen: dict[str, tuple[tuple[int, int], float]] = {}  # run -> (attempt, beats), since when
        with self._engine.begin() as connection:
            _prepare_tables(connection, _Base.metadata)

    def create(self, config: dict[str, Any], message: str = "", owner: str = "") -> str:
        """Write down a new run, queued; return its id."""
        run_id = secrets.token_hex(4)
        now = time.time()
        run = Run(
            id=run_id, created=now, config=config, state="queued", message=message, owner=owner, heartbeat=now
        )
        with Session(self._engine) as session, session.begin():
            session.add(run)
        return run_id

    def get(self, run_id: str) -> Run | None:
        """Return the run as it is now, or None. One that has ceased to beat is told as interrupted."""
        with Session(self._engine) as session:
            run = session.get(Run, run_id)
            session.expunge_all()
        return self._honest(run) if run else None

    def recent(self, limit: int = 12) -> list[Run]:
        """Return the newest runs without their summaries, newest first."""
        with Session(self._engine) as session:
            query = select(Run).options(defer(Run.summary, raiseload=True)).order_by(Run.created.desc())
            runs = list(session.scalars(query.limit(limit)))
            session.expunge_all()
        return [self._honest(run) for run in runs]

    def active(self) -> list[Run]:
        """Return the runs that wait, start or train, newest first."""
        with Session(self._engine) as session:
            query = select(Run).where(Run.state.in_(ACTIVE)).order_by(Run.created.desc())
            runs = list(session.scalars(query))
            session.expunge_all()
        return [run for run in map(self._honest, runs) if run.active]

    def best(self, run_ids: Iterable[str]) -> dict[str, float]:
        """Return the best test accuracy of each run that has trained, 0 to 1."""
        query = (
            select(EvaluationRow.run_id, func.max(EvaluationRow.accuracy))
            .where(EvaluationRow.run_id.in_(list(run_ids)), EvaluationRow.epoch > 0)
            .group_by(EvaluationRow.run_id)
        )
        with self._engine.connect() as connection:
            return {run_id: best for run_id, best in connection.execute(query) if best is not None}

    def claim(self, run_id: str, owner: str = "") -> Claim | None:
        """Take a run to train it; None where it does not wait, or was handed to another cluster meanwhile.

        One that has begun already is claimed again by the order it was handed out with: a cluster does so
        when the process of its task is gone.
        """
        mine = (Run.id == run_id, Run.owner == owner)
        with self._engine.begin() as connection:
            found = connection.execute(select(Run.state, Run.attempt).where(*mine)).one_or_none()
            if found is None or found.state not in ACTIVE:
                return None
            query = (
                update(Run)
                .where(*mine, Run.state == found.state, Run.attempt == found.attempt)
                .values(state="starting", message="", warning="", attempt=found.attempt + 1, **_beat())
            )
            if connection.execute(query).rowcount != 1:
                return None
        return Claim(found.attempt + 1, again=found.state != "queued")

    def interrupt(self, run_id: str, owner: str = "", message: str = LOST) -> None:
        """Write down that an active run lost its process; others, and those of other orders, stay."""
        query = update(Run).where(Run.id == run_id, Run.owner == owner, Run.state.in_(ACTIVE))
        self._changed(query.values(state="interrupted", message=message))

    def change(self, run_id: str, **values: Any) -> None:
        """Set columns of a run."""
        self._changed(update(Run).where(Run.id == run_id).values(**values))

    def beat(self, run_ids: Iterable[str]) -> None:
        """Say that these queued runs still wait for a living process."""
        query = update(Run).where(Run.id.in_(list(run_ids)), Run.state == "queued")
        self._changed(query.values(**_beat()))

    def request_stop(self, run_id: str) -> None:
        """Stop a run: at once where it still waits, else after the step under way."""
        self._request(run_id, "stopped", "Stopped before it began.", pause_requested=False)

    def request_pause(self, run_id: str) -> None:
        """Pause a run, which frees its process; when, is as with `request_stop`."""
        self._request(run_id, "paused", "Paused before it began.", pause_requested=True)

    def _request(self, run_id: str, state: str, message: str, **values: Any) -> None:
        asked = {"stop_requested": True, **values}
        waits = update(Run).where(Run.id == run_id, Run.state == "queued")
        if not self._changed(waits.values(state=state, message=message, **asked)):
            self._changed(update(Run).where(Run.id == run_id, Run.state.in_(ACTIVE)).values(**asked))

    def requeue(self, run: Run, owner: str, message: str = "") -> bool:
        """Let a run that rests wait for a process again; False where it has gone on since it was read."""
        query = (
            update(Run)
            .where(Run.id == run.id, Run.attempt == run.attempt, Run.beats == run.beats)
            .where(Run.state.in_((*RESUMABLE, *ACTIVE)))  # active by name: one that has ceased to beat
            .values(state="queued", owner=owner, message=message, warning="", summary=None, **_beat())
            .values(stop_requested=False, pause_requested=False)
        )
        return run.resumable and self._changed(query) == 1

    def delete(self, run: Run) -> bool:
        """Delete a run that rests, and all that was measured of it; False where it has gone on meanwhile."""
        if run.active:
            return False
        here = (Run.id == run.id, Run.attempt == run.attempt, Run.beats == run.beats)
        with self._engine.begin() as connection:
            if connection.execute(update(Run).where(*here).values(attempt=Run.attempt + 1)).rowcount != 1:
                return False
            for table in reversed(_Base.metadata.sorted_tables):
                key = table.c.id if table.name == Run.__tablename__ else table.c.run_id
                connection.execute(delete(table).where(key == run.id))
        return True

    def stop_requested(self, run_id: str) -> bool:
        """Whether someone asked this run to stop or to pause."""
        with self._engine.connect() as connection:
            return bool(connection.scalar(select(Run.stop_requested).where(Run.id == run_id)))

    def write(
        self,
        run_id: str,
        points: Sequence[dict[str, Any]] = (),
        evaluations: Sequence[dict[str, Any]] = (),
        more: Mapping[Row, Sequence[dict[str, Any]]] | None = None,
        *,
        attempt: int | None = None,
        rewind: int | None = None,
        **values: Any,
    ) -> bool:
        """Add rows (columns by name, without run_id), set columns, beat; return whether to stop.

        Args:
            run_id: the run.
            points: of PointRow.
            evaluations: of EvaluationRow.
            more: of other tables; a picture that the run has already is left out.
            attempt: of the claim by which the caller trains the run.
            rewind: before that, forget what was measured after this step: the run goes on from there.
            values: columns of the run.

        Raises:
            TakenOverError: a later attempt has the run, or it is deleted.
        """
        here = [Run.id == run_id] + ([Run.attempt == attempt] if attempt is not None else [])
        with self._engine.begin() as connection:
            if connection.execute(update(Run).where(*here).values(**_beat(), **values)).rowcount != 1:
                raise TakenOverError(f"Run {run_id} is deleted, or another process trains it.")
            if rewind is not None:
                for table in MEASURED:
                    connection.execute(delete(table).where(table.run_id == run_id, table.step > rewind))
            given: list[tuple[Row, Sequence[dict[str, Any]]]] = [
                (PointRow, points),
                (EvaluationRow, evaluations),
            ]
            for kind, rows in (*given, *(more or {}).items()):
                if kind is PictureRow and rows:
                    query = select(PictureRow.position).where(PictureRow.run_id == run_id)
                    known = set(connection.scalars(query))
                    rows = list({r["position"]: r for r in rows if r["position"] not in known}.values())
                if rows:
                    connection.execute(insert(kind), [_storable(run_id, row) for row in rows])
            return bool(connection.scalar(select(Run.stop_requested).where(Run.id == run_id)))

    def news(self, run_id: str, mark: tuple[int, int] = (0, 0)) -> News:
        """Return the rows that are newer than `mark`.

        Where a racer has more than `MOST_POINTS` of a kind, they are its first, every k-th and its last.
        """
        columns = ("racer", "step", "loss", "accuracy", "seed")
        timed, lane = (*columns, "examples", "seconds"), ("racer", "seed")
        with self._engine.connect() as connection:
            points, last = _new(connection, PointRow, timed, lane, run_id, mark[0], MOST_POINTS)
            tests, last_test = _new(connection, EvaluationRow, columns, lane, run_id, mark[1], MOST_POINTS)
        return News(_table(points, timed), _table(tests, columns), (last, last_test))

    def inside(self, run_id: str, mark: tuple[int, int] = (0, 0)) -> InsideNews:
        """Return what is newer than `mark` of the networks' inside, thinned as `news` to MOST_INSIDES."""
        insides, sharps = _columns_of(InsideRow), _columns_of(SharpnessRow)
        lane = ("racer", "seed")
        with self._engine.connect() as connection:
            inside, last = _new(
                connection, InsideRow, insides, (*lane, "layer"), run_id, mark[0], MOST_INSIDES
            )
            sharp, last_sharp = _new(connection, SharpnessRow, sharps, lane, run_id, mark[1], MOST_INSIDES)
        return InsideNews(_table(inside, insides), _table(sharp, sharps), (last, last_sharp))

    def looks(self, run_id: str, mark: tuple[int, int] = (0, 0), seed: int = 0) -> LookNews:
        """Return the looks at the test pictures, with one of the seeds, that are newer than `mark`.

        They are thinned to MOST_LOOKS a racer.
        """
        lane = ("racer", "seed")
        with Session(self._engine) as session:
            new, _ = _new(session.connection(), LookRow, lane, lane, run_id, mark[0], MOST_LOOKS)
            new = [row for row in new if row[1] == seed]
            query = select(LookRow).where(LookRow.id.in_([row[-1] for row in new])).order_by(LookRow.id)
            looks = list(session.scalars(query))
            more = select(PictureRow).where(PictureRow.run_id == run_id, PictureRow.id > mark[1])
            pictures = list(session.scalars(more.order_by(PictureRow.id)))
            session.expunge_all()
        last = looks[-1].id if looks else mark[0]
        return LookNews(looks, pictures, (last, pictures[-1].id if pictures else mark[1]))

    def rows(
        self, run_id: str, tables: Sequence[Row] = (PointRow, EvaluationRow)
    ) -> list[list[dict[str, Any]]]:
        """Return every row of a run, table by table, columns by name, NaN for what is no number."""
        found = []
        with self._engine.connect() as connection:
            for table in tables:
                columns = [column for column in table.__table__.c if column.name not in ("id", "run_id")]
                query = select(*columns).where(table.run_id == run_id).order_by(table.id)
                found.append([_readable(row._asdict()) for row in connection.execute(query)])
        return found

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    def _honest(self, run: Run) -> Run:
        """Tell a run as interrupted whose beats this reader has not seen change for long."""
        if not run.active:
            self._seen.pop(run.id, None)
            return run
        now, beats = time.monotonic(), (run.attempt, run.beats)
        seen, since = self._seen.get(run.id, (None, now))
        if seen != beats:
            self._seen[run.id] = beats, now
            return run
        patience = 3 * STALE if run.state == "queued" else STALE  # a cluster may be long in starting
        if now - since > patience:
            run.state, run.message = "interrupted", LOST
        return run

    def _changed(self, query: Any) -> int:
        with self._engine.begin() as connection:
            result: CursorResult[Any] = connection.execute(query)
            return result.rowcount


def _new(
    connection: Connection,
    table: Row,
    columns: Sequence[str],
    lane: Sequence[str],  # what a line is drawn of
    run_id: str,
    newest: int,
    most: int,  # rows of a lane: beyond, they are its first, every k-th and its last
) -> tuple[list[tuple[Any, ...]], int]:
    """Return the rows newer than `newest`, oldest first, their ids last; and the newest id now."""
    own = table.__table__.c
    by = [own[name] for name in lane]
    place = func.row_number().over(partition_by=by, order_by=own.id).label("place")
    total = func.count().over(partition_by=by).label("total")
    chosen = [own[name] for name in columns]
    all_new = select(*chosen, own.id, place, total).where(own.run_id == run_id, own.id > newest).subquery()
    at, last = all_new.c.place, all_new.c.total
    kept = (at == 1) | ((last - at) % ((last - 1) // most + 1) == 0)
    query = select(*list(all_new.c)[:-2]).where(kept).order_by(all_new.c.id)
    rows = [tuple(row) for row in connection.execute(query)]
    return rows, rows[-1][-1] if rows else newest


def _table(rows: Sequence[tuple[Any, ...]], columns: Sequence[str]) -> np.ndarray:
    """Return rows without their ids, NaN for NULL."""
    return np.array(rows, dtype=float).reshape(-1, len(columns) + 1)[:, :-1]


def _columns_of(table: Row) -> list[str]:
    return [column.name for column in table.__table__.c if column.name not in ("id", "run_id")]


def _beat() -> dict[str, Any]:
    return {"beats": Run.beats + 1, "heartbeat": time.time()}


def _prepare_tables(connection: Connection, metadata: MetaData) -> None:
    """Make the tables, and add the columns that an older version's tables lack."""
    if connection.dialect.name == "postgresql":  # which may have two first comers make the same table
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('adamscope tables'))"))
    for table in metadata.sorted_tables:
        connection.execute(CreateTable(table, if_not_exists=True))
        _add_columns(connection, table)
        for index in table.indexes:
            connection.execute(CreateIndex(index, if_not_exists=True))


def _add_columns(connection: Connection, table: Table) -> None:
    quote = connection.dialect.identifier_preparer.format_table(table)
    for column in table.columns:
        if column.name in _columns(connection, table):
            continue
        try:
            definition = CreateColumn(column).compile(dialect=connection.dialect)
            connection.execute(text(f"ALTER TABLE {quote} ADD COLUMN {definition}"))
        except DatabaseError:
            if column.name not in _columns(connection, table):  # else another process has just added it
                raise


def _columns(connection: Connection, table: Table) -> set[str]:
    return {column["name"] for column in inspect(connection).get_columns(table.name)}


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA journal_mode=WAL")  # pages read while a worker writes
    connection.execute(
        "PRAGMA synchronous=NORMAL"
    )  # safe with WAL, and no flush to disk at each batch of points
    connection.execute("PRAGMA busy_timeout=10000")


def _storable(run_id: str, row: dict[str, Any]) -> dict[str, Any]:
    nan = {name: None for name, value in row.items() if isinstance(value, float) and math.isnan(value)}
    return {**row, **nan, "run_id": run_id}


def _readable(row: dict[str, Any]) -> dict[str, Any]:
    return {name: math.nan if value is None else value for name, value in row.items()}
