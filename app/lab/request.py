"""What a learner asks the lab for, read from the page's address and written back to it.

`?o=adam&o=momentum(lr=0.01)&data=shapes10&model=keras_cnn&epochs=10&batch_size=32&seed=0&scale=log&run=1f2e3d4c`
"""

import json
import re
from dataclasses import dataclass, field, fields, replace
from itertools import permutations
from typing import Any, Self
from urllib.parse import urlencode

from app.address import split_query
from app.request import MOST_RACERS
from optimizers import Racer
from optimizers.notation import unknown
from optimizers.training import TrainConfig
from optimizers.training.data import FOLDERS, available, offered
from optimizers.training.landscape import PLANES
from optimizers.training.store import Run

MOST_SEEDS = 5  # of a run that a page starts
DETAILS = {"quick": (25, 1_000), "fine": (51, 5_000)}  # of a landscape: points a side, pictures
LOOKS = {  # how a run is looked at; the first of each is what a link leaves out
    "scale": ("linear", "log"),  # of the loss axis
    "view": ("curves", "inside", "classes", "landscape"),  # of the centre
    "axis": ("step", "examples", "seconds"),  # of the curves
    "quantity": (
        *("all", "effective", "ratio", "gradient", "cosine", "under_eps", "distance"),
        *("sharpness", "preconditioned"),
    ),  # of those inside
    "steps": ("linear", "log"),  # scale of their steps
    "plane": PLANES,  # of the landscape …
    "ends": ("1-2", *(f"{a}-{b}" for a, b in permutations(range(1, MOST_RACERS + 1), 2) if (a, b) != (1, 2))),
    "detail": tuple(DETAILS),  # … whose line is between two ends, and whose random plane about the first
    "nth_seed": tuple(
        map(str, range(1, MOST_SEEDS + 1))
    ),  # of classes and landscape, where a run has several
}
SETTINGS = (
    "data",
    "model",
    "epochs",
    "batch_size",
    "seed",
    "limit",
    "telemetry",
    "sharpness",
    "seeds",
    "schedule",
    "clip_norm",
    "clip_value",
    "weight_decay",
    "dropout",
    "label_smoothing",
    "augment",
    "precision",
    "start_from",
)  # of a TrainConfig, as the page offers them
DEFAULTS = {field.name: field.default for field in fields(TrainConfig)}
SHORT = SETTINGS[SETTINGS.index("telemetry") :]  # left out of a link where they are at their default
NUMBERS = ("clip_norm", "clip_value", "weight_decay", "dropout", "label_smoothing")
LIMITS = {  # of a run that a page starts, on a machine that others use too; the command line has wider ones
    "epochs": (1, 200),
    "batch_size": (1, 2_000),
    "seed": (0, 2**32 - 1),
    "limit": (1, 10**9),
    "telemetry": (0, 10**9),
    "sharpness": (0, 10**9),
    "seeds": (1, MOST_SEEDS),
}
OPTIONAL = ("limit", "telemetry")  # may be left out: all pictures; 25 times an epoch
# again: the browser has lost points; list, unlist: of all runs, open or closed; saved: the file has arrived
BUTTONS = ("start", "stop", "pause", "resume", "again", "measure", "halt")
ACTS = ("list", "unlist", "name", "notes", "delete", "export", "saved")  # on a run, by its id
MOST_COMPARED = 3  # runs beside the one that is shown
MOST_TEXT = 2_000  # characters of a run's notes
MOST_TURNS = 10**9
RUN = re.compile("[0-9a-f]{8}")  # id of a run
NETWORK = re.compile("[0-9a-f]{8}(:[0-9]{1,3})?")  # one of its networks; the command line takes folders, too
FIRST_RACERS = ("momentum(lr=0.01)", "rmsprop(lr=0.001)", "adam", "adam(bias_correction=False)")


def first_config() -> TrainConfig:
    """Return what the page offers at first: the real pictures where they are, else their stand-in."""
    return TrainConfig(racers=FIRST_RACERS, data="cifar10" if available("cifar10") else "shapes10")


