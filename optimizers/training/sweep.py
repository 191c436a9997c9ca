"""Sweeps: which hyperparameters suit a network, tried many at once and judged by held-out pictures.

>>> config = SweepConfig(
...     TrainConfig(("adam", "momentum"), data="shapes10", epochs=2), axes=("lr,1e-4,1e-1,4",), seeds=3
... )
>>> len(trials(config)), networks(config)
(8, 24)
>>> result = sweep(config)  # doctest: +SKIP
>>> result.best.racer  # doctest: +SKIP

Nothing here imports torch or Dask; `sweep` does when it runs.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

import numpy as np

from optimizers.catalog import Racer
from optimizers.notation import Hyperparameter, Value, shown, unknown, write_value
from optimizers.training.config import TrainConfig

METHODS = ("grid", "random", "halving")
SCALES = ("linear", "log", "one_minus_log")
VALIDATION = 2_000  # pictures held out where the recipe names no number
MOST_NETWORKS = 10_000
MOST_VALUES = 1_000  # of one axis
OPTIMIZER = "optimizer"  # the axis that the racers themselves are

# Settings of a run that can be swept beside the racers' hyperparameters, which come first where names agree.
SETTINGS = {
    hyper.name: hyper
    for hyper in (
        Hyperparameter(
            "batch_size", "batch", 32, low=1, high=100_000, whole=True, slider=(16, 256), scale="log"
        ),
        Hyperparameter("weight_decay", "L2", 1e-3, high=1e6, slider=(1e-5, 1e-2), scale="log"),
        Hyperparameter("dropout", "dropout", 0.0, below_high=True, slider=(0.0, 0.5)),
        Hyperparameter("label_smoothing", "smoothing", 0.0, below_high=True, slider=(0.0, 0.2)),
        Hyperparameter("clip_norm", "clip", 1.0, high=1e9, slider=(0.1, 10.0), scale="log"),
    )
}


@dataclass(frozen=True)
class Axis:
    """The values of one hyperparameter, or of one setting of the run, in a sweep.

    Notation: `lr,1e-4,0.1,4` is four values from 1e-4 to 0.1, even on the hyperparameter's own scale (a fifth
    word, linear, log or one_minus_log, names another); `beta2=0.9,0.99` is these two; `bias_correction` alone
    is every value of a choice.
    """

    name: str
    symbol: str
    values: tuple[Value, ...]  # of a grid
    scale: str  # "linear", "log", "one_minus_log" (logarithmic in 1 − value) or "choice"
    spaced: bool  # evenly from the first to the last; random search then draws in between, too
    text: str  # canonical notation
    of_run: bool  # a setting of the run, no hyperparameter of the racers

    @classmethod
    def parse(cls, notation: str, racers: Iterable[Racer]) -> Axis:
        """Read an axis; raise ValueError in one sentence for what no racer of `racers` takes."""
        if not isinstance(notation, str) or not notation.strip():
            raise ValueError(f"An axis is {notation!r}, but is written like {_LIKE}.")
        name, equals, listed = (part.strip() for part in notation.partition("="))
        if equals:
            words = [word.strip() for word in listed.split(",")]
        else:
            name, *words = (word.strip() for word in notation.split(","))
        hyper, owner = _hyperparameter(name, list(racers))
        of_run = owner == _RUN
        if hyper.choices:
            values = [choice.value for choice in hyper.choices]
            if words:
                values = [hyper.check(word, owner) for word in words]
            return cls(
                name,
                hyper.symbol,
                _each_once(name, values),
                "choice",
                False,
                _listed(name, values, hyper),
                of_run,
            )
        if equals:
            values = sorted(hyper.check(_number(name, word), owner) for word in words)
            return cls(
                name,
                hyper.symbol,
                _each_once(name, values),
                hyper.scale,
                False,
                _listed(name, values, hyper),
                of_run,
            )
        if len(words) not in (3, 4):
            raise ValueError(f"The axis {shown(notation)} is not understood; write it like {_LIKE}.")
        low, high = (float(hyper.check(_number(name, word), owner)) for word in words[:2])
        count, scale = words[2], words[3] if len(words) == 4 else hyper.scale
        values = _spaced(hyper, owner, low, high, count, scale)
        text = f"{name},{write_value(values[0])},{write_value(values[-1])},{len(values)}"
        text += f",{scale}" if scale != hyper.scale else ""
        return cls(name, hyper.symbol, _each_once(name, values), scale, True, text, of_run)

    def draw(self, random: np.random.Generator) -> Value:
        """Draw a value: evenly on the scale between the ends, or one of the list."""
        share = float(random.random())
        if not self.spaced:
            return self.values[int(share * len(self.values))]
        low, high = float(self.values[0]), float(self.values[-1])
        value = _bend_back(self.scale, _bend(self.scale, low) * (1 - share) + _bend(self.scale, high) * share)
        value = _digits(min(max(value, low), high), 4, self.scale)
        return round(value) if isinstance(self.values[0], int) else value


_RUN = "the run"
_LIKE = "lr,1e-4,0.1,4 (from, to, how many), beta2=0.9,0.99 (these), or bias_correction (all of a choice)"


def _hyperparameter(name: str, racers: list[Racer]) -> tuple[Hyperparameter, str]:
    """Return what `name` stands for: a hyperparameter that all racers have, or a setting of the run."""
    found = [{h.name: h for h in racer.optimizer.hyperparameters}.get(name) for racer in racers]
    first = next((hyper for hyper in found if hyper), None)
    if first and all(found):
        return first, racers[0].name
    if name in SETTINGS:
        return SETTINGS[name], _RUN
    if first:
        without = racers[found.index(None)].name
        raise ValueError(f"{name} can't be swept here, as {without} has none; sweep it without {without}.")
    known = [h.name for h in racers[0].optimizer.hyperparameters if not h.word]
    raise unknown("hyperparameter", name, [*known, *SETTINGS], "A sweep of " + racers[0].name)


def _number(name: str, word: str) -> float:
    try:
        return float(word)
    except ValueError:
        raise ValueError(f"{name} is given {shown(word)}, but takes numbers, as in {_LIKE}.") from None


def _each_once(name: str, values: list[Value]) -> tuple[Value, ...]:
    if len(set(values)) < len(values):
        raise ValueError(f"The axis {name} has a value twice; give each once, and fewer in a narrow range.")
    return tuple(values)


def _listed(name: str, values: list[Value], hyper: Hyperparameter) -> str:
    if hyper.choices and tuple(values) == tuple(choice.value for choice in hyper.choices):
        return name
    return f"{name}={','.join(map(write_value, values))}"


def _spaced(
    hyper: Hyperparameter, owner: str, low: float, high: float, count: str, scale: str
) -> list[Value]:
    """Space values from low to high, both included, to as many digits as a hand would write."""
    if scale not in SCALES:
        raise ValueError(f"The scale of {hyper.name} is {shown(scale)}, but takes {', '.join(SCALES)}.")
    if not count.isascii() or not count.isdigit() or not 2 <= int(count) <= MOST_VALUES:
        raise ValueError(f"{hyper.name} is swept over {shown(count)} values, but takes 2 to {MOST_VALUES:,}.")
    if not low < high:
        raise ValueError(f"{hyper.name} is swept from {low:g} to {high:g}, but the lower comes first.")
    if (scale == "log" and low <= 0) or (scale == "one_minus_log" and high >= 1):
        takes = "above 0" if scale == "log" else "below 1"
        raise ValueError(
            f"{hyper.name} is swept from {low:g} to {high:g} on a {scale} scale, which is {takes}."
        )
    ends = _bend(scale, low), _bend(scale, high)
    inner = [_digits(_bend_back(scale, place), 4, scale) for place in np.linspace(*ends, int(count))[1:-1]]
    values = [low, *inner, high]
    return [hyper.check(round(value) if hyper.whole else value, owner) for value in values]


def _bend(scale: str, value: float) -> float:
    """Return where a value lies on its scale."""
    return {"linear": lambda z: z, "log": math.log, "one_minus_log": lambda z: -math.log1p(-z)}[scale](value)


def _bend_back(scale: str, place: float) -> float:
    return {"linear": lambda z: z, "log": math.exp, "one_minus_log": lambda z: -math.expm1(-z)}[scale](
        float(place)
    )


def _digits(value: float, digits: int, scale: str) -> float:
    """Round to so many digits; near 1 it is the distance to 1 that has them."""
    if scale == "one_minus_log":
        return round(1 - float(f"{1 - value:.{digits}g}"), 12)
    return float(f"{value:.{digits}g}")


@dataclass(frozen=True)
class SweepConfig:
    """What a sweep tries, and how.

    Args:
        base: the recipe of each run. Its racers are an axis of their own; its seed is the first of the seeds;
            its epochs are what a trial that stays to the end trains for. `validation` pictures judge;
            VALIDATION of them where it is 0.
        axes: in `Axis` notation; the hyperparameters and settings that are swept.
        method: "grid": every combination. "random": `trials` draws (Bergstra and Bengio 2012). "halving":
            successive halving (Jamieson and Talwalkar 2016, arXiv:1502.07943): all train for `min_epochs`;
            at each rung the best of every `factor` go on, from the weights and the rule's state they have,
            until they have trained `factor` times as long. A schedule runs over `base.epochs` whatever the
            rung, so that a network that stays is to the bit the one that was never interrupted (on a CPU).
        trials: how many are drawn; None, for halving: every combination of the grid.
        factor: η of halving, from 2.
        min_epochs: of halving's first rung.
        seeds: networks of each trial, from base.seed on: of weights, batches and held-out pictures.

    Raises:
        ValueError: names the setting, the value and what it takes, in one sentence.
    """

    base: TrainConfig
    axes: tuple[str, ...] = ()
    method: str = "grid"
    trials: int | None = None
    factor: int = 3
    min_epochs: int = 1
    seeds: int = 1
    read: tuple[Axis, ...] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Check every setting."""
        if isinstance(self.axes, str) or not isinstance(self.axes, list | tuple):
            raise ValueError(f"axes is {self.axes!r}, but takes several, as in ('lr,1e-4,0.1,4',).")
        racers = [Racer.parse(notation) for notation in self.base.racers]
        read = tuple(Axis.parse(text, racers) for text in self.axes)
        for axis in read:
            if [other.name for other in read].count(axis.name) > 1:
                raise ValueError(f"The axis {axis.name} is given twice; give it once, with all its values.")
        if not read and len(racers) == 1:
            raise ValueError("A sweep needs an axis, as in lr,1e-4,0.1,4, or several racers.")
        object.__setattr__(self, "read", read)
        object.__setattr__(self, "axes", tuple(axis.text for axis in read))
        if self.method not in METHODS:
            raise ValueError(f"method is {self.method!r}, but takes grid, random or halving.")
        if self.trials is not None:
            _whole("trials", self.trials, 1, MOST_NETWORKS)
        if self.method == "random" and self.trials is None:
            raise ValueError("Random search needs to know how many trials to draw: give trials.")
        if self.method == "grid" and self.trials is not None:
            raise ValueError("A grid tries every combination; trials is for random search and halving.")
        _whole("factor", self.factor, 2, 100)
        _whole("seeds", self.seeds, 1, 100)
        _whole("min_epochs", self.min_epochs, 1, 100_000)
        if self.method == "halving" and self.min_epochs > self.base.epochs:
            raise ValueError(
                f"min_epochs is {self.min_epochs}, but a trial trains {self.base.epochs} in all."
            )
        if self.base.seeds != 1:
            raise ValueError("The seeds of a sweep are its own setting; leave those of its recipe at 1.")
        if not self.base.validation:
            object.__setattr__(self, "base", replace(self.base, validation=VALIDATION))
        if self.size * self.seeds > MOST_NETWORKS:
            raise ValueError(
                f"This sweep has {self.size * self.seeds:,} networks, but takes at most {MOST_NETWORKS:,}; "
                "take fewer values, trials or seeds."
            )

    @property
    def cells(self) -> int:
        """Combinations of the grid."""
        return len(self.base.racers) * math.prod(len(axis.values) for axis in self.read)

    @property
    def size(self) -> int:
        """How many trials there are; draws without an end between two values are cut to what there is."""
        if self.trials is None:
            return self.cells
        endless = any(axis.spaced for axis in self.read)
        return self.trials if endless else min(self.trials, self.cells)

    def to_json(self) -> str:
        """Write the sweep as JSON that `from_json` reads back."""
        return json.dumps(self.to_dict(), indent=2)

    def to_dict(self) -> dict[str, Any]:
        """Return what `to_json` writes."""
        return asdict(self, dict_factory=_without_read)

    @classmethod
    def from_json(cls, text: str) -> SweepConfig:
        """Read a sweep; settings left out take their defaults."""
        try:
            given = json.loads(text)
        except ValueError as problem:
            raise ValueError(f"A sweep is JSON, which this is not: {problem}.") from None
        if not isinstance(given, dict) or not isinstance(given.get("base"), dict):
            raise ValueError('A sweep is a JSON object with at least "base", the recipe of its runs.')
        known = [one.name for one in fields(cls) if one.init]
        for name in given:
            if name not in known:
                raise unknown("setting", name, known, "A sweep")
        base = TrainConfig.from_json(json.dumps(given.pop("base")))
        return cls(base=base, **{**given, "axes": tuple(given.get("axes", ()))})


