"""What a sweep looks like, for pages and pictures: its sides, its cells, and curves of sensitivity."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from optimizers.catalog import Look, Racer, distinct
from optimizers.notation import Value, write_value
from optimizers.training.sweep import (
    DIVERGED,
    DROPPED,
    FAILED,
    FINISHED,
    OPTIMIZER,
    STOPPED,
    TRAINING,
    WAITING,
    Network,
    SweepConfig,
    Trial,
)

# From the worst to the best: even steps of lightness (OKLab), so that it is read alike by all eyes.
TONES = {
    "light": ("#f6ead2", "#b7d0d3", "#88b2c7", "#5f93b8", "#3a74a3", "#285680", "#173a5e"),
    "dark": ("#1b2027", "#244059", "#336288", "#4886b5", "#6cacd8", "#a1d1f1", "#e4f3fd"),
}
MEASURES = ("accuracy", "loss")


@dataclass(frozen=True)
class Side:
    """Something that differs among the trials: an axis of the sweep, or the optimizer."""

    name: str
    symbol: str
    values: tuple[Value, ...]
    labels: tuple[str, ...]
    scale: str  # "linear", "log", "one_minus_log" or "choice"
    drawn: bool  # trials lie between its values

    @property
    def ordered(self) -> bool:
        """Whether its values are numbers."""
        return self.scale != "choice"

    def place(self, value: Value) -> float:
        """Return where a value lies, counted in values: 0 is the first."""
        if value in self.values:
            return float(self.values.index(value))
        bent = [_bent(self.scale, float(each)) for each in self.values]
        first, last = bent[0], bent[-1]
        return (_bent(self.scale, float(value)) - first) / (last - first) * (len(bent) - 1)


def _bent(scale: str, value: float) -> float:
    if scale == "log":
        return math.log(max(value, 1e-300))
    return -math.log1p(-value) if scale == "one_minus_log" else value


def sides(config: SweepConfig) -> list[Side]:
    """Return all that differs among the trials of a sweep."""
    found = []
    if len(config.base.racers) > 1:
        looks = distinct(map(Racer.parse, config.base.racers))
        names = tuple(look.label for look in looks)
        found.append(Side(OPTIMIZER, OPTIMIZER, tuple(range(len(names))), names, "choice", drawn=False))
    for axis in config.read:
        drawn = config.trials is not None and axis.spaced
        labels = tuple(map(written, axis.values))
        found.append(Side(axis.name, axis.symbol, axis.values, labels, axis.scale, drawn))
    return found


def values_of(config: SweepConfig, trial: Trial) -> tuple[Value, ...]:
    """Return a trial's value on each of the `sides`."""
    return ((trial.base,) if len(config.base.racers) > 1 else ()) + trial.values


def written(value: Value) -> str:
    """Write a value as short as it may be: 0.001, 1e-5, yes."""
    if isinstance(value, bool | str):
        return {"True": "yes", "False": "no"}.get(str(value), str(value))
    exponent = math.log10(abs(value)) if value else 0.0
    if value and abs(exponent) >= 4:
        return f"{value:.3g}".replace("e-0", "e-").replace("e+0", "e").replace("-", "−")
    return write_value(float(f"{value:.5g}"))


def chosen_sides(config: SweepConfig, x: str = "", y: str = "") -> tuple[str, str]:
    """Return what goes across and what goes up ("" for nothing), as asked for where there is such a side.

    By default the learning rate goes across, and what has the most values of the others up.
    """
    names = [side.name for side in sides(config)]
    by_worth = sorted(sides(config), key=lambda s: (s.name != "lr", not s.ordered, -len(s.values)))
    across = x if x in names else next(side.name for side in by_worth if side.name != y or len(names) == 1)
    rest = [side.name for side in by_worth if side.name != across]
    return across, y if y in rest else (rest[0] if rest else "")


@dataclass(frozen=True)
class Cell:
    """A trial as it stands, over its seeds; numbers of held-out pictures, NaN where there is none."""

    trial: int
    state: str
    epoch: int  # the least of its seeds is after this one
    accuracy: float  # mean
    lowest: float  # of the seeds' accuracies
    highest: float
    loss: float


_FIRST = (FAILED, DIVERGED, TRAINING, STOPPED, WAITING, DROPPED, FINISHED)  # one seed's state is the trial's


def cell(trial: int, networks: Sequence[Network]) -> Cell:
    """Sum up a trial. A trial of which a seed diverged has no number: it can't be relied on."""
    state = min((network.state for network in networks), key=_FIRST.index)
    begun = [network for network in networks if network.history and network.history[-1][0] > 0]
    if state in (DIVERGED, FAILED) or not begun:
        return Cell(trial, state, 0, math.nan, math.nan, math.nan, math.nan)
    accuracies = [network.accuracy for network in begun]
    return Cell(
        trial,
        state,
        min(network.history[-1][0] for network in begun),
        float(np.mean(accuracies)),
        min(accuracies),
        max(accuracies),
        float(np.mean([network.loss for network in begun])),
    )


def cells(made: Sequence[Trial], networks: Iterable[Network]) -> list[Cell]:
    """Sum up every trial."""
    of: dict[int, list[Network]] = {trial.index: [] for trial in made}
    for network in networks:
        of[network.trial].append(network)
    return [cell(index, mine) for index, mine in of.items()]


@dataclass(frozen=True)
class Curve:
    """How one kind of racer fares along one side, what else is swept at its best."""

    look: Look
    points: tuple[tuple[float, int], ...]  # (value, trial)
    joined: bool  # the trials of a grid; drawn ones are points


def curves(config: SweepConfig, made: Sequence[Trial], found: Mapping[int, Cell]) -> tuple[Side, list[Curve]]:
    """Return what goes across, the learning rate if it is swept, and a curve for each kind of racer.

    A kind is an optimizer with its choices (Adam, uncorrected Adam); at each value its curve goes through the
    best trial by held-out accuracy.
    """
    all_sides = sides(config)
    across = next((s for s in all_sides if s.name == "lr"), None)
    across = across or next((s for s in all_sides if s.ordered), all_sides[0])
    choices = [place for place, axis in enumerate(config.read) if axis.scale == "choice" and not axis.of_run]
    picks = [config.read[place].values for place in choices]
    kinds: dict[tuple[Value, ...], list[Trial]] = {
        key: [] for key in itertools.product(range(len(config.base.racers)), *picks)
    }
    for trial in made:
        kinds[trial.base, *(trial.values[place] for place in choices)].append(trial)
    kinds = {key: mine for key, mine in kinds.items() if mine}
    place_of = [side.name for side in all_sides].index(across.name)
    racers = []
    for base, *picked in kinds:
        racer = Racer.parse(config.base.racers[int(base)])
        given = {config.read[place].name: value for place, value in zip(choices, picked, strict=True)}
        racers.append(racer.change(**given))
    drawn = []
    for look, mine in zip(distinct(racers), kinds.values(), strict=True):
        best: dict[Value, Trial] = {}
        for trial in mine:
            value = values_of(config, trial)[place_of]
            if math.isnan(found[trial.index].accuracy):
                continue
            if across.drawn:
                best[value, trial.index] = trial  # type: ignore[index]
            elif value not in best or found[trial.index].accuracy > found[best[value].index].accuracy:
                best[value] = trial
        points = sorted((float(values_of(config, t)[place_of]), t.index) for t in best.values())
        drawn.append(Curve(look, tuple(points), joined=across.ordered and not across.drawn))
    return across, drawn
