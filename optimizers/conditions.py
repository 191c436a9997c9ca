"""What a walk is taken under: schedule, clipping, noise, batches. The same for every racer of a race."""

from __future__ import annotations

import math
import numbers
import reprlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optimizers.notation import unknown
from optimizers.schedules import Schedule
from optimizers.surfaces import FloatArray, Surface

UNBOUNDED = ((-math.inf, math.inf), (-math.inf, math.inf))
FARTHEST = 1e9  # a point farther from the origin than this has diverged
MOST_DRAWS = 50_000_000  # rows all batches of a walk draw together


@dataclass(frozen=True)
class Conditions:
    """Learning-rate schedule, clipping, noise and batches of a walk.

    Args:
        schedule: in schedule notation, e.g. `warmup+cosine` or `step(step_size=100)`; or a function from step
            index (from 0) to a factor on lr, as torch.optim.lr_scheduler.LambdaLR takes it.
        clip_norm: greatest norm of the gradient, as torch.nn.utils.clip_grad_norm_.
        clip_value: greatest size of each entry of the gradient, as torch.nn.utils.clip_grad_value_.
        noise: standard deviation of Gaussian noise added to each entry of the gradient, before clipping.
        batch_size: rows whose mean is a step's gradient, where there is data; None: as the surface has it.
        seed: of noise and batches.

    Raises:
        ValueError: a value it does not take, in one sentence.
    """

    schedule: Schedule | Callable[[int], float] | str | None = None
    clip_norm: float | None = None
    clip_value: float | None = None
    noise: float = 0.0
    batch_size: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the values, and read the schedule."""
        if isinstance(self.schedule, str):
            object.__setattr__(self, "schedule", Schedule.parse(self.schedule))
        elif (
            self.schedule is not None
            and not callable(self.schedule)
            and not isinstance(self.schedule, Schedule)
        ):
            raise ValueError(
                f"schedule is {reprlib.repr(self.schedule)}, but takes None, a schedule such as "
                "warmup+cosine, or a function from step index to factor."
            )
        for name in ("clip_norm", "clip_value"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, number(name, getattr(self, name)))
        object.__setattr__(self, "noise", number("noise", self.noise, allow_zero=True))
        object.__setattr__(self, "seed", whole("seed", self.seed, 0, 2**32 - 1))
        if self.batch_size is not None:
            object.__setattr__(self, "batch_size", whole("batch_size", self.batch_size, 1, 1_000_000))

    def lr(self, base: float, steps: int) -> FloatArray:
        """Return the learning rate of each step, (T,)."""
        if self.schedule is None:
            return np.full(steps, base)
        if isinstance(self.schedule, Schedule):
            return base * self.schedule.factors(steps)
        assert callable(self.schedule)
        with np.errstate(over="ignore"):  # an lr that overflows is a walk that diverges
            return base * _factors(self.schedule, steps)

    def gaussian(self, steps: int) -> FloatArray:
        """Return the noise on the gradient of each step, (T, 2); (0, 2) for none."""
        if not self.noise:
            return np.empty((0, 2))
        return np.random.default_rng(self.seed).normal(0.0, self.noise, (steps, 2))

    def batches(self, surface: Surface, steps: int) -> NDArray[np.int64]:
        """Return the rows of each step's batch, (T, B); (0, 0) where every step takes all of them."""
        rows = surface.entry.rows
        if rows is None:
            if self.batch_size is not None:
                raise ValueError(
                    f"batch_size is {self.batch_size}, but {surface.name} has no data to take batches of."
                )
            return np.empty((0, 0), np.int64)
        count = len(rows.values)
        size = self.batch_size or rows.batch or count
        if size > count:
            raise ValueError(f"batch_size is {size}, but {surface.name} has {count} rows.")
        if size == count:
            return np.empty((0, 0), np.int64)
        if -(-steps // (count // size)) * count > MOST_DRAWS:  # what is left over of an epoch is drawn too
            raise ValueError(
                f"{steps} steps with batches of {size} draw more than {MOST_DRAWS:,} rows; take fewer."
            )
        if rows.cyclic:
            return (np.arange(steps * size) % count).reshape(steps, size)
        return _epochs(np.random.default_rng([self.seed, 1]), count, size, steps)


def walk_arguments(surface: Surface, under: Conditions, steps: int) -> tuple[Any, ...]:
    """Return what every compiled walk takes of its conditions: noise, batches, rows, clipping, bounds."""
    rows = surface.entry.rows
    return (
        under.gaussian(steps),
        under.batches(surface, steps),
        len(surface.pairs),
        rows.values.shape[1] if rows else 0,
        under.clip_norm or math.inf,
        under.clip_value or math.inf,
        np.array(surface.entry.box or UNBOUNDED, dtype=np.float64).ravel(),
        FARTHEST,
    )


def agreed(given: Mapping[str, Any]) -> Conditions:
    """Return the conditions given as keywords; raise a ValueError for one there is not."""
    known = [field.name for field in fields(Conditions)]
    for name in given:
        if name not in known:
            raise unknown("condition", name, known, "A walk")
    return Conditions(**given)


def _epochs(random: np.random.Generator, count: int, size: int, steps: int) -> NDArray[np.int64]:
    """Draw batches as a training loop does: a fresh shuffle each epoch, what is left over dropped."""
    batches = count // size
    epochs = -(-steps // batches)
    order = np.tile(np.arange(count), (epochs, 1))
    random.permuted(order, axis=1, out=order)
    return np.ascontiguousarray(order[:, : batches * size].reshape(-1, size)[:steps])


def _float(value: object) -> float:
    """Return a number as a float; NaN for what is none, or is too large for one."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.nan


def _factors(schedule: Callable[[int], float], steps: int) -> FloatArray:
    factors = np.empty(steps)
    for k in range(steps):
        given = schedule(k)
        factors[k] = _float(given)
        if not math.isfinite(factors[k]):
            shown = reprlib.repr(given)
            raise ValueError(
                f"schedule gives {shown} at step {k}, but its factor on lr takes a finite number."
            )
    return factors


def whole(name: str, value: object, low: int, high: int) -> int:
    """Return a whole number from low to high, or raise a ValueError that names it."""
    if not isinstance(value, numbers.Integral) or isinstance(value, bool) or not low <= int(value) <= high:
        raise ValueError(f"{name} is {value!r}, but takes a whole number from {low} to {high:,}.")
    return int(value)


def number(name: str, value: object, *, allow_zero: bool = False) -> float:
    """Return a finite number above (or from) 0, or raise a ValueError that names it."""
    result = _float(value)
    if math.isfinite(result) and (result > 0 or (allow_zero and result == 0)):
        return result
    given, above = reprlib.repr(value), "from" if allow_zero else "above"
    raise ValueError(f"{name} is {given}, but takes a finite number {above} 0.")
