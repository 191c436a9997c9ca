"""What a run says while it trains, and what it has to say at the end.

Plain numbers, so that whoever listens (a table in a terminal, the store, a page) needs no torch.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from optimizers.training.config import TrainConfig


class StopTraining(Exception):  # noqa: N818 (a request, no error)
    """Raise it inside `on_event` to end the run; what has been trained until then is kept."""


@dataclass(frozen=True)
class Started:
    """The run begins."""

    racers: tuple[str, ...]  # canonical notation
    labels: tuple[str, ...]  # what people call them
    device: str  # "cpu" or "cuda"
    device_name: str
    precision: (
        str  # "fp32", "tf32" or "bf16": of the networks' arithmetic; weights and rules are fp32 throughout
    )
    threads: int | None  # CPU threads of each racer; None on a GPU
    total_steps: int
    steps_per_epoch: int
    parameters: int  # of one network
    data_note: str
    layers: tuple[str, ...] = ()  # names of the network's, in order
    classes: tuple[str, ...] = ()
    resumed_at: int | None = None  # the step of the checkpoint it goes on from; None: it begins


@dataclass(frozen=True)
class Preparing:
    """Before the run begins, something is worked out that takes a while. One sentence."""

    text: str


@dataclass(frozen=True)
class Way:
    """How the networks are trained at once, on a GPU: told at the first step, and where it changes."""

    how: str  # one sentence


@dataclass(frozen=True)
class Kept:
    """The run's state is in its folder, up to this step."""

    step: int | None  # None: no checkpoint could be written yet
    problem: str = ""  # one sentence where the newest could not be written or read


@dataclass(frozen=True)
class Point:
    """Training loss and accuracy of one racer: the mean over the pictures since its last point."""

    racer: int  # its place in Started.racers
    step: int  # steps taken
    examples: int  # pictures seen
    seconds: float  # since the run began
    loss: float  # cross-entropy in nats; NaN: it diverged at this step
    accuracy: float  # 0 to 1
    seed: int = 0  # its place among the run's seeds


@dataclass(frozen=True)
class Evaluated:
    """Loss and accuracy of one racer on the test pictures. Epoch 0 is before the first step."""

    racer: int
    step: int
    epoch: int
    loss: float
    accuracy: float
    seed: int = 0  # its place among the run's seeds


@dataclass(frozen=True)
class Inside:
    """What a step did inside a network, in one layer or in all; see `inside.Gauge`. NaN: there is none."""

    racer: int
    step: int  # this step, counted from 1
    layer: int  # its place in Started.layers; −1: over all
    effective_low: float  # |Δθ|/lr, without decoupled decay: the 5 % quantile of its coordinates
    effective_median: float
    effective_high: float  # 95 %
    ratio: float  # ‖Δθ‖/‖θ‖
    gradient: float  # ‖g‖
    cosine: float  # of Δθ and −g
    under_eps: float  # share of coordinates whose √v̂ is below ε, 0 to 1
    distance: float  # ‖θ − θ₀‖
    seed: int = 0  # its place among the run's seeds


@dataclass(frozen=True)
class Sharpness:
    """The largest eigenvalue of the Hessian of the training loss, on fixed pictures; see `sharpness`."""

    racer: int
    step: int  # steps taken
    raw: float
    preconditioned: float  # as the rule's factors see it; NaN: they are the same for all coordinates
    bound: (
        float  # up to which the rule is stable: of the preconditioned one, or else of the raw; NaN: unknown
    )
    seed: int = 0  # its place among the run's seeds


@dataclass(frozen=True, eq=False)
class Look:
    """What a network makes of the test pictures, at an evaluation; see `classes`."""

    racer: int
    step: int
    epoch: int
    # (K, K) int32: pictures of a class (row) that are taken for a class (column); empty: of too many classes
    confusion: np.ndarray
    filters: np.ndarray  # (n, H, W, C) int8: weights of the first layer, 127 is the largest in size
    largest: float  # what that is
    positions: np.ndarray  # (k,) of its surest mistakes in the test set
    labels: np.ndarray  # (k,) what they are
    predictions: np.ndarray  # (k,) what it takes them for
    confidence: np.ndarray  # (k,) how sure it is, 0 to 1
    pictures: np.ndarray  # (k, H, W, C) uint8; none of them where the data are texts
    seed: int = 0  # its place among the run's seeds


@dataclass(frozen=True)
class Progress:
    """How far the run is."""

    step: int
    total_steps: int
    seconds: float  # since the run began
    samples_per_second: float  # training pictures, summed over the racers
    seconds_left: float


@dataclass(frozen=True)
class Diverged:
    """The loss of this racer was no longer finite at this step; it rests, the others go on."""

    racer: int
    step: int
    seed: int = 0  # its place among the run's seeds


Event = Preparing | Started | Way | Kept | Point | Evaluated | Inside | Sharpness | Look | Progress | Diverged


@dataclass(frozen=True, eq=False)
class RacerResult:
    """One racer at the end of a run. What it says of the test pictures is from its last evaluation.

    A racer that diverged has no test loss, accuracy or predictions, as its network gives no answers.
    """

    notation: str
    label: str
    test_loss: float  # NaN where there is none
    test_accuracy: float
    test_epoch: int | None  # of the last evaluation
    predictions: np.ndarray | None  # (M,) int64: the class it gives each test picture
    diverged_at: int | None  # step
    examples: int  # training pictures seen
    seconds: float  # spent in its own training steps
    weights: np.ndarray  # (P,) float32, parameter after parameter as the network lists them
    initial_weights_sha256: str  # of the weights before the first step, in the same order
    batches_sha256: str  # of the positions of all training pictures it saw (int64), in that order
    seed: int = 0  # its place among the run's seeds


@dataclass(frozen=True, eq=False)
class TrainResult:
    """A finished or stopped run. `config` has what was found for each "auto", so that it repeats the run."""

    config: TrainConfig
    racers: tuple[RacerResult, ...]  # all of the first seed, then all of the next
    points: tuple[Point, ...]
    evaluations: tuple[Evaluated, ...]
    insides: tuple[Inside, ...]
    sharpnesses: tuple[Sharpness, ...]
    layers: tuple[str, ...]  # names of the network's, which an Inside counts
    classes: tuple[str, ...]
    test_labels: np.ndarray  # (M,) int64
    data_note: str
    device_name: str
    parameters: int
    steps_per_epoch: int
    steps: int  # taken
    seconds: float
    stopped: bool
    how: str = ""  # the networks were trained at once, one sentence; "" on a CPU

    @property
    def summary(self) -> dict[str, Any]:
        """What `summary.json` holds: results of each racer, and the recipe. JSON as it is: None for NaN."""
        from optimizers.training.report import summarise

        return summarise(self)
