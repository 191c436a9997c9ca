"""What a learner asks the page of sweeps for, read from its address and written back to it.

`?o=adam&o=momentum&axis=lr,1e-4,1,5&data=shapes10&epochs=3&method=grid&seeds=1&x=lr&y=optimizer&sweep=1f2e3d4c`
"""

import json
import re
from dataclasses import dataclass, field, replace
from typing import Any, Self
from urllib.parse import urlencode

from app.address import split_query
from app.lab.request import MOST_TURNS, read_racers
from optimizers.notation import unknown
from optimizers.training import TrainConfig
from optimizers.training.data import available
from optimizers.training.sweep import SweepConfig, figure4, networks
from optimizers.training.sweep_store import Sweep
from optimizers.training.sweep_view import MEASURES, chosen_sides

BASE = ("data", "model", "epochs", "batch_size", "seed", "limit", "validation")  # of the recipe
PLAN = ("method", "trials", "factor", "min_epochs", "seeds")  # of the sweep
LOOK = ("x", "y", "measure", "sweep")
LIMITS = {  # of a sweep that a page starts, on a machine that others use too; the command line has wider ones
    "epochs": (1, 200),
    "batch_size": (1, 2_000),
    "seed": (0, 2**32 - 1),
    "limit": (1, 10**9),
    "validation": (10, 20_000),
    "trials": (1, 500),
    "factor": (2, 10),
    "min_epochs": (1, 200),
    "seeds": (1, 10),
}
EMPTY = ("limit", "trials")  # may be left empty
MOST = 500  # networks of a page's sweep
BUTTONS = ("start", "stop", "again", "figure4")  # again: the browser has lost the sweep
FIRST = ("adam", "momentum", "rmsprop")


def first_config() -> SweepConfig:
    """Return what the page offers at first: the learning rate of three optimizers, in a minute or so."""
    data = "cifar10" if available("cifar10") else "shapes10"
    base = TrainConfig(FIRST, data=data, epochs=2, batch_size=128, limit=8_000, validation=2_000)
    return SweepConfig(base, ("lr,1e-4,1,5",))


@dataclass(frozen=True)
class Message:
    """What the component sent: the request as it stands in the browser, and the button that was pressed."""

    query: str
    turn: int  # counts its messages, so that it knows which one is answered
    press: str | None  # of BUTTONS

    @classmethod
    def read(cls, sent: object) -> Self | None:
        """Read the component's state, which may be anything at all; None if it is no message."""
        if not isinstance(sent, dict):
            return None
        query, turn, press = (sent.get(name) for name in ("query", "turn", "press"))
        if not isinstance(query, str) or type(turn) is not int or not 0 < turn < MOST_TURNS:
            return None
        if press is not None and (not isinstance(press, str) or press not in BUTTONS):
            return None
        return cls(query, turn, press)


