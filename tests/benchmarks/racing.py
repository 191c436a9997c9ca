"""What the lab must reach on a GPU, measured part by part: `race` and `accuracy` of `training`.

Needs torch and NumPy alone. Without CIFAR-10 the race is timed on noise of its shape, and says so: what a
step costs does not hang on what the pictures show.
"""

import argparse
import importlib.util
import itertools
import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import nn

from optimizers.catalog import Racer
from optimizers.training import Event, Point, TrainConfig, TrainResult
from optimizers.training import race as racing
from optimizers.training.config import PRECISIONS
from optimizers.training.crowd import Crowd
from optimizers.training.data import DataError, Dataset, load
from optimizers.training.device import resolve
from optimizers.training.landscape import PICTURES, SIZE, loss_grid, random_plane
from optimizers.training.models import build
from optimizers.training.probe import Pictures, shapes
from optimizers.training.together import WAYS

TIMED = 40  # steps of the run in which the ways are tried
PLAIN = 2  # plain loops that are timed, of as many as there are racers
FIGURE_4 = tuple(
    f"adam(lr={lr}, beta1={beta1}, beta2={beta2}, bias_correction={corrected})"
    for beta1, beta2, lr, corrected in itertools.product(
        (0, 0.9), (0.99, 0.999, 0.9999), (1e-5, 1e-4, 1e-3, 1e-2, 1e-1), (True, False)
    )
)

# DeepOBS, arXiv:1903.05499: test accuracy in % after 10 epochs, one seed.
TABLE = {"adam(lr=0.000398)": 76.2, "gd(lr=0.0631)": 73.0, "momentum(lr=0.000398, momentum=0.99)": 74.7}
WITHIN, COPY = 1.5, 1.0  # points; what the JPEG copy of the pictures may cost


def pictures() -> Dataset:
    """Return CIFAR-10, or noise of its shape."""
    try:
        return load("cifar10")
    except DataError:
        random = np.random.default_rng(0)
        images = random.integers(0, 256, (60_000, 3, 32, 32), np.uint8)
        labels = random.integers(0, 10, 60_000)
        names = tuple(map(str, range(10)))
        parts = images[:50_000], labels[:50_000], images[50_000:], labels[50_000:]
        return Dataset("cifar10", *parts, names, "noise of CIFAR-10's shape, for timing alone")


class Lab:
    """Trains on one data set, on the GPU in the way it chooses, on a CPU in one it is given."""

    def __init__(self, args: argparse.Namespace, dataset: Dataset) -> None:
        self.args, self.dataset = args, dataset
        self.device = args.device if args.device != "auto" else resolve(TrainConfig(("gd",))).device
        self.ways = None if self.device == "cuda" else ["grouped"]

    def config(self, racers: Sequence[str], **settings: Any) -> TrainConfig:
        """Return a recipe at batch 128."""
        given = {"batch_size": 128, "device": self.device, "limit": self.args.limit}
        return TrainConfig(tuple(racers), "cifar10", **given | settings)

    def train(
        self, config: TrainConfig, ways: Sequence[str] | None = None
    ) -> tuple[TrainResult, dict[str, float], float]:
        """Return the result, seconds a step of each way that was tried, and seconds to the first point."""
        crowds: list[Crowd] = []
        first: list[float] = []
        began = time.perf_counter()

        def crowd(*of: Any) -> Crowd:
            crowds.append(Crowd(*of))
            return crowds[-1]

        def hear(event: Event) -> None:
            if isinstance(event, Point) and not first:
                first.append(time.perf_counter() - began)

        with (
            mock.patch("optimizers.training.data.load", return_value=self.dataset),
            mock.patch.object(racing, "Crowd", crowd),
        ):
            result = racing.train(config, hear, ways=ways or self.ways)
        return result, crowds[0].found, first[0]

    def timed(self, racers: Sequence[str], goal: float, **settings: Any) -> dict[str, Any]:
        """Train once to choose the way and to warm up, then for the figure."""
        config = self.config(racers, **settings)
        _, _, cold = self.train(replace(config, epochs=1, limit=1280))
        result, _, warm = self.train(config)
        steps = result.steps
        told = (
            f"{len(config.racers)} networks × {config.epochs} epochs of {config.model}, "
            f"{result.config.precision}: {result.seconds:.2f} s (goal {goal:.0f} s), "
            f"{1e3 * result.seconds / steps:.3f} ms a step; first point after {warm:.2f} s. {result.how}"
        )
        print(told, flush=True)
        return {
            "config": json.loads(result.config.to_json()),
            "how": result.how,
            "seconds": result.seconds,
            "goal": goal,
            "steps": steps,
            "samples_per_second": sum(racer.examples for racer in result.racers) / result.seconds,
            "first_point": {"with_choice": cold, "warm": warm},
            "best_test_accuracy": max(racer.test_accuracy for racer in result.racers),
        }


