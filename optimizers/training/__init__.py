"""The small-network lab: race optimizers on a real network, from the same weights on the same batches.

>>> from optimizers.training import TrainConfig, train
>>> config = TrainConfig(racers=("adam", "adam(bias_correction=False)"), data="shapes10", epochs=1)
>>> result = train(config, on_event=print)  # doctest: +SKIP

torch is imported when `train` runs, not before: pages and command line stay light.
"""

from collections.abc import Callable
from pathlib import Path

from optimizers.training.config import TrainConfig
from optimizers.training.telemetry import (
    Diverged,
    Evaluated,
    Event,
    Inside,
    Kept,
    Look,
    Point,
    Preparing,
    Progress,
    RacerResult,
    Sharpness,
    Started,
    StopTraining,
    TrainResult,
    Way,
)

__all__ = [
    "Diverged",
    "Evaluated",
    "Event",
    "Inside",
    "Kept",
    "Look",
    "Point",
    "Preparing",
    "Progress",
    "RacerResult",
    "Sharpness",
    "Started",
    "StopTraining",
    "TrainConfig",
    "TrainResult",
    "Way",
    "train",
]


def train(
    config: TrainConfig,
    on_event: Callable[[Event], None] | None = None,
    *,
    folder: Path | None = None,
    resume: bool = False,
) -> TrainResult:
    """Train every racer of `config` and return how they did.

    Args:
        config: the recipe.
        on_event: is called with each event of `telemetry` as it happens, in the caller's thread. It may raise
            StopTraining, which ends the run after the step under way and keeps what was trained; after that
            it hears of the last checkpoint alone.
        folder: where the run's checkpoints are kept, and `config.snapshots` sets of each racer's weights;
            made if need be. None keeps none.
        resume: go on from the checkpoint in `folder`. On a CPU with as many threads the run then ends as one
            that nothing interrupted, to the bit.

    Raises:
        ValueError: a device that is not there, in one sentence.
        data.DataError: the pictures are missing or damaged, in one sentence that says what to do.
        checkpoint.CheckpointError: there is none to go on from, or to start from, in one sentence.
    """
    from optimizers.training import race

    return race.train(config, on_event, folder=folder, resume=resume)
