"""Pictures by matplotlib, in the racers' own colours and line styles."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from optimizers.catalog import Look

if TYPE_CHECKING:
    from optimizers.trajectory import Race

FORMATS = (".png", ".svg")
_PAPER = LinearSegmentedColormap.from_list("paper", ["#b0c6d6", "#e2e6e6", "#f7f3eb"])
STYLE: dict[Any, Any] = {
    "figure.facecolor": "#fbfaf7",
    "axes.facecolor": "#fbfaf7",
    "axes.edgecolor": "#c9c5bc",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.labelcolor": "#1d1f24",
    "axes.titlelocation": "left",
    "axes.grid": True,
    "grid.color": "#e4e1da",
    "xtick.color": "#6b7079",
    "ytick.color": "#6b7079",
    "font.size": 11,
    "legend.frameon": False,
    "svg.fonttype": "none",
}


def line(look: Look, *, width: float = 2.2) -> dict[str, Any]:
    """Return a racer's line as keywords for Axes.plot: colour, dashes, width."""
    style: dict[str, Any] = {"color": look.light, "linewidth": width, "solid_capstyle": "round"}
    if look.dash:
        # Catalogue dashes are for a line 2.5 px wide; matplotlib counts in line widths.
        style |= {"linestyle": (0, tuple(length / 2.5 for length in look.dash)), "dash_capstyle": "round"}
    return style


def paths(race: Race) -> Figure:
    """Draw a race: the paths over the surface, and the loss of each racer against its steps."""
    with mpl.rc_context(STYLE):
        figure, (left, right) = plt.subplots(1, 2, figsize=(11, 5), width_ratios=(6, 5), layout="constrained")
        _surface(left, race)
        for trajectory, look in zip(race, race.looks, strict=True):
            left.plot(*trajectory.path.T, color="#fbfaf7", linewidth=4, alpha=0.6)
            left.plot(*trajectory.path.T, **line(look))
            last = trajectory.path[np.isfinite(trajectory.path[:, 0])][-1]
            face = "#fbfaf7" if look.hollow else look.light
            left.plot(
                *last, "o", markersize=8, markerfacecolor=face, markeredgecolor=look.light, markeredgewidth=2
            )
            right.plot(trajectory.loss, label=look.label, **line(look))
        left.plot(*race.start, "o", color="#1d1f24", markersize=5)
        if race.surface.entry.lowest == 0:
            right.set_yscale("log")
        right.set_xlabel("step")
        right.set_title("Loss")
        figure.legend(loc="outside lower center", ncols=4)
    return figure


def _surface(axes: Axes, race: Race) -> None:
    entry = race.surface.entry
    x, y = (np.linspace(*bounds, 400) for bounds in entry.bounds)
    values = race.surface.value(x[None, :], y[:, None])
    if np.isfinite(entry.lowest):  # equal steps of the logarithm show a valley as well as its walls
        values = np.maximum(values - entry.lowest, 0)  # outside its box f may go on down
        values = np.log10(values + 1e-2 * np.median(values))
    axes.contourf(x, y, values, levels=24, cmap=_PAPER)
    axes.contour(x, y, values, levels=24, colors="#3c5064", linewidths=0.5, alpha=0.35, linestyles="solid")
    if entry.box:
        (left, right), (low, high) = entry.box
        axes.plot([left, right, right, left, left], [low, low, high, high, low], color="#1d1f24", linewidth=1)
    for minimum in entry.minima:
        axes.plot(*minimum, "+", color="#1d1f24", markersize=11, markeredgewidth=1.5)
    axes.set(xlim=entry.bounds[0], ylim=entry.bounds[1], aspect="equal", title=entry.title)
    axes.grid(False)


def save(figure: Figure, path: Path) -> None:
    """Write a figure as its file name's ending says, and let go of it."""
    figure.savefig(path, dpi=160)
    plt.close(figure)
