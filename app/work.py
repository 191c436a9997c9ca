"""What a page wants computed beside its race: maps under it, sweeps beside it, a cloud of noisy paths.

The race never waits for any of it. Each answer carries what has been finished since the last one, and says
what is still under way, upon which the player asks again.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.background import Channel, Progress, Publish, Result, Wish, kept
from app.player import Message
from app.request import RaceRequest
from optimizers import Racer, Surface, basin_map, simulate, sweep_map
from optimizers.conditions import agreed
from optimizers.maps import LOST, NOWHERE, BasinMap, Bounds, SweepMap
from optimizers.notation import Hyperparameter, Value
from optimizers.player import grid
from optimizers.surfaces import Point

SIZES = 256, 192, 128, 96, 64  # cells of a side of a basin map: at rest, and under a moving hand
SIZE = SIZES[0]
AT_MOST = 0.14  # seconds a map under a moving hand may take
CELLS = 48  # of a sweep's
RATES = 49  # learning rates each racer is tuned over
SEEDS = 50  # paths of a cloud
POINTS = 200  # of a path of it, at most
WIDEST = 1.3  # how many times as wide as high a stage is, where it is not narrower …
ABOVE = 0.1  # … and shows as much more above and below, in parts of a window
MOMENT = 0.04  # seconds an answer waits for what is usually done by then

# A basin map's bytes: 0 is nowhere, 1 … 254 are the minima, 255 is a start from which it diverges.
LOST_BYTE = 255

Conditions = Mapping[str, Any]  # as `simulate` takes them
Window = tuple[float, float, float, float]  # x0, x1, y0, y1


class Pace:
    """How long maps take on this machine, with all that runs beside them."""

    def __init__(self) -> None:
        """Expect that a map of 256² walks of 500 steps is just quick enough."""
        self._step = AT_MOST / (SIZE**2 * 500)  # seconds of a step of one walk

    def size(self, steps: int) -> int:
        """Return how many cells a side may have for a map to follow a hand."""
        return next((size for size in SIZES if size**2 * steps * self._step <= AT_MOST), SIZES[-1])

    def took(self, size: int, steps: int, seconds: float) -> None:
        """Learn from a map."""
        self._step = (self._step + seconds / (size**2 * steps)) / 2


@dataclass
class Desk:
    """What one page has under way, and what is finished of it."""

    pace: Pace = field(default_factory=Pace)
    channels: dict[str, Channel] = field(
        default_factory=lambda: {kind: Channel() for kind in ("basin", "sweep", "tuned", "cloud")}
    )

    def answer(
        self, wanted: Mapping[str, Wish], held: Mapping[str, object]
    ) -> tuple[dict[str, Any], dict[str, bytes]]:
        """Return the heads and the numbers of what is wanted; what is not wanted any more is left.

        Args:
            wanted: kind -> what is asked for of it.
            held: kind -> the id of what the player has of it, unchecked.
        """
        heads, arrays = {}, {}
        for kind, channel in self.channels.items():
            channel.want(wanted.get(kind))
        for kind, wish in wanted.items():
            channel = self.channels[kind]
            if kind in ("cloud", "tuned"):
                channel.wait(MOMENT)
            heads[kind], data = channel.answer(wish.key, wish.kin, held.get(kind))
            if data:
                arrays[kind] = data
        return heads, arrays


def answer(
    request: RaceRequest, message: Message | None, desk: Desk
) -> tuple[dict[str, dict[str, Any]], dict[str, bytes]]:
    """Return what a page gets beside its race: heads, JSON-ready, and the numbers of some of them.

    A head with an id is of the newest result there is for what the page shows; only where the player does not
    hold it yet, the rest of the head and its numbers are there too. pending=True: what is asked for is still
    under way. problem=sentence: why there is none.
    """
    held = message.have if message else {}
    moving = message is not None and not message.settled
    x, y = request.start or request.surface.entry.start
    here = (request.surface, (float(x), float(y)), request.steps, request.conditions)
    surface, _, steps, conditions = here
    racer = request.racers[request.racer]
    wanted: dict[str, Wish | None] = {}
    if "basin" in request.show:
        wanted["basin"] = _finest(
            lambda coarse: basin(
                racer, surface, steps, conditions, request.window, desk.pace if coarse else None
            ),
            moving,
        )
    if request.panel == "sweep":
        wanted["sweep"] = _finest(lambda coarse: sweep(racer, *here, request.sweep, coarse), moving)
    if request.panel == "fair":
        wanted["tuned"] = tuned(request.racers, *here)
    if "cloud" in request.show:
        wanted["cloud"] = cloud(racer, *here)
    heads, arrays = desk.answer({kind: wish for kind, wish in wanted.items() if wish}, held)
    if request.window:
        (x0, x1), (y0, y1) = _stage(surface, request.window)
        above = ABOVE * (y1 - y0)
        head, values = grid(surface, (x0, x1, y0 - above, y1 + above))
        head["window"] = list(request.window)  # which it covers, and what the stage shows beside it
        heads["window"] = {"id": head["id"]} if held.get("window") == head["id"] else head
        if heads["window"] is head:
            arrays["window"] = values
    return heads, arrays


def _finest(wish: Callable[[bool], Wish], moving: bool) -> Wish:
    """Return the wish for a moving hand; for a hand at rest, or where the finest is known, for the finest."""
    fine = wish(False)
    return wish(True) if moving and kept().get(fine.key) is None else fine


def basin(
    racer: Racer,
    surface: Surface,
    steps: int,
    conditions: Conditions,
    window: Window | None = None,
    pace: Pace | None = None,
) -> Wish:
    """Ask where the racer ends from every start on the stage; under a moving hand as finely as pace lets."""
    size = pace.size(steps) if pace else SIZE
    bounds = _stage(surface, window)
    key = _key("basin", racer, surface, steps, conditions, bounds, size)
    kin = _key("basin", racer.name, surface.name, surface.f, bounds)

    def work(progress: Progress, publish: Publish) -> Result:
        compiled = False
        began = time.monotonic()

        def preview(found: BasinMap) -> None:
            nonlocal compiled
            compiled = True
            publish(Result(f"{key}~", kin, _basin_head(found) | {"coarse": True}, basin_bytes(found)))

        found = basin_map(
            racer, surface, size, steps, bounds=bounds, progress=progress, preview=preview, **conditions
        )
        if pace and not compiled:
            pace.took(size, steps, time.monotonic() - began)
        head = _basin_head(found) | {"coarse": size < SIZE}
        return Result(key, kin, head, basin_bytes(found))

    return Wish(key, kin, work, brief=pace is not None)


def _stage(surface: Surface, window: Window | None) -> Bounds:
    """Return what a stage shows: a window or the surface's bounds, and what is beside them.

    The stage shows a map at one scale for both axes, so it is mostly wider than the map.
    """
    (x0, x1), (y0, y1) = (window[:2], window[2:]) if window else surface.entry.bounds
    more = max(0.0, WIDEST * (y1 - y0) - (x1 - x0)) / 2
    return (x0 - more, x1 + more), (y0, y1)


def _basin_head(found: BasinMap) -> dict[str, Any]:
    which = found.which_minimum
    counts = np.bincount(which[which >= 0], minlength=len(found.surface.entry.minima))
    return {
        "racer": str(found.racer),
        "surface": str(found.surface),
        "steps": found.steps,
        "size": len(which),
        "bounds": [float(end) for side in (found.x, found.y) for end in (side[0], side[-1])],
        "counts": counts.tolist(),  # cells that end at each minimum
        "nowhere": int((which == NOWHERE).sum()),
        "lost": int((which == LOST).sum()),
        "soon": int(np.median(found.steps_to_converge[which >= 0])) if (which >= 0).any() else None,
    }


def basin_bytes(found: BasinMap) -> bytes:
    """Return a byte a cell for which minimum, then a byte a cell for how soon, row 0 first.

    How soon is 0 for never, and from 1 (at once) to 255 (at the last step) on a logarithmic scale.
    """
    which, soon = found.which_minimum, found.steps_to_converge
    minimum = np.where(which == LOST, LOST_BYTE, np.minimum(which + 1, LOST_BYTE - 1)).astype(np.uint8)
    share = np.log1p(np.maximum(soon, 0)) / np.log1p(found.steps)
    shade = np.where(soon < 0, 0, 1 + np.round(254 * share)).astype(np.uint8)
    return minimum.tobytes() + shade.tobytes()


def sweep(
    racer: Racer,
    surface: Surface,
    start: Point,
    steps: int,
    conditions: Conditions,
    names: Sequence[str],
    moving: bool,
) -> Wish:
    """Ask how the racer fares with every pair of values of two hyperparameters, on their sliders' ranges.

    A name that neither racer nor surface has stands for the first that is not taken yet.
    """
    across, up = _two(racer, surface, names)
    # Where the crosshair stands changes no cell.
    mine = {hyper.name: hyper.default for hyper in (across, up) if hyper.name in racer.values}
    ground = [hyper.name for hyper in (across, up) if hyper.name not in racer.values]
    base = racer.change(**mine) if mine else racer
    others = [(name, value) for name, value in surface.pairs if name not in ground]
    count = CELLS // 2 if moving and steps > 1_000 else CELLS
    kin = _key("sweep", base.name, surface.name, surface.f, across.name, up.name)
    key = _key(kin, base, others, start, steps, conditions, count)

    def work(progress: Progress, publish: Publish) -> Result:
        x, y = ((hyper.name, slider_values(hyper, count)) for hyper in (across, up))
        found = sweep_map(base, surface, x, y, start, steps, progress=progress, **conditions)
        return Result(key, kin, sweep_head(found), sweep_floats(found))

    return Wish(key, kin, work, brief=moving)


def _two(racer: Racer, surface: Surface, names: Sequence[str]) -> list[Hyperparameter]:
    ground = () if surface.f else surface.entry.hyperparameters
    offered = (*racer.optimizer.hyperparameters, *ground)
    known = {hyper.name: hyper for hyper in offered}
    usual = [hyper.name for hyper in sorted(offered, key=lambda hyper: bool(hyper.choices))]
    chosen: list[str] = []
    for name in (*names, "", "")[:2]:
        free = name if name in known and name not in chosen else ""
        chosen.append(free or next(other for other in usual if other not in (*chosen, *names)))
    return [known[name] for name in chosen]


def slider_values(hyper: Hyperparameter, count: int) -> list[Value]:
    """Return values over a slider's range, spaced by its scale and as round as a hand can set them."""
    if hyper.choices:
        return [choice.value for choice in hyper.choices]
    low, high = hyper.slider
    values: NDArray[np.float64]
    if hyper.scale == "log":
        values = np.geomspace(low, high, count)
        written = [float(f"{value:.3g}") for value in values]
    elif hyper.scale == "one_minus_log":
        rest = np.geomspace(1 - low, 1 - high, count)
        written = [round(1 - float(f"{left:.2g}"), 8) for left in rest]
    else:
        values = np.linspace(low, high, count)
        written = [float(f"{value:.3g}") for value in values]
    numbers = [round(value) for value in written] if hyper.whole else written
    return list(dict.fromkeys(numbers))


