"""The surfaces: f, its analytic gradient, bounds, minima, a good start, where it comes from, what to watch.

A surface is one function that returns (f, ∂f/∂x, ∂f/∂y) at a point, and one entry of the catalogue below. One
shared test proves of each entry that its minima are minima and that the gradient is the gradient.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import cos, pi, sin

import numpy as np
from numpy.typing import ArrayLike, NDArray

from optimizers.kernels import evaluate, surface_kernel
from optimizers.notation import Hyperparameter, Value, check_values, parse_call, unknown, write_call

FloatArray = NDArray[np.float64]
Point = tuple[float, float]
ValueAndGradient = tuple[float, float, float]  # f, ∂f/∂x, ∂f/∂y


def quadratic(x: float, y: float, condition: float, angle: float) -> ValueAndGradient:
    """½(u² + κw²), with (u, w) the point turned by −angle degrees: curvature 1 along u and κ along w."""
    c = cos(angle * pi / 180)
    s = sin(angle * pi / 180)
    u = c * x + s * y
    w = c * y - s * x
    return 0.5 * (u * u + condition * w * w), c * u - s * condition * w, s * u + c * condition * w


def rosenbrock(x: float, y: float) -> ValueAndGradient:
    """(1 − x)² + 100(y − x²)²."""
    a = 1 - x
    r = y - x * x
    return a * a + 100 * r * r, -2 * a - 400 * x * r, 200 * r


def beale(x: float, y: float) -> ValueAndGradient:
    """(1.5 − x + xy)² + (2.25 − x + xy²)² + (2.625 − x + xy³)²."""
    a = 1.5 - x + x * y
    b = 2.25 - x + x * y * y
    c = 2.625 - x + x * y * y * y
    return (
        a * a + b * b + c * c,
        2 * a * (y - 1) + 2 * b * (y * y - 1) + 2 * c * (y * y * y - 1),
        2 * a * x + 4 * b * x * y + 6 * c * x * y * y,
    )


def himmelblau(x: float, y: float) -> ValueAndGradient:
    """(x² + y − 11)² + (x + y² − 7)²."""
    a = x * x + y - 11
    b = x + y * y - 7
    return a * a + b * b, 4 * a * x + 2 * b, 2 * a + 4 * b * y


def rastrigin(x: float, y: float) -> ValueAndGradient:
    """20 + x² − 10 cos 2πx + y² − 10 cos 2πy."""
    return (
        20 + x * x - 10 * cos(2 * pi * x) + y * y - 10 * cos(2 * pi * y),
        2 * x + 20 * pi * sin(2 * pi * x),
        2 * y + 20 * pi * sin(2 * pi * y),
    )


def saddle(x: float, y: float) -> ValueAndGradient:
    """x² − y²: a minimum across, a maximum along, and no bottom."""
    return x * x - y * y, 2 * x, -2 * y


@dataclass(frozen=True, eq=False)
class Rows:
    """Data behind a surface: f is the mean over all rows, a mini-batch's gradient over some of them."""

    values: FloatArray  # (N, C)
    batch: int | None = None  # rows a step's gradient takes unless one asks otherwise; None: all
    cyclic: bool = False  # batches take the rows in turn; else each is drawn anew


@dataclass(frozen=True)
class Entry:
    """One entry of the catalogue of surfaces."""

    name: str
    title: str
    function: Callable[..., ValueAndGradient]
    bounds: tuple[Point, Point]  # ((x low, x high), (y low, y high)) of the map
    minima: tuple[Point, ...]  # every global minimum; empty where f has no bottom
    lowest: float  # f at the minima; −inf where f has no bottom
    start: Point
    watch: str  # one line on what to look at
    citation: str
    hyperparameters: tuple[Hyperparameter, ...] = ()
    saddles: tuple[Point, ...] = ()  # stationary points that are no minima, worth marking
    rows: Rows | None = None  # handed to the function as its last parameter, `data`, one row after the other
    box: tuple[Point, Point] | None = None  # a step that leaves it is projected back onto it


_ENTRIES = (
    Entry(
        "quadratic",
        "Quadratic",
        quadratic,
        bounds=((-3.0, 3.0), (-2.6, 2.6)),
        minima=((0.0, 0.0),),
        lowest=0.0,
        start=(-2.5, 1.0),
        watch="A bowl with one steep and one shallow axis. Turn it: Adam minds, gradient descent does not.",
        citation="Goh, Why Momentum Really Works, Distill (2017)",
        hyperparameters=(
            Hyperparameter("condition", "κ", 10.0, low=1.0, high=1e4, slider=(1.0, 1000.0), scale="log"),
            Hyperparameter("angle", "angle", 0.0, low=-180.0, high=180.0, slider=(-90.0, 90.0)),
        ),
    ),
    Entry(
        "rosenbrock",
        "Rosenbrock",
        rosenbrock,
        bounds=((-2.05, 2.05), (-0.75, 2.8)),
        minima=((1.0, 1.0),),
        lowest=0.0,
        start=(-1.35, 2.15),
        watch="A curved valley: finding it is easy, following it is not.",
        citation="Rosenbrock, The Computer Journal 3 (1960)",
    ),
    Entry(
        "beale",
        "Beale",
        beale,
        bounds=((-4.5, 4.5), (-4.0, 4.0)),
        minima=((3.0, 0.5),),
        lowest=0.0,
        start=(1.0, 1.6),
        watch="Flat plains between steep walls: a step that suits one is wrong for the other.",
        citation="Beale, IBM Report 25 (1958)",
    ),
    Entry(
        "himmelblau",
        "Himmelblau",
        himmelblau,
        bounds=((-5.6, 5.6), (-5.0, 5.0)),
        minima=(
            (3.0, 2.0),
            (-2.805118086952745, 3.131312518250573),
            (-3.779310253377747, -3.2831859912861696),
            (3.5844283403304917, -1.8481265269644036),
        ),
        lowest=0.0,
        start=(-0.5, -0.6),
        watch="Four equal minima: the same start, and each optimizer may choose another.",
        citation="Himmelblau, Applied Nonlinear Programming (1972)",
    ),
    Entry(
        "rastrigin",
        "Rastrigin",
        rastrigin,
        bounds=((-5.4, 5.4), (-4.7, 4.7)),
        minima=((0.0, 0.0),),
        lowest=0.0,
        start=(-3.6, 2.7),
        watch="A hundred local minima. Only one is the minimum: who rolls on, and who stays?",
        citation="Rastrigin, Systems of Extremal Control (1974)",
    ),
    Entry(
        "saddle",
        "Saddle",
        saddle,
        bounds=((-2.1, 2.1), (-1.85, 1.85)),
        minima=(),
        lowest=-np.inf,
        start=(-1.6, 0.001),
        watch="Downhill leads to a pass, not a minimum. Who notices the way out first?",
        citation="Dauphin et al., arXiv:1406.2572",
        saddles=((0.0, 0.0),),
    ),
)