def race(
    args: argparse.Namespace,
    keep: Callable[[dict[str, Any]], None],
    twelve: Sequence[str],
    eight: Sequence[str],
) -> None:
    """Measure part by part; `keep` writes down what is there after each."""
    lab = Lab(args, pictures())
    epochs, few = args.epochs or 10, args.epochs or 5
    found: dict[str, Any] = {"device": lab.device, "data": lab.dataset.note}
    if lab.device == "cuda":
        found["device_name"] = torch.cuda.get_device_name()
        found["cuda"] = torch.version.cuda
    found["ways"] = _ways(lab, twelve)
    keep(found)
    found["keras_cnn"] = {
        precision: lab.timed(twelve, 5, epochs=epochs, precision=precision)
        for precision in _precisions(lab.device)
    }
    keep(found)
    fastest = min(one["seconds"] for one in found["keras_cnn"].values())
    found["plain"] = _plain(lab, twelve, epochs)
    found["ratio"] = {name: seconds / fastest for name, seconds in found["plain"].items()}
    print(
        "against plain loops: " + ", ".join(f"{n} {r:.1f} ×" for n, r in found["ratio"].items()), flush=True
    )
    keep(found)
    found["cnn_3c3d"] = lab.timed(eight, 10, epochs=epochs, model="cnn_3c3d")
    keep(found)
    found["figure_4"] = lab.timed(FIGURE_4[: args.networks], 60, epochs=few)
    keep(found)
    found["landscape"] = _landscape(lab)
    keep(found)


def _precisions(device: str) -> list[str]:
    return [one for one in PRECISIONS if one != "auto" and (device == "cuda" or one != "tf32")]


def _ways(lab: Lab, racers: Sequence[str]) -> dict[str, dict[str, float]]:
    """Return milliseconds a step of every way in every precision."""
    ways = [way for way in WAYS if way != "compiled" or importlib.util.find_spec("triton")]
    found = {}
    limit = min(lab.args.limit or 128 * TIMED, 128 * TIMED)
    for precision in _precisions(lab.device):
        config = lab.config(racers, epochs=1, precision=precision, limit=limit)
        _, seconds, _ = lab.train(config, ways)
        found[precision] = {way: 1e3 * one for way, one in seconds.items()}
        began = time.perf_counter()
        result, _, _ = lab.train(config, ["turns"])
        found[precision]["turns"] = 1e3 * (time.perf_counter() - began) / result.steps
        told = ", ".join(f"{way} {one:.2f}" for way, one in found[precision].items())
        print(f"{len(racers)} networks, {precision}, ms a step: {told}", flush=True)
    return found


