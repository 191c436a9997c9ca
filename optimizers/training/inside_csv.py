"""What was measured inside the networks of a run as a file: inside.csv."""

import csv
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from optimizers.training.config import TrainConfig
from optimizers.training.telemetry import Inside, Sharpness

NUMBERS = tuple(field.name for field in fields(Inside))[3:-1]
COLUMNS = ("racer", "seed", "epoch", "step", "layer", *NUMBERS, "sharpness", "preconditioned", "bound")


def write_inside(
    path: Path,
    config: TrainConfig,
    layers: Sequence[str],  # names of the network's
    steps_per_epoch: int,
    insides: Sequence[Inside],
    sharpnesses: Sequence[Sharpness],
) -> None:
    """Write a row for each measurement of each layer, in the order of their steps; empty: there is no number.

    `layer` is "all" for all of them together; the sharpness has rows of its own there.
    """
    rows = [_row(one, config, steps_per_epoch) | {"layer": _layer(one, layers)} for one in insides]
    for sharp in sharpnesses:
        row = _row(sharp, config, steps_per_epoch) | {"layer": "all"}
        row["sharpness"] = row.pop("raw")
        rows.append(row)
    rows.sort(key=lambda row: row["step"])
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)


def _row(event: Inside | Sharpness, config: TrainConfig, steps_per_epoch: int) -> dict[str, Any]:
    known = {name: "" if value != value else value for name, value in asdict(event).items()}
    return known | {
        "racer": config.racers[event.racer],
        "seed": config.seed + event.seed,
        "epoch": event.step / steps_per_epoch,
    }


def _layer(event: Inside, layers: Sequence[str]) -> str:
    return "all" if event.layer < 0 else layers[event.layer]
