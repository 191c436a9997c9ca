"""Maps: where a racer ends from every start, and how it fares with every pair of hyperparameters.

Every cell is, to the last bit, what `simulate` says of it.
"""

from __future__ import annotations

import os
import reprlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optimizers.catalog import Racer
from optimizers.conditions import Conditions, agreed, walk_arguments, whole
from optimizers.kernels import rule_kernel, surface_kernel, walk_many
from optimizers.lanes import WIDTH, Kind, is_compiled, lanes_kernel
from optimizers.notation import Hyperparameter, Value, unknown
from optimizers.surfaces import FloatArray, Point, Surface
from optimizers.trajectory import MOST_STEPS, point, reach

NOWHERE = -1  # `which_minimum` of a start from which a racer converges to no minimum, but stays finite
LOST = -2  # … and of one from which it diverges
LARGEST = 4096  # cells of a map's side
MOST_CELLS = 1_000_000  # of a sweep
MANY = 50  # one in so many walks to be taken again is many
PREVIEW = 48  # cells of a side of the quick first picture

Steps = NDArray[np.int32]  # a number of steps, or −1 for never
Bounds = tuple[Point, Point]  # (x0, x1), (y0, y1)
Progress = Callable[[int, int], object]  # (pieces done, of how many); what it raises stops the map


@dataclass(frozen=True, eq=False)
class BasinMap:
    """Which minimum a racer reaches from each start on a lattice, and how fast.

    Row 0 is the lowest y, column 0 the lowest x; the lattice includes both ends of its bounds. Each cell
    says of its start what `simulate` says: `arrived`, `outcome` and the last loss.
    """

    racer: Racer
    surface: Surface
    steps: int
    conditions: Conditions
    x: FloatArray = field(repr=False)  # (W,)
    y: FloatArray = field(repr=False)  # (H,)
    which_minimum: NDArray[np.int32] = field(repr=False)  # (H, W), index in entry.minima, NOWHERE or LOST
    steps_to_converge: Steps = field(repr=False)  # (H, W), Trajectory.arrived; −1 where it is None
    final_loss: FloatArray = field(repr=False)  # (H, W), NaN where it diverges

    def _repr_png_(self) -> bytes:
        from optimizers.figures import as_png, basin

        return as_png(basin(self))


@dataclass(frozen=True)
class Axis:
    """The values one hyperparameter takes along a side of a sweep map."""

    name: str
    symbol: str
    values: tuple[Value, ...]
    scale: str  # "linear", "log", "one_minus_log" (logarithmic in 1 − value) or "choice"


@dataclass(frozen=True, eq=False)
class SweepMap:
    """How a racer fares from one start with every pair of values of two hyperparameters.

    Row i has y.values[i], column j has x.values[j].
    """

    racer: Racer  # whose other hyperparameters all cells share
    surface: Surface
    start: Point
    steps: int
    conditions: Conditions
    x: Axis
    y: Axis
    final_loss: FloatArray = field(repr=False)  # (Ny, Nx), NaN where it diverges
    steps_to_converge: Steps = field(repr=False)  # (Ny, Nx), Trajectory.arrived; −1 where it is None
    diverged: Steps = field(repr=False)  # (Ny, Nx), Trajectory.diverged; −1 where it is None

    def cell(self, row: int, column: int) -> tuple[Racer, Surface]:
        """Return the racer and the surface of a cell."""
        racer, surface = self.racer, self.surface
        for axis, index in ((self.x, column), (self.y, row)):
            racer, surface = _changed(racer, surface, axis.name, axis.values[index])
        return racer, surface

    @property
    def best(self) -> tuple[int, int] | None:
        """Row and column of the least final loss, of equals the soonest; None if every cell diverges."""
        if np.isnan(self.final_loss).all():
            return None
        soon = np.where(self.steps_to_converge < 0, self.steps + 1, self.steps_to_converge)
        order = np.lexsort((soon.ravel(), self.final_loss.ravel()))  # NaN comes last
        row, column = np.unravel_index(order[0], self.final_loss.shape)
        return int(row), int(column)

    def _repr_png_(self) -> bytes:
        from optimizers.figures import as_png, sweep

        return as_png(sweep(self))


