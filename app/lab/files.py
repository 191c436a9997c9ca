"""A run as a file to keep, made by a child process as `app.exports` has it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from optimizers.training.report import KeptRun, draw_curves, write_config, write_events, write_metrics
from optimizers.training.store import default_url, open_store


@dataclass(frozen=True)
class RunFile:
    """A run of the store, to be written as a file."""

    kinds: ClassVar[tuple[str, ...]] = ("csv", "png", "svg", "zip", "json", "py")
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
    run = KeptRun.read(open_store(default_url()), order["run"])
    _WRITERS[out.suffix[1:]](run, out)


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
