"""Inside one step: what a rule does with the gradient, stage by stage, each with this step's numbers.

The stages are read from the catalogue's entry and the trajectory's record, so that they are those of whatever
rule it is: states fade and take in the gradient, what is derived from them is shown, the direction is divided
by the size, and the resultant moves θ.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from optimizers.catalog import Quantity, distinct
from optimizers.conditions import whole
from optimizers.figures import ground
from optimizers.figures.racing import LEFT, conditions_in_words, footer
from optimizers.figures.style import (
    DARK,
    LIGHT,
    Page,
    boxed,
    fit,
    line,
    number,
    picture,
    short,
    wrapped,
    written,
)
from optimizers.surfaces import FloatArray
from optimizers.trajectory import Trajectory

PANEL = 1.95  # inches a panel is wide
REACH = 1.08  # half its width, counted in what fills a lane
LANE = 1.5  # height of an axis' lane, counted in the same: a square, and above it the numbers
TALL = PANEL * LANE / REACH  # inches two lanes take
HAT = "\u0302"
ARROW: dict[str, Any] = {
    "arrowstyle": "-|>,head_width=0.24,head_length=0.45",
    "shrinkA": 0,
    "shrinkB": 0,
    "mutation_scale": 12,
}


@dataclass(frozen=True)
class Drawn:
    """One quantity of a stage, for both axes."""

    after: FloatArray  # (2,)
    before: FloatArray | None = None  # (2,): what it was before the stage
    square: bool = False  # a square whose side this is; else an arrow
    kind: str = "own"  # "own" wears the racer's colour, "gradient" is ink


@dataclass(frozen=True)
class Stage:
    """One stage of a step."""

    title: str
    caption: str
    numbers: tuple[str, str]  # for x and for y
    drawn: tuple[Drawn, ...] = ()


@picture
def stages(trajectory: Trajectory, step: int, *, dark: bool = False) -> Figure:
    """Draw one step of a walk as a strip of panels: fade, take in the gradient, correct, divide, move.

    A squared quantity is drawn as a square: its side is the root, the size that divides. Each axis has a
    lane, whose scale is the panel's own: within it lengths compare, from panel to panel the numbers do.

    Args:
        trajectory: the walk.
        step: the step to look inside, from 0: the one that leaves path[step].
        dark: for a dark page.

    Raises:
        ValueError: a step that is not there, or after the walk diverged.
    """
    found = steps_of(trajectory, step)
    page = DARK if dark else LIGHT
    look = distinct([trajectory.racer])[0]
    color = page.color(look)
    count = len(found) + 2
    columns = math.ceil(count / math.ceil(count / 6))
    rows = math.ceil(count / columns)
    each = 0.66 + TALL + 0.3
    wide = LEFT + columns * (PANEL + 0.25) + 0.1
    figure = plt.figure(figsize=(wide, 0.75 + rows * each + 0.35))
    x, y = map(short, trajectory.path[step])
    where = f"{trajectory.surface.entry.title}, at ({x}, {y})"
    title = f"Inside step {step:,}: {look.label} on {where}, t = {step + 1:,}"
    fit(written(figure, LEFT, 0.22, title, weight="bold", fontsize=13), wide - LEFT - 0.3)
    sides = np.where(_direction(trajectory, step) < 0, -1.0, 1.0)
    for index in range(count):
        row, column = divmod(index, columns)
        left, top = LEFT + column * (PANEL + 0.25), 0.75 + row * each
        axes = boxed(figure, left, top + 0.66, PANEL, TALL)
        if index < len(found):
            stage = found[index]
            _lanes(axes, stage, sides, color, page)
        elif index == len(found):
            stage = _resultant(axes, trajectory, step, color, page)
        else:
            stage = _move(axes, trajectory, step, page)
        fit(written(figure, left, top, f"{index + 1}  {stage.title}", weight="bold", fontsize=10.5), PANEL)
        lines = [part for given in stage.caption.split("\n") for part in wrapped(given, 8, PANEL)]
        caption = "\n".join(lines[:2])
        written(figure, left, top + 0.23, caption, fontsize=8, color=page.mute, linespacing=1.25)
    recipe = [f"{trajectory.racer} on {trajectory.surface}", *conditions_in_words(trajectory.conditions)]
    footer(figure, ", ".join(recipe), page, LEFT, wide - LEFT - 0.3)
    return figure


def steps_of(trajectory: Trajectory, step: int) -> list[Stage]:
    """Return the stages of a step up to the division, as the rule's entry and the record have them.

    >>> from optimizers import simulate
    >>> [stage.title for stage in steps_of(simulate("rmsprop", "beale", steps=9), 3)]
    ['decay v', 'show g', 'grow v', 'divide']
    """
    step = whole("step", step, 0, len(trajectory.lr) - 1)
    if not np.isfinite(trajectory.record[step]).all():
        raise ValueError(
            f"step is {step}, but {distinct([trajectory.racer])[0].label} diverges at step "
            f"{trajectory.diverged}: take one from 0 to {(trajectory.diverged or 1) - 2}."
        )
    return list(_stages(trajectory, step))


def _stages(walk: Trajectory, step: int) -> Iterator[Stage]:
    racer = walk.racer
    entry = racer.optimizer
    after = dict(zip(walk.slots, walk.record[step], strict=True))
    states = [state for state in entry.states if racer.uses(state) and not state.shared]
    before = {state.name: _before(walk, state, step) for state in states}
    faded = {state.name: _faded(walk, state, step, before[state.name]) for state in states}

    for state in states:
        factor = float(_faded(walk, state, step, np.ones(2))[0])
        if abs(factor - 1) > 1e-12:
            yield _state_stage(f"decay {_name(state)}", _fade(walk, state, factor), state, before, faded)
    yield Stage("show g", _gradient(walk), _two(after["g"]), (Drawn(after["g"], kind="gradient"),))
    for extra in entry.extras:
        if racer.uses(extra) and extra.otherwise == "g":
            drawn = Drawn(after[extra.name], after["g"], kind="gradient")
            yield Stage(f"show {extra.label}", "takes the gradient's place", _two(drawn.after), (drawn,))
    for state in states:
        yield _state_stage(f"grow {_name(state)}", "with this step's gradient", state, faded, after)
    left_over = _left_over(walk, step)
    for extra in entry.extras:
        mine = after[extra.name]
        if not racer.uses(extra) or extra.otherwise == "g" or np.array_equal(mine, left_over):
            continue
        same = [state for state in states if np.array_equal(after[state.name], mine)]
        if not same:
            yield _extra_stage(extra, mine, {state: after[state.name] for state in states}, racer.direction)
    yield _division(walk, step)


def _before(walk: Trajectory, state: Quantity, step: int) -> FloatArray:
    if step:
        return walk.record[step - 1, walk.slots.index(state.name)]
    return np.full(2, walk.racer.initial[walk.racer.optimizer.state.index(state.name)])


def _faded(walk: Trajectory, state: Quantity, step: int, value: FloatArray) -> FloatArray:
    """Return what becomes of a state without a gradient: the rule itself is asked, with all else at zero."""
    entry = walk.racer.optimizer
    arguments = walk.racer.arguments | {"lr": walk.lr[step]}
    zero, index = np.float64(0), entry.state.index(state.name)  # NumPy's, whose division by zero is no error
    faded = []
    for one in value:
        given = [np.float64(one) if name == state.name else zero for name in entry.state]
        with np.errstate(all="ignore"):
            _, new, _ = entry.rule(zero, zero, float(step + 1), *given, **arguments)
        faded.append(float(new[index]))
    return np.array(faded)


def _fade(walk: Trajectory, state: Quantity, factor: float) -> str:
    """Say by what a state is multiplied: by its hyperparameter's symbol, where it is that."""
    for hyper in walk.racer.optimizer.hyperparameters:
        if hyper.name == state.note and abs(float(walk.racer.values[hyper.name]) - factor) < 1e-9:
            return f"× {hyper.symbol} = {short(factor)}"
    return f"× {short(factor)}"


