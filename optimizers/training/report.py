"""A run as files: metrics.csv, config.json, summary.json and curves.png."""

from __future__ import annotations

import csv
import json
import math
import platform
import sys
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from optimizers.catalog import Racer, distinct
from optimizers.training.telemetry import Evaluated, Point, RacerResult, TrainResult

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Of metrics.csv. epoch = step / steps per epoch; examples and seconds stand with training points only.
COLUMNS = ("split", "racer", "epoch", "step", "examples", "seconds", "loss", "accuracy", "seed")
MOST_DRAWN = 120  # points of a training curve


def write_report(result: TrainResult, folder: Path | str) -> Path:
    """Write metrics.csv, config.json, summary.json and curves.png into `folder`, made if need be.

    Raises OSError where it can't be written.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    _write_metrics(result, folder / "metrics.csv")
    (folder / "config.json").write_text(result.config.to_json() + "\n", "utf-8")
    (folder / "summary.json").write_text(json.dumps(result.summary, indent=2) + "\n", "utf-8")
    draw_curves(result).savefig(folder / "curves.png", dpi=160)
    return folder


def summarise(result: TrainResult) -> dict[str, Any]:
    """Return what `summary.json` holds, JSON as it is: None where a racer that diverged has no number."""
    return {
        "racers": [_racer(racer, result) for racer in result.racers],
        "data": result.config.data,
        "data_note": result.data_note,
        "classes": list(result.classes),
        "model": result.config.model,
        "parameters": result.parameters,
        "epochs": result.config.epochs,
        "batch_size": result.config.batch_size,
        "steps": result.steps,
        "stopped": result.stopped,
        "seconds": result.seconds,
        "device": result.config.device,
        "device_name": result.device_name,
        "precision": result.config.precision,
        "threads": result.config.threads,
        "seed": result.config.seed,
        "versions": _versions(),
    }


def _racer(racer: RacerResult, result: TrainResult) -> dict[str, Any]:
    return {
        "notation": racer.notation,
        "label": racer.label,
        "test_accuracy": _number(racer.test_accuracy),
        "test_loss": _number(racer.test_loss),
        "test_epoch": racer.test_epoch,
        **_per_class(racer.predictions, result),
        "diverged_at": racer.diverged_at,
        "examples": racer.examples,
        "seconds": racer.seconds,
        "samples_per_second": racer.examples / racer.seconds if racer.seconds else None,
        "initial_weights_sha256": racer.initial_weights_sha256,
        "batches_sha256": racer.batches_sha256,
    }


def _per_class(predictions: np.ndarray | None, result: TrainResult) -> dict[str, Any]:
    """Return precision, recall and f1 of each class; 0 for one that is never predicted."""
    names = ("precision", "recall", "f1")
    if predictions is None:
        return dict.fromkeys(names)
    from sklearn.metrics import precision_recall_fscore_support

    scores = precision_recall_fscore_support(
        result.test_labels, predictions, labels=range(len(result.classes)), zero_division=0
    )
    return {
        name: dict(zip(result.classes, map(float, values), strict=True))
        for name, values in zip(names, scores[:3], strict=True)
    }


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _versions() -> dict[str, str | None]:
    found: dict[str, str | None] = {"python": platform.python_version()}
    for package in ("adamscope", "torch", "numpy"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # run from a folder, not installed
            found[package] = getattr(sys.modules.get(package), "__version__", None)
    return found


def _write_metrics(result: TrainResult, path: Path) -> None:
    """Write a row for each training point and each evaluation, in the order of their steps."""
    events: list[Point | Evaluated] = [*result.points, *result.evaluations]
    rows = [_row(result, event) for event in events]
    rows.sort(key=lambda row: row["step"])
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)


def _row(result: TrainResult, event: Point | Evaluated) -> dict[str, Any]:
    return {
        **asdict(event),
        "racer": result.racers[event.racer].notation,
        "split": "train" if isinstance(event, Point) else "test",
        "epoch": event.step / result.steps_per_epoch,
        "seed": result.config.seed + event.seed,
    }


def draw_curves(result: TrainResult) -> Figure:
    """Draw training loss and test accuracy by epoch, in the racers' own colours and line styles."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    from optimizers.figures import STYLE, line

    looks = distinct([Racer.parse(racer.notation) for racer in result.racers])
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(11, 5), layout="constrained")
        losses, accuracies = figure.subplots(1, 2)
        together = max(1, math.ceil(len(result.points) / len(looks) / MOST_DRAWN))
        for index, (racer, look) in enumerate(zip(result.racers, looks, strict=True)):
            points = [point for point in result.points if point.racer == index]
            seen = np.array([(point.step / result.steps_per_epoch, point.loss) for point in points])
            losses.plot(*_means(seen.reshape(-1, 2), together).T, label=look.label, **line(look))
            tests = [evaluated for evaluated in result.evaluations if evaluated.racer == index]
            seen = np.array([(e.step / result.steps_per_epoch, 100 * e.accuracy) for e in tests])
            face = STYLE["axes.facecolor"] if look.hollow else look.light
            style = line(look) | {"marker": "o", "markersize": 4, "markerfacecolor": face}
            accuracies.plot(*seen.reshape(-1, 2).T, **style)
            if racer.diverged_at is not None:
                epoch = racer.diverged_at / result.steps_per_epoch
                losses.axvline(epoch, color=look.light, linewidth=1, linestyle=":")
                losses.annotate(
                    f" {look.label} diverged",
                    (epoch, 0.98),
                    xycoords=("data", "axes fraction"),
                    va="top",
                    rotation=90,
                    color=look.light,
                )
        losses.set(title="Training loss", xlabel="epoch")
        losses.set_ylim(*_loss_range(result))
        accuracies.set(title="Test accuracy, %", xlabel="epoch")
        figure.suptitle(
            f"{result.config.model} on {result.config.data}, batch {result.config.batch_size}, "
            f"seed {result.config.seed}",
            color=STYLE["ytick.color"],
            fontsize=10,
            x=0.01,
            ha="left",
        )
        figure.legend(loc="outside lower center", ncols=4)
    return figure


def _loss_range(result: TrainResult) -> tuple[float, float]:
    """Frame those that stayed finite; one that diverged is seen to leave the frame."""
    kept = [point.loss for point in result.points if result.racers[point.racer].diverged_at is None]
    start = [evaluated.loss for evaluated in result.evaluations if evaluated.epoch == 0]
    return 0.0, 1.08 * max([*kept, *start, 1.0])


def _means(points: np.ndarray, together: int) -> np.ndarray:
    """Average `together` points (n, 2) at a time, so that a long run's curve is no band of noise."""
    starts = np.arange(0, len(points), together)
    return (
        np.add.reduceat(points, starts) / np.diff([*starts, len(points)])[:, None] if len(points) else points
    )
