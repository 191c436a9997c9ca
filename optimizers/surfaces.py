"""The surfaces: f, its analytic gradient, bounds, minima, a good start, where it comes from, what to watch.

A surface is one function that returns (f, ∂f/∂x, ∂f/∂y) at a point, and one entry of the catalogue below. One
shared test proves of each entry that its minima are minima and that the gradient is the gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import product
from math import cos, exp, log, pi, sin, sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray

from optimizers.elementwise import maximum, where
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


def booth(x: float, y: float, condition: float, angle: float) -> ValueAndGradient:
    """u² + κw², (u, w) the way from (1, 3) turned by −angle degrees.

    κ = 9 and −45° make it (x + 2y − 7)² + (2x + y − 5)².
    """
    c = cos(angle * pi / 180)
    s = sin(angle * pi / 180)
    u = c * (x - 1) + s * (y - 3)
    w = c * (y - 3) - s * (x - 1)
    return u * u + condition * w * w, 2 * (c * u - s * condition * w), 2 * (s * u + c * condition * w)


def three_hump_camel(x: float, y: float) -> ValueAndGradient:
    """2x² − 1.05x⁴ + x⁶/6 + xy + y²."""
    a = x * x
    return 2 * a - 1.05 * a * a + a * a * a / 6 + x * y + y * y, x * (4 - 4.2 * a + a * a) + y, x + 2 * y


def styblinski_tang(x: float, y: float) -> ValueAndGradient:
    """½(x⁴ − 16x² + 5x + y⁴ − 16y² + 5y)."""
    return (
        0.5 * (x * (x * (x * x - 16) + 5) + y * (y * (y * y - 16) + 5)),
        x * (2 * x * x - 16) + 2.5,
        y * (2 * y * y - 16) + 2.5,
    )


def rastrigin(x: float, y: float) -> ValueAndGradient:
    """20 + x² − 10 cos 2πx + y² − 10 cos 2πy."""
    return (
        20 + x * x - 10 * cos(2 * pi * x) + y * y - 10 * cos(2 * pi * y),
        2 * x + 20 * pi * sin(2 * pi * x),
        2 * y + 20 * pi * sin(2 * pi * y),
    )


def ackley(x: float, y: float) -> ValueAndGradient:
    """20 − 20 exp(−r/5) + e − exp(½(cos 2πx + cos 2πy)), r = √(½(x² + y²)).

    At the minimum r has a tip, and f no gradient; it is given as zero there.
    """
    r = sqrt(0.5 * (x * x + y * y))
    cone = exp(-0.2 * r)
    waves = exp(0.5 * (cos(2 * pi * x) + cos(2 * pi * y)))
    slope = 2 * cone / where(r > 0, r, 1)
    return (
        20 - 20 * cone + (exp(1) - waves),
        slope * x + pi * sin(2 * pi * x) * waves,
        slope * y + pi * sin(2 * pi * y) * waves,
    )


def saddle(x: float, y: float, condition: float, angle: float) -> ValueAndGradient:
    """κu² − w², (u, w) the point turned by −angle degrees: a minimum along u, a maximum along w."""
    c = cos(angle * pi / 180)
    s = sin(angle * pi / 180)
    u = c * x + s * y
    w = c * y - s * x
    return condition * u * u - w * w, 2 * (c * condition * u + s * w), 2 * (s * condition * u - c * w)


def monkey_saddle(x: float, y: float) -> ValueAndGradient:
    """x³ − 3xy²: three ways down and three up, and no curvature where they meet."""
    return x * x * x - 3 * x * y * y, 3 * (x * x - y * y), -6 * x * y


def plateau(x: float, y: float) -> ValueAndGradient:
    """1 − 1/(1 + x² + y²)³: a bowl in a plain on which the gradient vanishes, but is never zero."""
    a = 1 + x * x + y * y
    slope = 6 / (a * a * a * a)
    return 1 - 1 / (a * a * a), slope * x, slope * y


def cliff(x: float, y: float) -> ValueAndGradient:
    """½ log(1 + 2x² + ¼y²) + 1000(√(d² + 0.01²) − 0.01), d = max(0, x + ½y − ½).

    A valley that flattens out far away, and a wall across it: just behind its foot its slope is 1000.
    """
    size = 1 + 2 * x * x + 0.25 * y * y
    d = maximum(x + 0.5 * y - 0.5, 0)
    height = sqrt(d * d + 0.0001)
    steep = 1000 * d / height
    return 0.5 * log(size) + 1000 * (height - 0.01), 2 * x / size + steep, 0.25 * y / size + 0.5 * steep


def logistic(x: float, y: float, data: Sequence[float]) -> ValueAndGradient:
    """Mean of log(1 + exp η) − hη over rows (z, h), η = x + yz: the cross-entropy of h = 0 or 1 given z.

    Its logarithm and its logistic function never take exp of a number above zero.
    """
    f, gx, gy = 0.0, 0.0, 0.0
    for i in range(0, len(data), 2):
        z = data[i]
        h = data[i + 1]
        eta = x + y * z
        small = exp(-abs(eta))
        error = where(eta > 0, 1, small) / (1 + small) - h
        f += maximum(eta, 0) - h * eta + log(1 + small)
        gx += error
        gy += error * z
    count = len(data) / 2
    return f / count, gx / count, gy / count


def noisy_ravine(
    x: float, y: float, condition: float, angle: float, data: Sequence[float]
) -> ValueAndGradient:
    """Least squares: the mean of ½(pu + √κ·qw − e)² over rows (p, q, e), (u, w) turned by −angle degrees.

    As p, q and e do not correlate, over all rows it is ½(u² + κw²) + ½ mean e².
    """
    c = cos(angle * pi / 180)
    s = sin(angle * pi / 180)
    u = c * x + s * y
    w = c * y - s * x
    k = sqrt(condition)
    f, gu, gw = 0.0, 0.0, 0.0
    for i in range(0, len(data), 3):
        residual = data[i] * u + k * data[i + 1] * w - data[i + 2]
        f += 0.5 * residual * residual
        gu += residual * data[i]
        gw += residual * k * data[i + 1]
    count = len(data) / 3
    return f / count, (c * gu - s * gw) / count, (s * gu + c * gw) / count


def sharp_flat(x: float, y: float) -> ValueAndGradient:
    """½|θ − b|²·(1 − exp(−½|θ − a|²/0.2²)), a = (−1, −1), b = (1, 1): curvature 100 at a and 1 at b."""
    bowl = 0.5 * ((x - 1) * (x - 1) + (y - 1) * (y - 1))
    hole = exp(-12.5 * ((x + 1) * (x + 1) + (y + 1) * (y + 1)))
    return (
        bowl * (1 - hole),
        (x - 1) * (1 - hole) + 25 * bowl * hole * (x + 1),
        (y - 1) * (1 - hole) + 25 * bowl * hole * (y + 1),
    )


def counterexample(x: float, y: float, data: Sequence[float]) -> ValueAndGradient:
    """Mean of cx over the rows c, plus 0.1y².

    Along x stands the paper's problem, one linear loss after the other; y is a bowl beside it.
    """
    slope = 0.0
    for c in data:
        slope += c
    slope /= len(data)
    return slope * x + 0.1 * y * y, slope, 0.2 * y


@dataclass(frozen=True, eq=False)
class Rows:
    """Data behind a surface: f is the mean over all rows, a mini-batch's gradient over some of them."""

    values: FloatArray  # (N, C)
    batch: int | None = None  # rows a step's gradient takes unless one asks otherwise; None: all
    cyclic: bool = False  # batches take the rows in turn; else each epoch is shuffled anew