def basin_map(
    racer: str | Racer,
    surface: str | Surface,
    size: int = 512,
    steps: int = 500,
    *,
    bounds: Bounds | None = None,
    progress: Progress | None = None,
    preview: Callable[[BasinMap], object] | None = None,
    threads: int | None = None,
    **conditions: Any,
) -> BasinMap:
    """Walk a racer from every start on a lattice over a surface, on all cores.

    A pair of rule and surface met for the first time is compiled, which takes about a second; the result is
    kept on disk.

    Args:
        racer: in racer notation.
        surface: in surface notation.
        size: cells of a side.
        steps: T ≥ 1, of each walk.
        bounds: ((x0, x1), (y0, y1)) of the starts; the surface's own by default.
        progress: called now and then with (pieces done, of how many); what it raises stops the map.
        preview: called with a coarse map before a pair is compiled; not at all where it need not be.
        threads: how many share the work; all cores by default. The result does not depend on it.
        conditions: as `simulate` takes them; all walks meet the same noise and batches.

    Raises:
        ValueError: bad input, in one sentence that names it and says what it takes.

    >>> found = basin_map("adam(lr=0.1)", "himmelblau", size=64)
    >>> sorted({int(minimum) for minimum in found.which_minimum.flat})
    [0, 1, 2, 3]
    """
    racer, surface = Racer.parse(racer), Surface.parse(surface)
    size, steps = whole("size", size, 2, LARGEST), whole("steps", steps, 1, MOST_STEPS)
    under = agreed(conditions)
    sides = surface.entry.bounds if bounds is None else _sides(bounds)
    if preview is not None and not is_compiled(*_pair(racer, surface, under)):
        coarse = _lattice(sides, min(size, PREVIEW))
        loss, ends = _one_by_one(racer, surface, coarse, steps, under, None, threads)
        preview(_basin_map(racer, surface, steps, under, coarse, loss, ends))
    starts = _lattice(sides, size)
    loss, ends = _side_by_side(racer, surface, starts, steps, under, progress, threads)
    return _basin_map(racer, surface, steps, under, starts, loss, ends)


def sweep_map(
    racer: str | Racer,
    surface: str | Surface,
    x: Sequence[Any] = ("lr", 1e-4, 1.0, 64),
    y: Sequence[Any] = ("beta2", 0.9, 0.9999, 64),
    start: Sequence[float] | None = None,
    steps: int = 500,
    *,
    progress: Progress | None = None,
    threads: int | None = None,
    **conditions: Any,
) -> SweepMap:
    """Walk a racer with every pair of values of two hyperparameters, on all cores.

    Args:
        racer: in racer notation; its own values hold for what is not swept.
        surface: in surface notation.
        x: what changes from column to column: (name, from, to, how many), spaced as the hyperparameter's own
            scale has it, or with "linear", "log" or "one_minus_log" as a fifth entry; (name, [values]); or
            (name,) for every value of a choice. The name is one of the racer's hyperparameters, or of the
            surface's.
        y: what changes from row to row.
        start: (x, y); by default the surface's own good start.
        steps: T ≥ 1, of each walk.
        progress: called now and then with (pieces done, of how many); what it raises stops the map.
        threads: how many share the work; all cores by default. The result does not depend on it.
        conditions: as `simulate` takes them; all walks meet the same noise and batches.

    Raises:
        ValueError: bad input, in one sentence that names it and says what it takes.

    >>> found = sweep_map("gd", "quadratic", x=("lr", 0.01, 1, 5), y=("condition", 1, 10, 2))
    >>> (found.diverged >= 0).tolist()  # where lr > 2/κ
    [[False, False, False, False, False], [False, False, False, True, True]]
    """
    racer, surface = Racer.parse(racer), Surface.parse(surface)
    steps = whole("steps", steps, 1, MOST_STEPS)
    under = agreed(conditions)
    across, up = (_axis(side, spec, racer, surface) for side, spec in (("x", x), ("y", y)))
    if across.name == up.name:
        raise ValueError(f"x and y both sweep {across.name}, but take two different hyperparameters.")
    if len(across.values) * len(up.values) > MOST_CELLS:
        raise ValueError(
            f"x and y make {len(across.values) * len(up.values):,} cells, but a sweep takes at most "
            f"{MOST_CELLS:,}; take fewer values."
        )
    where = point("start", surface.entry.start if start is None else start)
    cells = _Cells.product(racer, surface, across, up, under.lr(1.0, steps))
    starts = np.repeat(np.array(where)[:, None], len(cells.hyper), axis=1)
    loss, ends = _one_by_one(racer, surface, starts, steps, under, progress, threads, cells)
    shape = (len(up.values), len(across.values))
    return SweepMap(
        racer,
        surface,
        where,
        steps,
        under,
        across,
        up,
        loss.reshape(shape),
        ends[0].reshape(shape),
        ends[2].reshape(shape),
    )


