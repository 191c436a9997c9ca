"""What the lab's page shows, as JSON for the component that draws it."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from app.lab.request import LOOKS, SETTINGS, LabRequest
from optimizers import OPTIMIZERS, Racer
from optimizers.catalog import Look, distinct
from optimizers.player import settings
from optimizers.training.data import DATASETS, available
from optimizers.training.models import MODELS
from optimizers.training.store import Run

STAND_IN = "shapes10"


def board(
    request: LabRequest,
    notices: list[str],
    run: Run | None,
    recent: Sequence[Run],
    beside: Sequence[Run] = (),
) -> dict[str, Any]:
    """Return all that the page shows but the curves; `beside` are the runs that are compared with `run`."""
    return {
        "offer": _offer(),
        "asked": _asked(request),
        "notices": notices,
        "run": _run(run) if run else None,
        "recent": [_short(one) for one in recent],
        "beside": [_short(one) for one in beside],
    }


def listing(runs: Sequence[Run], best: Mapping[str, float]) -> list[dict[str, Any]]:
    """Return the list of all runs; `best` is their best test accuracy, 0 to 1."""
    return [
        {
            **_short(run),
            "notes": run.notes,
            "model_title": _model(run),
            "epochs": run.config.get("epochs"),
            "step": run.step,
            "total_steps": run.total_steps,
            "best": best.get(run.id),
        }
        for run in runs
    ]


def _model(run: Run) -> str:
    name = run.config.get("model", "")
    return MODELS[name].title if name in MODELS else name


def _offer() -> dict[str, Any]:
    return {
        "optimizers": [
            {"name": entry.name, "title": entry.title, "purpose": entry.purpose}
            for entry in OPTIMIZERS.values()
        ],
        "data": [{"name": name, "title": entry.title, **_about(name)} for name, entry in DATASETS.items()],
        "models": [{"name": name, "title": model.title} for name, model in MODELS.items()],
    }


def _about(data: str) -> dict[str, str]:
    """Return what to know of a data set before training on it, and a command that helps."""
    if not available(data):
        return {"note": "Not on this machine yet. Get it with", "command": f"adamscope data {data}"}
    if data == STAND_IN and not available("cifar10"):
        note = "Drawn by the program, in place of photographs. Get CIFAR-10 with"
        return {"note": note, "command": "adamscope data cifar10"}
    return {"note": f"{', '.join(DATASETS[data].classes)}."}


def _asked(request: LabRequest) -> dict[str, Any]:
    config = request.config
    racers = [Racer.parse(notation) for notation in config.racers]
    return {
        **{name: getattr(config, name) for name in SETTINGS},
        "racers": [
            {
                **look,
                "name": racer.name,
                "notation": str(racer),
                "hyper": settings(racer.optimizer.hyperparameters, racer.values),
            }
            for racer, look in zip(racers, _looks(config.racers), strict=True)
        ],
        **{name: getattr(request, name) for name in (*LOOKS, "layer")},
        "compare": ",".join(request.compare),
        "ready": available(config.data),
    }


def _run(run: Run) -> dict[str, Any]:
    names = (
        "device",
        "device_name",
        "precision",
        "parameters",
        "steps_per_epoch",
        "total_steps",
        "step",
        "seconds",
        "memory",
    )
    more = ("seconds_left", "samples_per_second", "diverged", "message", "data_note")
    config = run.config
    data = DATASETS.get(config.get("data", ""))
    return {
        **_short(run),
        "classes": len(data.classes) if data else None,  # how many answers a guess has
        "class_names": run.classes or [],
        "layers": run.layers or [],
        **{name: getattr(run, name) for name in (*names, *more)},
        **{name: config.get(name) for name in SETTINGS},
        "model_title": _model(run),
        "stopping": run.stop_requested and run.active,
        "pausing": run.pause_requested and run.active,
        "warning": run.warning,
        "notes": run.notes,
        "kept_step": run.kept_step,
    }


def _short(run: Run) -> dict[str, Any]:
    data = run.config.get("data", "")
    return {
        "id": run.id,
        "state": run.state,
        "active": run.active,
        "resumable": run.resumable,
        "name": run.name,
        "seeds": run.config.get("seeds", 1),
        "created": run.created,
        "racers": _looks(tuple(run.config.get("racers", ()))),
        "data_title": DATASETS[data].title if data in DATASETS else data,
    }


@lru_cache(maxsize=64)
def _looks(notations: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return colour, line style and name of each racer, as JSON."""
    try:
        looks = distinct([Racer.parse(notation) for notation in notations])
    except ValueError:  # written by a version that knew other optimizers
        looks = [Look(notation, "#6b7079", "#959ba6", (), hollow=False) for notation in notations]
    return [
        {
            "label": look.label,
            "light": look.light,
            "dark": look.dark,
            "dash": list(look.dash),
            "hollow": look.hollow,
        }
        for look in looks
    ]
