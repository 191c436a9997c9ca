"""The state of a run in its folder, so that it goes on to the bit after whatever ended it.

A checkpoint is one file: a line with its kind and the SHA-256 of the rest, then what `torch.save` writes. It
takes its place when all of it is on the disk, and the one before it is kept: of a crash at any moment, or a
file that is damaged, at least one is left.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import pickle
import re
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from math import prod
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from optimizers.files import whole
from optimizers.training.config import TrainConfig
from optimizers.training.data import DataError, home
from optimizers.training.telemetry import Evaluated, Kept

NAME = "checkpoint.pt"
BEFORE = "checkpoint-before.pt"  # the one before it
KIND = b"adamscope checkpoint 1"

FIRST = 1.0  # seconds of training before the first
PERIOD = 10.0  # seconds from one to the next, within an epoch
SHARE = 0.02  # of a run's time that they may take; longer ones come less often
RACER, STEP = (
    [field.name for field in fields(Evaluated)].index(name) for name in ("racer", "step")
)  # columns

_ID = re.compile("[0-9a-f]{8}")  # of a run in the store
_PLACE = re.compile(":[0-9]{1,4}$")

E = TypeVar("E")


class CheckpointError(DataError):
    """There is no checkpoint to be read; the message says in one sentence why, and what to do."""


@dataclass(frozen=True)
class Found:
    """A checkpoint that was read."""

    state: dict[str, Any]
    notice: str = ""  # one sentence where it is not the newest


def write(folder: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint into `folder`, made if need be, and keep the one before it.

    Args:
        folder: of the run.
        state: plain numbers, text, tensors, and lists and dictionaries of them.

    Raises:
        OSError: it can't be written, e.g. because the disk is full; those that were there are still there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    content = io.BytesIO()
    torch.save(state, content)
    with whole(folder / NAME) as temporary:
        with temporary.open("wb") as file:
            file.write(b"%s %s\n" % (KIND, hashlib.sha256(content.getbuffer()).hexdigest().encode()))
            file.write(content.getbuffer())
            file.flush()
            os.fsync(file.fileno())  # or a power cut leaves a name without its content
        if (folder / NAME).exists():
            os.replace(folder / NAME, folder / BEFORE)


def exists(folder: Path) -> bool:
    """Whether a checkpoint was ever written there."""
    return any((folder / name).exists() for name in (NAME, BEFORE))


def read(folder: Path) -> Found:
    """Read the newest checkpoint of `folder`; where it is damaged, the one before it.

    Raises:
        CheckpointError: there is none, or none that is whole.
    """
    problems = []
    for name in (NAME, BEFORE):
        try:
            state = _read(folder / name)
        except FileNotFoundError:
            continue
        except (CheckpointError, OSError) as problem:
            problems.append(_why(problem))
            continue
        if not problems:
            return Found(state)
        return Found(state, f"{problems[0]}: the run goes on from the one before, at step {state['step']}.")
    if problems:
        raise CheckpointError(f"{problems[0]}, and there is no other: start the run anew.")
    raise CheckpointError(f"There is no checkpoint in {folder}: start the run anew.")


def _read(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        kind, _, checksum = file.readline(200).rstrip(b"\n").rpartition(b" ")
        content = file.read()
    if kind != KIND or hashlib.sha256(content).hexdigest().encode() != checksum:
        raise CheckpointError("The newest checkpoint is damaged or only half written")
    try:
        state: dict[str, Any] = torch.load(io.BytesIO(content), weights_only=True)
    except (RuntimeError, pickle.UnpicklingError):  # whole, but by a torch that writes otherwise
        raise CheckpointError("The newest checkpoint can't be read by this version of torch") from None
    return state


def _why(problem: Exception) -> str:
    if isinstance(problem, OSError):
        return f"The newest checkpoint can't be read ({problem.strerror or problem})"
    return str(problem)


def recipe(state: dict[str, Any], asked: TrainConfig, folder: Path | str) -> TrainConfig:
    """Return the recipe a checkpoint's run was trained by, with what was found for each "auto".

    Raises CheckpointError where that is not the one asked for, or the run has ended.
    """
    if TrainConfig.from_json(state["asked"]) != asked:
        raise CheckpointError(
            f"The checkpoint in {folder} is of another recipe: resume with its config.json."
        )
    if state["finished"]:
        raise CheckpointError(f"The run in {folder} is finished: start another from its weights.")
    return TrainConfig.from_json(state["config"])


@contextmanager
def keeping(folder: Path | None, memory: Memory | None = None) -> Iterator[Keeper | Memory | None]:
    """Give what writes checkpoints into a run's folder; without one, its memory or None."""
    if folder is None:
        yield memory
        return
    keeper = Keeper(folder, FIRST, PERIOD)
    try:
        yield keeper
    finally:
        keeper.rest()


