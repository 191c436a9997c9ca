"""A reader's own rule and surface: what may be added, and one sentence for what may not."""

import math
from collections.abc import Iterator

import numpy as np
import pytest

from optimizers import OPTIMIZERS, SURFACES, add_optimizer, add_surface, basin_map, simulate
from optimizers.elementwise import sqrt, where
from optimizers.own import _OWN


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    """Leave the catalogues to other tests as they were."""
    before = dict(OPTIMIZERS), dict(SURFACES)
    yield
    for catalogue, kept in zip((OPTIMIZERS, SURFACES), before, strict=True):
        catalogue.clear()
        catalogue.update(kept)
    _OWN.clear()


def fading(theta, g, t, m, lr, beta, floor):
    """A sign that fades with the momentum."""
    m = beta * m + (1 - beta) * g
    factor = lr / (sqrt(m * m) + floor)
    return -factor * m, (m,), (factor,)


def dish(x: float, y: float, tilt: float) -> tuple[float, float, float]:
    """Steep one way."""
    return x * x + tilt * y * y, 2 * x, 2 * tilt * y


FADING = {"lr": 0.05, "beta": 0.9, "floor": 0.1}
DISH = {"bounds": ((-2, 2), (-1.7, 1.7)), "start": (-1.5, 1.0), "minima": [(0, 0)]}


def test_an_own_rule_walks_as_it_is_written() -> None:
    entry = add_optimizer(fading, FADING)
    assert (entry.direction, entry.purpose) == ("m", "A sign that fades with the momentum.")
    walk = simulate("fading(lr=0.1)", "beale", steps=50)
    theta, m = np.array(SURFACES["beale"].start), np.zeros(2)
    for k in range(50):
        m = 0.9 * m + (1 - 0.9) * walk.grad[k]
        theta = theta - 0.1 / (np.abs(m) + 0.1) * m
        assert walk.path[k + 1] == pytest.approx(theta, rel=1e-12)


def test_an_own_surface_is_one_of_the_catalogue() -> None:
    entry = add_surface(dish, **DISH, hyperparameters={"tilt": 4.0})
    assert (entry.lowest, entry.title, entry.watch) == (0.0, "Dish", "Steep one way.")
    assert simulate("gd(lr=0.1)", "dish(tilt=9)", steps=200).arrived is not None
    assert (basin_map("adam(lr=0.1)", "dish", size=16).which_minimum == 0).all()


def test_one_may_change_ones_mind() -> None:
    add_optimizer(fading, FADING)
    add_optimizer(fading, FADING | {"lr": 0.5})
    assert simulate("fading", "booth", steps=1).lr[0] == 0.5


def adam(theta, g, t, lr):
    return -lr * g, (), (lr,)


def rosenbrock(x, y):
    return x * x, 2 * x, 0.0 * y


def backwards(theta, t, g, lr):
    return -lr * g, (), (lr,)


def nameless(theta, g, t, rate):
    return -rate * g, (), (rate,)


def worldly(theta, g, t, lr):
    return -lr * math.tanh(g), (), (lr,)


def borrowed(theta, g, t, lr):
    return -lr * np.sign(g), (), (lr,)


def secretive(theta, g, t, m, lr):
    return -lr * m * m, (m + g,), (lr,)


def short(theta, g, t, m, lr):
    return -lr * g, (), (lr,)


def wrong_kind(theta, g, t, lr):
    return -lr * g


def piecewise(theta, g, t, lr):
    return -lr * where(g > 0, g, 2 * g), (), (lr,)


@pytest.mark.parametrize(
    ("rule", "hyperparameters", "words"),
    [
        (adam, {"lr": 0.1}, "adam is in the catalogue already; give the function another name."),
        (lambda theta, g, t, lr: 0, {"lr": 0.1}, "<lambda> is no name"),
        (backwards, {"lr": 0.1}, "backwards takes theta, t, g, lr, but a rule takes theta, g, t, its state"),
        (nameless, {"rate": 0.1}, "nameless has no hyperparameter lr"),
        (fading, {"lr": 0.1, "floor": 0.1, "beta": 0.9}, "fading takes theta, g, t, m, lr, beta, floor, but"),
        (fading, FADING | {"beta": -1}, "beta is -1, but its default takes a number from 0"),
        (worldly, {"lr": 0.1}, "worldly uses math, but takes only its own arguments, operators, numbers and"),
        (borrowed, {"lr": 0.1}, "borrowed uses np, but takes only"),
        (secretive, {"lr": 0.1}, "secretive shows a factor that gives its update on nothing it names"),
        (piecewise, {"lr": 0.1}, "piecewise shows a factor that gives its update on nothing it names"),
        (short, {"lr": 0.1}, "short returns 0 of state and shows 1, but has 1 of state"),
        (wrong_kind, {"lr": 0.1}, "wrong_kind fails on plain numbers"),
    ],
)
def test_a_rule_that_cannot_be_used_is_one_sentence(rule, hyperparameters, words) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the words are checked below
        add_optimizer(rule, hyperparameters)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert rule.__name__ not in OPTIMIZERS or rule is adam


def tilted(x, y):
    return x * x + y * y, 2 * x, y


def missed(x, y):
    return (x - 1) ** 2 + y * y, 2 * (x - 1), 2 * y


@pytest.mark.parametrize(
    ("function", "changed", "words"),
    [
        (rosenbrock, {}, "rosenbrock is in the catalogue already"),
        (dish, {}, "dish takes x, y, tilt, but a surface takes x, y and no hyperparameter."),
        (tilted, {}, "∂f/∂y of tilted at"),
        (missed, {}, "missed has no minimum at (0, 0): its slope there is (-2, 0)."),
    ],
)
def test_a_surface_that_cannot_be_used_is_one_sentence(function, changed, words) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the words are checked below
        add_surface(function, **DISH | changed)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_function_without_source_is_one_sentence() -> None:
    names: dict = {}
    exec("def unseen(theta, g, t, lr):\n    return -lr * g, (), (lr,)", names)
    with pytest.raises(ValueError, match="unseen has no source to compile; define it in a file"):
        add_optimizer(names["unseen"], {"lr": 0.1})
