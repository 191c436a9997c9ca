"""The loss around a run: planes and lines through its weights, and where its racers went on them.

A network of P weights has a loss over P dimensions, of which a picture shows two. Which two is the whole of
the matter, so each plane says how it was chosen and how much of the paths it holds:

- `pca_plane`, of the racers' own paths: the two directions along which their snapshots spread most. States
  the share of their variance that it explains; the rest is off the plane, by a distance for each snapshot.
- `random_plane`: two random directions about one racer's end, each filter as long as the network's own.
  In P dimensions they are nearly at right angles to any path, which they show as all but a point.
  Li, Xu, Taylor, Studer, Goldstein 2018, "Visualizing the Loss Landscape of Neural Nets" (arXiv:1712.09913).
- `line`, between the ends of two racers, and a little beyond. Goodfellow, Vinyals, Saxe 2015
  (arXiv:1412.6544).

The loss is the mean cross-entropy over the first of the run's training pictures, as they are: no
augmentation, no dropout, no penalty. torch is imported where something is measured, not before.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from optimizers.files import whole
from optimizers.training.config import TrainConfig
from optimizers.training.data import DataError
from optimizers.training.snapshots import Snapshots

if TYPE_CHECKING:
    from optimizers.training.probe import Pictures

Floats = NDArray[np.float64]
Progress = Callable[[int, int], None]  # told how many of how many are done; may raise, which ends the work

PLANES = ("pca", "random", "line")
SIZE = 51  # points along each side
PICTURES = 5_000
LONGEST = 401  # points along a side
MARGIN = 0.2  # of the paths' longer side, that a plane shows around them
SLIMMEST = 0.6  # of a plane's longer side, its shorter one
BEYOND = 0.25  # of the way between two ends, that a line goes on at either side
REACH = 1.0  # of a random plane: each filter's own length
CHUNK = 1 << 16  # weights at a time in float64


@dataclass(frozen=True, eq=False)
class Plane:
    """Where a landscape is cut: the weights origin + x · axes[0] + y · axes[1]."""

    kind: str  # of PLANES
    origin: NDArray[np.float32]  # (P,)
    axes: NDArray[np.float32]  # (2, P); (1, P) of a line
    about: str  # one sentence: how it was chosen
    explained: tuple[float, float] | None = None  # share of the snapshots' variance along each axis, of pca

    def shadows(self, weights: NDArray[np.float32]) -> tuple[Floats, Floats]:
        """Return the nearest points on the plane to sets of weights (S, P), and how far off they are.

        Returns:
            coordinates: (S, 2), least squares where the axes are not at right angles.
            off: (S,) Euclidean distances, in weights.
        """
        count = len(weights)
        gram = _gram(np.concatenate([weights, self.axes]), self.origin, count)
        inner, outer = gram[:count, count:], gram[count:, count:]
        coordinates = np.asarray(np.linalg.solve(outer, inner.T).T, np.float64)
        off = np.diag(gram)[:count] - np.einsum("si,si->s", coordinates, inner)
        return coordinates, np.sqrt(np.maximum(off, 0.0))


def pca_plane(snapshots: Snapshots) -> Plane:
    """Return the plane of the paths: the first two principal axes of all snapshots about their mean.

    The Gram matrix of the S centred snapshots, (S, S), has the same eigenvalues as the covariance of the P
    weights, P ≫ S; an axis is Wᵀu/√λ. Axes have length 1, so distances on the plane are those in weights.
    Each points the way the racers go: the mean of their ends has positive coordinates.

    Raises:
        ValueError: the snapshots lie on one line, or are one point.
    """
    weights = snapshots.weights
    mean = weights.mean(axis=0, dtype=np.float64).astype(np.float32)
    values, vectors = np.linalg.eigh(_gram(weights, mean, len(weights)))
    values, vectors = values[::-1], vectors[:, ::-1]
    if len(weights) < 3 or not values[1] > 1e-12 * values[0]:
        raise ValueError(
            "A plane takes at least three snapshots that are not in one line: train for longer, or with more."
        )
    scaled = vectors[:, :2] / np.sqrt(values[:2])
    ends = [snapshots.of(racer)[-1] for racer in np.unique(snapshots.racer)]
    toward = (vectors[ends, :2] * np.sqrt(values[:2])).sum(0)
    scaled *= np.where(toward < 0, -1.0, 1.0)
    axes = np.concatenate([scaled.T @ part for part in _parts(weights, mean)], axis=1).astype(np.float32)
    share = values[:2] / values[values > 0].sum()
    return Plane(
        "pca",
        mean,
        axes,
        f"the plane of the paths: principal axes 1 and 2 of {len(weights)} snapshots about their mean",
        (float(share[0]), float(share[1])),
    )


def random_plane(
    weights: NDArray[np.float32],  # (P,)
    shapes: Sequence[Sequence[int]],  # of the network's parameters, in order
    seed: int,
    whose: str = "a racer",
) -> Plane:
    """Return the plane of two filter-normalised random directions about these weights.

    Each direction is normal, then each filter d (a row of a matrix, a kernel of a convolution) is scaled to
    the length of the network's own: d · ‖w‖/‖d‖. Biases and scales stay as they are. Li et al. 2018, § 4.
    """
    random = np.random.default_rng(seed)
    axes = np.zeros((2, weights.size), np.float32)
    for axis in axes:
        start = 0
        for shape in shapes:
            stop = start + math.prod(shape)
            if len(shape) > 1:
                filters = weights[start:stop].reshape(shape[0], -1)
                direction = random.standard_normal(filters.shape)
                lengths = np.linalg.norm(filters, axis=1) / np.linalg.norm(direction, axis=1)
                axis[start:stop] = (direction * lengths[:, None]).ravel()
            start = stop
    about = f"two filter-normalised random directions (seed {seed}) about the end of {whose}"
    return Plane("random", weights, axes, about)


def line(one: NDArray[np.float32], other: NDArray[np.float32], names: tuple[str, str]) -> Plane:
    """Return the line from one set of weights, (P,), at 0 to another at 1."""
    about = f"the line from the end of {names[0]} (0) to the end of {names[1]} (1)"
    return Plane("line", one, (other - one)[None], about)


def loss_grid(
    model: str,
    plane: Plane,
    x: Floats,  # (nx,)
    y: Floats,  # (ny,); (1,) of a line, any number
    pictures: Pictures,
    *,
    device: str = "cpu",
    precision: str = "fp32",
    progress: Progress | None = None,
) -> tuple[Floats, Floats]:
    """Return loss and accuracy, (ny, nx) each, of the network at origin + x · axes[0] + y · axes[1]."""
    from optimizers.training.probe import look

    across, up = np.meshgrid(x, y)
    coefficients = np.stack([across.ravel(), up.ravel()], axis=1)[:, : len(plane.axes)]
    found = look(
        model,
        plane.origin,
        plane.axes,
        coefficients,
        pictures,
        device=device,
        precision=precision,
        progress=progress,
    )
    return found.loss.reshape(across.shape), found.accuracy.reshape(across.shape)


def _gram(rows: NDArray[np.float32], origin: NDArray[np.float32], count: int) -> Floats:
    """Return the inner products of rows (R, P), the first `count` of them less `origin`, in float64."""
    gram = np.zeros((len(rows), len(rows)))
    for part in _parts(rows, origin, count):
        gram += part @ part.T
    return gram


def _parts(
    rows: NDArray[np.float32], origin: NDArray[np.float32], count: int | None = None
) -> Iterator[Floats]:
    """Yield a few of the columns of rows at a time, the first `count` rows less `origin`, in float64."""
    for start in range(0, rows.shape[1], CHUNK):
        part = rows[:, start : start + CHUNK].astype(np.float64)
        part[:count] -= origin[start : start + CHUNK]
        yield part


# A landscape, whole -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Order:
    """Which landscape is wanted of a run.

    Args:
        plane: "pca", "random" or "line".
        racers: the run's, by their places from 0: whose paths span the plane; None is all. A random plane is
            about the first one's end; a line leads from the end of the first to that of the last.
        size: points along each side (along the line).
        pictures: how many of the run's training pictures the loss is the mean over; on a line, test ones too.
        device, precision: as of a `TrainConfig`; "auto" takes bf16 where the device computes in it natively.
        seed: of a random plane's directions.
        place: which of the run's seeds, from 0.

    Raises:
        ValueError: names the setting, the value and what it takes.
    """

    plane: str = "pca"
    racers: tuple[int, ...] | None = None
    size: int = SIZE
    pictures: int = PICTURES
    device: str = "auto"
    precision: str = "auto"
    seed: int = 0
    place: int = 0

    def __post_init__(self) -> None:
        """Check every setting."""
        if self.plane not in PLANES:
            raise ValueError(f"plane is {self.plane!r}, but takes {', '.join(PLANES[:-1])} or {PLANES[-1]}.")
        if self.racers is not None:
            object.__setattr__(self, "racers", tuple(self.racers))
        for name, low, high in (
            ("size", 5, LONGEST),
            ("pictures", 1, 10**9),
            ("seed", 0, 2**32 - 1),
            ("place", 0, 2**32 - 1),
        ):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
                raise ValueError(f"{name} is {value!r}, but takes a whole number from {low} to {high:,}.")


@dataclass(frozen=True, eq=False)
class Landscape:
    """A plane of a run (or a line), measured; with the racers' paths on it."""

    config: TrainConfig  # of the run
    order: Order  # with what was found for each "auto"
    about: str  # how the plane was chosen
    explained: tuple[float, float] | None  # shares of the snapshots' variance, of pca
    pictures: int  # the loss is the mean over
    device_name: str
    seconds: float  # to measure it
    error: float | None  # greatest relative error of the loss in bf16 at nine points (three); None in fp32
    x: Floats  # (nx,)
    y: Floats  # (ny,); (1,) of a line
    loss: Floats  # (ny, nx), inf where it overflows
    accuracy: Floats  # (ny, nx)
    racer: NDArray[np.int64]  # (S,) of each snapshot: its place in config.racers …
    step: NDArray[np.int64]  # (S,)
    shadow: Floats  # (S, 2): where it stands on the plane, (S, 1) of a line …
    off: Floats  # (S,): how far off the plane it is …
    own: Floats  # (S, 2): loss and accuracy there, off the plane
    tests: Floats = field(default_factory=lambda: np.zeros((0, 2)))  # (nx, 2) of a line: on the test pictures

    @property
    def kind(self) -> str:
        """What it is: one of PLANES."""
        return self.order.plane

    @property
    def words(self) -> str:
        """How far to trust the picture, in one or two sentences, every number measured."""
        off = float(self.off.max(initial=0.0))
        said = []
        if self.explained is not None:
            first, second = self.explained
            said.append(
                f"This plane holds {_percent(first + second)} of the spread of the paths "
                f"({_percent(first)} along x, {_percent(second)} along y)"
            )
        elif self.kind == "random":
            said.append(
                "A random plane shows the shape of the loss near its middle, and next to nothing of the paths"
            )
        else:
            said.append(self._hump())
        if self.kind != "line":
            said.append(f"a racer stands up to {off:.3g} off it, where the loss is its own, not the map's")
        return f"{'; '.join(said)}."

    def _hump(self) -> str:
        """Say how high the loss rises between the two ends of a line."""
        between = (self.x >= 0) & (self.x <= 1)
        x, loss = self.x[between], self.loss[0, between]
        ends = float(self.own[self._ends()[0], 0]), float(self.own[self._ends()[1], 0])
        top = int(np.argmax(loss))
        if not loss[top] > 1.02 * max(ends):
            return f"Nothing between the two ends is higher than the higher of them, {max(ends):.3g}"
        return (
            f"Between the two ends, of loss {ends[0]:.3g} and {ends[1]:.3g}, the loss rises to "
            f"{float(loss[top]):.3g}, at {float(x[top]):.2g} of the way"
        )

    def _ends(self) -> tuple[int, int]:
        """Return the places of the snapshots between which a line leads."""
        assert self.order.racers is not None
        first, last = (int(np.flatnonzero(self.racer == self.order.racers[k])[-1]) for k in (0, -1))
        return first, last

    @property
    def recipe(self) -> str:
        """How the picture was made, in two sentences."""
        size = f"{len(self.x)} × {len(self.y)}" if self.kind != "line" else f"{len(self.x)}"
        pictures = f"{self.pictures:,}".replace(",", "\u202f")  # the sentence has commas of its own
        off = ""
        if self.error is not None:
            where = "three" if self.kind == "line" else "nine"
            off = f", off from fp32 by at most {100 * self.error:.2g} % at {where} points"
        whose = f" Networks of seed {self.config.seed + self.order.place}." if self.config.seeds > 1 else ""
        return (
            f"{self.about[0].upper()}{self.about[1:]}.{whose} The loss is the mean over {pictures} training "
            f"pictures at {size} points, in {self.order.precision}{off}; {self.seconds:.0f} s on "
            f"{self.device_name or self.order.device}."
        )

    def head(self) -> dict[str, Any]:
        """All but the arrays, as JSON."""
        return {
            "config": json.loads(self.config.to_json()),
            "order": asdict(self.order),
            **{name: getattr(self, name) for name in _HEAD},
        }

    def to_json(self) -> dict[str, Any]:
        """Everything, as JSON has it: None where a loss overflows."""
        return self.head() | {name: _plain(getattr(self, name)) for name in _ARRAYS}

    def save(self, file: Path) -> None:
        """Write it so that `open_landscape` reads it back."""
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        with whole(file) as temporary, temporary.open("wb") as out:
            np.savez_compressed(out, head=np.array(json.dumps(self.head())), **arrays)


