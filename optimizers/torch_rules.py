"""The rules on a real network: the same functions that step a point on a surface, applied by torch.

>>> import torch
>>> from optimizers.torch_rules import RuleOptimizer
>>> model = torch.nn.Linear(2, 1)
>>> optimizer = RuleOptimizer(model.parameters(), "adam(lr=0.01, bias_correction=False)")
>>> model(torch.ones(1, 2)).sum().backward()
>>> optimizer.step()
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from optimizers.catalog import OPTIMIZERS, Optimizer, Racer
from optimizers.rules import Step

BETAS = ("beta1", "beta2")  # in a parameter group they are one pair, `betas`, where torch's schedulers look


def apply_rule(
    rule: Callable[..., Step],  # of `rules`
    theta: Tensor,  # changed in place
    g: Tensor,  # its gradient, of the same shape
    t: int,  # this step's number, counted from 1
    state: list[Tensor],  # in the rule's order, as `initial_state` gives it; replaced in place
    arguments: Mapping[str, Any],  # Racer.arguments; numbers, or tensors that broadcast over theta
) -> tuple[Tensor, tuple[Any, ...]]:
    """Take one step: θ ← θ + Δθ, with (Δθ, state, shown) = rule(θ, g, t, state); return Δθ and shown."""
    with torch.no_grad():
        update, new_state, shown = rule(theta, g, t, *state, **arguments)
        # A rule may hand on θ or g itself ("the last gradient"); both are about to be overwritten.
        state[:] = [kept.clone() if kept is theta or kept is g else kept for kept in new_state]
        theta.add_(update)
    return update, shown


def initial_state(entry: Optimizer, values: Mapping[str, Any], theta: Tensor) -> list[Tensor]:
    """Return the state before the first step; what all coordinates share is a single number."""
    return [
        theta.new_full((), start) if kept.shared else torch.full_like(theta, start)
        for kept, start in zip(entry.states, entry.initial(values), strict=True)
    ]


class RuleOptimizer(torch.optim.Optimizer):
    """A rule of the catalogue as a torch.optim.Optimizer.

    Every hyperparameter is an option of each parameter group, so a learning-rate scheduler, or a group with
    values of its own, works as with any other optimizer; beta1 and beta2 stand in a group as the pair
    `betas`, as torch's own optimizers have them. A parameter's state has the rule's own names beside `step`,
    which counts the steps this parameter has taken. What torch offers for speed alone (foreach, fused,
    capturable) is not here, nor are maximize and differentiable.

    Args:
        params: parameters, or groups of them, as every torch optimizer takes.
        racer: an optimizer in the catalogue's notation.

    Raises:
        ValueError: an unknown optimizer or hyperparameter, a value it does not take, or a state_dict of
            another optimizer, in one sentence.
        TypeError: at a step, a gradient that is sparse or complex.
    """

    def __init__(self, params: Iterable[Any], racer: str | Racer) -> None:
        """Hold `params` and step them by `racer`'s rule."""
        racer = Racer.parse(racer)
        super().__init__(params, {"optimizer": racer.name, **_paired(racer.values)})

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group of parameters; options it does not give are the racer's."""
        if isinstance(param_group, dict):  # torch says what else is wrong with it
            entry = OPTIMIZERS[self.defaults["optimizer"]]
            own = {**_unpaired(self.defaults), **_unpaired(param_group)}
            for hyper in entry.hyperparameters:
                if not isinstance(own[hyper.name], Tensor):
                    own[hyper.name] = hyper.check(own[hyper.name], f"a group of {entry.name}")
            param_group = _paired({name: value for name, value in own.items() if name != "optimizer"})
        super().add_param_group(param_group)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take over saved groups and state, of the same optimizer: each rule has a state of its own."""
        name = {**vars(self), **state}["defaults"]["optimizer"]
        for group in state["param_groups"]:
            saved = group.get("optimizer", "no RuleOptimizer")
            if saved != name:
                raise ValueError(f"state_dict is of {saved}, but takes one of {name}.")
        super().__setstate__(state)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Step every parameter that has a gradient; return the closure's loss, if there is one."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            entry = OPTIMIZERS[group["optimizer"]]
            values = _unpaired(group)
            arguments = entry.arguments(values)
            for parameter in group["params"]:
                g = parameter.grad
                if g is None:
                    continue
                if g.layout != torch.strided or g.is_complex():
                    kind = "complex" if g.is_complex() else "sparse"
                    raise TypeError(
                        f"{entry.name} steps dense real parameters, but a gradient here is {kind}; "
                        "give it parameters with dense real gradients."
                    )
                kept = self.state[parameter]
                if not kept:
                    start = initial_state(entry, values, parameter)
                    kept.update(zip(entry.state, start, strict=True), step=0)
                kept["step"] += 1
                state = [kept[name] for name in entry.state]
                apply_rule(entry.rule, parameter, g, kept["step"], state, arguments)
                kept.update(zip(entry.state, state, strict=True))
        return loss


def _paired(values: Mapping[str, Any]) -> dict[str, Any]:
    """Join beta1 and beta2 to `betas`, where there are both."""
    if not all(name in values for name in BETAS):
        return dict(values)
    others = {name: value for name, value in values.items() if name not in BETAS}
    return others | {"betas": tuple(values[name] for name in BETAS)}


def _unpaired(values: Mapping[str, Any]) -> dict[str, Any]:
    """Split `betas` into beta1 and beta2, where they are a pair."""
    if "betas" not in values:
        return dict(values)
    others = {name: value for name, value in values.items() if name != "betas"}
    try:
        beta1, beta2 = values["betas"]
    except (TypeError, ValueError):
        raise ValueError(f"betas is {values['betas']!r}, but takes a pair, e.g. (0.9, 0.999).") from None
    return {"beta1": beta1, "beta2": beta2} | others