@dataclass(frozen=True)
class Entry:
    """One entry of the catalogue of surfaces."""

    name: str
    title: str
    function: Callable[..., ValueAndGradient]
    bounds: tuple[Point, Point]  # ((x low, x high), (y low, y high)) of the map
    minima: tuple[Point, ...]  # every global minimum, in the box if there is one; empty where f has no bottom
    lowest: float  # f at the minima; −inf where f has no bottom
    start: Point
    watch: str  # one line on what to look at
    citation: str
    hyperparameters: tuple[Hyperparameter, ...] = ()
    saddles: tuple[Point, ...] = ()  # stationary points that are no minima, worth marking
    rows: Rows | None = None  # handed to the function as its last parameter, `data`, one row after the other
    box: tuple[Point, Point] | None = None  # a step that leaves it is projected back onto it
    group: str = "your own"  # under which heading it is offered
    formula: str = ""  # f as a learner would type it, where it takes neither hyperparameters nor rows


def _quadratic(condition: float, angle: float) -> tuple[Hyperparameter, Hyperparameter]:
    """What every quadratic offers: the ratio of its curvatures, and by how many degrees it is turned."""
    return (
        Hyperparameter("condition", "κ", condition, low=1.0, high=1e4, slider=(1.0, 1000.0), scale="log"),
        Hyperparameter("angle", "angle", angle, low=-180.0, high=180.0, slider=(-90.0, 90.0)),
    )


