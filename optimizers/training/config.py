"""What to train: the recipe of a run, checked when it is made."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, fields

from optimizers.catalog import Racer
from optimizers.notation import unknown
from optimizers.schedules import Schedule
from optimizers.training.data import DatasetEntry, entry
from optimizers.training.models import MODELS

DEVICES = ("auto", "cpu", "cuda")
PRECISIONS = ("auto", "fp32", "tf32", "bf16")
ONLY_ON_A_GPU = "precision is 'tf32', which only a GPU computes in: take fp32, bf16 or auto."
AUGMENTATIONS = ("crop", "flip", "jitter", "shear", "zoom")
MOST_SEEDS = 100
MOST_SNAPSHOTS = 1_000


@dataclass(frozen=True)
class TrainConfig:
    """The recipe of a run.

    Args:
        racers: optimizers in the catalogue's notation; kept in canonical form.
        data: a name of `data.DATASETS`, or `folder:DIR`, a folder of pictures for each class.
        model: a name of `models.MODELS`.
        epochs: passes over the training pictures.
        batch_size: pictures a step.
        device: "cpu", "cuda", or "auto": a CUDA GPU where there is one.
        seed: of the initial weights, the batches, and what training draws; whole, from 0.
        seeds: how many seeds every racer is trained with, from `seed` upwards.
        precision: of the networks' arithmetic: "fp32", by IEEE 754; "tf32", on a GPU, whose convolutions and
            products then round what they multiply to 10 bits; "bf16"; or "auto", bf16 where the device
            computes in it natively. Weights and rules are fp32 throughout.
        limit: train on the first `limit` training pictures only; None is all.
        schedule: of the learning rate over all steps of the run, in schedule notation; None is constant.
        clip_norm: greatest norm of the gradient over all weights, as torch.nn.utils.clip_grad_norm_.
        clip_value: greatest size of each entry of the gradient, as torch.nn.utils.clip_grad_value_; where
            both are given, the norm is clipped first.
        weight_decay: λ of the penalty λ/2·‖w‖² on matrices and kernels, biases and scales left out; None is
            the model's own. Its gradient is added before clipping; the loss that is shown is without it.
        dropout: share of the inputs that every dropout layer sets to zero, from 0 to below 1; None is the
            model's own.
        label_smoothing: share of the right answer that is spread over all classes in training, from 0 to
            below 1. The training loss that is shown is of the smoothed answers.
        augment: how training pictures are changed at random, names of AUGMENTATIONS joined by +; "" is not.
        snapshots: how many sets of weights of each racer are kept over a run that has a folder, for
            landscapes: at least 2, its start and its end; 0 is none.
        start_from: where the weights before the first step are from, a run that was kept; None draws them.
        threads: CPU threads for each racer; None shares torch's out among the racers. Another number adds in
            another order: results then agree to rounding, not to the bit.
        validation: so many training pictures, drawn by the seed, are held out and evaluated on in place of
            the test pictures, which are then not looked at; 0 evaluates on the test pictures.
        telemetry: look inside the networks every so many steps, see `inside.Gauge`; 0 is never, None 25 times
            an epoch. It changes nothing in what is trained.
        sharpness: measure the largest eigenvalue of the Hessian every so many steps, see `sharpness`; 0 is
            never. One measurement takes as long as some hundred steps, and changes nothing either.

    Raises:
        ValueError: names the setting, the value and what it takes, in one sentence.

    >>> TrainConfig(racers=("adam(lr=1e-3)", "rmsprop"), data="shapes10", epochs=1).racers
    ('adam', 'rmsprop')
    """

    racers: tuple[str, ...]
    data: str = "shapes10"
    model: str = "keras_cnn"
    epochs: int = 10
    batch_size: int = 32
    device: str = "auto"
    seed: int = 0
    precision: str = "auto"
    limit: int | None = None
    threads: int | None = None
    schedule: str | None = None
    clip_norm: float | None = None
    clip_value: float | None = None
    weight_decay: float | None = None
    dropout: float | None = None
    label_smoothing: float = 0.0
    augment: str = ""
    seeds: int = 1
    start_from: str | None = None
    validation: int = 0
    telemetry: int | None = None
    sharpness: int = 0
    snapshots: int = 0

    def __post_init__(self) -> None:
        """Check every setting."""
        if isinstance(self.racers, str) or not isinstance(self.racers, list | tuple) or not self.racers:
            raise ValueError(f"racers is {self.racers!r}, but takes at least one optimizer, as in ('adam',).")
        object.__setattr__(self, "racers", tuple(str(Racer.parse(racer)) for racer in self.racers))
        kind = entry(self.data)
        if self.model not in MODELS:
            raise unknown("model", str(self.model), MODELS)
        _fit(self.model, self.data, kind)
        _one_of("device", self.device, DEVICES)
        _one_of("precision", self.precision, PRECISIONS)
        if (self.precision, self.device) == ("tf32", "cpu"):
            raise ValueError(ONLY_ON_A_GPU)
        _whole("epochs", self.epochs, 1, 100_000)
        _whole("batch_size", self.batch_size, 1, 100_000)
        _whole("seed", self.seed, 0, 2**63 - 1)
        if self.limit is not None:
            _whole("limit", self.limit, 1, 10**9)
        if self.threads is not None:
            _whole("threads", self.threads, 1, 1024)
        if self.telemetry is not None:
            _whole("telemetry", self.telemetry, 0, 10**9)
        _whole("sharpness", self.sharpness, 0, 10**9)
        if self.schedule is not None:
            object.__setattr__(self, "schedule", str(Schedule.parse(self.schedule)))
        for name in ("clip_norm", "clip_value", "weight_decay"):
            if getattr(self, name) is not None:
                _number(name, getattr(self, name), from_zero=name == "weight_decay")
        if self.dropout is not None:
            _share("dropout", self.dropout)
        _share("label_smoothing", self.label_smoothing)
        object.__setattr__(self, "augment", _augmentations(self.augment))
        if self.augment and kind.kind != "pictures":
            raise ValueError(
                f"augment is {self.augment!r}, but it changes pictures, and {self.data} has none."
            )
        _whole("seeds", self.seeds, 1, MOST_SEEDS)
        if self.snapshots != 0:
            _whole("snapshots", self.snapshots, 2, MOST_SNAPSHOTS)
        if self.start_from is not None and (not isinstance(self.start_from, str) or not self.start_from):
            raise ValueError(f"start_from is {self.start_from!r}, but takes a run that was kept.")
        _whole("validation", self.validation, 0, 10**9)

    def to_json(self) -> str:
        """Write the recipe as JSON that `from_json` reads back."""
        return json.dumps(asdict(self), indent=2)

    @classmethod
    def from_json(cls, text: str) -> TrainConfig:
        """Read a recipe; settings left out take their defaults."""
        try:
            given = json.loads(text)
        except ValueError as problem:
            raise ValueError(f"A training recipe is JSON, which this is not: {problem}.") from None
        if not isinstance(given, dict) or "racers" not in given:
            raise ValueError('A training recipe is a JSON object with at least "racers".')
        known = [field.name for field in fields(cls)]
        for name in given:
            if name not in known:
                raise unknown("setting", name, known, "A training recipe")
        return cls(**given)


def _fit(model: str, data: str, of: DatasetEntry) -> None:
    """Check that a network takes what a data set has."""
    misfit = MODELS[model].misfit(of.kind, of.shape)
    if misfit:
        fitting = [name for name, other in MODELS.items() if not other.misfit(of.kind, of.shape)]
        raise ValueError(f"{model} {misfit}: train {' or '.join(fitting)} on {data}.")


def _one_of(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name} is {value!r}, but takes {', '.join(choices[:-1])} or {choices[-1]}.")


def _whole(name: str, value: object, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ValueError(f"{name} is {value!r}, but takes a whole number from {low:,} to {high:,}.")


def _number(name: str, value: object, *, from_zero: bool = False) -> None:
    finite = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not finite or value < 0 or (value == 0 and not from_zero):  # type: ignore[operator]
        raise ValueError(
            f"{name} is {value!r}, but takes a finite number {'from' if from_zero else 'above'} 0."
        )


def _share(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
        raise ValueError(f"{name} is {value!r}, but takes a number from 0 to below 1.")


def _augmentations(text: object) -> str:
    """Return the names in the order of AUGMENTATIONS; a link's + arrives as a blank, which reads the same."""
    if not isinstance(text, str):
        raise ValueError(f"augment is {text!r}, but takes names joined by +, as in crop+flip.")
    given = text.replace("+", " ").split()
    for name in given:
        if name not in AUGMENTATIONS:
            raise unknown("augmentation", name, AUGMENTATIONS)
    return "+".join(name for name in AUGMENTATIONS if name in given)
