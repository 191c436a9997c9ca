"""Sets of weights that a run leaves behind: what a landscape is cut from.

A run keeps `TrainConfig.snapshots` sets of each racer, at steps T·(k/(n−1))², k = 0 … n−1, of its T steps:
close together where the weights move fastest, and, as a path spreads about as the square root of its steps,
about equally far apart. The first and the last are exact, float32; those between are float16, off by at most
one part in 2,048 of each weight (and 3·10⁻⁸), far less than a step of training. A run that is stopped adds
the set it ended with. Files are whole or not there, so that they can be read while it trains.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from optimizers.files import whole
from optimizers.training.config import TrainConfig
from optimizers.training.data import DataError

FOLDER = "snapshots"
RECIPE = "config.json"  # beside the weights: a run's own is written when it ends
LARGEST = 65_504.0  # of float16; weights that leave it are kept as float32
_NAME = re.compile(r"(\d+)-(\d+)-(\d+)\.npy")  # racer, place among the seeds, step


class _Seed(Protocol):
    @property
    def place(self) -> int: ...


class Lane(Protocol):
    """What a snapshot is taken of: one racer with one seed."""

    @property
    def index(self) -> int:
        """The racer's place."""

    @property
    def seed(self) -> _Seed:
        """Which has a place among the run's."""

    @property
    def diverged_at(self) -> int | None:
        """The step at which its loss ceased to be finite."""

    def export(self) -> NDArray[np.float32]:
        """Return the weights, (P,), in the network's own order."""


def mark(step: int, total: int, count: int) -> int:
    """Return how many of a run's `count` sets are due by `step` of `total`, less one.

    >>> [mark(step, 100, 5) for step in (0, 6, 7, 25, 99, 100)]
    [0, 0, 1, 2, 3, 4]
    """
    k = math.isqrt(step * (count - 1) ** 2 // total)
    return min(k, count - 1)


class Keeper:
    """Writes a run's snapshots into its folder."""

    def __init__(self, folder: Path, config: TrainConfig, total_steps: int) -> None:
        """Keep `config.snapshots` sets of a run of so many steps.

        Raises:
            OSError: the folder can't be written.
        """
        self.folder, self.count, self.total = folder / FOLDER, config.snapshots, total_steps
        self.folder.mkdir(parents=True, exist_ok=True)
        with whole(self.folder / RECIPE) as temporary:
            temporary.write_text(config.to_json(), "utf-8")

    def keep(self, lanes: Iterable[Lane], before: int, step: int, *, last: bool = False) -> None:
        """Keep the weights after `step` where a set became due since step `before`, or it is the last."""
        first = step == 0
        due = mark(step, self.total, self.count) > mark(before, self.total, self.count)
        if not (first or last or due):
            return
        if first:
            for file in self.folder.glob("*.npy"):  # an earlier run's
                file.unlink()
        exact = first or last or step == self.total
        for lane in lanes:
            if lane.diverged_at is None:
                self._write(lane, step, exact)

    def _write(self, lane: Lane, step: int, exact: bool) -> None:
        weights = lane.export()
        largest = float(np.abs(weights).max())
        if not math.isfinite(largest):  # it diverged, though its loss has not told yet
            return
        kept = weights if exact or largest > LARGEST else weights.astype(np.float16)
        with whole(self.folder / f"{lane.index}-{lane.seed.place}-{step}.npy") as temporary:
            np.save(temporary, kept)


@dataclass(frozen=True, eq=False)
class Snapshots:
    """The sets of weights of some racers of one run, in order of racer, then step."""

    config: TrainConfig
    racer: NDArray[np.int64]  # (S,): its place in config.racers
    step: NDArray[np.int64]  # (S,)
    weights: NDArray[np.float32]  # (S, P), in the network's own order

    def of(self, racer: int) -> NDArray[np.int64]:
        """Return the places of a racer's sets, in order of steps."""
        return np.flatnonzero(self.racer == racer)

    def end(self, racer: int) -> NDArray[np.float32]:
        """Return a racer's last weights, (P,)."""
        last: NDArray[np.float32] = self.weights[self.of(racer)[-1]]
        return last


def read_recipe(folder: Path) -> TrainConfig:
    """Return the recipe of the run that left snapshots in `folder`.

    Raises:
        DataError: there are none, or the recipe is damaged, in one sentence.
    """
    recipe = folder / FOLDER / RECIPE
    try:
        return TrainConfig.from_json(recipe.read_text("utf-8"))
    except FileNotFoundError:
        raise DataError(
            f"There are no snapshots in {folder}: train with --snapshots 24 --out {folder}."
        ) from None
    except (ValueError, TypeError) as problem:
        raise DataError(f"{recipe} can't be read, so train once more: {problem}") from None


def load(folder: Path, racers: Iterable[int] | None = None, seed: int = 0) -> Snapshots:
    """Read the snapshots a run left in `folder`, of some racers (all by default) with one of its seeds.

    Raises:
        ValueError: a racer that did not run, or a seed's place beyond the run's seeds.
        DataError: there are none, or one is damaged, in one sentence.
    """
    config = read_recipe(folder)
    wanted = sorted(set(range(len(config.racers)) if racers is None else racers))
    if not wanted or not all(0 <= racer < len(config.racers) for racer in wanted):
        raise ValueError(f"racers is {wanted}, but takes numbers of the run's {len(config.racers)}, from 0.")
    found = []
    for file in (folder / FOLDER).glob("*.npy"):
        if (name := _NAME.fullmatch(file.name)) is not None:
            racer, place, step = map(int, name.groups())
            if racer in wanted and place == seed:
                found.append((racer, step, file))
    found.sort()
    if not found:
        raise DataError(f"There are no snapshots of these racers in {folder}: train once more.")
    return Snapshots(
        config,
        np.array([racer for racer, _, _ in found]),
        np.array([step for _, step, _ in found]),
        _stacked([file for _, _, file in found]),
    )


def _stacked(files: list[Path]) -> NDArray[np.float32]:
    """Return what the files hold as (S, P) float32."""
    stacked: NDArray[np.float32] | None = None
    for place, file in enumerate(files):
        try:
            weights = np.load(file, allow_pickle=False)
        except (OSError, ValueError, EOFError) as problem:
            raise DataError(f"The snapshot {file} can't be read, so remove it: {problem}") from None
        if stacked is None:
            stacked = np.empty((len(files), weights.size), np.float32)
        if weights.shape != stacked.shape[1:]:
            raise DataError(f"The snapshot {file} is of another network, so remove it.")
        stacked[place] = weights
    assert stacked is not None
    return stacked