def sweep_head(found: SweepMap) -> dict[str, Any]:
    """Return what a sweep's picture says beside its numbers, JSON-ready."""
    best = found.best
    lowest = found.surface.entry.lowest
    return {
        "racer": str(found.racer),
        "title": found.racer.optimizer.title,
        "surface": str(found.surface),
        "steps": found.steps,
        "start": list(found.start),
        "x": _axis(found, "x"),
        "y": _axis(found, "y"),
        "best": list(best) if best else None,  # row, column
        "lowest": lowest if np.isfinite(lowest) else None,
    }


def _axis(found: SweepMap, side: str) -> dict[str, Any]:
    axis = found.x if side == "x" else found.y
    mine = axis.name in found.racer.values
    return {
        "name": axis.name,
        "symbol": axis.symbol,
        "values": list(axis.values),
        "scale": axis.scale,
        "of": "racer" if mine else "surface",
    }


def sweep_floats(found: SweepMap) -> bytes:
    """Return each cell's final loss, then each one's steps to converge (−1: never), as float32, by row."""
    with np.errstate(over="ignore"):
        return found.final_loss.astype("<f4").tobytes() + found.steps_to_converge.astype("<f4").tobytes()


def cloud(racer: Racer, surface: Surface, start: Point, steps: int, conditions: Conditions) -> Wish | None:
    """Ask for the racer's paths with fifty seeds; None where nothing is random."""
    under = agreed(conditions)
    if not under.noise and not under.batches(surface, 1).size:
        return None
    kin = _key("cloud", racer.name, surface, start)
    key = _key(kin, racer, steps, conditions)

    def work(progress: Progress, publish: Publish) -> Result:
        taken = np.unique(np.linspace(0, steps, min(steps + 1, POINTS)).round().astype(int))
        paths = np.empty((SEEDS, len(taken), 2), "<f4")
        arrived, losses = 0, np.empty(SEEDS)
        for k in range(SEEDS):
            seed = (under.seed + k) % 2**32
            walk = simulate(racer, surface, start, steps, **{**conditions, "seed": seed})
            paths[k] = walk.path[taken]
            arrived += walk.arrived is not None
            losses[k] = walk.loss[-1]
            progress(k + 1, SEEDS)
        finite = losses[np.isfinite(losses)]
        head = {
            "racer": str(racer),
            "paths": SEEDS,
            "at": taken.tolist(),  # the steps whose points are here
            "arrived": arrived,
            "diverged": SEEDS - len(finite),
            "loss": np.quantile(finite, (0.1, 0.5, 0.9)).tolist() if len(finite) else None,
        }
        return Result(key, kin, head, paths.tobytes())

    return Wish(key, kin, work)


