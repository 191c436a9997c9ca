"""What the lab's page shows, as JSON for the component that draws it."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from app.lab.request import LOOKS, SETTINGS, LabRequest
from optimizers import OPTIMIZERS, Racer
from optimizers.catalog import Look, distinct
from optimizers.player import settings
from optimizers.training import cluster
from optimizers.training.config import AUGMENTATIONS, PRECISIONS
from optimizers.training.data import FOLDERS, available, entry, offered
from optimizers.training.models import MODELS
from optimizers.training.store import Run

STAND_IN = "shapes10"
DESCRIBED = ("digits", "docs8", "reviews")  # sets whose note says more than the names of their classes
SCHEDULES = (  # offered to a hand that types one
    "cosine",
    "warmup(total_iters=500)+cosine",
    "one_cycle",
    "step(step_size=1000)",
    "exponential(gamma=0.999)",
)


def board(
    request: LabRequest,
    notices: list[str],
    run: Run | None,
    recent: Sequence[Run],
    beside: Sequence[Run] = (),
) -> dict[str, Any]:
    """Return all that the page shows but the curves; `beside` are the runs that are compared with `run`."""
    return {
        "offer": offer(),
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


def offer() -> dict[str, Any]:
    """Return what there is to choose from, from optimizers to precisions."""
    return {
        "optimizers": [
            {"name": entry.name, "title": entry.title, "purpose": entry.purpose}
            for entry in OPTIMIZERS.values()
        ],
        "data": [_data(name) for name in offered()],
        "models": [
            {
                "name": name,
                "title": model.title,
                "citation": model.citation,
                "weight_decay": model.weight_decay,
                "dropout": model.dropout,
            }
            for name, model in MODELS.items()
        ],
        "augmentations": AUGMENTATIONS,
        # tf32 where its name says more than a CPU can do: on a GPU, of this machine or of another.
        "precisions": [name for name in PRECISIONS if name != "tf32" or cluster.may_have_gpus()],
        "schedules": SCHEDULES,
    }


def _data(name: str) -> dict[str, Any]:
    of = entry(name)
    fitting = [model for model, of_model in MODELS.items() if not of_model.misfit(of.kind, of.shape)]
    return {"name": name, "title": of.title, "kind": of.kind, "models": fitting, **_about(name)}


def _about(data: str) -> dict[str, str]:
    """Return what to know of a data set before training on it, and a command that helps."""
    if not available(data):
        command = entry(data).command
        return (
            {"note": "Not on this machine yet. Get it with", "command": command} if command else {"note": ""}
        )
    if data.startswith(FOLDERS):
        return {"note": "Pictures of one's own, from the folder pictures in $ADAMSCOPE_HOME."}
    if data == STAND_IN and not available("cifar10"):
        note = "Drawn by the program, in place of photographs. Get CIFAR-10 with"
        return {"note": note, "command": "adamscope data cifar10"}
    if data not in DESCRIBED:
        return {"note": f"{', '.join(entry(data).classes)}."}
    note = entry(data).note.partition(": ")[2]
    return {"note": note[0].upper() + note[1:] + "." * (not note.endswith("?"))}


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
            for racer, look in zip(racers, looks(config.racers), strict=True)
        ],
        **{name: getattr(request, name) for name in (*LOOKS, "layer")},
        "compare": ",".join(request.compare),
        "ready": available(config.data),
    }


def _run(run: Run) -> dict[str, Any]:
    names = (
        "device",
        "device_name",
        "parameters",
        "steps_per_epoch",
        "total_steps",
        "step",
        "seconds",
        "memory",
    )
    more = ("seconds_left", "samples_per_second", "diverged", "message", "data_note", "how")
    config = run.config
    return {
        **_short(run),
        "classes": len(run.classes or _classes(config.get("data", "")))
        or None,  # how many answers a guess has
        "class_names": run.classes or [],
        "layers": run.layers or [],
        "stability": [_stability(notation) for notation in config.get("racers", ())],
        **{name: getattr(run, name) for name in (*names, *more)},
        **{name: config.get(name) for name in SETTINGS},
        "computes_in": run.precision,  # what "auto" came to
        "model_title": _model(run),
        "stopping": run.stop_requested and run.active,
        "pausing": run.pause_requested and run.active,
        "warning": run.warning,
        "notes": run.notes,
        "kept_step": run.kept_step,
    }


def _stability(notation: str) -> float | None:
    """Return c of the bound c/lr on the sharpness, beyond which a rule is unstable; None: not known."""
    try:
        racer = Racer.parse(notation)
    except ValueError:  # written by a version that knew other optimizers
        return None
    return racer.optimizer.stability(racer.values) if racer.optimizer.stability else None


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
        "racers": looks(tuple(run.config.get("racers", ()))),
        "data_title": _title(data),
    }


def _title(data: str) -> str:
    try:
        return entry(data).title
    except ValueError:  # written by a version that knew other data
        return data


def _classes(data: str) -> tuple[str, ...]:
    try:
        return entry(data).classes
    except ValueError:
        return ()


@lru_cache(maxsize=64)
def looks(notations: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return colour, line style and name of each racer, as JSON."""
    try:
        found = distinct([Racer.parse(notation) for notation in notations])
    except ValueError:  # written by a version that knew other optimizers
        found = [Look(notation, "#6b7079", "#959ba6", (), hollow=False) for notation in notations]
    return [
        {
            "label": look.label,
            "light": look.light,
            "dark": look.dark,
            "dash": list(look.dash),
            "hollow": look.hollow,
        }
        for look in found
    ]
