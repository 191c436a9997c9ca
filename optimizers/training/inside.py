"""What a step does inside a network, measured now and then: each layer's step, gradient and way so far.

Nothing here changes what is trained: it reads the vectors a step has just used. All is kept on the device
until it is told, so that a GPU is not waited for.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn

from optimizers.catalog import Racer
from optimizers.elementwise import sqrt
from optimizers.training.telemetry import Inside

TIMES_AN_EPOCH = 25
SHORTEST = 10  # steps between two measurements that nobody asked for: closer ones would cost more than 5 %
SAMPLE = 1_000  # coordinates of a layer whose quantiles are taken; a smaller layer gives all
QUANTILES = (0.05, 0.5, 0.95)
OVERALL = -1  # in place of a layer
NUMBERS = tuple(field.name for field in fields(Inside))[3:-1]  # of a layer, in the order they are measured

KINDS = (
    (nn.modules.conv._ConvNd, "conv"),
    (nn.Linear, "dense"),
    (nn.Embedding, "embedding"),
    ((nn.GroupNorm, nn.LayerNorm, nn.modules.batchnorm._BatchNorm), "norm"),
)


@dataclass(frozen=True)
class Layer:
    """A part of the network with weights of its own, and where they lie in the flat vector of all."""

    name: str
    start: int
    stop: int


def layers_of(network: nn.Module) -> tuple[Layer, ...]:
    """Return the layers in the order of `network.parameters()`, weights and biases together.

    >>> [layer.name for layer in layers_of(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Linear(9, 2)))]
    ['conv', 'dense']
    """
    found: list[tuple[str, int]] = []
    seen: set[int] = set()
    for module in network.modules():
        own = [p for p in module.parameters(recurse=False) if id(p) not in seen]  # shared ones count once
        seen.update(map(id, own))
        if own:
            kind = next((name for types, name in KINDS if isinstance(module, types)), None)
            found.append((kind or type(module).__name__.lower(), sum(p.numel() for p in own)))
    several = {kind for kind, count in Counter(kind for kind, _ in found).items() if count > 1}
    numbers: Counter[str] = Counter()
    layers, start = [], 0
    for kind, size in found:
        numbers[kind] += 1
        name = f"{kind} {numbers[kind]}" if kind in several else kind
        layers.append(Layer(name, start, start + size))
        start += size
    return tuple(layers)


def stride(telemetry: int | None, steps_per_epoch: int) -> int:
    """Return after how many steps to measure again; 0 is never."""
    if telemetry is None:
        return max(SHORTEST, math.ceil(steps_per_epoch / TIMES_AN_EPOCH))
    return telemetry


def due(step: int, every: int) -> bool:
    """Whether to measure at this step: each `every`-th, and before the first of them 1, 2, 4, 8, …

    An optimizer's first steps are unlike its later ones: there a start at zero is corrected, or not.
    """
    return every > 0 and (step % every == 0 or (step < every and step & (step - 1) == 0))


class Gauge:
    """Measures the steps of one racer.

    At step t, with gradient g (clipped, and with the penalty of weight decay where the loss has one), over
    the coordinates of a layer, or over all:

        effective   |Δθ + decoupled decay|/lr, which is |m̂|/(√v̂+ε) for Adam, |g| for gradient descent:
                    its 5 %, 50 % and 95 % quantiles, in a sample of `SAMPLE` coordinates, always the same
        ratio       ‖Δθ‖/‖θ‖, θ before the step
        gradient    ‖g‖
        cosine      of Δθ and −g
        under_eps   share of coordinates whose √v̂, or what else the rule divides by, is below its ε
        distance    ‖θ − θ₀‖ after the step, from the weights before the first one

    What there is not is NaN: the share under ε of a rule without one, the cosine where a vector is zero.

    Args:
        racer: whose steps these are.
        start: (P,) its weights before the first step; copied.
        layers: of its network.
        every: steps between two measurements; 0 is never.
    """

    def __init__(self, racer: Racer, start: Tensor, layers: Sequence[Layer], every: int) -> None:
        """Choose the coordinates whose quantiles are taken."""
        self.every = every
        if not every:
            return
        self.racer, self.start = racer, start.clone()
        self.sizes = [layer.stop - layer.start for layer in layers]
        spans = [(0, len(start)), *((layer.start, layer.stop) for layer in layers)]
        chosen = [_sample(low, high) for low, high in spans]
        sampled = [len(positions) for positions in chosen]
        padded = nn.utils.rnn.pad_sequence(chosen, batch_first=True)
        self.positions = padded.to(start.device)  # (1 + L, at most SAMPLE)
        beyond = torch.arange(padded.shape[1]) >= torch.tensor(sampled)[:, None]
        self.beyond = beyond.to(start.device)
        self.quantiles = torch.tensor(QUANTILES, device=start.device)
        self.totals = torch.tensor([len(start), *self.sizes], device=start.device)
        self.shown = racer.optimizer.shown
        self.divisor = _divisor(racer)
        self._news: list[tuple[int, Tensor]] = []

    def due(self, step: int) -> bool:
        """Whether this step is to be measured."""
        return due(step, self.every)

    def measure(self, step: int, *of: Any) -> None:
        """Measure a step that has just been taken, as `table` does, and keep what was found."""
        self.keep(step, self.table(step, *of))

    def keep(self, step: int, table: Tensor) -> None:
        """Keep what was found at a step until it is told."""
        self._news.append((step, table))

    @torch.no_grad()
    def table(
        self,
        step: int | Tensor,
        theta: Tensor,  # (P,) after the step
        g: Tensor,  # (P,)
        update: Tensor,  # (P,)
        state: Sequence[Tensor],  # after the step
        shown: Sequence[Any],  # what the rule shows of it
        arguments: Mapping[str, Any],  # the rule's, of this step
    ) -> Tensor:  # (1 + L, 8): over all, then each layer; the columns are NUMBERS
        """Return the numbers of a step that has just been taken."""
        known = dict(zip(self.shown, shown, strict=True))
        moved = update + known["decay"] if "decay" in known else update
        effective = (moved[self.positions].abs() / arguments["lr"]).masked_fill_(self.beyond, math.nan)
        low, median, high = torch.nanquantile(effective, self.quantiles, dim=1)

        gradient, length = self._norms(g), self._norms(update)
        weights, distance = self._norms(theta - update), self._norms(theta - self.start)
        along = torch.stack(
            [a.dot(b) for a, b in zip(g.split(self.sizes), update.split(self.sizes), strict=True)]
        )
        along = torch.cat([along.sum()[None], along])
        nothing = torch.full_like(low, math.nan)
        table = [
            *(low, median, high),
            torch.where(weights > 0, length / weights, nothing),
            gradient,
            torch.where(gradient * length > 0, -along / (gradient * length), nothing),
            self._under_eps(step, state, known, arguments) if self.divisor else nothing,
            distance,
        ]
        return torch.stack(table, dim=1)

    def _norms(self, vector: Tensor) -> Tensor:
        """Return (1 + L,): the norm of the whole vector, and of each layer's part."""
        parts = torch.stack([torch.linalg.vector_norm(part) for part in vector.split(self.sizes)])
        return torch.cat([torch.linalg.vector_norm(parts)[None], parts])

    def _under_eps(
        self,
        step: int | Tensor,
        state: Sequence[Tensor],
        known: Mapping[str, Any],
        arguments: Mapping[str, Any],
    ) -> Tensor:
        squares = {**dict(zip(self.racer.optimizer.state, state, strict=True)), **known}[self.divisor]
        below = squares.sqrt() < _threshold(self.racer, step, arguments)
        counts = torch.stack([part.count_nonzero() for part in below.split(self.sizes)])
        return torch.cat([counts.sum()[None], counts]) / self.totals

    def news(self, racer: int, seed: int, before: int | None = None) -> list[Inside]:
        """Return what was measured since the last call, of the steps before `before`."""
        if not self.every or not self._news:
            return []
        steps = [step for step, _ in self._news]
        tables = torch.stack([table for _, table in self._news]).tolist()
        self._news.clear()
        return [
            Inside(racer, step, layer, **dict(zip(NUMBERS, numbers, strict=True)), seed=seed)
            for step, table in zip(steps, tables, strict=True)
            if before is None or step < before
            for layer, numbers in enumerate(table, OVERALL)
        ]


def _sample(low: int, high: int) -> Tensor:
    """Choose coordinates of [low, high) without order or pattern, the same ones each time."""
    mixed = torch.randperm(high - low, generator=torch.Generator().manual_seed(high - low))
    return low + mixed[:SAMPLE].sort().values


def _divisor(racer: Racer) -> str:
    """Return the name of the square whose root the rule divides by, beside an ε; "" where it has none."""
    entry = racer.optimizer
    if "eps" not in racer.values:
        return ""
    return next((one.name for one in reversed((*entry.states, *entry.extras)) if one.root), "")


def _threshold(racer: Racer, step: int | Tensor, arguments: Mapping[str, Any]) -> Any:
    """Return the root below which ε weighs more than it: ε outside the root, √ε where ε is under it."""
    eps = arguments["eps"]
    if racer.optimizer.eps_under_root or arguments.get("eps_inside"):
        return math.sqrt(eps)
    if arguments.get("eps_hat"):  # ε̂ stands beside √v = √v̂·√(1−β₂ᵗ)
        return eps / sqrt(1 - arguments.get("correct_v", 1) * arguments["beta2"] ** step)
    return eps
