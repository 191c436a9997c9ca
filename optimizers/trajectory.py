"""Walk an optimizer over a surface: `simulate` one racer, `race` several from the same start.

Everything is float64. Nothing is clipped, clamped or stopped early: a walk takes all its steps, and one that
diverges ends in NaN and says so.
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any

import numpy as np

from optimizers.catalog import Look, Racer, distinct
from optimizers.conditions import FARTHEST, Conditions, agreed, walk_arguments, whole
from optimizers.kernels import rule_kernel, surface_kernel, walk
from optimizers.surfaces import FloatArray, Point, Surface

ARRIVED = 0.01  # of the map's diagonal: within it of a minimum, and staying there, counts as arrived
MOST_STEPS = 1_000_000


class Outcome(StrEnum):
    """How a walk ended."""

    CONVERGED = (
        "CONVERGED"  # it ends within 1 % of the map's diagonal of a minimum, and is not passing through
    )
    MAX_STEPS = "MAX_STEPS"  # it took all its steps and is somewhere else
    DIVERGED = "DIVERGED"  # θ or f(θ) left the finite world, or |θ| passed 10⁹


CONVERGED, MAX_STEPS, DIVERGED = Outcome


def reach(surface: Surface) -> float:
    """Return how near to a minimum counts as there: 1 % of the map's diagonal."""
    (x0, x1), (y0, y1) = surface.entry.bounds
    return ARRIVED * math.hypot(x1 - x0, y1 - y0)


