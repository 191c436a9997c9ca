"""The landscape of the run that is shown: what to send of it to the page, and what the page asks for."""

from dataclasses import replace
from typing import Any

import numpy as np

from app.lab.request import DETAILS, LabRequest
from optimizers.player.measured import measured
from optimizers.training import TrainConfig, landscape_jobs
from optimizers.training.data import DataError
from optimizers.training.landscape import Landscape, Order, open_landscape
from optimizers.training.store import Run

SNAPSHOTS = 16  # sets of weights of each racer that a run of this page keeps


def keeping(config: TrainConfig) -> TrainConfig:
    """Return the recipe of a run whose landscape can be measured."""
    return config if config.snapshots else replace(config, snapshots=SNAPSHOTS)


def order(request: LabRequest, run: Run) -> Order:
    """Return what the page asks to have measured of a run.

    Racers that diverged have no part in the plane of the paths: a step before its loss is no number any more,
    a racer is so far away that the others are one point beside it. Nor are they the end of a line.
    """
    size, pictures = DETAILS[request.detail]
    able, (first, second) = sound(run), ends(request, run)
    paths = able if able and run.diverged else None
    racers = {"pca": paths, "random": (first,), "line": (first, second)}[request.plane]
    return Order(request.plane, racers, size, pictures, place=request.seed_place)


def sound(run: Run) -> tuple[int, ...]:
    """Return the places of the racers that did not diverge."""
    return tuple(k for k in range(len(run.config["racers"])) if str(k) not in run.diverged)


def ends(request: LabRequest, run: Run) -> tuple[int, int]:
    """Return the racers between whose ends a line leads: those asked for, or others that have an end."""
    first, second = (int(place) - 1 for place in request.ends.split("-"))
    able = sound(run)
    first = first if first in able or not able else able[0]
    others = [k for k in able if k != first]
    return first, second if second in others or not others else others[0]


def news(request: LabRequest, run: Run, seen: str) -> tuple[dict[str, Any], dict[str, bytes], str]:
    """Return how far a landscape is, and the newest of the plane that is asked for where it is not `seen`.

    Returns:
        head: status, kept (whether the run keeps snapshots), sound (the racers that have an end), ends (those
            of a line), shown (the landscape's id, or ""), and of a new one `player`, the player's meta, or
            `line`, its words.
        arrays: of a new one, tracks and grid, or line: x, loss, accuracy, and both on the test pictures.
        id: of the landscape the browser has from now on.
    """
    head: dict[str, Any] = {
        "status": landscape_jobs.status(run.id),
        "kept": bool(run.config.get("snapshots")),
        "details": {name: {"size": size, "pictures": pictures} for name, (size, pictures) in DETAILS.items()},
        "sound": sound(run),
        "ends": ends(request, run),
        "shown": "",
        "problem": "",
    }
    file = landscape_jobs.file_of(run.id, request.plane, request.seed_place)
    if not file.exists():
        return head, {}, ""
    found_id = f"{run.id} {request.plane} {request.seed_place} {file.stat().st_mtime_ns}"
    head["shown"] = found_id
    if found_id == seen:
        return head, {}, seen
    try:
        found = open_landscape(file)
    except DataError as problem:
        return head | {"problem": str(problem), "shown": ""}, {}, ""
    if found.kind == "line":
        return head | {"line": _line_words(found)}, {"line": _line(found)}, found_id
    meta, tracks, grid = measured(found)
    return head | {"player": meta}, {"tracks": tracks, "grid": grid}, found_id


def _line(found: Landscape) -> bytes:
    columns = [found.x, found.loss[0], found.accuracy[0], found.tests[:, 0], found.tests[:, 1]]
    with np.errstate(over="ignore"):
        return np.stack(columns).astype("<f4").tobytes()


def _line_words(found: Landscape) -> dict[str, Any]:
    assert found.order.racers is not None
    return {"words": found.words, "recipe": found.recipe, "racers": list(found.order.racers)}
