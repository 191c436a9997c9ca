"""What people need to know of each update rule, and the Racer: a rule with its hyperparameters.

A new optimizer is one function in `rules` and one entry here. Everything else (sliders, tables, colours, the
command line, the tests against torch.optim) is read from the entry.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from optimizers import rules
from optimizers.notation import (
    Choice,
    Hyperparameter,
    Value,
    check_values,
    parse_call,
    unknown,
    write_call,
    write_value,
)


@dataclass(frozen=True)
class Quantity:
    """Something a rule keeps or uses, as the table inside a step shows it."""

    name: str
    label: str
    note: str = ""  # the hyperparameter whose value stands beside the label
    root: bool = False  # shown as its square root, the size that divides
    initial: float | str = 0.0  # what a state starts with: a number, or the hyperparameter that says


@dataclass(frozen=True)
class Twin:
    """The torch.optim class that does the same, how to call it, and where it keeps the state."""

    name: str  # of the class in torch.optim
    arguments: Callable[[Mapping[str, Value]], dict[str, Any] | None]  # None: no twin for these values
    state: Mapping[str, str]  # our state name -> torch's


@dataclass(frozen=True)
class Optimizer:
    """One entry of the catalogue."""

    name: str
    title: str
    rule: Callable[..., rules.Step]
    hyperparameters: tuple[Hyperparameter, ...]
    light: str  # colour on paper
    dark: str  # colour on a dark page
    effective_label: str  # the effective learning rate as a formula
    direction: str  # what the effective learning rate multiplies: "g", a state or a shown quantity
    purpose: str
    citation: str
    states: tuple[Quantity, ...] = ()
    extras: tuple[Quantity, ...] = ()  # shown beside the effective learning rate, in the rule's order
    dash: tuple[float, ...] = ()  # on and off lengths for a line 2.5 px wide; () is a solid line
    twin: Twin | None = None

    @property
    def state(self) -> tuple[str, ...]:
        """Names of the state, in the rule's order."""
        return tuple(quantity.name for quantity in self.states)

    @property
    def shown(self) -> tuple[str, ...]:
        """Names of what the rule shows, in the rule's order."""
        return ("effective_lr", *(quantity.name for quantity in self.extras))


def _lr(default: float) -> Hyperparameter:
    return Hyperparameter("lr", "lr", default, low=0.0, high=1e6, slider=(1e-5, 1.0), scale="log")


def _decay(name: str, symbol: str, default: float) -> Hyperparameter:
    return Hyperparameter(name, symbol, default, below_high=True, slider=(0.0, 0.9999), scale="one_minus_log")


_MOMENTUM = Hyperparameter("momentum", "μ", 0.9, slider=(0.0, 0.999), scale="one_minus_log")


def _eps(default: float) -> Hyperparameter:
    return Hyperparameter("eps", "ε", default, slider=(1e-12, 0.1), scale="log")


_BIAS_CORRECTION = Hyperparameter(
    "bias_correction",
    "bias correction",
    True,
    choices=(
        Choice(True, (("correct_m", 1.0), ("correct_v", 1.0)), "", "both"),
        Choice(False, (("correct_m", 0.0), ("correct_v", 0.0)), "uncorrected", "none", dash=(0.1, 6.0)),
        Choice("first", (("correct_m", 1.0), ("correct_v", 0.0)), "m corrected only", "m", dash=(5.0, 5.0)),
        Choice(
            "second",
            (("correct_m", 0.0), ("correct_v", 1.0)),
            "v corrected only",
            "v",
            dash=(11.0, 5.0, 0.1, 5.0),
        ),
    ),
)