def tuned(
    racers: Sequence[Racer], surface: Surface, start: Point, steps: int, conditions: Conditions
) -> Wish:
    """Ask how each racer fares with learning rates over its slider's range, and which is the best."""
    # The learning rate that a racer has now changes nothing.
    bases = [racer.change(lr=_lr(racer).default) for racer in racers]
    key = _key("tuned", bases, surface, start, steps, conditions)

    def work(progress: Progress, publish: Publish) -> Result:
        found = []
        for index, racer in enumerate(bases):
            rates = slider_values(_lr(racer), RATES)
            walks = []
            for k, rate in enumerate(rates, start=index * RATES + 1):
                walk = simulate(racer.change(lr=rate), surface, start, steps, **conditions)
                walks.append((float(walk.loss[-1]), walk.arrived))
                progress(k, len(bases) * RATES)
            found.append(_tuned(racer, rates, walks))
        return Result(key, key, {"racers": found})

    return Wish(key, key, work)


def _lr(racer: Racer) -> Hyperparameter:
    return next(hyper for hyper in racer.optimizer.hyperparameters if hyper.name == "lr")


def _tuned(racer: Racer, rates: Sequence[Value], walks: Sequence[tuple[float, int | None]]) -> dict[str, Any]:
    ended = [k for k, (loss, _) in enumerate(walks) if np.isfinite(loss)]

    def order(k: int) -> tuple[float, float]:  # the least final loss; of equals, the soonest
        loss, arrived = walks[k]
        return loss, np.inf if arrived is None else arrived

    best = min(ended, key=order, default=None)
    return {
        "racer": str(racer),
        "lr": list(rates),
        "loss": [loss if np.isfinite(loss) else None for loss, _ in walks],  # null: it diverges
        "arrived": [arrived for _, arrived in walks],
        "best": best,  # its place in lr; null where all diverge
        "edge": best in (0, len(rates) - 1),  # beyond the range there may be a better one
    }


def _key(*parts: object) -> str:
    text = "|".join(
        repr(sorted(part.items())) if isinstance(part, Mapping) else _written(part) for part in parts
    )
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


def _written(part: object) -> str:
    if isinstance(part, list):
        return "[" + ";".join(_written(one) for one in part) + "]"
    return str(part)
