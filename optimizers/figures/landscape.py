"""A measured landscape as a picture: a plane with the racers' paths on it, or a line between two ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from optimizers.catalog import Look, Racer, distinct
from optimizers.figures import ground
from optimizers.figures.racing import SMALL, footer, footer_height
from optimizers.figures.style import (
    DARK,
    LIGHT,
    Page,
    boxed,
    fit,
    line,
    log_axis,
    marker,
    number,
    picture,
    wrapped,
    written,
)

if TYPE_CHECKING:
    from optimizers.training.landscape import Landscape

TITLES = {"pca": "The plane of the paths", "random": "A random plane", "line": "From one end to another"}
WIDTH, LEFT = 10.7, 0.55  # inches
SIDE = 6.2  # inches, the map's longer side
SMALL_DOT = 3.2  # points: a snapshot on a path


@picture
def landscape(found: Landscape, *, dark: bool = False) -> Figure:
    """Draw a plane as a map with the racers' snapshots and how far off it they are, or a line as curves."""
    page = DARK if dark else LIGHT
    return _line(found, page) if found.kind == "line" else _plane(found, page)


def _looks(found: Landscape) -> list[Look]:
    return distinct([Racer.parse(notation) for notation in found.config.racers])


def _heading(figure: Figure, found: Landscape, page: Page) -> None:
    written(figure, LEFT, 0.2, TITLES[found.kind], weight="bold", fontsize=13)
    words = "\n".join(wrapped(found.words, SMALL, WIDTH - LEFT - 0.3))
    written(figure, LEFT, 0.5, words, fontsize=SMALL, color=page.mute)


def _plane(found: Landscape, page: Page) -> Figure:
    wide, high = found.x[-1] - found.x[0], found.y[-1] - found.y[0]
    across, tall = SIDE * min(1.0, wide / high), SIDE * min(1.0, high / wide)
    top = 0.95
    foot = footer_height(found.recipe, WIDTH - LEFT - 0.3)
    figure = plt.figure(figsize=(WIDTH, top + max(tall, 3.4) + 0.55 + foot))
    _heading(figure, found, page)
    axes = boxed(figure, LEFT, top, across, tall)
    ground.lay(axes, found.x, found.y, found.loss, float(np.min(found.loss)), page)
    ground.dress(axes, ((found.x[0], found.x[-1]), (found.y[0], found.y[-1])))
    left = LEFT + across + 0.75
    chart = boxed(figure, left, top + 0.3, WIDTH - left - 0.3, 1.9)
    looks = _looks(found)
    for row, place in enumerate(np.unique(found.racer)):
        look, own = looks[place], np.flatnonzero(found.racer == place)
        path = found.shadow[own]
        axes.plot(*path.T, color=page.paper, linewidth=4.5, alpha=0.6, zorder=3)
        axes.plot(*path.T, **line(look, page=page), zorder=4)
        dots: dict[str, Any] = {"markersize": SMALL_DOT, "color": page.color(look), "linestyle": "none"}
        axes.plot(*path.T, "o", **dots, zorder=4)
        axes.plot(*path[-1:].T, **marker(look, page), zorder=5)
        chart.plot(found.step[own], found.off[own], **line(look, page=page, width=1.8))
        said = (
            f"loss {number(found.own[own[-1], 0], 3)}, {number(float(found.off[own[-1]]), 3)} off the plane"
        )
        y = top + 2.75 + 0.37 * row
        name = written(figure, left, y, look.label, color=page.color(look), weight="bold", fontsize=10)
        fit(name, WIDTH - left - 0.3)
        written(figure, left, y + 0.17, said, fontsize=SMALL, color=page.mute)
    axes.plot(*found.shadow[0], "o", markersize=5, color=page.ink, zorder=6)
    chart.set_title("Distance off the plane", fontsize=10)
    chart.set(ylim=(0, None), xlabel="step")
    chart.tick_params(length=3, labelsize=9)
    footer(figure, found.recipe, page, LEFT, WIDTH - LEFT - 0.3)
    return figure


def _line(found: Landscape, page: Page) -> Figure:
    foot = footer_height(found.recipe, WIDTH - LEFT - 0.3)
    figure = plt.figure(figsize=(WIDTH, 0.95 + 3.6 + 0.6 + foot))
    _heading(figure, found, page)
    looks = _looks(found)
    assert found.order.racers is not None
    ends = [looks[found.order.racers[place]] for place in (0, -1)]
    sides = (
        ("Loss", found.loss[0], found.tests[:, 0], 1),
        ("Accuracy, %", found.accuracy[0], found.tests[:, 1], 100),
    )
    for column, (title, training, tests, factor) in enumerate(sides):
        axes = boxed(figure, LEFT + column * 5.15, 1.25, 4.4, 3.2)
        axes.set_title(title, fontsize=11)
        axes.plot(
            found.x,
            factor * tests,
            color=page.mute,
            linewidth=1.5,
            linestyle=(0, (3, 2.5)),
            label="test pictures",
        )
        axes.plot(found.x, factor * training, color=page.ink, linewidth=2, label="training pictures")
        for at, look in enumerate(ends):
            nearest = int(np.argmin(np.abs(found.x - at)))
            axes.plot(found.x[nearest], factor * training[nearest], **marker(look, page), zorder=5)
        axes.set_xticks([0, 1], [look.label for look in ends])
        axes.tick_params(length=3, labelsize=9)
        if column == 0:
            if training.max() > 10 * training.min() > 0 and np.isfinite(training).all():
                axes.set_yscale("log")
                log_axis(axes.yaxis, *axes.get_ylim())
            axes.legend(fontsize=SMALL)
    footer(figure, found.recipe, page, LEFT, WIDTH - LEFT - 0.3)
    return figure
