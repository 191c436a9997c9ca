"""What a learner asked to see, read from a query string and written back to one.

The page's address, the player's sliders and a teacher's link all speak this one notation:
`surface=rosenbrock&o=adam(lr=0.1)&o=rmsprop&start=-1.5,2&steps=500`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import Any
from urllib.parse import parse_qs, quote

from optimizers import Race, Racer, Surface, race
from optimizers.notation import unknown
from optimizers.surfaces import Point

MOST_RACERS = 8
MOST_STEPS = 5_000
LONGEST = 8_000  # characters of a query
FARTHEST = 1e6  # |x| or |y| of a start
SPEEDS = 0.25, 0.5, 1.0, 2.0, 4.0, 8.0  # the player's, as its clock.js has them

# The first page one sees.
FIRST_SURFACE = Surface.parse("rosenbrock")
FIRST_RACERS = tuple(
    Racer.parse(notation)
    for notation in (
        "momentum(lr=0.0008)",
        "rmsprop(lr=0.02)",
        "adam(lr=0.1)",
        "adam(lr=0.1, bias_correction=False)",
    )
)


@dataclass(frozen=True)
class RaceRequest:
    """A race and how it is being watched. Read it with `parse`, write it with `query`."""

    surface: Surface = FIRST_SURFACE
    racers: tuple[Racer, ...] = FIRST_RACERS
    start: Point | None = None  # None: the surface's own
    steps: int = 400
    step: int | None = None  # where the playhead stands; None: playing from the start
    racer: int = 2  # whose step is explained, counted from 0
    speed: float = 1.0
    loop: bool = False  # it plays again at its end

    @classmethod
    def parse(cls, query: str, kept: RaceRequest | None = None) -> tuple[RaceRequest, list[str]]:
        """Read a query; return the request and a sentence for each part that was no good.

        A bad part never raises: it stays as it is in `kept`, by default the first page's race.
        """
        kept = kept or cls()
        if len(query) > LONGEST:
            return kept, [f"This link has {len(query):,} characters; at most {LONGEST:,} can be read."]
        try:
            given = parse_qs(query.lstrip("?"), keep_blank_values=True, max_num_fields=40)
        except ValueError:
            return kept, ["This link has more than 40 parts, so none of it was read."]
        notices: list[str] = []
        read: dict[str, Any] = {}
        for name, values in given.items():
            if name not in _READERS:
                notices.append(str(unknown("part", name, list(_READERS), "A link")))
                continue
            try:
                read.update(_READERS[name](values, notices))
            except ValueError as problem:
                notices.append(str(problem))
        # A start belongs to its surface: another surface without one begins at its own.
        if "surface" in read and "start" not in read and read["surface"] != kept.surface:
            read["start"] = None
        wanted = replace(kept, **read)
        racers = max(
            len(wanted.racers), min(len(given.get("o", [])), MOST_RACERS)
        )  # bad ones had their sentence
        for name, highest in ("racer", racers - 1), ("step", wanted.steps):
            if (read.get(name) or 0) > highest:
                notices.append(_outside(name, str(read.pop(name)), 0, highest))
        request = replace(kept, **read)
        if not request.racer < len(request.racers):
            request = replace(request, racer=min(cls.racer, len(request.racers) - 1))
        if request.step is not None and request.step > request.steps:
            request = replace(request, step=request.steps)
        return request, notices

    def query(self) -> str:
        """Write the request as a query string that `parse` reads back."""
        x, y = self.start or self.surface.entry.start
        parts = [("surface", str(self.surface)), *(("o", str(racer)) for racer in self.racers)]
        parts += [("start", f"{_short(x)},{_short(y)}"), ("steps", str(self.steps))]
        if self.step is not None:
            parts.append(("step", str(self.step)))
        if self.racer != type(self).racer:
            parts.append(("racer", str(self.racer)))
        if self.speed != type(self).speed:
            parts.append(("speed", _short(self.speed)))
        if self.loop:
            parts.append(("loop", "1"))
        return "&".join(f"{name}={quote(value.replace(' ', ''), safe='(),=.-')}" for name, value in parts)

    def race(self) -> Race:
        """Run it."""
        return race(self.racers, self.surface, self.start, self.steps)


def _short(number: float) -> str:
    return f"{number:.12g}"


def _one(name: str, values: list[str]) -> str:
    if len(values) != 1:
        raise ValueError(f"{name} is given {len(values)} times; give it once.")
    return values[0]


def _read_surface(values: list[str], notices: list[str]) -> dict[str, object]:
    return {"surface": Surface.parse(_one("surface", values))}


def _read_racers(values: list[str], notices: list[str]) -> dict[str, object]:
    racers = []
    for value in values:
        try:
            racers.append(Racer.parse(value))
        except ValueError as problem:
            notices.append(str(problem))
    if len(racers) > MOST_RACERS:
        notices.append(f"{len(racers)} racers are given; the first {MOST_RACERS} race.")
    return {"racers": tuple(racers[:MOST_RACERS])} if racers else {}


def _read_start(values: list[str], notices: list[str]) -> dict[str, object]:
    text = _one("start", values)
    numbers = [_number(part) for part in text.split(",")]
    if len(numbers) != 2 or not all(abs(number) <= FARTHEST for number in numbers):
        raise ValueError(
            f"start is {text[:60]!r}, but takes two numbers x,y between −1,000,000 and 1,000,000."
        )
    return {"start": (numbers[0], numbers[1])}


def _whole(name: str, values: list[str], low: int, high: int) -> dict[str, object]:
    text = _one(name, values)
    if not (text.isascii() and text.isdigit() and len(text) < 10 and low <= int(text) <= high):
        raise ValueError(_outside(name, text, low, high))
    return {name: int(text)}


def _outside(name: str, text: str, low: int, high: int) -> str:
    takes = f"a whole number from {low} to {high:,}" if low < high else f"only {low}"
    return f"{name} is {text[:60]!r}, but takes {takes}."


def _read_steps(values: list[str], notices: list[str]) -> dict[str, object]:
    return _whole("steps", values, 1, MOST_STEPS)


def _read_step(values: list[str], notices: list[str]) -> dict[str, object]:
    if values == [""]:
        return {"step": None}
    return _whole("step", values, 0, MOST_STEPS)


def _read_racer(values: list[str], notices: list[str]) -> dict[str, object]:
    return _whole("racer", values, 0, MOST_RACERS - 1)


def _read_speed(values: list[str], notices: list[str]) -> dict[str, object]:
    text = _one("speed", values)
    speed = _number(text)
    if speed not in SPEEDS:
        offered = ", ".join(map(_short, SPEEDS))
        raise ValueError(f"speed is {text[:60]!r}, but takes one of {offered}.")
    return {"speed": speed}


def _read_loop(values: list[str], notices: list[str]) -> dict[str, object]:
    text = _one("loop", values)
    if text not in ("", "0", "1"):
        raise ValueError(f"loop is {text[:60]!r}, but takes 0 or 1.")
    return {"loop": text == "1"}


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


_READERS = {
    "surface": _read_surface,
    "o": _read_racers,
    "start": _read_start,
    "steps": _read_steps,
    "step": _read_step,
    "racer": _read_racer,
    "speed": _read_speed,
    "loop": _read_loop,
}
assert {"racers" if name == "o" else name for name in _READERS} == {
    field.name for field in fields(RaceRequest)
}