class Keeper:
    """Writes the checkpoints of one run, from a thread of its own while training goes on.

    Args:
        folder: of the run.
        first, period: seconds, as FIRST and PERIOD.
    """

    def __init__(self, folder: Path, first: float, period: float) -> None:
        """Begin to count the time to the first one."""
        self.folder, self._wait, self._period = folder, first, period
        self._pool = ThreadPoolExecutor(1, "checkpoint")
        self._under_way: Future[Kept] | None = None
        self._last = time.monotonic()
        self._cost = 0.0  # seconds the last one took of a processor, in this thread and the other
        self._newest: int | None = None  # step

    def due(self, epoch_ended: bool) -> bool:
        """Whether to write one now: each so many seconds and after each epoch, as far as SHARE allows."""
        wait = 0.0 if epoch_ended else self._wait
        quiet = self._under_way is None or self._under_way.done()
        return quiet and time.monotonic() - self._last >= max(wait, self._cost / SHARE)

    def write(self, state: dict[str, Any], seconds: float) -> None:
        """Hand over a state that nobody changes any more; it took training so many seconds to gather it."""
        self._last, self._wait, self._cost = time.monotonic(), self._period, seconds
        self._under_way = self._pool.submit(self._write, state)

    def _write(self, state: dict[str, Any]) -> Kept:
        began = time.monotonic()
        try:
            write(self.folder, {name: _plain(value) for name, value in state.items()})
            self._newest = state["step"]
            return Kept(self._newest)
        except OSError as problem:
            return Kept(self._newest, _unwritten(problem))
        finally:
            self._cost += time.monotonic() - began

    def news(self) -> list[Kept]:
        """Tell of what was written since the last call."""
        if self._under_way is None or not self._under_way.done():
            return []
        done, self._under_way = self._under_way, None
        return [done.result()]

    def close(self, state: dict[str, Any]) -> Kept:
        """Write the last one, and wait for it; tell of it. A finished run keeps no other."""
        self.rest()
        told = self._write(state)
        if state["finished"] and not told.problem:
            (self.folder / BEFORE).unlink(missing_ok=True)
        return told

    def rest(self) -> None:
        """Wait for what is under way."""
        self._pool.shutdown()


class Memory:
    """What `Keeper` is to a run with a folder, for one that is to go on elsewhere: only its end is kept.

    Args:
        state: of a run that is to go on, as another memory kept it; None begins anew.
    """

    def __init__(self, state: dict[str, Any] | None = None) -> None:
        """Remember where to go on."""
        self.state = state

    def due(self, epoch_ended: bool) -> bool:
        """Never: nothing is kept on the way."""
        return False

    def write(self, state: dict[str, Any], seconds: float) -> None:
        """Keep a state that nobody changes any more."""
        self.state = {name: _plain(value) for name, value in state.items()}

    def news(self) -> list[Kept]:
        """Tell of nothing."""
        return []

    def close(self, state: dict[str, Any]) -> Kept:
        """Keep the last one."""
        self.write(state, 0.0)
        return Kept(state["step"])


def _unwritten(problem: OSError) -> str:
    if problem.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        why, what = "the disk is full", "free some space"
    else:
        why, what = problem.strerror or str(problem), "see to its folder"
    return f"No checkpoint could be written, as {why}: {what}; the run goes on, and tries again."


# Events as tables -------------------------------------------------------------------------------------------


def _plain(value: Any) -> Any:
    """Make tables of lists of events; leave all else as it is."""
    if isinstance(value, list) and value and hasattr(value[0], "__dataclass_fields__"):
        names = [field.name for field in fields(value[0])]
        return torch.tensor(
            [[getattr(event, name) for name in names] for event in value], dtype=torch.float64
        )
    return value


