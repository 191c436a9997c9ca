"""What the page of sweeps shows, as JSON for the component that draws it."""

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from app.lab.board import looks, offer
from app.lab.request import LabRequest
from app.sweeps.request import BASE, PLAN, SweepRequest
from optimizers import Racer
from optimizers.notation import Hyperparameter, write_value
from optimizers.training.data import DATASETS, available
from optimizers.training.models import MODELS
from optimizers.training.sweep import (
    SETTINGS,
    Axis,
    Network,
    SweepConfig,
    Trial,
    networks,
    ranked,
    rungs,
    standing,
    trials,
    winner,
    work_of,
)
from optimizers.training.sweep_store import Pace, Sweep
from optimizers.training.sweep_view import TONES, cells, curves, sides, values_of, written

STATES = ("waiting", "training", "finished", "diverged", "dropped", "stopped", "failed")
MOST_BEST = 8  # trials in the list
TEST_SHARE = 5  # a test set is about a fifth of what is trained on


def question(request: SweepRequest, notices: list[str], pace: Pace | None) -> dict[str, Any]:
    """Return what is asked, and what can be."""
    config = request.config
    racers = [Racer.parse(notation) for notation in config.base.racers]
    paper = request.figure4().config
    known = _sweepable(config.base.racers)
    return {
        "offer": offer() | {"axes": [_axis_offer(hyper) for hyper in known.values()]},
        "asked": {
            **{name: getattr(config.base, name) for name in BASE},
            **{name: getattr(config, name) for name in PLAN},
            "racers": [
                {**look, "name": racer.name, "notation": str(racer)}
                for racer, look in zip(racers, looks(config.base.racers), strict=True)
            ],
            "axes": [_axis(axis) for axis in config.read],
            "x": request.x,
            "y": request.y,
            "measure": request.measure,
            "sweep": request.sweep,
            "ready": available(config.base.data),
            "size": size_in_words(config),
            "time": time_in_words(config, pace),
            "figure4": [size_in_words(paper), time_in_words(paper, pace)],
        },
        "notices": notices,
        "tones": TONES,
    }


@lru_cache(maxsize=64)
def _sweepable(racers: tuple[str, ...]) -> dict[str, Hyperparameter]:
    """Return what all of these racers have, and the settings of a run."""
    of_each = [{h.name: h for h in Racer.parse(one).optimizer.hyperparameters} for one in racers]
    shared = {name: hyper for name, hyper in of_each[0].items() if all(name in other for other in of_each)}
    return shared | {name: hyper for name, hyper in SETTINGS.items() if name not in shared}


def _axis_offer(hyper: Hyperparameter) -> dict[str, Any]:
    """Return how a hyperparameter is swept when it is first chosen."""
    low, high = hyper.slider
    if hyper.choices:
        text = hyper.name
    elif hyper.name == "lr":
        text = "lr,1e-4,1,5"
    elif hyper.whole:
        text = f"{hyper.name}=32,64,128,256"
    elif hyper.scale == "one_minus_log":
        text = f"{hyper.name}=0.9,0.99,0.999"
    else:
        text = f"{hyper.name},{write_value(low)},{write_value(high)},4"
    return {"name": hyper.name, "symbol": hyper.symbol, "text": text}


def _axis(axis: Axis) -> dict[str, Any]:
    kind = "choice" if axis.scale == "choice" else "range" if axis.spaced else "list"
    return {
        "name": axis.name,
        "symbol": axis.symbol,
        "text": axis.text,
        "kind": kind,
        "from": write_value(axis.values[0]),
        "to": write_value(axis.values[-1]),
        "count": len(axis.values),
        "values": ", ".join(map(write_value, axis.values)),
    }


