"""Maps as pictures: where a racer ends from every start, and how it fares with every pair of values."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, Normalize, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from optimizers.catalog import distinct
from optimizers.figures import ground
from optimizers.figures.racing import SMALL, conditions_in_words, footer, footer_height
from optimizers.figures.style import (
    DARK,
    LIGHT,
    Page,
    boxed,
    fit,
    log_axis,
    number,
    picture,
    short,
    tick,
    width_of,
    written,
)
from optimizers.maps import LOST, NOWHERE, Axis, BasinMap, SweepMap
from optimizers.notation import write_value
from optimizers.surfaces import FloatArray

# Of the minima: apart from one another to the colour-blind too, by lightness where not by hue. No racer is
# drawn on such a map, and a letter stands at each minimum as well.
HUES = ("#3568c0", "#e6b432", "#6e3562", "#74cdbb", "#576534", "#d98f5f", "#a6b2f0", "#b9d35b")
PALE = 0.78  # how far the slowest start's colour is on its way to paper
FINE = 1000  # a map is drawn with at least so many pixels a side, for the stripes
STRIPE = 12  # pixels between stripes
SIDE = 5.4  # inches of a basin map


@picture
def basin(found: BasinMap, *, dark: bool = False) -> Figure:
    """Draw which minimum a racer reaches from each start: a colour and a letter each, paler where it is slow.

    Starts that reach none are left grey, those that diverge are striped.
    """
    page = DARK if dark else LIGHT
    foot = recipe_of(found, [f"{len(found.x)} × {len(found.y)} starts", f"{found.steps:,} steps"])
    wide = 0.5 + SIDE + 0.45 + 3.6
    (x0, x1), (y0, y1) = bounds = (found.x[0], found.x[-1]), (found.y[0], found.y[-1])
    ratio = (y1 - y0) / (x1 - x0)
    tall = SIDE * ratio if 1 / ground.LONG < ratio < ground.LONG else SIDE
    figure = plt.figure(figsize=(wide, 0.75 + tall + 0.45 + footer_height(foot, wide - 0.8)))
    label = distinct([found.racer])[0].label
    _heading(figure, page, f"Where {label} ends on {found.surface.entry.title}", wide)
    axes = boxed(figure, 0.5, 0.75, SIDE, tall)
    dx, dy = (found.x[1] - found.x[0]) / 2, (found.y[1] - found.y[0]) / 2
    slowest = _slowest(found)
    axes.imshow(
        _basin_colors(found, page, slowest),
        extent=(found.x[0] - dx, found.x[-1] + dx, found.y[0] - dy, found.y[-1] + dy),
        origin="lower",
        interpolation="nearest",
        aspect="auto",
        zorder=0,
    )
    ground.draw(axes, found.surface, bounds, page, tones=False)
    for index, minimum in enumerate(found.surface.entry.minima):
        axes.plot(
            *minimum, "o", markersize=15, markerfacecolor=page.paper, markeredgecolor=page.ink, zorder=6
        )
        axes.text(*minimum, _letter(index), weight="bold", fontsize=9, zorder=7, **_MIDDLE)
    _basin_key(figure, found, page, 0.5 + SIDE + 0.45, slowest)
    footer(figure, foot, page, 0.5, wide - 0.8)
    return figure


def basin_words(found: BasinMap) -> list[tuple[str, str]]:
    """Say of each minimum, and of the starts that reach none, how many starts end there, and how fast.

    Returns (where, how many and how fast), e.g. ("A (3, 2)", "26 % of starts, half within 45 steps").
    """
    words = []
    for index, minimum in enumerate(found.surface.entry.minima):
        here = found.which_minimum == index
        x, y = map(short, minimum)
        share = _share(here)
        if here.any():
            half = int(np.median(found.steps_to_converge[here]))
            share += f" of starts, half within {half:,} step{'s' if half != 1 else ''}"
        words.append((f"{_letter(index)} ({x}, {y})", share))
    for kind, where in ((NOWHERE, "at no minimum"), (LOST, "diverged")):
        here = found.which_minimum == kind
        if here.any():
            words.append((where, f"{_share(here)} of starts"))
    return words


@picture
def sweep(found: SweepMap, *, dark: bool = False) -> Figure:
    """Draw the last loss and the steps to converge for every pair of two hyperparameters' values.

    Cells that diverged are striped; the best is ringed, and named below.
    """
    page = DARK if dark else LIGHT
    x, y = map(short, found.start)
    foot = recipe_of(found, [f"from ({x},\u00a0{y})", f"{found.steps:,} steps"])
    wide, side = 10.9, 4.0
    figure = plt.figure(figsize=(wide, 0.75 + 0.35 + side + 1.15 + footer_height(foot, wide - 0.8)))
    label = distinct([found.racer])[0].label.split(", ")[0]
    title = f"{label} on {found.surface.entry.title}: {found.x.symbol} against {found.y.symbol}"
    _heading(figure, page, title, wide)
    losses = _loss_colors(found, page)
    arrived = np.where(found.steps_to_converge >= 0, found.steps_to_converge, np.nan).astype(float)
    quick = _Scale(f"Steps to converge, {_share(arrived >= 0)} do", arrived, _normal(arrived), False)
    marked = False
    for index, scale in enumerate((losses, quick)):
        left = 0.85 + index * (side + 1.2)
        axes = boxed(figure, left, 1.1, side, side)
        _draw_cells(axes, found, scale, page)
        axes.set_title(scale.title, fontsize=11, pad=8)
        _label(axes.xaxis, found.x)
        _label(axes.yaxis, found.y)
        if index:
            axes.set_ylabel("")
        marked |= _mark_cells(axes, found, page)
        _colorbar(figure, scale, page, left + side + 0.1, 1.1, side)
    row = 1.1 + side + 0.62
    cells = [("o", f"best: {best_in_words(found)}", page.paper)]
    if marked:
        cells.append(("+", f"{found.racer}", page.paper))
    left = 0.85
    for symbol, words, _ in cells:
        spot = boxed(figure, left, row, 0.2, 0.2)
        spot.set(xlim=(-1, 1), ylim=(-1, 1))
        spot.axis("off")
        _symbol(spot, 0, 0, symbol, page)
        text = written(figure, left + 0.27, row + 0.1, words, va="center", fontsize=9.5)
        fit(text, wide - left - 0.6)
        left += 0.27 + width_of(text) + 0.35
    left = 0.85
    for color, words, there in (
        (None, f"diverged, {_share(found.diverged >= 0)}", (found.diverged >= 0).any()),
        (_neutral(page), "did not converge", (found.steps_to_converge < 0).any()),
    ):
        if there:
            left = _swatch(figure, page, left, row + 0.32, color, words)
    footer(figure, foot, page, 0.85, wide - 1.2)
    return figure


def sweep_words(found: SweepMap) -> list[tuple[str, str]]:
    """Say which pair of values is best, and how many converge and diverge."""
    return [
        ("best", best_in_words(found)),
        ("converged", f"{_share(found.steps_to_converge >= 0)} of pairs"),
        ("diverged", f"{_share(found.diverged >= 0)} of pairs"),
    ]


def best_in_words(found: SweepMap) -> str:
    """Say the best pair of values, and its loss."""
    cell = found.best
    if cell is None:
        return "none, all diverged"
    pair = ((found.x, found.x.values[cell[1]]), (found.y, found.y.values[cell[0]]))
    values = ", ".join(f"{axis.symbol} {_written(value)}" for axis, value in pair)
    steps = int(found.steps_to_converge[cell])
    when = f", converged at step {steps:,}" if steps >= 0 else ""
    return f"{values}, loss {number(float(found.final_loss[cell]))}{when}"


def recipe_of(found: BasinMap | SweepMap, parts: list[str]) -> str:
    """Write what is needed to compute a map again."""
    return ", ".join([f"{found.racer} on {found.surface}", *parts, *conditions_in_words(found.conditions)])


_MIDDLE: dict[str, Any] = {"ha": "center", "va": "center_baseline"}


def _heading(figure: Figure, page: Page, text: str, wide: float) -> None:
    fit(written(figure, 0.5, 0.22, text, weight="bold", fontsize=13, color=page.ink), wide - 0.9)


def _letter(index: int) -> str:
    return chr(ord("A") + index % 26) + (str(index // 26) if index >= 26 else "")


def _share(cells: NDArray[np.bool_]) -> str:
    """Write which part of all cells these are, in percent, never 0 or 100 unless none or all are."""
    share = 100 * float(cells.mean())
    if 0 < share < 0.1:
        return "under 0.1 %"
    if 99.9 < share < 100:
        return "over 99.9 %"
    return f"{share:.1f} %" if 0 < share < 10 or 99 < share < 100 else f"{share:.0f} %"


# Basins ------------------------------------------------------------------------------------------------


def _slowest(found: BasinMap) -> int:
    """Return the steps from which on a colour grows no paler: all but the slowest hundredth take fewer."""
    steps = found.steps_to_converge[found.steps_to_converge >= 0]
    return max(1, math.ceil(np.quantile(steps, 0.99))) if steps.size else 1


def _hue(index: int, page: Page, share: FloatArray) -> FloatArray:
    """Return a minimum's colour, for starts that take this share of the slowest one's steps, (..., 3)."""
    full, paper = np.array(to_rgb(HUES[index % len(HUES)])), np.array(to_rgb(page.paper))
    return full + PALE * np.clip(share, 0, 1)[..., None] * (paper - full)


def _neutral(page: Page) -> str:
    return "#3d3833" if page.dark else "#d3cfc7"


def _basin_colors(found: BasinMap, page: Page, slowest: int) -> FloatArray:
    """Return the picture of a basin map, (H·k, W·k, 3)."""
    share = found.steps_to_converge / slowest
    colors = np.empty((*share.shape, 3))
    colors[:] = to_rgb(_neutral(page))
    for index in range(len(found.surface.entry.minima)):
        here = found.which_minimum == index
        colors[here] = _hue(index, page, share[here])
    return _striped(colors, found.which_minimum == LOST, page)


def _striped(colors: FloatArray, lost: NDArray[np.bool_], page: Page) -> FloatArray:
    """Enlarge a picture to FINE pixels a side, and stripe its lost cells."""
    times = max(1, math.ceil(FINE / max(lost.shape)))
    colors = np.repeat(np.repeat(colors, times, axis=0), times, axis=1)
    lost = np.repeat(np.repeat(lost, times, axis=0), times, axis=1)
    rows, columns = np.ogrid[: lost.shape[0], : lost.shape[1]]
    stripe = (rows - columns) % STRIPE < 3
    colors[lost] = to_rgb(page.paper)
    colors[lost & stripe] = 0.5 * np.add(to_rgb(page.mute), to_rgb(page.paper))
    return colors


def _basin_key(figure: Figure, found: BasinMap, page: Page, left: float, slowest: int) -> None:
    """Draw a row for each minimum, with its colours from quick to slow, and one for each other end."""
    top = 0.75
    ramp = np.linspace(0, 1, 64)[None]
    for index, (where, words) in enumerate(basin_words(found)):
        if index < len(found.surface.entry.minima):
            bar = boxed(figure, left, top + 0.03, 1.1, 0.16)
            bar.imshow(_hue(index, page, ramp), aspect="auto", extent=(0, slowest, 0, 1))
            bar.set_axis_off()
        else:
            _patch(figure, page, left, top + 0.03, 1.1, None if where == "diverged" else _neutral(page))
        fit(written(figure, left + 1.25, top, where, weight="bold", fontsize=9.5), 2.3)
        fit(written(figure, left + 1.25, top + 0.19, words, fontsize=SMALL, color=page.mute), 2.3)
        top += 0.45
    if not found.surface.entry.minima:
        words = f"{found.surface.entry.title} has no minimum to reach."
        fit(written(figure, left, top + 0.1, words, fontsize=SMALL, color=page.mute), 3.5)
        return
    written(figure, left, top + 0.02, "0", fontsize=SMALL, color=page.mute)
    written(figure, left + 1.1, top + 0.02, f"{slowest:,}", fontsize=SMALL, color=page.mute, ha="right")
    words = f"steps to converge: {'darker' if page.dark else 'paler'} is slower"
    fit(written(figure, left + 1.25, top + 0.02, words, fontsize=SMALL, color=page.mute), 2.3)


def _patch(figure: Figure, page: Page, left: float, top: float, width: float, color: str | None) -> None:
    """Draw a sample of what stands for diverged cells (None) or of a plain colour."""
    wide, high = figure.get_size_inches()
    place = (left / wide, 1 - (top + 0.16) / high)
    style: dict[str, Any] = {"facecolor": color or page.paper, "linewidth": 0}
    if color is None:
        style |= {"hatch": "//////", "edgecolor": page.mute}
    figure.add_artist(Rectangle(place, width / wide, 0.16 / high, **style))


def _swatch(figure: Figure, page: Page, left: float, top: float, color: str | None, words: str) -> float:
    _patch(figure, page, left, top, 0.4, color)
    text = written(figure, left + 0.5, top + 0.08, words, va="center", fontsize=SMALL, color=page.mute)
    return left + 0.5 + width_of(text) + 0.35


# Sweeps ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Scale:
    """What a panel of a sweep shows, and how it is coloured."""

    title: str
    values: FloatArray  # NaN where there is none
    normal: Normalize
    log: bool


def _normal(values: FloatArray) -> Normalize:
    known = values[np.isfinite(values)]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    return Normalize(low, high if high > low else low + 1)


def _log_normal(values: FloatArray, start: float) -> Normalize:
    """Spread the colours over powers of ten; what ends above the start's loss is as pale as pale can be."""
    known = values[np.isfinite(values) & (values > 0)]
    if not known.size:
        return Normalize(-1, 0)
    high = min(float(known.max()), start) if start > known.min() else float(known.max())
    low = max(float(known.min()), high * 1e-16)
    return Normalize(math.log10(low), math.log10(max(high, low * 10)))


