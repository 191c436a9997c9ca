"""A run's networks trained at once, in whatever way is fastest on this GPU: the ways are tried, not guessed.

Which is fastest hangs on the network, how many there are, the batch, the precision and the GPU. So the first
race of a kind tries each way for a few steps that leave no trace, and what it found is kept in a file, by
which the next race of that kind begins at once. `compiled` is not among them: to compile takes tens of
seconds in every new process, longer than most races; it is tried by the benchmark alone.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch

from optimizers.files import whole
from optimizers.training import data
from optimizers.training.config import TrainConfig
from optimizers.training.device import device_name
from optimizers.training.lane import Lane
from optimizers.training.pictures import Batch
from optimizers.training.together import WAYS, Engine, Rows, Tested

TRIED = ("products", "grouped", "streams")
STEPS = 10  # of each way, timed
FILE = "ways.json"  # under `data.home()`: what was found, by `Crowd.key`
TURNS = "turns"  # no way at all: one network after the other, kernel by kernel

_log = logging.getLogger(__name__)


class Crowd:
    """Trains lanes at once.

    Args:
        config: the run's.
        say: is told in one sentence how they train, at the first step and where that changes.
        ways: of `together.WAYS`, or TURNS: one is taken as it is, the fastest of several is found by trying;
            None takes what was kept for such a race, or else finds the fastest of TRIED, and keeps it.
    """

    def __init__(
        self, config: TrainConfig, say: Callable[[str], None], ways: Sequence[str] | None = None
    ) -> None:
        """Wait for the first step."""
        self.config, self.say, self.ways = config, say, ways
        self.way = ""
        self.found: dict[str, float] = {}  # seconds a step of each way that was tried
        self.engine: Engine | None = None
        self.most = 0  # networks at once, where memory was short

    def advance(
        self,
        lanes: Sequence[Lane],
        batches: Sequence[Sequence[Batch]],  # of each seed
        meanwhile: Callable[[], None],  # is called while the GPU works
        look_last: bool = False,  # leave `effective_lr` in the lanes
    ) -> None:
        """Train every lane on the batches of its seed."""
        began = time.perf_counter()
        self._prepare(lanes, batches)
        if self.engine is None:
            for position in range(len(batches[0])):
                for lane in lanes:
                    lane.step(batches[lane.seed.place][position])
            meanwhile()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            for lane in lanes:
                lane.seconds += (time.perf_counter() - began) / len(lanes)
            return
        self.engine.advance(batches, look_last)
        meanwhile()
        self.engine.read(batches, began)

    def test(self, lanes: Sequence[Lane], batches: Sequence[Batch]) -> list[Tested]:
        """Look at the test pictures with every lane."""
        if self.engine is None or set(self.engine.lanes) != set(lanes):
            return [lane.test(batches) for lane in lanes]
        found = dict(zip(self.engine.lanes, self.engine.test(batches), strict=True))
        return [found[lane] for lane in lanes]

    # Which way

    def _prepare(self, lanes: Sequence[Lane], batches: Sequence[Sequence[Batch]]) -> None:
        if self.engine is not None and set(self.engine.lanes) == set(lanes):
            return
        if self.engine is not None:
            for gone in set(self.engine.lanes) - set(lanes):
                gone.move_out()
            self.engine = None
        if self.way == TURNS:
            return
        first = [of_seed[0] for of_seed in batches]
        ways = [self.way] if self.way else self._candidates()
        if ways == [TURNS]:
            self._turns(len(lanes))
            return
        rows = Rows(lanes, self.config)
        if len(ways) > 1:
            ways = self._fastest(ways, rows, first)
        for way in ways:
            self.engine = self._engine(way, rows, first, self._less)
            if self.engine is not None:
                if not self.way:
                    self.way = way
                    self.say(self._sentence(len(lanes), self.engine.at_once))
                return
        for lane in lanes:
            lane.move_out()
        self._turns(len(lanes))

    def _candidates(self) -> list[str]:
        if self.ways is not None:
            return list(self.ways)
        kept = _read().get(self.key, {}).get("way")
        return [kept] if kept in TRIED else list(TRIED)

    def _fastest(self, ways: Sequence[str], rows: Rows, batches: Sequence[Batch]) -> list[str]:
        """Try each way by itself; return those that work, the fastest first."""
        short: torch.OutOfMemoryError | None = None
        for way in ways:
            try:
                engine = self._engine(way, rows, batches, lambda at_once: None)
                if engine is not None:
                    self.found[way] = engine.rehearse(batches, STEPS)
            except torch.OutOfMemoryError as problem:  # even for one network at a time
                short = problem.with_traceback(None)
            engine = None  # and its memory is free for the next
        if short is not None and not self.found:
            raise short
        ordered = sorted(self.found, key=lambda way: self.found[way])
        if ordered and self.ways is None:
            _keep(self.key, {"way": ordered[0], "seconds": self.found})
        return ordered

    def _engine(
        self, way: str, rows: Rows, batches: Sequence[Batch], less: Callable[[int], None]
    ) -> Engine | None:
        """Return an engine that has recorded its step; None where it can't, which the log explains."""
        try:
            engine = Engine(rows, self.config, way, self.most or len(rows.lanes), less)
            engine.rehearse(batches, 0)
            return engine
        except torch.OutOfMemoryError:
            raise
        except Exception as problem:  # a kernel or a compiler that does not take this network
            _log.warning("Networks can't be trained %s: %s", WAYS[way], problem, exc_info=True)
            return None

    def _less(self, at_once: int) -> None:
        """Go on with fewer networks at once."""
        self.most = at_once
        if self.engine is not None and self.way:
            self.say(self._sentence(len(self.engine.lanes), at_once))

    def _turns(self, count: int) -> None:
        self.way = TURNS
        self.say(f"{count} networks in turns, one after the other at each step.")

    def _sentence(self, count: int, at_once: int) -> str:
        if at_once < count:
            return f"{count} networks do not fit into the GPU's memory at once: {at_once} at a time."
        text = (
            f"{count} networks at once, {WAYS[self.way]}" if count > 1 else f"One network, {WAYS[self.way]}"
        )
        if not self.found:
            return f"{text}."
        fastest = f"the fastest of {len(self.found)} ways tried here"
        return f"{text}: {1e3 * self.found[self.way]:.2g} ms a step, {fastest}."

    @property
    def key(self) -> str:
        """What the fastest way hangs on."""
        config = self.config
        kind = (config.model, len(config.racers), config.seeds, config.batch_size, config.precision)
        return " · ".join(map(str, (device_name(config.device), torch.__version__, *kind)))


def _read() -> dict[str, Any]:
    try:
        found = json.loads((data.home() / FILE).read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as problem:
        _log.warning("What was found of the ways to train can't be read, and is found anew: %s", problem)
        return {}
    return found if isinstance(found, dict) else {}


def _keep(key: str, found: dict[str, Any]) -> None:
    known = {**_read(), key: found}
    try:
        data.home().mkdir(parents=True, exist_ok=True)
        with whole(data.home() / FILE) as temporary:
            temporary.write_text(json.dumps(known, indent=2) + "\n", "utf-8")
    except OSError as problem:
        _log.warning("What was found of the ways to train can't be kept: %s", problem)