def events(kind: type[E], table: Tensor | Sequence[Any]) -> list[E]:
    """Read back a list of events, whose fields are whole numbers and floats."""
    if not isinstance(table, Tensor):
        return []  # there were none
    columns = [
        list(map(int, column)) if field.type in (int, "int") else column
        for field, column in zip(fields(kind), table.T.tolist(), strict=True)  # type: ignore[arg-type]
    ]
    return [kind(*row) for row in zip(*columns, strict=True)]


# One network of several -------------------------------------------------------------------------------------


def apart(state: dict[str, Any]) -> list[dict[str, Any]]:
    """Take the state of a run of one seed apart: one of each racer, that goes on alone or in new company.

    What was told of its training steps is left behind; its evaluations go with it.
    """
    found = []
    for place, lane in enumerate(state["lanes"]):
        own: dict[str, Any] = {"lanes": [lane], "points": [], "insides": [], "sharpnesses": []}
        if isinstance(table := state["evaluations"], Tensor):
            own["evaluations"] = table[table[:, RACER] == place]
        for name in ("asked", "config"):
            recipe = TrainConfig.from_json(state[name])
            own[name] = replace(recipe, racers=(recipe.racers[place],)).to_json()
        found.append({**state, **own, "finished": False})
    return found


def together(states: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the state of a run whose racers are those of `states`, each as `apart` gives it, in their order.

    Raises ValueError where they are not at the same step of the same recipe.
    """
    recipes = [[TrainConfig.from_json(state[name]) for name in ("asked", "config")] for state in states]
    kinds = {
        (state["step"], *(replace(recipe, racers=("gd",)) for recipe in pair))
        for state, pair in zip(states, recipes, strict=True)
    }
    if len(kinds) != 1:
        raise ValueError("Networks go on together from the same step of the same recipe only.")
    tables = [state["evaluations"].clone() for state in states]
    for place, table in enumerate(tables):
        table[:, RACER] = place
    asked, config = (
        replace(pair[0], racers=tuple(recipe.racers[0] for recipe in pair)).to_json()
        for pair in zip(*recipes, strict=True)
    )
    evaluations = torch.cat(tables)
    return {
        **states[0],
        "asked": asked,
        "config": config,
        "lanes": [state["lanes"][0] for state in states],
        "evaluations": evaluations[evaluations[:, STEP].argsort(stable=True)],  # as a race tells of them
    }


# Fine-tuning ------------------------------------------------------------------------------------------------


def weights(start_from: str) -> list[Tensor]:
    """Return the weights of one network of a kept run, parameter after parameter as the network lists them.

    Args:
        start_from: the run's id, or its folder; with ":2" behind it of its third network, else of its first.

    Raises:
        CheckpointError: there is no checkpoint, or no such network in it, or it diverged.
    """
    run, _, place = start_from.rpartition(":") if _PLACE.search(start_from) else (start_from, "", "0")
    state = read(home() / "runs" / run if _ID.fullmatch(run) else Path(run)).state
    lanes, lane = state["lanes"], int(place)
    if lane >= len(lanes):
        raise CheckpointError(
            f"start_from is {start_from!r}, but that run has {len(lanes)} networks, counted from 0."
        )
    if lanes[lane]["diverged_at"] is not None:
        raise CheckpointError(
            f"start_from is {start_from!r}, but that network diverged: start from another one."
        )
    parts: Sequence[Tensor] = lanes[lane]["weights"].split([prod(shape) for shape in state["shapes"]])
    return [part.view(shape) for part, shape in zip(parts, state["shapes"], strict=True)]


def start(network: nn.Module, start_from: str) -> None:
    """Give a network the weights of a kept one, to train them further.

    Where the new pictures are of another number of classes, the last layer stays as it was drawn.

    Raises CheckpointError where there are none, or they are of another network.
    """
    own, kept = list(network.parameters()), weights(start_from)
    differ = [place for place, (a, b) in enumerate(zip(own, kept, strict=False)) if a.shape != b.shape]
    if len(own) != len(kept) or any(place < len(own) - 2 for place in differ):
        raise CheckpointError(
            f"start_from is {start_from!r}, but those weights are of another network: take the same one."
        )
    with torch.no_grad():
        for place, (parameter, weight) in enumerate(zip(own, kept, strict=True)):
            if place not in differ:
                parameter.copy_(weight)
