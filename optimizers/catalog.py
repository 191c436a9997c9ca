"""What people need to know of each update rule, and the Racer: a rule with its hyperparameters.

A new optimizer is one function in `rules` and one entry here. Everything else (sliders, tables, colours, the
command line, the tests against torch.optim) is read from the entry.
"""

from __future__ import annotations

import math
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

Values = Mapping[str, Value]  # a racer's hyperparameters by name


@dataclass(frozen=True)
class Quantity:
    """Something a rule keeps or uses, as the table inside a step shows it."""

    name: str
    label: str
    note: str = ""  # the hyperparameter whose value stands beside the label
    root: bool = False  # shown as its square root, the size that divides
    initial: float | str = 0.0  # what a state starts with: a number, or the hyperparameter that says
    shared: bool = False  # a state that is the same for every coordinate
    when: Callable[[Values], object] | None = None  # whether a racer's options use it; None: always
    otherwise: str = ""  # what it is the same as where they do not: "g", a state or a shown quantity


@dataclass(frozen=True)
class Twin:
    """The torch.optim class that does the same, how to call it, and where it keeps the state."""

    name: str  # of the class in torch.optim
    arguments: Callable[[Values], dict[str, Any] | None]  # None: no twin for these values
    state: Mapping[str, str]  # our state name -> torch's, which has it where our Quantity is shown


