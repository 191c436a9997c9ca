"""Where a function that nobody has analysed is lowest: found, not proved."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from optimizers.surfaces import FloatArray, Point

Sampler = Callable[[FloatArray, FloatArray], FloatArray]  # x (…), y (…) -> (3, …): f, ∂f/∂x, ∂f/∂y

CELLS = 80  # of the grid, from its middle to each side
MOST_CANDIDATES = 400  # low points of the grid that are followed down
TURNS = 150  # of a compass search
MOST_MINIMA = 100  # that are told; a map with more of them shows nothing


@np.errstate(all="ignore")  # f may be as large as a float can be, and undefined in places
def find_minima(
    sample: Sampler,
    axis: FloatArray,  # (2 CELLS + 1,), from −reach to reach: of x and of y
    f: FloatArray,  # at each point of the grid
) -> tuple[tuple[Point, ...], float]:
    """Return every minimum of least value inside the grid, nearest to the middle first, and that value.

    From each low point of the grid Newton's method, with the exact gradient, goes down. An end counts if
    nothing lower was seen, on the grid or on circles out to 1,000 times as far, if f rises from it in every
    direction, and if nowhere next to it is as low: the floor of a valley has a lowest value and no minima.
    The value is −∞ where something lower was seen, or f falls down a pole.

    >>> axis = np.linspace(-3, 3, 2 * CELLS + 1)
    >>> sample = lambda x, y: np.array([(x - 1) ** 2 + y**2, 2 * (x - 1), 2 * y])
    >>> find_minima(sample, axis, sample(*np.meshgrid(axis, axis))[0])
    (((1.0, 0.0),), 0.0)
    """
    reach = float(axis[-1])
    finite = f[np.isfinite(f)]
    spread = float(np.quantile(finite - finite.min(), 0.05))  # how f differs among the low parts
    tolerance = 1e-12 * spread
    points = _descend(sample, _low_points(axis, f), reach, tolerance)
    points = points[:, np.abs(points).max(axis=0) < 0.999 * reach]
    value = sample(*points)[0]
    outside = sample(*_outside(reach))[0]
    seen = np.fmin.reduce(np.concatenate([f.ravel(), outside.ravel()]))
    if not value.size or not math.isfinite(spread) or seen < value.min() - 1e-9 * spread:
        return (), -math.inf
    best = float(value.min())
    points = _tidy(sample, points[:, value <= best + 1e-9 * spread], reach)
    minima = points[:, _are_minima(sample, points, reach, tolerance)]
    if not minima.size and best < finite.min() - spread:  # a pole, down which the search fell
        return (), -math.inf
    nearest = minima[:, np.argsort(np.hypot(*minima), kind="stable")[:MOST_MINIMA]]
    return tuple((float(x), float(y)) for x, y in nearest.T), 0.0 if abs(best) <= tolerance else best


def _low_points(axis: FloatArray, f: FloatArray) -> FloatArray:
    """Return the grid points with no lower neighbour, (2, M), the lowest first."""
    inner = f[1:-1, 1:-1]
    low = np.isfinite(inner)
    for i, j in itertools.product(range(3), repeat=2):
        low &= ~(f[i : i + len(inner), j : j + len(inner)] < inner)
    rows, columns = np.nonzero(low)
    lowest = np.argsort(inner[low], kind="stable")[:MOST_CANDIDATES]
    return np.stack([axis[columns[lowest] + 1], axis[rows[lowest] + 1]])


def _ring(points: FloatArray, radius: FloatArray | float, count: int) -> FloatArray:
    """Return points on circles around points: (2, …) -> (2, …, count)."""
    angle = np.linspace(0, 2 * math.pi, count, endpoint=False)
    directions = np.stack([np.cos(angle), np.sin(angle)])
    shape = (2, *[1] * (points.ndim - 1), count)
    return points[..., None] + directions.reshape(shape) * np.asarray(radius)[..., None]


def _outside(reach: float) -> FloatArray:
    radii = reach * np.array([1.25, 1.5, 2, 3, 5, 10, 30, 100, 1000])
    return _ring(np.zeros((2, len(radii))), radii, 64)


def _descend(sample: Sampler, points: FloatArray, reach: float, tolerance: float) -> FloatArray:
    """Walk points (2, M) down to where f is lowest near them.

    Newton's method, then a compass search where it ends on a slope, as at a kink: where f would still fall by
    more than `tolerance` from one grid point to the next.
    """
    shares = 0.5 ** np.arange(12)
    for _ in range(60):
        f, *g = sample(*points)
        step = _newton(sample, points, np.stack(g), reach)
        trial = points[..., None] + step[..., None] * shares
        value = _finite(sample(*trial)[0])
        best = value.argmin(axis=1)
        lower = np.flatnonzero(value[np.arange(len(f)), best] < f)
        if not lower.size:
            break
        points[:, lower] = trial[:, lower, best[lower]]
    for _ in range(4):  # f no longer tells which point is lower, but its gradient does
        f, *g = sample(*points)
        trial = points + _newton(sample, points, np.stack(g), reach)
        value, *slope = sample(*trial)
        better = (np.hypot(*slope) < np.hypot(*g)) & (np.hypot(*(trial - points)) < 1e-4 * reach)
        points = np.where(better, trial, points)
    f, *g = sample(*points)
    sloping = np.flatnonzero(~(np.hypot(*g) * reach / CELLS <= tolerance))
    points[:, sloping] = _compass(sample, points[:, sloping], reach / CELLS)
    return points


def _compass(sample: Sampler, points: FloatArray, step: float) -> FloatArray:
    """Try the directions around each point (2, M), ever closer where none is lower, and the last one again.

    Along a crease few directions lead down, and one that did is worth a second and longer step.
    """
    each, steps, last = np.arange(points.shape[1]), np.full(points.shape[1], step), np.zeros_like(points)
    for turn in range(TURNS if points.size else 0):
        trial = np.concatenate(
            [_ring(points, steps, 17 + turn % 5), points[..., None] + last[..., None] * [0.5, 1, 2]], axis=-1
        )
        value = _finite(sample(*trial)[0])
        best = value.argmin(axis=1)
        lower = value[each, best] < sample(*points)[0]
        better = np.where(lower, trial[:, each, best], points)
        last = np.where(lower, better - points, last)
        steps = np.where(lower, steps, 0.7 * steps)
        points = better
    return points


def _newton(sample: Sampler, points: FloatArray, g: FloatArray, reach: float) -> FloatArray:
    """Return Newton's steps (2, M), downhill where f is not convex, at most a tenth of the reach long."""
    h = 1e-5 * reach
    right, left = sample(points[0] + h, points[1]), sample(points[0] - h, points[1])
    above, below = sample(points[0], points[1] + h), sample(points[0], points[1] - h)
    xx, yy = (right[1] - left[1]) / (2 * h), (above[2] - below[2]) / (2 * h)
    xy = (right[2] - left[2] + above[1] - below[1]) / (4 * h)
    hessian = np.moveaxis(np.array([[xx, xy], [xy, yy]]), -1, 0)
    usable = np.isfinite(hessian).all(axis=(1, 2)) & np.isfinite(g).all(axis=0)
    curvature, axes = np.linalg.eigh(np.where(usable[:, None, None], hessian, np.eye(2)))
    along = np.einsum("mji,jm->mi", axes, np.where(usable, g, 0.0))
    size = np.maximum(np.abs(curvature), 1e-300)
    step = -np.einsum("mij,mj->im", axes, np.clip(along / size, -reach, reach))
    return step * np.minimum(1.0, 0.1 * reach / np.maximum(np.hypot(*step), 1e-300))


