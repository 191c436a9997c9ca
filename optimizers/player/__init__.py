"""The canvas player: what it plays, packed; and the player as one HTML page that needs no network.

Python computes, JavaScript plays. Numbers travel as little-endian float32, which shows four digits with ease;
everything exact stays here.
"""

from __future__ import annotations

import base64
import html
import json
import math
import re
import struct
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from optimizers.catalog import Racer
from optimizers.notation import Hyperparameter, Value
from optimizers.player.program import program
from optimizers.schedules import SCHEDULES, Schedule
from optimizers.surfaces import Surface
from optimizers.trajectory import Race, Trajectory

HAT = "\u0302"
GRID_WIDTH, GRID_HEIGHT = 384, 288  # lattice points of the background
GRID_REACH = 0.75, 0.25  # how far the background goes on beyond the map, as a share of its width and height


def payload(race: Race) -> tuple[dict[str, Any], bytes]:
    """Return what the player needs to play a race.

    Returns:
        meta: JSON-ready: steps, start, surface, racers (look, hyperparameters, slots, rows), conditions.
        tracks: float32, for each racer record (T + 1, K, 2) then loss (T + 1,), one after the other; at the
            end the schedule's factor on every lr, (T,).
    """
    racers = [
        _racer(trajectory, look.label, look.light, look.dark, look.dash, look.hollow)
        for trajectory, look in zip(race.trajectories, race.looks, strict=True)
    ]
    under = race.trajectories[0].conditions
    meta = {
        "steps": race.steps,
        "start": list(race.start),
        "surface": _surface(race.surface),
        "racers": racers,
        "conditions": _conditions(race),
    }
    with np.errstate(over="ignore"):  # beyond 3·10³⁸ float32 has inf, which the player leaves out
        parts = [part.astype("<f4").ravel() for t in race.trajectories for part in (t.record, t.loss)]
        parts.append(under.lr(1.0, race.steps).astype("<f4"))
    return meta, np.concatenate(parts).tobytes()


def grid(
    surface: Surface, window: tuple[float, float, float, float] | None = None
) -> tuple[dict[str, Any], bytes]:
    """Return the background: {"id", "nx", "ny", "bounds": [x0, x1, y0, y1]} and f on that lattice, float32.

    The lattice includes both ends; row 0 is y0. It reaches beyond the surface's bounds, so that a stage of
    any shape can show the map at one scale for both axes; or it covers a window, x0, x1, y0, y1, alone.
    """
    (x0, x1), (y0, y1) = surface.entry.bounds
    dx, dy = GRID_REACH[0] * (x1 - x0), GRID_REACH[1] * (y1 - y0)
    bounds = [x0 - dx, x1 + dx, y0 - dy, y1 + dy] if window is None else list(window)
    x, y = np.linspace(bounds[0], bounds[1], GRID_WIDTH), np.linspace(bounds[2], bounds[3], GRID_HEIGHT)
    name = str(surface) if window is None else f"{surface} in {window}"
    head = {"id": name, "nx": GRID_WIDTH, "ny": GRID_HEIGHT, "bounds": bounds}
    values = surface.value(x[None, :], y[:, None])
    with np.errstate(over="ignore"):
        return head, values.astype("<f4").tobytes()


