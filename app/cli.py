"""The command `adamscope`: the app, and everything it does without a browser.

Exit code 0 on success, 2 on bad usage, 1 on failure; an error is one line that says what to do.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from optimizers import Race
    from optimizers.maps import BasinMap, SweepMap

app = typer.Typer(
    help="See what an optimizer does: one step at a time on a surface, then on a real network.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
data_app = typer.Typer(help="Fetch the data sets the lab trains on.")
app.add_typer(data_app, name="data")
map_app = typer.Typer(help="Map where an optimizer ends, or how it fares, over many runs at once.")
app.add_typer(map_app, name="map")

# Every complaint about the command line derives from this class of typer's (or of the click it brings).
UsageError: Any = typer.BadParameter.__mro__[1]

INTERRUPTED = 130  # what typer returns after Ctrl-C

Racers = Annotated[
    list[str],
    typer.Option("-o", "--optimizer", help='A racer, e.g. "adam" or "adam(lr=0.05)"; repeat for more.'),
]


Racer = Annotated[str, typer.Option("-o", "--optimizer", help='A racer, e.g. "adam(lr=0.1)".')]
SurfaceName = Annotated[str, typer.Option(help='E.g. rosenbrock, or "quadratic(condition=10)".')]
Start = Annotated[str | None, typer.Option(help="x,y; the surface's own start by default.")]
Scheduled = Annotated[
    str | None, typer.Option(help='Of the learning rate, e.g. cosine or "step(step_size=100)".')
]
ClipNorm = Annotated[float | None, typer.Option(help="Greatest norm of the gradient.")]
ClipValue = Annotated[float | None, typer.Option(help="Greatest size of each entry of the gradient.")]
Noise = Annotated[float, typer.Option(help="Standard deviation of the noise on each entry of the gradient.")]
BatchSize = Annotated[int | None, typer.Option(help="Rows a step's gradient takes, where there is data.")]
Seed = Annotated[int, typer.Option(help="Of noise and batches.")]


Scheduler = Annotated[
    str | None,
    typer.Option(
        envvar="ADAMSCOPE_SCHEDULER",
        help="Train on the workers of this Dask scheduler, as in tcp://10.0.0.1:8786, in place of this "
        "machine; they need this package and the data, and for the pages' runs the same $ADAMSCOPE_HOME on a "
        "shared disk and, on other machines, a PostgreSQL URL in $ADAMSCOPE_STORE.",
    ),
]


class Picture(StrEnum):
    """What a race's .png, .svg or .pdf shows."""

    PATHS = "paths"
    LOSS = "loss"
    PANELS = "panels"
    STAGES = "stages"


@app.callback(invoke_without_command=True)
def start(
    context: typer.Context,
    port: Annotated[int | None, typer.Option(help="Port; 8501 or the next free one by default.")] = None,
    host: Annotated[str, typer.Option(help="Address; 0.0.0.0 opens the app to the network.")] = "127.0.0.1",
    browser: Annotated[bool, typer.Option(help="Open the app in the browser.")] = True,
    scheduler: Scheduler = None,
) -> None:
    """Start the app in the browser (without a command), or run one of the commands below."""
    if context.invoked_subcommand is None:
        from app.serve import serve

        serve(host, port, browser, scheduler)


@app.command(name="race")
def race_command(
    optimizer: Racers,
    surface: SurfaceName = "rosenbrock",
    start: Start = None,
    steps: Annotated[int, typer.Option(help="How many steps each racer takes.")] = 500,
    schedule: Scheduled = None,
    clip_norm: ClipNorm = None,
    clip_value: ClipValue = None,
    noise: Noise = 0.0,
    batch_size: BatchSize = None,
    seed: Seed = 0,
    out: Annotated[
        Path | None, typer.Option(help="Write .png, .svg, .pdf, .gif, .mp4, .html, .csv, .json or .py.")
    ] = None,
    picture: Annotated[Picture, typer.Option(help="What a .png, .svg or .pdf shows.")] = Picture.PATHS,
    step: Annotated[
        int | None, typer.Option(help="The step that --picture stages looks inside, from 0.")
    ] = None,
    dark: Annotated[bool, typer.Option("--dark", help="Pictures and films on a dark page.")] = False,
) -> None:
    """Race optimizers over a surface; print how each ends, and write the race to a file."""
    from rich.console import Console
    from rich.table import Table

    from optimizers import race

    write = None if out is None else _race_writer(out, picture, step, dark, len(optimizer))
    result = race(
        optimizer,
        surface,
        _start(start),
        steps,
        schedule=schedule,
        clip_norm=clip_norm,
        clip_value=clip_value,
        noise=noise,
        batch_size=batch_size,
        seed=seed,
    )
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
        _write(out, write, result)