@dataclass(frozen=True)
class Message:
    """What the component sent: the request as it stands in the browser, and the button that was pressed."""

    query: str
    turn: int  # counts its messages, so that it knows which one is answered
    press: str | None  # one of BUTTONS or ACTS
    run: str | None = None  # id of the run an act is on
    text: str = ""  # its new name or notes, or the kind of file

    @classmethod
    def read(cls, sent: object) -> Self | None:
        """Read the component's state, which may be anything at all; None if it is no message."""
        if not isinstance(sent, dict):
            return None
        query, turn, press = (sent.get(name) for name in ("query", "turn", "press"))
        if not isinstance(query, str) or type(turn) is not int or not 0 < turn < MOST_TURNS:
            return None
        if press is not None and (not isinstance(press, str) or press not in (*BUTTONS, *ACTS)):
            return None
        run, text = sent.get("on"), sent.get("text") or ""
        if run is not None and (not isinstance(run, str) or not RUN.fullmatch(run)):
            return None
        if not isinstance(text, str) or len(text) > MOST_TEXT:
            return None
        return cls(query, turn, press, run, text)


@dataclass(frozen=True)
class LabRequest:
    """A training run to start, the run to look at, and how. Read it with `parse`, write it with `query`."""

    config: TrainConfig = field(default_factory=first_config)
    scale: str = LOOKS["scale"][0]
    view: str = LOOKS["view"][0]
    axis: str = LOOKS["axis"][0]
    quantity: str = LOOKS["quantity"][0]
    steps: str = LOOKS["steps"][0]
    layer: str = ""  # the place of a layer, "each", or "" for all of them together
    run: str | None = None  # id of the run that is shown
    compare: tuple[str, ...] = ()  # ids of the runs beside it
    plane: str = LOOKS["plane"][0]
    ends: str = LOOKS["ends"][0]
    detail: str = LOOKS["detail"][0]
    nth_seed: str = LOOKS["nth_seed"][0]

    @property
    def seed_place(self) -> int:
        """Which of the run's seeds is looked at, from 0."""
        return int(self.nth_seed) - 1

    @classmethod
    def parse(cls, query: str, kept: "LabRequest | None" = None) -> tuple["LabRequest", list[str]]:
        """Read a query; return the request and a sentence for each part that was no good.

        A bad part never raises: it stays as it is in `kept`, by default what the page offers at first.
        """
        request = kept or cls()
        try:
            given = split_query(query)
        except ValueError as problem:
            return request, [str(problem)]
        notices: list[str] = []
        known = kept.config.racers if kept else ()
        settings: dict[str, Any] = {}
        for name, values in given.items():
            try:
                if name in SETTINGS:
                    settings[name] = _setting(name, *_one(name, values))
                else:
                    request = replace(request, **_read(request, name, values, known, notices))
            except ValueError as problem:
                notices.append(str(problem))
        return replace(request, config=_changed(request.config, settings, notices)), notices

    def of(self, run: Run) -> "LabRequest":
        """Return the request that looks at `run` and offers its settings for the next one."""
        try:
            config = TrainConfig.from_json(json.dumps(run.config))
        except (ValueError, TypeError):  # written by a version that knew other settings
            config = self.config
        if not _within_limits(config):
            config = self.config
        return replace(self, config=config, run=run.id)

    def fitting(self, run: Run) -> tuple["LabRequest", list[str]]:
        """Return the request without what `run` does not have, and a sentence for each such part."""
        problems, request = [], self
        layers, seeds = run.layers or [], run.config.get("seeds", 1)
        if layers and self.layer.isdigit() and int(self.layer) >= len(layers):
            problems.append(
                f"layer is {self.layer!r}, but this run's network has layers 0 ({layers[0]}) to "
                f"{len(layers) - 1} ({layers[-1]}); all of them together are shown."
            )
            request = replace(request, layer="")
        if int(self.nth_seed) > seeds:
            has = f"{seeds} seeds" if seeds > 1 else "one seed"
            problems.append(f"nth_seed is {self.nth_seed!r}, but this run has {has}; the first is shown.")
            request = replace(request, nth_seed=LOOKS["nth_seed"][0])
        return request, problems

    def query(self) -> str:
        """Write the request as a query string that `parse` reads back."""
        parts = [("o", notation.replace(" ", "")) for notation in self.config.racers]
        settings = {name: getattr(self.config, name) for name in SETTINGS}
        parts += [
            (name, str(value))
            for name, value in settings.items()
            if value is not None and not (name in SHORT and value == DEFAULTS[name])
        ]
        looks = [(name, getattr(self, name)) for name in LOOKS]
        parts += [(name, value) for name, value in looks if value != LOOKS[name][0]]
        if self.layer:
            parts.append(("layer", self.layer))
        if self.run is not None:
            parts.append(("run", self.run))
        if self.compare:
            parts.append(("compare", ",".join(self.compare)))
        return urlencode(parts)