def _state_stage(
    title: str, caption: str, state: Quantity, before: dict[str, FloatArray], after: dict[str, FloatArray]
) -> Stage:
    a, b = _size(state, before[state.name]), _size(state, after[state.name])
    numbers = (f"{number(a[0])} → {number(b[0])}", f"{number(a[1])} → {number(b[1])}")
    if state.root:
        caption = f"{caption}\n{state.label} is the side"
    return Stage(title, caption, numbers, (Drawn(b, a, square=state.root),))


def _extra_stage(
    extra: Quantity, mine: FloatArray, states: dict[Quantity, FloatArray], direction: str
) -> Stage:
    """Return the stage of what a rule derives; what has a hat is a state corrected, alike on both axes."""
    value = _size(extra, mine)
    if HAT in unicodedata.normalize("NFD", extra.label):
        for state, held in states.items():
            with np.errstate(all="ignore"):
                divisors = held / mine
            if state.root == extra.root and abs(divisors[0] - divisors[1]) <= 1e-9 * abs(divisors[0]):
                before = _size(state, held)
                numbers = (
                    f"{number(before[0])} → {number(value[0])}",
                    f"{number(before[1])} → {number(value[1])}",
                )
                what = f"{_name(state)} ÷ {float(divisors[0]):.6g}: undoes the start at zero"
                return Stage(
                    f"correct {_name(state)}", what, numbers, (Drawn(value, before, square=extra.root),)
                )
    alike = mine[0] == mine[1] and not extra.root and extra.name != direction
    drawn = () if alike else (Drawn(value, square=extra.root),)
    return Stage(f"show {extra.label}", "from the state", _two(value), drawn)