def _start(text: str | None) -> tuple[float, ...] | None:
    if text is None:
        return None
    try:
        x, y = (float(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"--start is {text!r}, but takes two numbers x,y, e.g. --start -1.5,2.") from None
    return x, y


def _race_writer(
    out: Path, picture: Picture, step: int | None, dark: bool, racers: int
) -> Callable[[Race, Path], str]:
    """Return what writes a race to a file of this ending, and says what else there is to say of it."""
    writers: dict[str, Callable[[Race, Path], str]] = {
        **dict.fromkeys(
            (".png", ".svg", ".pdf"), lambda race, path: _picture(race, path, picture, step, dark)
        ),
        **dict.fromkeys((".gif", ".mp4"), lambda race, path: _film(race, path, dark)),
        ".html": _write_html,
        ".csv": write_csv,
        ".json": _write_json,
        ".py": _write_program,
    }
    chosen = _writer(out, writers)
    if picture is Picture.STAGES and (step is None or racers > 1):
        raise ValueError("--picture stages shows one step of one racer: give one -o, and --step N.")
    return chosen


def _writer(out: Path, writers: dict[str, Any]) -> Any:
    if out.suffix.lower() not in writers:
        raise ValueError(f"--out is {str(out)!r}, but takes a name ending in {', '.join(writers)}.")
    if not out.parent.is_dir():  # before minutes of work, not after
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(out))
    return writers[out.suffix.lower()]


def _write(out: Path, write: Callable[[Any, Path], str], result: Any) -> None:
    """Write a file that is whole or not there, and say so."""
    from optimizers.files import whole

    with whole(out) as temporary:
        more = write(result, temporary)
    print(f"Wrote {out}{f': {more}' if more else ''}")


def _picture(result: Race, out: Path, picture: Picture, step: int | None, dark: bool) -> str:
    from optimizers import figures

    if picture is Picture.STAGES:
        assert step is not None
        figure = figures.stages(result.trajectories[0], step, dark=dark)
    else:
        draw: dict[Picture, Callable[..., Any]] = {
            Picture.PATHS: figures.paths,
            Picture.LOSS: figures.losses,
            Picture.PANELS: figures.panels,
        }
        figure = draw[picture](result, dark=dark)
    figures.save(figure, out)
    return ""


def _film(result: Race, out: Path, dark: bool) -> str:
    from optimizers import figures

    with _progress("film") as progress:
        return str(figures.animate(result, out, dark=dark, progress=progress))


@contextmanager
def _progress(what: str) -> Iterator[Callable[[int, int | None], None]]:
    """Show a bar; yield what moves it on, to be called with how much is done of how much."""
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn(what), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _write_html(result: Race, out: Path) -> str:
    out.write_text(result.to_html(), encoding="utf-8")
    return ""


def write_csv(result: Race, out: Path) -> str:
    """Write each racer's points and losses, one step a row."""
    rows = (
        (str(trajectory.racer), step, *map(float, (x, y, loss)))
        for trajectory in result
        for step, ((x, y), loss) in enumerate(zip(trajectory.path, trajectory.loss, strict=True))
    )
    return _write_rows(out, ["racer", "step", "x", "y", "loss"], rows)


def _write_rows(out: Path, head: list[str], rows: Iterable[Sequence[object]]) -> str:
    import csv

    with out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(head)
        writer.writerows(rows)
    return ""


def _write_json(result: Race, out: Path) -> str:
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
    return ""


