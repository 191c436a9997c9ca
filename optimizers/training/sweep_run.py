"""How a sweep is carried out: groups of networks as tasks of Dask, and one thread that listens to them.

Networks whose recipes differ in the racer alone see the same batches: they are a group, and train in
lock-step in one call of `train`. A task's return value is the truth about its group; what it says on the way,
as events of the scheduler, is for the eye. So a task that Dask gives to another worker, because its first was
lost, may say everything twice.

At a rung of successive halving, a task's return value holds the state of its networks, too. It stays with the
worker; where a network goes on, Dask brings that one's state, and no other, to the worker that trains it
further, and has it trained again where it was lost.
"""

from __future__ import annotations

import logging
import math
import os
import queue
import re
import secrets
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import dask
from distributed import Client, Event, Future, KilledWorker, LocalCluster, WorkerPlugin, get_worker

from optimizers.training import data
from optimizers.training.cluster import connect
from optimizers.training.config import TrainConfig
from optimizers.training.sweep import (
    DIVERGED,
    DROPPED,
    FAILED,
    FINISHED,
    STOPPED,
    TRAINING,
    WAITING,
    Changed,
    Network,
    Pace,
    Rung,
    Said,
    SweepConfig,
    SweepEvent,
    SweepResult,
    Trial,
    ranked,
    rungs,
    standing,
    trials,
    winner,
    work,
    work_of,
)
from optimizers.training.telemetry import Diverged, Evaluated, Progress, Started, StopTraining
from optimizers.training.validation import hold_out

ON_A_CPU, ON_A_GPU = 8, 64  # networks in lock-step at most, where one worker could take more
LISTEN = 0.25  # seconds between two looks at a sweep where nothing is said
SPEAK = 0.5  # seconds between two words of a task on how far it is, and two looks at whether to stop
PATIENCE = 60.0  # seconds that a task may take to its next step once it is to stop


def run(
    config: SweepConfig,
    on_event: Callable[[SweepEvent], None] | None,
    scheduler: str | None,
    workers: int | None,
) -> SweepResult:
    """See `optimizers.training.sweep.sweep`."""
    if workers is not None and workers < 1:
        raise ValueError(f"workers is {workers}, but takes a whole number from 1.")
    trials(config)  # what is wrong with it is said before any process starts
    pictures_of(config)
    with _client(config, scheduler, workers) as client:
        return run_on(client, config, on_event, _cores() if scheduler is None else 0)


def run_on(
    client: Client,
    config: SweepConfig,
    on_event: Callable[[SweepEvent], None] | None = None,
    cores: int = 0,
    *,
    resources: dict[str, float] | None = None,
    slots: int = 0,
) -> SweepResult:
    """Sweep on the workers of `client`; its few last tasks share out `cores`, where that is known.

    Only workers with these Dask `resources` take part; as many tasks as `slots` are out at once, or as all
    workers have threads.
    """
    on_event = on_event or (lambda event: None)
    return _Sweep(client, config, on_event, cores, resources or {}, slots).run()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def pictures_of(config: SweepConfig) -> tuple[int, int]:
    """Return how many pictures an epoch of one network trains on, and how many the test set has."""
    base = config.base
    dataset = data.load(base.data)
    kept = len(hold_out(dataset, base.validation, base.seed).train_labels)
    return min(kept, base.limit or kept), len(dataset.test_labels)


# Where the tasks run ----------------------------------------------------------------------------------------


