"""Learning-rate schedules, in the racers' own notation, equal to torch.optim.lr_scheduler's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from optimizers.notation import Hyperparameter, Value, check_values, parse_call, unknown, write_call


@dataclass(frozen=True)
class ScheduleEntry:
    """One entry of the catalogue of schedules."""

    name: str
    title: str
    factors: Callable[..., NDArray[np.float64]]  # (steps, **hyperparameters) -> (T,)
    hyperparameters: tuple[Hyperparameter, ...] = ()


def _constant(steps: int) -> NDArray[np.float64]:
    return np.ones(steps)


_ENTRIES = (ScheduleEntry("constant", "constant", _constant),)

SCHEDULES: dict[str, ScheduleEntry] = {entry.name: entry for entry in _ENTRIES}


@dataclass(frozen=True)
class Schedule:
    """A schedule with a value for each of its hyperparameters.

    >>> Schedule.parse("constant").factors(3)
    array([1., 1., 1.])

    Raises:
        ValueError: an unknown schedule or hyperparameter, or a value it does not take, in one sentence.
    """

    name: str
    pairs: tuple[tuple[str, Value], ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        """Check the values, and fill in the defaults."""
        if self.name not in SCHEDULES:
            raise unknown("schedule", self.name, SCHEDULES)
        checked = check_values(dict(self.pairs), self.entry.hyperparameters, self.name)
        object.__setattr__(self, "pairs", checked)

    @classmethod
    def parse(cls, notation: str | Schedule) -> Schedule:
        """Read a schedule from its notation, e.g. `cosine(eta_min=0)`; a Schedule passes through."""
        if isinstance(notation, Schedule):
            return notation
        name, given = parse_call(notation, "schedule")
        return cls(name, tuple(given.items()))  # type: ignore[arg-type]

    def __str__(self) -> str:
        """Return the canonical notation, defaults left out."""
        return write_call(self.name, self.pairs, self.entry.hyperparameters)

    @property
    def entry(self) -> ScheduleEntry:
        """The catalogue's entry."""
        return SCHEDULES[self.name]

    @property
    def values(self) -> Mapping[str, Value]:
        """Every hyperparameter's value, by name."""
        return dict(self.pairs)

    def factors(self, steps: int) -> NDArray[np.float64]:
        """Return the factor on lr at each step, (T,)."""
        return self.entry.factors(steps, **self.values)