def _direction(walk: Trajectory, step: int) -> FloatArray:
    return walk.record[step, walk.slots.index(walk.racer.direction)]


def _effective(walk: Trajectory, step: int) -> FloatArray:
    return walk.record[step, walk.slots.index("effective_lr")]


def _left_over(walk: Trajectory, step: int) -> FloatArray:
    """Return the decoupled weight decay: what a step does besides −effective lr · direction, negated."""
    rest = walk.record[step, 2] + _effective(walk, step) * _direction(walk, step)
    small = np.abs(rest) <= 1e-9 * np.abs(walk.record[step, 2])
    for extra in walk.racer.optimizer.extras:  # exactly, where the rule shows it
        shown = walk.record[step, walk.slots.index(extra.name)]
        if walk.racer.uses(extra) and not small.all() and np.allclose(shown, -rest, rtol=1e-6, atol=0):
            return shown
    return np.where(small, 0.0, -rest)


def _division(walk: Trajectory, step: int) -> Stage:
    racer = walk.racer
    quantities = {q.name: q.label for q in (*racer.optimizer.states, *racer.optimizer.extras)}
    label = quantities.get(racer.direction, "g")
    direction, effective, lr = _direction(walk, step), _effective(walk, step), float(walk.lr[step])
    if effective[0] == effective[1] or lr == 0:
        caption = f"{label} × {racer.effective_label} = {short(float(effective[0]))}, downhill"
        moved = _two(-effective * direction)
        return Stage("scale", caption, moved, (Drawn(-effective * direction),))
    size = lr / effective
    share = direction / size
    numbers = tuple(
        f"{number(d)} ÷ {number(s)} = {number(q)}" for d, s, q in zip(direction, size, share, strict=True)
    )
    caption = f"{label} by the square's side; lr = {short(lr)} is still to come"
    return Stage("divide", caption, (numbers[0], numbers[1]), (Drawn(size, square=True), Drawn(direction)))


def _name(quantity: Quantity) -> str:
    return quantity.label.removeprefix("√")


def _size(quantity: Quantity, value: FloatArray) -> FloatArray:
    """Return what is drawn and written of a quantity: of one that is squared, its root."""
    return np.sqrt(np.maximum(value, 0.0)) if quantity.root else np.asarray(value)


def _two(values: FloatArray) -> tuple[str, str]:
    return number(float(values[0])), number(float(values[1]))


def _gradient(walk: Trajectory) -> str:
    under = walk.conditions
    changed = [
        word
        for word, there in (("noise", under.noise), ("clipping", under.clip_norm or under.clip_value))
        if there
    ]
    return f"the gradient, {' and '.join(changed)} in it" if changed else "the gradient where it stands"


# Drawing -----------------------------------------------------------------------------------------------


def _lanes(axes: Axes, stage: Stage, sides: FloatArray, color: str, page: Page) -> None:
    axes.set(xlim=(-REACH, REACH), ylim=(0, 2 * LANE), aspect="equal")
    axes.axis("off")
    for axis, name in enumerate("xy"):
        floor = (1 - axis) * LANE + 0.06
        axes.text(-REACH, floor + 1.2, name, weight="bold", fontsize=8.5, va="center")
        words = axes.text(REACH, floor + 1.2, stage.numbers[axis], fontsize=8.5, ha="right", va="center")
        fit(words, PANEL - 0.2)
        axes.plot([-1, 1], [floor, floor], color=page.edge, linewidth=1, zorder=1)
        axes.plot([0, 0], [floor - 0.04, floor + 0.04], color=page.mute, linewidth=1, zorder=1)
        parts = [part[axis] for each in stage.drawn for part in (each.after, each.before) if part is not None]
        fills = max(map(abs, parts), default=0.0) or 1.0
        for each in stage.drawn:
            ink = page.ink if each.kind == "gradient" else color
            after = each.after[axis] / fills
            before = None if each.before is None else each.before[axis] / fills
            if each.square:
                if before is not None:
                    _square(axes, floor, before, sides[axis], ink, ghost=True)
                _square(axes, floor, after, sides[axis], ink)
            elif before is None:
                level = floor if len(stage.drawn) > 1 else floor + 0.4
                _arrow(axes, (0, level), (after, level), ink)
            else:  # before and change, tip to tail, make after
                _arrow(axes, (0, floor + 0.85), (before, floor + 0.85), ink, alpha=0.4)
                _arrow(axes, (before, floor + 0.55), (after, floor + 0.55), page.mute, width=1.4)
                _arrow(axes, (0, floor + 0.25), (after, floor + 0.25), ink)


