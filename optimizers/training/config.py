"""What to train: the recipe of a run, checked when it is made."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields

from optimizers.catalog import Racer
from optimizers.notation import unknown
from optimizers.training.data import DATASETS
from optimizers.training.models import MODELS

DEVICES = ("auto", "cpu", "cuda")
PRECISIONS = ("auto", "fp32", "bf16")


@dataclass(frozen=True)
class TrainConfig:
    """The recipe of a run.

    Args:
        racers: optimizers in the catalogue's notation; kept in canonical form.
        data: a name of `data.DATASETS`.
        model: a name of `models.MODELS`.
        epochs: passes over the training pictures.
        batch_size: pictures a step.
        device: "cpu", "cuda", or "auto": a CUDA GPU where there is one.
        seed: of the initial weights and of the batches; whole, from 0.
        precision: of the networks' arithmetic, "fp32", "bf16", or "auto": bf16 where the device computes in
            it natively. Weights and rules are fp32 throughout.
        limit: train on the first `limit` training pictures only; None is all.
        threads: CPU threads for each racer; None shares torch's out among the racers. Another number adds in
            another order: results then agree to rounding, not to the bit.
        validation: so many training pictures, drawn by the seed, are held out and evaluated on in place of
            the test pictures, which are then not looked at; 0 evaluates on the test pictures.

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
    validation: int = 0

    def __post_init__(self) -> None:
        """Check every setting."""
        if isinstance(self.racers, str) or not isinstance(self.racers, list | tuple) or not self.racers:
            raise ValueError(f"racers is {self.racers!r}, but takes at least one optimizer, as in ('adam',).")
        object.__setattr__(self, "racers", tuple(str(Racer.parse(racer)) for racer in self.racers))
        if self.data not in DATASETS:
            raise unknown("data set", str(self.data), DATASETS)
        if self.model not in MODELS:
            raise unknown("model", str(self.model), MODELS)
        _one_of("device", self.device, DEVICES)
        _one_of("precision", self.precision, PRECISIONS)
        _whole("epochs", self.epochs, 1, 100_000)
        _whole("batch_size", self.batch_size, 1, 100_000)
        _whole("seed", self.seed, 0, 2**63 - 1)
        if self.limit is not None:
            _whole("limit", self.limit, 1, 10**9)
        if self.threads is not None:
            _whole("threads", self.threads, 1, 1024)
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


def _one_of(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name} is {value!r}, but takes {', '.join(choices[:-1])} or {choices[-1]}.")


def _whole(name: str, value: object, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ValueError(f"{name} is {value!r}, but takes a whole number from {low:,} to {high:,}.")