def _sides(bounds: Bounds) -> Bounds:
    """Check the bounds of a map."""
    try:
        (x0, x1), (y0, y1) = (point("bounds", side) for side in bounds)
        if x0 < x1 and y0 < y1:
            return (x0, x1), (y0, y1)
    except (TypeError, ValueError):
        pass
    takes = "((x0, x1), (y0, y1)) with x0 < x1 and y0 < y1, all between −10⁹ and 10⁹"
    raise ValueError(f"bounds is {reprlib.repr(bounds)}, but takes {takes}.")


def _lattice(bounds: Bounds, size: int) -> FloatArray:
    """Return the starts of a map, (2, size²), row after row."""
    x, y = (np.linspace(low, high, size) for low, high in bounds)
    return np.stack(np.broadcast_arrays(x[None, :], y[:, None])).reshape(2, -1)


def _basin_map(
    racer: Racer,
    surface: Surface,
    steps: int,
    under: Conditions,
    starts: FloatArray,
    loss: FloatArray,
    ends: NDArray[np.int32],
) -> BasinMap:
    size = round(len(loss) ** 0.5)
    which = np.where(ends[2] >= 0, LOST, ends[1]).astype(np.int32)  # no minimum is −1, NOWHERE
    grid = starts.reshape(2, size, size)
    return BasinMap(
        racer,
        surface,
        steps,
        under,
        grid[0, 0],
        grid[1, :, 0],
        which.reshape(size, size),
        ends[0].reshape(size, size),
        loss.reshape(size, size),
    )