_ENTRIES = (
    Optimizer(
        name="gd",
        title="gradient descent",
        rule=rules.gd,
        hyperparameters=(_lr(1e-3),),
        light="#4a4f58",
        dark="#b9c0cb",
        effective_label="lr",
        direction="g",
        purpose="Step straight downhill, in proportion to the slope.",
        citation="Cauchy, Comptes rendus 25 (1847)",
        twin=Twin("SGD", lambda v: {"lr": v["lr"]}, {}),
    ),
    Optimizer(
        name="momentum",
        title="momentum",
        rule=rules.momentum,
        hyperparameters=(_lr(1e-3), _MOMENTUM),
        light="#b87400",
        dark="#f0b030",
        dash=(18.0, 5.0),  # to the colour-blind, amber and vermilion are one hue
        effective_label="lr",
        direction="m",
        purpose="Keep rolling: add up past gradients, forgetting them slowly.",
        citation="Polyak, USSR Comp. Math. 4 (1964); Sutskever et al., ICML 2013",
        states=(Quantity("m", "m", note="momentum"),),
        twin=Twin("SGD", lambda v: {"lr": v["lr"], "momentum": v["momentum"]}, {"m": "momentum_buffer"}),
    ),
    Optimizer(
        name="nesterov",
        title="Nesterov",
        rule=rules.nesterov,
        hyperparameters=(_lr(1e-3), _MOMENTUM),
        light="#7d4f2e",
        dark="#cf9d77",
        dash=(18.0, 4.0, 5.0, 4.0),
        effective_label="lr",
        direction="look_ahead",
        purpose="Momentum that looks where it is about to be.",
        citation="Nesterov, Soviet Math. Doklady 27 (1983); Sutskever et al., ICML 2013",
        states=(Quantity("m", "m", note="momentum"),),
        extras=(Quantity("look_ahead", "g + μm"),),
        twin=Twin(
            "SGD",
            lambda v: {"lr": v["lr"], "momentum": v["momentum"], "nesterov": True} if v["momentum"] else None,
            {"m": "momentum_buffer"},
        ),
    ),
    Optimizer(
        name="adagrad",
        title="Adagrad",
        rule=rules.adagrad,
        hyperparameters=(_lr(1e-2), _eps(1e-10)),
        light="#00765a",
        dark="#35c79c",
        dash=(6.0, 4.0),
        effective_label="lr/(√v+ε)",
        direction="g",
        purpose="Smaller steps along axes that were steep before, for ever.",
        citation="Duchi, Hazan and Singer, JMLR 12 (2011)",
        states=(Quantity("v", "√v", root=True),),
        twin=Twin("Adagrad", lambda v: {"lr": v["lr"], "eps": v["eps"]}, {"v": "sum"}),
    ),
    Optimizer(
        name="rmsprop",
        title="RMSprop",
        rule=rules.rmsprop,
        hyperparameters=(_lr(1e-2), _decay("alpha", "α", 0.99), _eps(1e-8)),
        light="#0b78af",
        dark="#5cc2f2",
        dash=(10.0, 6.0),
        effective_label="lr/(√v+ε)",
        direction="g",
        purpose="Divide by the recent size of the gradient, axis by axis.",
        citation="Tieleman and Hinton, Coursera lecture 6e (2012)",
        states=(Quantity("v", "√v", note="alpha", root=True),),
        twin=Twin(
            "RMSprop",
            lambda v: {"lr": v["lr"], "alpha": v["alpha"], "eps": v["eps"]},
            {"v": "square_avg"},
        ),
    ),
    Optimizer(
        name="adam",
        title="Adam",
        rule=rules.adam,
        hyperparameters=(
            _lr(1e-3),
            _decay("beta1", "β₁", 0.9),
            _decay("beta2", "β₂", 0.999),
            _eps(1e-8),
            _BIAS_CORRECTION,
        ),
        light="#c8401a",
        dark="#ff7a45",
        effective_label="lr/(√v̂+ε)",
        direction="m_hat",
        purpose="Momentum divided by RMSprop's size, both corrected for starting at zero.",
        citation="Kingma and Ba, ICLR 2015, arXiv:1412.6980",
        states=(Quantity("m", "m", note="beta1"), Quantity("v", "√v", note="beta2", root=True)),
        extras=(Quantity("m_hat", "m̂"), Quantity("v_hat", "√v̂", root=True)),
        twin=Twin(
            "Adam",
            lambda v: (
                {"lr": v["lr"], "betas": (v["beta1"], v["beta2"]), "eps": v["eps"]}
                if v["bias_correction"] is True
                else None
            ),
            {"m": "exp_avg", "v": "exp_avg_sq"},
        ),
    ),
)

OPTIMIZERS: dict[str, Optimizer] = {entry.name: entry for entry in _ENTRIES}


