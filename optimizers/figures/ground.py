"""The surface as paper: quiet tones and thin contour lines, equally far apart in asinh of f."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from optimizers.figures.style import Page, short
from optimizers.surfaces import FloatArray, Surface

Bounds = tuple[tuple[float, float], tuple[float, float]]  # (x low, x high), (y low, y high)

LATTICE = 400  # points along the longer side
MOST_BANDS, FEWEST_BANDS = 20, 6  # contour lines over the map's range …
APART = 19  # … but on average no closer than this, in parts of 600 of the map's width
LONG = 2.5  # a map this many times longer than wide is not drawn to one scale


def framed(surface: Surface, start: tuple[float, float] | None, width: float, height: float) -> Bounds:
    """Return what a map of this shape shows: the surface's bounds and the start, both axes to one scale."""
    sides = list(surface.entry.bounds)
    if start is not None:
        for axis, (low, high) in enumerate(sides):
            room = 0.05 * (high - low)
            if not low <= start[axis] <= high:  # else the bounds are as the catalogue has them
                sides[axis] = (min(low, start[axis] - room), max(high, start[axis] + room))
    (x0, x1), (y0, y1) = sides
    if not 1 / LONG < (x1 - x0) / (y1 - y0) < LONG:
        return (x0, x1), (y0, y1)
    more_x = max(0.0, (y1 - y0) * width / height - (x1 - x0)) / 2
    more_y = max(0.0, (x1 - x0) * height / width - (y1 - y0)) / 2
    return (x0 - more_x, x1 + more_x), (y0 - more_y, y1 + more_y)


def heights(values: FloatArray, lowest: float) -> tuple[FloatArray, float, float]:
    """Turn values of f into heights on the map, and say between which two heights the map has its tones.

    The height is asinh((f − base)/soft), a logarithm that passes through zero. The base is the lowest value
    of f; where it has none, zero if both signs occur (a saddle), else the lowest value on the map. What is
    not finite is NaN.
    """
    known = values[np.isfinite(values)]
    if not known.size:
        return np.full_like(values, np.nan), 0.0, 1.0
    both_signs = not math.isfinite(lowest) and known.min() < 0 < known.max()
    base = lowest if math.isfinite(lowest) else 0.0 if both_signs else known.min()
    sizes = np.abs(known - base)
    greatest = float(np.quantile(sizes, 0.995))
    soft = max(float(np.quantile(sizes, 0.03)), greatest * 1e-6, 1e-30)
    top = math.asinh(greatest / soft) or 1.0
    with np.errstate(invalid="ignore", over="ignore"):
        height = np.arcsinh((values - base) / soft)
    return np.where(np.isfinite(values), height, np.nan), -top if both_signs else 0.0, top


def draw(axes: Axes, surface: Surface, bounds: Bounds, page: Page, *, tones: bool = True) -> bool:
    """Draw a surface's tones and contour lines; tell whether f is undefined somewhere here."""
    (x0, x1), (y0, y1) = bounds
    longer = max(x1 - x0, y1 - y0)
    one_scale = 1 / LONG < (x1 - x0) / (y1 - y0) < LONG
    columns = round(LATTICE * (x1 - x0) / longer) if one_scale else LATTICE
    rows = round(LATTICE * (y1 - y0) / longer) if one_scale else LATTICE
    x, y = np.linspace(x0, x1, columns), np.linspace(y0, y1, rows)
    undefined = lay(
        axes, x, y, surface.value(x[None, :], y[:, None]), surface.entry.lowest, page, tones=tones
    )
    if surface.entry.box:
        (left, right), (low, high) = surface.entry.box
        frame = Rectangle((left, low), right - left, high - low, fill=False, edgecolor=page.mute, zorder=0.7)
        axes.add_patch(frame)
    dress(axes, bounds)
    return undefined


def lay(
    axes: Axes,
    x: FloatArray,  # (nx,)
    y: FloatArray,  # (ny,)
    values: FloatArray,  # (ny, nx)
    lowest: float,
    page: Page,
    *,
    tones: bool = True,
) -> bool:
    """Draw the tones and contour lines of values on a lattice; tell whether they are undefined somewhere."""
    height, bottom, top = heights(values, lowest)
    undefined = np.isnan(height)
    if tones:
        axes.imshow(
            np.ma.masked_invalid(height),
            cmap=page.tones,
            vmin=bottom,
            vmax=top,
            extent=_extent(x, y),
            origin="lower",
            interpolation="bilinear",
            zorder=0,
        )
    if not undefined.all():
        bands = _bands(height, top - bottom)
        apart = (top - bottom) / bands
        last = int(min(2 * MOST_BANDS, (np.nanmax(height) - bottom) / apart))
        levels = bottom + apart * np.arange(0 if bottom else 1, last + 1)
        if levels.size and np.nanmin(height) < levels[-1]:
            axes.contour(
                x,
                y,
                np.ma.masked_invalid(height),
                levels=levels,
                colors=page.contour,
                alpha=page.contour_alpha,
                linewidths=0.6,
                linestyles="solid",
                zorder=0.5,
            )
    if undefined.any():
        axes.contourf(
            x, y, undefined.astype(float), levels=[0.5, 1.5], colors="none", hatches=["////"], zorder=0.6
        ).set_edgecolor(page.edge)
    return bool(undefined.any())


def dress(axes: Axes, bounds: Bounds) -> None:
    """Give a map its limits, at one scale where it is not too long for that, and quiet ticks."""
    (x0, x1), (y0, y1) = bounds
    one_scale = 1 / LONG < (x1 - x0) / (y1 - y0) < LONG
    axes.set(xlim=(x0, x1), ylim=(y0, y1), aspect="equal" if one_scale else "auto")
    axes.grid(False)
    axes.tick_params(length=3, labelsize=9)
    axes.spines[:].set_visible(False)
    axes.xaxis.set_major_formatter(lambda value, _: short(value))
    axes.yaxis.set_major_formatter(lambda value, _: short(value))


def mark(axes: Axes, surface: Surface, page: Page) -> list[Artist]:
    """Mark the minima, and saddles, over whatever runs into them; return the marks."""
    marks: list[Artist] = []
    for color, wider in ((page.paper, 3), (page.ink, 0)):  # first what sets them off from paths
        style: dict[str, Any] = {"markeredgecolor": color, "markeredgewidth": 1 + wider, "zorder": 6}
        for minimum in surface.entry.minima:
            marks += axes.plot(*minimum, "o", markersize=9, markerfacecolor="none", **style)
            marks += axes.plot(*minimum, "+", markersize=15 + wider, **style)
        for saddle in surface.entry.saddles:
            marks += axes.plot(*saddle, "x", markersize=7 + wider, **style)
    return marks


def _bands(height: FloatArray, span: float) -> int:
    """Return into how many bands the map's range is cut, so that its lines lie no closer than APART."""
    climb = np.hypot(np.diff(height, axis=0)[:, 1:], np.diff(height, axis=1)[1:])
    climb = climb[np.isfinite(climb)]
    whole = climb.mean() * height.shape[1] if climb.size else 0.0  # over the map's width
    fitting = 600 / APART * span / whole if whole else FEWEST_BANDS
    return int(min(MOST_BANDS, max(FEWEST_BANDS, round(fitting))))


def _extent(x: FloatArray, y: FloatArray) -> tuple[float, float, float, float]:
    """Return what an image of values at these lattice points covers: half a cell beyond them."""
    dx, dy = (x[1] - x[0]) / 2, (y[1] - y[0]) / 2
    return x[0] - dx, x[-1] + dx, y[0] - dy, y[-1] + dy
