"""A race as a picture: the paths over the surface, the losses, and races side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.markers import MarkerStyle
from matplotlib.path import Path
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import Affine2D, Transform
from numpy.typing import NDArray

from optimizers.catalog import Look
from optimizers.conditions import Conditions
from optimizers.figures import ground, labels
from optimizers.figures.ground import Bounds
from optimizers.figures.style import (
    DARK,
    LIGHT,
    Page,
    boxed,
    extent,
    fit,
    line,
    log_axis,
    marker,
    number,
    picture,
    short,
    width_of,
    wrapped,
    written,
)
from optimizers.schedules import Schedule
from optimizers.surfaces import FloatArray, Surface
from optimizers.trajectory import Race, Trajectory

WIDTH = 10.7  # inches, of a race's picture
LEFT, TOP = 0.5, 0.62  # inches around the map
MAP_WIDTH = 5.8
RIGHT = 7.0  # where the loss begins
CHART_TOP = 0.26  # inches from the map's upper edge down to the chart's, for the chart's title
ROW = 0.37  # inches a racer takes in the key
SMALL = 8.5  # points, of what is said in passing
FOOT, MOST_LINES = 7.5, 4  # points and lines of the recipe
FAR = 16  # points from a marker to its name from which on a line leads there
CELLS = 2000  # a path is drawn to within this part of the map …
MANY = 3000  # … and one of more points has no line twice
FEW = 1500  # a loss with more points is drawn by its extremes
ARROW = Path([(1, 0), (-0.8, 0.7), (-0.4, 0), (-0.8, -0.7), (1, 0)])  # where a path leaves the map
INK = 8  # a path longer than so many map diagonals is drawn finer, so that others are still seen
LEAST = 1e-16  # a loss this much below the start's is below the chart


@dataclass(frozen=True)
class LossScale:
    """How a loss is drawn: what it is counted from, and whether by its logarithm."""

    base: float
    log: bool
    low: float
    high: float

    def of(self, loss: FloatArray) -> FloatArray:
        """Return what is drawn of a loss."""
        above = loss - self.base
        return np.where(above > 0, above, self.low * 1e-3) if self.log else above

    @property
    def title(self) -> str:
        """What the chart is called."""
        return f"Loss above the lowest, {short(self.base)}" if self.base else "Loss"


@dataclass
class Runner:
    """One racer on a board: what is drawn of it."""

    trajectory: Trajectory
    look: Look
    page: Page
    bounds: Bounds
    steps: NDArray[np.intp]  # of what is drawn of the path …
    points: FloatArray  # … and its points; NaN where it breaks off
    path: Line2D
    halo: Line2D
    end: Line2D
    name: Text
    leader: Line2D
    loss_steps: NDArray[np.intp]
    losses: FloatArray
    loss: Line2D
    gone: Line2D  # the arrow where it leaves the chart for good
    label: str
    shape: FloatArray  # the map's width and height
    spot: FloatArray  # where its end is seen
    long: bool  # whether its path is drawn finer

    @property
    def last(self) -> int:
        """The last step that has a point."""
        return _last(self.trajectory)

    def trace(self, since: int, step: int) -> bool:
        """Show only the part of the path from one step to another; tell whether there is any."""
        part = self.points[(self.steps > since) & (self.steps <= step)]
        before = self.points[self.steps <= since][-1:]
        self.path.set_data(*np.concatenate([before, part]).T)
        return bool(part.size)

    @property
    def artists(self) -> tuple[Line2D | Text, ...]:
        """What moves, in the order in which it is drawn."""
        return self.halo, self.path, self.loss, self.gone, self.leader, self.end, self.name

    def show(self, step: int) -> None:
        """Show the path and the loss up to a step."""
        now = min(step, self.last)
        for artist in (self.halo, self.path):
            artist.set_data(*self.points[self.steps <= step].T)
        upto = self.loss_steps <= now
        self.loss.set_data(self.loss_steps[upto], self.losses[upto])
        self.spot, heading = _seen(self.trajectory.path, now, self.bounds, self.shape)
        self.end.set_data(self.spot[:1], self.spot[1:])
        arrow = None if heading is None else MarkerStyle(ARROW, transform=Affine2D().rotate_deg(heading))
        self.end.set_marker(arrow or "o")
        self.end.set_markersize(13 if arrow else 8)
        lost = self.trajectory.diverged is not None and step >= self.trajectory.diverged
        self.gone.set_visible(lost)
        words = "diverged" if lost else "" if heading is None else "off the map"
        self.name.set_text(", ".join(filter(None, [self.label, words])))


@dataclass
class Board:
    """A map, a loss chart and a key, with the runners on them."""

    figure: Figure
    page: Page
    race: Race
    map: Axes
    chart: Axes
    runners: list[Runner]
    outcomes: list[Text]  # what the key says of each
    sizes: dict[str, tuple[float, float]]  # of names, in points
    start: Text
    marks: list[Artist]  # minima, saddles, start: what stands over the paths
    places: list[labels.Box | None] | None = None
    ends: FloatArray | None = None

    def show(self, step: int) -> None:
        """Show the race up to a step, each name beside its path's end."""
        for runner in self.runners:
            runner.show(step)
        points = 72 / self.figure.dpi
        corner = self.map.bbox.p0

        def on_map(data: FloatArray) -> FloatArray:  # points from the map's lower left corner
            return (self.map.transData.transform(data) - corner) * points

        names = [*(runner.name for runner in self.runners), self.start]
        ends = on_map(np.array([*(runner.spot for runner in self.runners), self.race.start]))
        sizes = np.array([self._size(name) for name in names])
        inked = [np.asarray(runner.path.get_xydata()) for runner in self.runners]
        lines = np.concatenate([part[:: len(part) // 150 + 1] for part in inked])
        inside = np.all((lines > np.transpose(self._bounds)[0]) & (lines < np.transpose(self._bounds)[1]), 1)
        width, height = np.array(self.map.bbox.size) * points
        self.places = labels.place(
            ends, sizes, (width, height), on_map(lines[inside]), before=self.places, last_ends=self.ends
        )
        self.ends = ends
        for name, end, place in zip(names, ends, self.places, strict=True):
            far = place is None or place.away(*end) > FAR
            name.set_visible(place is not None and not (far and name is self.start))
            if place is not None:
                name.set_position((place.x, place.y))
        for runner, end, place in zip(self.runners, ends, self.places, strict=False):
            runner.leader.set_visible(
                place is not None and place.away(*end) > FAR and bool(runner.name.get_text())
            )
            if place is not None:
                runner.leader.set_data(*np.transpose([end, place.nearest(*end)]))

    @property
    def _bounds(self) -> Bounds:
        return self.runners[0].bounds

    def _size(self, name: Text) -> tuple[float, float]:
        text = name.get_text()
        if text not in self.sizes:
            self.sizes[text] = extent(name)
        return self.sizes[text]


@picture
def paths(race: Race, *, dark: bool = False) -> Figure:
    """Draw a race: the paths over the surface, the loss of each racer, and in words how each ends.

    A path that leaves the map ends in an arrow at its edge; one that diverged says so.
    """
    page = DARK if dark else LIGHT
    key = ROW * len(race)
    tall = min(max(5.05, key + 2.7), 6.4)
    notes = 0.4 + footer_height(recipe(race), WIDTH - LEFT - 0.3)
    figure = plt.figure(figsize=(WIDTH, TOP + max(tall, key + 2.7) + notes))
    chart = max(1.75, tall - key - CHART_TOP - 0.6)
    made = board(figure, race, page, map_height=tall, chart_height=chart, row=ROW)
    for runner, outcome in zip(made.runners, made.outcomes, strict=True):
        outcome.set_text(_outcome(runner))
        fit(outcome, WIDTH - RIGHT - 0.9)
    made.show(race.steps)
    return figure


@picture
def losses(race: Race, *, dark: bool = False) -> Figure:
    """Draw the loss of each racer against its steps, each line named where it ends."""
    page = DARK if dark else LIGHT
    figure = plt.figure(figsize=(9.2, 5.2))
    heading(figure, race.surface, page, 0.6, 8.3)
    names = [
        written(figure, 0, 0, _ending(walk, look.label), color=page.color(look), weight="bold", fontsize=10)
        for walk, look in zip(race, race.looks, strict=True)
    ]
    room = min(max(width_of(name) for name in names), 3.4)
    axes = boxed(figure, 0.75, TOP, 8.1 - room, 3.75)
    scale = loss_scale([race])
    frame_losses(axes, race, scale, page, titled=False)
    for walk, look in zip(race, race.looks, strict=True):
        axes.plot(*_loss_points(walk, scale), **line(look, page=page))
        if walk.diverged is not None:
            axes.add_artist(_gone(axes, walk, page.color(look)))
    axes.set_ylabel(scale.title[0].lower() + scale.title[1:])
    low, high = axes.get_ylim()
    to_share = (lambda v: math.log(v / low) / math.log(high / low)) if scale.log else None
    wanted = []
    for walk in race:
        end = float(scale.of(walk.loss[: _last(walk) + 1])[-1])
        share = to_share(max(end, low)) if to_share else (end - low) / (high - low)
        wanted.append(1.0 if walk.diverged is not None else min(1.0, max(0.0, share)))
    for name, at, stands in zip(names, wanted, _spread(wanted, 0.2 / 3.75), strict=True):
        x = 0.75 + 8.1 - room
        y = TOP + 3.75 * (1 - stands)
        name.set(position=((x + 0.17) / 9.2, 1 - y / 5.2), va="center")
        fit(name, room)
        figure.add_artist(
            Line2D(
                [(x + 0.02) / 9.2, (x + 0.14) / 9.2],
                [1 - (TOP + 3.75 * (1 - at)) / 5.2, 1 - y / 5.2],
                color=name.get_color(),
                linewidth=0.8,
            )
        )
    footer(figure, recipe(race), page, 0.6, 8.3)
    return figure


@picture
def panels(
    races: Race | Sequence[Race],
    *,
    titles: Sequence[str] | None = None,
    dark: bool = False,
) -> Figure:
    """Draw races side by side, at one scale: a map and a loss chart each.

    Args:
        races: one race, for a panel for each racer; or several, for a panel for each.
        titles: of the panels; by default the racer's name, or what sets a race apart from the others.
        dark: for a dark page.

    Raises:
        ValueError: no race, or as many titles as there are not panels.
    """
    page = DARK if dark else LIGHT
    alone = isinstance(races, Race)
    given = [races] if isinstance(races, Race) else list(races)
    if not given:
        raise ValueError("panels takes a race, or a list of at least one.")
    shown = [_only(given[0], index) for index in range(len(given[0]))] if alone else given
    names = [race.looks[0].label for race in shown] if alone else _apart(shown)
    if titles is not None and len(titles) != len(shown):
        raise ValueError(f"titles has {len(titles)}, but there are {len(shown)} panels.")
    columns = min(len(shown), 4)
    if len(shown) > 4:
        columns = math.ceil(len(shown) / math.ceil(len(shown) / 4))
    rows = math.ceil(len(shown) / columns)
    side = min(4.4, (13.2 - 0.55) / columns - 0.4)
    tall = side / 1.15
    each = tall + 0.32 + 1.5 + 0.85  # a row: title, map, loss
    wide = max(LEFT + columns * (side + 0.4), 6.0)
    surfaces = {race.surface for race in shown}
    head = TOP if len(surfaces) == 1 else 0.25
    text = recipe(given[0]) if alone else "; ".join(map(recipe, shown))
    figure = plt.figure(figsize=(wide, head + rows * each + footer_height(text, wide - 0.8)))
    if len(surfaces) == 1:
        heading(figure, shown[0].surface, page, LEFT, wide - LEFT - 0.3)
    scales = {
        surface: loss_scale([race for race in shown if race.surface == surface]) for surface in surfaces
    }
    for index, race in enumerate(shown):
        row, column = divmod(index, columns)
        left = LEFT + column * (side + 0.4)
        top = head + row * each
        color = page.color(race.looks[0]) if alone else page.ink
        title = written(figure, left, top, (titles or names)[index], color=color, weight="bold", fontsize=11)
        fit(title, side)
        stage = boxed(figure, left, top + 0.3, side, tall)
        starts = [other.start for other in shown if other.surface == race.surface]
        bounds = ground.framed(race.surface, _farthest(starts, race.surface), side, tall)
        ground.draw(stage, race.surface, bounds, page)
        chart = boxed(figure, left, top + 0.3 + tall + 0.42, side, 1.35)
        scale = scales[race.surface]
        if alone:  # the others' losses, for comparison
            for other in given[0]:
                chart.plot(*_loss_points(other, scale), color=page.edge, linewidth=1)
        frame_losses(chart, race, scale, page, titled=False)
        if column and len(surfaces) == 1:
            chart.tick_params(labelleft=False)
            stage.tick_params(labelleft=False)
        else:
            chart.set_title(scale.title, fontsize=9, pad=4)
        longest = max(other.steps for other in shown)
        chart.set_xlim(-0.01 * longest, longest * 1.01)
        runners = _runners(stage, chart, race, bounds, page, scale)
        if alone:  # the title names it
            runners[0].label = ""
        Board(figure, page, race, stage, chart, runners, [], {}, *_landmarks(stage, race, page)).show(
            race.steps
        )
    footer(figure, text, page, LEFT, wide - 0.8)
    return figure


def board(
    figure: Figure,
    race: Race,
    page: Page,
    *,
    map_height: float,
    chart_height: float,
    row: float,
    size: float = 10,
) -> Board:
    """Lay out a race's picture on a figure: title, map, loss chart, key and recipe; nobody has run yet."""
    wide, _ = figure.get_size_inches()
    heading(figure, race.surface, page, LEFT, wide - LEFT - 0.3)
    stage = boxed(figure, LEFT, TOP, MAP_WIDTH, map_height)
    bounds = ground.framed(race.surface, race.start, MAP_WIDTH, map_height)
    undefined = ground.draw(stage, race.surface, bounds, page)
    if undefined:
        stage.text(
            0.99,
            0.01,
            "hatched: f has no value",
            transform=stage.transAxes,
            ha="right",
            fontsize=SMALL,
            color=page.mute,
            path_effects=page.halo,
            zorder=8,
        )
    chart = boxed(figure, RIGHT, TOP + CHART_TOP, wide - RIGHT - 0.3, chart_height)
    scale = loss_scale([race])
    frame_losses(chart, race, scale, page)
    runners = _runners(stage, chart, race, bounds, page, scale)
    top = TOP + CHART_TOP + chart_height + 0.6
    rows = [_key_row(figure, runner, top + index * row, row, size) for index, runner in enumerate(runners)]
    least = min(name.get_fontsize() for name, _ in rows)
    for name, _ in rows:  # the longest name has decided
        name.set_fontsize(least)
    outcomes = [outcome for _, outcome in rows]
    footer(figure, recipe(race), page, LEFT, wide - LEFT - 0.3)
    return Board(figure, page, race, stage, chart, runners, outcomes, {}, *_landmarks(stage, race, page))


def _key_row(figure: Figure, runner: Runner, top: float, row: float, size: float) -> tuple[Text, Text]:
    """Write a racer's line in the key; return its name and the text that says how it fares."""
    wide, high = figure.get_size_inches()
    page, look = runner.page, runner.look
    y = 1 - (top + 0.09) / high
    across = np.array([RIGHT, RIGHT + 0.45]) / wide
    figure.add_artist(Line2D(across, [y, y], **line(look, page=page)))
    figure.add_artist(Line2D(across[1:], [y], **marker(look, page, size=7)))
    color = page.color(look)
    name = written(figure, RIGHT + 0.6, top, look.label, color=color, weight="bold", fontsize=size)
    room = wide - RIGHT - 0.9
    if row >= 0.33:  # two lines
        fit(name, room)
        return name, written(figure, RIGHT + 0.6, top + 0.17, "", fontsize=SMALL, color=page.ink)
    walk = runner.trajectory
    ended = walk.arrived if walk.diverged is None else walk.diverged
    longest = "1.234×10⁻²⁸" if ended is None else f"diverged at step {ended:,}"
    fit(name, room - 0.15 - width_of(Text(text=longest, fontsize=size - 0.5)))
    name.set(y=y, va="center_baseline")
    style: dict[str, Any] = {
        "fontsize": size - 0.5,
        "color": page.ink,
        "ha": "right",
        "va": "center_baseline",
    }
    return name, figure.text(1 - 0.3 / wide, y, "", **style)


def titled(surface: Surface) -> str:
    """Write a surface's title, and the values of its hyperparameters where it has any."""
    values = [
        f"{hyper.symbol} {value if hyper.choices else short(float(value))}"
        for hyper, (_, value) in zip(surface.entry.hyperparameters, surface.pairs, strict=True)
    ]
    return ", ".join([surface.entry.title, *values])


def heading(figure: Figure, surface: Surface, page: Page, left: float, width: float) -> None:
    """Write a surface's title and what to watch."""
    bold = written(figure, left, 0.2, titled(surface), weight="bold", fontsize=13)
    fit(bold, width)
    used = width_of(bold) + 0.2
    watch = written(figure, left + used, 0.235, surface.entry.watch, fontsize=9.5, color=page.mute)
    if width_of(watch) > width - used:
        fit(watch, width - used, least=7.5)
        if width_of(watch) > width - used:
            watch.remove()


def footer(figure: Figure, text: str, page: Page, left: float, width: float) -> None:
    """Write a picture's recipe along its foot."""
    _, high = figure.get_size_inches()
    lines = wrapped(text, FOOT, width)
    if len(lines) > MOST_LINES:
        lines = [*lines[: MOST_LINES - 1], lines[MOST_LINES - 1] + " …"]
    note = written(figure, left, high - 0.12, "\n".join(lines), fontsize=FOOT, color=page.mute, va="bottom")
    note.set_linespacing(1.25)


def footer_height(text: str, width: float) -> float:
    """Return how many inches a recipe takes."""
    return 0.17 + 0.14 * min(len(wrapped(text, FOOT, width)), MOST_LINES)


def recipe(race: Race) -> str:
    """Write what is needed to run a race again."""
    x, y = map(short, race.start)  # held together by a no-break space
    steps = f"{race.steps:,} step{'s' if race.steps > 1 else ''}"
    parts = [f"{' · '.join(map(str, race.racers))} on {race.surface} from ({x},\u00a0{y})", steps]
    return ", ".join([*parts, *conditions_in_words(race.trajectories[0].conditions)])


def conditions_in_words(conditions: Conditions) -> list[str]:
    """Write the conditions that are not the defaults; the seed where there is chance."""
    words = []
    for condition in fields(conditions):
        value = getattr(conditions, condition.name)
        chance = condition.name == "seed" and (conditions.noise or conditions.batch_size)
        if value != condition.default or chance:
            if condition.name == "schedule" and not isinstance(value, Schedule):
                value = getattr(value, "__name__", "a function").replace("<lambda>", "a function")
            name = condition.name.replace("_", " ").replace("batch size", "batches of")
            words.append(f"{name} {short(value) if isinstance(value, float) else value}")
    return words


def loss_scale(races: Sequence[Race]) -> LossScale:
    """Return how the losses of races over one surface are drawn.

    By its logarithm, counted from the lowest value there is; as it is where there is none, or none known,
    unless it stays positive over decades. A racer that diverged is seen to leave the frame, and so is one
    that falls for ever.
    """
    surface = races[0].surface
    lowest = surface.entry.lowest
    bottomless = not math.isfinite(lowest)
    seen = []
    for walk in (walk for race in races for walk in race):
        loss = walk.loss[: _last(walk) + 1]
        if bottomless or walk.diverged is not None:
            loss = loss[_within(walk.path[: len(loss)], surface.entry.bounds)]
        seen.append(np.append(walk.loss[:1], loss))
    seen = [loss[np.isfinite(loss)] for loss in seen]
    values = np.concatenate(seen)
    if not values.size:
        return LossScale(0.0, False, 0.0, 1.0)
    base = 0.0 if bottomless else lowest
    above = values - base
    least = float(above.min())
    if bottomless and not (least > 0 and above.max() > 30 * least):
        room = 0.06 * (float(above.max()) - least) or max(1.0, 1e-6 * abs(least))  # 1 is nothing beside 10⁹⁹
        return LossScale(base, False, least - room, float(above.max()) + room)
    positive = above[above > 0]
    if not positive.size:
        return LossScale(base, True, 0.1, 1.0)
    high = float(positive.max())
    # what is reached for a moment only may leave the chart, else one dip would press all the rest together
    lows = [
        min(part[-1], float(np.quantile(part, 0.02)))
        for part in (s[s > base] - base for s in seen)
        if part.size
    ]
    low = max(min(lows), LEAST * max(float(races[0].trajectories[0].loss[0] - base), high * 1e-6))
    room = (high / low) ** 0.05 if high > low else 2.0
    return LossScale(base, True, low / room, high * room)


def frame_losses(axes: Axes, race: Race, scale: LossScale, page: Page, *, titled: bool = True) -> None:
    """Make axes a chart of losses."""
    if scale.log:
        axes.set_yscale("log")
        height = axes.bbox.height / axes.figure.dpi
        log_axis(axes.yaxis, scale.low, scale.high, most=max(2, min(7, int(height / 0.3))))
    else:
        axes.yaxis.set_major_formatter(lambda value, _: short(value))
    axes.set(ylim=(scale.low, scale.high), xlim=(-0.01 * race.steps, 1.01 * race.steps), xlabel="step")
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, steps=[1, 2, 2.5, 5, 10]))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.tick_params(labelsize=9, length=3)
    axes.xaxis.label.set(fontsize=9, color=page.mute)
    if titled:
        axes.set_title(scale.title, fontsize=11, pad=8)


def _gone(axes: Axes, walk: Trajectory, color: str) -> Line2D:
    """Return an arrow at the top of a chart, at the step from which a racer's loss is no number."""
    return Line2D(
        [walk.diverged or 0],
        [1.0],
        marker="^",
        markersize=7,
        color=color,
        transform=axes.get_xaxis_transform(),
        clip_on=False,
        linestyle="none",
    )


def _runners(
    stage: Axes, chart: Axes, race: Race, bounds: Bounds, page: Page, scale: LossScale
) -> list[Runner]:
    runners = []
    inches = _points_from(stage)
    for walk, look in zip(race, race.looks, strict=True):
        color = page.color(look)
        drawn, points = _thinned(walk.path[: _last(walk) + 1], bounds)
        finer = max(0.3, min(1.0, INK / max(_diagonals(points, bounds), INK)) ** 0.5)
        (halo,) = stage.plot([], [], color=page.paper, linewidth=5 * finer, alpha=0.6, zorder=1 + finer)
        (path,) = stage.plot([], [], zorder=2 + finer, **line(look, width=2.2 * finer, page=page))
        (end,) = stage.plot([], [], zorder=9, clip_on=False, **marker(look, page))
        leader = Line2D([], [], color=color, linewidth=0.8, transform=inches, zorder=8)
        stage.add_artist(leader)
        leader.set_clip_on(False)
        name = stage.text(
            0, 0, look.label, color=color, weight="bold", fontsize=10.5, transform=inches, zorder=10
        )
        name.set(path_effects=page.halo, va="bottom", ha="left")
        (loss,) = chart.plot([], [], **line(look, page=page, width=1.8))
        gone = _gone(chart, walk, color)
        gone.set_visible(False)
        chart.add_artist(gone)
        steps, values = _loss_points(walk, scale)
        runners.append(
            Runner(
                walk,
                look,
                page,
                bounds,
                drawn,
                points,
                path,
                halo,
                end,
                name,
                leader,
                steps,
                values,
                loss,
                gone,
                look.label,
                np.array(stage.bbox.size),
                walk.path[0],
                finer < 1,
            )
        )
    return runners


def _landmarks(stage: Axes, race: Race, page: Page) -> tuple[Text, list[Artist]]:
    """Mark minima, saddles and start; return the start's name, which stands nowhere yet, and all marks."""
    marks = ground.mark(stage, race.surface, page)
    marks += stage.plot(*race.start, "o", color=page.ink, markersize=5, zorder=7)
    name = stage.text(0, 0, "start", fontsize=9, color=page.ink, transform=_points_from(stage), zorder=10)
    name.set(path_effects=page.halo, va="bottom", ha="left")
    return name, [*marks, name]


def _points_from(axes: Axes) -> Transform:
    """Return the transform from points, counted from the lower left corner of axes that keep their place."""
    figure = axes.get_figure()
    assert isinstance(figure, Figure)
    wide, high = figure.get_size_inches()
    corner = axes.get_position()
    return Affine2D().scale(1 / 72).translate(corner.x0 * wide, corner.y0 * high) + figure.dpi_scale_trans


def _last(walk: Trajectory) -> int:
    return len(walk.lr) if walk.diverged is None else walk.diverged - 1


def _within(points: FloatArray, bounds: Bounds) -> NDArray[np.bool_]:
    low, high = np.transpose(bounds)
    return np.asarray(((points >= low) & (points <= high)).all(axis=-1))


def _thinned(path: FloatArray, bounds: Bounds) -> tuple[NDArray[np.intp], FloatArray]:
    """Return steps and points of what can be seen of a path: a line already drawn is not drawn again."""
    low, high = np.transpose(bounds)
    cells = np.clip(np.round((path - low) / (high - low) * CELLS), -1e6, 1e6).astype(np.int64)
    moved = (np.diff(cells, axis=0) != 0).any(axis=1)
    steps = np.append(0, np.flatnonzero(moved) + 1)
    if len(steps) <= MANY:
        steps = np.append(steps[steps < len(path) - 1], len(path) - 1)
        return steps, path[steps]
    place = cells[steps] @ [4_000_003, 1]  # a number for each cell
    ends = np.sort(np.stack([place[:-1], place[1:]], axis=1), axis=1)
    new = np.zeros(len(ends), bool)
    lines = ends @ [1_000_000_007, 1]  # a number for each line; that it may overflow does no harm
    new[np.unique(lines, return_index=True)[1]] = True
    first = np.flatnonzero(new)
    resumes = (first > 0) & ~new[first - 1]
    # of each new line its end; of one that does not continue the last, a break and its begin before
    rows = np.stack([steps[first]] * 2 + [steps[first + 1]], axis=1)
    use = np.stack([resumes, resumes | (first == 0), np.ones_like(resumes)], axis=1)
    points = np.stack([np.full((len(first), 2), np.nan), path[rows[:, 1]], path[rows[:, 2]]], axis=1)
    rows[:, :2] += resumes[:, None]  # a line appears with its end
    return rows[use], points[use]


def _loss_points(walk: Trajectory, scale: LossScale) -> tuple[NDArray[np.intp], FloatArray]:
    """Return steps and values of a loss; of a long one, the extremes of each stretch."""
    values = scale.of(walk.loss[: _last(walk) + 1])
    if len(values) <= FEW:
        return np.arange(len(values)), values
    starts = np.linspace(0, len(values), FEW // 2 + 1).astype(int)
    kept = {0, len(values) - 1}
    for a, b in pairwise(starts):
        kept |= {a + int(np.argmin(values[a:b])), a + int(np.argmax(values[a:b]))}
    steps = np.array(sorted(kept))
    return steps, values[steps]


def _seen(path: FloatArray, now: int, bounds: Bounds, shape: FloatArray) -> tuple[FloatArray, float | None]:
    """Return where a path's end is seen; if it left the map, where, and in which direction (in degrees)."""
    if _within(path[now], bounds):
        return path[now], None
    inside = np.flatnonzero(_within(path[: now + 1], bounds))
    before = int(inside[-1]) if inside.size else 0
    a, b = path[before], path[before + 1]
    low, high = np.transpose(bounds)
    edge, moved = np.where(b > a, high, low), np.where(b == a, np.inf, b - a)
    share = np.min(np.where(b == a, 1.0, (edge - a) / moved))  # of the step that leaves the map
    inset = 0.014 * (high - low)
    spot = np.clip(a + share * (b - a), low + inset, high - inset)
    way = (b - a) / (high - low) * shape
    return spot, math.degrees(math.atan2(way[1], way[0]))


def _diagonals(points: FloatArray, bounds: Bounds) -> float:
    """Return how long what is drawn of a path is on the map, in diagonals of it."""
    low, high = np.transpose(bounds)
    shares = np.clip((points - low) / (high - low), 0, 1)
    return float(np.nansum(np.hypot(*np.diff(shares, axis=0).T)) / math.sqrt(2))


def _outcome(runner: Runner) -> str:
    walk = runner.trajectory
    away = ~_within(walk.path[: runner.last + 1], runner.bounds)
    left = f"off the map from step {len(away) - int(np.argmin(away[::-1])):,}" if away[-1] else ""
    if walk.diverged is not None:
        return ", ".join(filter(None, [f"diverges at step {walk.diverged:,}", left]))
    steps = f"{len(walk.lr):,} step{'s' if len(walk.lr) > 1 else ''}"
    arrived = "" if walk.arrived is None else f"arrives at step {walk.arrived:,}"
    loss = f"loss {number(float(walk.loss[-1]))}"
    short_of = f"{'not arrived ' if walk.surface.entry.minima else ''}after {steps}"
    return f"{arrived or left or short_of}, {loss}"


def _ending(walk: Trajectory, label: str) -> str:
    return f"{label}, diverges at step {walk.diverged:,}" if walk.diverged is not None else label


def _only(race: Race, index: int) -> Race:
    """Return a race of one of its racers, which keeps its look."""
    return Race(race.surface, (race.trajectories[index],), (race.looks[index],))


def _apart(races: Sequence[Race]) -> list[str]:
    """Name each race by what sets it apart from the others: surface, start, steps, conditions, racers."""
    told = []
    for race in races:
        x, y = map(short, race.start)
        conditions = conditions_in_words(race.trajectories[0].conditions)
        racers = ", ".join(look.label for look in race.looks)
        start = "" if race.start == race.surface.entry.start else f"from ({x}, {y})"
        told.append((titled(race.surface), start, f"{race.steps:,} steps", ", ".join(conditions), racers))
    differing = [len({parts[index] for parts in told}) > 1 for index in range(len(told[0]))]
    if len(races) == 1:
        differing[0] = True
    names = [[part for part, differs in zip(parts, differing, strict=True) if differs] for parts in told]
    return [", ".join(filter(None, parts)) or "as it is" for parts in names]


def _farthest(starts: Sequence[tuple[float, float]], surface: Surface) -> tuple[float, float]:
    """Return the start that lies farthest from the middle of the map, so that panels show the same map."""
    middle = np.mean(surface.entry.bounds, axis=1)
    return max(starts, key=lambda start: float(np.abs(np.array(start) - middle).max()))


def _spread(wanted: Sequence[float], gap: float) -> list[float]:
    """Move heights from 0 to 1 apart until none are closer than `gap`, each as little as may be."""
    order = np.argsort(wanted, kind="stable")
    pools: list[list[float]] = []  # of those that touch, in rising order
    for rank, index in enumerate(order):
        pools.append([wanted[index] - rank * gap])
        while len(pools) > 1 and np.mean(pools[-2]) > np.mean(pools[-1]):
            pools[-2:] = [pools[-2] + pools[-1]]
    flat = [float(np.mean(pool)) for pool in pools for _ in pool]
    most = max(0.0, 1 - gap * (len(wanted) - 1))
    spread = [0.0] * len(wanted)
    for rank, index in enumerate(order):
        spread[index] = min(most, max(0.0, flat[rank])) + rank * gap
    return spread
