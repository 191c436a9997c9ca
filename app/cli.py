"""The command `adamscope`: the app, and everything it does without a browser.

Exit code 0 on success, 2 on bad usage, 1 on failure; an error is one line that says what to do.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from optimizers import Race

app = typer.Typer(
    help="See what an optimizer does: one step at a time on a surface, then on a real network.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
data_app = typer.Typer(help="Fetch the data sets the lab trains on.")
app.add_typer(data_app, name="data")

# Every complaint about the command line derives from this class of typer's (or of the click it brings).
UsageError: Any = typer.BadParameter.__mro__[1]

INTERRUPTED = 130  # what typer returns after Ctrl-C

Racers = Annotated[
    list[str],
    typer.Option("-o", "--optimizer", help='A racer, e.g. "adam" or "adam(lr=0.05)"; repeat for more.'),
]


@app.callback(invoke_without_command=True)
def start(
    context: typer.Context,
    port: Annotated[int | None, typer.Option(help="Port; 8501 or the next free one by default.")] = None,
    host: Annotated[str, typer.Option(help="Address; 0.0.0.0 opens the app to the network.")] = "127.0.0.1",
    browser: Annotated[bool, typer.Option(help="Open the app in the browser.")] = True,
) -> None:
    """Start the app in the browser (without a command), or run one of the commands below."""
    if context.invoked_subcommand is None:
        from app.serve import serve

        serve(host, port, browser)


@app.command(name="race")
def race_command(
    optimizer: Racers,
    surface: Annotated[
        str, typer.Option(help='E.g. rosenbrock, or "quadratic(condition=10)".')
    ] = "rosenbrock",
    start: Annotated[str | None, typer.Option(help="x,y; the surface's own start by default.")] = None,
    steps: Annotated[int, typer.Option(help="How many steps each racer takes.")] = 500,
    out: Annotated[Path | None, typer.Option(help="Write .html, .png, .svg, .csv, .json or .py.")] = None,
) -> None:
    """Race optimizers over a surface; print how each ends, and write the race to a file."""
    from rich.console import Console
    from rich.table import Table

    from optimizers import race

    write = None if out is None else _race_writer(out)
    result = race(optimizer, surface, _start(start), steps)
    table = Table(box=None, header_style="dim")
    for heading in ("", "racer", "outcome", "arrived", "loss", "x", "y"):
        table.add_column(heading, justify="left" if heading in ("", "racer", "outcome") else "right")
    for trajectory, look in zip(result, result.looks, strict=True):
        (x, y), loss = trajectory.path[-1], trajectory.loss[-1]
        when = trajectory.diverged if trajectory.diverged is not None else trajectory.arrived
        table.add_row(
            f"[{look.light}]●[/]",
            look.label,
            trajectory.outcome.lower().replace("_", " "),
            "" if when is None else f"step {when}",
            *(f"{number:.4g}" for number in (loss, x, y)),
        )
    Console().print(table)
    if out is not None and write is not None:
        write(result, out)
        print(f"Wrote {out}")


def _start(text: str | None) -> tuple[float, ...] | None:
    if text is None:
        return None
    try:
        x, y = (float(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"--start is {text!r}, but takes two numbers x,y, e.g. --start -1.5,2.") from None
    return x, y


def _race_writer(out: Path) -> Callable[[Race, Path], None]:
    writers: dict[str, Callable[[Race, Path], None]] = {
        ".html": _write_html,
        ".png": _write_figure,
        ".svg": _write_figure,
        ".csv": _write_csv,
        ".json": _write_json,
        ".py": _write_program,
    }
    if out.suffix not in writers:
        raise ValueError(f"--out is {str(out)!r}, but takes a name ending in {', '.join(writers)}.")
    return writers[out.suffix]


def _write_html(result: Race, out: Path) -> None:
    out.write_text(result.to_html(), encoding="utf-8")


def _write_figure(result: Race, out: Path) -> None:
    from optimizers import figures

    figures.save(figures.paths(result), out)


def _write_csv(result: Race, out: Path) -> None:
    import csv

    with out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["racer", "step", "x", "y", "loss"])
        for trajectory in result:
            for step, ((x, y), loss) in enumerate(zip(trajectory.path, trajectory.loss, strict=True)):
                writer.writerow([str(trajectory.racer), step, *map(float, (x, y, loss))])


def _write_json(result: Race, out: Path) -> None:
    import json

    import numpy as np

    def plain(array: Any) -> Any:  # JSON has no NaN: what comes after a divergence is null
        return np.where(np.isfinite(array), array, np.array(None)).tolist()

    racers = [
        {
            "racer": str(trajectory.racer),
            "label": look.label,
            "outcome": str(trajectory.outcome),
            "path": plain(trajectory.path),
            "loss": plain(trajectory.loss),
            "grad": plain(trajectory.grad),
            "update": plain(trajectory.update),
            "effective_lr": plain(trajectory.effective_lr),
            "state": {name: plain(array) for name, array in trajectory.state.items()},
        }
        for trajectory, look in zip(result, result.looks, strict=True)
    ]
    head = {"surface": str(result.surface), "start": result.start, "steps": result.steps}
    out.write_text(json.dumps(head | {"racers": racers}, allow_nan=False), encoding="utf-8")


def _write_program(result: Race, out: Path) -> None:
    from optimizers.explain import program

    out.write_text(program(result), encoding="utf-8")


@data_app.command(name="cifar10")
def cifar10(
    source: Annotated[
        Path | None, typer.Option("--from", help="The archive or its folder, where you have it already.")
    ] = None,
) -> None:
    """Download CIFAR-10 (170 MB; resumes where it broke off), or take it from a file or folder."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

    from optimizers.training.data import fetch_cifar10, load

    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, transient=True) as progress:
        task = progress.add_task("CIFAR-10", total=None)
        folder = fetch_cifar10(
            source, progress=lambda done, total: progress.update(task, completed=done, total=total)
        )
    print(f"CIFAR-10 is in {folder}: {load('cifar10').note}")


