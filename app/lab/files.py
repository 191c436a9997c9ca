"""A run as a file to keep, made by a child process as `app.exports` has it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from optimizers.training.inside_csv import write_inside
from optimizers.training.report import KeptRun, draw_curves, write_config, write_events, write_metrics
from optimizers.training.store import InsideRow, SharpnessRow, Store, default_url, open_store
from optimizers.training.telemetry import Inside, Sharpness

INSIDE = "inside.csv"


@dataclass(frozen=True)
class RunFile:
    """A run of the store, to be written as a file."""

    kinds: ClassVar[tuple[str, ...]] = ("csv", INSIDE, "png", "svg", "zip", "json", "py")
    run_id: str

    @property
    def stem(self) -> str:
        """The file's name, without its ending."""
        return f"run-{self.run_id}"

    def order(self) -> dict[str, Any]:
        """Return what the child is told; where the store is, it knows from its environment."""
        return {"maker": "app.lab.files:make", "run": self.run_id}


def make(out: Path, order: Mapping[str, Any]) -> None:
    """Write a run. Raises ValueError, in one sentence, where there is nothing to be written."""
    store = open_store(default_url())
    run = KeptRun.read(store, order["run"])
    if out.name.endswith(f".{INSIDE}"):
        _inside(store, order["run"], run, out)
    else:
        _WRITERS[out.suffix[1:]](run, out)


def _inside(store: Store, run_id: str, run: KeptRun, out: Path) -> None:
    """Write what was measured inside the networks, every row of it."""
    insides, sharpnesses = store.rows(run_id, (InsideRow, SharpnessRow))
    kept = store.get(run_id)
    if kept is None or not (insides or sharpnesses):
        raise ValueError("Nothing was measured inside this run: start one with telemetry.")
    write_inside(
        *(out, run.config, kept.layers or (), run.steps_per_epoch),
        [Inside(**row) for row in insides],
        [Sharpness(**row) for row in sharpnesses],
    )


def _picture(run: KeptRun, out: Path) -> None:
    draw_curves(run).savefig(out, dpi=160)


def _events(run: KeptRun, out: Path) -> None:
    """Write TensorBoard's events as an archive."""
    import shutil

    folder = out.with_suffix("")
    write_events(run, folder / out.stem)
    shutil.make_archive(str(folder), "zip", folder)
    shutil.rmtree(folder)


def _program(run: KeptRun, out: Path) -> None:
    from optimizers.training.programs import program

    out.write_text(program(run.config), "utf-8")


_WRITERS: dict[str, Callable[[KeptRun, Path], None]] = {
    "csv": write_metrics,
    "png": _picture,
    "svg": _picture,
    "zip": _events,
    "json": write_config,
    "py": _program,
}
