"""The race: every racer from the same weights, on the same batches, in lock-step.

Imports torch, numpy and our own modules only, so that it also runs on a bare GPU machine. Use it through
`optimizers.training.train`.

On a CPU the racers run side by side, each on its own share of the threads. Measured on 2 cores, that is as
fast as one after the other with all threads while the machine is idle, and many times faster while another
program wants a core too, as the threads inside one convolution wait for each other. On a GPU they take turns.
"""

from __future__ import annotations

import hashlib
import math
import platform
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from optimizers.catalog import Racer, distinct
from optimizers.schedules import Schedule
from optimizers.torch_rules import apply_rule, initial_state
from optimizers.training import checkpoint, data, snapshots
from optimizers.training.augment import augment
from optimizers.training.classes import look_at
from optimizers.training.config import TrainConfig
from optimizers.training.inside import Gauge, layers_of, stride
from optimizers.training.layers import Dropout
from optimizers.training.models import MODELS, build
from optimizers.training.sharpness import CHUNK, PICTURES, Sharpener, hessian_product
from optimizers.training.telemetry import (
    Diverged,
    Evaluated,
    Event,
    Inside,
    Kept,
    Look,
    Point,
    Progress,
    RacerResult,
    Sharpness,
    Started,
    StopTraining,
    TrainResult,
)
from optimizers.training.validation import hold_out

POINTS_PER_EPOCH = 50
TEST_BATCH = 500  # pictures

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def train(
    config: TrainConfig,
    on_event: Callable[[Event], None] | None = None,
    *,
    folder: Path | None = None,
    resume: bool = False,
) -> TrainResult:
    """Run the race; see `optimizers.training.train`."""
    asked, found = config, None
    if resume:
        if folder is None:
            raise ValueError("resume is True, but a run goes on from a checkpoint in its folder: name it.")
        found = checkpoint.read(folder)
        config = checkpoint.recipe(found.state, asked, folder)
    config = _resolve(config)
    dataset = data.load(config.data)
    if config.validation:
        dataset = hold_out(dataset, config.validation, config.seed)
    with _ieee_fp32(), _crew(config) as pool, checkpoint.keeping(folder) as keeper:
        race = _Race(config, dataset, pool, on_event or (lambda event: None), asked, keeper)
        if folder is not None and config.snapshots:
            race.snapshots = snapshots.Keeper(folder, config, race.total_steps)
        if found is not None:
            race.restore(found)
        race.run()
        return race.result()


# What the machine offers ------------------------------------------------------------------------------------