@map_app.command(name="basin")
def basin_command(
    optimizer: Racer,
    surface: SurfaceName = "himmelblau",
    size: Annotated[int, typer.Option(help="Starts along each side of the map.")] = 512,
    steps: Annotated[int, typer.Option(help="How many steps from each start.")] = 500,
    schedule: Scheduled = None,
    clip_norm: ClipNorm = None,
    clip_value: ClipValue = None,
    noise: Noise = 0.0,
    batch_size: BatchSize = None,
    seed: Seed = 0,
    out: Annotated[Path | None, typer.Option(help="Write .png, .svg, .pdf, .csv or .npz.")] = None,
    dark: Annotated[bool, typer.Option("--dark", help="A picture on a dark page.")] = False,
) -> None:
    """Map which minimum a racer reaches from every start, and how fast."""
    from optimizers import basin_map

    write = None if out is None else _map_writer(out, "basin", dark)
    with _progress("map") as progress:
        found = basin_map(
            optimizer,
            surface,
            size,
            steps,
            progress=progress,
            schedule=schedule,
            clip_norm=clip_norm,
            clip_value=clip_value,
            noise=noise,
            batch_size=batch_size,
            seed=seed,
        )
    _finish_map(found, "basin", out, write)


@map_app.command(name="sweep")
def sweep_command(
    optimizer: Racer,
    surface: SurfaceName = "rosenbrock",
    x: Annotated[
        str, typer.Option(help="name,from,to,count; or a choice's name alone. One of the surface's, too.")
    ] = "lr,1e-4,1,64",
    y: Annotated[str, typer.Option(help="The same, upwards.")] = "beta2,0.9,0.9999,64",
    start: Start = None,
    steps: Annotated[int, typer.Option(help="How many steps each pair of values takes.")] = 500,
    schedule: Scheduled = None,
    clip_norm: ClipNorm = None,
    clip_value: ClipValue = None,
    noise: Noise = 0.0,
    batch_size: BatchSize = None,
    seed: Seed = 0,
    out: Annotated[Path | None, typer.Option(help="Write .png, .svg, .pdf, .csv or .npz.")] = None,
    dark: Annotated[bool, typer.Option("--dark", help="A picture on a dark page.")] = False,
) -> None:
    """Map how a racer fares with every pair of values of two hyperparameters."""
    from optimizers import sweep_map

    write = None if out is None else _map_writer(out, "sweep", dark)
    across, up, where = _side("x", x), _side("y", y), _start(start)
    with _progress("map") as progress:
        found = sweep_map(
            optimizer,
            surface,
            across,
            up,
            where,
            steps,
            progress=progress,
            schedule=schedule,
            clip_norm=clip_norm,
            clip_value=clip_value,
            noise=noise,
            batch_size=batch_size,
            seed=seed,
        )
    _finish_map(found, "sweep", out, write)


def _side(name: str, text: str) -> tuple[Any, ...]:
    """Read one side of a sweep: ("lr", 1e-4, 1.0, 64), or ("bias_correction",) of a choice."""
    parts = [part.strip() for part in text.split(",")]
    try:
        if len(parts) == 1 and parts[0]:
            return (parts[0],)
        hyperparameter, low, high, count = parts
        return hyperparameter, float(low), float(high), int(count)
    except ValueError:
        raise ValueError(
            f"--{name} is {text!r}, but takes name,low,high,count, e.g. --{name} lr,1e-4,1,64, "
            "or the name alone of a choice."
        ) from None


def _map_writer(out: Path, kind: str, dark: bool) -> Callable[[Any, Path], str]:
    def draw(found: BasinMap | SweepMap, path: Path) -> str:
        from optimizers import figures

        figures.save(getattr(figures, kind)(found, dark=dark), path)
        return ""

    numbers = {"basin": (_basin_csv, _basin_npz), "sweep": (_sweep_csv, _sweep_npz)}[kind]
    writers: dict[str, Any] = dict.fromkeys((".png", ".svg", ".pdf"), draw)
    chosen: Callable[[Any, Path], str] = _writer(out, writers | {".csv": numbers[0], ".npz": numbers[1]})
    return chosen


def _finish_map(
    found: BasinMap | SweepMap, kind: str, out: Path | None, write: Callable[[Any, Path], str] | None
) -> None:
    from optimizers import figures

    words: list[tuple[str, str]] = getattr(figures, f"{kind}_words")(found)
    width = max(len(what) for what, _ in words)
    for what, said in words:
        print(f"{what:{width}}  {said}")
    if out is not None and write is not None:
        _write(out, write, found)