def figure4(base: TrainConfig, seeds: int = 1) -> SweepConfig:
    """Return Kingma and Ba's figure 4 (2015, arXiv:1412.6980, §6.4) on the network of `base`.

    β₁ ∈ {0, 0.9} × β₂ ∈ {0.99, 0.999, 0.9999} × log₁₀ lr ∈ {−5, …, −1}, with and without bias correction.

    >>> networks(figure4(TrainConfig(("adam",))))
    60
    """
    axes = (
        "lr,1e-5,0.1,5",
        "beta2,0.99,0.9999,3",
        "beta1=0,0.9",
        "bias_correction=True,False",
    )
    return SweepConfig(replace(base, racers=("adam",)), axes, seeds=seeds)


def _without_read(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return {name: value for name, value in pairs if name != "read"}


def _whole(name: str, value: object, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ValueError(f"{name} is {value!r}, but takes a whole number from {low:,} to {high:,}.")


# Trials -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Trial:
    """One combination: a racer and the settings of its run, as many networks as there are seeds."""

    index: int
    base: int  # place of its optimizer among the racers of the sweep
    racer: str  # canonical notation
    values: tuple[Value, ...]  # one for each axis
    settings: tuple[tuple[str, Value], ...]  # of the run

    def config(self, sweep: SweepConfig, seed: int) -> TrainConfig:
        """Return the recipe of its network with this seed; a sweep does not look inside its networks."""
        changed: dict[str, Any] = {**dict(self.settings), "telemetry": 0, "sharpness": 0}
        threads = sweep.base.threads or 1  # the same sums in the same order, whatever the company
        return replace(sweep.base, racers=(self.racer,), seed=seed, threads=threads, **changed)


def trials(config: SweepConfig) -> tuple[Trial, ...]:
    """Return every trial of a sweep: the same ones each time, by the base's seed."""
    racers = [Racer.parse(notation) for notation in config.base.racers]
    grid = itertools.product(range(len(racers)), *(axis.values for axis in config.read))
    if config.trials is None:
        places: list[tuple[Any, ...]] = list(grid)
    elif not any(axis.spaced for axis in config.read):  # there are only so many: none is drawn twice
        whole = list(grid)
        random = np.random.default_rng(config.base.seed)
        places = [whole[index] for index in random.permutation(len(whole))[: config.size]]
    else:
        random = np.random.default_rng(config.base.seed)
        places = [
            (int(random.integers(len(racers))), *(axis.draw(random) for axis in config.read))
            for _ in range(config.trials)
        ]
    made = []
    for index, (base, *values) in enumerate(places):
        given = list(zip(config.read, values, strict=True))
        racer = racers[base].change(**{axis.name: value for axis, value in given if not axis.of_run})
        settings = tuple((axis.name, value) for axis, value in given if axis.of_run)
        made.append(Trial(index, base, str(racer), tuple(values), settings))
    if len({(trial.racer, trial.settings) for trial in made}) < len(made) and config.trials is None:
        raise ValueError(
            "Two racers of this sweep become the same one; take away what an axis changes anyway."
        )
    return tuple(made)


@dataclass(frozen=True)
class Rung:
    """So many trials train up to so many epochs; the best of them go on to the next rung."""

    trials: int
    epochs: int  # since the first step


def rungs(config: SweepConfig) -> tuple[Rung, ...]:
    """Return the rungs of a sweep; a grid and a random search have one.

    >>> base = TrainConfig(("adam",), epochs=9)
    >>> rungs(SweepConfig(base, ("lr,1e-4,1,27",), method="halving"))
    (Rung(trials=27, epochs=1), Rung(trials=9, epochs=3), Rung(trials=3, epochs=9))
    """
    if config.method != "halving":
        return (Rung(config.size, config.base.epochs),)
    found, left, epochs = [], config.size, config.min_epochs
    while epochs < config.base.epochs and left > 1:
        found.append(Rung(left, epochs))
        left, epochs = max(1, left // config.factor), epochs * config.factor
    return (*found, Rung(left, config.base.epochs))


def networks(config: SweepConfig) -> int:
    """Return how many networks a sweep begins with."""
    return config.size * config.seeds


def work(networks: int, epochs: int, pictures: int, judged: int, since: int = 0) -> float:
    """Return what training costs, in pictures: to look at one costs a third of training on it.

    Args:
        networks: that train.
        epochs: up to which each trains.
        pictures: that an epoch trains on.
        judged: that are looked at after each epoch, and once before the first.
        since: epochs that each has trained before.
    """
    looks = epochs - since + (since == 0)
    return networks * ((epochs - since) * pictures + looks * judged / 3)


def work_of(config: SweepConfig, pictures: int, tests: int) -> float:
    """Return what a sweep costs in all, in pictures trained on, the test of its winner included.

    Args:
        config: the sweep.
        pictures: that an epoch of one network trains on.
        tests: pictures in the test set.
    """
    base, seeds = config.base, config.seeds
    on_rungs, since = 0.0, 0
    for rung in rungs(config):
        on_rungs += work(rung.trials * seeds, rung.epochs, pictures, base.validation, since)
        since = rung.epochs
    return on_rungs + work(seeds, base.epochs, pictures, tests)


# What a sweep tells -----------------------------------------------------------------------------------------

WAITING, TRAINING, FINISHED, DIVERGED, DROPPED, STOPPED, FAILED = (
    "waiting", "training", "finished", "diverged", "dropped", "stopped", "failed",
)  # fmt: skip


@dataclass(frozen=True)
class Network:
    """One network of a trial, as far as it is. Every number is of held-out pictures."""

    trial: int
    seed: int
    state: str = WAITING  # … | training | finished | diverged | dropped (at a rung) | stopped | failed
    epochs: int = 0  # it is to train for, at the rung it has reached
    history: tuple[
        tuple[int, float, float], ...
    ] = ()  # (epoch, loss, accuracy); epoch 0 is before the first step
    seconds: float = 0.0  # spent in its training steps, on the rungs so far
    diverged_at: int | None = None  # step

    @property
    def loss(self) -> float:
        """Of its last evaluation: cross-entropy in nats."""
        return self.history[-1][1] if self.history and self.state != DIVERGED else math.nan

    @property
    def accuracy(self) -> float:
        """Of its last evaluation, 0 to 1; NaN where it diverged."""
        return self.history[-1][2] if self.history and self.state != DIVERGED else math.nan


@dataclass(frozen=True)
class Changed:
    """These networks are further than they were."""

    networks: tuple[Network, ...]


@dataclass(frozen=True)
class Said:
    """Something happened that people should know: a lost worker, a rung that ended. One sentence."""

    text: str


@dataclass(frozen=True)
class Pace:
    """How far the sweep is; comes twice a second at least. Its listener may raise StopTraining."""

    share: float  # 0 to 1: of the work there is in all, the winner's test included
    seconds: float  # since the sweep began
    pictures_per_second: float  # all networks together, looks at held-out pictures counted as `work` does
    seconds_left: float | None  # None while no network has trained yet


SweepEvent = Changed | Said | Pace


@dataclass(frozen=True)
class Standing:
    """A trial among the others: mean and spread over its seeds, by held-out pictures."""

    trial: Trial
    epochs: int
    accuracy: float  # mean; NaN where a seed diverged or is not done
    spread: float  # standard deviation over seeds; NaN for one
    loss: float


@dataclass(frozen=True)
class SweepResult:
    """A finished or stopped sweep."""

    config: SweepConfig
    trials: tuple[Trial, ...]
    networks: tuple[Network, ...]  # trial after trial, seed after seed
    test_accuracy: tuple[float, ...]  # of the best trial, trained anew on all training pictures; one a seed
    test_loss: tuple[float, ...]
    said: tuple[str, ...]
    data_note: str
    seconds: float
    stopped: bool

    def of(self, trial: Trial) -> tuple[Network, ...]:
        """Return the networks of a trial, one a seed."""
        seeds = self.config.seeds
        return self.networks[trial.index * seeds : (trial.index + 1) * seeds]

    @property
    def standings(self) -> list[Standing]:
        """The trials, best first: trained longest, then by mean accuracy, then by loss."""
        return ranked([standing(trial, self.of(trial)) for trial in self.trials])

    @property
    def best(self) -> Trial | None:
        """The winner by held-out pictures; None while no trial is whole."""
        return winner(self.config, self.standings)


def standing(trial: Trial, made: Iterable[Network]) -> Standing:
    """Sum up a trial over its seeds. One seed that diverged counts for the trial: it can't be relied on."""
    made = list(made)
    done = [network for network in made if network.state in (FINISHED, DROPPED)]
    whole = len(done) == len(made)
    accuracies, losses = ([getattr(one, name) for one in made] for name in ("accuracy", "loss"))
    return Standing(
        trial,
        max(network.epochs for network in made),
        float(np.mean(accuracies)) if whole else math.nan,
        float(np.std(accuracies, ddof=1)) if whole and len(made) > 1 else math.nan,
        float(np.mean(losses)) if whole else math.nan,
    )


def ranked(standings: Iterable[Standing]) -> list[Standing]:
    """Put trials in order, best first; the longest trained lead, and those without a number come last."""
    return sorted(
        standings,
        key=lambda one: (
            math.isnan(one.accuracy),
            -one.epochs,
            -(0.0 if math.isnan(one.accuracy) else one.accuracy),
            math.inf if math.isnan(one.loss) else one.loss,
            one.trial.index,
        ),
    )


def winner(config: SweepConfig, standings: list[Standing]) -> Trial | None:
    """Return the best trial that has trained for all of its epochs."""
    whole = [one for one in standings if one.epochs == config.base.epochs and not math.isnan(one.accuracy)]
    return ranked(whole)[0].trial if whole else None


def sweep(
    config: SweepConfig,
    on_event: Callable[[SweepEvent], None] | None = None,
    *,
    scheduler: str | None = None,
    workers: int | None = None,
) -> SweepResult:
    """Train every network of `config`, choose the best trial by held-out pictures, and test that one alone.

    Networks with the same batches train in lock-step in one task of Dask, on all cores or GPUs of this
    machine, or on those of an existing cluster. A network's numbers do not depend on its company (on a CPU,
    to the bit). A task whose worker is lost is done again. The winner's test is after its last epoch, trained
    anew on all training pictures; nothing before that has seen a test picture.

    Args:
        config: what to try.
        on_event: is called with each event as it happens, in the caller's thread. It may raise StopTraining:
            what was found until then is kept, and nothing is tested.
        scheduler: address of a Dask scheduler, as in tcp://10.0.0.1:8786, whose workers have this package and
            the data; None starts worker processes on this machine.
        workers: processes on this machine; None: one for each GPU, else for each core.

    A script that calls this does so under `if __name__ == "__main__":`, as its worker processes import it.

    Raises:
        ValueError: too few training pictures, or a scheduler that does not answer, in one sentence.
        data.DataError: the pictures are missing or damaged, in one sentence that says what to do.
    """
    from optimizers.training.sweep_run import run

    return run(config, on_event, scheduler, workers)
