"""How fast the lab measures a landscape: 51 × 51 points of keras_cnn over 5,000 pictures of CIFAR-10.

    python -m tests.benchmarks.landscape [--rounds 3] [--points 48] [--plain 12] [--device cpu]
    python -m tests.benchmarks.landscape --whole            all 2,601 points, measured and not scaled

Against the obvious way in the same run, in turns: for each point `vector_to_parameters`, then the network's
fp32 answers in batches of 500, with all of torch's threads. A part of the points is measured; what a
landscape takes before its first point is measured apart, and the whole is that and 2,601 times a point.
`--whole` measures it. Needs CIFAR-10 (`adamscope data cifar10`) and writes results/landscape.json.
"""

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from optimizers.training.data import load
from optimizers.training.device import computes_in_bf16
from optimizers.training.landscape import PICTURES, SIZE, Plane, loss_grid, random_plane
from optimizers.training.models import build
from optimizers.training.probe import Pictures, shapes
from tests.benchmarks.machine import machine
from tests.benchmarks.training import busy_elsewhere

RESULTS = Path(__file__).parent / "results" / "landscape.json"
MODEL = "keras_cnn"


def obvious(plane: Plane, spots: np.ndarray, pictures: Pictures, device: str) -> np.ndarray:
    """Loss at each spot the way anyone would write it down."""
    network = build(MODEL, pictures.classes, torch.Generator()).to(device)
    origin, axes = torch.from_numpy(plane.origin).to(device), torch.from_numpy(plane.axes).to(device)
    images = torch.from_numpy(pictures.images).to(device).float() / 255
    labels = torch.from_numpy(pictures.labels).to(device)
    found = []
    with torch.no_grad():
        for x, y in spots:
            there = origin + float(x) * axes[0] + float(y) * axes[1]
            nn.utils.vector_to_parameters(there, network.parameters())
            total = 0.0
            for batch, truth in zip(images.split(500), labels.split(500), strict=True):
                total += nn.functional.cross_entropy(network(batch), truth, reduction="sum").item()
            found.append(total / len(labels))
    return np.array(found)


def timed(work: Any) -> tuple[float, float, Any]:
    """Return seconds, the cores that other programs took meanwhile, and what came of it."""
    busy, began = busy_elsewhere(), time.perf_counter()
    found = work()
    seconds = time.perf_counter() - began
    return seconds, (busy_elsewhere() - busy) / seconds, found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--points", type=int, default=48, help="of the lab's, each round")
    parser.add_argument("--plain", type=int, default=12, help="of the obvious way's, each round")
    parser.add_argument("--pictures", type=int, default=PICTURES)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--whole", action="store_true", help=f"measure all {SIZE} × {SIZE} points as well")
    args = parser.parse_args()
    dataset = load("cifar10")
    few = slice(args.pictures)
    pictures = Pictures(dataset.train_images[few], dataset.train_labels[few], len(dataset.classes))
    network = build(MODEL, pictures.classes, torch.Generator().manual_seed(0))
    weights = nn.utils.parameters_to_vector(network.parameters()).detach().numpy()
    plane = random_plane(weights, shapes(MODEL, pictures), seed=0)
    precision = "bf16" if computes_in_bf16(args.device) else "fp32"
    side = np.linspace(-0.5, 0.5, SIZE)

    def lab(points: int) -> np.ndarray:
        loss, _ = loss_grid(
            MODEL, plane, side[:points], side[:1], pictures, device=args.device, precision=precision
        )
        return loss[0]

    points = min(args.points, SIZE)
    spots = np.stack([side[: args.plain], np.full(args.plain, side[0])], axis=1)
    few_pictures = Pictures(pictures.images[:500], pictures.labels[:500], pictures.classes)
    obvious(plane, spots[:1], few_pictures, args.device)  # warm both
    lab(2)
    rounds = []
    for _ in range(args.rounds):
        start, _, _ = timed(lambda: lab(2))
        ours, others, loss = timed(lambda: lab(points))
        each = (ours - start) / (points - 2)
        plain, others_plain, expected = timed(lambda: obvious(plane, spots, pictures, args.device))
        off = float(np.max(np.abs(loss[: args.plain] / expected - 1)))
        found = {
            "seconds_a_point": each,
            "seconds_before": start - 2 * each,
            "plain_seconds_a_point": plain / args.plain,
            "whole_scaled": start - 2 * each + SIZE**2 * each,
            "plain_whole_scaled": SIZE**2 * plain / args.plain,
            "greatest_relative_error": off,
            "cores_taken_by_other_programs": [others, others_plain],
        }
        found["ratio"] = found["plain_whole_scaled"] / found["whole_scaled"]
        rounds.append(found)
        print(
            f"{1e3 * each:.0f} ms a point, the obvious way {1e3 * plain / args.plain:.0f} ms: "
            f"{found['ratio']:.2f} ×; the whole {found['whole_scaled']:.0f} s, scaled "
            f"(other programs took {others:.2f} cores)",
            flush=True,
        )
    results = {
        "machine": machine("torch", "numpy"),
        "model": MODEL,
        "size": SIZE,
        "pictures": args.pictures,
        "device": args.device,
        "precision": precision,
        "threads": torch.get_num_threads(),
        "rounds": rounds,
        "median_ratio": statistics.median(found["ratio"] for found in rounds),
        "median_whole_scaled": statistics.median(found["whole_scaled"] for found in rounds),
    }
    if args.whole:
        under = {"device": args.device, "precision": precision}
        seconds, others, _ = timed(lambda: loss_grid(MODEL, plane, side, side, pictures, **under))
        results["whole_measured"] = {"seconds": seconds, "cores_taken_by_other_programs": others}
        print(f"all {SIZE} × {SIZE} points: {seconds:.0f} s (other programs took {others:.2f} cores)")
    RESULTS.write_text(json.dumps(results, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