def _loss_colors(found: SweepMap, page: Page) -> _Scale:
    """Return the last losses, by their logarithm above the lowest value where there is one."""
    lowest = found.surface.entry.lowest
    if not math.isfinite(lowest):
        known = found.final_loss[np.isfinite(found.final_loss)]
        if not known.size or known.min() <= 0 or known.max() < 30 * known.min():
            return _Scale("Last loss", found.final_loss, _normal(found.final_loss), False)
        lowest = 0.0
    above = found.final_loss - lowest
    start = float(found.surface.value(*found.start)) - lowest
    normal = _log_normal(above, start)
    with np.errstate(divide="ignore", invalid="ignore"):
        # one that reached the lowest value to the last bit, or by rounding less, has the deepest colour
        logs = np.where(above > 0, np.log10(above), np.where(np.isnan(above), np.nan, -np.inf))
    return _Scale(
        f"Last loss above the lowest, {short(lowest)}" if lowest else "Last loss", logs, normal, True
    )


def _cells_map(page: Page) -> LinearSegmentedColormap:
    """Stand out from the page where the loss is low."""
    tones = ["#173a5e", "#3f7cac", "#95bcd0", "#d8e0d8", "#f6ead2"]
    if page.dark:
        tones = ["#d9f0ff", "#7fc0ea", "#3f7cac", "#24425c", "#1b2027"]
    return LinearSegmentedColormap.from_list("cells", tones)