def _square(axes: Axes, floor: float, side: float, way: float, color: str, *, ghost: bool = False) -> None:
    style: dict[str, Any] = {"fill": False, "linestyle": (0, (3, 2)), "linewidth": 1.2, "zorder": 3}
    if not ghost:
        style = {"facecolor": (color, 0.22), "linewidth": 1.6, "zorder": 2}
    axes.add_patch(Rectangle((min(0.0, way * side), floor), side, side, edgecolor=color, **style))


def _arrow(
    axes: Axes,
    start: tuple[float, float],
    end: tuple[float, float],
    color: str,
    *,
    width: float = 2.2,
    alpha: float = 1.0,
) -> None:
    """Draw an arrow; of one too short to have a head, a dot."""
    long = math.hypot(end[0] - start[0], end[1] - start[1])
    if long < 0.03:
        axes.plot(*end, "o", color=color, markersize=4, alpha=alpha, zorder=5)
        return
    style = ARROW | {
        "color": color,
        "linewidth": width,
        "alpha": alpha,
        "mutation_scale": 12 * min(1, long / 0.18),
    }
    axes.annotate("", end, start, arrowprops=style, zorder=5)


def _resultant(axes: Axes, walk: Trajectory, step: int, color: str, page: Page) -> Stage:
    """Draw Δx and Δy tip to tail, and what they make together."""
    update = walk.record[step, 2]
    stepped = -_effective(walk, step) * _direction(walk, step)
    rest = -_left_over(walk, step)
    reach = float(np.abs([update, stepped, stepped + rest]).max()) or 1.0
    axes.set(xlim=(-REACH, REACH), ylim=(-REACH, 2 * LANE - REACH), aspect="equal")
    axes.axis("off")
    axes.plot([-1, 1], [0, 0], color=page.grid, linewidth=1, zorder=1)
    axes.plot([0, 0], [-1, 1], color=page.grid, linewidth=1, zorder=1)
    x, y = stepped / reach
    _arrow(axes, (0, 0), (x, 0), page.mute, width=1.6)
    _arrow(axes, (x, 0), (x, y), page.mute, width=1.6)
    if np.any(rest):
        _arrow(axes, (x, y), tuple(update / reach), page.ink, width=1.6)
    _arrow(axes, (0, 0), tuple(update / reach), color)
    sums = _two(update)
    for words, up in ((f"Δx = {sums[0]}", 0.34), (f"Δy = {sums[1]}", 0.1)):
        fit(
            axes.text(REACH, 2 * LANE - REACH - 0.44 + up, words, fontsize=8.5, ha="right", va="center"),
            PANEL,
        )
    caption = "Δx and Δy, tip to tail" + (", then weight decay" if np.any(rest) else "")
    return Stage("resultant", caption, sums)


def _move(axes: Axes, walk: Trajectory, step: int, page: Page) -> Stage:
    """Draw the step where it is taken, on the surface, with the path that led there."""
    here, update = walk.path[step], walk.record[step, 2]
    there = here + update
    surface = walk.surface
    spans = np.diff(surface.entry.bounds, axis=1)[:, 0]
    half = max(1.4 * float(np.abs(update).max()), 1e-6 * float(spans.max()))
    middle = here + update / 2
    bounds = (
        (middle[0] - half, middle[0] + half),
        (middle[1] - half * TALL / PANEL, middle[1] + half * TALL / PANEL),
    )
    ground.draw(axes, surface, bounds, page)
    axes.set_axis_off()
    look = distinct([walk.racer])[0]
    axes.plot(*walk.path[: step + 1].T, zorder=3, **line(look, page=page))
    axes.annotate("", there, here, arrowprops=ARROW | {"color": page.color(look), "linewidth": 2.2}, zorder=5)
    axes.plot(*here, "o", markersize=5, color=page.ink, zorder=6)
    loss = f"f: {number(float(walk.loss[step]))} → {number(float(walk.loss[step + 1]))}"
    x, y = map(short, there)
    return Stage("move", f"to ({x}, {y})\n{loss}", _two(there))