def _read(
    request: LabRequest, name: str, values: list[str], known: tuple[str, ...], notices: list[str]
) -> dict[str, Any]:
    if name == "o":
        racers = read_racers(values, known, notices)
        return {"config": replace(request.config, racers=racers)} if racers else {}
    if name not in (*SETTINGS, *LOOKS, "layer", "run", "compare"):
        raise unknown("part", name, ["o", *SETTINGS, *LOOKS, "layer", "run", "compare"], "A link")
    (text,) = _one(name, values)
    if name == "compare":
        ids = tuple(dict.fromkeys(filter(None, text.split(","))))
        if len(ids) > MOST_COMPARED or not all(map(RUN.fullmatch, ids)):
            raise ValueError(f"compare is {text[:60]!r}, but takes the ids of at most {MOST_COMPARED} runs.")
        return {"compare": ids}
    if name == "run":
        if text and not RUN.fullmatch(text):
            raise ValueError(f"run is {text[:60]!r}, but takes the eight hexadecimal digits of a run.")
        return {"run": text or None}
    if name == "layer":
        if text and not re.fullmatch("each|[0-9]{1,3}", text):
            raise ValueError(f"layer is {text[:60]!r}, but takes a layer's place, counted from 0, or each.")
        return {"layer": text}
    if text not in LOOKS[name]:
        raise ValueError(f"{name} is {text[:60]!r}, but takes {_listed(LOOKS[name])}.")
    return {name: text}


def _listed(choices: tuple[str, ...]) -> str:
    return " or ".join(choices) if len(choices) < 10 else f"e.g. {' or '.join(choices[:2])}"


def _one(name: str, values: list[str]) -> list[str]:
    if len(values) != 1:
        raise ValueError(f"{name} is given {len(values)} times; give it once.")
    return values


def _setting(name: str, text: str) -> Any:
    """Read a setting of a TrainConfig, which checks its value; an empty one is its default."""
    if not text and (name in OPTIONAL or name in SHORT):
        return DEFAULTS[name]
    if name == "data" and text.startswith(FOLDERS) and text not in offered():
        raise ValueError(
            f"data is {text[:60]!r}, but a page trains on folders in $ADAMSCOPE_HOME/pictures, by name; the "
            "command adamscope train takes any folder."
        )
    if name == "start_from" and not NETWORK.fullmatch(text):
        raise ValueError(
            f"start_from is {text[:60]!r}, but takes the id of a run, with :2 of its third network."
        )
    if name in LIMITS:
        return _whole(name, text)
    if name in NUMBERS:
        try:
            return float(text)
        except ValueError:
            raise ValueError(f"{name} is {text[:60]!r}, but takes a number.") from None
    return text


def _changed(config: TrainConfig, settings: dict[str, Any], notices: list[str]) -> TrainConfig:
    """Change settings: all together, as network and data must fit, or else each that can be."""
    try:
        return replace(config, **settings)
    except ValueError:
        together: list[dict[str, Any]] = [
            {name: settings.pop(name) for name in ("data", "model") if name in settings}
        ]
        alone = [{name: value} for name, value in settings.items()]
        for change in together + alone:
            try:
                config = replace(config, **change)
            except ValueError as problem:
                notices.append(str(problem))
    return config


def read_racers(values: list[str], known: tuple[str, ...], notices: list[str]) -> tuple[str, ...]:
    """Read racers. A bad one is left out; where it changes one of as many known ones, that one stays."""
    racers = []
    for place, value in enumerate(values):
        try:
            racers.append(str(Racer.parse(value)))
        except ValueError as problem:
            notices.append(str(problem))
            if len(known) == len(values):
                racers.append(known[place])
    if len(racers) > MOST_RACERS:
        notices.append(f"{len(racers)} racers are given; the first {MOST_RACERS} train.")
    return tuple(racers[:MOST_RACERS])


def _whole(name: str, text: str) -> int:
    low, high = LIMITS[name]
    if not (re.fullmatch("[0-9]{1,10}", text) and low <= int(text) <= high):
        raise ValueError(f"{name} is {text[:60]!r}, but takes a whole number from {low} to {high:,}.")
    return int(text)


def _within_limits(config: TrainConfig) -> bool:
    given = {name: getattr(config, name) for name in LIMITS}
    if config.data.startswith(FOLDERS) and config.data not in offered():
        return False
    if config.start_from is not None and not NETWORK.fullmatch(config.start_from):
        return False
    return len(config.racers) <= MOST_RACERS and all(
        value is None or LIMITS[name][0] <= value <= LIMITS[name][1] for name, value in given.items()
    )