_HEAD = ("about", "explained", "pictures", "device_name", "seconds", "error")
_ARRAYS = ("x", "y", "loss", "accuracy", "racer", "step", "shadow", "off", "own", "tests")


def open_landscape(file: Path) -> Landscape:
    """Read what `Landscape.save` has written.

    Raises:
        DataError: it is not there, or damaged.
    """
    try:
        with np.load(file, allow_pickle=False) as found:
            head = json.loads(str(found["head"]))
            arrays = {name: found[name] for name in _ARRAYS}
        config = TrainConfig.from_json(json.dumps(head.pop("config")))
        order = Order(**head.pop("order"))
        explained = tuple(head["explained"]) if head["explained"] else None
        return Landscape(config, order, **head | {"explained": explained}, **arrays)
    except (OSError, ValueError, KeyError, TypeError, EOFError) as problem:
        raise DataError(f"The landscape {file} can't be read, so measure it again: {problem}") from None


def measure(snapshots: Snapshots, order: Order, progress: Progress | None = None) -> Landscape:
    """Measure a landscape of a run whose snapshots are at hand.

    Args:
        snapshots: of the racers the order names.
        order: which landscape.
        progress: told how many of how many sets of weights have been looked at. What it raises ends the work.

    Raises:
        ValueError: a device that is not there; too few snapshots for a plane; a line without two racers.
        DataError: the run's pictures are missing.
    """
    from dataclasses import replace

    from optimizers.catalog import Racer, distinct
    from optimizers.training import data
    from optimizers.training.device import device_name, resolve
    from optimizers.training.preprocessing import whitening_of
    from optimizers.training.probe import Pictures, look, shapes
    from optimizers.training.validation import hold_out

    began = time.perf_counter()
    config = snapshots.config
    found = resolve(replace(config, device=order.device, precision=order.precision))
    order = replace(order, device=found.device, precision=found.precision)
    dataset = data.load(config.data)
    classes = len(dataset.classes)
    chosen = slice(min(order.pictures, config.limit or order.pictures))
    # What the race was trained on, and so how it whitened, may be more than the pictures looked at here.
    trained = hold_out(dataset, config.validation, config.seed) if config.validation else dataset
    whitening = whitening_of(config.model, trained.train_images[: config.limit], order.device)
    like = classes, dataset.shape, whitening
    training = Pictures(dataset.train_images[chosen], dataset.train_labels[chosen], *like)
    names = [one.label for one in distinct([Racer.parse(racer) for racer in config.racers])]
    racers = list(np.unique(snapshots.racer)) if order.racers is None else list(order.racers)
    if strangers := [racer + 1 for racer in racers if racer not in snapshots.racer]:
        raise ValueError(f"racers names number {strangers[0]}, of which there are no snapshots.")
    if order.plane == "pca":
        plane = pca_plane(snapshots)
    elif order.plane == "random":
        middle = snapshots.end(racers[0])
        plane = random_plane(middle, shapes(config.model, training), order.seed, names[racers[0]])
    else:
        if len(racers) < 2:
            raise ValueError("A line leads from the end of one racer to another's: name two of them.")
        order = replace(order, racers=tuple(int(place) for place in racers))
        ends = snapshots.end(racers[0]), snapshots.end(racers[-1])
        plane = line(*ends, (names[racers[0]], names[racers[-1]]))
    shadow, off = plane.shadows(snapshots.weights)
    x, y = _window(plane, shadow, order.size)
    both = 2 if order.plane == "line" else 1
    checked = 9 if order.precision != "fp32" else 0
    total = both * len(x) * len(y) + len(off) + checked
    done = 0

    def report(here: int, of: int) -> None:
        if progress is not None:
            progress(done + here, total)

    under: dict[str, Any] = {"device": order.device, "precision": order.precision, "progress": report}
    loss, accuracy = loss_grid(config.model, plane, x, y, training, **under)
    done += loss.size
    tests = np.zeros((0, 2))
    if order.plane == "line":
        chosen = slice(order.pictures)
        test = Pictures(dataset.test_images[chosen], dataset.test_labels[chosen], *like)
        tests = np.concatenate(loss_grid(config.model, plane, x, y, test, **under)).T
        done += loss.size
    nothing, each = np.zeros_like(plane.origin), np.eye(len(off))
    own = look(config.model, nothing, snapshots.weights, each, training, **under)
    done += len(off)
    error = None
    if checked:
        columns, rows = _nine(len(x)), _nine(len(y))
        exact, _ = loss_grid(
            config.model, plane, x[columns], y[rows], training, **under | {"precision": "fp32"}
        )
        error = float(np.nanmax(np.abs(loss[np.ix_(rows, columns)] / exact - 1)))
    return Landscape(
        config=config,
        order=order,
        about=plane.about,
        explained=plane.explained,
        pictures=len(training.labels),
        device_name=device_name(order.device),
        seconds=time.perf_counter() - began,
        error=error,
        x=x,
        y=y,
        loss=loss,
        accuracy=accuracy,
        racer=snapshots.racer,
        step=snapshots.step,
        shadow=shadow,
        off=off,
        own=np.stack([own.loss, own.accuracy], axis=1),
        tests=tests,
    )


