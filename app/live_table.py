"""The table `adamscope train` keeps up to date in the terminal."""

from __future__ import annotations

import math
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from optimizers import Racer
from optimizers.catalog import distinct
from optimizers.training import Diverged, Evaluated, Kept, Point, Started, TrainConfig
from optimizers.training import Progress as Pace


class LiveTable:
    """Call it with the events of a run; use it as a context manager around `train`."""

    def __init__(self, config: TrainConfig) -> None:
        """Show one row for each racer of `config`."""
        self.looks = distinct(map(Racer.parse, config.racers))
        self.rows = [
            {"loss": math.nan, "accuracy": math.nan, "test": math.nan, "best": math.nan} for _ in self.looks
        ]
        self.diverged: dict[int, int] = {}
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
            case Started():
                self.note = (
                    f"{event.device}, {event.precision} · {event.parameters:,} parameters · {event.data_note}"
                )
                self.progress.update(self.task, total=event.total_steps)
                if self.console.is_terminal:
                    self.live.start()
                else:  # a log: a line for each epoch, and the table at the end
                    print(self.note, flush=True)
            case Point():
                self.rows[event.racer] |= {"loss": event.loss, "accuracy": event.accuracy}
            case Evaluated():
                self.rows[event.racer]["test"] = event.accuracy
                if not self.console.is_terminal:
                    label = self.looks[event.racer].label
                    print(f"epoch {event.epoch}  {label}: test {_percent(event.accuracy)}", flush=True)
                if event.epoch:  # before the first step a network only guesses
                    best = self.rows[event.racer]["best"]
                    self.rows[event.racer]["best"] = max(event.accuracy, -math.inf if best != best else best)
            case Kept(problem=problem) if problem:
                self.console.print(problem)
            case Diverged():
                self.diverged[event.racer] = event.step
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
        for index, (look, row) in enumerate(zip(self.looks, self.rows, strict=True)):
            loss = (
                f"diverged at step {self.diverged[index]}" if index in self.diverged else _loss(row["loss"])
            )
            shares = [_percent(row[name]) for name in ("accuracy", "test", "best")]
            table.add_row(Text("●", style=look.light), look.label, loss, *shares)
        return Group(Text(self.note, style="dim"), table, self.progress)


def _loss(loss: float) -> str:
    return "—" if math.isnan(loss) else f"{loss:.4f}"


def _percent(share: float) -> str:
    return "—" if math.isnan(share) else f"{100 * share:.1f} %"
