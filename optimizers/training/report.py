"""A run as files: numbers, pictures, TensorBoard's events, its recipe, and a program that repeats it."""

from __future__ import annotations

import csv
import json
import math
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from optimizers.catalog import Look, Racer, distinct
from optimizers.training.config import TrainConfig
from optimizers.training.inside_csv import write_inside
from optimizers.training.telemetry import Evaluated, Point, RacerResult, TrainResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from optimizers.training.store import Store

# Of metrics.csv. epoch = step / steps per epoch; examples and seconds stand with training points only.
COLUMNS = ("split", "racer", "epoch", "step", "examples", "seconds", "loss", "accuracy", "seed")
MOST_DRAWN = 120  # points of a training curve


class Measured(Protocol):
    """What a run's files need to know of it: a TrainResult does, and so does a run of the store."""

    @property
    def config(self) -> TrainConfig:
        """The recipe."""

    @property
    def points(self) -> Sequence[Point]:
        """Of training."""

    @property
    def evaluations(self) -> Sequence[Evaluated]:
        """On the test pictures."""

    @property
    def steps_per_epoch(self) -> int:
        """So that a step is a part of an epoch."""


@dataclass(frozen=True)
class KeptRun:
    """A run as the store has it, whether it has ended or not."""

    config: TrainConfig
    points: Sequence[Point]
    evaluations: Sequence[Evaluated]
    steps_per_epoch: int

    @classmethod
    def read(cls, store: Store, run_id: str) -> KeptRun:
        """Read a run; raises ValueError, in one sentence, where there is none or nothing to be written."""
        run = store.get(run_id)
        if run is None:
            raise ValueError(f"There is no run {run_id!r} here.")
        points, evaluations = store.rows(run_id)
        if not evaluations:
            raise ValueError("This run has measured nothing yet: there is nothing to write.")
        found = {name: getattr(run, name) for name in ("device", "precision") if getattr(run, name)}
        config = TrainConfig.from_json(json.dumps(run.config | found))
        return cls(
            config,
            [Point(**row) for row in points],
            [Evaluated(**row) for row in evaluations],
            run.steps_per_epoch,
        )


def write_report(result: TrainResult, folder: Path | str) -> list[str]:
    """Write every file of a run into `folder`, made if need be; return their names.

    Raises OSError where it can't be written.
    """
    from optimizers.training.programs import program

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_metrics(result, folder / "metrics.csv")
    write_config(result, folder / "config.json")
    more = []
    if result.insides or result.sharpnesses:
        more = ["inside.csv"]
        measured = (result.steps_per_epoch, result.insides, result.sharpnesses)
        write_inside(folder / "inside.csv", result.config, result.layers, *measured)
    (folder / "summary.json").write_text(json.dumps(result.summary, indent=2) + "\n", "utf-8")
    figure = draw_curves(result)
    for name in ("curves.png", "curves.svg"):
        figure.savefig(folder / name, dpi=160)
    write_events(result, folder / "events")
    written = ["metrics.csv", *more, "config.json", "summary.json", "curves.png", "curves.svg", "events"]
    if result.config.start_from is None:  # no program holds the weights of another run
        (folder / "program.py").write_text(program(result.config), "utf-8")
        written.append("program.py")
    return written


def write_config(run: Measured, path: Path) -> None:
    """Write the recipe, as `--config` and `TrainConfig.from_json` read it."""
    path.write_text(run.config.to_json() + "\n", "utf-8")


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


def write_metrics(run: Measured, path: Path) -> None:
    """Write a row for each training point and each evaluation, in the order of their steps."""
    events: list[Point | Evaluated] = [*run.points, *run.evaluations]
    rows = [_row(run, event) for event in events]
    rows.sort(key=lambda row: row["step"])
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)


def _row(run: Measured, event: Point | Evaluated) -> dict[str, Any]:
    return {
        **asdict(event),
        "racer": run.config.racers[event.racer],
        "split": "train" if isinstance(event, Point) else "test",
        "epoch": event.step / run.steps_per_epoch,
        "seed": run.config.seed + event.seed,
    }


