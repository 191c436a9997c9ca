"""Lanes trained at once, as a GPU likes it: their weights are rows, and a step is replayed, not launched.

A step is two pieces of work on fixed tensors, each a CUDA graph:

learn   forward, backward, penalty and clipping: every lane's gradient; no weight changes
walk    every lane's rule, those of one kind as one; or `look`, lane by lane with what is measured of it

Nothing waits for the GPU between two steps: losses are read once for many of them. On a CPU the same work is
done anew at each step, which is how the tests see all of it but the recording.

What runs out of memory is `learn`, whose size is that of the batches, and it can be done again: then fewer
networks are computed at a time, down to one.
"""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import groupby
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.func import vmap

from optimizers.training.config import TrainConfig
from optimizers.training.device import DTYPES
from optimizers.training.lane import Lane, parts, tame
from optimizers.training.pictures import Batch
from optimizers.training.stack import Stack, UnstackableError, losses

# In the order in which they are tried, and what follows "12 networks at once".
WAYS = {
    "products": "as one, by batched matrix products",
    "grouped": "as one, by grouped convolutions",
    "streams": "each on a stream of its own",
    "compiled": "as one, compiled",
}
STREAMS = 16  # at most; more lanes share them
ALIGNED = 64  # numbers: a row of weights begins where tensor cores can read
WARM_UP = 3  # times that work is done before it is recorded, as torch's notes on CUDA graphs have it

_log = logging.getLogger(__name__)

Tested = tuple[float, float, np.ndarray, np.ndarray]  # as of `Lane.test`


# Weights ----------------------------------------------------------------------------------------------------


class Rows:
    """The weights, gradients and states of K lanes as rows of matrices, where the lanes go on with them."""

    def __init__(self, lanes: Sequence[Lane], config: TrainConfig) -> None:
        """Move the lanes there, sorted by seed, then by rule."""
        self.lanes = sorted(lanes, key=lambda lane: (lane.seed.place, _family(lane)))
        theta, dtype = self.lanes[0].theta, DTYPES[config.precision]
        size, device = (len(self.lanes), len(theta)), theta.device
        self.theta = _matrix(*size, theta.dtype, device)
        self.weights = self.theta if dtype == theta.dtype else _matrix(*size, dtype, device)
        self.gradient = _matrix(*size, dtype, device)
        self.g = self.gradient if dtype == theta.dtype else _matrix(*size, theta.dtype, device)
        self.t = torch.full((), float(self.lanes[0].steps), dtype=torch.float64, device=device)  # steps taken
        self.families: list[Family] = []
        for _, alike in groupby(self.lanes, _family):
            first = self.families[-1].lanes.stop if self.families else 0
            self.families.append(Family(list(alike), first))
        states = (state for family in self.families for state in family.rows())
        places = zip(self.lanes, self.theta, self.weights, self.gradient, states, strict=True)
        for lane, row, weights, gradient, state in places:
            lane.move(row, row if self.weights is self.theta else weights, gradient, state)

    @contextmanager
    def untouched(self) -> Iterator[None]:
        """Put everything back as it was."""
        changing = [self.theta, self.t, *(state for family in self.families for state in family.states)]
        before = [one.clone() for one in changing]
        try:
            yield
        finally:
            torch._foreach_copy_(changing, before)
            if self.weights is not self.theta:
                self.weights.copy_(self.theta)


