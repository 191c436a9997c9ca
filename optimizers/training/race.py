"""The race: every racer from the same weights, on the same batches, in lock-step.

Imports torch, numpy and our own modules only, so that it also runs on a bare GPU machine. Use it through
`optimizers.training.train`.

On a CPU the racers run side by side, each on its own share of the threads. Measured on 2 cores, that is as
fast as one after the other with all threads while the machine is idle, and many times faster while another
program wants a core too, as the threads inside one convolution wait for each other. On a GPU they are trained
at once, see `crowd`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from optimizers.catalog import Racer, distinct
from optimizers.schedules import Schedule
from optimizers.training import checkpoint, data, snapshots
from optimizers.training.classes import look_at
from optimizers.training.config import TrainConfig
from optimizers.training.crowd import Crowd
from optimizers.training.device import arithmetic, crew, device_name, resolve
from optimizers.training.inside import layers_of, stride
from optimizers.training.lane import Lane
from optimizers.training.layers import Dropout
from optimizers.training.models import MODELS, build
from optimizers.training.pictures import Batch, Pictures, Seed
from optimizers.training.preprocessing import WORDS, whitening_of
from optimizers.training.sharpness import CHUNK, PICTURES
from optimizers.training.telemetry import (
    Diverged,
    Evaluated,
    Event,
    Inside,
    Kept,
    Look,
    Point,
    Preparing,
    Progress,
    RacerResult,
    Sharpness,
    Started,
    StopTraining,
    TrainResult,
    Way,
)
from optimizers.training.together import Tested
from optimizers.training.validation import hold_out

POINTS_PER_EPOCH = 50
TEST_BATCH = 500  # pictures


def train(
    config: TrainConfig,
    on_event: Callable[[Event], None] | None = None,
    *,
    folder: Path | None = None,
    resume: bool = False,
    ways: Sequence[str] | None = None,
    memory: checkpoint.Memory | None = None,
) -> TrainResult:
    """Run the race; see `optimizers.training.train`.

    `ways` is for tests and benchmarks: train all networks at once, on a CPU too, in one of these ways, see
    `crowd.Crowd`. `memory`, in place of a folder, may hold a state to go on from.
    """
    asked, found = config, None
    if memory is not None and memory.state is not None:
        found = checkpoint.Found(memory.state)
        config = checkpoint.recipe(memory.state, asked, "memory")
    if resume:
        if folder is None:
            raise ValueError("resume is True, but a run goes on from a checkpoint in its folder: name it.")
        found = checkpoint.read(folder)
        config = checkpoint.recipe(found.state, asked, folder)
    config = resolve(config)
    dataset = data.load(config.data)
    if config.validation:
        dataset = hold_out(dataset, config.validation, config.seed)
    with (
        arithmetic(config.precision),
        crew(config) if ways is None else nullcontext() as pool,
        checkpoint.keeping(folder, memory) as keeper,
    ):
        race = _Race(config, dataset, pool, on_event or (lambda event: None), asked, keeper)
        if folder is not None and config.snapshots:
            race.snapshots = snapshots.Keeper(folder, config, race.total_steps)
        if config.device == "cuda" or ways is not None:
            race.crowd = Crowd(config, race.say, ways)
        if found is not None:
            race.restore(found)
        race.run()
        return race.result()


class _Race:
    """The lanes of a run and what has been told of them."""

    def __init__(
        self,
        config: TrainConfig,
        dataset: data.Dataset,
        pool: ThreadPoolExecutor | None,
        on_event: Callable[[Event], None],
        asked: TrainConfig,  # before anything was found for "auto"
        keeper: checkpoint.Keeper | checkpoint.Memory | None,
    ) -> None:
        self.config, self.dataset, self.pool, self.on_event = config, dataset, pool, on_event
        self.asked, self.keeper = asked, keeper
        self.snapshots: snapshots.Keeper | None = None
        self.crowd: Crowd | None = None  # on a GPU
        self.how = ""  # it trains
        self.ahead: list[list[Batch]] = []  # of the next steps, where they are ready
        chosen = slice(config.limit)
        self.stopped = False
        whitening = whitening_of(
            config.model,
            dataset.train_images[chosen],
            config.device,
            lambda text: self._tell([Preparing(text)]),
        )
        self.pictures = Pictures(
            dataset.train_images[chosen], dataset.train_labels[chosen], config, whitening
        )
        tests = Pictures(dataset.test_images, dataset.test_labels, config, whitening)
        self.tests = list(tests.batches(torch.arange(len(tests)), TEST_BATCH))
        self.steps_per_epoch = math.ceil(len(self.pictures) / config.batch_size)
        self.total_steps = config.epochs * self.steps_per_epoch
        self.masked = _masked(self._network(torch.Generator()), self.pictures)
        self.seeds = [Seed(place, config.seed + place) for place in range(config.seeds)]
        self.lanes = list(self._lanes())
        self.layers = tuple(layer.name for layer in layers_of(self.lanes[0].network))
        self.data_note = dataset.note
        if len(self.pictures) < len(dataset.train_labels):
            self.data_note += f"; trained on the first {len(self.pictures):,}"
        if preprocess := MODELS[config.model].preprocess:
            self.data_note += f"; {WORDS[preprocess]}"
        self.step = 0
        self.resumed_at: int | None = None
        self.notice = ""  # where that was not from the newest checkpoint
        self.points: list[Point] = []
        self.evaluations: list[Evaluated] = []
        self.insides: list[Inside] = []
        self.sharpnesses: list[Sharpness] = []
        self.began = time.perf_counter()
        self.ready = 0.0  # seconds, when training began

    def _lanes(self) -> Iterator[Lane]:
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
                yield Lane(index, seed, racer, look.label, network, config, factors, every)

    def _network(self, weights: torch.Generator) -> nn.Sequential:
        classes = len(self.dataset.classes)
        return build(self.config.model, classes, weights, self.dataset.shape, self.config.dropout)

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.began

    @property
    def running(self) -> list[Lane]:
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
            every = list(zip(*(order.split(stride) for order in orders), strict=True))
            for chunks, following in zip(every, [*every[1:], None], strict=True):
                if at < began:
                    self._recall(chunks, at)
                else:
                    self._advance(chunks, following)
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

    def _batches(self, orders: Sequence[Tensor], step: int) -> list[list[Batch]]:
        """Return the batches of each seed, from a step on."""
        size, masked = self.config.batch_size, self.masked
        return [
            list(self.pictures.training_batches(order, size, seed, step, masked))
            for seed, order in zip(self.seeds, orders, strict=True)
        ]

    def _advance(self, orders: Sequence[Tensor], following: Sequence[Tensor] | None) -> None:
        """Train every lane on the pictures of its seed, then tell how it went.

        The batches of those that follow are made ready while a GPU works.
        """
        batches = self.ahead or self._batches(orders, self.step)
        running, before, self.ahead = self.running, self.step, []

        def meanwhile() -> None:
            if following is not None:
                self.ahead = self._batches(following, before + len(batches[0]))

        if self.crowd is not None:
            self.crowd.advance(running, batches, meanwhile, look_last=self.config.sharpness > 0)
        else:
            assert self.pool is not None
            _side_by_side(self.pool, running, batches)
        self.step += len(batches[0])
        seconds = self.seconds
        points = [point for lane in running for point in lane.points(seconds, *lane.told())]
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
            found = self._tested(running)
        evaluations, looks = [], []
        for lane, (loss, accuracy, predictions, sure) in zip(running, found, strict=True):
            if math.isfinite(loss):
                lane.predictions = predictions
                looks.append(self._look(lane, sure, epoch))
            else:  # the last step took it where no finite loss is
                loss = accuracy = math.nan
                lane.diverged_at = self.step
            evaluations.append(Evaluated(lane.index, self.step, epoch, loss, accuracy, lane.seed.place))
        self.evaluations += evaluations
        self._tell([*looks, *evaluations])
        self._tell(_diverged(running))

    def _tested(self, lanes: Sequence[Lane]) -> list[Tested]:
        if self.crowd is not None:
            return self.crowd.test(lanes, self.tests)
        return self._each(lambda lane: lane.test(self.tests), lanes)

    def say(self, how: str) -> None:
        """Tell how the networks are trained."""
        self.how = how
        self._tell([Way(how)])

    def _look(self, lane: Lane, confidence: np.ndarray, epoch: int) -> Look:
        tests, classes = self.dataset, len(self.dataset.classes)
        assert lane.predictions is not None
        return look_at(
            *(lane.network, tests.shape, tests.test_images, tests.test_labels, lane.predictions, confidence),
            *(classes, lane.index, self.step, epoch, lane.seed.place),
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
            device_name=device_name(config.device),
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

    def _racer_result(self, lane: Lane) -> RacerResult:
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
            device_name=device_name(self.config.device),
            parameters=len(self.lanes[0].theta),
            steps_per_epoch=self.steps_per_epoch,
            steps=self.step,
            seconds=self.seconds,
            stopped=self.stopped,
            how=self.how,
        )


def _ahead(search: Generator[None, None, Sharpness]) -> Sharpness | None:
    """Take a search one product further; return what it has found, or None."""
    try:
        return next(search)
    except StopIteration as found:
        sharpness: Sharpness = found.value
        return sharpness


def _masked(network: nn.Module, pictures: Pictures) -> list[tuple[float, torch.Size]]:
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


def _diverged(lanes: Iterable[Lane]) -> Iterator[Diverged]:
    for lane in lanes:
        if lane.diverged_at is not None:
            yield Diverged(lane.index, lane.diverged_at, lane.seed.place)


def _side_by_side(
    pool: ThreadPoolExecutor, lanes: Sequence[Lane], batches: Sequence[Sequence[Batch]]
) -> None:
    """Train on the pool's threads; after each step a lane queues behind the others, so none runs ahead."""

    def advance(lane: Lane, position: int) -> Future[Any] | None:
        lane.step(batches[lane.seed.place][position])
        return pool.submit(advance, lane, position + 1) if position + 1 < len(batches[0]) else None

    for ahead in [pool.submit(advance, lane, 0) for lane in lanes]:
        following: Future[Any] | None = ahead
        while following is not None:
            following = cast("Future[Any] | None", following.result())