def _resolve(config: TrainConfig) -> TrainConfig:
    """Return the recipe with what was found for each "auto"."""
    device = config.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError("device is 'cuda', but torch finds no CUDA GPU here; take 'cpu' or 'auto'.")
    precision = config.precision
    if precision == "auto":
        precision = "bf16" if _computes_in_bf16(device) else "fp32"
    threads = config.threads
    if threads is None and device == "cpu":
        threads = max(1, torch.get_num_threads() // (len(config.racers) * config.seeds))
    decay = MODELS[config.model].weight_decay if config.weight_decay is None else config.weight_decay
    return replace(config, device=device, precision=precision, threads=threads, weight_decay=decay)


def _computes_in_bf16(device: str) -> bool:
    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.cpu._is_avx512_bf16_supported()  # emulated elsewhere, which is slower than fp32


@contextmanager
def _ieee_fp32() -> Iterator[None]:
    """Let fp32 mean fp32: by default cuDNN's convolutions round their inputs to TF32, 10 bits."""
    backends: Any = torch.backends
    convolutions, products = backends.cudnn.conv, backends.cuda.matmul
    before = convolutions.fp32_precision, products.fp32_precision
    convolutions.fp32_precision = products.fp32_precision = "ieee"
    try:
        yield
    finally:
        convolutions.fp32_precision, products.fp32_precision = before


@contextmanager
def _crew(config: TrainConfig) -> Iterator[ThreadPoolExecutor | None]:
    """Give threads that train racers side by side, on a CPU."""
    if config.device != "cpu":
        yield None
        return
    every, each = torch.get_num_threads(), config.threads
    assert each is not None
    try:
        with ThreadPoolExecutor(max(1, every // each), "racer", lambda: torch.set_num_threads(each)) as pool:
            yield pool
    finally:
        torch.set_num_threads(every)


def _device_name(device: str) -> str:
    return torch.cuda.get_device_name() if device == "cuda" else platform.processor() or platform.machine()


# Pictures ---------------------------------------------------------------------------------------------------


class _Seed:
    """What all racers of one seed share: first weights, order of the pictures, and what a step draws.

    One stream of random numbers each. Those of a step hang on the seed and the step alone, so that a run that
    is taken up again goes on as it would have.
    """

    def __init__(self, place: int, number: int) -> None:
        self.place, self.number = place, number
        streams = np.random.SeedSequence(number).generate_state(2, np.uint64)
        self.weights, self.shuffle = (torch.Generator().manual_seed(int(seed)) for seed in streams)

    def random(self, purpose: int, step: int, device: str = "cpu") -> torch.Generator:
        """Return the random numbers of a step, counted from 0, for one of several purposes."""
        stream = np.random.SeedSequence(self.number, spawn_key=(purpose, step))
        return torch.Generator(device).manual_seed(int(stream.generate_state(1, np.uint64)[0]))


AUGMENT, MASK = range(2)  # purposes


@dataclass(frozen=True)
class _Batch:
    images: Tensor  # (B, C, H, W) channels last, in the run's precision; texts: (B, tokens) int64
    labels: Tensor  # (B,)
    positions: bytes  # of the pictures in their set, int64
    masks: tuple[Tensor, ...] = ()  # (B, …) of each dropout layer, in the network's order


class _Pictures:
    """A set of pictures, or of texts, as one tensor on the device."""

    def __init__(self, images: np.ndarray, labels: np.ndarray, config: TrainConfig) -> None:
        if images.ndim == 4:  # (N, H, W, C) uint8
            images = images.transpose(0, 2, 3, 1)
        self.images = torch.from_numpy(np.ascontiguousarray(images)).to(config.device)
        self.labels = torch.from_numpy(np.ascontiguousarray(labels)).to(config.device)
        self.config, self.dtype = config, DTYPES[config.precision]
        self.standardise = MODELS[config.model].standardise

    def __len__(self) -> int:
        return len(self.labels)

    def batches(self, order: Tensor, size: int) -> Iterator[_Batch]:
        """Yield the pictures at `order`, (n,) int64 on the CPU, `size` at a time; the last may be smaller."""
        for here, there in zip(order.split(size), order.to(self.images.device).split(size), strict=True):
            yield _Batch(self._prepared(there, None), self._labels(there), here.numpy().tobytes())

    def training_batches(
        self, order: Tensor, size: int, seed: _Seed, step: int, masked: Sequence[tuple[float, torch.Size]]
    ) -> Iterator[_Batch]:
        """Yield the same for training, from `step` on: changed at random, with a mask for each dropout."""
        places = zip(order.split(size), order.to(self.images.device).split(size), strict=True)
        for at, (here, there) in enumerate(places, step):
            changed = seed.random(AUGMENT, at) if self.config.augment else None
            images = self._prepared(there, changed)
            drawn = seed.random(MASK, at, self.config.device) if masked else None
            masks = tuple(self._mask(len(here), rate, shape, drawn) for rate, shape in masked)
            yield _Batch(images, self._labels(there), here.numpy().tobytes(), masks)

    def _labels(self, there: Tensor) -> Tensor:
        return self.labels.index_select(0, there)

    def _prepared(self, there: Tensor, changed: torch.Generator | None) -> Tensor:
        images = self.images.index_select(0, there)
        if images.dim() == 2:  # texts
            return images
        images = images.permute(0, 3, 1, 2)
        if changed is None and not self.standardise:
            return images.to(self.dtype).div_(255)
        images = images.float().div_(255)
        if changed is not None:
            images = augment(images, self.config.augment, changed)
        if self.standardise:
            images = _standardised(images)
        return images.to(self.dtype, memory_format=torch.channels_last)

    def _mask(self, count: int, rate: float, shape: torch.Size, drawn: torch.Generator | None) -> Tensor:
        """Draw what a dropout layer multiplies by: 0, or 1/(1 − rate) for what it keeps."""
        mask = torch.empty(count, *shape, dtype=self.dtype, device=self.images.device)
        if mask.dim() == 4:
            mask = mask.to(memory_format=torch.channels_last)
        return mask.bernoulli_(1 - rate, generator=drawn).div_(1 - rate)


def _standardised(images: Tensor) -> Tensor:
    """Bring each picture to mean 0 and standard deviation 1; one of a single colour to 0."""
    deviation, mean = torch.std_mean(images, (1, 2, 3), correction=0, keepdim=True)
    smallest = images[0].numel() ** -0.5  # as tf.image.per_image_standardization
    return (images - mean) / deviation.clamp(min=smallest)


# One racer --------------------------------------------------------------------------------------------------


class _Lane:
    """One racer with one seed: a network, whose weights are one flat vector, and the rule that steps it."""

    def __init__(
        self,
        index: int,
        seed: _Seed,
        racer: Racer,
        label: str,
        network: nn.Module,
        config: TrainConfig,
        factors: Sequence[float] | None,  # of the schedule, on lr at each step of the run
        every: int,  # steps between two looks inside
    ) -> None:
        self.index, self.seed, self.racer, self.label = index, seed, racer, label
        self.config, self.factors = config, factors
        self.network = deepcopy(network).to(config.device)
        self.parameters = list(self.network.parameters())
        self.dropouts = [layer for layer in self.network.modules() if isinstance(layer, Dropout)]
        self.theta = torch.empty(sum(p.numel() for p in self.parameters), device=config.device)  # (P,) fp32
        for parameter, part in zip(self.parameters, self._parts(self.theta), strict=True):
            part.copy_(parameter.data)
        # The network computes on these: theta itself, or its copy in the run's precision.
        self.weights = self.theta.to(DTYPES[config.precision])
        self.gradient = torch.zeros_like(self.weights)
        parts = zip(self._parts(self.weights), self._parts(self.gradient), strict=True)
        for parameter, (weights, gradient) in zip(self.parameters, parts, strict=True):
            parameter.data, parameter.grad = weights, gradient

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

    def _parts(self, flat: Tensor) -> Iterator[Tensor]:
        """View a flat vector as the network's parameters, convolutions channels last."""
        sizes = [parameter.numel() for parameter in self.parameters]
        for part, parameter in zip(flat.split(sizes), self.parameters, strict=True):
            if parameter.dim() == 4:
                out, into, high, wide = parameter.shape
                yield part.view(out, high, wide, into).permute(0, 3, 1, 2)
            else:
                yield part.view(parameter.shape)

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

    def step(self, batch: _Batch) -> None:
        """Train on one batch."""
        began = time.perf_counter()
        self.gradient.zero_()
        for layer, mask in zip(self.dropouts, batch.masks, strict=True):
            layer.mask = mask
        logits = self.network(batch.images).float()
        loss = cross_entropy(logits, batch.labels, label_smoothing=self.config.label_smoothing)
        loss.backward()
        if self.factors is not None:
            self.arguments["lr"] = self.lr * self.factors[self.steps]
        self.steps += 1
        g = self._tamed(self.gradient.float())
        rule, t = self.racer.optimizer.rule, self.steps
        update, shown = apply_rule(rule, self.theta, g, t, self.state, self.arguments)
        self.effective_lr = shown[0] if self.sharpener else None
        if self.gauge.due(t):
            self.gauge.measure(t, self.theta, g, update, self.state, shown, self.arguments)
        if self.weights is not self.theta:
            self.weights.copy_(self.theta)
        right = (logits.detach().argmax(1) == batch.labels).sum()
        self._news.append((len(batch.labels), loss.detach(), right))
        self.examples += len(batch.labels)
        self.positions.update(batch.positions)
        self.seconds += time.perf_counter() - began

    def _tamed(self, g: Tensor) -> Tensor:
        """Add the gradient of λ/2·‖w‖², then clip, in torch's words and order; g may be changed in place."""
        config = self.config
        if self.decay is not None:
            g.addcmul_(self.decay, self.theta)
        if config.clip_norm is not None:
            g.mul_((config.clip_norm / (torch.linalg.vector_norm(g) + 1e-6)).clamp_(max=1))
        if config.clip_value is not None:
            g.clamp_(-config.clip_value, config.clip_value)
        return g

    def points(self, seconds: float) -> list[Point]:
        """Average what happened since the last call; end in NaN where the loss ceased to be finite."""
        sizes = [size for size, _, _ in self._news]
        losses = torch.stack([loss for _, loss, _ in self._news]).tolist()
        right = torch.stack([right for _, _, right in self._news]).tolist()
        self._news.clear()
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

    def sharpen(self, batches: Sequence[_Batch]) -> Generator[None, None, Sharpness]:
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
    def test(self, batches: Sequence[_Batch]) -> tuple[float, float, np.ndarray, np.ndarray]:
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


# All of them ------------------------------------------------------------------------------------------------


class _Race:
    """The lanes of a run and what has been told of them."""

    def __init__(
        self,
        config: TrainConfig,
        dataset: data.Dataset,
        pool: ThreadPoolExecutor | None,
        on_event: Callable[[Event], None],
        asked: TrainConfig,  # before anything was found for "auto"
        keeper: checkpoint.Keeper | None,
    ) -> None:
        self.config, self.dataset, self.pool, self.on_event = config, dataset, pool, on_event
        self.asked, self.keeper = asked, keeper
        self.snapshots: snapshots.Keeper | None = None
        chosen = slice(config.limit)
        self.pictures = _Pictures(dataset.train_images[chosen], dataset.train_labels[chosen], config)
        tests = _Pictures(dataset.test_images, dataset.test_labels, config)
        self.tests = list(tests.batches(torch.arange(len(tests)), TEST_BATCH))
        self.steps_per_epoch = math.ceil(len(self.pictures) / config.batch_size)
        self.total_steps = config.epochs * self.steps_per_epoch
        self.masked = _masked(self._network(torch.Generator()), self.pictures)
        self.seeds = [_Seed(place, config.seed + place) for place in range(config.seeds)]
        self.lanes = list(self._lanes())
        self.layers = tuple(layer.name for layer in layers_of(self.lanes[0].network))
        self.data_note = dataset.note
        if len(self.pictures) < len(dataset.train_labels):
            self.data_note += f"; trained on the first {len(self.pictures):,}"
        self.step = 0
        self.resumed_at: int | None = None
        self.notice = ""  # where that was not from the newest checkpoint
        self.points: list[Point] = []
        self.evaluations: list[Evaluated] = []
        self.insides: list[Inside] = []
        self.sharpnesses: list[Sharpness] = []
        self.stopped = False
        self.began = time.perf_counter()
        self.ready = 0.0  # seconds, when training began

    def _lanes(self) -> Iterator[_Lane]:
        config = self.config
        factors = (
            Schedule.parse(config.schedule).factors(self.total_steps).tolist() if config.schedule else None
        )
        every = stride(config.telemetry, self.steps_per_epoch)
        racers = [Racer.parse(notation) for notation in config.racers]
        looks = distinct(racers)
        for seed in self.seeds:
            network = self._network(seed.weights)
            if config.start_from is not None:
                checkpoint.start(network, config.start_from)
            for index, (racer, look) in enumerate(zip(racers, looks, strict=True)):
                yield _Lane(index, seed, racer, look.label, network, config, factors, every)

    def _network(self, weights: torch.Generator) -> nn.Sequential:
        classes = len(self.dataset.classes)
        return build(self.config.model, classes, weights, self.dataset.shape, self.config.dropout)

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.began

    @property
    def running(self) -> list[_Lane]:
        return [lane for lane in self.lanes if lane.diverged_at is None]

    @property
    def over(self) -> bool:
        """Whether the run is to end here."""
        return self.stopped or not self.running

    def run(self) -> None:
        self._tell([self._started()])
        if self.resumed_at is not None:
            self._tell([Kept(self.step, self.notice), *_diverged(self.lanes)])
        self._race()
        self._snapshot(self.step, last=True)
        if self.keeper is not None:
            kept = self.keeper.close(self.saved(state=self.stopped))
            with suppress(StopTraining):  # told also to a listener that has ended the run
                self.on_event(kept)

    def _race(self) -> None:
        size, began = self.config.batch_size, self.step
        if not self.evaluations and not self.stopped:
            self._evaluate(epoch=0)
            self._snapshot(0)
            self.ready = self.seconds
        steps = max(1, self.steps_per_epoch // POINTS_PER_EPOCH)
        if self.config.sharpness:
            steps = min(steps, self.config.sharpness)
        stride = steps * size
        for epoch in range(1, self.config.epochs + 1):
            if self.over:
                return
            orders = [torch.randperm(len(self.pictures), generator=seed.shuffle) for seed in self.seeds]
            at = (epoch - 1) * self.steps_per_epoch
            for chunks in zip(*(order.split(stride) for order in orders), strict=True):
                if at < began:
                    self._recall(chunks, at)
                else:
                    self._advance([self._batches(*of) for of in zip(self.seeds, chunks, strict=True)])
                    if self.over:
                        return
                    if self.step < epoch * self.steps_per_epoch:
                        self._keep(epoch_ended=False)
                at += math.ceil(len(chunks[0]) / size)
            if self.evaluations[-1].epoch < epoch:
                self._evaluate(epoch)
                self._keep(epoch_ended=True)

    def _recall(self, chunks: Sequence[Tensor], at: int) -> None:
        """Take into each lane's hash what it saw of a chunk from step `at` on, before the checkpoint."""
        for lane in self.lanes:
            seen = max(0, lane.steps - at) * self.config.batch_size
            lane.positions.update(chunks[lane.seed.place][:seen].numpy().tobytes())

    def _keep(self, epoch_ended: bool) -> None:
        """Write a checkpoint where it is time for one."""
        if self.keeper is None:
            return
        self._tell(self.keeper.news())
        if self.keeper.due(epoch_ended):
            began = time.perf_counter()
            state = self.saved()
            self.keeper.write(state, time.perf_counter() - began)

    def saved(self, state: bool = True) -> dict[str, Any]:
        """Return copies of all that `restore` needs; without `state`, of what a finished run leaves."""
        return {
            "step": self.step,
            "asked": self.asked.to_json(),
            "config": self.config.to_json(),
            "seconds": self.seconds,
            "ready": self.ready,
            "points": list(self.points),
            "evaluations": list(self.evaluations),
            "insides": list(self.insides),
            "sharpnesses": list(self.sharpnesses),
            "shapes": [list(parameter.shape) for parameter in self.lanes[0].parameters],
            "lanes": [lane.saved(state) for lane in self.lanes],
            "finished": not state,
        }

    def restore(self, found: checkpoint.Found) -> None:
        """Go on from a checkpoint."""
        state, self.notice = found.state, found.notice
        self.step = self.resumed_at = state["step"]
        self.points = checkpoint.events(Point, state["points"])
        self.evaluations = checkpoint.events(Evaluated, state["evaluations"])
        self.insides = checkpoint.events(Inside, state["insides"])
        self.sharpnesses = checkpoint.events(Sharpness, state["sharpnesses"])
        self.began, self.ready = time.perf_counter() - state["seconds"], state["ready"]
        for lane, saved in zip(self.lanes, state["lanes"], strict=True):
            lane.restore(saved)

    def _batches(self, seed: _Seed, order: Tensor) -> list[_Batch]:
        size = self.config.batch_size
        return list(self.pictures.training_batches(order, size, seed, self.step, self.masked))

    def _advance(self, batches: list[list[_Batch]]) -> None:
        """Train every lane on the batches of its seed, then tell how it went."""
        running, before = self.running, self.step
        if self.pool is None:
            _in_turns(running, batches)
        else:
            _side_by_side(self.pool, running, batches)
        self.step += len(batches[0])
        seconds = self.seconds
        points = [point for lane in running for point in lane.points(seconds)]
        self.points += points
        self._tell(points)
        insides = [
            one for lane in running for one in lane.gauge.news(lane.index, lane.seed.place, lane.diverged_at)
        ]
        self.insides += insides
        self._tell(insides)
        self._tell(_diverged(running))
        training, examples = seconds - self.ready, sum(lane.examples for lane in self.lanes)
        left = training / self.step * (self.total_steps - self.step)
        self._tell([Progress(self.step, self.total_steps, seconds, examples / training, left)])
        self._snapshot(before)
        every = self.config.sharpness
        if every and self.step // every > (self.step - len(batches[0])) // every:
            self._sharpen([Progress(self.step, self.total_steps, seconds, examples / training, left)])

    def _snapshot(self, before: int, *, last: bool = False) -> None:
        """Keep the weights where a set became due since step `before`, and where the run ends."""
        if self.snapshots is not None:
            self.snapshots.keep(self.lanes, before, self.step, last=last)

    def _sharpen(self, alive: Sequence[Event]) -> None:
        """Measure the sharpness of every lane, as many at a time as threads; `alive` is told meanwhile."""
        spread = torch.linspace(0, len(self.pictures) - 1, min(PICTURES, len(self.pictures))).long()
        batches = list(self.pictures.batches(spread, CHUNK))
        lanes = self.running
        together = self.pool._max_workers if self.pool else 1
        for first in range(0, len(lanes), together):
            searches = [lane.sharpen(batches) for lane in lanes[first : first + together]]
            while searches:
                found = self._each(_ahead, searches)
                self._tell(alive)  # a stop is heard here
                searches = [search for search, one in zip(searches, found, strict=True) if one is None]
                self.sharpnesses += [one for one in found if one is not None]
                self._tell(one for one in found if one is not None)
                if self.stopped:
                    return

    def _evaluate(self, epoch: int) -> None:
        """Look at the test pictures with every lane."""
        running = self.running
        if epoch == 0:  # all of a seed have the same weights, so one look serves for all of them
            every = len(self.config.racers)
            first = self._each(lambda lane: lane.test(self.tests), running[::every])
            found = [one for one in first for _ in range(every)]
        else:
            found = self._each(lambda lane: lane.test(self.tests), running)
        evaluations, looks = [], []
        for lane, (loss, accuracy, predictions, sure) in zip(running, found, strict=True):
            if math.isfinite(loss):
                lane.predictions = predictions
                if lane.seed.place == 0:
                    looks.append(self._look(lane, sure, epoch))
            else:  # the last step took it where no finite loss is
                loss = accuracy = math.nan
                lane.diverged_at = self.step
            evaluations.append(Evaluated(lane.index, self.step, epoch, loss, accuracy, lane.seed.place))
        self.evaluations += evaluations
        self._tell([*looks, *evaluations])
        self._tell(_diverged(running))

    def _look(self, lane: _Lane, confidence: np.ndarray, epoch: int) -> Look:
        tests, classes = self.dataset, len(self.dataset.classes)
        assert lane.predictions is not None
        return look_at(
            *(lane.network, tests.shape, tests.test_images, tests.test_labels, lane.predictions, confidence),
            *(classes, lane.index, self.step, epoch),
        )

    def _tell(self, events: Iterable[Event]) -> None:
        for event in events:
            if not self.stopped:
                try:
                    self.on_event(event)
                except StopTraining:
                    self.stopped = True

    def _each(self, do: Callable[[Any], Any], lanes: Sequence[Any]) -> list[Any]:
        return list(self.pool.map(do, lanes) if self.pool else map(do, lanes))

    def _started(self) -> Started:
        config = self.config
        return Started(
            racers=config.racers,
            labels=tuple(lane.label for lane in self.lanes[: len(config.racers)]),
            device=config.device,
            device_name=_device_name(config.device),
            precision=config.precision,
            threads=config.threads,
            total_steps=self.total_steps,
            steps_per_epoch=self.steps_per_epoch,
            parameters=len(self.lanes[0].theta),
            data_note=self.data_note,
            layers=self.layers,
            classes=self.dataset.classes,
            resumed_at=self.resumed_at,
        )

    def _racer_result(self, lane: _Lane) -> RacerResult:
        own = (lane.index, lane.seed.place)
        last = next((e for e in reversed(self.evaluations) if (e.racer, e.seed) == own), None)
        whole = last is not None and lane.diverged_at is None
        return RacerResult(
            notation=str(lane.racer),
            label=lane.label,
            test_loss=last.loss if last and whole else math.nan,
            test_accuracy=last.accuracy if last and whole else math.nan,
            test_epoch=last.epoch if last else None,
            predictions=lane.predictions if whole else None,
            diverged_at=lane.diverged_at,
            examples=lane.examples,
            seconds=lane.seconds,
            weights=lane.export(),
            initial_weights_sha256=lane.initial_weights,
            batches_sha256=lane.positions.hexdigest(),
            seed=lane.seed.place,
        )

    def result(self) -> TrainResult:
        return TrainResult(
            config=self.config,
            racers=tuple(map(self._racer_result, self.lanes)),
            points=tuple(self.points),
            evaluations=tuple(self.evaluations),
            insides=tuple(self.insides),
            sharpnesses=tuple(self.sharpnesses),
            layers=self.layers,
            classes=self.dataset.classes,
            test_labels=self.dataset.test_labels,
            data_note=self.data_note,
            device_name=_device_name(self.config.device),
            parameters=len(self.lanes[0].theta),
            steps_per_epoch=self.steps_per_epoch,
            steps=self.step,
            seconds=self.seconds,
            stopped=self.stopped,
        )


def _ahead(search: Generator[None, None, Sharpness]) -> Sharpness | None:
    """Take a search one product further; return what it has found, or None."""
    try:
        return next(search)
    except StopIteration as found:
        sharpness: Sharpness = found.value
        return sharpness


def _masked(network: nn.Module, pictures: _Pictures) -> list[tuple[float, torch.Size]]:
    """Return rate and shape (of one example) of each dropout layer's mask, by a look at one example."""
    layers = [layer for layer in network.modules() if isinstance(layer, Dropout)]
    found: list[tuple[float, torch.Size]] = []
    for layer in layers:
        layer.register_forward_hook(lambda layer, inputs, _: found.append((layer.rate, inputs[0].shape[1:])))
    if layers:
        (batch,) = pictures.batches(torch.arange(1), 1)
        images = batch.images.cpu()
        network.eval()(images if images.dim() == 2 else images.float())
    return found


def _diverged(lanes: Iterable[_Lane]) -> Iterator[Diverged]:
    for lane in lanes:
        if lane.diverged_at is not None:
            yield Diverged(lane.index, lane.diverged_at, lane.seed.place)


def _in_turns(lanes: Sequence[_Lane], batches: Sequence[Sequence[_Batch]]) -> None:
    """Train lane after lane at each step; a GPU does so behind our back, and the wait for it is shared."""
    for position in range(len(batches[0])):
        for lane in lanes:
            lane.step(batches[lane.seed.place][position])
    began = time.perf_counter()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    for lane in lanes:
        lane.seconds += (time.perf_counter() - began) / len(lanes)


def _side_by_side(
    pool: ThreadPoolExecutor, lanes: Sequence[_Lane], batches: Sequence[Sequence[_Batch]]
) -> None:
    """Train on the pool's threads; after each step a lane queues behind the others, so none runs ahead."""

    def advance(lane: _Lane, position: int) -> Future[Any] | None:
        lane.step(batches[lane.seed.place][position])
        return pool.submit(advance, lane, position + 1) if position + 1 < len(batches[0]) else None

    for ahead in [pool.submit(advance, lane, 0) for lane in lanes]:
        following: Future[Any] | None = ahead
        while following is not None:
            following = cast("Future[Any] | None", following.result())