class Family:
    """Lanes of one rule with the same choices: their rule is applied once, to all."""

    def __init__(self, lanes: Sequence[Lane], first: int) -> None:
        """Stack the states of lanes that are rows from `first` on."""
        self.lanes = slice(first, first + len(lanes))
        self.rule = lanes[0].racer.optimizer.rule
        self.states = [torch.stack(kept) for kept in zip(*(lane.state for lane in lanes), strict=True)]
        given = [lane.racer.arguments for lane in lanes]
        values = {name: [arguments[name] for arguments in given] for name in given[0]}
        self.shared = {name: own[0] for name, own in values.items() if len(set(own)) == 1}
        # (k,) in float64, as Python has them: rounded where they meet the weights.
        self.own = {
            name: torch.tensor(own, dtype=torch.float64).to(lanes[0].theta.device)
            for name, own in values.items()
            if name not in self.shared
        }

    def rows(self) -> Iterator[list[Tensor]]:
        """Yield each lane's state."""
        for row in range(self.lanes.stop - self.lanes.start):
            yield [state[row] for state in self.states]

    def step(
        self, theta: Tensor, g: Tensor, t: Tensor, factor: Tensor | float
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return weights and states after step t; `factor` is the schedule's."""

        def step(
            theta: Tensor, g: Tensor, state: list[Tensor], own: dict[str, Tensor]
        ) -> tuple[Tensor, tuple[Tensor, ...]]:
            arguments: dict[str, Any] = {**self.shared, **own}
            arguments["lr"] = arguments["lr"] * factor
            update, state_after, _ = self.rule(theta, g, t, *state, **arguments)
            return theta + update, state_after

        found: tuple[Tensor, tuple[Tensor, ...]] = vmap(step)(theta, g, self.states, self.own)
        return found


def _family(lane: Lane) -> tuple[str, str]:
    """Return what lanes of one family have in common."""
    entry = lane.racer.optimizer
    numbers = {hyper.name for hyper in entry.hyperparameters if not hyper.choices}
    choices = sorted(item for item in lane.racer.arguments.items() if item[0] not in numbers)
    return entry.name, repr(choices)


def _matrix(rows: int, columns: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    wide = -(-columns // ALIGNED) * ALIGNED
    return torch.zeros(rows, wide, dtype=dtype, device=device)[:, :columns]


# Recorded work ----------------------------------------------------------------------------------------------


class Recorded:
    """Work on fixed tensors: on a GPU recorded once and replayed as a whole, on a CPU done anew each time."""

    def __init__(self, work: Callable[[], None], record: bool, pool: Any) -> None:
        """Do the work a few times, then record it; whoever makes it sees to it that no trace is left."""
        self.work, self.graph = work, None
        if not record:
            work()
            return
        try:
            main, side = torch.cuda.current_stream(), torch.cuda.Stream()
            side.wait_stream(main)
            with torch.cuda.stream(side):
                for _ in range(WARM_UP):
                    work()
            main.wait_stream(side)
            self.graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self.graph, pool=pool):
                work()
        except RuntimeError as problem:
            self.graph = None
            raise _cause(problem) from None

    def __call__(self) -> None:
        """Do it again, on what is in the tensors now."""
        if self.graph is None:
            self.work()
        else:
            self.graph.replay()


def _cause(problem: BaseException) -> BaseException:
    """Return the lack of memory that broke a recording off, which the recorder's own complaint hides."""
    behind: BaseException | None = problem
    while behind is not None and not isinstance(behind, torch.OutOfMemoryError):
        behind = behind.__cause__ or behind.__context__
    return behind or problem


def _beside(work: Sequence[Callable[[], None]], streams: Sequence[Any]) -> None:
    """Do each piece of work on a stream, which begins and ends with the current one's."""
    if not streams:
        for one in work:
            one()
        return
    main = torch.cuda.current_stream()
    for place, one in enumerate(work):
        stream = streams[place % len(streams)]
        stream.wait_stream(main)
        with torch.cuda.stream(stream):
            one()
    for stream in streams[: len(work)]:  # a recording must not wait for a stream that had no part in it
        main.wait_stream(stream)


# Steps ------------------------------------------------------------------------------------------------------


class Engine:
    """Trains the lanes of `rows`, in one way of WAYS.

    Args:
        rows: the lanes.
        config: the run's.
        way: how forward and backward are computed.
        at_once: how many networks, at most.
        told: is called with that number where it must become smaller.

    Raises:
        UnstackableError: the network can't be computed in this way.
    """

    def __init__(
        self, rows: Rows, config: TrainConfig, way: str, at_once: int, told: Callable[[int], None]
    ) -> None:
        """Lay out what a step works on."""
        self.rows, self.lanes, self.config, self.way, self.told = rows, rows.lanes, config, way, told
        self.at_once = min(at_once, len(self.lanes))
        self.steps = self.lanes[0].steps
        self.cuda = rows.theta.is_cuda
        self.streams = [torch.cuda.Stream() for _ in self.lanes[:STREAMS]] if self.cuda else []
        device, factors = rows.theta.device, self.lanes[0].factors
        self.factors = None if factors is None else torch.tensor(factors, dtype=torch.float64).to(device)
        self.inputs: dict[int, dict[int, Batch]] = {}  # batch size, place of the seed
        self.seen = torch.zeros(2, len(self.lanes), device=device)  # of the step: losses, right answers
        self.tables: Tensor | None = None  # (K, 1 + L, 8) of the last look
        self.effective_lr: list[Any] = []  # of the last look, (P,) or one for all
        self.news: list[tuple[Tensor, list[int]]] = []  # (steps, 2, K), batch sizes
        self.looks: list[tuple[int, Tensor]] = []
        self._forget()

    # Memory

    def _forget(self) -> None:
        """Drop what is recorded, and lay out anew how many networks are computed at once."""
        self._wait()
        self.recorded: dict[Any, Recorded] = {}
        self.portions: list[_Portion] = []
        if self.cuda:
            gc.collect()
            torch.cuda.empty_cache()
            self.pool = torch.cuda.graph_pool_handle()
        self.portions = list(self._portions())

    def _portions(self) -> Iterator[_Portion]:
        """Yield lanes to be computed at once: of one seed, and so of one batch, where they are stacked."""
        places = range(len(self.lanes))
        together = [places]
        if self.way != "streams":
            together = [
                range(*(lambda own: (own[0], own[-1] + 1))(list(alike)))
                for _, alike in groupby(places, lambda place: self.lanes[place].seed.place)
            ]
        for of_a_seed in together:
            for first in of_a_seed[:: self.at_once]:
                lanes = slice(first, min(first + self.at_once, of_a_seed.stop))
                yield _Portion(self.rows, lanes, self.way, self.config, self.streams)

    def within_memory(self, do: Callable[[], Any]) -> Any:
        """Do what changes nothing before it is done; with fewer networks at a time where memory runs out."""
        while True:
            try:
                return do()
            except torch.OutOfMemoryError:
                if self.at_once == 1:
                    raise
            self.at_once = (self.at_once + 1) // 2
            self._forget()
            self.told(self.at_once)

    # A step

    def advance(self, batches: Sequence[Sequence[Batch]], look_last: bool = False) -> None:
        """Take as many steps as each seed has batches; on a GPU they are under way when this returns.

        With `look_last` the last one leaves `effective_lr` in the lanes.
        """
        count = len(batches[0])
        found = torch.empty(count, 2, len(self.lanes), device=self.seen.device)
        for position in range(count):
            self.load([of_seed[position] for of_seed in batches])
            size = len(batches[0][position].labels)
            self.within_memory(partial(self.learn, size))
            found[position].copy_(self.seen)
            due = self.lanes[0].gauge.due(self.steps + 1)
            look = due or (look_last and position == count - 1)
            self.within_memory(self.look if look else self.walk)
            self.steps += 1
            # What a recording leaves is lost at the next one's replay: they share their memory.
            if due:
                assert self.tables is not None
                self.looks.append((self.steps, self.tables.clone()))
            if look_last and position == count - 1:
                for lane, kept in zip(self.lanes, self.effective_lr, strict=True):
                    lane.effective_lr = kept.clone() if isinstance(kept, Tensor) else kept
        self.news.append((found, [len(batch.labels) for batch in batches[0]]))

    def load(self, batches: Sequence[Batch]) -> None:
        """Copy each seed's batch to where the recorded work reads it."""
        size = len(batches[0].labels)
        places = {lane.seed.place for lane in self.lanes}
        if size not in self.inputs:
            self.inputs[size] = {place: _like(batches[place]) for place in places}
        for place in places:
            here, there = self.inputs[size][place], batches[place]
            here.images.copy_(there.images)
            here.labels.copy_(there.labels)
            for mine, mask in zip(here.masks, there.masks, strict=True):
                mine.copy_(mask)

    def learn(self, size: int) -> None:
        """Compute every lane's loss and gradient for the batches of this size that are loaded."""
        self._replay(size, lambda: self._learn(self.inputs[size]))

    def walk(self) -> None:
        """Take the step."""
        self._replay("walk", self._walk)

    def look(self) -> None:
        """Take the step, and look inside."""
        self._replay("look", self._look)

    def _replay(self, key: Any, work: Callable[[], None]) -> None:
        if key not in self.recorded:
            with self.rows.untouched():
                self.recorded[key] = self._record(key, work)
        self.recorded[key]()

    def _record(self, key: Any, work: Callable[[], None]) -> Recorded:
        pool = self.pool if self.cuda else None
        try:
            return Recorded(work, self.cuda, pool)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError:
            if key != "look":
                raise
            _log.warning("Looking inside can't be recorded here: it is done kernel by kernel.", exc_info=True)
            return Recorded(work, False, pool)

    def _learn(self, inputs: dict[int, Batch]) -> None:
        rows = self.rows
        for portion in self.portions:
            portion.learn(inputs, self.seen)
        with torch.no_grad():
            if rows.g is not rows.gradient:
                rows.g.copy_(rows.gradient)
            tame(rows.g, rows.theta, self.lanes[0].decay, self.config)

    def _now(self) -> tuple[Tensor, Tensor | float]:
        """Return the number of the step to be taken, and the schedule's factor."""
        t = self.rows.t + 1
        if self.factors is None:
            return t, 1.0
        place = self.rows.t.long().clamp(max=len(self.factors) - 1)[None]
        return t, self.factors.index_select(0, place)[0]

    @torch.no_grad()
    def _walk(self) -> None:
        rows, (t, factor) = self.rows, self._now()
        # All is computed before anything changes: what fails half-way has not stepped some lanes.
        found = [
            family.step(rows.theta[family.lanes], rows.g[family.lanes], t, factor) for family in rows.families
        ]
        for family, (theta, state) in zip(rows.families, found, strict=True):
            rows.theta[family.lanes].copy_(theta)
            for kept, after in zip(family.states, state, strict=True):
                kept.copy_(after)
        self._stepped(t)

    @torch.no_grad()
    def _look(self) -> None:
        rows, (t, factor) = self.rows, self._now()
        found: list[tuple[Tensor, Any, Any, Tensor | None]] = []

        def step(lane: Lane, g: Tensor) -> None:
            arguments: dict[str, Any] = lane.racer.arguments
            arguments["lr"] = arguments["lr"] * factor
            update, state, shown = lane.racer.optimizer.rule(lane.theta, g, t, *lane.state, **arguments)
            theta = lane.theta + update
            measured = (
                lane.gauge.table(t, theta, g, update, state, shown, arguments) if lane.gauge.every else None
            )
            found.append((theta, state, shown[0], measured))

        _beside([partial(step, *of) for of in zip(self.lanes, rows.g, strict=True)], self.streams)
        for lane, (theta, state, _, _) in zip(self.lanes, found, strict=True):
            lane.theta.copy_(theta)
            for kept, after in zip(lane.state, state, strict=True):
                kept.copy_(after)
        self.effective_lr = [effective_lr for _, _, effective_lr, _ in found]
        measured = [table for *_, table in found if table is not None]
        if measured:
            self.tables = torch.stack(measured)
        self._stepped(t)

    def _stepped(self, t: Tensor) -> None:
        self.rows.t.copy_(t)
        if self.rows.weights is not self.rows.theta:
            self.rows.weights.copy_(self.rows.theta)

    # What came of it

    def read(self, batches: Sequence[Sequence[Batch]], began: float) -> None:
        """Wait for the steps on these batches, which began at that time; give each lane its part."""
        ((found, sizes),) = self.news
        numbers = found.permute(1, 2, 0).tolist()  # losses, right answers of each lane
        looks = [(step, tables.cpu()) for step, tables in self.looks]
        self.news, self.looks = [], []
        seconds = (time.perf_counter() - began) / len(self.lanes)
        seen: dict[int, Any] = {}  # the hash of what all running lanes of a seed have seen
        for place, lane in enumerate(self.lanes):
            if lane.seed.place not in seen:
                lane.positions.update(b"".join(batch.positions for batch in batches[lane.seed.place]))
                seen[lane.seed.place] = lane.positions
            positions = seen[lane.seed.place].copy()
            lane.hear(sizes, numbers[0][place], numbers[1][place], positions, seconds)
            for step, tables in looks:
                lane.gauge.keep(step, tables[place])

    def test(self, batches: Sequence[Batch]) -> list[Tested]:
        """Look at the test pictures with every lane, as `Lane.test`, in their order here."""
        found: list[Tested] = self.within_memory(
            lambda: [one for portion in self.portions for one in portion.test(batches)]
        )
        return found

    def rehearse(self, batches: Sequence[Batch], steps: int) -> float:
        """Record a step, take some that leave no trace, and return seconds each."""
        self.load(batches)
        size = len(batches[0].labels)
        with self.rows.untouched():
            for count in (1, steps):  # the first records
                self._wait()
                began = time.perf_counter()
                for _ in range(count):
                    self.within_memory(partial(self.learn, size))
                    self.within_memory(self.walk)
                self._wait()
        return (time.perf_counter() - began) / max(1, steps)

    def _wait(self) -> None:
        if self.cuda:
            torch.cuda.synchronize()


class _Portion:
    """Lanes whose forward and backward are computed at once."""

    def __init__(
        self, rows: Rows, lanes: slice, way: str, config: TrainConfig, streams: Sequence[Any]
    ) -> None:
        self.lanes, self.at, self.config, self.streams = rows.lanes[lanes], lanes, config, streams
        self.parameters, self.alone = self.lanes[0].parameters, way == "streams"
        self.place = self.lanes[0].seed.place
        self.leaves = [one.detach().requires_grad_() for one in parts(rows.weights[lanes], self.parameters)]
        weights = dict(zip(self.parameters, self.leaves, strict=True))
        self.stack: Stack | None = None
        try:
            self.stack = Stack(self.lanes[0].network, weights, products=way != "grouped")
        except UnstackableError:
            if not self.alone:
                raise
        gradients = rows.gradient[lanes] if self.alone else [rows.gradient[lanes]]
        self.gradients = [list(parts(row, self.parameters)) for row in gradients]
        self.answer: Any = self.stack if way != "compiled" or self.stack is None else _compiled(self.stack)

    def learn(self, inputs: dict[int, Batch], seen: Tensor) -> None:
        """Compute losses, right answers and gradients."""
        if self.alone:
            every = range(len(self.lanes))
            _beside([partial(self._alone, place, inputs, seen) for place in every], self.streams)
            return
        batch = inputs[self.place]
        logits = self.answer(batch.images, batch.masks).float()
        loss = losses(logits, batch.labels, self.config.label_smoothing).mean(1)
        torch._foreach_copy_(self.gradients[0], torch.autograd.grad(loss.sum(), self.leaves))
        right = (logits.detach().argmax(2) == batch.labels).sum(1)
        seen[0, self.at].copy_(loss.detach())
        seen[1, self.at].copy_(right)

    def _alone(self, place: int, inputs: dict[int, Batch], seen: Tensor) -> None:
        lane = self.lanes[place]
        loss, right = lane.answer(inputs[lane.seed.place])
        torch._foreach_copy_(self.gradients[place], torch.autograd.grad(loss, lane.parameters))
        seen[0, self.at.start + place].copy_(loss.detach())
        seen[1, self.at.start + place].copy_(right)

    @torch.no_grad()
    def test(self, batches: Sequence[Batch]) -> list[Tested]:
        if self.stack is None:
            return [lane.test(batches) for lane in self.lanes]
        loss = torch.zeros(len(self.lanes), dtype=torch.float64, device=batches[0].labels.device)
        classes, sure = [], []
        for batch in batches:
            logits = self.stack(batch.images).float()
            loss += losses(logits, batch.labels).sum(1, dtype=torch.float64)
            classes.append(logits.argmax(2))
            sure.append(logits.softmax(2).amax(2))
        labels = torch.cat([batch.labels for batch in batches])
        predictions, confidence = torch.cat(classes, 1), torch.cat(sure, 1)
        accuracy = (predictions == labels).double().mean(1).tolist()
        means = (loss / len(labels)).tolist()
        return list(zip(means, accuracy, predictions.cpu().numpy(), confidence.cpu().numpy(), strict=True))


def _compiled(stack: Stack) -> Callable[..., Tensor]:
    def answer(images: Tensor, masks: Sequence[Tensor]) -> Tensor:
        return stack(images, masks)

    compiled: Callable[..., Tensor] = torch.compile(answer, fullgraph=True)
    return compiled


def _like(batch: Batch) -> Batch:
    """Return fixed tensors for batches such as this."""
    return replace(
        batch,
        images=torch.empty_like(batch.images),
        labels=torch.empty_like(batch.labels),
        positions=b"",
        masks=tuple(map(torch.empty_like, batch.masks)),
    )
