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

from optimizers.catalog import OPTIMIZERS, Racer
from optimizers.rules import Step


def apply_rule(
    rule: Callable[..., Step],  # of `rules`
    theta: Tensor,  # changed in place
    g: Tensor,  # its gradient, of the same shape
    t: int,  # this step's number, counted from 1
    state: list[Tensor],  # in the rule's order, zero before the first step; replaced in place
    arguments: Mapping[str, Any],  # Racer.arguments; numbers, or tensors that broadcast over theta
) -> None:
    """Take one step: θ ← θ + Δθ, with (Δθ, state) = rule(θ, g, t, state)."""
    with torch.no_grad():
        update, new_state, _ = rule(theta, g, t, *state, **arguments)
        # A rule may hand on θ or g itself ("the last gradient"); both are about to be overwritten.
        state[:] = [kept.clone() if kept is theta or kept is g else kept for kept in new_state]
        theta.add_(update)


class RuleOptimizer(torch.optim.Optimizer):
    """A rule of the catalogue as a torch.optim.Optimizer.

    Every argument of the rule (`Racer.arguments`) is an option of each parameter group, so a learning-rate
    scheduler, or a group with a value of its own, works as with any other optimizer. A parameter's state has
    the rule's own names beside `step`.

    Args:
        params: parameters, or groups of them, as every torch optimizer takes.
        racer: an optimizer in the catalogue's notation.

    Raises:
        ValueError: an unknown optimizer or hyperparameter, or a value it does not take, in one sentence.
    """

    def __init__(self, params: Iterable[Any], racer: str | Racer) -> None:
        """Hold `params` and step them by `racer`'s rule."""
        racer = Racer.parse(racer)
        super().__init__(params, {"optimizer": racer.name, **racer.arguments})

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Step every parameter that has a gradient; return the closure's loss, if there is one."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            entry = OPTIMIZERS[group["optimizer"]]
            arguments = {name: group[name] for name in Racer.parse(entry.name).arguments}
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                kept = self.state[parameter]
                if not kept:
                    kept.update({name: torch.zeros_like(parameter) for name in entry.state}, step=0)
                kept["step"] += 1
                state = [kept[name] for name in entry.state]
                apply_rule(entry.rule, parameter.data, parameter.grad, kept["step"], state, arguments)
                kept.update(zip(entry.state, state, strict=True))
        return loss
