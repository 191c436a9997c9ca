"""A measured landscape as the player takes it: its grid is the ground, a snapshot a point of a track."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from optimizers.catalog import Racer, distinct
from optimizers.player import page_of

if TYPE_CHECKING:
    from optimizers.training.landscape import Landscape

TITLES = {"pca": "plane of the paths", "random": "random plane"}
CONDITIONS = ("clip_norm", "clip_value", "batch_size", "usual_batch", "rows")


def measured(found: Landscape) -> tuple[dict[str, Any], bytes, bytes]:
    """Return a plane's meta and tracks, as `payload` does of a race, and the grid's loss, float32.

    A step of this race is a snapshot, and `meta["measured"]["steps"]` says of which step of training. A track
    holds theta, the shadow on the plane, and off, the distance from it; its loss is the racer's own.
    """
    steps = np.unique(found.step)
    racers = [Racer.parse(notation) for notation in found.config.racers]
    looks = distinct(racers)
    shown, tracks = [], []
    for place in np.unique(found.racer):
        own = np.flatnonzero(found.racer == place)
        at = np.searchsorted(steps, found.step[own])
        record = np.full((len(steps), 2, 2), np.nan)
        record[at, 0], record[at, 1] = found.shadow[own], found.off[own, None]
        loss = np.full(len(steps), np.nan)
        loss[at] = found.own[own, 0]
        tracks += [record.ravel(), loss]
        racer, look = racers[place], looks[place]
        shown.append(
            {
                "notation": str(racer),
                "name": racer.name,
                "label": look.label,
                "light": look.light,
                "dark": look.dark,
                "dash": list(look.dash),
                "hollow": look.hollow,
                "hyper": [],
                "slots": ["theta", "off"],
                "rows": [],
                "bias": None,
                "arrived": None,
                "diverged": int(at[-1]) + 1 if at[-1] + 1 < len(steps) else None,
            }
        )
    bounds = [float(side) for side in (found.x[0], found.x[-1], found.y[0], found.y[-1])]
    name = f"{found.kind} {found.order.seed} {bounds} {found.pictures} {found.seconds}"
    finite = found.loss[np.isfinite(found.loss)]
    meta = {
        "steps": len(steps) - 1,
        "start": found.shadow[0].tolist(),
        "surface": {
            "notation": found.kind,
            "name": "landscape",
            "title": TITLES[found.kind],
            "bounds": bounds,
            "minima": [],
            "saddles": [],
            "lowest": float(np.float32(finite.min())) if finite.size else 0.0,
            "box": None,
            "hyper": [],
            "grid": name,
        },
        "grid": {"id": name, "nx": len(found.x), "ny": len(found.y), "bounds": bounds},
        "racers": shown,
        "conditions": {"schedule": "", "noise": 0.0, "cyclic": False, **dict.fromkeys(CONDITIONS)},
        "measured": {"steps": steps.tolist(), "words": found.words, "recipe": found.recipe},
    }
    factors = np.ones(len(steps) - 1)
    with np.errstate(over="ignore"):  # beyond 3·10³⁸ float32 has inf, which the player draws as very high
        packed = np.concatenate([*tracks, factors]).astype("<f4").tobytes()
        return meta, packed, found.loss.astype("<f4").tobytes()


def page(found: Landscape) -> str:
    """Return a plane as one HTML page that needs neither Python nor a network."""
    return page_of(*measured(found))