def _draw_cells(axes: Axes, found: SweepMap, scale: _Scale, page: Page) -> None:
    colors = _cells_map(page)(scale.normal(scale.values))[..., :3]
    colors[np.isnan(scale.values)] = to_rgb(_neutral(page))
    rows, columns = scale.values.shape
    times = math.ceil(FINE / max(rows, columns))
    fine = _striped(np.ones((rows, columns, 3)), found.diverged >= 0, page)
    lost = np.repeat(np.repeat(found.diverged >= 0, times, axis=0), times, axis=1)
    image = np.repeat(np.repeat(colors, times, axis=0), times, axis=1)
    image[lost] = fine[lost]
    axes.imshow(
        image,
        extent=(-0.5, columns - 0.5, -0.5, rows - 0.5),
        origin="lower",
        interpolation="nearest",
        aspect="auto",
    )
    axes.grid(False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=3, labelsize=9)


def _mark_cells(axes: Axes, found: SweepMap, page: Page) -> bool:
    """Ring the best cell, and mark where the racer's own values lie; tell whether they lie on the map."""
    cell = found.best
    if cell is not None:
        _symbol(axes, cell[1], cell[0], "o", page)
    values = found.racer.values | found.surface.values
    own = [_position(axis, values[axis.name]) for axis in (found.x, found.y)]
    if own[0] is None or own[1] is None:
        return False
    _symbol(axes, own[0], own[1], "+", page)
    return True