@dataclass(frozen=True)
class SweepRequest:
    """A sweep to start, the sweep to look at, and how. Read it with `parse`, write it with `query`."""

    config: SweepConfig = field(default_factory=first_config)
    x: str = ""  # what goes across the map; "" lets the page choose
    y: str = ""
    measure: str = "accuracy"  # what the map and the curves show, or loss
    sweep: str | None = None  # id of the sweep that is shown

    @classmethod
    def parse(cls, query: str, kept: "SweepRequest | None" = None) -> tuple["SweepRequest", list[str]]:
        """Read a query; return the request and a sentence for each part that was no good.

        A bad part never raises: it stays as it is in `kept`, by default what the page offers at first.
        """
        request = kept or cls()
        try:
            given = split_query(query)
        except ValueError as problem:
            return request, [str(problem)]
        notices: list[str] = []
        base = request.config.base
        plan: dict[str, Any] = {}
        look: dict[str, Any] = {}
        for name, values in given.items():
            try:
                if name in ("o", "axis"):
                    continue
                text = _alone(name, values)
                if name in LOOK:
                    look[name] = _look(name, text)
                elif name in BASE:
                    base = replace(base, **{name: _value(name, text)})
                else:
                    plan[name] = _value(name, text)
            except ValueError as problem:
                notices.append(str(problem))
        racers = read_racers(given.get("o", []), request.config.base.racers if kept else (), notices)
        asked = [text for text in given.get("axis", []) if text.strip()]
        config = _config(request.config, base, racers, asked, plan, notices)
        return replace(request, config=config, **look), notices

    def of(self, sweep: Sweep) -> "SweepRequest":
        """Return the request that looks at `sweep` and offers its settings for the next one."""
        try:
            config = SweepConfig.from_json(json.dumps(sweep.config))
        except (ValueError, TypeError):  # written by a version that knew other settings
            config = self.config
        if not _within_limits(config):
            config = self.config
        return replace(self, config=config, sweep=sweep.id)

    def figure4(self) -> "SweepRequest":
        """Return the question of the Adam paper's figure 4, on the same network and pictures."""
        config = figure4(self.config.base, self.config.seeds)
        return replace(self, config=config, x="lr", y="beta2")

    def query(self) -> str:
        """Write the request as a query string that `parse` reads back."""
        base = self.config.base
        parts = [("o", notation.replace(" ", "")) for notation in base.racers]
        parts += [("axis", text) for text in self.config.axes]
        settings = [(name, getattr(base, name)) for name in BASE]
        settings += [(name, getattr(self.config, name)) for name in PLAN]
        if self.config.method != "halving":
            settings = [pair for pair in settings if pair[0] not in ("factor", "min_epochs")]
        parts += [(name, str(value)) for name, value in settings if value is not None]
        looks = [
            ("x", self.x),
            ("y", self.y),
            ("measure", self.measure if self.measure != "accuracy" else ""),
        ]
        parts += [(name, value) for name, value in [*looks, ("sweep", self.sweep or "")] if value]
        return urlencode(parts)

    def sides(self, config: SweepConfig) -> tuple[str, str]:
        """Return what goes across the map of a sweep, and what goes up."""
        return chosen_sides(config, self.x, self.y)


def _alone(name: str, values: list[str]) -> str:
    known = ("o", "axis", *BASE, *PLAN, *LOOK)
    if name not in known:
        raise unknown("part", name, known, "A link")
    if len(values) != 1:
        raise ValueError(f"{name} is given {len(values)} times; give it once.")
    return values[0]


def _look(name: str, text: str) -> str | None:
    if name == "sweep":
        if text and not re.fullmatch("[0-9a-f]{8}", text):
            raise ValueError(f"sweep is {text[:60]!r}, but takes the eight hexadecimal digits of a sweep.")
        return text or None
    if name == "measure" and text not in MEASURES:
        raise ValueError(f"measure is {text[:60]!r}, but takes {' or '.join(MEASURES)}.")
    return text[:60]


def _value(name: str, text: str) -> Any:
    if name not in LIMITS:
        return text
    if name in EMPTY and not text:
        return None
    low, high = LIMITS[name]
    if not (re.fullmatch("[0-9]{1,10}", text) and low <= int(text) <= high):
        raise ValueError(f"{name} is {text[:60]!r}, but takes a whole number from {low} to {high:,}.")
    return int(text)


def _config(
    known: SweepConfig,
    base: TrainConfig,
    racers: tuple[str, ...],
    axes: list[str],
    plan: dict[str, Any],
    notices: list[str],
) -> SweepConfig:
    """Put a sweep together; what does not go together stays as it was, and is said."""
    plan = {name: getattr(known, name) for name in PLAN} | plan
    if plan["method"] == "grid":
        plan["trials"] = None
    elif plan["method"] == "random" and plan["trials"] is None:
        plan["trials"] = 20
    racers, asked = racers or known.base.racers, tuple(axes) or known.axes
    as_known = {name: getattr(known, name) for name in PLAN}
    tries = (
        (replace(base, racers=racers), asked, plan),
        (replace(base, racers=racers), known.axes, plan),
        (replace(base, racers=known.base.racers), known.axes, plan),
        (replace(base, racers=known.base.racers), known.axes, as_known),
    )
    for recipe, sides, method in tries:
        try:
            config = SweepConfig(recipe, sides, **method)
            if networks(config) > MOST:
                raise ValueError(
                    f"This sweep has {networks(config):,} networks, but takes at most {MOST} from a page."
                )
        except ValueError as problem:
            if str(problem) not in notices:
                notices.append(str(problem))
        else:
            return config
    return known


def _within_limits(config: SweepConfig) -> bool:
    given = {name: getattr(config.base if name in BASE else config, name) for name in LIMITS}
    return networks(config) <= MOST and all(
        value is None or LIMITS[name][0] <= value <= LIMITS[name][1] for name, value in given.items()
    )
