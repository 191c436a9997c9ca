"""Learning-rate schedules, in the racers' own notation, equal to torch.optim.lr_scheduler's.

A schedule is a factor on lr at each step, so that one schedule serves every racer of a race, whatever its lr.
`+` puts one schedule after another, as torch's SequentialLR does, and what takes "all" of the steps takes all
that are left: `warmup(total_iters=50)+cosine`. A link's `+` arrives as a blank, which reads the same.

Names, defaults and meaning are torch's, but for what torch gives as a learning rate, which stands here as a
factor on the racer's own: CosineAnnealingLR's eta_min is end_factor·lr, OneCycleLR's max_lr is lr.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optimizers.notation import (
    LONGEST,
    Choice,
    Hyperparameter,
    Value,
    check_values,
    parse_call,
    unknown,
    write_call,
)

ALL = "all"  # as many steps as there are

# A plus or a blank before a name, but not inside parentheses.
_THEN = re.compile(r"(?:\s*\+\s*|\s+)(?=[A-Za-z_])(?![^(]*\))")


def constant(steps: int) -> np.ndarray:
    """1 at every step."""
    return np.ones(steps)


def step(steps: int, step_size: int, gamma: float) -> np.ndarray:
    """γ^⌊k/s⌋ at step k = 0, 1, …: falls to γ of itself every s steps. torch's StepLR."""
    return gamma ** (np.arange(steps) // step_size)


def exponential(steps: int, gamma: float) -> np.ndarray:
    """γᵏ: falls to γ of itself at every step. torch's ExponentialLR."""
    return gamma ** np.arange(steps)


def cosine(steps: int, T_max: int, end_factor: float) -> np.ndarray:
    """η + (1−η)(1 + cos(πk/T))/2: half a wave from 1 to η, and back up after T steps.

    Loshchilov and Hutter, arXiv:1608.03983, eq. 5; torch's CosineAnnealingLR with eta_min = η·lr.
    """
    return end_factor + (1 - end_factor) * (1 + np.cos(np.pi * np.arange(steps) / T_max)) / 2


def warmup(steps: int, total_iters: int, start_factor: float) -> np.ndarray:
    """Rises evenly from start_factor to 1 over total_iters steps, and stays there. torch's LinearLR."""
    return np.interp(np.arange(steps), [0, total_iters], [start_factor, 1])


def one_cycle(
    steps: int, pct_start: float, div_factor: float, final_div_factor: float, linear: float
) -> np.ndarray:
    """Rises from 1/div_factor to 1, then falls to 1/(div_factor·final_div_factor) at the last step.

    The rise takes pct_start of the steps; both are half a cosine wave, or straight. Smith and Topin,
    arXiv:1708.07120; torch's OneCycleLR with cycle_momentum=False, max_lr = lr and total_steps = all. By
    default torch moves momentum or β₁ along with lr, which this does not.
    """
    k = np.arange(steps)
    top, last = pct_start * steps - 1, steps - 1  # counted as torch does: the top may be between two steps
    rises = k <= top
    begin = np.where(rises, 1 / div_factor, 1)
    end = np.where(rises, 1, 1 / div_factor / final_div_factor)
    part = np.where(rises, k / (top or 1), (k - top) / (last - top or 1))
    left = 1 - part if linear else (1 + np.cos(np.pi * part)) / 2
    return end + (begin - end) * left


@dataclass(frozen=True)
class ScheduleEntry:
    """One entry of the catalogue of schedules."""

    name: str
    title: str
    factors: Callable[..., np.ndarray]  # (steps, **arguments) -> (T,), plain NumPy
    purpose: str
    hyperparameters: tuple[Hyperparameter, ...] = ()
    length: str = ""  # the hyperparameter that says after how many steps another may follow; "": none may

    def arguments(self, values: dict[str, Value], steps: int) -> dict[str, Any]:
        """Return the function's own keyword arguments for these values, over `steps` steps."""
        arguments: dict[str, Any] = {}
        for hyper in self.hyperparameters:
            value = values[hyper.name]
            if hyper.choices:
                arguments.update(hyper.choice(value).arguments)
            else:
                arguments[hyper.name] = steps if value == ALL else value
        return arguments


def _count(name: str, symbol: str, default: int | str) -> Hyperparameter:
    return Hyperparameter(
        name,
        symbol,
        default,
        low=1.0,
        high=1e6,
        whole=True,
        word=default if isinstance(default, str) else "",
        slider=(1.0, 1000.0),
        scale="log",
    )


def _gamma(default: float) -> Hyperparameter:
    return Hyperparameter("gamma", "γ", default, slider=(0.0, 0.9999), scale="one_minus_log")


_ENTRIES = (
    ScheduleEntry("constant", "constant", constant, "The same lr throughout."),
    ScheduleEntry(
        "step",
        "steps",
        step,
        "A tenth every so often: large steps to get there, small ones to settle.",
        (_count("step_size", "every", 100), _gamma(0.1)),
    ),
    ScheduleEntry("exponential", "exponential", exponential, "A little less at every step.", (_gamma(0.99),)),
    ScheduleEntry(
        "cosine",
        "cosine",
        cosine,
        "Slowly at first, fast in the middle, slowly to nothing.",
        (
            _count("T_max", "T", ALL),
            Hyperparameter("end_factor", "η", 0.0, slider=(0.0, 1.0)),
        ),
        length="T_max",
    ),
    ScheduleEntry(
        "warmup",
        "warm-up",
        warmup,
        "Small steps until the averages an optimizer keeps have something to average.",
        (
            _count("total_iters", "over", 5),
            Hyperparameter("start_factor", "from", 1 / 3, slider=(0.0, 1.0)),
        ),
        length="total_iters",
    ),
    ScheduleEntry(
        "one_cycle",
        "one cycle",
        one_cycle,
        "Up to a large lr and down to almost none, over the whole walk.",
        (
            Hyperparameter("pct_start", "rise", 0.3, slider=(0.0, 1.0)),
            Hyperparameter(
                "div_factor", "lr/first", 25.0, low=1.0, high=1e6, slider=(1.0, 1000.0), scale="log"
            ),
            Hyperparameter(
                "final_div_factor", "first/last", 1e4, low=1.0, high=1e9, slider=(1.0, 1e6), scale="log"
            ),
            Hyperparameter(
                "anneal_strategy",
                "shape",
                "cos",
                choices=(
                    Choice("cos", (("linear", 0.0),), "", "cosine"),
                    Choice("linear", (("linear", 1.0),), "straight", "straight"),
                ),
            ),
        ),
    ),
)

SCHEDULES: dict[str, ScheduleEntry] = {entry.name: entry for entry in _ENTRIES}


@dataclass(frozen=True)
class Part:
    """One schedule of the catalogue with a value for each of its hyperparameters."""

    name: str
    pairs: tuple[tuple[str, Value], ...] = field(default=(), repr=False)  # what is not given: its default

    def __post_init__(self) -> None:
        """Check the values, and fill in the defaults."""
        if self.name not in SCHEDULES:
            raise unknown("schedule", self.name, SCHEDULES)
        checked = check_values(dict(self.pairs), self.entry.hyperparameters, self.name)
        object.__setattr__(self, "pairs", checked)

    def __str__(self) -> str:
        """Return the canonical notation, defaults left out."""
        return write_call(self.name, self.pairs, self.entry.hyperparameters)

    @property
    def entry(self) -> ScheduleEntry:
        """The catalogue's entry."""
        return SCHEDULES[self.name]

    @property
    def values(self) -> dict[str, Value]:
        """Every hyperparameter's value, by name."""
        return dict(self.pairs)

    @property
    def length(self) -> int | None:
        """After how many steps another may follow; None where it takes all there are."""
        length = self.values.get(self.entry.length, ALL)
        return length if isinstance(length, int) else None

    def factors(self, steps: int) -> NDArray[np.float64]:
        """Return the factor on lr at each of its steps, (steps,)."""
        return self.entry.factors(steps, **self.entry.arguments(self.values, steps))


@dataclass(frozen=True)
class Schedule:
    """One schedule, or several one after another.

    >>> Schedule.parse("warmup(total_iters=2, start_factor=0.5) + step(step_size=1)").factors(5)
    array([0.5 , 0.75, 1.  , 0.1 , 0.01])

    Raises:
        ValueError: an unknown schedule or hyperparameter, a value it does not take, or something after a
            schedule that takes all the steps, in one sentence.
    """

    parts: tuple[Part, ...]

    def __post_init__(self) -> None:
        """Check that each part but the last leaves steps to the next."""
        for part, after in zip(self.parts, self.parts[1:], strict=False):
            if part.length is None:
                length = part.entry.length
                do = f"give {part.name} a number for {length}" if length else f"put {part.name} last"
                raise ValueError(f"{after} can't follow {part}, which takes all the steps: {do}.")

    @classmethod
    def parse(cls, notation: str | Schedule) -> Schedule:
        """Read a schedule from its notation, e.g. `warmup+cosine`; a Schedule passes through."""
        if isinstance(notation, Schedule):
            return notation
        if not isinstance(notation, str):
            raise ValueError(f"{notation!r} is no schedule; write it like cosine or warmup+cosine.")
        if len(notation) > LONGEST:
            parse_call(notation, "schedule")  # says so
        calls = [parse_call(part, "schedule") for part in _THEN.split(notation.strip())]
        return cls(tuple(Part(name, tuple(given.items())) for name, given in calls))  # type: ignore[arg-type]

    def __str__(self) -> str:
        """Return the canonical notation, defaults left out."""
        return "+".join(map(str, self.parts))

    def spans(self, steps: int) -> list[tuple[Part, int]]:
        """Return each part that is reached within `steps` steps, and how many of them it takes."""
        spans, left = [], steps
        for part in self.parts[:-1]:
            spans.append((part, min(part.length or left, left)))
            left -= spans[-1][1]
        return [(part, takes) for part, takes in (*spans, (self.parts[-1], left)) if takes]

    def factors(self, steps: int) -> NDArray[np.float64]:
        """Return the factor on lr at each step, (T,). What is longer than the walk is cut off with it."""
        return np.concatenate([part.factors(takes) for part, takes in self.spans(steps)])