def size_in_words(config: SweepConfig) -> str:
    """Say how much a sweep is."""
    many = networks(config)
    seeds = f" with {config.seeds} seeds each" if config.seeds > 1 else ""
    ladder = rungs(config)
    if len(ladder) == 1:
        epochs = f"{config.base.epochs} epoch{'s' * (config.base.epochs > 1)} each"
    else:
        first, *rest = (f"{one.trials} for {one.epochs}" for one in ladder)
        epochs = f"{first} epoch{'s' * (ladder[0].epochs > 1)}, then {', '.join(rest)}"
    size = f"{config.size:,} trial{'s' * (config.size > 1)}"
    return f"{many:,} network{'s' * (many > 1)}: {size}{seeds}, {epochs}."


def time_in_words(config: SweepConfig, pace: Pace | None) -> str:
    """Say how long it will take, or why that can't be said."""
    if pace is None:
        return "How long it takes is told once it has begun: nothing like it was trained here yet."
    base, whole = config.base, len_of(config.base.data)
    if base.limit is None and whole is None:
        return "How long it takes is told once it has begun."
    pictures = base.limit or whole or 0
    pictures = min(pictures, whole - base.validation) if whole else pictures
    whole_work = work_of(config, pictures, (whole or pictures) // TEST_SHARE)
    low, high = _about(whole_work / pace.fast), _about(whole_work / pace.slow)
    (few, unit), (_, same) = low.rsplit(" ", 1), high.rsplit(" ", 1)
    time = f"about {low}" if low == high else f"{few if unit == same else low} to {high}"
    like = "the last one like it" if pace.of == 1 else f"the last {pace.of} like it"
    return f"{time[0].upper()}{time[1:]}, if it is as fast as {like}."


def len_of(data: str) -> int | None:
    """Return how many training pictures a known set has; a page does not load them to count."""
    return {"cifar10": 50_000, "shapes10": 10_000}.get(data)


def _about(seconds: float) -> str:
    if seconds < 90:
        return f"{max(5, 5 * round(seconds / 5))} s"
    minutes = seconds / 60
    if minutes < 90:
        return f"{round(minutes)} min"
    return f"{minutes / 60:.1f} hours"


# The sweep that is shown ------------------------------------------------------------------------------------


def head(sweep: Sweep) -> dict[str, Any]:
    """Return how far a sweep is, for the line above it."""
    names = ("id", "state", "active", "message", "said", "share", "seconds", "seconds_left")
    return {
        **{name: getattr(sweep, name) for name in names},
        "pace": sweep.pictures_per_second,
        "stopping": sweep.stop_requested and sweep.active,
    }


def short(sweep: Sweep) -> dict[str, Any]:
    """Return a sweep as one line of a list."""
    config = sweep.config
    base = config.get("base", {})
    data = base.get("data", "")
    axes = [text.split(",")[0].split("=")[0] for text in config.get("axes", ())]
    return {
        "id": sweep.id,
        "state": sweep.state,
        "active": sweep.active,
        "created": sweep.created,
        "racers": looks(tuple(base.get("racers", ()))),
        "axes": axes,
        "data_title": DATASETS[data].title if data in DATASETS else data,
    }


@lru_cache(maxsize=16)
def read_config(text: str) -> SweepConfig | None:
    """Read the question of a sweep; None where another version wrote it."""
    try:
        return SweepConfig.from_json(text)
    except (ValueError, TypeError):
        return None


@lru_cache(maxsize=16)
def _trials(config: SweepConfig) -> tuple[Trial, ...]:
    return trials(config)


@lru_cache(maxsize=16)
def still(config: SweepConfig) -> dict[str, Any]:
    """Return what of a sweep does not change: its sides and its trials."""
    base = config.base
    return {
        "sides": [
            {"name": s.name, "symbol": s.symbol, "labels": s.labels, "ordered": s.ordered, "drawn": s.drawn}
            for s in sides(config)
        ],
        "trials": [_trial(config, trial) for trial in _trials(config)],
        "seeds": config.seeds,
        "facts": [
            ["Network", MODELS[base.model].title if base.model in MODELS else base.model],
            ["Pictures", _pictures(config)],
            ["Judged by", f"{_count(base.validation)} held out by each seed"],
            ["Batch, first seed", f"{base.batch_size}, {base.seed}"],
            ["Method", _method(config)],
        ],
        "classes": len(DATASETS[base.data].classes) if base.data in DATASETS else None,
    }


def _pictures(config: SweepConfig) -> str:
    base = config.base
    title = DATASETS[base.data].title if base.data in DATASETS else base.data
    return f"{title}, {_count(base.limit)} of them" if base.limit else title


def _count(number: int) -> str:
    return f"{number:,}".replace(",", "\u202f")


def _method(config: SweepConfig) -> str:
    if config.method == "halving":
        return f"halving, 1 in {config.factor} goes on"
    return "grid" if config.method == "grid" else f"random, {config.size} draws"


def _trial(config: SweepConfig, trial: Trial) -> dict[str, Any]:
    values = values_of(config, trial)
    settings: dict[str, Any] = dict(trial.settings)
    recipe = replace(config.base, racers=(trial.racer,), validation=0, **settings)
    more = "".join(f", {SETTINGS[name].symbol} {written(value)}" for name, value in trial.settings)
    return {
        "racer": trial.racer,
        "more": more,
        "place": [side.place(value) for side, value in zip(sides(config), values, strict=True)],
        "values": [
            side.labels[int(value)] if side.name == "optimizer" else written(value)
            for side, value in zip(sides(config), values, strict=True)
        ],
        "look": looks((trial.racer,))[0],
        "lab": f"lab?{LabRequest(recipe).query()}",
    }


def moving(
    config: SweepConfig, made: Sequence[Network], summary: dict[str, Any] | None
) -> tuple[dict[str, Any], bytes]:
    """Return what of a sweep changes: curves and the best as JSON, its cells as float32.

    A cell is: state (its place in STATES), epoch, accuracy, lowest and highest of the seeds, loss.
    """
    known = {(network.trial, network.seed): network for network in made}
    seeds = range(config.base.seed, config.base.seed + config.seeds)
    all_trials = _trials(config)
    whole = [
        known.get((trial.index, seed), Network(trial.index, seed)) for trial in all_trials for seed in seeds
    ]
    found = {one.trial: one for one in cells(all_trials, whole)}
    across, drawn = curves(config, all_trials, found)
    of = {
        trial.index: whole[place * config.seeds : (place + 1) * config.seeds]
        for place, trial in enumerate(all_trials)
    }
    order = [one for one in ranked([standing(t, of[t.index]) for t in all_trials]) if one.epochs]
    order = [one for one in order if not math.isnan(one.accuracy)]
    best = winner(config, order)
    rows = np.array(
        [
            (STATES.index(one.state), one.epoch, one.accuracy, one.lowest, one.highest, one.loss)
            for one in (found[trial.index] for trial in all_trials)
        ],
        dtype="<f4",
    )
    test = summary.get("test_accuracy") if summary else None
    words = {
        "across": {
            "name": across.name,
            "symbol": across.symbol,
            "scale": across.scale,
            "values": list(across.values),
        },
        "curves": [
            {
                "label": curve.look.label,
                "light": curve.look.light,
                "dark": curve.look.dark,
                "dash": list(curve.look.dash),
                "hollow": curve.look.hollow,
                "joined": curve.joined,
                "points": [list(point) for point in curve.points],
            }
            for curve in drawn
        ],
        "best": best.index if best else None,
        "order": [
            {"trial": one.trial.index, "epochs": one.epochs, "spread": _number(one.spread)}
            for one in order[:MOST_BEST]
        ],
        "test": test or [],
    }
    return words, rows.tobytes()


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def config_of(sweep: Sweep) -> SweepConfig | None:
    """Return what a sweep of the store asked for."""
    return read_config(json.dumps(sweep.config))
