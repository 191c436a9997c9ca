"""One shared test for every surface: its minima are minima, its gradient is the gradient."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizers import SURFACES, Surface

NOTATIONS = [*SURFACES, "quadratic(condition=100, angle=37)", "quadratic(condition=1, angle=-90)"]


@pytest.mark.parametrize("notation", NOTATIONS)
def test_minima(notation: str) -> None:
    surface = Surface.parse(notation)
    entry = surface.entry
    (x0, x1), (y0, y1) = entry.bounds
    random = np.random.default_rng(0)
    x, y = random.uniform(x0, x1, 10_000), random.uniform(y0, y1, 10_000)
    for minimum in entry.minima:
        around = np.abs(surface.value(x, y) - entry.lowest).max(), np.abs(surface.gradient(x, y)).max()
        assert abs(surface.value(*minimum) - entry.lowest) < 1e-14 * around[0]
        assert np.abs(surface.gradient(*minimum)).max() < 1e-14 * around[1]
        assert np.all(surface.value(x, y) > surface.value(*minimum))
        assert x0 < minimum[0] < x1
        assert y0 < minimum[1] < y1
    if not entry.minima:
        assert entry.lowest == -np.inf
        angle = np.linspace(0, 2 * np.pi, 100)  # somewhere it goes down for ever
        assert surface.value(1e9 * np.cos(angle), 1e9 * np.sin(angle)).min() < -1e9


@pytest.mark.parametrize("notation", NOTATIONS)
def test_gradient_against_finite_differences(notation: str) -> None:
    surface = Surface.parse(notation)
    (x0, x1), (y0, y1) = surface.entry.bounds
    random = np.random.default_rng(1)
    x, y = random.uniform(x0, x1, 500), random.uniform(y0, y1, 500)
    h = 1e-4  # central differences of fourth order: the error is about h⁴ plus 1e-16/h
    f = surface.value
    numeric = np.stack(
        [
            (8 * (f(x + h, y) - f(x - h, y)) - (f(x + 2 * h, y) - f(x - 2 * h, y))) / (12 * h),
            (8 * (f(x, y + h) - f(x, y - h)) - (f(x, y + 2 * h) - f(x, y - 2 * h))) / (12 * h),
        ],
        axis=-1,
    )
    exact = surface.gradient(x, y)
    assert np.abs(numeric - exact).max() < 1e-8 * np.abs(exact).max()


@pytest.mark.parametrize("name", SURFACES)
def test_stationary_points_and_start(name: str) -> None:
    surface = Surface.parse(name)
    entry = surface.entry
    for x, y in entry.saddles:
        assert np.abs(surface.gradient(x, y)).max() < 1e-12
        around = surface.value([x + 0.1, x, x - 0.1, x], [y, y + 0.1, y, y - 0.1]) - surface.value(x, y)
        assert around.min() < 0 < around.max()
    (x0, x1), (y0, y1) = entry.bounds
    assert x0 < entry.start[0] < x1
    assert y0 < entry.start[1] < y1
    assert np.hypot(*surface.gradient(*entry.start)) > 0.01
    assert entry.watch.endswith((".", "?"))
    assert entry.citation


@given(st.floats(-180, 180), st.floats(1, 1e4), st.floats(-3, 3), st.floats(-3, 3))
@settings(max_examples=50, deadline=None)
def test_a_turned_quadratic_is_the_same_bowl(angle: float, condition: float, x: float, y: float) -> None:
    turned = Surface.parse(f"quadratic(condition={condition!r}, angle={angle!r})")
    straight = Surface.parse(f"quadratic(condition={condition!r})")
    c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    assert turned.value(c * x - s * y, s * x + c * y) == pytest.approx(
        straight.value(x, y), rel=1e-9, abs=1e-9
    )


def test_value_broadcasts() -> None:
    surface = Surface.parse("rosenbrock")
    assert surface.value(np.zeros((1, 3)), np.zeros((2, 1))).shape == (2, 3)
    assert surface.gradient(np.zeros((1, 3)), np.zeros((2, 1))).shape == (2, 3, 2)