class _DeafToCtrlC(WorkerPlugin):
    """A terminal's Ctrl-C reaches every process; whether to stop is the first one's to say."""

    def setup(self, worker: Any) -> None:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def _client(config: SweepConfig, scheduler: str | None, workers: int | None) -> Iterator[Client]:
    if scheduler is not None:
        with connect(scheduler) as client:
            yield client
        return
    cores = _cores()
    count = workers or min(_gpus(config) or cores, config.size * config.seeds)
    each = str(max(1, cores // count))  # CPU threads of a worker's arithmetic
    settings = {
        # Without Dask's own MALLOC_TRIM_THRESHOLD_, by which every large tensor is mapped anew.
        "distributed.nanny.pre-spawn-environ": {
            "OMP_NUM_THREADS": each,
            "MKL_NUM_THREADS": each,
        },
        "logging.distributed": "error",
    }
    with (
        dask.config.set(settings),
        LocalCluster(
            processes=True,
            n_workers=count,
            threads_per_worker=1,
            memory_limit=0,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",  # None would take port 8787
            silence_logs=logging.CRITICAL,
        ) as cluster,
        Client(cluster) as client,
    ):
        client.register_plugin(_DeafToCtrlC())
        yield client


def _gpus(config: SweepConfig) -> int:
    if config.base.device == "cpu":
        return 0
    import torch

    return torch.cuda.device_count()


def _sees_a_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


# In a worker ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Group:
    """Networks that train in lock-step: racer k of the recipe is network k."""

    key: str  # of its task
    config: TrainConfig
    members: tuple[tuple[int, int], ...]  # (trial, seed)
    until: int  # epochs, at which its rung ends
    since: int = 0  # epochs, that it has trained on the rungs before
    threads: int = 0  # of its worker's arithmetic, where that should have more than it has

    @property
    def is_test(self) -> bool:
        """Whether it is the winner, trained anew and tested, and no part of the choice."""
        return self.config.validation == 0

    @property
    def goes_on(self) -> bool:
        """Whether a rung comes after its own."""
        return self.until < self.config.epochs


def train_group(group: Group, topic: str, states: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Train a group to the end of its rung. Runs as a task of Dask; what it says on the way goes to `topic`.

    Args:
        group: to train.
        topic: of the sweep.
        states: of its networks at the end of the rung before, as `checkpoint.apart` gives them; none before
            the first.
    """
    import torch

    from optimizers.training import checkpoint, race

    worker = get_worker()
    _take_own_gpu(worker.name)
    stop = Event(_stop_name(topic))
    looked = told = time.monotonic()
    steps, whole = 1, False

    def tell(**words: Any) -> None:
        worker.log_event(topic, {"key": group.key, **words})

    def on_event(event: object) -> None:
        nonlocal looked, told, steps, whole
        now = time.monotonic()
        match event:
            case Started():
                steps = event.steps_per_epoch
            case Evaluated():
                tell(racer=event.racer, epoch=event.epoch, loss=event.loss, accuracy=event.accuracy)
                if group.goes_on and event.epoch == group.until:  # the others' numbers are in the result
                    whole = True
                    raise StopTraining
            case Diverged():
                tell(racer=event.racer, diverged=event.step)
            case Progress() if now - told > SPEAK:
                told = now
                tell(share=(event.step / steps - group.since) / (group.until - group.since))
        if now - looked > SPEAK:
            looked = now
            if stop.is_set():
                raise StopTraining

    if stop.is_set():
        return {"networks": [], "stopped": True, "data_note": "", "states": []}
    tell(begun=secrets.token_hex(4), networks=len(group.members))
    before = torch.get_num_threads()
    torch.set_num_threads(max(before, group.threads))
    memory = checkpoint.Memory(checkpoint.together(states) if states else None)
    try:
        result = race.train(group.config, on_event, memory=memory)
    finally:
        torch.set_num_threads(before)
    found = [
        {
            "history": tuple((e.epoch, e.loss, e.accuracy) for e in result.evaluations if e.racer == place),
            "diverged_at": racer.diverged_at,
            "seconds": racer.seconds,
        }
        for place, racer in enumerate(result.racers)
    ]
    return {
        "networks": found,
        "stopped": result.stopped and not whole,
        "data_note": result.data_note,
        "states": checkpoint.apart(memory.state) if group.goes_on and memory.state else [],
    }


def _without_states(found: dict[str, Any]) -> dict[str, Any]:
    return {**found, "states": []}


def _state(found: dict[str, Any], place: int) -> dict[str, Any]:
    state: dict[str, Any] = found["states"][place]
    return state


def _take_own_gpu(name: object) -> None:
    """Let the workers of a LocalCluster, which are numbered, share out the machine's GPUs."""
    import torch

    if torch.cuda.is_available() and str(name).isdigit():
        torch.cuda.set_device(int(str(name)) % torch.cuda.device_count())


def _stop_name(topic: str) -> str:
    return f"{topic}-stop"


# The listener -----------------------------------------------------------------------------------------------


class _Sweep:
    """One sweep under way: its networks as they stand, and the tasks that are out."""

    def __init__(
        self,
        client: Client,
        config: SweepConfig,
        on_event: Callable[[SweepEvent], None],
        cores: int,
        resources: dict[str, float],
        slots: int,
    ) -> None:
        self.client, self.config, self.on_event, self.cores = client, config, on_event, cores
        self.resources, self.slots = resources, slots
        self.trials = trials(config)
        self.pictures, self.test_pictures = pictures_of(config)
        self.total = work_of(config, self.pictures, self.test_pictures)
        self.together = ON_A_CPU
        if config.base.device != "cpu" and any(client.run(_sees_a_gpu).values()):
            self.together = ON_A_GPU
        self.seeds = range(config.base.seed, config.base.seed + config.seeds)
        self.networks = {(t.index, seed): Network(t.index, seed) for t in self.trials for seed in self.seeds}
        self.topic = f"sweep-{secrets.token_hex(4)}"
        self.stop = Event(_stop_name(self.topic), client=client)
        self.heard: queue.SimpleQueue[tuple[str, Any]] = (
            queue.SimpleQueue()
        )  # (a task's key, its words or itself)
        self.flying: dict[str, tuple[Group, Future]] = {}
        self.whole: dict[str, Future] = {}  # task -> its result with its networks' states, if they may go on
        self.states: dict[tuple[int, int], Future] = {}  # of the networks on this rung, where they begin
        self.trained: dict[str, tuple[tuple[int, int], ...]] = {}  # task of this rung -> its networks
        self.begun: dict[str, str] = {}  # task -> which of its beginnings this is
        self.tests: dict[int, tuple[float, float]] = {}  # seed -> loss, accuracy of the winner
        self.said: list[str] = []
        self.data_note = ""
        self.began = time.monotonic()
        self.trained_since = math.nan
        self.told = 0.0
        self.done = 0.0  # work of the tasks that have ended, in pictures …
        self.lost = 0.0  # … and how much of it was not done
        self.under_way: dict[str, float] = {}  # task -> how much of its work is done

    def run(self) -> SweepResult:
        stopped = False
        self.client.subscribe_topic(self.topic, lambda event: self.heard.put((event[1]["key"], event[1])))
        try:
            self._climb()
        except StopTraining:
            stopped = True
            self.on_event = lambda event: None  # who asked to stop wants to hear no more
            self._land()
        finally:
            self.stop.set()  # whatever is still out ends by itself
            self.client.unsubscribe_topic(self.topic)
        return self._result(stopped)

    def _climb(self) -> None:
        """Train rung after rung, then test the winner."""
        left, ladder = list(self.trials), rungs(self.config)
        since = 0
        for place, rung in enumerate(ladder):
            self._fly(self._groups(left, rung, since))
            since = rung.epochs
            if all(network.state == FAILED for network in self.networks.values()):
                raise RuntimeError(self.said[-1])
            if place + 1 < len(ladder):
                left = self._promote(left, rung, ladder[place + 1])
        best = winner(self.config, [self._standing(trial) for trial in left])
        if best is None:
            self._say("Every trial diverged or failed, so there is nothing to test.")
        else:
            self._fly([self._test(best, seed) for seed in self.seeds])
        self._pace(at_once=True)

    def _test(self, best: Trial, seed: int) -> Group:
        """Return the task that trains the winner anew, on all training pictures, and tests it."""
        recipe = best.config(self.config, seed)
        recipe = replace(recipe, validation=0, threads=self.config.base.threads)  # it may have all cores
        threads = self.cores // len(self.seeds)
        key = f"{self.topic}-test-{seed}"
        return Group(key, recipe, ((best.index, seed),), recipe.epochs, threads=threads)

    def _standing(self, trial: Trial) -> Any:
        return standing(trial, [self.networks[trial.index, seed] for seed in self.seeds])

    def _promote(self, left: Sequence[Trial], rung: Rung, above: Rung) -> list[Trial]:
        """Return the trials that go on, in their own order; held-out pictures decide."""
        order = [
            one.trial for one in ranked([self._standing(t) for t in left]) if not math.isnan(one.accuracy)
        ]
        chosen = order[: above.trials]
        changed = []
        for trial in left:
            for seed in self.seeds:
                network = self.networks[trial.index, seed]
                if trial not in chosen and network.state == FINISHED:
                    changed.append(replace(network, state=DROPPED))
        self._change(changed)
        self._hand_on({(trial.index, seed) for trial in chosen for seed in self.seeds})
        epochs = f"{rung.epochs} epoch{'s' * (rung.epochs > 1)}"
        self._say(
            f"After {epochs} the best {len(chosen)} of {len(left)} trials go on, to {above.epochs} epochs."
        )
        return sorted(chosen, key=lambda trial: trial.index)

    def _hand_on(self, chosen: set[tuple[int, int]]) -> None:
        """Keep the states of these networks, and let go of all others."""
        submit = partial(self.client.submit, pure=False, resources=self.resources, priority=1)
        self.states = {
            member: submit(_state, self.whole[key], place, key=f"{key}-state-{place}")
            for key, members in self.trained.items()
            for place, member in enumerate(members)
            if member in chosen
        }
        self.whole.clear()
        self.trained.clear()

    def _groups(self, chosen: Sequence[Trial], rung: Rung, since: int) -> list[Group]:
        """Put together what sees the same batches, in parts for which there are workers."""
        kin: dict[TrainConfig, list[tuple[Trial, int]]] = {}
        for seed in self.seeds:
            for trial in chosen:
                recipe = trial.config(self.config, seed)
                kin.setdefault(replace(recipe, racers=("gd",)), []).append((trial, seed))
        share = math.ceil(len(chosen) * len(self.seeds) / self._slots())
        size = max(1, min(self.together, share))
        groups: list[Group] = []
        for recipe, members in kin.items():
            parts = math.ceil(len(members) / size)
            for part in range(parts):  # even ones
                mine = members[len(members) * part // parts : len(members) * (part + 1) // parts]
                key = f"{self.topic}-{rung.epochs}-{len(groups)}"
                racers = tuple(trial.racer for trial, _ in mine)
                numbers = tuple((trial.index, seed) for trial, seed in mine)
                groups.append(Group(key, replace(recipe, racers=racers), numbers, rung.epochs, since))
        return groups

    def _slots(self) -> int:
        return self.slots or max(1, sum(self.client.nthreads().values()))

    def _fly(self, groups: Sequence[Group]) -> None:
        """Have every group trained, no more at once than there are workers, so that others' tasks come in."""
        self._change(
            [replace(self.networks[m], epochs=g.until) for g in groups if not g.is_test for m in g.members]
        )
        waiting = deque(groups)
        while waiting or self.flying:
            while waiting and len(self.flying) < self._slots():
                self._submit(waiting.popleft())
            with suppress(queue.Empty):
                key, words = self.heard.get(timeout=LISTEN)
                while True:
                    waiting.extend(self._hear(key, words))
                    key, words = self.heard.get_nowait()
            self._pace()

    def _submit(self, group: Group) -> None:
        submit = partial(self.client.submit, pure=False, resources=self.resources, fifo_timeout=0)
        states = [self.states[member] for member in group.members] if group.since else []
        # First come, first served, beside other people's tasks.
        future = submit(train_group, group, self.topic, states, key=group.key)
        if group.goes_on:  # what comes here is its result without the states
            self.whole[group.key] = future
            future = submit(_without_states, future, key=f"{group.key}-found", priority=1)
        self.flying[group.key] = group, future
        future.add_done_callback(lambda future: self.heard.put((group.key, future)))

    def _land(self) -> None:
        """Stop what is out, and keep what it has."""
        self.stop.set()
        for key, (_, future) in list(self.flying.items()):
            if key not in self.begun:  # it has nothing yet, and loads torch or waits for others' tasks
                future.cancel()
                if key in self.whole:
                    self.whole.pop(key).cancel()
                del self.flying[key]
        deadline = time.monotonic() + PATIENCE
        while self.flying and time.monotonic() < deadline:
            with suppress(queue.Empty):
                key, words = self.heard.get(timeout=LISTEN)
                self._hear(key, words)

    def _hear(self, key: str, words: Any) -> list[Group]:
        """Take in what a task says, or that it has ended; return groups that are to be tried again."""
        if isinstance(words, Future):
            group, future = self.flying.pop(key, (None, words))
            return self._ended(group, future) if group else []
        if "begun" in words:
            if math.isnan(self.trained_since):
                self.trained_since = time.monotonic()
            if self.begun.setdefault(key, words["begun"]) != words["begun"]:  # also after its end
                self.begun[key] = words["begun"]
                self._say(f"A worker was lost; its {_count(words['networks'])} trained again.")
        if key not in self.flying:  # words that come after its end
            return []
        group, _ = self.flying[key]
        if "begun" in words:
            if not group.is_test:
                self._change([replace(self.networks[m], state=TRAINING) for m in group.members])
        elif "share" in words:
            self.under_way[key] = words["share"] * self._work(group)
        elif not group.is_test:
            network = self.networks[group.members[words["racer"]]]
            if "diverged" in words:
                self._change([replace(network, state=DIVERGED, diverged_at=words["diverged"])])
            else:
                found = (words["epoch"], words["loss"], words["accuracy"])
                known = {line[0]: line for line in (*network.history, found)}
                self._change([replace(network, history=tuple(known[epoch] for epoch in sorted(known)))])
        return []

    def _ended(self, group: Group, future: Future) -> list[Group]:
        self.under_way.pop(group.key, None)
        if future.status != "finished":
            self.whole.pop(group.key, None)
        problem = future.exception() if future.status == "error" else None
        if problem is None and future.status == "finished":
            self._take(group, future.result())
            return []
        if isinstance(problem, ValueError | data.DataError):  # the same for all of them
            raise problem
        if type(problem).__name__ == "OutOfMemoryError" and len(group.members) > 1:
            self._say(
                f"{_count(len(group.members))} too many at once for the memory: half as many are tried."
            )
            half = len(group.members) // 2
            whole = list(zip(group.members, group.config.racers, strict=True))
            return [
                replace(
                    group,
                    key=f"{group.key}{side}",
                    config=replace(group.config, racers=tuple(racer for _, racer in part)),
                    members=tuple(member for member, _ in part),
                )
                for side, part in (("a", whole[:half]), ("b", whole[half:]))
            ]
        self.done += self._work(group)
        self.lost += self._work(group)
        why = "their workers were lost again and again" if isinstance(problem, KilledWorker) else str(problem)
        self._say(f"{_count(len(group.members))} given up: {why.strip().partition(chr(10))[0].rstrip('.')}.")
        if not group.is_test:
            self._change([replace(self.networks[member], state=FAILED) for member in group.members])
        return []

    def _take(self, group: Group, found: dict[str, Any]) -> None:
        """Take in the result of a task."""
        self.done += self._work(group)
        if group.is_test:
            if not found["stopped"]:
                (network,) = found["networks"]
                self.tests[group.members[0][1]] = network["history"][-1][1:]
            return
        if group.goes_on:
            self.trained[group.key] = group.members
        self.data_note = re.sub(r"; judged by [^;]*", "", found["data_note"])
        changed = []
        for member, network in zip(group.members, found["networks"], strict=True):
            before = self.networks[member]
            state = STOPPED if found["stopped"] else FINISHED
            changed.append(
                replace(
                    before,
                    state=state if network["diverged_at"] is None else DIVERGED,
                    epochs=group.until,
                    history=network["history"],
                    seconds=network["seconds"],
                    diverged_at=network["diverged_at"],
                )
            )
        self._change(changed)

    def _change(self, networks: Sequence[Network]) -> None:
        self.networks.update({(network.trial, network.seed): network for network in networks})
        if networks:
            self.on_event(Changed(tuple(networks)))

    def _say(self, text: str) -> None:
        self.said.append(text)
        self.on_event(Said(text))

    def _pace(self, at_once: bool = False) -> None:
        now = time.monotonic()
        if now - self.told < LISTEN and not at_once:
            return
        self.told = now
        done = min(self.total, self.done + sum(self.under_way.values()))
        spent = now - self.trained_since  # NaN while nothing has trained
        rate = max(0.0, done - self.lost) / spent if spent > 0 else 0.0
        left = (self.total - done) / rate if rate else None
        self.on_event(Pace(done / self.total, now - self.began, rate, left))

    def _work(self, group: Group) -> float:
        judged = self.test_pictures if group.is_test else group.config.validation
        return work(len(group.members), group.until, self.pictures, judged, group.since)

    def _result(self, stopped: bool) -> SweepResult:
        for member, network in self.networks.items():
            if stopped and network.state in (TRAINING, WAITING):
                self.networks[member] = replace(network, state=STOPPED)
        tested = [self.tests[seed] for seed in self.seeds if seed in self.tests]
        return SweepResult(
            config=self.config,
            trials=self.trials,
            networks=tuple(self.networks.values()),
            test_accuracy=tuple(accuracy for _, accuracy in tested),
            test_loss=tuple(loss for loss, _ in tested),
            said=tuple(self.said),
            data_note=self.data_note,
            seconds=time.monotonic() - self.began,
            stopped=stopped,
        )


def _count(networks: int) -> str:
    return "1 network is" if networks == 1 else f"{networks} networks are"
