"""The race from a bare command line: needs torch and numpy, $ADAMSCOPE_HOME, and a report's matplotlib.

    PYTHONPATH=. python -m optimizers.training -o adam -o "rmsprop(lr=1e-3)" --data cifar10 --out DIR

The full command, with a live table, is `adamscope train`.
"""

import argparse
import sys
from pathlib import Path

from optimizers.training import Diverged, Evaluated, Event, Preparing, Started, TrainConfig, Way, train
from optimizers.training.config import AUGMENTATIONS, DEVICES, PRECISIONS
from optimizers.training.data import DATASETS, DataError
from optimizers.training.models import MODELS


def main() -> int:
    """Train, print a line for each evaluation, and write the report; return the exit code."""
    args = _arguments()
    settings = {name: value for name, value in vars(args).items() if name not in ("out", "racers", "resume")}
    try:
        config = TrainConfig(racers=tuple(args.racers), **settings)
    except ValueError as problem:
        print(problem, file=sys.stderr)
        return 2
    try:
        if args.out:
            args.out.mkdir(parents=True, exist_ok=True)  # before the hours of training, not after
        result = train(config, Printer(config.seed, config.seeds), folder=args.out, resume=args.resume)
        for racer in result.racers:
            seed = f", seed {config.seed + racer.seed}" if config.seeds > 1 else ""
            print(f"{racer.label}{seed}: test accuracy {racer.test_accuracy:.2%}, {racer.seconds:.1f} s")
        if args.out:
            from optimizers.training.report import write_report

            write_report(result, args.out)
            print(f"Wrote {args.out}")
    except (ValueError, OSError, DataError) as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


class Printer:
    """Prints what a person at a bare terminal wants to know of a run."""

    labels: tuple[str, ...] = ()

    def __init__(self, seed: int, seeds: int) -> None:
        """Print of a run with these seeds."""
        self.seed, self.seeds = seed, seeds

    def __call__(self, event: Event) -> None:
        """Print one event."""
        match event:
            case Preparing():
                print(event.text)
            case Started():
                self.labels = event.labels
                print(
                    f"{event.data_note}\n{event.device_name}, {event.precision}, {event.total_steps:,} steps"
                )
            case Way():
                print(event.how)
            case Evaluated():
                scores = f"test loss {event.loss:.4f}  accuracy {event.accuracy:.2%}"
                print(f"epoch {event.epoch:3}  {self._name(event):30} {scores}")
            case Diverged():
                print(f"{self._name(event)} diverged at step {event.step:,}")

    def _name(self, event: Evaluated | Diverged) -> str:
        """Return the racer's label, with its seed where there are several."""
        label = self.labels[event.racer]
        return f"{label}, seed {self.seed + event.seed}" if self.seeds > 1 else label


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m optimizers.training", description=__doc__.splitlines()[0]
    )
    add = parser.add_argument
    add("-o", dest="racers", action="append", required=True, metavar="RACER", help="repeat for each racer")
    add("--data", default="cifar10", help=", ".join([*DATASETS, "folder:DIR"]))
    add("--model", default="keras_cnn", help=", ".join(MODELS))
    add("--epochs", type=int, default=10)
    add("--batch-size", type=int, default=32)
    add("--schedule", help='of the learning rate, e.g. cosine or "warmup(total_iters=100)+cosine"')
    add("--clip-norm", type=float, help="greatest norm of the gradient")
    add("--clip-value", type=float, help="greatest size of each entry of the gradient")
    add("--weight-decay", type=float, help="λ of the penalty λ/2·‖w‖²; the network's own by default")
    add("--dropout", type=float, help="rate of every dropout layer; the network's own by default")
    add("--label-smoothing", type=float, default=0.0)
    add("--augment", default="", help="+".join(AUGMENTATIONS) + ", any of them")
    add("--device", default="auto", help=", ".join(DEVICES))
    add("--seed", type=int, default=0)
    add("--seeds", type=int, default=1, help="how many, from --seed upwards")
    add("--precision", default="auto", help=", ".join(PRECISIONS))
    add("--limit", type=int, help="train on the first LIMIT pictures only")
    add("--threads", type=int, help="CPU threads for each racer")
    add(
        "--telemetry", type=int, help="look inside every so many steps; 0 never, 25 times an epoch by default"
    )
    add("--sharpness", type=int, default=0, help="measure the sharpness every so many steps; 0 never")
    add("--out", type=Path, metavar="DIR", help="for checkpoints, metrics.csv, summary.json, curves.png, …")
    add("--resume", action="store_true", help="go on from the checkpoint in --out, with the same options")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
