"""Maps: where a racer ends from every start, and how it fares with every pair of hyperparameters."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from optimizers.catalog import Racer
from optimizers.conditions import Conditions
from optimizers.notation import Value
from optimizers.surfaces import FloatArray, Point, Surface

Steps = NDArray[np.int32]  # a number of steps, or −1 for never

NOWHERE = -1  # `which_minimum` of a start from which a racer converges to no minimum, but stays finite
LOST = -2  # … and of one from which it diverges


@dataclass(frozen=True, eq=False)
class BasinMap:
    """Which minimum a racer reaches from each start on a lattice, and how fast.

    Row 0 is the lowest y, column 0 the lowest x; the lattice includes both ends of the surface's bounds. Each
    cell says of its start what `simulate` says: `arrived`, `outcome` and the last loss.
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