@app.command(name="train")
def train_command(
    optimizer: Racers,
    data: Annotated[
        str, typer.Option(help="cifar10, or shapes10 (generated, needs no network).")
    ] = "cifar10",
    model: Annotated[str, typer.Option(help="The network.")] = "keras_cnn",
    epochs: Annotated[int, typer.Option(help="Passes over the training pictures.")] = 10,
    batch_size: Annotated[int, typer.Option(help="Pictures a step.")] = 32,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    seed: Annotated[int, typer.Option(help="Of the initial weights and the batches.")] = 0,
    precision: Annotated[str, typer.Option(help="auto, fp32 or bf16: of the networks' arithmetic.")] = "auto",
    threads: Annotated[
        int | None, typer.Option(help="CPU threads of each racer; shared out by default.")
    ] = None,
    limit: Annotated[int | None, typer.Option(help="Use only the first N training pictures.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for metrics, summary and curves.")] = None,
) -> None:
    """Train a small network with each optimizer, side by side, from the same weights on the same batches."""
    from app.live_table import LiveTable
    from optimizers.training import StopTraining, TrainConfig, train

    config = TrainConfig(
        racers=tuple(optimizer),
        data=data,
        model=model,
        epochs=epochs,
        batch_size=batch_size,
        device=device,
        seed=seed,
        precision=precision,
        threads=threads,
        limit=limit,
    )
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)  # before the hours of training, not after
    with LiveTable(config) as table, _stop_on_ctrl_c() as stopping:

        def on_event(event: object) -> None:
            table(event)
            if stopping.is_set():
                raise StopTraining

        result = train(config, on_event=on_event)
    if result.stopped:
        print("Stopped; what was trained until then is kept.")
    if out is not None:
        from optimizers.training.report import write_report

        write_report(result, out)
        print(f"Wrote metrics.csv, config.json, summary.json and curves.png to {out}")


@contextmanager
def _stop_on_ctrl_c() -> Iterator[Event]:
    """Let a first Ctrl-C ask for an end, so that the report is still written; a second one ends at once."""
    stopping = Event()

    def ask(*_: object) -> None:
        stopping.set()
        signal.signal(signal.SIGINT, before)

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield stopping
    finally:
        signal.signal(signal.SIGINT, before)


@app.command(name="lesson")
def lesson_command(
    number: Annotated[int | None, typer.Argument(help="Which lesson; without it, list them.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the lesson's pictures.")] = None,
    answers: Annotated[bool, typer.Option("--answers", help="Show the answers to the questions.")] = False,
) -> None:
    """List the lessons, or run one as a script."""
    from lessons import kit

    if number is None:
        for known, title, _ in kit.lessons():
            print(f"{known:2d}  {title}")
    else:
        kit.run(number, out, answers)


@app.command(name="bench")
def bench_command(
    out: Annotated[
        Path | None, typer.Option("--json", help="Write the figures to this file as well.")
    ] = None,
) -> None:
    """Measure the engine on this machine: ratios to C and to plain torch.optim loops, in one run."""
    import subprocess

    root = Path(__file__).parents[1]
    if not (root / "tests" / "benchmarks" / "engine.py").exists():
        raise RuntimeError("The benchmarks are not installed; run this in a copy of the repository.")
    if out is not None and not out.absolute().parent.is_dir():
        raise ValueError(f"--json is {str(out)!r}, but that folder does not exist.")
    command = [sys.executable, "-m", "tests.benchmarks.engine"]
    command += [] if out is None else ["--json", str(out.absolute())]
    if subprocess.run(command, cwd=root, check=False).returncode:
        raise RuntimeError("The benchmark broke off; what it said stands above.")


def run(arguments: list[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    try:
        code = typer.main.get_command(app).main(arguments, prog_name="adamscope", standalone_mode=False)
    except typer.Exit as end:
        code = end.exit_code
    except UsageError as problem:
        where = problem.ctx.command_path if problem.ctx else "adamscope"
        return _say(f"{problem.format_message().rstrip('.?')}. See {where} --help.", 2)
    except ValueError as problem:
        return _say(str(problem), 2)
    except (typer.Abort, KeyboardInterrupt):
        code = INTERRUPTED
    except OSError as problem:
        where = f"{problem.filename}: " if problem.filename else ""
        return _say(f"{where}{problem.strerror or problem}", 1)
    except RuntimeError as problem:  # what the data and the lab raise when the world does not play along
        return _say(str(problem).partition("\n")[0], 1)  # torch's goes on for lines
    if code == INTERRUPTED:
        return _say("Stopped.", 1)
    return code or 0


def _say(line: str, code: int) -> int:
    print(f"adamscope: {line}", file=sys.stderr)
    return code


def main() -> None:
    """Entry point of the command `adamscope`."""
    sys.exit(run())