def _finite(values: FloatArray) -> FloatArray:
    return np.where(np.isfinite(values), values, math.inf)


def _tidy(sample: Sampler, points: FloatArray, reach: float) -> FloatArray:
    """Round coordinates where that is no worse, and leave each point once."""
    rounded = np.round(points, 9 - math.floor(math.log10(reach))) + 0.0
    (f, *g), (value, *slope) = sample(*points), sample(*rounded)
    points = np.where((value <= f) & ~(np.hypot(*slope) > np.hypot(*g)), rounded, points)
    different: list[FloatArray] = []
    for point in points[:, np.argsort(sample(*points)[0], kind="stable")].T:
        if all(np.hypot(*(point - other)) > 1e-3 * reach for other in different):
            different.append(point)
    return np.stack(different, axis=1)


def _are_minima(sample: Sampler, points: FloatArray, reach: float, tolerance: float) -> NDArray[np.bool_]:
    """Tell of each point (2, M) whether f rises from it in every direction, and nowhere near is as low."""
    f = sample(*points)[0]
    rising = np.isfinite(sample(*_ring(points, 1e-3 * reach, 36))[0]).all(axis=1)  # not where f ends
    for radius in (1e-5 * reach, 1e-3 * reach):
        rising &= (
            sample(*_lowest_on_circle(sample, points, radius))[0] >= f - tolerance
        )  # no saddle, no crease
    ended = _descend(sample, _lowest_on_circle(sample, points, 1e-2 * reach), reach, tolerance)
    back = np.hypot(*(ended - points)) < 5e-3 * reach
    return rising & (back | (sample(*ended)[0] > f + 1e3 * tolerance))  # no floor of a valley


def _lowest_on_circle(sample: Sampler, points: FloatArray, radius: float) -> FloatArray:
    """Return the lowest of the points at this distance, (2, M); a crease is narrow, so ever closer angles."""
    middle, half = np.zeros((points.shape[1], 1)), math.pi
    for _ in range(5):
        angle = middle + half * np.linspace(-1, 1, 41)
        around = points[..., None] + radius * np.stack([np.cos(angle), np.sin(angle)])
        best = _finite(sample(*around)[0]).argmin(axis=1)[:, None]
        middle, half = np.take_along_axis(angle, best, axis=1), 0.06 * half
    return np.take_along_axis(around, best[None], axis=2)[..., 0]
