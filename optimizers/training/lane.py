"""One racer with one seed."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Generator, Iterator, Sequence
from copy import deepcopy
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.linalg import vector_norm
from torch.nn.functional import cross_entropy

from optimizers.catalog import Racer
from optimizers.torch_rules import apply_rule, initial_state
from optimizers.training.config import TrainConfig
from optimizers.training.device import DTYPES
from optimizers.training.inside import Gauge, layers_of
from optimizers.training.layers import Dropout
from optimizers.training.pictures import Batch, Seed
from optimizers.training.sharpness import Sharpener, hessian_product
from optimizers.training.telemetry import Point, Sharpness


def parts(flat: Tensor, parameters: Sequence[Tensor]) -> Iterator[Tensor]:
    """View weights in a row, (P,) or K of them, (K, P), as parameters, convolutions channels last."""
    first = flat.shape[:-1]
    sizes = [parameter.numel() for parameter in parameters]
    for part, parameter in zip(flat.split(sizes, dim=-1), parameters, strict=True):
        if parameter.dim() == 4:
            out, into, high, wide = parameter.shape
            yield part.view(*first, out, high, wide, into).movedim(-1, -3)
        else:
            yield part.view(*first, *parameter.shape)


def tame(g: Tensor, theta: Tensor, decay: Tensor | None, config: TrainConfig) -> Tensor:
    """Add the gradient of λ/2·‖w‖², then clip, in torch's words and order; g may be changed in place.

    g and theta are of one network, (P,), or of K, (K, P), each clipped by its own norm.
    """
    if decay is not None:
        g.addcmul_(decay, theta)
    if config.clip_norm is not None:
        norm = vector_norm(g) if g.dim() == 1 else vector_norm(g, dim=1, keepdim=True)
        g.mul_((config.clip_norm / (norm + 1e-6)).clamp_(max=1))
    if config.clip_value is not None:
        g.clamp_(-config.clip_value, config.clip_value)
    return g


class Lane:
    """One racer with one seed: a network, whose weights are one flat vector, and the rule that steps it."""

    def __init__(
        self,
        index: int,
        seed: Seed,
        racer: Racer,
        label: str,
        network: nn.Sequential,
        config: TrainConfig,
        factors: Sequence[float] | None,  # of the schedule, on lr at each step of the run
        every: int,  # steps between two looks inside
    ) -> None:
        """Copy the network, whose weights are the first ones."""
        self.index, self.seed, self.racer, self.label = index, seed, racer, label
        self.config, self.factors = config, factors
        self.network = deepcopy(network).to(config.device)
        if config.device == "cpu" and config.precision == "bf16" and find_spec("numba") is not None:
            from optimizers.training.pools import join  # the same to the bit as without it, on a bare machine

            join(self.network)
        self.parameters = list(self.network.parameters())
        self.dropouts = [layer for layer in self.network.modules() if isinstance(layer, Dropout)]
        self.theta = torch.empty(sum(p.numel() for p in self.parameters), device=config.device)  # (P,) fp32
        for parameter, part in zip(self.parameters, self._parts(self.theta), strict=True):
            part.copy_(parameter.data)
        # The network computes on these: theta itself, or its copy in the run's precision.
        self.weights = self.theta.to(DTYPES[config.precision])
        self.gradient = torch.zeros_like(self.weights)
        self._compute_on_them()
        self.state = initial_state(racer.optimizer, racer.values, self.theta)
        self.arguments = racer.arguments
        self.gauge = Gauge(racer, self.theta, layers_of(self.network), every)
        self.lr = self.arguments["lr"]
        self.sharpener = Sharpener(len(self.theta), self.theta.device) if config.sharpness else None
        self.effective_lr: Any = None  # of the last step, (P,) or one for all
        self.decay = self._decay(config.weight_decay) if config.weight_decay else None
        self.steps = self.examples = 0
        self.seconds = 0.0
        self.initial_weights = hashlib.sha256(self.export().tobytes()).hexdigest()
        self.positions = hashlib.sha256()
        self.diverged_at: int | None = None
        self.predictions: np.ndarray | None = None  # (M,) of the last evaluation
        self._news: list[tuple[int, Tensor, Tensor]] = []  # batch size, loss, right answers
        self._heard: tuple[list[int], list[float], list[float]] | None = None  # the same, as numbers

    def _compute_on_them(self) -> None:
        """Let the network's parameters and their gradients be views of `weights` and `gradient`."""
        parts = zip(self._parts(self.weights), self._parts(self.gradient), strict=True)
        for parameter, (weights, gradient) in zip(self.parameters, parts, strict=True):
            parameter.data, parameter.grad = weights, gradient

    def move(self, theta: Tensor, weights: Tensor, gradient: Tensor, state: Sequence[Tensor]) -> None:
        """Go on in other memory, of the same shapes: what is remembered is copied there."""
        theta.copy_(self.theta)
        weights.copy_(self.weights)
        for place, kept in zip(state, self.state, strict=True):
            place.copy_(kept)
        self.theta, self.weights, self.gradient, self.state = theta, weights, gradient, list(state)
        self._compute_on_them()

    def move_out(self) -> None:
        """Go on in memory of its own."""
        theta = torch.empty_like(self.theta)
        weights = theta if self.weights is self.theta else torch.empty_like(self.weights)
        state = [torch.empty_like(kept) for kept in self.state]
        self.move(theta, weights, torch.zeros_like(weights), state)

    def _parts(self, flat: Tensor) -> Iterator[Tensor]:
        return parts(flat, self.parameters)

    def _decay(self, weight_decay: float) -> Tensor:
        """Return λ for each entry of theta: that of matrices and kernels, 0 for biases and scales."""
        decay = torch.zeros_like(self.theta)
        for parameter, part in zip(self.parameters, self._parts(decay), strict=True):
            if parameter.dim() > 1:
                part.fill_(weight_decay)
        return decay

    def export(self) -> np.ndarray:
        """Return the weights as (P,) float32, parameter after parameter, each in C order."""
        return self._in_order(self.theta).cpu().numpy()

    def saved(self, state: bool) -> dict[str, Any]:
        """Return copies of all that training changes; with `state` what the rule remembers, too."""
        flats = [self.theta, *(self.state if state else [])]
        copies = [self._in_order(flat).to("cpu", copy=True) for flat in flats]
        names = ("steps", "examples", "seconds", "initial_weights", "diverged_at")
        predictions = None if self.predictions is None else torch.from_numpy(self.predictions)
        return {
            "weights": copies[0],
            "state": copies[1:],
            "predictions": predictions,
            **{name: getattr(self, name) for name in names},
        }

    def restore(self, saved: dict[str, Any]) -> None:
        """Go on from what `saved` returned; the hash of the batches is taken again from their order."""
        for flat, kept in zip([self.theta, *self.state], [saved["weights"], *saved["state"]], strict=True):
            if flat.numel() == self.theta.numel():
                sizes = [parameter.numel() for parameter in self.parameters]
                for part, kept_part in zip(self._parts(flat), kept.split(sizes), strict=True):
                    part.copy_(kept_part.view(part.shape))
            else:
                flat.copy_(kept)
        if self.weights is not self.theta:
            self.weights.copy_(self.theta)
        predictions = saved["predictions"]
        self.predictions = None if predictions is None else predictions.numpy()
        for name in ("steps", "examples", "seconds", "initial_weights", "diverged_at"):
            setattr(self, name, saved[name])

    def _in_order(self, flat: Tensor) -> Tensor:
        """Return a vector like theta parameter after parameter, each in C order; a shared number as it is."""
        if flat.numel() != self.theta.numel():
            return flat
        return torch.cat([part.reshape(-1) for part in self._parts(flat)])

    def step(self, batch: Batch) -> None:
        """Train on one batch."""
        began = time.perf_counter()
        self.gradient.zero_()
        loss, right = self.answer(batch)
        loss.backward()
        if self.factors is not None:
            self.arguments["lr"] = self.lr * self.factors[self.steps]
        self.steps += 1
        g = tame(self.gradient.float(), self.theta, self.decay, self.config)
        rule, t = self.racer.optimizer.rule, self.steps
        update, shown = apply_rule(rule, self.theta, g, t, self.state, self.arguments)
        self.effective_lr = shown[0] if self.sharpener else None
        if self.gauge.due(t):
            self.gauge.measure(t, self.theta, g, update, self.state, shown, self.arguments)
        if self.weights is not self.theta:
            self.weights.copy_(self.theta)
        self._news.append((len(batch.labels), loss.detach(), right))
        self.examples += len(batch.labels)
        self.positions.update(batch.positions)
        self.seconds += time.perf_counter() - began

    def answer(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the mean loss over a batch, and how many answers are right."""
        for layer, mask in zip(self.dropouts, batch.masks, strict=True):
            layer.mask = mask
        logits = self.network(batch.images).float()
        loss = cross_entropy(logits, batch.labels, label_smoothing=self.config.label_smoothing)
        return loss, (logits.detach().argmax(1) == batch.labels).sum()

    def hear(
        self, sizes: list[int], losses: list[float], right: list[float], positions: Any, seconds: float
    ) -> None:
        """Note steps that were taken at once with others': what `step` notes by itself."""
        self.steps += len(sizes)
        self.examples += sum(sizes)
        self.seconds += seconds
        self.positions = positions  # the hash of all that was seen so far
        if self.factors is not None:
            self.arguments["lr"] = self.lr * self.factors[self.steps - 1]
        self._heard = sizes, losses, right

    def told(self) -> tuple[list[int], list[float], list[float]]:
        """Return batch sizes, losses and right answers of the steps since the last call."""
        if self._heard is not None:
            heard, self._heard = self._heard, None
            return heard
        sizes = [size for size, _, _ in self._news]
        losses = torch.stack([loss for _, loss, _ in self._news]).tolist()
        right = torch.stack([right for _, _, right in self._news]).tolist()
        self._news.clear()
        return sizes, losses, right

    def points(
        self, seconds: float, sizes: Sequence[int], losses: Sequence[float], right: Sequence[float]
    ) -> list[Point]:
        """Average over the last steps, as `told` has them; end in NaN where the loss ceased to be finite."""
        finite = next((i for i, loss in enumerate(losses) if not math.isfinite(loss)), len(losses))
        before, examples = self.steps - len(losses), self.examples - sum(sizes)
        points = []
        if finite:
            seen = sum(sizes[:finite])
            loss = math.fsum(n * value for n, value in zip(sizes, losses[:finite], strict=False)) / seen
            accuracy = sum(right[:finite]) / seen
            points.append(self._point(before + finite, examples + seen, seconds, loss, accuracy))
        if finite < len(losses):
            seen = sum(sizes[: finite + 1])
            self.diverged_at = before + finite + 1
            self.examples = examples + seen  # what came after taught it nothing
            points.append(self._point(self.diverged_at, examples + seen, seconds, math.nan, math.nan))
        return points

    def _point(self, step: int, examples: int, seconds: float, loss: float, accuracy: float) -> Point:
        return Point(self.index, step, examples, seconds, loss, accuracy, self.seed.place)

    def sharpen(self, batches: Sequence[Batch]) -> Generator[None, None, Sharpness]:
        """Measure the sharpness where the last step led; yields now and then."""
        assert self.sharpener is not None
        texts = batches[0].images.dim() == 2  # numbers of words, which stay whole
        pictures = [(b.images if texts else b.images.float(), b.labels) for b in batches]
        product = hessian_product(
            *(self.network, lambda flat: list(self._parts(flat)), self.theta, pictures),
            *(self.config.label_smoothing, self.decay),
        )
        lr = self.arguments["lr"]
        factor = self.effective_lr / lr if lr else math.nan
        raw, preconditioned = yield from self.sharpener.measure(product, factor)
        stability = self.racer.optimizer.stability
        greatest = stability(self.racer.values) if stability else None
        bound = greatest / lr if lr and greatest is not None else math.nan
        return Sharpness(self.index, self.steps, raw, preconditioned, bound, self.seed.place)

    @torch.no_grad()
    def test(self, batches: Sequence[Batch]) -> tuple[float, float, np.ndarray, np.ndarray]:
        """Return loss, accuracy, each picture's predicted class and how sure that is, in the run's dtype."""
        self.network.eval()
        loss, classes, sure, labels = 0.0, [], [], []
        for batch in batches:
            logits = self.network(batch.images).float()
            loss += cross_entropy(logits, batch.labels, reduction="sum").item()
            classes.append(logits.argmax(1))
            sure.append(logits.softmax(1).amax(1))
            labels.append(batch.labels)
        self.network.train()
        predictions, truth = torch.cat(classes), torch.cat(labels)
        accuracy = (predictions == truth).double().mean().item()
        return loss / len(truth), accuracy, predictions.cpu().numpy(), torch.cat(sure).cpu().numpy()
