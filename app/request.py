"""What a learner asked to see, read from a query string and written back to one.

The page's address, the player's controls and a teacher's link all speak this one notation:
`surface=rosenbrock&o=adam(lr=0.1)&o=rmsprop&start=-1.5,2&steps=500`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any
from urllib.parse import quote

from app.address import split_query
from optimizers import OPTIMIZERS, SURFACES, Race, Racer, Surface, race
from optimizers.conditions import Conditions
from optimizers.notation import shown, unknown
from optimizers.schedules import Schedule
from optimizers.surfaces import Point

MOST_RACERS = 8
MOST_STEPS = 5_000
MOST_NOTICES = 4  # sentences about one query
FARTHEST = 1e6  # |x| or |y| of a start, or of a window's corner
LONGEST_NAME = 24  # characters of a racer's own name
SPEEDS = 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 20.0  # the player's, as its clock.js has them
PARTS = (  # of the page, that a teacher's link may hide or lock
    "surface",
    "start",
    "racers",
    "hyper",
    "conditions",
    "steps",
    "timeline",
    "stage",
    "panel",
    "charts",
    "share",
    "scenes",
    "predict",
)
CHARTS = "loss", "distance", "gradient", "effective", "lr", "length", "factor", "auto"

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

Window = tuple[float, float, float, float]  # x0, x1, y0, y1


@dataclass(frozen=True)
class RaceRequest:
    """A race and how it is being watched. Read it with `parse`, write it with `query`."""

    surface: Surface = FIRST_SURFACE
    racers: tuple[Racer, ...] = FIRST_RACERS
    start: Point | None = None  # None: the surface's own
    steps: int = 400
    schedule: Schedule | None = None
    clip_norm: float | None = None
    clip_value: float | None = None
    noise: float = 0.0
    batch_size: int | None = None
    seed: int = 0
    names: tuple[str, ...] = ()  # the racers' own, in their order; "" for the catalogue's
    # How it is looked at.
    step: int | None = None  # where the playhead stands; None: playing from the start
    racer: int = 2  # whose step is explained, counted from 0
    speed: float = 1.0
    loop: bool = False  # it plays again at its end
    by: str = "step"  # what all racers have the same of at a moment
    off: tuple[int, ...] = ()  # racers that are hidden
    stage: str = "flat"
    camera: Point = (335.0, 48.0)  # of the relief: azimuth and elevation, degrees
    window: Window | None = None  # the part of the plane that is looked at; None: the surface's bounds
    levels: int = 0  # contour lines; 0: as many as suit the surface
    scale: str = "log"  # of the heights between them
    show: tuple[str, ...] = ()  # what is drawn beside the paths
    panel: str = "step"
    sweep: tuple[str, str] = ("lr", "")  # the hyperparameters of the sweep map; "": the racer's second
    charts: tuple[str, ...] = ("loss", "auto")
    predict: str = ""  # the question that is to be answered before the race is seen
    hide: tuple[str, ...] = ()  # parts of the page a teacher's link hides …
    lock: tuple[str, ...] = ()  # … or locks
    scene: str = ""  # the preset it comes from

    @classmethod
    def parse(cls, query: str, kept: RaceRequest | None = None) -> tuple[RaceRequest, list[str]]:
        """Read a query; return the request and a sentence for each part that was no good.

        A bad part never raises: it stays as it is in `kept`, by default the first page's race.
        """
        kept = kept or cls()
        try:
            given = split_query(query)
        except ValueError as problem:
            return kept, [str(problem)]
        notices: list[str] = []
        read: dict[str, Any] = {}
        for name, values in given.items():
            if name not in _READERS:
                notices.append(str(unknown("part", name, list(_READERS), "A link")))
                continue
            try:
                read.update(_READERS[name](name, values, notices))
            except ValueError as problem:
                notices.append(str(problem))
        # A start or a window belongs to its surface: another surface without one has its own.
        if "surface" in read and read["surface"] != kept.surface:
            read = {"start": None, "window": None} | read
        wanted = replace(kept, **read)
        if "racers" in read and "racer" not in given:
            read["racer"] = favourite(wanted.racers)
        racers = max(
            len(wanted.racers), min(len(given.get("o", [])), MOST_RACERS)
        )  # bad ones had their sentence
        for name, highest in ("racer", racers - 1), ("step", wanted.steps):
            if (read.get(name) or 0) > highest:
                notices.append(_outside(name, str(read.pop(name)), 0, highest))
        request = replace(kept, **read)
        if request.batch_size is not None:
            try:
                Conditions(batch_size=request.batch_size).batches(request.surface, 1)
            except ValueError as problem:  # what another surface took is no slip of this link's
                if read.get("batch_size") is not None:
                    notices.append(str(problem))
                request = replace(request, batch_size=None)
        count = len(request.racers)
        if not request.racer < count:
            request = replace(request, racer=favourite(request.racers))
        if request.step is not None and request.step > request.steps:
            request = replace(request, step=request.steps)
        off = tuple(index for index in request.off if index < count)
        return replace(request, off=off, names=request.names[:count]), _few(notices)

    def query(self) -> str:
        """Write the request as a query string that `parse` reads back."""
        x, y = self.start or self.surface.entry.start
        parts = [("surface", str(self.surface)), *(("o", str(racer)) for racer in self.racers)]
        parts += [("start", f"{_short(x)},{_short(y)}"), ("steps", str(self.steps))]
        for name in _READERS:
            if name in ("surface", "o", "start", "steps"):
                continue
            value = getattr(self, name)
            usual = favourite(self.racers) if name == "racer" else getattr(type(self), name)
            if value != usual:
                parts.append((name, _written(value)))
        return "&".join(f"{name}={_quoted(name, value)}" for name, value in parts)

    @property
    def asked(self) -> str:
        """What is asked, however it is looked at, as a query."""
        return RaceRequest(**{name: getattr(self, name) for name in ASKED}).query()

    @property
    def look(self) -> dict[str, Any]:
        """How it is looked at, JSON-ready."""
        values = {field.name: getattr(self, field.name) for field in fields(self) if field.name not in ASKED}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    @property
    def conditions(self) -> dict[str, Any]:
        """The conditions of the walk, as `simulate` and the maps take them."""
        return {field.name: getattr(self, field.name) for field in fields(Conditions)}

    def race(self) -> Race:
        """Run it; racers wear the names they were given."""
        run = race(self.racers, self.surface, self.start, self.steps, **self.conditions)
        names = self.names + ("",) * (len(run.looks) - len(self.names))
        looks = tuple(
            replace(look, label=name or look.label) for look, name in zip(run.looks, names, strict=True)
        )
        return replace(run, looks=looks)


def favourite(racers: tuple[Racer, ...]) -> int:
    """Return whom to look into where nobody says: the first of those with most to show."""
    shown = [sum(map(racer.uses, (*racer.optimizer.states, *racer.optimizer.extras))) for racer in racers]
    return shown.index(max(shown))


ASKED = ("surface", "racers", "start", "steps", *(field.name for field in fields(Conditions)), "names")


def _few(notices: list[str]) -> list[str]:
    """Leave as many sentences as one reads; the last says how many more there would have been."""
    more = len(notices) - MOST_NOTICES + 1
    return (
        notices if more <= 1 else [*notices[:-more], f"{more} more parts of this link can't be read either."]
    )


def _short(number: float) -> str:
    return f"{number:.12g}"


def _written(value: object) -> str:
    """Write a value as a link has it."""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, tuple):
        return ",".join(map(_written, value))
    return "" if value is None else _short(value) if isinstance(value, float) else str(value)


def _quoted(name: str, value: str) -> str:
    # A blank in notation says nothing and is left out; one in a name is the learner's.
    return quote(value if name == "names" else value.replace(" ", ""), safe="(),=.-")


Reader = Callable[[str, list[str], list[str]], dict[str, object]]  # part's name, its values, notices


def _one(name: str, values: list[str]) -> str:
    if len(values) != 1:
        raise ValueError(f"{name} is given {len(values)} times; give it once.")
    return values[0]


def _bad(name: str, text: str, takes: str) -> ValueError:
    return ValueError(f"{name} is {shown(text)}, but takes {takes}.")


def _read_surface(name: str, values: list[str], notices: list[str]) -> dict[str, object]:
    return {"surface": Surface.parse(_one(name, values))}


def _read_racers(name: str, values: list[str], notices: list[str]) -> dict[str, object]:
    racers = []
    for value in values:
        try:
            racers.append(Racer.parse(value))
        except ValueError as problem:
            notices.append(str(problem))
    if len(racers) > MOST_RACERS:
        notices.append(f"{len(racers)} racers are given; the first {MOST_RACERS} race.")
    return {"racers": tuple(racers[:MOST_RACERS])} if racers else {}


def _read_start(name: str, values: list[str], notices: list[str]) -> dict[str, object]:
    text = _one(name, values)
    numbers = [_number(part) for part in text.split(",")]
    if len(numbers) != 2 or not all(abs(number) <= FARTHEST for number in numbers):
        raise _bad(name, text, "two numbers x,y between −1,000,000 and 1,000,000")
    return {"start": (numbers[0], numbers[1])}


def _read_schedule(name: str, values: list[str], notices: list[str]) -> dict[str, object]:
    text = _one(name, values)
    return {"schedule": Schedule.parse(text) if text else None}


def _whole(low: int, high: int, empty: bool = False) -> Reader:
    def read(name: str, values: list[str], notices: list[str]) -> dict[str, object]:
        text = _one(name, values)
        if empty and not text:
            return {name: None}
        if not (text.isascii() and text.isdigit() and len(text) < 11 and low <= int(text) <= high):
            raise ValueError(_outside(name, text, low, high))
        return {name: int(text)}

    return read


def _outside(name: str, text: str, low: int, high: int) -> str:
    takes = f"a whole number from {low} to {high:,}" if low < high else f"only {low}"
    return str(_bad(name, text, takes))


def _condition(empty: object) -> Reader:
    """Read a positive number, as Conditions takes it; `empty` where there is none."""

    def read(name: str, values: list[str], notices: list[str]) -> dict[str, object]:
        text = _one(name, values)
        if not text:
            return {name: empty}
        value = _number(text)
        if math.isnan(value):
            raise _bad(name, text, "a number")
        return {name: getattr(Conditions(**{name: value}), name)}  # type: ignore[arg-type]

    return read


def _read_names(name: str, values: list[str], notices: list[str]) -> dict[str, object]:
    names = [part.strip() for part in _one(name, values).split(",")]
    for given in names:
        if len(given) > LONGEST_NAME or not given.isprintable():
            raise _bad(name, given, f"names of at most {LONGEST_NAME} plain characters, with commas between")
    while names and not names[-1]:
        names.pop()
    return {name: tuple(names[:MOST_RACERS])}


def _read_speed(name: str, values: list[str], notices: list[str]) -> dict[str, object]:
    text = _one(name, values)
    speed = _number(text)
    if speed not in SPEEDS:
        raise _bad(name, text, f"one of {', '.join(map(_short, SPEEDS))}")
    return {name: speed}


def _read_loop(name: str, values: list[str], notices: list[str]) -> dict[str, object]:
    text = _one(name, values)
    if text not in ("", "0", "1"):
        raise _bad(name, text, "0 or 1")
    return {name: text == "1"}


def _choice(*allowed: str) -> Reader:
    def read(name: str, values: list[str], notices: list[str]) -> dict[str, object]:
        text = _one(name, values)
        if text not in allowed:
            raise _bad(name, text, f"one of {', '.join(filter(None, allowed))}")
        return {name: text}

    return read


def _several(*allowed: str, most: int, distinct: bool = True) -> Reader:
    def read(name: str, values: list[str], notices: list[str]) -> dict[str, object]:
        text = _one(name, values)
        chosen = [part for part in text.split(",") if part]
        if distinct:
            chosen = list(dict.fromkeys(chosen))
        if len(chosen) > most or not set(chosen) <= set(allowed):
            raise _bad(name, text, f"at most {most} of {', '.join(allowed)}, with commas between")
        return {name: tuple(chosen)}

    return read


def _read_off(name: str, values: list[str], notices: list[str]) -> dict[str, object]:
    places = [str(index) for index in range(MOST_RACERS)]
    read = _several(*places, most=MOST_RACERS)(name, values, notices)[name]
    return {name: tuple(sorted(int(index) for index in read))}  # type: ignore[attr-defined]


def _read_window(name: str, values: list[str], notices: list[str]) -> dict[str, object]:
    text = _one(name, values)
    if not text:
        return {name: None}
    numbers = [_number(part) for part in text.split(",")]
    good = len(numbers) == 4 and all(abs(number) <= FARTHEST for number in numbers)
    if not good or not all(high - low > 1e-9 for low, high in (numbers[:2], numbers[2:])):
        raise _bad(name, text, "x0,x1,y0,y1 with x0 below x1 and y0 below y1")
    return {name: tuple(numbers)}


def _read_camera(name: str, values: list[str], notices: list[str]) -> dict[str, object]:
    text = _one(name, values)
    numbers = [_number(part) for part in text.split(",")]
    if len(numbers) != 2 or not abs(numbers[0]) <= 360 or not 5 <= numbers[1] <= 89:
        raise _bad(name, text, "an azimuth from −360 to 360 and an elevation from 5 to 89, in degrees")
    return {name: tuple(numbers)}


def _read_sweep(name: str, values: list[str], notices: list[str]) -> dict[str, object]:
    text = _one(name, values)
    names = text.split(",")
    if len(names) != 2:
        raise _bad(name, text, "the names of two hyperparameters, such as lr,beta2")
    mine = {hyper.name for entry in OPTIMIZERS.values() for hyper in entry.hyperparameters}
    known = mine | {hyper.name for entry in SURFACES.values() for hyper in entry.hyperparameters}
    for part in names:
        if part and part not in known:
            raise unknown("hyperparameter", part, sorted(known))
    return {name: tuple(names)}


def _read_scene(name: str, values: list[str], notices: list[str]) -> dict[str, object]:
    text = _one(name, values)
    if not re.fullmatch(r"[a-z0-9-]{0,40}", text):
        raise _bad(name, text, "the name of a scene")
    return {name: text}


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


_READERS: dict[str, Reader] = {
    "surface": _read_surface,
    "o": _read_racers,
    "start": _read_start,
    "steps": _whole(1, MOST_STEPS),
    "schedule": _read_schedule,
    "clip_norm": _condition(None),
    "clip_value": _condition(None),
    "noise": _condition(0.0),
    "batch_size": _whole(1, 1_000_000, empty=True),
    "seed": _whole(0, 2**32 - 1),
    "names": _read_names,
    "step": _whole(0, MOST_STEPS, empty=True),
    "racer": _whole(0, MOST_RACERS - 1),
    "speed": _read_speed,
    "loop": _read_loop,
    "by": _choice("step", "gradients", "length"),
    "off": _read_off,
    "stage": _choice("flat", "relief"),
    "camera": _read_camera,
    "window": _read_window,
    "levels": _whole(0, 60),
    "scale": _choice("log", "linear"),
    "show": _several("vectors", "basin", "cloud", most=3),
    "panel": _choice("step", "fair", "sweep"),
    "sweep": _read_sweep,
    "charts": _several(*CHARTS, most=4, distinct=False),
    "predict": _choice("", "where", "first", "both"),
    "hide": _several(*PARTS, most=len(PARTS)),
    "lock": _several(*PARTS, most=len(PARTS)),
    "scene": _read_scene,
}
assert ["racers" if name == "o" else name for name in _READERS] == [
    field.name for field in fields(RaceRequest)
]