def _plain(lab: Lab, racers: Sequence[str], epochs: int) -> dict[str, float]:
    """Return seconds of as many loops as anyone would write them, scaled from a few of one epoch each.

    From a DataLoader, picture by picture; and, hard to beat, with the whole set on the device.
    """
    from tests.benchmarks.training import Pictures as OneByOne
    from tests.benchmarks.training import plain_keras_cnn

    chosen = slice(lab.args.limit)
    images, labels = lab.dataset.train_images[chosen], lab.dataset.train_labels[chosen]
    loader = torch.utils.data.DataLoader(OneByOne(images, labels), batch_size=128, shuffle=True)
    whole = torch.from_numpy(images).to(lab.device).float() / 255
    answers = torch.from_numpy(labels).to(lab.device)

    def on_the_device() -> Any:
        for places in torch.randperm(len(answers), device=lab.device).split(128):
            yield whole[places], answers[places]

    def train(notation: str, batches: Any) -> None:
        racer = Racer.parse(notation)
        twin = racer.optimizer.twin
        assert twin is not None
        model = plain_keras_cnn().to(lab.device)
        arguments = twin.arguments(racer.values) or {"lr": racer.values["lr"]}
        optimizer = getattr(torch.optim, twin.name)(model.parameters(), **arguments)
        for batch, truth in batches:
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(batch.to(lab.device)), truth.to(lab.device))
            loss.backward()
            optimizer.step()
        loss.item()  # and so all is done

    found = {}
    for name, batches in (("loader", lambda: loader), ("on_the_device", on_the_device)):
        train(racers[0], itertools.islice(batches(), 3))  # warm
        began = time.perf_counter()
        for notation in racers[:PLAIN]:
            train(notation, batches())
        found[name] = (time.perf_counter() - began) / PLAIN * len(racers) * epochs
    return found


def _landscape(lab: Lab) -> dict[str, Any]:
    """Measure a landscape; on a CPU a corner of one."""
    few = slice(min(PICTURES, lab.args.limit or PICTURES))
    seen = Pictures(lab.dataset.train_images[few], lab.dataset.train_labels[few], len(lab.dataset.classes))
    network = build("keras_cnn", seen.classes, torch.Generator().manual_seed(0))
    weights = nn.utils.parameters_to_vector(network.parameters()).detach().numpy()
    plane = random_plane(weights, shapes("keras_cnn", seen), seed=0)
    side = np.linspace(-0.5, 0.5, SIZE)[: SIZE if lab.device == "cuda" else 2]
    found: dict[str, Any] = {"points": len(side) ** 2, "pictures": len(seen.labels), "seconds": {}}
    for precision in _precisions(lab.device):
        under = {"device": lab.device, "precision": precision}
        loss_grid("keras_cnn", plane, side[:2], side[:2], seen, **under)  # warm
        began = time.perf_counter()
        loss_grid("keras_cnn", plane, side, side, seen, **under)
        found["seconds"][precision] = time.perf_counter() - began
    print(f"landscape, {found['points']:,} points: {found['seconds']} (goal 3 s)", flush=True)
    return found


def table(args: argparse.Namespace) -> dict[str, Any]:
    """Train cnn_3c3d as DeepOBS does, and compare with its table."""
    lab = Lab(args, load("cifar10"))
    config = lab.config(
        TABLE,
        model="cnn_3c3d",
        epochs=args.epochs or 10,
        seeds=len(args.seeds),
        seed=min(args.seeds),
        augment="crop+flip+jitter",
    )
    result, _, _ = lab.train(config)
    copy = COPY if "official" not in lab.dataset.note or "not checked" in lab.dataset.note else 0.0
    rows = {}
    for place, (notation, theirs) in enumerate(TABLE.items()):
        ours = [100 * one.test_accuracy for one in result.racers[place :: len(TABLE)]]
        mean = statistics.mean(ours)
        spread = statistics.stdev(ours) if len(ours) > 1 else float("nan")
        low, high = theirs - WITHIN - copy, theirs + WITHIN
        verdict = "below" if not mean >= low else "above" if mean > high else "within"
        by_epoch = [
            statistics.mean(
                one.accuracy for one in result.evaluations if (one.racer, one.epoch) == (place, e)
            )
            for e in range(config.epochs + 1)
        ]
        rows[notation] = {
            "table": theirs,
            "found": ours,
            "mean": mean,
            "verdict": verdict,
            "by_epoch": by_epoch,
        }
        print(
            f"{notation}: {mean:.1f} ± {spread:.1f} % (n {len(ours)}), the table {theirs} %: {verdict}",
            flush=True,
        )
    return {
        "data_note": result.data_note,
        "device_name": result.device_name,
        "how": result.how,
        "seconds": result.seconds,
        "config": json.loads(result.config.to_json()),
        "allowed": {"points": WITHIN, "for_the_copy": copy},
        "rows": rows,
    }