def write_events(run: Measured, folder: Path) -> None:
    """Write what TensorBoard reads: for each racer, and each of several seeds, a folder with its events."""
    from tensorboardX import SummaryWriter

    names = [look.label for look in _looks(run)]
    for racer, name in enumerate(names):
        for seed in range(run.config.seeds):
            mine = name if run.config.seeds == 1 else f"{name}, seed {run.config.seed + seed}"
            with SummaryWriter(str(folder / mine.replace("/", "∕"))) as writer:
                for split, events in (("train", run.points), ("test", run.evaluations)):
                    for event in events:
                        if (event.racer, event.seed) == (racer, seed):
                            writer.add_scalar(f"loss/{split}", event.loss, event.step)
                            writer.add_scalar(f"accuracy/{split}", event.accuracy, event.step)


def _looks(run: Measured) -> list[Look]:
    return distinct(list(map(Racer.parse, run.config.racers)))


def _ends(run: Measured) -> Mapping[int, int]:
    """Return the step at which a racer first diverged, with any seed."""
    events: list[Point | Evaluated] = [*run.points, *run.evaluations]
    lost = [event for event in events if not math.isfinite(event.loss)]
    return {event.racer: event.step for event in sorted(lost, key=lambda event: -event.step)}


def draw_curves(run: Measured) -> Figure:
    """Draw training loss and test accuracy by epoch, in the racers' own colours and line styles.

    Several seeds are their mean, within a band from the least to the greatest.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    from optimizers.figures import STYLE, line

    looks = _looks(run)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(11, 5), layout="constrained")
        losses, accuracies = figure.subplots(1, 2)
        ends = _ends(run)
        for racer, look in enumerate(looks):
            seen = _curve(run.points, racer, run.steps_per_epoch, "loss")
            together = max(1, math.ceil(len(seen) / MOST_DRAWN))
            _draw(losses, _means(seen, together), label=look.label, **line(look))
            face = STYLE["axes.facecolor"] if look.hollow else look.light
            style = line(look) | {"marker": "o", "markersize": 4, "markerfacecolor": face}
            seen = _curve(run.evaluations, racer, run.steps_per_epoch, "accuracy")
            seen[:, 1:] *= 100
            _draw(accuracies, seen, **style)
            if racer in ends:
                epoch = ends[racer] / run.steps_per_epoch
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
        losses.set_ylim(*_loss_range(run, ends))
        accuracies.set(title="Test accuracy, %", xlabel="epoch")
        config = run.config
        seeds = (
            f"seed {config.seed}"
            if config.seeds == 1
            else f"seeds {config.seed} to {config.seed + config.seeds - 1}"
        )
        figure.suptitle(
            f"{config.model} on {config.data}, batch {config.batch_size}, {seeds}",
            color=STYLE["ytick.color"],
            fontsize=10,
            x=0.01,
            ha="left",
        )
        figure.legend(loc="outside lower center", ncols=4)
    return figure


def _curve(
    events: Sequence[Point] | Sequence[Evaluated], racer: int, steps_per_epoch: int, of: str
) -> np.ndarray:
    """Return (n, 4): epoch, and mean, least and greatest over the seeds that got there."""
    at: dict[int, list[float]] = {}
    for event in events:
        if event.racer == racer and math.isfinite(value := getattr(event, of)):
            at.setdefault(event.step, []).append(value)
    rows = [(step / steps_per_epoch, math.fsum(v) / len(v), min(v), max(v)) for step, v in sorted(at.items())]
    return np.array(rows).reshape(-1, 4)


def _draw(axes: Axes, curve: np.ndarray, **style: Any) -> None:
    (drawn,) = axes.plot(curve[:, 0], curve[:, 1], **style)
    if np.any(curve[:, 2] < curve[:, 3]):
        color = drawn.get_color()
        axes.fill_between(curve[:, 0], curve[:, 2], curve[:, 3], color=color, alpha=0.15, linewidth=0)


def _loss_range(run: Measured, ends: Mapping[int, int]) -> tuple[float, float]:
    """Frame those that stayed finite; one that diverged is seen to leave the frame."""
    kept = [point.loss for point in run.points if point.racer not in ends]
    start = [evaluated.loss for evaluated in run.evaluations if evaluated.epoch == 0]
    return 0.0, 1.08 * max([*kept, *start, 1.0])


def _means(points: np.ndarray, together: int) -> np.ndarray:
    """Average `together` rows (n, 4) at a time, so that a long run's curve is no band of noise."""
    starts = np.arange(0, len(points), together)
    return (
        np.add.reduceat(points, starts) / np.diff([*starts, len(points)])[:, None] if len(points) else points
    )
