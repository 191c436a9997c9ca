"""How fast the lab trains, and how well.

    python -m tests.benchmarks.training speed [--model cnn_3c3d] [--racers 8] [--rounds 3] [--limit N]
    python -m tests.benchmarks.training accuracy [--seeds 0 1 2] [--model cnn_3c3d]
    python -m tests.benchmarks.training race --device cuda       all that a GPU is to reach, in one command

speed: eight racers × 1 epoch at batch 128, as the lab trains them (test evaluations and every point written
to a store included), against as many plain fp32 loops over a DataLoader that only train, in turns in the same
run.
accuracy: keras_cnn, Adam, batch 32, 10 epochs; or cnn_3c3d as in DeepOBS's table, with a verdict.
race: every way and precision for 12 racers of keras_cnn; 10 epochs of them against plain loops; 8 × 10 epochs
of cnn_3c3d; figure 4's 60 networks × 5 epochs; a landscape; the first point. It needs torch and NumPy alone,
and writes after each part. On a CPU, with --limit 512 --epochs 1 --networks 4, it shows that it runs.
speed and accuracy need CIFAR-10 (`adamscope data cifar10`). What was found is in tests/benchmarks/results/.
"""

import argparse
import dataclasses
import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from optimizers.catalog import Racer
from optimizers.training import TrainConfig, TrainResult, train
from optimizers.training.data import load
from tests.benchmarks import racing
from tests.benchmarks.machine import machine

RESULTS = Path(__file__).parent / "results"
EIGHT = (
    "momentum(lr=0.01)",
    "rmsprop(lr=0.001)",
    "adam",
    "adam(bias_correction=False)",
    "gd(lr=0.05)",
    "nesterov(lr=0.01)",
    "adagrad(lr=0.01)",
    "nadam(lr=0.001)",
)
RATES = (0.0003, 0.001, 0.003)
TWELVE = tuple(
    notation
    for lr in RATES
    for notation in (
        f"momentum(lr={10 * lr})",
        f"rmsprop(lr={lr})",
        f"adam(lr={lr})",
        f"adam(lr={lr}, bias_correction=False)",
    )
)


class Pictures(Dataset):
    """Pictures one by one, as torchvision's ToTensor hands them out."""

    def __init__(self, images: np.ndarray, labels: np.ndarray) -> None:
        self.images, self.labels = images, labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return torch.from_numpy(self.images[index]).float() / 255, int(self.labels[index])


def plain_keras_cnn() -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(3, 32, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(64, 64, 3), nn.ReLU(), nn.Flatten()),
        *(nn.Linear(1024, 64), nn.ReLU(), nn.Linear(64, 10)),
    )


class PlainPool(nn.Module):
    """TensorFlow's "same" pooling, as DeepOBS's own torch version writes it."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.max_pool2d(nn.functional.pad(x, (0, 1, 0, 1), value=-torch.inf), 3, 2)


def plain_cnn_3c3d() -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(3, 64, 5), nn.ReLU(), PlainPool()),
        *(nn.Conv2d(64, 96, 3), nn.ReLU(), PlainPool()),
        *(nn.Conv2d(96, 128, 3, padding=1), nn.ReLU(), PlainPool()),
        nn.Flatten(),
        *(nn.Linear(1152, 512), nn.ReLU(), nn.Linear(512, 256), nn.ReLU(), nn.Linear(256, 10)),
    )


PLAIN = {"keras_cnn": (plain_keras_cnn, 122_570, 0.0), "cnn_3c3d": (plain_cnn_3c3d, 895_210, 0.002)}


def plain_loop(name: str, notation: str, pictures: Pictures, batch_size: int) -> None:
    """Train for one epoch the way anyone would write it down; weight decay by torch.optim, the cheapest."""
    make, parameters, decay = PLAIN[name]
    model = make()
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters
    racer = Racer.parse(notation)
    twin = racer.optimizer.twin
    assert twin is not None
    arguments = twin.arguments(racer.values) or {"lr": racer.values["lr"]}  # none for uncorrected Adam: Adam
    arguments |= {"weight_decay": decay} if decay else {}
    optimizer = getattr(torch.optim, twin.name)(model.parameters(), **arguments)
    criterion = nn.CrossEntropyLoss()
    model.train()
    total = 0.0
    for images, labels in DataLoader(pictures, batch_size=batch_size, shuffle=True):
        optimizer.zero_grad()
        loss = criterion(model(images), labels)
        loss.backward()
        optimizer.step()
        total += loss.item()


def lab(config: TrainConfig) -> TrainResult:
    """Train as the lab's worker does, every event written to a store."""
    from optimizers.training.jobs import Recorder
    from optimizers.training.store import Store

    with tempfile.TemporaryDirectory() as folder:
        store = Store(f"sqlite:///{folder}/runs.sqlite")
        run_id = store.create(json.loads(config.to_json()))
        with Recorder(store, run_id) as record:
            result = train(config, record)
        store.close()
    return result


def busy_elsewhere() -> float:
    """Return the CPU seconds that other programs have used so far."""
    import psutil

    times, own = psutil.cpu_times(), os.times()
    return times.user + times.nice + times.system - own.user - own.system