def _basin_csv(found: BasinMap, out: Path) -> str:
    rows = (
        (float(x), float(y), *(array[j, i].item() for array in arrays))
        for arrays in [(found.which_minimum, found.steps_to_converge, found.final_loss)]
        for j, y in enumerate(found.y)
        for i, x in enumerate(found.x)
    )
    return _write_rows(out, ["x", "y", "which_minimum", "steps_to_converge", "final_loss"], rows)


def _basin_npz(found: BasinMap, out: Path) -> str:
    names = ("x", "y", "which_minimum", "steps_to_converge", "final_loss")
    return _write_npz(found, out, {name: getattr(found, name) for name in names})


def _sweep_csv(found: SweepMap, out: Path) -> str:
    rows = (
        (x, y, *(array[j, i].item() for array in arrays))
        for arrays in [(found.final_loss, found.steps_to_converge, found.diverged)]
        for j, y in enumerate(found.y.values)
        for i, x in enumerate(found.x.values)
    )
    return _write_rows(out, [found.x.name, found.y.name, "final_loss", "steps_to_converge", "diverged"], rows)


def _sweep_npz(found: SweepMap, out: Path) -> str:
    arrays = {name: getattr(found, name) for name in ("final_loss", "steps_to_converge", "diverged")}
    sides = {found.x.name: list(found.x.values), found.y.name: list(found.y.values)}
    return _write_npz(found, out, arrays | sides)


def _write_npz(found: BasinMap | SweepMap, out: Path, arrays: dict[str, Any]) -> str:
    import numpy as np

    recipe = {name: str(getattr(found, name)) for name in ("racer", "surface", "steps", "conditions")}
    with out.open("wb") as file:  # given a name, NumPy appends .npz to one that ends in .NPZ
        np.savez_compressed(file, **arrays | recipe)
    return ""


def _write_program(result: Race, out: Path) -> str:
    from optimizers.explain import program

    out.write_text(program(result), encoding="utf-8")
    return ""


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


@data_app.command(name="reviews")
def reviews(
    source: Annotated[
        Path | None, typer.Option("--from", help="The archive vaderSentiment-3.3.2.tar.gz, if you have it.")
    ] = None,
) -> None:
    """Download film reviews judged by people (2.5 MB), for the text network."""
    from optimizers.training.data import load
    from optimizers.training.data_text import fetch_reviews

    with _progress("reviews") as progress:
        file = fetch_reviews(source, progress)
    print(f"The reviews are in {file}: {load('reviews').note}")


@data_app.command(name="list")
def list_data() -> None:
    """List the data sets, the folders in $ADAMSCOPE_HOME/pictures among them."""
    from optimizers.training.data import available, entry, offered

    names = offered()
    for name in names:
        there = "" if available(name) else f" (not here yet: {entry(name).command})"
        print(f"{name:{max(map(len, names))}}  {entry(name).note}{there}")


