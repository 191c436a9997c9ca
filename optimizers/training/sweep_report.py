"""A sweep as files: trials.csv, history.csv, config.json, summary.json, map.png and sensitivity.png."""

from __future__ import annotations

import csv
import itertools
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optimizers.files import whole
from optimizers.training.report import _versions as versions
from optimizers.training.sweep import DIVERGED, FAILED, Standing, SweepResult, rungs
from optimizers.training.sweep_view import (
    TONES,
    Cell,
    Side,
    cells,
    chosen_sides,
    curves,
    sides,
    values_of,
    written,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FILES = ("trials.csv", "history.csv", "config.json", "summary.json", "map.png", "sensitivity.png")
MOST_BEST = 10  # trials in the summary
HIGHEST = 12  # inches of a map at most
NUMBERED = 14  # cells across at most that have their number in them


def write_report(result: SweepResult, folder: Path | str) -> Path:
    """Write the files into `folder`, made if need be; each is whole or not there.

    Raises OSError where it can't be written.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        with whole(folder / name) as path:
            _WRITERS[name](result, path)
    return folder


def _write_trials(result: SweepResult, path: Path) -> None:
    """Write a row for each network, as it ended."""
    names = [axis.name for axis in result.config.read]
    head = ["trial", "racer", *names, "seed", "state", "epochs", "validation_accuracy", "validation_loss"]
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow([*head, "diverged_at", "seconds"])
        for trial in result.trials:
            for network in result.of(trial):
                last = network.history[-1][0] if network.history else 0
                numbers = [_number(network.accuracy), _number(network.loss)]
                rows.writerow(
                    [
                        *(trial.index, trial.racer, *trial.values, network.seed, network.state, last),
                        *(numbers if last else (None, None)),
                        *(network.diverged_at, round(network.seconds, 3)),
                    ]
                )


def _write_history(result: SweepResult, path: Path) -> None:
    """Write a row for each time a network was judged."""
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["trial", "seed", "epoch", "validation_loss", "validation_accuracy"])
        for network in result.networks:
            for epoch, loss, accuracy in network.history:
                rows.writerow([network.trial, network.seed, epoch, _number(loss), _number(accuracy)])


def _write_config(result: SweepResult, path: Path) -> None:
    path.write_text(result.config.to_json() + "\n", "utf-8")


def _write_summary(result: SweepResult, path: Path) -> None:
    path.write_text(json.dumps(summarise(result), indent=2) + "\n", "utf-8")


def summarise(result: SweepResult) -> dict[str, Any]:
    """Return what `summary.json` holds, JSON as it is: None where there is no number."""
    config, best = result.config, result.best
    return {
        "best": best.racer if best else None,
        "settings": dict(best.settings) if best else None,
        "test_accuracy": list(map(_number, result.test_accuracy)),  # one a seed
        "test_loss": list(map(_number, result.test_loss)),
        "chosen_by": f"accuracy on {config.base.validation:,} training pictures held out by each seed",
        "tested": "the best trial alone, trained anew on all training pictures, after its last epoch",
        "trials": len(result.trials),
        "networks": len(result.networks),
        "rungs": [{"trials": rung.trials, "epochs": rung.epochs} for rung in rungs(config)],
        "standings": [_standing(one) for one in result.standings[:MOST_BEST]],
        "diverged": sum(network.state == DIVERGED for network in result.networks),
        "failed": sum(network.state == FAILED for network in result.networks),
        "said": list(result.said),
        "stopped": result.stopped,
        "data_note": result.data_note,
        "seconds": result.seconds,
        "seed": config.base.seed,
        "versions": versions(),
    }


def _standing(one: Standing) -> dict[str, Any]:
    return {
        "trial": one.trial.index,
        "racer": one.trial.racer,
        **dict(one.trial.settings),
        "epochs": one.epochs,
        "validation_accuracy": _number(one.accuracy),
        "validation_accuracy_sd": _number(one.spread),
        "validation_loss": _number(one.loss),
    }


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


# Pictures ---------------------------------------------------------------------------------------------------


def draw_map(result: SweepResult, x: str = "", y: str = "") -> Figure:
    """Draw held-out accuracy over two sides of the sweep, a small map for each value of what else is swept.

    Diverged trials are crossed, what has no number yet is left bare, and the best is ringed.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    from optimizers.figures import STYLE

    config = result.config
    names = [side.name for side in sides(config)]
    across, up = (
        next((side for side in sides(config) if side.name == name), None)
        for name in chosen_sides(config, x, y)
    )
    assert across is not None
    others = [s for s in sides(config) if s.name not in (across.name, up.name if up else "") and not s.drawn]
    found = {one.trial: one for one in cells(result.trials, result.networks)}
    parts: dict[tuple[Any, ...], list[int]] = {
        key: [] for key in itertools.product(*(side.values for side in others))
    }
    for trial in result.trials:
        values = dict(zip(names, values_of(config, trial), strict=True))
        parts[tuple(values[side.name] for side in others)].append(trial.index)
    columns = len(others[-1].values) if others else 1
    columns = min(columns, 4)
    rows = math.ceil(len(parts) / columns)
    best = result.best
    with mpl.rc_context(STYLE):
        wide = 2.2 + columns * max(2.6, min(4.5, 0.62 * len(across.values)))
        tall = 1.5 + rows * (0.8 + max(0.8, min(4.0, 0.42 * (len(up.values) if up else 1))))
        figure = Figure(figsize=(wide, min(HIGHEST, tall)), layout="constrained")
        grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
        numbers = [one.accuracy for one in found.values() if math.isfinite(one.accuracy)]
        norm = mpl.colors.Normalize(min(numbers, default=0), max(numbers, default=1))
        tones = mpl.colors.LinearSegmentedColormap.from_list("sweep", TONES["light"])
        shade = mpl.cm.ScalarMappable(norm, tones)
        for place, (key, members) in enumerate(parts.items()):
            axes: Axes = grid[place // columns][place % columns]
            for index in members:
                values = dict(zip(names, values_of(config, result.trials[index]), strict=True))
                spot = across.place(values[across.name]), up.place(values[up.name]) if up else 0.0
                _draw_cell(axes, spot, found[index], shade, across, up, bool(best and best.index == index))
            title = ", ".join(_named(s, value) for s, value in zip(others, key, strict=True))
            _frame(axes, across, up, title)
        for axes in grid.flat[len(parts) :]:
            axes.set_axis_off()
        bar = figure.colorbar(shade, ax=grid, aspect=30, pad=0.02, format=mpl.ticker.PercentFormatter(1, 0))
        bar.outline.set_visible(False)
        figure.suptitle(_title(result), color=STYLE["ytick.color"], fontsize=10, x=0.01, ha="left")
    return figure


def _draw_cell(
    axes: Axes, spot: tuple[float, float], one: Cell, shade: Any, across: Side, up: Side | None, best: bool
) -> None:
    from matplotlib.patches import Rectangle

    drawn = across.drawn or bool(up and up.drawn)
    known = math.isfinite(one.accuracy)
    color = shade.to_rgba(one.accuracy) if known else "none"
    if drawn:
        axes.plot(*spot, "o" if known else "x", markersize=11, color=color if known else "#6b7079")
    else:
        corner = spot[0] - 0.5, spot[1] - 0.5
        hatch = "///" if one.state in (DIVERGED, FAILED) else None
        axes.add_patch(
            Rectangle(corner, 1, 1, facecolor=color, edgecolor="#c9c5bc", hatch=hatch, linewidth=0.4)
        )
        if known and len(across.values) <= NUMBERED:
            ink = "#fbfaf7" if sum(color[:3]) < 1.7 else "#1d1f24"
            axes.text(*spot, f"{100 * one.accuracy:.1f}", ha="center", va="center", color=ink, fontsize=8.5)
    if best:
        corner = spot[0] - 0.46, spot[1] - 0.46
        axes.add_patch(
            Rectangle(corner, 0.92, 0.92, fill=False, edgecolor="#b3401f", linewidth=2.2, zorder=5)
        )


def _frame(axes: Axes, across: Side, up: Side | None, title: str) -> None:
    axes.grid(False)
    axes.set_title(title, fontsize=10)
    axes.set_xlim(-0.5, len(across.values) - 0.5)
    axes.set_ylim(-0.5, (len(up.values) if up else 1) - 0.5)
    stride = math.ceil(len(across.values) / 10)
    axes.set_xticks(range(0, len(across.values), stride), across.labels[::stride], fontsize=9)
    axes.set_xlabel(across.symbol)
    if up:
        axes.set_yticks(range(len(up.values)), up.labels, fontsize=9)
        axes.set_ylabel(up.symbol if up.name != "optimizer" else "")
    else:
        axes.set_yticks([])


def _named(side: Side, value: Any) -> str:
    label = side.labels[side.values.index(value)]
    return label if side.name == "optimizer" else f"{side.symbol} {label}"


def draw_sensitivity(result: SweepResult) -> Figure:
    """Draw held-out accuracy against the learning rate, what else is swept at its best; bands are seeds."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    from optimizers.figures import STYLE, line

    found = {one.trial: one for one in cells(result.trials, result.networks)}
    across, drawn = curves(result.config, result.trials, found)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(8.5, 5), layout="constrained")
        axes = figure.subplots()
        for curve in drawn:
            at = [value if across.ordered else across.place(value) for value, _ in curve.points]
            mine = [found[index] for _, index in curve.points]
            face = STYLE["axes.facecolor"] if curve.look.hollow else curve.look.light
            style = line(curve.look) | {"marker": "o", "markersize": 5, "markerfacecolor": face}
            style |= {} if curve.joined else {"linestyle": "none"}
            axes.plot(at, [100 * one.accuracy for one in mine], label=curve.look.label, **style)
            if result.config.seeds > 1 and curve.joined:
                low, high = ([100 * getattr(one, name) for one in mine] for name in ("lowest", "highest"))
                axes.fill_between(at, low, high, color=curve.look.light, alpha=0.15, linewidth=0)
        if across.ordered and across.scale == "log":
            axes.set_xscale("log")
        elif not across.ordered:
            axes.set_xticks(range(len(across.labels)), across.labels)
        bands = (
            f"; bands: lowest to highest of {result.config.seeds} seeds" if result.config.seeds > 1 else ""
        )
        best = "; what else is swept at its best" if len(sides(result.config)) > 2 else ""
        axes.set(title=f"Held-out accuracy, %{best}{bands}", xlabel=across.symbol)
        axes.title.set_fontsize(11)
        figure.suptitle(_title(result), color=STYLE["ytick.color"], fontsize=10, x=0.01, ha="left")
        figure.legend(loc="outside lower center", ncols=4)
    return figure


def _title(result: SweepResult) -> str:
    base, best = result.config.base, result.best
    recipe = f"{base.model} on {base.data}, {base.epochs} epochs"
    if best is None:
        return recipe
    more = "".join(f", {name} {written(value)}" for name, value in best.settings)
    return f"{recipe}. Best of held-out pictures: {best.racer}{more}"


_WRITERS = {
    "trials.csv": _write_trials,
    "history.csv": _write_history,
    "config.json": _write_config,
    "summary.json": _write_summary,
    "map.png": lambda result, path: draw_map(result).savefig(path, dpi=160),
    "sensitivity.png": lambda result, path: draw_sensitivity(result).savefig(path, dpi=160),
}