@dataclass(frozen=True)
class Racer:
    """An optimizer with a value for each of its hyperparameters.

    >>> str(Racer.parse("adam(lr=0.05, beta1=0.9, bias_correction=False)"))
    'adam(lr=0.05, bias_correction=False)'

    Raises:
        ValueError: an unknown optimizer or hyperparameter, or a value it does not take, in one sentence.
    """

    name: str
    pairs: tuple[tuple[str, Value], ...] = field(
        default=(), repr=False
    )  # what is not given takes its default

    def __post_init__(self) -> None:
        """Check the values, and fill in the defaults."""
        if self.name not in OPTIMIZERS:
            raise unknown("optimizer", self.name, OPTIMIZERS)
        checked = check_values(dict(self.pairs), self.optimizer.hyperparameters, self.name)
        object.__setattr__(self, "pairs", checked)

    @classmethod
    def parse(cls, notation: str | Racer) -> Racer:
        """Read a racer from its notation, e.g. `adam(lr=0.05)`; a Racer passes through."""
        if isinstance(notation, Racer):
            return notation
        if not isinstance(notation, str):
            raise ValueError(f"{notation!r} is no optimizer; write it like adam or adam(lr=0.05).")
        name, given = parse_call(notation, "optimizer")
        return cls(name, tuple(given.items()))  # type: ignore[arg-type]

    def __str__(self) -> str:
        """Return the canonical notation, defaults left out."""
        return write_call(self.name, self.pairs, self.optimizer.hyperparameters)

    @property
    def optimizer(self) -> Optimizer:
        """The catalogue's entry."""
        return OPTIMIZERS[self.name]

    @property
    def values(self) -> dict[str, Value]:
        """Every hyperparameter's value, by name."""
        return dict(self.pairs)

    @property
    def arguments(self) -> dict[str, float]:
        """The rule's own keyword arguments; bias_correction becomes correct_m, correct_v."""
        arguments: dict[str, float] = {}
        for hyper in self.optimizer.hyperparameters:
            if hyper.choices:
                arguments.update(self._choice(hyper).arguments)
            else:
                arguments[hyper.name] = float(self.values[hyper.name])
        return arguments

    @property
    def initial(self) -> tuple[float, ...]:
        """What each state starts with, in the rule's order."""
        return tuple(
            float(self.values[state.initial]) if isinstance(state.initial, str) else state.initial
            for state in self.optimizer.states
        )

    def change(self, **values: object) -> Racer:
        """Return the same optimizer with some values changed."""
        return Racer(self.name, tuple({**self.values, **values}.items()))  # type: ignore[arg-type]

    def _choice(self, hyper: Hyperparameter) -> Choice:
        return next(choice for choice in hyper.choices if choice.value == self.values[hyper.name])

    @property
    def chosen(self) -> list[Choice]:
        """The choices this racer makes, in the catalogue's order."""
        return [self._choice(hyper) for hyper in self.optimizer.hyperparameters if hyper.choices]


@dataclass(frozen=True)
class Look:
    """How one racer of a race is drawn and named, everywhere."""

    label: str
    light: str
    dark: str
    dash: tuple[float, ...]
    hollow: bool


# Line styles for kin that would otherwise look the same, tried in this order.
_SPARE_DASHES: tuple[tuple[float, ...], ...] = (
    (),
    (10.0, 6.0),
    (16.0, 4.0, 3.0, 4.0),
    (5.0, 4.0),
    (20.0, 6.0),
    (0.1, 6.0),
    (12.0, 4.0, 3.0, 4.0, 3.0, 4.0),
    (5.0, 9.0),
)


def distinct(racers: Iterable[Racer]) -> list[Look]:
    """Give each racer of one race its colour, line style and a name of its own.

    Colour is the optimizer's; a variant (uncorrected Adam) has its own line style and a hollow marker; kin
    that would look the same take the next free line style, and their labels say in what they differ.
    """
    racers = list(racers)
    names = _labels(racers)
    looks: list[Look] = []
    for racer, label in zip(racers, names, strict=True):
        entry = racer.optimizer
        dashes = [choice.dash for choice in racer.chosen if choice.dash is not None]
        look = Look(label, entry.light, entry.dark, dashes[0] if dashes else entry.dash, hollow=bool(dashes))
        taken = {other.dash for other in looks if other.light == look.light}
        if look.dash in taken:
            look = replace(look, dash=next((dash for dash in _SPARE_DASHES if dash not in taken), look.dash))
        looks.append(look)
    return looks


def _labels(racers: list[Racer]) -> list[str]:
    labels = [", ".join([r.optimizer.title, *(c.word for c in r.chosen if c.word)]) for r in racers]
    for label in set(labels):
        kin = [index for index, other in enumerate(labels) if other == label]
        if len(kin) == 1:
            continue
        differing = [
            hyper
            for hyper in racers[kin[0]].optimizer.hyperparameters
            if len({racers[index].values[hyper.name] for index in kin}) > 1
        ]
        for index in kin:
            labels[index] += "".join(
                f", {h.symbol} {write_value(racers[index].values[h.name])}" for h in differing
            )
    seen: dict[str, int] = {}
    for index, label in enumerate(labels):
        seen[label] = seen.get(label, 0) + 1
        if seen[label] > 1:
            labels[index] = f"{label} ({seen[label]})"
    return labels