@dataclass(frozen=True, eq=False)
class _Cells:
    """What differs from walk to walk beside its start; one row stands for all of them."""

    initial: FloatArray  # (N or 1, S, 2)
    hyper: FloatArray  # (N or 1, H)
    lr: FloatArray  # (N or 1,)
    parameters: FloatArray  # (N or 1, P)
    factors: FloatArray  # (T,), of all walks, on lr

    @classmethod
    def one(cls, racer: Racer, surface: Surface, factors: FloatArray) -> _Cells:
        """All walks are the same racer's, on the same surface."""
        arguments, names = racer.arguments, _hyper_names(racer)
        return cls(
            np.repeat(np.array(racer.initial, dtype=np.float64)[:, None], 2, axis=1)[None],
            np.array([[arguments[name] for name in names]], dtype=np.float64),
            np.array([arguments["lr"]], dtype=np.float64),
            surface.parameters[None],
            factors,
        )

    @classmethod
    def product(cls, racer: Racer, surface: Surface, x: Axis, y: Axis, factors: FloatArray) -> _Cells:
        """Each pair of values is a walk's, x the faster. What one side changes, the other leaves alone."""
        base = cls.one(racer, surface, factors)
        sides = [
            [cls.one(*_changed(racer, surface, side.name, value), factors) for value in side.values]
            for side in (y, x)
        ]
        rows, columns = (len(side) for side in sides)

        def spread(name: str) -> NDArray[Any]:
            given = getattr(base, name)
            up, across = (np.concatenate([getattr(one, name) for one in side]) for side in sides)
            up, across = np.repeat(up, columns, axis=0), np.tile(across, (rows,) + (1,) * (across.ndim - 1))
            return np.where((across != given).any(axis=0), across, up)

        parameters = spread("parameters") if _of_surface(surface, x, y) else base.parameters
        return cls(spread("initial"), spread("hyper"), spread("lr"), parameters, factors)

    def take(self, piece: slice) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Return initial, hyper, lr and parameters of some of the walks, as `walk_many` takes them."""

        def rows(array: NDArray[Any]) -> NDArray[Any]:
            return array if len(array) == 1 else np.ascontiguousarray(array[piece])

        with np.errstate(over="ignore"):  # an lr that overflows is a walk that diverges
            lr = rows(self.lr)[:, None] * self.factors  # of a piece, as all of a long map's would fill memory
        return rows(self.initial), rows(self.hyper), lr, rows(self.parameters)


def _of_surface(surface: Surface, *axes: Axis) -> bool:
    return any(axis.name in surface.values for axis in axes)


def _hyper_names(racer: Racer) -> list[str]:
    entry = racer.optimizer
    return rule_kernel(entry.rule, len(entry.state), len(entry.shown))[1]


def _changed(racer: Racer, surface: Surface, name: str, value: Value) -> tuple[Racer, Surface]:
    if name in racer.values:
        return racer.change(**{name: value}), surface
    return racer, replace(surface, pairs=tuple({**surface.values, name: value}.items()))


def _axis(side: str, spec: Sequence[Any], racer: Racer, surface: Surface) -> Axis:
    """Read what a side sweeps."""
    takes = f'{side} takes (name, from, to, how many), e.g. ("lr", 1e-4, 1, 64), or (name, [values])'
    if isinstance(spec, str) or not isinstance(spec, Sequence) or not spec or not isinstance(spec[0], str):
        raise ValueError(f"{side} is {reprlib.repr(spec)}, but {takes}.")
    ground = surface.entry.hyperparameters if not surface.f else ()  # a formula's window changes no walk
    known = {h.name: h for h in (*ground, *racer.optimizer.hyperparameters)}
    name, *rest = spec
    if name not in known:
        raise unknown("hyperparameter", name, list(known), f"{racer.name} on {surface.name}")
    hyper, owner = known[name], racer.name if name in racer.values else surface.name
    if hyper.choices:
        values = [choice.value for choice in hyper.choices] if not rest else rest[0]
        scale = "choice"
    elif len(rest) == 1:
        values = rest[0].tolist() if isinstance(rest[0], np.ndarray) else rest[0]
        scale = hyper.scale
    elif len(rest) in (3, 4):
        low, high, count, scale = rest if len(rest) == 4 else (*rest, hyper.scale)
        values = _spaced(side, hyper, owner, low, high, count, scale)
    else:
        raise ValueError(f"{side} is {reprlib.repr(tuple(spec))}, but {takes}.")
    if isinstance(values, str) or not isinstance(values, Sequence) or not 1 <= len(values) <= LARGEST:
        raise ValueError(f"{side} is {reprlib.repr(tuple(spec))}, but {takes}.")
    return Axis(name, hyper.symbol, tuple(hyper.check(value, owner) for value in values), scale)


def _spaced(
    side: str, hyper: Hyperparameter, owner: str, low: object, high: object, count: object, scale: str
) -> list[float]:
    """Space values from low to high, both included."""
    first, last = float(hyper.check(low, owner)), float(hyper.check(high, owner))
    count = whole(f"how many values {side} takes", count, 1, LARGEST)
    if scale == "linear":
        values = np.linspace(first, last, count)
    elif scale == "log" and first > 0 and last > 0:
        values = np.geomspace(first, last, count)
    elif scale == "one_minus_log" and first < 1 and last < 1:
        values = 1 - np.geomspace(1 - first, 1 - last, count)
    else:
        reason = {"log": "above 0", "one_minus_log": "below 1"}.get(str(scale))
        raise ValueError(
            f"{side} sweeps {hyper.name} from {first:g} to {last:g} on a {scale} scale, which takes numbers "
            f"{reason}."
            if reason
            else f"The scale of {side} is {scale!r}, but takes linear, log or one_minus_log."
        )
    values[0], values[-1] = first, last  # not a last digit off
    return [float(value) for value in values]


def _pair(racer: Racer, surface: Surface, under: Conditions) -> tuple[Any, Any, Kind]:
    entry = surface.entry
    kind = Kind(
        states=len(racer.optimizer.state),
        minima=len(entry.minima),
        noise=under.noise > 0,
        batches=under.batches(surface, 1).size > 0,
        clip_norm=under.clip_norm is not None,
        clip_value=under.clip_value is not None,
        box=entry.box is not None,
    )
    return racer.optimizer.rule, entry.function, kind


def _side_by_side(
    racer: Racer,
    surface: Surface,
    starts: FloatArray,  # (2, N)
    steps: int,
    under: Conditions,
    progress: Progress | None,
    threads: int | None,
    quotients: bool = True,
) -> tuple[FloatArray, NDArray[np.int32]]:
    """Walk from every start; return the last loss (N,), and `ends` (3, N) as `walk_many` has it."""
    rule, on, kind = _pair(racer, surface, under)
    kernel, names = lanes_kernel(rule, on, kind._replace(quotients=quotients))
    count = starts.shape[1]
    padded = np.pad(starts, ((0, 0), (0, -count % WIDTH)), mode="edge")
    blocks = padded.shape[1] // WIDTH
    loss, ends = np.empty(blocks * WIDTH), np.empty((4, blocks * WIDTH), np.int32)
    arguments = racer.arguments
    given = (
        padded,
        under.lr(arguments["lr"], steps),
        np.array([arguments[name] for name in names], dtype=np.float64),
        np.array(racer.initial, dtype=np.float64),
        surface.parameters,
        _minima(surface),
        reach(surface),
        *walk_arguments(surface, under, steps),
        loss,
        ends,
    )
    size = max(1, 4_000_000 // (steps * WIDTH))  # blocks that take some milliseconds
    pieces = [(first, min(first + size, blocks)) for first in range(0, blocks, size)]
    _spread([partial(kernel, *piece, *given) for piece in pieces], progress, threads)
    loss, ends = loss[:count], ends[:, :count]
    again = np.flatnonzero(ends[3])
    if again.size:
        picked, few = np.ascontiguousarray(starts[:, again]), again.size <= count // MANY
        taken = (racer, surface, picked, steps, under, None, threads)
        # Many are worth compiling a kernel that divides; in one by one they would take the most of the time.
        loss[again], ends[:3, again] = (
            _one_by_one(*taken) if few or not quotients else _side_by_side(*taken, False)
        )
    return loss, ends[:3]


def _one_by_one(
    racer: Racer,
    surface: Surface,
    starts: FloatArray,  # (2, N)
    steps: int,
    under: Conditions,
    progress: Progress | None,
    threads: int | None,
    cells: _Cells | None = None,
) -> tuple[FloatArray, NDArray[np.int32]]:
    """As `_side_by_side`, with nothing to compile and much slower; each walk may be another racer's."""
    cells = cells or _Cells.one(racer, surface, under.lr(1.0, steps))
    entry = racer.optimizer
    step, _ = rule_kernel(entry.rule, len(entry.state), len(entry.shown))
    run, on = walk_many(), surface_kernel(surface.entry.function)
    count = starts.shape[1]
    loss, ends = np.empty(count), np.empty((3, count), np.int32)
    given = walk_arguments(surface, under, steps)
    slots = 3 + len(entry.state) + len(entry.shown)
    size = max(1, 100_000 // steps)

    def piece(first: int) -> None:
        part = slice(first, min(first + size, count))
        there, kept = np.ascontiguousarray(starts[:, part].T), np.empty((3, part.stop - first), np.int32)
        where = (_minima(surface), reach(surface), slots, loss[part], kept)
        run(step, on, there, *cells.take(part), *given, *where)
        ends[:, part] = kept

    _spread([partial(piece, first) for first in range(0, count, size)], progress, threads)
    return loss, ends


def _minima(surface: Surface) -> FloatArray:
    return np.array(surface.entry.minima, dtype=np.float64).reshape(-1, 2)


def _spread(work: Sequence[Callable[[], object]], progress: Progress | None, threads: int | None) -> None:
    """Share work among threads; it must let go of the interpreter."""
    if threads is not None:
        threads = whole("threads", threads, 1, 1024)
    with ThreadPoolExecutor(threads or _cores()) as pool:
        waiting = [pool.submit(piece) for piece in work]
        try:
            for done, piece in enumerate(as_completed(waiting), start=1):
                piece.result()
                if progress is not None:
                    progress(done, len(work))
        except BaseException:  # what progress raised, or Ctrl-C: leave what has not begun
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