SURFACES: dict[str, Entry] = {entry.name: entry for entry in _ENTRIES}

FORMULA = "formula"  # the one surface that has no entry above: see formula.py
LIKE = 'rosenbrock, quadratic(condition=10) or formula("x**2 + y**2")'


@dataclass(frozen=True)
class Surface:
    """A surface of the catalogue or a learner's own formula, with a value for each of its hyperparameters.

    >>> surface = Surface.parse("quadratic(condition=4)")
    >>> surface.value([1.0, 0.0], 1.0), surface.gradient(1.0, 1.0)
    (array([2.5, 2. ]), array([1., 4.]))
    >>> Surface.parse('formula("x^2 + 2*y^2", reach=3)').gradient(1.0, 1.0)
    array([2., 4.])

    Raises:
        ValueError: an unknown surface or hyperparameter, a value it does not take, or a formula that can't be
            used, in one sentence.
    """

    name: str
    pairs: tuple[tuple[str, Value], ...] = field(
        default=(), repr=False
    )  # what is not given takes its default
    f: str = ""  # the formula, where the name is `formula`

    def __post_init__(self) -> None:
        """Check the values, and fill in the defaults."""
        if self.name == FORMULA:
            from optimizers import formula

            object.__setattr__(self, "f", formula.read(self.f))
            object.__setattr__(
                self, "pairs", check_values(dict(self.pairs), formula.HYPERPARAMETERS, FORMULA)
            )
            formula.entry(self.f, self.pairs[0][1])  # it says where it can't be used
            return
        if self.name not in SURFACES:
            raise unknown("surface", self.name, [*SURFACES, FORMULA])
        if self.f:
            raise ValueError(f'{self.name} takes no formula; write formula("{self.f[:60]}").')
        checked = check_values(dict(self.pairs), self.entry.hyperparameters, self.name)
        object.__setattr__(self, "pairs", checked)

    @classmethod
    def parse(cls, notation: str | Surface) -> Surface:
        """Read a surface from its notation, e.g. `quadratic(condition=10)`; a Surface passes through."""
        if isinstance(notation, Surface):
            return notation
        if not isinstance(notation, str):
            raise ValueError(f"{notation!r} is no surface; write it like {LIKE}.")
        name, given = parse_call(notation, "surface", first="f", like=LIKE)
        pairs = tuple((key, value) for key, value in given.items() if key != "f")
        return cls(name, pairs, given.get("f", ""))  # type: ignore[arg-type]

    def __str__(self) -> str:
        """Return the canonical notation, defaults left out."""
        return write_call(self.name, self.pairs, self.entry.hyperparameters, first=self.f)

    @property
    def entry(self) -> Entry:
        """The catalogue's entry, or one made for the formula."""
        if self.name == FORMULA:
            from optimizers import formula

            return formula.entry(self.f, self.pairs[0][1])
        return SURFACES[self.name]

    @property
    def values(self) -> dict[str, Value]:
        """Every hyperparameter's value, by name."""
        return dict(self.pairs)

    @property
    def parameters(self) -> FloatArray:
        """The values in the function's order, then the rows, as its compiled form takes them."""
        values = np.array([float(value) for _, value in self.pairs], dtype=np.float64)
        rows = self.entry.rows
        return values if rows is None else np.concatenate([values, rows.values.ravel()])

    def value(self, x: ArrayLike, y: ArrayLike) -> FloatArray:
        """Return f at points; `x` and `y` are numbers or arrays that broadcast."""
        return self._evaluate(x, y)[0]

    def gradient(self, x: ArrayLike, y: ArrayLike) -> FloatArray:
        """Return ∇f at points, shape (..., 2)."""
        _, gx, gy = self._evaluate(x, y)
        return np.stack([gx, gy], axis=-1)

    def _evaluate(self, x: ArrayLike, y: ArrayLike) -> tuple[FloatArray, FloatArray, FloatArray]:
        xs, ys = np.broadcast_arrays(np.asarray(x, np.float64), np.asarray(y, np.float64))
        out = np.empty((3, xs.size))
        kernel = surface_kernel(self.entry.function)
        evaluate(
            kernel, np.ascontiguousarray(xs).ravel(), np.ascontiguousarray(ys).ravel(), self.parameters, out
        )
        f, gx, gy = out.reshape(3, *xs.shape)
        return f, gx, gy