@dataclass(frozen=True)
class Optimizer:
    """One entry of the catalogue."""

    name: str
    title: str
    rule: Callable[..., rules.Step]
    hyperparameters: tuple[Hyperparameter, ...]
    light: str  # colour on paper
    dark: str  # colour on a dark page
    effective_label: str | Callable[[Values], str]  # the effective learning rate as a formula
    direction: str  # what the effective learning rate multiplies: "g", a state or a shown quantity
    purpose: str
    citation: str
    states: tuple[Quantity, ...] = ()
    extras: tuple[Quantity, ...] = ()  # shown beside the effective learning rate, in the rule's order
    dash: tuple[float, ...] = ()  # on and off lengths for a line 2.5 px wide; () is a solid line
    twin: Twin | None = None
    eps_under_root: bool = False  # √(v + ε), where no option says so
    # Curvature times effective lr up to which a factor that rests is stable on a quadratic; None: unknown.
    stability: Callable[[Values], float | None] | None = None

    @property
    def state(self) -> tuple[str, ...]:
        """Names of the state, in the rule's order."""
        return tuple(quantity.name for quantity in self.states)

    @property
    def shown(self) -> tuple[str, ...]:
        """Names of what the rule shows, in the rule's order."""
        return ("effective_lr", *(quantity.name for quantity in self.extras))

    def arguments(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the rule's own keyword arguments for these values; a choice becomes its flags."""
        initial = {state.initial for state in self.states}  # where a state starts is no argument
        arguments: dict[str, Any] = {}
        for hyper in self.hyperparameters:
            if hyper.choices:
                arguments.update(hyper.choice(values[hyper.name]).arguments)
            elif hyper.name not in initial:
                arguments[hyper.name] = values[hyper.name]
        return arguments

    def initial(self, values: Mapping[str, Any]) -> tuple[Any, ...]:
        """Return what each state starts with for these values, in the rule's order."""
        return tuple(
            values[state.initial] if isinstance(state.initial, str) else state.initial
            for state in self.states
        )


def _lr(default: float) -> Hyperparameter:
    top = max(1.0, 10 * default if default >= 1 else 0.0)
    return Hyperparameter("lr", "lr", default, low=0.0, high=1e6, slider=(1e-5, top), scale="log")


def _decay(name: str, symbol: str, default: float) -> Hyperparameter:
    return Hyperparameter(name, symbol, default, below_high=True, slider=(0.0, 0.9999), scale="one_minus_log")


def _momentum(default: float) -> Hyperparameter:
    return Hyperparameter("momentum", "μ", default, slider=(0.0, 0.999), scale="one_minus_log")


def _eps(default: float) -> Hyperparameter:
    return Hyperparameter("eps", "ε", default, slider=(min(1e-12, default), 0.1), scale="log")


def _rate(name: str, symbol: str, default: float = 0.0, *, high: float = 1e6) -> Hyperparameter:
    """Return a hyperparameter that is off at 0."""
    return Hyperparameter(
        name, symbol, default, high=high, slider=(1e-6, 1.0), scale="log", aside=not default
    )


def _flag(name: str, symbol: str, word: str) -> Hyperparameter:
    """Return a choice between False, as torch has it by default, and True."""
    no = Choice(False, ((name, 0.0),), "", "no")
    yes = Choice(True, ((name, 1.0),), word, "yes")
    return Hyperparameter(name, symbol, False, choices=(no, yes), aside=True)


_SYMBOLS = {"beta": "β", "beta1": "β₁", "beta2": "β₂", "beta3": "β₃", "alpha": "α", "gamma": "γ", "rho": "ρ"}


def hyperparameter(name: str, default: Value) -> Hyperparameter:
    """Return a hyperparameter as the catalogue would have it, by what its name says.

    >>> hyperparameter("beta1", 0.9).takes
    'a number at least 0 and below 1'
    """
    if isinstance(default, bool):
        return replace(_flag(name, name, name), default=default, aside=False)
    value, symbol = float(default), _SYMBOLS.get(name, name)
    if name == "lr":
        return _lr(value)
    if name == "momentum":
        return _momentum(value)
    if name == "eps":
        return _eps(value)
    if name in _SYMBOLS and value < 1:
        return _decay(name, symbol, value)
    return Hyperparameter(name, symbol, value, high=1e6, slider=(0.0, max(1.0, 4 * value)))


def _digits(value: float) -> float:
    """Round to 15 digits: 0.1/(1 − 0.9) is 1, whatever 1 − 0.9 is in binary."""
    return float(f"{value:.15g}")


def _other_momentum(values: Values, convention: Value, t: int) -> tuple[dict[str, Value], str] | None:
    """What a gradient weighs in the step at once: lr, or (1−μ)·lr where m is an average."""
    lr, momentum = float(values["lr"]), float(values["momentum"])
    if "ema" in (values["convention"], convention) and momentum == 1:
        return None
    if convention == "ema":
        lr = _digits(lr / (1 - momentum))
    if values["convention"] == "ema":
        lr = _digits(lr * (1 - momentum))
    held = "sutskever" in (values["convention"], convention)  # an lr inside m stays there when lr changes
    return ({"lr": lr}, "while lr is constant" if held else "") if lr <= 1e6 else None


def _other_eps(values: Values, placement: Value, t: int) -> tuple[dict[str, Value], str] | None:
    """ε outside the root at step t, put elsewhere: beside √v it is √(1−β₂ᵗ) as large, inside squared."""
    eps, now = float(values["eps"]), values["eps_placement"]
    corrected = values.get("bias_correction", True) in (True, "second")
    kept = 1 - float(values["beta2"]) ** t if "beta2" in values and corrected else 1.0
    outside = {"outside": eps, "inside": math.sqrt(eps), "hat": eps / math.sqrt(kept)}[str(now)]
    eps = {"outside": outside, "inside": outside * outside, "hat": outside * math.sqrt(kept)}[str(placement)]
    cases = [f"at step {t}"] if "hat" in (now, placement) and kept < 1 else []
    cases += ["to within a factor of √2"] if "inside" in (now, placement) and eps else []
    return ({"eps": _digits(eps)}, " ".join(cases)) if eps <= 1 else None


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
_CONVENTION = Hyperparameter(
    "convention",
    "convention",
    "pytorch",
    choices=(
        Choice("pytorch", (("sutskever", 0.0), ("ema", 0.0)), "", "PyTorch"),
        Choice("sutskever", (("sutskever", 1.0), ("ema", 0.0)), "Sutskever's", "Sutskever"),
        Choice("ema", (("sutskever", 0.0), ("ema", 1.0)), "averaged", "EMA"),
    ),
    convert=_other_momentum,
    aside=True,
)
_EPS_PLACEMENT = Hyperparameter(
    "eps_placement",
    "ε",
    "outside",
    choices=(
        Choice("outside", (("eps_inside", 0.0), ("eps_hat", 0.0)), "", "outside √"),
        Choice("inside", (("eps_inside", 1.0), ("eps_hat", 0.0)), "ε inside √", "inside √"),
        Choice("hat", (("eps_inside", 0.0), ("eps_hat", 1.0)), "ε̂", "hat ε̂"),
    ),
    convert=_other_eps,
    aside=True,
)
_EPS_IN_OR_OUT = replace(
    _EPS_PLACEMENT,
    choices=tuple(
        replace(choice, arguments=choice.arguments[:1])
        for choice in _EPS_PLACEMENT.choices
        if choice.value != "hat"
    ),
)
_WEIGHT_DECAY = _rate("weight_decay", "λ")
_DECOUPLED = _flag("decoupled_weight_decay", "decoupled λ", "decoupled decay")

_DECAYED = Quantity("decayed", "g + λθ", when=lambda v: v["weight_decay"], otherwise="g")
_DECAY = Quantity("decay", "lr·λθ", when=lambda v: v["weight_decay"])
_EITHER_DECAYED = replace(_DECAYED, when=lambda v: v["weight_decay"] and not v["decoupled_weight_decay"])
_EITHER_DECAY = replace(_DECAY, when=lambda v: v["weight_decay"] and v["decoupled_weight_decay"])
_M = Quantity("m", "m", note="beta1")
_V = Quantity("v", "√v", note="beta2", root=True)
_M_HAT = Quantity("m_hat", "m̂")
_V_HAT = Quantity("v_hat", "√v̂", root=True)
_LR_T = Quantity("lr_t", "lr·√(1−β₂ᵗ)/(1−β₁ᵗ)", when=lambda v: v["eps_placement"] == "hat")
_ADAM_STATE = {"m": "exp_avg", "v": "exp_avg_sq"}


def _heavy_ball_stability(v: Values) -> float:
    """Where a root of (z−1)(z−μ) + k·z·(…) reaches −1."""
    momentum, kept = float(v["momentum"]), 1 - float(v["dampening"])
    entering = 1 - momentum if v["convention"] == "ema" else 1.0
    weight = 1 + momentum + momentum * kept if v["nesterov"] else kept
    return 2 * (1 + momentum) / (entering * weight) if entering * weight else math.inf


def _averaged_stability(v: Values) -> float:
    """Momentum that averages: 38 at β₁ = 0.9. Cohen et al., arXiv:2207.14484."""
    return 2 * (1 + float(v["beta1"])) / (1 - float(v["beta1"]))


def _size(root: str, v: Values) -> str:
    """Return lr over the size that divides, ε where this racer has it."""
    if v["eps_placement"] == "inside":
        return f"lr/√({root}+ε)"
    rooted = f"√{root}" if len(root) <= 2 else f"√({root})"
    return f"lr/({rooted}+ε̂/√(1−β₂ᵗ))" if v["eps_placement"] == "hat" else f"lr/({rooted}+ε)"


def _rmsprop_label(v: Values) -> str:
    return "lr" if v["momentum"] else _size("v−ḡ²" if v["centered"] else "v", v)


def _adam_arguments(v: Values) -> dict[str, Any] | None:
    if v.get("bias_correction", True) is not True or v.get("eps_placement", "outside") != "outside":
        return None
    beta1, beta2 = v["beta1"], v["beta2"]
    ours = ("beta1", "beta2", "bias_correction", "eps_placement")
    return {"betas": (beta1, beta2), **{name: value for name, value in v.items() if name not in ours}}


def _sgd_arguments(v: Values) -> dict[str, Any] | None:
    """None where torch refuses: Nesterov without momentum or with dampening, dampening without momentum."""
    if v["convention"] != "pytorch" or (v["nesterov"] and (v["dampening"] or not v["momentum"])):
        return None
    if v["dampening"] and not v["momentum"]:
        return None
    return {name: value for name, value in v.items() if name != "convention"}


_ENTRIES = (
    Optimizer(
        name="gd",
        title="gradient descent",
        rule=rules.gd,
        hyperparameters=(_lr(1e-3), _WEIGHT_DECAY),
        light="#4a4f58",
        dark="#b9c0cb",
        effective_label="lr",
        direction="decayed",
        purpose="Step straight downhill, in proportion to the slope.",
        citation="Cauchy, Comptes rendus 25 (1847)",
        extras=(_DECAYED,),
        twin=Twin("SGD", dict, {}),
        stability=lambda v: 2.0,
    ),
    Optimizer(
        name="momentum",
        title="momentum",
        rule=rules.momentum,
        hyperparameters=(
            _lr(1e-3),
            _momentum(0.9),
            _rate("dampening", "τ", high=1.0),
            _WEIGHT_DECAY,
            _flag("nesterov", "Nesterov", "looking ahead"),
            _CONVENTION,
        ),
        light="#b87400",
        dark="#f0b030",
        dash=(18.0, 5.0),  # to the colour-blind, amber and vermilion are one hue
        effective_label=lambda v: "1" if v["convention"] == "sutskever" else "lr",
        direction="look_ahead",
        purpose="Keep rolling: add up past gradients, forgetting them slowly.",
        citation="Polyak, USSR Comp. Math. 4 (1964); Sutskever et al., ICML 2013",
        states=(Quantity("m", "m", note="momentum"),),
        extras=(
            _DECAYED,
            Quantity("look_ahead", "g + μm", when=lambda v: v["nesterov"], otherwise="m"),
        ),
        twin=Twin("SGD", _sgd_arguments, {"m": "momentum_buffer"}),
        stability=_heavy_ball_stability,
    ),
    Optimizer(
        name="nesterov",
        title="Nesterov",
        rule=rules.nesterov,
        hyperparameters=(_lr(1e-3), _momentum(0.9), _WEIGHT_DECAY),
        light="#7d4f2e",
        dark="#cf9d77",
        dash=(18.0, 4.0, 5.0, 4.0),
        effective_label="lr",
        direction="look_ahead",
        purpose="Momentum that looks where it is about to be.",
        citation="Nesterov, Soviet Math. Doklady 27 (1983); Sutskever et al., ICML 2013",
        states=(Quantity("m", "m", note="momentum"),),
        extras=(_DECAYED, Quantity("look_ahead", "g + μm")),
        twin=Twin(
            "SGD", lambda v: {**v, "nesterov": True} if v["momentum"] else None, {"m": "momentum_buffer"}
        ),
        stability=lambda v: 2 * (1 + float(v["momentum"])) / (1 + 2 * float(v["momentum"])),
    ),
    Optimizer(
        name="adagrad",
        title="Adagrad",
        rule=rules.adagrad,
        hyperparameters=(
            _lr(1e-2),
            _eps(1e-10),
            _rate("lr_decay", "η"),
            _WEIGHT_DECAY,
            _rate("initial_accumulator_value", "v₀"),
        ),
        light="#00765a",
        dark="#35c79c",
        dash=(6.0, 4.0),
        effective_label=lambda v: "lr/(1+(t−1)η)/(√v+ε)" if v["lr_decay"] else "lr/(√v+ε)",
        direction="decayed",
        purpose="Smaller steps along axes that were steep before, for ever.",
        citation="Duchi, Hazan and Singer, JMLR 12 (2011)",
        states=(Quantity("v", "√v", root=True, initial="initial_accumulator_value"),),
        extras=(_DECAYED,),
        twin=Twin("Adagrad", dict, {"v": "sum"}),
        stability=lambda v: 2.0,
    ),
    Optimizer(
        name="rmsprop",
        title="RMSprop",
        rule=rules.rmsprop,
        hyperparameters=(
            _lr(1e-2),
            _decay("alpha", "α", 0.99),
            _eps(1e-8),
            _momentum(0.0),
            _WEIGHT_DECAY,
            _flag("centered", "centered", "centered"),
            _EPS_IN_OR_OUT,
        ),
        light="#0b78af",
        dark="#5cc2f2",
        dash=(10.0, 6.0),
        effective_label=_rmsprop_label,
        direction="m",
        purpose="Divide by the recent size of the gradient, axis by axis.",
        citation="Tieleman and Hinton, Coursera lecture 6e (2012)",
        states=(
            Quantity("v", "√v", note="alpha", root=True),
            Quantity("g_mean", "ḡ", note="alpha", when=lambda v: v["centered"]),
            Quantity("m", "m", note="momentum", when=lambda v: v["momentum"], otherwise="decayed"),
        ),
        extras=(
            _DECAYED,
            Quantity("spread", "√(v−ḡ²)", root=True, when=lambda v: v["centered"], otherwise="v"),
        ),
        twin=Twin(
            "RMSprop",
            lambda v: (
                {name: value for name, value in v.items() if name != "eps_placement"}
                if v["eps_placement"] == "outside"
                else None
            ),
            {"v": "square_avg", "g_mean": "grad_avg", "m": "momentum_buffer"},
        ),
        stability=lambda v: None if v["momentum"] else 2.0,
    ),
    Optimizer(
        name="adadelta",
        title="Adadelta",
        rule=rules.adadelta,
        hyperparameters=(_lr(1.0), _decay("rho", "ρ", 0.9), _eps(1e-6), _WEIGHT_DECAY),
        light="#4c7f1f",
        dark="#9ccc65",
        dash=(5.0, 4.0, 5.0, 10.0),
        effective_label="lr·√(u+ε)/√(v+ε)",
        direction="decayed",
        purpose="Divide by the recent size of the gradient, multiply by that of the steps: no lr to tune.",
        citation="Zeiler, arXiv:1212.5701",
        states=(
            Quantity("u", "√u", note="rho", root=True),
            Quantity("v", "√v", note="rho", root=True),
        ),
        extras=(_DECAYED,),
        twin=Twin("Adadelta", dict, {"u": "acc_delta", "v": "square_avg"}),
        eps_under_root=True,
        stability=lambda v: 2.0,
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
            _WEIGHT_DECAY,
            _EPS_PLACEMENT,
        ),
        light="#c8401a",
        dark="#ff7a45",
        effective_label=lambda v: _size("v̂", v),
        direction="m_hat",
        purpose="Momentum divided by RMSprop's size, both corrected for starting at zero.",
        citation="Kingma and Ba, ICLR 2015, arXiv:1412.6980",
        states=(_M, _V),
        extras=(_DECAYED, _M_HAT, _V_HAT, _LR_T),
        twin=Twin("Adam", _adam_arguments, _ADAM_STATE),
        stability=_averaged_stability,
    ),
    Optimizer(
        name="adamw",
        title="AdamW",
        rule=rules.adamw,
        hyperparameters=(
            _lr(1e-3),
            _decay("beta1", "β₁", 0.9),
            _decay("beta2", "β₂", 0.999),
            _eps(1e-8),
            _rate("weight_decay", "λ", 1e-2),
            _EPS_PLACEMENT,
        ),
        light="#b8336a",
        dark="#ff7fae",
        dash=(9.0, 4.0, 9.0, 10.0),
        effective_label=lambda v: _size("v̂", v),
        direction="m_hat",
        purpose="Adam whose weight decay is not divided by the gradient's size.",
        citation="Loshchilov and Hutter, ICLR 2019, arXiv:1711.05101",
        states=(_M, _V),
        extras=(_M_HAT, _V_HAT, _LR_T, _DECAY),
        twin=Twin("AdamW", _adam_arguments, _ADAM_STATE),
        stability=_averaged_stability,
    ),
    Optimizer(
        name="amsgrad",
        title="AMSGrad",
        rule=rules.amsgrad,
        hyperparameters=(
            _lr(1e-3),
            _decay("beta1", "β₁", 0.9),
            _decay("beta2", "β₂", 0.999),
            _eps(1e-8),
            _WEIGHT_DECAY,
        ),
        light="#8c2f39",
        dark="#f0828c",
        dash=(16.0, 4.0, 3.0, 4.0, 3.0, 4.0),
        effective_label="lr/(√v̂+ε)",
        direction="m_hat",
        purpose="Adam that never lets its steps grow again: it divides by the greatest size so far.",
        citation="Reddi, Kale and Kumar, ICLR 2018, arXiv:1904.09237",
        states=(_M, _V, Quantity("v_max", "√vₘₐₓ", root=True)),
        extras=(_DECAYED, _M_HAT, _V_HAT),
        twin=Twin(
            "Adam",
            lambda v: {**arguments, "amsgrad": True} if (arguments := _adam_arguments(v)) else None,
            {**_ADAM_STATE, "v_max": "max_exp_avg_sq"},
        ),
        stability=_averaged_stability,
    ),
    Optimizer(
        name="adamax",
        title="Adamax",
        rule=rules.adamax,
        hyperparameters=(
            _lr(2e-3),
            _decay("beta1", "β₁", 0.9),
            _decay("beta2", "β₂", 0.999),
            _eps(1e-8),
            _WEIGHT_DECAY,
        ),
        light="#a8630a",
        dark="#e0a060",
        dash=(4.0, 4.0, 4.0, 4.0, 0.1, 4.0),
        effective_label="lr/u",
        direction="m_hat",
        purpose="Adam that divides by the greatest recent gradient instead of its mean size.",
        citation="Kingma and Ba, ICLR 2015, arXiv:1412.6980, §7.1",
        states=(_M, Quantity("u", "u", note="beta2")),
        extras=(_DECAYED, _M_HAT),
        twin=Twin("Adamax", _adam_arguments, {"m": "exp_avg", "u": "exp_inf"}),
        stability=_averaged_stability,
    ),
    Optimizer(
        name="nadam",
        title="NAdam",
        rule=rules.nadam,
        hyperparameters=(
            _lr(2e-3),
            _decay("beta1", "β₁", 0.9),
            _decay("beta2", "β₂", 0.999),
            _eps(1e-8),
            _rate("momentum_decay", "ψ", 4e-3),
            _WEIGHT_DECAY,
            _DECOUPLED,
        ),
        light="#d1495b",
        dark="#ffa08a",
        dash=(14.0, 5.0, 0.1, 5.0),
        effective_label="lr/(√v̂+ε)",
        direction="m_bar",
        purpose="Adam that looks ahead as Nesterov's momentum does.",
        citation="Dozat, ICLR workshop 2016",
        states=(_M, _V, Quantity("mu_product", "Πμ", initial=1.0, shared=True)),
        extras=(_EITHER_DECAYED, Quantity("m_bar", "m̄"), _V_HAT, _EITHER_DECAY),
        twin=Twin("NAdam", _adam_arguments, {**_ADAM_STATE, "mu_product": "mu_product"}),
        stability=lambda v: _averaged_stability(v) / (1 + 2 * float(v["beta1"])),
    ),
    Optimizer(
        name="radam",
        title="RAdam",
        rule=rules.radam,
        hyperparameters=(
            _lr(1e-3),
            _decay("beta1", "β₁", 0.9),
            _decay("beta2", "β₂", 0.999),
            _eps(1e-8),
            _WEIGHT_DECAY,
            _DECOUPLED,
        ),
        light="#8a3ea8",
        dark="#cf93ec",
        dash=(14.0, 5.0, 0.1, 5.0, 0.1, 5.0),
        effective_label="lr·r·√(1−β₂ᵗ)/(√v+ε), lr while ρ ≤ 5",
        direction="m_hat",
        purpose="Adam that is plain momentum until v has seen enough steps to be trusted.",
        citation="Liu et al., ICLR 2020, arXiv:1908.03265",
        states=(_M, _V),
        extras=(_EITHER_DECAYED, _M_HAT, Quantity("rho", "ρ"), _EITHER_DECAY),
        twin=Twin("RAdam", _adam_arguments, _ADAM_STATE),
        stability=_averaged_stability,
    ),
    Optimizer(
        name="yogi",
        title="Yogi",
        rule=rules.yogi,
        hyperparameters=(
            _lr(1e-2),
            _decay("beta1", "β₁", 0.9),
            _decay("beta2", "β₂", 0.999),
            _eps(1e-3),
            _rate("initial_accumulator_value", "v₀", 1e-6),
        ),
        light="#5b57c8",
        dark="#a6a3ff",
        dash=(10.0, 4.0, 3.0, 4.0),
        effective_label="lr/(√v+ε)",
        direction="m",
        purpose="Adam that forgets a large gradient slowly, so that its steps do not leap.",
        citation="Zaheer et al., NeurIPS 2018",
        states=(_M, replace(_V, initial="initial_accumulator_value")),
        stability=_averaged_stability,
    ),
    Optimizer(
        name="adabelief",
        title="AdaBelief",
        rule=rules.adabelief,
        hyperparameters=(
            _lr(1e-3),
            _decay("beta1", "β₁", 0.9),
            _decay("beta2", "β₂", 0.999),
            _eps(1e-16),
        ),
        light="#0f7f8c",
        dark="#4dd0d8",
        dash=(4.0, 8.0),
        effective_label="lr/(√ŝ+ε)",
        direction="m_hat",
        purpose="Adam that takes long steps where the gradient is as expected.",
        citation="Zhuang et al., NeurIPS 2020, arXiv:2010.07468",
        states=(_M, Quantity("s", "√s", note="beta2", root=True)),
        extras=(_M_HAT, Quantity("s_hat", "√ŝ", root=True)),
        stability=_averaged_stability,
    ),
    Optimizer(
        name="signsgd",
        title="signSGD",
        rule=rules.signsgd,
        hyperparameters=(_lr(1e-3), _momentum(0.0)),
        light="#6f7a12",
        dark="#c3c24a",
        dash=(0.1, 5.0, 0.1, 10.0),
        effective_label="lr",
        direction="direction",
        purpose="A step of lr along each axis, whatever the slope's size.",
        citation="Bernstein et al., ICML 2018, arXiv:1802.04434",
        states=(Quantity("m", "m", note="momentum", when=lambda v: v["momentum"], otherwise="g"),),
        extras=(Quantity("direction", "sign"),),
    ),
    Optimizer(
        name="lion",
        title="Lion",
        rule=rules.lion,
        hyperparameters=(
            _lr(1e-4),
            _decay("beta1", "β₁", 0.9),
            _decay("beta2", "β₂", 0.99),
            _WEIGHT_DECAY,
        ),
        light="#9a7d00",
        dark="#e8cf4a",
        dash=(20.0, 4.0, 4.0, 4.0, 4.0, 4.0),
        effective_label="lr",
        direction="direction",
        purpose="The sign of a momentum: every axis moves by lr.",
        citation="Chen et al., NeurIPS 2023, arXiv:2302.06675",
        states=(Quantity("m", "m", note="beta2"),),
        extras=(
            Quantity("mixed", "β₁m + (1−β₁)g", note="beta1"),
            Quantity("direction", "sign"),
            _DECAY,
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

    def __repr__(self) -> str:
        """Return what makes it again."""
        return f"Racer.parse({str(self)!r})"

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
        return self.optimizer.arguments(self.values)

    @property
    def initial(self) -> tuple[float, ...]:
        """What each state starts with, in the rule's order."""
        return self.optimizer.initial(self.values)

    def uses(self, quantity: Quantity) -> bool:
        """Tell whether this racer's options use what the rule keeps or shows."""
        return quantity.when is None or bool(quantity.when(self.values))

    @property
    def direction(self) -> str:
        """What the effective learning rate multiplies: "g", or the name of a state or shown quantity."""
        quantities = {q.name: q for q in (*self.optimizer.states, *self.optimizer.extras)}
        name = self.optimizer.direction
        while name in quantities and not self.uses(quantities[name]):
            name = quantities[name].otherwise
        return name

    @property
    def effective_label(self) -> str:
        """The effective learning rate as a formula."""
        label = self.optimizer.effective_label
        return label if isinstance(label, str) else label(self.values)

    def change(self, **values: object) -> Racer:
        """Return the same optimizer with some values changed."""
        return Racer(self.name, tuple({**self.values, **values}.items()))  # type: ignore[arg-type]

    @property
    def chosen(self) -> list[Choice]:
        """The choices this racer makes, in the catalogue's order."""
        return [
            hyper.choice(self.values[hyper.name]) for hyper in self.optimizer.hyperparameters if hyper.choices
        ]


@dataclass(frozen=True)
class Equivalent:
    """A racer in another convention that takes the same steps."""

    racer: Racer
    when: str  # where it does; "" is everywhere


def equivalents(racer: str | Racer, t: int = 1) -> list[Equivalent]:
    """Return, for each other convention there is, the racer that takes the same steps in it.

    An ε that stands beside the uncorrected root acts differently at each step; it agrees at step t.

    >>> for same in equivalents("momentum(lr=0.01)"):
    ...     print(same.racer, "|", same.when or "always")
    momentum(lr=0.01, convention=sutskever) | while lr is constant
    momentum(lr=0.1, convention=ema) | always
    """
    racer = Racer.parse(racer)
    return [
        Equivalent(racer.change(**changed), when)
        for hyper in racer.optimizer.hyperparameters
        for _, changed, when in hyper.equivalents(racer.values, t)
    ]


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