# The space shuttle's flights before Challenger's last: °F at launch, and whether an O-ring was in distress.
_CHALLENGER = np.array(
    [
        *((53, 1), (57, 1), (58, 1), (63, 1), (66, 0), (67, 0), (67, 0), (67, 0), (68, 0), (69, 0), (70, 1)),
        *((70, 0), (70, 1), (70, 0), (72, 0), (73, 0), (75, 0), (75, 1), (76, 0), (76, 0), (78, 0), (79, 0)),
        (81, 0),
    ],
    dtype=np.float64,
)


def _standardised(rows: FloatArray) -> FloatArray:
    """Return the rows with their first column at mean 0 and standard deviation 1."""
    first, *others = rows.T
    return np.column_stack([(first - first.mean()) / first.std(), *others])


# Two features of mean square 1 on four levels and a target of ±1, in every combination: nothing correlates.
_LEVELS = [level / sqrt(1.25) for level in (-1.5, -0.5, 0.5, 1.5)]
_RAVINE = np.array(list(product(_LEVELS, _LEVELS, (-1.0, 1.0))))

_ONLINE = np.array([[1010.0], *100 * [[-10.0]]])


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
        hyperparameters=_quadratic(condition=10.0, angle=0.0),
        group="bowls and ravines",
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
        group="bowls and ravines",
        formula="(1-x)^2 + 100*(y-x^2)^2",
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
        group="plains and walls",
        formula="(1.5-x+x*y)^2 + (2.25-x+x*y^2)^2 + (2.625-x+x*y^3)^2",
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
        group="several minima",
        formula="(x^2+y-11)^2 + (x+y^2-7)^2",
    ),
    Entry(
        "booth",
        "Booth",
        booth,
        bounds=((-5.0, 7.0), (-2.0, 8.4)),
        minima=((1.0, 3.0),),
        lowest=0.0,
        start=(-3.6, 5.0),
        watch="A ravine across both axes. Turn it to 0°: Adam arrives sooner, gradient descent when it did.",
        citation="Jamil and Yang, arXiv:1308.4008",
        hyperparameters=_quadratic(condition=9.0, angle=-45.0),
        group="bowls and ravines",
    ),
    Entry(
        "three_hump_camel",
        "Three-hump camel",
        three_hump_camel,
        bounds=((-2.6, 2.6), (-2.2, 2.2)),
        minima=((0.0, 0.0),),
        lowest=0.0,
        start=(-2.3, 1.6),
        watch="A shallow hollow on the way to the minimum: gradient descent rests in it, momentum rolls on.",
        citation="Jamil and Yang, arXiv:1308.4008",
        saddles=(
            (-1.07054229182366, 0.53527114591183),
            (1.07054229182366, -0.53527114591183),
        ),
        group="several minima",
        formula="2*x^2 - 1.05*x^4 + x^6/6 + x*y + y^2",
    ),
    Entry(
        "styblinski_tang",
        "Styblinski–Tang",
        styblinski_tang,
        bounds=((-5.0, 5.0), (-4.3, 4.3)),
        minima=((-2.903534027771177, -2.903534027771177),),
        lowest=-78.33233140754282,
        start=(4.4, -1.7),
        watch="Four bowls, one the deepest: gradient descent takes the first, momentum rolls on to the best.",
        citation="Styblinski and Tang, Neural Networks 3 (1990)",
        group="several minima",
        formula="(x^4-16*x^2+5*x + y^4-16*y^2+5*y)/2",
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
        group="several minima",
        formula="20 + x^2-10*cos(2*pi*x) + y^2-10*cos(2*pi*y)",
    ),
    Entry(
        "ackley",
        "Ackley",
        ackley,
        bounds=((-5.4, 5.4), (-4.7, 4.7)),
        minima=((0.0, 0.0),),
        lowest=0.0,
        start=(-2.6, 1.6),
        watch="A funnel full of dents: gradient descent rests in the first, momentum rolls over them.",
        citation="Ackley, A Connectionist Machine for Genetic Hillclimbing (1987)",
        group="several minima",
        formula="20+e - 20*exp(-sqrt((x^2+y^2)/2)/5) - exp((cos(2*pi*x)+cos(2*pi*y))/2)",
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
        hyperparameters=_quadratic(condition=1.0, angle=0.0),
        saddles=((0.0, 0.0),),
        group="saddles",
    ),
    Entry(
        "monkey_saddle",
        "Monkey saddle",
        monkey_saddle,
        bounds=((-2.1, 2.1), (-1.85, 1.85)),
        minima=(),
        lowest=-np.inf,
        start=(1.6, 0.001),
        watch="Three ways down, and where they meet no curvature at all: harder to leave than a saddle.",
        citation="Anandkumar and Ge, arXiv:1602.05908",
        saddles=((0.0, 0.0),),
        group="saddles",
        formula="x^3 - 3*x*y^2",
    ),
    Entry(
        "plateau",
        "Plateau",
        plateau,
        bounds=((-5.2, 5.2), (-4.5, 4.5)),
        minima=((0.0, 0.0),),
        lowest=0.0,
        start=(-4.2, 2.0),
        watch="Here the slope is 0.0001: gradient descent hardly moves, Adam divides by its size and walks.",
        citation="Glorot and Bengio, AISTATS 2010",
        group="plains and walls",
        formula="1 - 1/(1+x^2+y^2)^3",
    ),
    Entry(
        "cliff",
        "Cliff",
        cliff,
        bounds=((-3.0, 3.0), (-2.6, 2.6)),
        minima=((0.0, 0.0),),
        lowest=0.0,
        start=(-2.2, 2.0),
        watch="One touch of the wall throws gradient descent off the map; with clipping it slides along.",
        citation="Pascanu, Mikolov and Bengio, ICML 2013, arXiv:1211.5063",
        group="plains and walls",
        formula="log(1+2*x^2+y^2/4)/2 + 1000*(sqrt(max(0,x+y/2-1/2)^2+0.0001)-0.01)",
    ),
    Entry(
        "logistic",
        "Logistic regression",
        logistic,
        bounds=((-4.6, 2.4), (-4.6, 1.5)),
        minima=((-1.1075501240260095, -1.6023779606000994),),
        lowest=0.44163462364927886,
        start=(1.6, 0.7),
        watch="A fit to 23 shuttle flights, intercept x and slope y. In mini-batches the path never rests.",
        citation="Dalal, Fowlkes and Hoadley, JASA 84 (1989)",
        rows=Rows(_standardised(_CHALLENGER)),
        group="data",
    ),
    Entry(
        "noisy_ravine",
        "Noisy ravine",
        noisy_ravine,
        bounds=((-3.0, 3.0), (-2.6, 2.6)),
        minima=((0.0, 0.0),),
        lowest=0.5,
        start=(-2.5, 1.0),
        watch="One row of data a step: noise, most of it across the ravine. A smaller lr leaves less.",
        citation="Bottou, Curtis and Nocedal, arXiv:1606.04838",
        hyperparameters=_quadratic(condition=20.0, angle=20.0),
        rows=Rows(_RAVINE, batch=1),
        group="data",
    ),
    Entry(
        "sharp_flat",
        "Sharp and flat minima",
        sharp_flat,
        bounds=((-3.0, 3.0), (-2.6, 2.6)),
        minima=((-1.0, -1.0), (1.0, 1.0)),
        lowest=0.0,
        start=(-1.9, -1.8),
        watch="Equally deep, curved 100 to 1: above lr 2/100 gradient descent can't rest in the sharp one.",
        citation="Keskar et al., arXiv:1609.04836",
        saddles=((-0.6720740607402799, -0.6720740607402799),),
        group="several minima",
        formula="((x-1)^2+(y-1)^2)/2 * (1-exp(-12.5*((x+1)^2+(y+1)^2)))",
    ),
    Entry(
        "counterexample",
        "AMSGrad's counterexample",
        counterexample,
        bounds=((-1.3, 1.3), (-1.1, 1.1)),
        minima=((-1.0, 0.0),),
        lowest=-10 / 101,
        start=(0.0, 0.8),
        watch="With β₂ = 0.99 Adam drifts to the worst x there is, 1; AMSGrad, slowly, to the best, −1.",
        citation="Reddi, Kale and Kumar, ICLR 2018, arXiv:1904.09237",
        rows=Rows(_ONLINE, batch=1, cyclic=True),
        box=((-1.0, 1.0), (-1.0, 1.0)),
        group="data",
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

    def __repr__(self) -> str:
        """Return what makes it again."""
        return f"Surface.parse({str(self)!r})"

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
