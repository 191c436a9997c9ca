"""shapes10: generated 32×32 pictures of ten shapes, for use where there is no network.

A stand-in for real pictures, and named so wherever it is used. Each picture is one shape of random colour,
place, size and turn on a darker ground with a gradient, a wave, a stray disc and noise: a linear classifier
gets 30 % of the test pictures right, keras_cnn 90 % after four or five epochs (Adam, batch 32). Drawn from
signed distances, all pictures of a class at once.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

SIDE = 32
PORTION = 100  # pictures drawn at a time: what is worked on stays in a core's cache
NOTE = (
    "shapes10, generated pictures standing in for real ones: ten shapes, 10,000 to train on and 2,000 to test"
)


def _circle(x: Array, y: Array, radius: float = 1.0) -> Array:
    return np.hypot(x, y) - np.float32(radius)


def _ring(x: Array, y: Array) -> Array:
    return np.abs(np.hypot(x, y) - np.float32(0.76)) - np.float32(0.22)


def _crescent(x: Array, y: Array) -> Array:
    return np.maximum(_circle(x, y), -_circle(x - np.float32(0.55), y, 0.85))


def _polygon(*corners: tuple[float, float]) -> Callable[[Array, Array], Array]:
    """Signed distance to a polygon: to its nearest edge, negative where a ray crosses its outline oddly."""
    points = np.array(corners, np.float32)

    def distance(x: Array, y: Array) -> Array:
        square = np.full_like(x, np.inf)
        inside = np.zeros(x.shape, bool)
        for (ax, ay), (bx, by) in zip(points, np.roll(points, -1, axis=0), strict=True):
            ex, ey, px, py = bx - ax, by - ay, x - ax, y - ay
            along = np.clip((px * ex + py * ey) / (ex * ex + ey * ey), 0, 1)
            np.minimum(square, (px - ex * along) ** 2 + (py - ey * along) ** 2, out=square)
            if ey != 0:
                inside ^= ((py < 0) != (y < by)) & (px < py * (ex / ey))
        return np.where(inside, -np.sqrt(square), np.sqrt(square))

    return distance


def _around(radii: tuple[float, ...], count: int) -> list[tuple[float, float]]:
    """`count` corners at equal angles, their distances from the middle taken from `radii` in turn."""
    angles = 2 * np.pi * np.arange(count) / count
    return [
        (float(radii[k % len(radii)] * np.sin(a)), float(radii[k % len(radii)] * np.cos(a)))
        for k, a in enumerate(angles)
    ]


_PLUS = [(0.3, 1.0), (0.3, 0.3), (1.0, 0.3), (1.0, -0.3), (0.3, -0.3), (0.3, -1.0)]
_ARROW = [(0.0, 1.1), (0.8, 0.2), (0.28, 0.2), (0.28, -1.0), (-0.28, -1.0), (-0.28, 0.2), (-0.8, 0.2)]
_CORNER = [(-0.7, 1.0), (-0.15, 1.0), (-0.15, -0.45), (0.75, -0.45), (0.75, -1.0), (-0.7, -1.0)]

SHAPES: dict[str, Callable[[Array, Array], Array]] = {  # distances in units of the shape's size
    "circle": _circle,
    "ring": _ring,
    "crescent": _crescent,
    "triangle": _polygon(*_around((1.15,), 3)),
    "square": _polygon(*_around((1.15,), 4)),
    "bar": _polygon((-0.26, -1.15), (0.26, -1.15), (0.26, 1.15), (-0.26, 1.15)),
    "cross": _polygon(*_PLUS, *((-x, -y) for x, y in _PLUS)),
    "star": _polygon(*_around((1.2, 0.5), 10)),
    "arrow": _polygon(*_ARROW),
    "corner": _polygon(*_CORNER),
}
CLASSES = tuple(SHAPES)


def draw(count: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """`count` pictures (count, 3, 32, 32) and their labels, as many of each class as can be; set by the seed.

    Raises ValueError unless count is at least 1.

    >>> images, labels = draw(20, seed=0)
    >>> images.shape, np.bincount(labels).tolist()
    ((20, 3, 32, 32), [2, 2, 2, 2, 2, 2, 2, 2, 2, 2])
    """
    if count < 1:
        raise ValueError(f"count {count} is out of range: it takes 1 or more")
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(count) % len(CLASSES))
    images = np.empty((count, 3, SIDE, SIDE), np.uint8)
    for label, name in enumerate(CLASSES):
        (rows,) = np.nonzero(labels == label)
        images[rows] = _pictures(SHAPES[name], len(rows), rng)
    return images, labels


def _pictures(
    shape: Callable[[Array, Array], Array], count: int, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """`count` pictures of one shape, (count, 3, 32, 32)."""
    ground = rng.uniform(10, 120, (count, 3, 1, 1)).astype(np.float32)
    ink = ground + rng.uniform(45, 135, (count, 3, 1, 1)).astype(np.float32)  # always the lighter one
    stray = rng.uniform(0, 255, (count, 3, 1, 1)).astype(np.float32)
    texture = _texture(count, rng)
    disc = _cover(_circle, rng.uniform(1.2, 2.6, count), 15.0, rng)
    cover = _cover(shape, rng.uniform(7, 10.5, count), 4.5, rng)
    noise = rng.uniform(2, 10, (count, 1, 1, 1)).astype(np.float32)
    images = np.empty((count, 3, SIDE, SIDE), np.uint8)
    for first in range(0, count, PORTION):
        some = slice(first, first + PORTION)
        canvas = ground[some] + texture(some)
        canvas += disc(some) * (stray[some] - canvas)
        canvas += cover(some) * (ink[some] - canvas)
        canvas += noise[some] * rng.standard_normal(canvas.shape, np.float32)
        images[some] = np.clip(np.rint(canvas, out=canvas), 0, 255, out=canvas)
    return images


def _cover(
    shape: Callable[[Array, Array], Array], size: NDArray[np.float64], reach: float, rng: np.random.Generator
) -> Callable[[slice], Array]:
    """Coverage of some pictures, (n, 1, 32, 32), 0 to 1: shapes of `size` pixels, turned, within ±`reach`."""
    pixel = np.arange(SIDE, dtype=np.float32) - (SIDE - 1) / 2
    turn, dx, dy = (v[:, None, None].astype(np.float32) for v in rng.uniform(-1, 1, (3, len(size))))
    scale = size[:, None, None].astype(np.float32)
    cos, sin = np.cos(np.pi * turn) / scale, np.sin(np.pi * turn) / scale

    def of(some: slice) -> Array:
        x, y = pixel[None, None, :] - reach * dx[some], pixel[None, :, None] - reach * dy[some]
        distance = shape(cos[some] * x + sin[some] * y, cos[some] * y - sin[some] * x) * scale[some]  # pixels
        return np.clip(np.float32(0.5) - distance, 0, 1)[:, None]

    return of


def _texture(count: int, rng: np.random.Generator) -> Callable[[slice], Array]:
    """A gradient and a wave across each of some pictures, (n, 3, 32, 32), around zero."""
    across = np.linspace(-1, 1, SIDE, dtype=np.float32)
    down = across[:, None]
    slope_x, slope_y = rng.normal(0, 18, (2, count, 3, 1, 1)).astype(np.float32)
    fx, fy, phase = rng.uniform(-9, 9, (3, count, 1, 1, 1)).astype(np.float32)
    height = rng.normal(0, 10, (count, 3, 1, 1)).astype(np.float32)

    def of(some: slice) -> Array:
        wave = height[some] * np.sin(fx[some] * across + fy[some] * down + phase[some])
        return slope_x[some] * across + slope_y[some] * down + wave

    return of
