"""Where the names stand: beside their markers, inside the frame, never on one another; as in the player."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from optimizers.surfaces import FloatArray

# (side, side, dislike), in order of liking: right, left, then the corners, above, below
SIDES: tuple[tuple[int, int, float], ...] = (
    *((1, 0, 0.0), (-1, 0, 0.35), (1, 1, 0.25), (1, -1, 0.25)),
    *((-1, 1, 0.5), (-1, -1, 0.5), (0, 1, 0.6), (0, -1, 0.6)),
)
RINGS = (0, 12, 26, 42, 62, 88, 120)  # points farther from the marker, only as far as needed
MARGIN = 3.0  # points kept from the frame and between names


@dataclass(frozen=True)
class Box:
    """A place for a name, in points from the frame's lower left corner."""

    x: float
    y: float
    width: float
    height: float

    def nearest(self, x: float, y: float) -> tuple[float, float]:
        """Return the place's point that lies nearest to (x, y)."""
        return min(max(x, self.x), self.x + self.width), min(max(y, self.y), self.y + self.height)

    def away(self, x: float, y: float) -> float:
        """Return how far the place lies from (x, y)."""
        near = self.nearest(x, y)
        return math.hypot(near[0] - x, near[1] - y)


def place(
    ends: FloatArray,  # (n, 2): the markers, in points
    sizes: FloatArray,  # (n, 2): width and height of each name, in points
    frame: tuple[float, float],
    lines: FloatArray,  # (k, 2): points of paths, better not covered
    *,
    gap: float = 7.0,
    before: Sequence[Box | None] | None = None,  # where the names stood a moment ago
    last_ends: FloatArray | None = None,  # … and their markers
) -> list[Box | None]:
    """Return a place for each name, None where the frame has none left."""
    placed: list[Box | None] = []
    taken = np.empty((0, 4))
    for index, ((x, y), size) in enumerate(zip(ends, sizes, strict=True)):
        width, height = map(float, size)
        boxes, cost = _candidates(x, y, width, height, gap)
        free = _free(boxes, taken, frame)
        if not free.any():
            boxes, cost = _anywhere(x, y, width, height, frame)
            free = _free(boxes, taken, frame)
        boxes, cost = boxes[free], cost[free]
        if not len(boxes):
            placed.append(None)
            continue
        others = np.delete(ends, index, axis=0)
        apart = np.hypot(*(others - (x, y)).T) > 1  # markers on this one's own spot can't be kept clear of
        cost = cost + 1.2 * _covered(boxes, others[apart], 5.0)
        cost += np.minimum(0.9, 0.12 * _covered(boxes, lines, 0.0))
        old = before[index] if before else None
        if old is not None and last_ends is not None:  # no jitter: stay, unless elsewhere is clearly better
            moved = boxes[:, :2] - (x, y) - (old.x, old.y) + last_ends[index]
            cost += np.minimum(1.5, np.hypot(*moved.T) / 60)
        best = boxes[np.argmin(cost)]
        taken = np.vstack([taken, best])
        placed.append(Box(*map(float, best)))
    return placed


def _candidates(x: float, y: float, width: float, height: float, gap: float) -> tuple[FloatArray, FloatArray]:
    boxes, cost = [], []
    for ring, distance in enumerate(RINGS):
        side = gap + distance
        for across, up, dislike in SIDES:
            left = x + side if across > 0 else x - side - width if across < 0 else x - width / 2
            if across:
                bottom = y - height / 2 + up * (height / 2 + distance + 3)
            else:
                bottom = y + side if up > 0 else y - side - height
            boxes.append((left, bottom, width, height))
            cost.append(dislike + 1.1 * ring)
    return np.array(boxes), np.array(cost)


def _anywhere(
    x: float, y: float, width: float, height: float, frame: tuple[float, float]
) -> tuple[FloatArray, FloatArray]:
    """Every place near the marker is taken: all of the frame, the nearest first."""
    left, bottom = np.meshgrid(np.arange(MARGIN, frame[0], 8), np.arange(MARGIN, frame[1], 4))
    boxes = np.stack([left.ravel(), bottom.ravel()], axis=-1)
    cost = np.hypot(left.ravel() + width / 2 - x, bottom.ravel() + height / 2 - y) / 10
    return np.hstack([boxes, np.broadcast_to((width, height), boxes.shape)]), cost


def _free(boxes: FloatArray, taken: FloatArray, frame: tuple[float, float]) -> NDArray[np.bool_]:
    x, y, width, height = boxes.T
    free = (x >= MARGIN) & (y >= MARGIN) & (x + width <= frame[0] - MARGIN)
    free &= y + height <= frame[1] - MARGIN
    for other in taken:
        free &= ~_overlap(boxes, other, MARGIN)
    return np.asarray(free)


def _overlap(boxes: FloatArray, other: FloatArray, gap: float) -> NDArray[np.bool_]:
    x, y, width, height = boxes.T
    return np.asarray(
        (x < other[0] + other[2] + gap)
        & (other[0] < x + width + gap)
        & (y < other[1] + other[3] + gap)
        & (other[1] < y + height + gap)
    )


def _covered(boxes: FloatArray, points: FloatArray, radius: float) -> FloatArray:
    """Count the points each box covers, or comes closer to than `radius`."""
    x, y, width, height = (side[:, None] for side in boxes.T)
    across = (points[:, 0] > x - radius) & (points[:, 0] < x + width + radius)
    return (across & (points[:, 1] > y - radius) & (points[:, 1] < y + height + radius)).sum(axis=1)