def pack(meta: Mapping[str, Any], **arrays: bytes) -> bytes:
    """Join `meta` and float32 arrays into the one byte string a component takes; packet.js reads it.

    >>> len(pack({"steps": 2}, loss=bytes(8)))
    60
    """
    counts = {name: len(data) // 4 for name, data in arrays.items()}
    header = json.dumps({"meta": meta, "arrays": counts}, ensure_ascii=False, allow_nan=False).encode()
    header += b" " * (-len(header) % 4)  # so that the floats behind it are aligned
    return struct.pack("<I", len(header)) + header + b"".join(arrays.values())


def page(race: Race) -> str:
    """Return a race as one HTML page that needs neither Python nor a network."""
    meta, tracks = payload(race)
    meta["grid"], field = grid(race.surface)
    return page_of(meta, tracks, field)


def page_of(meta: Mapping[str, Any], tracks: bytes, field: bytes) -> str:
    """Return what the player is given (`payload`, with a `grid`) as one HTML page.

    The player's modules travel in an import map of data: addresses, so the files are the ones the app serves.
    """
    folder = Path(__file__).parent
    modules = _modules(folder, "player.js", "packet.js")
    addresses = {
        name: _data_address("text/javascript", _import_by_name(text).encode())
        for name, text in modules.items()
    }
    return _PAGE.format(
        title=f"{meta['surface']['title']}: {', '.join(racer['label'] for racer in meta['racers'])}",
        style=_style(folder / "player.css"),
        modules=json.dumps({"imports": addresses}),
        packet=base64.b64encode(pack(meta, tracks=tracks, grid=field)).decode(),
    )


def frame(race: Race, height: int = 640) -> str:
    """Return the page in an <iframe>, for a notebook."""
    page_text = html.escape(page(race), quote=True)
    return f'<iframe srcdoc="{page_text}" style="width:100%;height:{height}px;border:0"></iframe>'


def _style(sheet: Path) -> str:
    """Return a style sheet with what it imports written out in its place."""
    return re.sub(
        r'(?m)^@import url\("\./([\w-]+\.css)"\);$',
        lambda imported: (sheet.parent / imported[1]).read_text("utf-8"),
        sheet.read_text("utf-8"),
    )


def _modules(folder: Path, *names: str) -> dict[str, str]:
    """Return these modules and all they import, by name."""
    found: dict[str, str] = {}
    waiting = list(names)
    while waiting:
        if (name := waiting.pop()) not in found:
            found[name] = (folder / name).read_text("utf-8")
            waiting += re.findall(r"""\bfrom\s+["']\./([\w-]+\.js)["']""", found[name])
    return found


def _import_by_name(module: str) -> str:
    """Turn `from "./stage.js"` into `from "stage.js"`, the name the import map knows."""
    return re.sub(r"""(\bfrom\s+|\bimport\s*\(?)(["'])\./""", r"\1\2", module)


def _data_address(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
html, body {{ margin: 0; height: 100%; }}
body {{ box-sizing: border-box; padding: 14px 18px; }}
{style}
</style>
<script type="importmap">{modules}</script>
<body>
<script id="packet" type="application/octet-stream">{packet}</script>
<script type="module">
import {{ mount }} from "player.js";
import {{ unpack }} from "packet.js";
const text = atob(document.getElementById("packet").textContent);
const {{ meta, arrays }} = unpack(Uint8Array.from(text, (letter) => letter.charCodeAt(0)));
mount(document.body, {{ meta, ...arrays }}, {{ layout: "wide" }});
</script>
</body>
</html>
"""


def _racer(
    trajectory: Trajectory, label: str, light: str, dark: str, dash: Sequence[float], hollow: bool
) -> dict[str, Any]:
    racer = trajectory.racer
    entry = racer.optimizer
    arguments = racer.arguments
    bias = {
        name: arguments[name] for name in ("beta1", "beta2", "correct_m", "correct_v") if name in arguments
    }
    return {
        "notation": str(racer),
        "name": racer.name,
        "title": entry.title,
        "purpose": entry.purpose,
        "label": label,
        "light": light,
        "dark": dark,
        "dash": list(dash),
        "hollow": hollow,
        "hyper": settings(entry.hyperparameters, racer.values),
        "slots": list(trajectory.slots),
        "rows": _rows(racer),
        "direction": racer.direction,
        "effective_label": racer.effective_label,
        "bias": bias if len(bias) == 4 else None,
        "program": program(racer),
        "outcome": str(trajectory.outcome),
        "arrived": trajectory.arrived,
        "diverged": trajectory.diverged,
    }


def _rows(racer: Racer) -> list[dict[str, Any]]:
    """Return the rows of the table inside a step, from the gradient to the update."""
    entry, values = racer.optimizer, racer.values
    symbols = {hyper.name: hyper.symbol for hyper in entry.hyperparameters}
    rows: list[dict[str, Any]] = [{"slot": "g", "label": "g", "note": "gradient"}]
    shown = [quantity for quantity in (*entry.states, *entry.extras) if racer.uses(quantity)]
    shown.sort(key=lambda quantity: quantity.otherwise != "g")  # first what takes the gradient's place
    rule = program(racer)
    made = {stage[1] for stage in rule["stages"]} if rule else set()
    for quantity in shown:
        note = f"{symbols[quantity.note]} {values[quantity.note]:g}" if quantity.note else ""
        label = unicodedata.normalize("NFD", quantity.label)
        if rule and HAT in label and quantity.name not in made:
            note = f"= {label.replace(HAT, '')}"  # nothing corrects it
        rows.append({"slot": quantity.name, "label": quantity.label, "note": note, "root": quantity.root})
    rows.append({"slot": "effective_lr", "label": racer.effective_label, "note": "effective step"})
    rows.append({"slot": "update", "label": "Δθ", "note": "", "strong": True})
    return rows


def _surface(surface: Surface) -> dict[str, Any]:
    entry = surface.entry
    (x0, x1), (y0, y1) = entry.bounds
    return {
        "notation": str(surface),
        "name": entry.name,
        "f": surface.f,
        "title": entry.title,
        "watch": entry.watch,
        "bounds": [x0, x1, y0, y1],
        "minima": [list(point) for point in entry.minima],
        "saddles": [list(point) for point in entry.saddles],
        "lowest": entry.lowest if math.isfinite(entry.lowest) else None,
        "box": [edge for side in entry.box for edge in side] if entry.box else None,
        "hyper": settings(entry.hyperparameters, surface.values),
        "grid": str(surface),  # the id of its background
    }


def _conditions(race: Race) -> dict[str, Any]:
    """Return what all racers of a race walk under, JSON-ready."""
    under, rows = race.trajectories[0].conditions, race.surface.entry.rows
    schedule = under.schedule if isinstance(under.schedule, Schedule) else None
    return {
        "schedule": str(schedule) if schedule else "",
        "parts": [
            {"name": part.name, "hyper": settings(part.entry.hyperparameters, part.values)}
            for part in (schedule.parts if schedule else ())
        ],
        "clip_norm": under.clip_norm,
        "clip_value": under.clip_value,
        "noise": under.noise,
        "batch_size": under.batch_size,
        "usual_batch": rows.batch if rows else None,
        "cyclic": rows.cyclic if rows else False,
        "seed": under.seed,
        "rows": len(rows.values) if rows else None,
    }


def schedules() -> list[dict[str, Any]]:
    """Return what a page offers of the catalogue of schedules, JSON-ready."""
    return [
        {
            "name": name,
            "title": entry.title,
            "purpose": entry.purpose,
            "length": entry.length,
            "hyper": settings(
                entry.hyperparameters, {hyper.name: hyper.default for hyper in entry.hyperparameters}
            ),
        }
        for name, entry in SCHEDULES.items()
    ]


def settings(hyperparameters: Iterable[Hyperparameter], values: dict[str, Value]) -> list[dict[str, Any]]:
    """Return what a row of sliders needs to know of hyperparameters and their values, JSON-ready."""
    hyperparameters = tuple(hyperparameters)
    symbols = {hyper.name: hyper.symbol for hyper in hyperparameters}
    return [
        {
            "name": hyper.name,
            "symbol": hyper.symbol,
            "value": values[hyper.name],
            "default": hyper.default,
            "slider": list(hyper.slider),
            "scale": hyper.scale,
            "whole": hyper.whole,
            "takes": hyper.takes,
            "aside": hyper.aside,
            "note": _same_steps(hyper, values, symbols),
            "choices": [
                {"value": choice.value, "word": choice.word, "button": choice.button}
                for choice in hyper.choices
            ],
        }
        for hyper in hyperparameters
    ]


def _same_steps(hyper: Hyperparameter, values: Mapping[str, Value], symbols: Mapping[str, str]) -> str:
    """Say what takes the same steps in each other convention; "" where there is no other."""
    parts = []
    for choice, changed, when in hyper.equivalents(values):
        others = [(name, float(value)) for name, value in changed.items() if name != hyper.name]
        numbers = " and ".join(f"{symbols[name]} {_written(value)}" for name, value in others)
        parts.append(f"{choice.button} with {numbers}{f' ({when})' if when else ''}")
    return f"The same steps: {'; '.join(parts)}." if parts else ""


_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def _written(value: float) -> str:
    """Write a number in three digits, as chart.js does: 10⁻¹⁶, not 1e-16."""
    mantissa, _, exponent = f"{value:.3g}".partition("e")
    if not exponent:
        return mantissa
    power = f"10{str(int(exponent)).translate(_SUPERSCRIPTS)}"
    return power if mantissa == "1" else f"{mantissa}×{power}"