@dataclass(frozen=True, eq=False)
class Trajectory:
    """One racer's walk of T steps. Rows after a divergence are NaN.

    path[k+1] == path[k] + update[k] and loss[k] == f(path[k]), to the last bit.
    """

    racer: Racer
    surface: Surface
    record: FloatArray = field(repr=False)  # (T + 1, K, 2): for each step its slots, see `slots`
    loss: FloatArray = field(repr=False)  # (T + 1,)
    lr: FloatArray = field(repr=False)  # (T,)
    diverged: int | None  # the first step whose point is not there
    conditions: Conditions
    # Names along record's second axis: theta, g, update, the state after the step, what it showed; as they
    # were when it walked, should the reader's own rule change.
    slots: tuple[str, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Name the slots."""
        entry = self.racer.optimizer
        object.__setattr__(self, "slots", ("theta", "g", "update", *entry.state, *entry.shown))

    def _slot(self, name: str) -> FloatArray:
        return np.ascontiguousarray(self.record[:-1, self.slots.index(name)])

    @cached_property
    def path(self) -> FloatArray:
        """The points, (T + 1, 2); row 0 is the start."""
        return np.ascontiguousarray(self.record[:, 0])

    @cached_property
    def grad(self) -> FloatArray:
        """The gradient used at each step, noise and clipping in it, (T, 2)."""
        return self._slot("g")

    @cached_property
    def update(self) -> FloatArray:
        """What each step added to θ, (T, 2)."""
        return self._slot("update")

    @cached_property
    def effective_lr(self) -> FloatArray:
        """The factor on the rule's direction at each step, per axis, (T, 2)."""
        return self._slot("effective_lr")

    @cached_property
    def state(self) -> dict[str, FloatArray]:
        """The rule's state after each step, and what it derived from it (m̂, v̂), each (T, 2)."""
        return {name: self._slot(name) for name in self.slots[3:] if name != "effective_lr"}

    @cached_property
    def distance(self) -> FloatArray:
        """Distance to the nearest minimum at each point, (T + 1,); inf where the surface has none."""
        distances = [np.hypot(*(self.path - minimum).T) for minimum in self.surface.entry.minima]
        return np.min(distances, axis=0) if distances else np.full(len(self.path), np.inf)

    @cached_property
    def arrived(self) -> int | None:
        """The step from which on the walk stays within 1 % of the map's diagonal of a minimum, or None.

        A walk whose last step is longer than that distance is passing through, and has not arrived.
        """
        radius = reach(self.surface)
        square, last = np.full(len(self.path), np.inf), np.square(self.path[-1] - self.path[-2]).sum()
        for minimum in self.surface.entry.minima:
            square = np.minimum(square, np.square(self.path - minimum).sum(axis=1))
        outside = ~(square <= radius * radius)  # NaN counts as outside
        if outside[-1] or last > radius * radius:
            return None
        return int(np.flatnonzero(outside)[-1]) + 1 if outside.any() else 0

    @property
    def outcome(self) -> Outcome:
        """CONVERGED, MAX_STEPS or DIVERGED."""
        if self.diverged is not None:
            return DIVERGED
        return MAX_STEPS if self.arrived is None else CONVERGED


@dataclass(frozen=True, eq=False)
class Race:
    """Several walks from the same start over the same surface."""

    surface: Surface
    trajectories: tuple[Trajectory, ...]
    looks: tuple[Look, ...]

    @property
    def racers(self) -> tuple[Racer, ...]:
        """Who races."""
        return tuple(trajectory.racer for trajectory in self.trajectories)

    @property
    def steps(self) -> int:
        """How many steps each takes."""
        return len(self.trajectories[0].lr)

    @property
    def start(self) -> Point:
        """Where all start."""
        x, y = self.trajectories[0].path[0]
        return float(x), float(y)

    def __iter__(self) -> Iterator[Trajectory]:
        """Iterate over the trajectories."""
        return iter(self.trajectories)

    def __len__(self) -> int:
        """Count the trajectories."""
        return len(self.trajectories)

    def to_html(self) -> str:
        """Return the race in the player as one self-contained HTML page that needs no network."""
        from optimizers.player import page

        return page(self)

    def _repr_html_(self) -> str:
        from optimizers.player import frame

        return frame(self)


def simulate(
    racer: str | Racer,
    surface: str | Surface,
    start: Sequence[float] | None = None,
    steps: int = 500,
    **conditions: Any,
) -> Trajectory:
    """Walk one racer over a surface.

    Args:
        racer: an optimizer in racer notation, e.g. `adam(lr=0.1)`.
        surface: a surface, e.g. `rosenbrock` or `quadratic(condition=10)`.
        start: (x, y); by default the surface's own good start.
        steps: T ≥ 1.
        conditions: schedule, clip_norm, clip_value, noise, batch_size and seed, as `Conditions` has them.

    Raises:
        ValueError: bad input, in one sentence that names it and says what it takes.

    >>> simulate("gd(lr=0.1)", "quadratic(condition=1)", start=(1, 0), steps=2).path[:, 0]
    array([1.  , 0.9 , 0.81])
    """
    racer, surface = Racer.parse(racer), Surface.parse(surface)
    steps = whole("steps", steps, 1, MOST_STEPS)
    under = agreed(conditions)
    theta = point("start", surface.entry.start if start is None else start)
    entry = racer.optimizer
    step, hyper = rule_kernel(entry.rule, len(entry.state), len(entry.shown))
    arguments = racer.arguments
    record = np.full((steps + 1, 3 + len(entry.state) + len(entry.shown), 2), np.nan)
    record[0, 0] = theta
    loss = np.full(steps + 1, np.nan)
    lr = under.lr(arguments["lr"], steps)
    diverged = walk(
        step,
        surface_kernel(surface.entry.function),
        record,
        np.repeat(np.array(racer.initial, dtype=np.float64)[:, None], 2, axis=1),
        np.array([arguments[name] for name in hyper], dtype=np.float64),
        lr,
        surface.parameters,
        loss,
        *walk_arguments(surface, under, steps),
    )
    return Trajectory(racer, surface, record, loss, lr, diverged if diverged >= 0 else None, under)


def race(
    racers: Sequence[str | Racer],
    surface: str | Surface,
    start: Sequence[float] | None = None,
    steps: int = 500,
    **conditions: Any,
) -> Race:
    """Walk several racers from the same start under the same conditions; arguments as for `simulate`.

    >>> result = race(["adam(lr=0.1)", "adam(lr=0.1, bias_correction=False)"], "rosenbrock")
    >>> [look.label for look in result.looks]
    ['Adam', 'Adam, uncorrected']
    """
    if isinstance(racers, str) or not racers:
        raise ValueError("A race takes a list of at least one racer, e.g. ['adam(lr=0.1)', 'rmsprop'].")
    walks = tuple(simulate(racer, surface, start, steps, **conditions) for racer in racers)
    return Race(walks[0].surface, walks, tuple(distinct(walk.racer for walk in walks)))


def point(name: str, value: Sequence[float]) -> Point:
    """Return two finite numbers, or raise a ValueError that names what should have been."""
    try:
        x, y = (float(number) for number in value)
    except (TypeError, ValueError, OverflowError):
        x = y = math.nan
    if not (abs(x) <= FARTHEST and abs(y) <= FARTHEST):
        raise ValueError(f"{name} is {reprlib.repr(value)}, but takes two numbers x, y between −10⁹ and 10⁹.")
    return x, y