def _nine(count: int) -> list[int]:
    """Return three places of so many: the first, the middle, the last; one of one."""
    return [0, count // 2, count - 1] if count > 1 else [0]


def _window(plane: Plane, shadow: Floats, size: int) -> tuple[Floats, Floats]:
    """Return the lattice's coordinates: around all paths, or as far as the plane is meant to go."""
    if plane.kind == "line":
        return np.linspace(-BEYOND, 1 + BEYOND, size), np.zeros(1)
    if plane.kind == "random":
        return np.linspace(-REACH, REACH, size), np.linspace(-REACH, REACH, size)
    low, high = shadow.min(0), shadow.max(0)
    longest = float((high - low).max())
    half = np.maximum((high - low) / 2 + MARGIN * longest, SLIMMEST * (0.5 + MARGIN) * longest)
    middle = (low + high) / 2
    x, y = (np.linspace(m - h, m + h, size) for m, h in zip(middle, half, strict=True))
    return x, y


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _plain(array: NDArray[Any]) -> Any:
    return np.where(np.isfinite(array), array, np.array(None)).tolist()


def places(names: Iterable[str], config: TrainConfig) -> tuple[int, ...]:
    """Return the places of racers given as they were written, by their optimizer's name, or by number from 1.

    Raises:
        ValueError: a racer that did not run, or a name that several share.

    >>> places(["rmsprop", "1"], TrainConfig(racers=("adam", "rmsprop")))
    (1, 0)
    """
    from optimizers.catalog import Racer

    ran = [Racer.parse(racer) for racer in config.racers]
    found = []
    for name in names:
        text = name.strip()
        if text.isdecimal() and 1 <= int(text) <= len(ran):
            found.append(int(text) - 1)
            continue
        exact = [
            place for place, racer in enumerate(ran) if str(racer).replace(" ", "") == text.replace(" ", "")
        ]
        kin = exact or [place for place, racer in enumerate(ran) if racer.name == text]
        if len(kin) != 1:
            listed = ", ".join(f"{place} {racer}" for place, racer in enumerate(config.racers, 1))
            raise ValueError(f"racers is {text!r}, but takes one that ran, by name or number: {listed}.")
        found += kin
    return tuple(found)