def _symbol(axes: Axes, x: float, y: float, symbol: str, page: Page) -> None:
    for color, width in ((page.paper, 4.0), (page.ink, 1.6)):
        axes.plot(
            x,
            y,
            symbol,
            markersize=11,
            markerfacecolor="none",
            markeredgecolor=color,
            markeredgewidth=width,
            clip_on=False,
            zorder=5,
        )


def _scaled(axis: Axis, value: float) -> float:
    """Return where a value lies along its axis, as the axis counts."""
    if axis.scale == "log":
        return math.log10(value) if value > 0 else -math.inf
    if axis.scale == "one_minus_log":
        return -math.log10(1 - value) if value < 1 else math.inf
    return value


def _position(axis: Axis, value: Any) -> float | None:
    """Return where a value lies among the cells, counted in cells; None where it lies outside."""
    if axis.scale == "choice":
        return float(axis.values.index(value)) if value in axis.values else None
    places = np.array([_scaled(axis, float(each)) for each in axis.values])
    order = np.argsort(places)
    place = _scaled(axis, float(value))
    slack = 1e-9 * (np.ptp(places) or 1.0)
    if not places.min() - slack <= place <= places.max() + slack:
        return None
    return float(np.interp(place, places[order], np.arange(len(places))[order]))


def axis_ticks(axis: Axis) -> list[tuple[float, str]]:
    """Return where the ticks of a sweep's axis stand, in cells, and what they say."""
    if axis.scale == "choice":
        return [(float(index), _written(value)) for index, value in enumerate(axis.values)]
    numbers = [float(value) for value in axis.values]
    low, high = min(numbers), max(numbers)
    if axis.scale == "log" and low > 0:
        first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
        wanted = [10.0**exponent for exponent in range(first, last + 1)]
    elif axis.scale == "one_minus_log":
        nines = range(math.floor(-math.log10(1 - low) + 1e-9), math.ceil(-math.log10(1 - high) - 1e-9) + 1)
        wanted = [1 - 10.0**-k for k in nines]
    else:
        wanted = list(MaxNLocator(6).tick_values(low, high))
    if sum(low - 1e-12 <= value <= high + 1e-12 for value in wanted) < 2:
        wanted = [numbers[index] for index in sorted({0, len(numbers) // 2, len(numbers) - 1})]
    write = tick if axis.scale == "log" else lambda value: f"{value:.6g}".replace("-", "−")
    at = [(_position(axis, value), write(value)) for value in wanted]
    return [(position, words) for position, words in at if position is not None]


def _written(value: Any) -> str:
    return write_value(value) if isinstance(value, bool | str) else f"{value:.3g}".replace("-", "−")


def _called(axis: Axis) -> str:
    name = axis.name.replace("_", " ")
    return name if name == axis.symbol else f"{axis.symbol} ({name})"


def _label(axis: Any, swept: Axis) -> None:
    ticks = axis_ticks(swept)
    axis.set_ticks([place for place, _ in ticks], [words for _, words in ticks])
    axis.set_label_text(_called(swept))


def _colorbar(figure: Figure, scale: _Scale, page: Page, left: float, top: float, height: float) -> None:
    low, high = float(scale.normal.vmin or 0), float(scale.normal.vmax or 1)
    bar = boxed(figure, left, top, 0.13, height)
    ramp = np.linspace(0, 1, 256)[:, None]
    bar.grid(False)
    bar.spines[:].set_visible(False)
    bar.yaxis.tick_right()
    bar.tick_params(length=3, labelsize=9)
    bar.set_xticks([])
    image = _cells_map(page)(ramp)
    if scale.log:
        bar.pcolormesh([0, 1], np.logspace(low, high, 257), ramp, cmap=_cells_map(page), rasterized=True)
        bar.set_yscale("log")
        bar.set_ylim(10**low, 10**high)
        log_axis(bar.yaxis, 10**low, 10**high, most=7)
    else:
        bar.imshow(image, aspect="auto", origin="lower", extent=(0, 1, low, high))
        bar.yaxis.set_major_formatter(lambda value, _: short(value))
