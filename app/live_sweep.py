"""What `adamscope sweep` keeps up to date in the terminal: a bar, and the best trials so far."""

from __future__ import annotations

import math
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.table import Table
from rich.text import Text

from optimizers import Racer
from optimizers.training.sweep import (
    DROPPED,
    FINISHED,
    Changed,
    Network,
    Pace,
    Said,
    SweepConfig,
    networks,
    rungs,
    trials,
)
from optimizers.training.sweep_view import cell, written

MOST_SHOWN = 10  # trials


class LiveSweep:
    """Call it with the events of a sweep; use it as a context manager around `sweep`."""

    def __init__(self, config: SweepConfig) -> None:
        """Show the trials of `config`, best first."""
        self.config = config
        self.trials = trials(config)
        self.networks: dict[tuple[int, int], Network] = {}
        self.console = Console()
        self.progress = Progress(
            TextColumn("{task.fields[done]} of {task.fields[all]} networks"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[left]}"),
        )
        self.task = self.progress.add_task("sweep", total=1.0, done=0, all=networks(config), left="")
        self.live = Live(self._render(), console=self.console, refresh_per_second=4)

    def __enter__(self) -> LiveSweep:
        """Say what is about to be done, and begin."""
        print(in_words(self.config), flush=True)
        return self

    def __exit__(self, *problem: Any) -> None:
        """Draw a last time, and leave the table standing."""
        if self.live.is_started:
            self.live.update(self._render(), refresh=True)
            self.live.stop()
        elif self.networks:
            self.console.print(self._render())

    def __call__(self, event: object) -> None:
        """Take one event of a sweep."""
        match event:
            case Changed():
                self.networks.update({(one.trial, one.seed): one for one in event.networks})
                if self.console.is_terminal and not self.live.is_started:
                    self.live.start()
            case Said():
                self.console.print(event.text, style="dim")
            case Pace():
                ended = sum(one.state in (FINISHED, DROPPED) for one in self.networks.values())
                left = "" if event.seconds_left is None else f"{_duration(event.seconds_left)} left"
                pace = f"{event.pictures_per_second:,.0f} pictures/s"
                said = f"{left}, {pace}" if left else "starting the workers"
                self.progress.update(self.task, completed=event.share, done=ended, left=said)
        if self.live.is_started:
            self.live.update(self._render())

    def _render(self) -> Group:
        table = Table(box=None, header_style="dim")
        table.add_column("")
        table.add_column("best by held-out pictures so far")
        for heading in ("epochs", "accuracy", "seeds", "loss"):
            table.add_column(heading, justify="right")
        found = []
        for trial in self.trials:
            mine = [one for (index, _), one in self.networks.items() if index == trial.index]
            if mine:
                found.append((trial, cell(trial.index, mine)))
        known = [(trial, one) for trial, one in found if not math.isnan(one.accuracy)]
        known.sort(key=lambda pair: (-pair[1].epoch, -pair[1].accuracy, pair[1].loss))
        for trial, one in known[:MOST_SHOWN]:
            color = Racer.parse(trial.racer).optimizer.light
            more = "".join(f", {name} {written(value)}" for name, value in trial.settings)
            seeds = f"{100 * one.lowest:.1f}–{100 * one.highest:.1f}" if self.config.seeds > 1 else ""
            table.add_row(
                *(Text("●", style=color), trial.racer + more, str(one.epoch)),
                *(f"{100 * one.accuracy:.1f} %", seeds, f"{one.loss:.4f}"),
            )
        return Group(table, self.progress)


def in_words(config: SweepConfig) -> str:
    """Say how much a sweep is before it starts."""
    base, ladder = config.base, rungs(config)
    size = f"{config.size:,} trials"
    seeds = f" × {config.seeds} seeds" if config.seeds > 1 else ""
    parts = [f"{rung.trials:,} for {rung.epochs}" for rung in ladder]
    how = f"{base.epochs} epochs each" if len(ladder) == 1 else f"trials for epochs: {', '.join(parts)}"
    return (
        f"{networks(config):,} networks ({size}{seeds}), {how}; {base.model} on {base.data}, "
        f"judged by {base.validation:,} held-out pictures."
    )


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return (
        f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
    )