@app.command(name="train")
def train_command(
    optimizer: Racers,
    data: Annotated[
        str, typer.Option(help="As `adamscope data list` has them; or folder:DIR, a folder for each class.")
    ] = "cifar10",
    model: Annotated[
        str,
        typer.Option(
            help="The network: keras_cnn, simple_cnn, cnn_3c3d, adam_paper_cnn, resnet_small, image_mlp; "
            "text_cnn for texts."
        ),
    ] = "keras_cnn",
    epochs: Annotated[int, typer.Option(help="Passes over the training pictures.")] = 10,
    batch_size: Annotated[int, typer.Option(help="Pictures a step.")] = 32,
    schedule: Scheduled = None,
    clip_norm: ClipNorm = None,
    clip_value: ClipValue = None,
    weight_decay: Annotated[
        float | None,
        typer.Option(help="λ of the penalty λ/2·‖w‖² on kernels and matrices; the network's own by default."),
    ] = None,
    dropout: Annotated[
        float | None, typer.Option(help="Rate of every dropout layer; the network's own by default.")
    ] = None,
    label_smoothing: Annotated[
        float, typer.Option(help="Share of each right answer that is spread over all classes.")
    ] = 0.0,
    augment: Annotated[
        str, typer.Option(help="Changes to training pictures: crop, flip, jitter, shear, zoom, joined by +.")
    ] = "",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    seed: Annotated[int, typer.Option(help="Of initial weights, batches and what training draws.")] = 0,
    seeds: Annotated[
        int, typer.Option(help="Train with so many seeds, from --seed upwards, at the same time.")
    ] = 1,
    precision: Annotated[str, typer.Option(help="auto, fp32, tf32 (a GPU's) or bf16.")] = "auto",
    threads: Annotated[
        int | None, typer.Option(help="CPU threads of each racer; shared out by default.")
    ] = None,
    limit: Annotated[int | None, typer.Option(help="Use only the first N training pictures.")] = None,
    telemetry: Annotated[
        int | None,
        typer.Option(help="Look inside the networks every N steps, 0 never; 25 times an epoch by default."),
    ] = None,
    sharpness: Annotated[
        int, typer.Option(help="Measure the sharpness every N steps, which is slow; 0 never.")
    ] = 0,
    start_from: Annotated[
        str | None,
        typer.Option(help="Train on from the weights of a kept run: its id or folder; :2 is its third."),
    ] = None,
    snapshots: Annotated[
        int, typer.Option(help="Sets of weights to keep of each racer, for `adamscope landscape`.")
    ] = 0,
    out: Annotated[
        Path | None, typer.Option(help="Folder for metrics, curves, TensorBoard, program and checkpoints.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the checkpoint in --out, with the same options.")
    ] = False,
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
        schedule=schedule,
        clip_norm=clip_norm,
        clip_value=clip_value,
        weight_decay=weight_decay,
        dropout=dropout,
        label_smoothing=label_smoothing,
        augment=augment,
        device=device,
        seed=seed,
        seeds=seeds,
        precision=precision,
        threads=threads,
        limit=limit,
        snapshots=snapshots,
        telemetry=telemetry,
        sharpness=sharpness,
        start_from=start_from,
    )
    if resume and out is None:
        raise ValueError("--resume goes on from a checkpoint in --out: name the run's folder.")
    if snapshots and out is None:
        raise ValueError("--snapshots keeps weights in the run's folder: name one with --out DIR.")
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)  # before the hours of training, not after
    with LiveTable(config) as table, _stop_on_ctrl_c() as stopping:

        def on_event(event: object) -> None:
            table(event)
            if stopping.is_set():
                raise StopTraining

        result = train(config, on_event=on_event, folder=out, resume=resume)
    if result.stopped:
        more = " The same command with --resume goes on." if out else ""
        print(f"Stopped; what was trained until then is kept.{more}")
    if out is not None:
        from optimizers.training.report import write_report

        *most, last = write_report(result, out)
        print(f"Wrote {', '.join(most)} and {last} to {out}")


