"""A measured landscape on the command line: where its run lies, what to say of it, how to write it."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optimizers.training.landscape import Landscape

Writer = Callable[["Landscape", Path], str]


def folder_of(run: str) -> Path:
    """Return the folder that was named, or that of the run with this id in the app's home.

    Raises:
        ValueError: there is neither.
    """
    from optimizers.training.data import home

    named = Path(run).expanduser()
    if named.is_dir():
        return named
    if re.fullmatch("[0-9a-f]{8}", run) and (kept := home() / "runs" / run).is_dir():
        return kept
    raise ValueError(
        f"{run!r} is neither a folder of adamscope train --snapshots 24 --out DIR nor a run with snapshots."
    )


def split(racers: str) -> list[str]:
    """Split a list of racers at the commas that stand outside of brackets.

    >>> split("1, adam(lr=0.1, beta1=0.8)")
    ['1', 'adam(lr=0.1, beta1=0.8)']
    """
    return [part.strip() for part in re.split(r",(?![^(]*\))", racers)]


def summary(found: Landscape) -> list[str]:
    """Return what was measured, in a few lines."""
    import numpy as np

    known = np.where(np.isfinite(found.loss), found.loss, np.nan)
    lowest, highest = float(np.nanmin(known)), float(np.nanmax(known))
    return [found.recipe, found.words, f"The loss here runs from {lowest:.4g} to {highest:.4g}."]


def writers(plane: str, dark: bool) -> dict[str, Writer]:
    """Return what writes a landscape, by the name's ending."""

    def draw(found: Landscape, path: Path) -> str:
        from optimizers import figures

        figures.save(figures.landscape(found, dark=dark), path)
        return ""

    known: dict[str, Writer] = dict.fromkeys((".png", ".svg", ".pdf"), draw)
    known |= {".html": _html} if plane != "line" else {}
    return known | {".csv": _csv, ".json": _json, ".npz": _npz}


def _html(found: Landscape, out: Path) -> str:
    from optimizers.player.measured import page

    out.write_text(page(found), encoding="utf-8")
    return ""


def _csv(found: Landscape, out: Path) -> str:
    """Write the map's points, then the racers' snapshots, one a row."""
    line = found.kind == "line"
    with out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["what", "racer", "step", "x", "y", "off_plane", "loss", "accuracy", *_tests(line)])
        for j, y in enumerate(found.y):
            for i, x in enumerate(found.x):
                tests = found.tests[i].tolist() if line else []
                seen = float(found.loss[j, i]), float(found.accuracy[j, i])
                writer.writerow(["map", "", "", float(x), "" if line else float(y), "", *seen, *tests])
        for k, racer in enumerate(found.racer):
            spot = found.shadow[k].tolist()
            head = [
                "snapshot",
                found.config.racers[racer],
                int(found.step[k]),
                spot[0],
                "" if line else spot[1],
            ]
            writer.writerow([*head, float(found.off[k]), *found.own[k].tolist(), *[""] * len(_tests(line))])
    return ""


def _tests(line: bool) -> list[str]:
    return ["test_loss", "test_accuracy"] if line else []


def _json(found: Landscape, out: Path) -> str:
    out.write_text(json.dumps(found.to_json(), allow_nan=False), encoding="utf-8")
    return ""


def _npz(found: Landscape, out: Path) -> str:
    found.save(out)
    return ""
