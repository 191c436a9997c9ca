"""The table `adamscope train` keeps up to date in the terminal."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from optimizers import Racer
from optimizers.catalog import distinct
from optimizers.training import Diverged, Evaluated, Kept, Point, Preparing, Started, TrainConfig, Way
from optimizers.training import Progress as Pace


class LiveTable:
    """Call it with the events of a run; use it as a context manager around `train`."""

    def __init__(self, config: TrainConfig) -> None:
        """Show one row for each racer of `config`: with several seeds, means over them."""
        self.looks = distinct(map(Racer.parse, config.racers))
        self.first_seed, self.seeds = config.seed, config.seeds
        self.rows = [  # by racer, by seed
            [dict.fromkeys(("loss", "accuracy", "test", "best"), math.nan) for _ in range(config.seeds)]
            for _ in self.looks
        ]
        self.diverged: list[dict[int, int]] = [{} for _ in self.looks]  # seed -> step
        self.note = ""
        self.progress = Progress(
            TextColumn("step"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[pace]}"),
        )
        self.task = self.progress.add_task("train", total=None, pace="")
        self.console = Console()
        self.live = Live(self._render(), console=self.console, refresh_per_second=4)

    def __enter__(self) -> LiveTable:
        """Wait for the run to begin: what is wrong with it is said without an empty table."""
        return self

    def __exit__(self, *problem: Any) -> None:
        """Draw a last time, and leave the table standing."""
        if self.live.is_started:
            self.live.update(self._render(), refresh=True)
            self.live.stop()
        elif self.note:
            self.console.print(self._render())

    def __call__(self, event: object) -> None:
        """Take one event of a run."""
        match event:
            case Preparing():
                print(event.text, flush=True)
            case Started():
                self.note = (
                    f"{event.device}, {event.precision} · {event.parameters:,} parameters · {event.data_note}"
                )
                self.progress.update(self.task, total=event.total_steps)
                if self.console.is_terminal:
                    self.live.start()
                else:  # a log: a line for each epoch, and the table at the end
                    print(self.note, flush=True)
            case Way():
                self.note += f"\n{event.how}"
                if not self.console.is_terminal:
                    print(event.how, flush=True)
            case Point():
                row = self.rows[event.racer][event.seed]
                row |= {"loss": event.loss, "accuracy": event.accuracy}
            case Evaluated():
                row = self.rows[event.racer][event.seed]
                row["test"] = event.accuracy
                if not self.console.is_terminal:
                    name = self.looks[event.racer].label
                    name += f", seed {self.first_seed + event.seed}" if self.seeds > 1 else ""
                    print(f"epoch {event.epoch}  {name}: test {_percent([event.accuracy])}", flush=True)
                if event.epoch:  # before the first step a network only guesses
                    best = row["best"]
                    row["best"] = max(event.accuracy, -math.inf if best != best else best)
            case Kept(problem=problem) if problem:
                self.console.print(problem)
            case Diverged():
                self.diverged[event.racer][event.seed] = event.step
            case Pace():
                pace = f"{event.samples_per_second:,.0f} pictures/s"
                self.progress.update(self.task, completed=event.step, pace=pace)
        self.live.update(self._render())

    def _render(self) -> Group:
        table = Table(box=None, header_style="dim")
        table.add_column("")
        table.add_column("racer")
        for heading in ("train loss", "train acc.", "test acc.", "best"):
            table.add_column(heading, justify="right")
        for look, rows, diverged in zip(self.looks, self.rows, self.diverged, strict=True):
            loss = _loss([row["loss"] for row in rows], list(diverged.values()))
            shares = [_percent([row[name] for row in rows]) for name in ("accuracy", "test", "best")]
            table.add_row(Text("●", style=look.light), look.label, loss, *shares)
        note = f"{self.note} · mean ± sd of {self.seeds} seeds" if self.note and self.seeds > 1 else self.note
        return Group(Text(note, style="dim"), table, self.progress)


def _loss(losses: Sequence[float], diverged: Sequence[int]) -> str:
    """Write the mean loss of the seeds that go on, and how many do not."""
    going = [loss for loss in losses if not math.isnan(loss)]
    if len(diverged) == len(losses):
        return f"diverged at step {min(diverged)}"
    mean = f"{statistics.fmean(going):.4f}" if going else "—"
    return f"{mean}, {len(diverged)} of {len(losses)} diverged" if diverged else mean


def _percent(shares: Sequence[float]) -> str:
    """Write the mean of the seeds that have one, and their standard deviation."""
    found = [100 * share for share in shares if not math.isnan(share)]
    if not found:
        return "—"
    spread = f" ± {statistics.stdev(found):.1f}" if len(found) > 1 else ""
    return f"{statistics.fmean(found):.1f}{spread} %"