@app.command(name="sweep")
def lab_sweep_command(
    optimizer: Annotated[
        list[str] | None,
        typer.Option("-o", "--optimizer", help='A racer, e.g. "adam"; repeat to compare. adam by default.'),
    ] = None,
    axis: Annotated[
        list[str] | None,
        typer.Option(
            help='What changes: "lr,1e-4,0.1,4" (from, to, how many), "beta2=0.9,0.99" (these) or '
            "bias_correction (all of a choice); batch_size, too. Repeat for more."
        ),
    ] = None,
    figure4: Annotated[
        bool,
        typer.Option("--figure4", help="The Adam paper's figure 4 in place of -o and --axis: 60 networks."),
    ] = False,
    method: Annotated[str, typer.Option(help="grid, random, or halving (successive halving).")] = "grid",
    trials: Annotated[
        int | None, typer.Option(help="How many random and halving draw; halving takes the grid without.")
    ] = None,
    factor: Annotated[int, typer.Option(help="Of halving: the best one in so many go on.")] = 3,
    min_epochs: Annotated[int, typer.Option(help="Of halving: epochs of the first rung.")] = 1,
    seeds: Annotated[int, typer.Option(help="Networks of each trial.")] = 1,
    data: Annotated[str, typer.Option(help="cifar10, or shapes10 (generated).")] = "cifar10",
    model: Annotated[str, typer.Option(help="The network.")] = "keras_cnn",
    epochs: Annotated[int, typer.Option(help="Passes over the training pictures.")] = 5,
    batch_size: Annotated[int, typer.Option(help="Pictures a step.")] = 128,
    validation: Annotated[
        int, typer.Option(help="Training pictures that are held out, by which trials are judged.")
    ] = 2000,
    limit: Annotated[int | None, typer.Option(help="Train on only so many pictures.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, fp32, tf32 (a GPU's) or bf16.")] = "auto",
    seed: Annotated[int, typer.Option(help="The first; of random search's draws, too.")] = 0,
    scheduler: Scheduler = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes here; one for each GPU or core by default.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for trials, summary, map and curves.")] = None,
) -> None:
    """Train networks with many hyperparameters at once, choose by held-out pictures, and test the best."""
    from app.live_sweep import LiveSweep
    from optimizers.training import StopTraining, TrainConfig
    from optimizers.training import sweep as sweeps

    if figure4 and (optimizer or axis or method != "grid" or trials is not None):
        raise ValueError("--figure4 says what is tried: leave out -o, --axis, --method and --trials.")
    base = TrainConfig(
        racers=tuple(optimizer or ("adam",)),
        data=data,
        model=model,
        epochs=epochs,
        batch_size=batch_size,
        device=device,
        seed=seed,
        precision=precision,
        limit=limit,
        validation=validation,
    )
    if figure4:
        config = sweeps.figure4(base, seeds)
    else:
        config = sweeps.SweepConfig(base, tuple(axis or ()), method, trials, factor, min_epochs, seeds)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)  # before the hours of training, not after
    with LiveSweep(config) as table, _stop_on_ctrl_c() as stopping:

        def on_event(event: object) -> None:
            table(event)
            if stopping.is_set():
                raise StopTraining

        result = sweeps.sweep(config, on_event, scheduler=scheduler, workers=workers)
    if result.stopped:
        print("Stopped; what was found until then is kept. Nothing was tested.")
    elif result.best is not None and result.test_accuracy:
        tested = ", ".join(f"{accuracy:.2%}" for accuracy in result.test_accuracy)
        print(f"Best: {result.best.racer}{_settings(result.best)}")
        print(f"Its test accuracy, trained anew on all training pictures: {tested}")
    if out is not None:
        from optimizers.training.sweep_report import FILES, write_report

        write_report(result, out)
        print(f"Wrote {', '.join(FILES[:-1])} and {FILES[-1]} to {out}")


def _settings(trial: Any) -> str:
    return "".join(f", {name} {value:g}" for name, value in trial.settings)


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


@app.command(name="landscape")
def landscape_command(
    run: Annotated[str, typer.Argument(help="The folder of `train --snapshots --out`, or a run's id.")],
    plane: Annotated[
        str, typer.Option(help="pca (of the paths), random, or line (between two ends).")
    ] = "pca",
    racers: Annotated[
        str | None, typer.Option(help="Whose paths, by name or number, as in 1,3; all by default.")
    ] = None,
    size: Annotated[int, typer.Option(help="Points along each side.")] = 51,
    pictures: Annotated[int, typer.Option(help="Training pictures the loss is the mean over.")] = 5_000,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, fp32, tf32 (a GPU's) or bf16.")] = "auto",
    seed: Annotated[int, typer.Option(help="Of a random plane's directions.")] = 0,
    out: Annotated[
        Path | None, typer.Option(help="Write .png, .svg, .pdf, .html, .csv, .json or .npz.")
    ] = None,
    dark: Annotated[bool, typer.Option("--dark", help="A picture on a dark page.")] = False,
) -> None:
    """Measure the loss around a run's weights, on a plane or a line, with the racers' paths on it."""
    from app.landscape import folder_of, split, summary, writers
    from optimizers.training import StopTraining
    from optimizers.training.landscape import Order, measure, places
    from optimizers.training.snapshots import load, read_recipe

    write = None if out is None else _writer(out, writers(plane, dark))
    folder = folder_of(run)
    config = read_recipe(folder)
    chosen = None if racers is None else places(split(racers), config)
    order = Order(plane, chosen, size, pictures, device, precision, seed)
    snapshots = load(folder, chosen)
    with _progress("landscape") as progress, _stop_on_ctrl_c() as stopping:

        def report(done: int, of: int) -> None:
            progress(done, of)
            if stopping.is_set():
                raise StopTraining

        try:
            found = measure(snapshots, order, report)
        except StopTraining:
            raise KeyboardInterrupt from None
    for words in summary(found):
        print(words)
    if out is not None and write is not None:
        _write(out, write, found)


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
        said = problem.format_message().replace("Value error, ", "").rstrip(".?")
        return _say(f"{said}. See {where} --help.", 2)
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