def speed(args: argparse.Namespace) -> dict[str, Any]:
    dataset = load("cifar10")
    chosen = slice(args.limit)
    pictures = Pictures(dataset.train_images[chosen], dataset.train_labels[chosen])
    if args.limit:  # as many test pictures for each training picture as in a whole epoch
        tests = slice(args.limit // 5)
        dataset = dataclasses.replace(
            dataset, test_images=dataset.test_images[tests], test_labels=dataset.test_labels[tests]
        )
    racers = EIGHT[: args.racers]
    # A shortened epoch looks inside the networks as often, in steps, as a whole one of 391 does: 25 times.
    telemetry = 391 // 25 if args.limit else None
    config = TrainConfig(
        racers, "cifar10", args.model, epochs=1, batch_size=128, limit=args.limit, telemetry=telemetry
    )
    few = Pictures(dataset.train_images[:640], dataset.train_labels[:640])
    plain_loop(args.model, "adam", few, 128)  # warm both
    train(dataclasses.replace(config, limit=640))
    with mock.patch("optimizers.training.data.load", return_value=dataset):
        return _rounds(args, config, pictures)


def _rounds(args: argparse.Namespace, config: TrainConfig, pictures: Pictures) -> dict[str, Any]:
    """Let both sides take turns."""
    rounds = []
    for number in range(args.rounds):
        seconds, others = {}, {}
        for side in ("lab", "plain") if number % 2 == 0 else ("plain", "lab"):
            busy, began = busy_elsewhere(), time.perf_counter()
            if side == "lab":
                result = lab(config)
            else:
                for notation in config.racers:
                    plain_loop(args.model, notation, pictures, 128)
            seconds[side] = time.perf_counter() - began
            others[side] = (busy_elsewhere() - busy) / seconds[side]
        ratio = seconds["plain"] / seconds["lab"]
        rounds.append({"seconds": seconds, "ratio": ratio, "cores_taken_by_other_programs": others})
        busiest = max(others.values())
        print(
            f"lab {seconds['lab']:.1f} s   plain {seconds['plain']:.1f} s   {ratio:.2f} ×"
            f"   (other programs took up to {busiest:.2f} cores)",
            flush=True,
        )
    ratio = statistics.median(found["ratio"] for found in rounds)
    against = f"{len(config.racers)} plain loops ({result.config.precision})"
    print(f"{args.model}: median {ratio:.2f} × faster than {against}")
    return {
        "model": args.model,
        "racers": config.racers,
        "pictures": len(pictures),
        "batch_size": 128,
        "threads": torch.get_num_threads(),
        "precision": result.config.precision,
        "rounds": rounds,
        "median_ratio": ratio,
    }


def accuracy(args: argparse.Namespace) -> dict[str, Any]:
    runs = []
    for seed in args.seeds:
        config = TrainConfig(
            racers=("adam",),
            data="cifar10",
            batch_size=32,
            seed=seed,
            device=args.device,
            threads=args.threads,
        )
        result = train(config)
        by_epoch = [evaluated.accuracy for evaluated in result.evaluations]
        runs.append(
            {"seed": seed, "test_accuracy": by_epoch[-1], "by_epoch": by_epoch, "seconds": result.seconds}
        )
        print(f"seed {seed}: {by_epoch[-1]:.2%} after 10 epochs, {result.seconds:.0f} s", flush=True)
    found = [run["test_accuracy"] for run in runs]
    if len(found) > 1:
        print(f"mean {statistics.mean(found):.2%}, sd {statistics.stdev(found):.2%}, n {len(found)}")
    config_without_seed = json.loads(result.config.to_json())
    del config_without_seed["seed"]  # each run has its own
    return {"data_note": result.data_note, "config": config_without_seed, "runs": runs}


def race(args: argparse.Namespace) -> None:
    def keep(found: dict[str, Any]) -> None:
        _write(args.out, "training-race", found)

    racing.race(args, keep, TWELVE, EIGHT)


def _write(folder: Path, name: str, found: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"machine": machine("torch", "numpy"), **found}, indent=2)
    (folder / f"{name}.json").write_text(text + "\n", "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("speed", "accuracy", "race"))
    parser.add_argument("--model", choices=PLAIN, default="keras_cnn", help="of speed and accuracy")
    parser.add_argument("--racers", type=int, choices=range(1, 9), default=8, metavar="1…8", help="of speed")
    parser.add_argument("--rounds", type=int, default=3, help="of speed")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of accuracy")
    parser.add_argument("--limit", type=int, help="train on the first LIMIT pictures only")
    parser.add_argument("--epochs", type=int, help="of race, and of accuracy with cnn_3c3d")
    parser.add_argument("--networks", type=int, help="of race's figure 4, the first so many of 60")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for what was found")
    parser.add_argument("--device", default="auto")
    parser.add_argument(
        "--threads", type=int, help="of accuracy's one racer; a shared machine is kinder to 1"
    )
    args = parser.parse_args()
    if args.what == "race":
        race(args)
        return
    of_a_table = args.what == "accuracy" and args.model == "cnn_3c3d"
    measure = racing.table if of_a_table else {"speed": speed, "accuracy": accuracy}[args.what]
    name = args.what if args.what == "accuracy" and not of_a_table else f"{args.what}-{args.model}"
    _write(args.out, f"training-{name}", measure(args))


if __name__ == "__main__":
    main()
