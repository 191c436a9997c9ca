"""What a walk is taken under: gradient noise above all, and what each condition refuses."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizers import DIVERGED, OPTIMIZERS, Surface, race, simulate
from optimizers.conditions import Conditions

MANY = 40_000


def noise(seed: int, size: float = 1.0) -> np.ndarray:
    """Return the noise alone: what is added to the gradient where it is zero, and stays so."""
    return simulate("gd(lr=0)", "quadratic", (0, 0), MANY, noise=size, seed=seed).grad


def test_noise_is_gaussian() -> None:
    drawn = noise(seed=5, size=2.0) / 2.0
    assert drawn.shape == (MANY, 2)
    for axis in drawn.T:
        error = 4 / math.sqrt(MANY)  # four standard errors, of the mean and near enough of the rest
        assert abs(axis.mean()) < error
        assert abs(axis.std() - 1) < error
        assert abs((axis**3).mean()) < 15**0.5 * error
        assert abs((axis**4).mean() - 3) < 96**0.5 * error
        for within in (0.5, 1, 2, 3):
            assert abs((np.abs(axis) < within).mean() - math.erf(within / math.sqrt(2))) < error


def test_axes_steps_and_seeds_are_independent() -> None:
    one, other = noise(seed=0), noise(seed=1)
    pairs = [one.T, (one[1:, 0], one[:-1, 0]), (one[1:, 0], one[:-1, 1]), (one[:, 0], other[:, 0])]
    for a, b in pairs:
        assert abs(np.corrcoef(a, b)[0, 1]) < 4 / math.sqrt(MANY)


@given(seed=st.integers(0, 2**32 - 1), size=st.floats(1e-6, 1e6), steps=st.integers(1, 50))
@settings(deadline=None)
def test_a_seed_says_all_of_it(seed: int, size: float, steps: int) -> None:
    drawn = Conditions(noise=size, seed=seed).gaussian(steps)
    assert np.array_equal(drawn, Conditions(noise=size, seed=seed).gaussian(steps))
    assert np.array_equal(drawn, Conditions(noise=size, seed=seed).gaussian(2 * steps)[:steps])
    assert drawn == pytest.approx(size * Conditions(noise=1.0, seed=seed).gaussian(steps), rel=1e-14)
    assert not np.array_equal(drawn, Conditions(noise=size, seed=(seed + 1) % 2**32).gaussian(steps))


def test_every_racer_of_a_race_sees_the_same_noise() -> None:
    drawn = Conditions(noise=0.7, seed=9).gaussian(200)
    for walk in race(list(OPTIMIZERS), "himmelblau", steps=200, noise=0.7, seed=9):
        bare = walk.surface.gradient(*walk.path[:-1].T)
        assert np.array_equal(walk.grad, bare + drawn)


def test_noise_is_added_before_clipping() -> None:
    under = {"noise": 5.0, "seed": 2}
    bare = Surface.parse("quadratic").gradient(0, 0) + Conditions(**under).gaussian(100)
    by_value = simulate("gd(lr=0)", "quadratic", (0, 0), 100, **under, clip_value=3.0).grad
    assert np.array_equal(by_value, np.clip(bare, -3.0, 3.0))
    by_norm = simulate("gd(lr=0)", "quadratic", (0, 0), 100, **under, clip_norm=3.0).grad
    size = np.hypot(*bare.T)
    assert np.hypot(*by_norm.T) == pytest.approx(np.minimum(size, 3.0), rel=1e-5)  # torch adds 1e-6 to it
    assert 0 < (size < 3).sum() < 100


@pytest.mark.parametrize("name", ["noise", "clip_norm", "clip_value"])
@pytest.mark.parametrize("value", [-1, math.nan, math.inf, -math.inf, True, "1", 1j, [1.0], 10**400])
def test_a_bad_number_is_one_sentence(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=rf"^{name} is [^\n]*, but takes a finite number (from|above) 0\.$"):
        simulate("adam", "rosenbrock", steps=1, **{name: value})


@pytest.mark.parametrize("value", [math.nan, math.inf, None, True, "1", 10**400])
def test_a_bad_factor_is_one_sentence(value: object) -> None:
    with pytest.raises(
        ValueError, match=r"^schedule gives [^\n]* at step 2, but .* takes a finite number\.$"
    ):
        simulate("adam", "rosenbrock", steps=5, schedule=lambda k: 1.0 if k < 2 else value)


def test_an_lr_beyond_all_floats_is_a_walk_that_diverges() -> None:
    walk = simulate("gd(lr=1e6)", "rosenbrock", steps=5, schedule=lambda k: 1e308)
    assert np.isinf(walk.lr).all()
    assert (walk.outcome, walk.diverged) == (DIVERGED, 1)


@pytest.mark.parametrize(
    ("given_", "words"),
    [
        ({"schedule": "cosin"}, "There is no schedule 'cosin'. Did you mean cosine?"),
        (
            {"schedule": 0.5},
            "schedule is 0.5, but takes None, a schedule such as warmup+cosine, or a function",
        ),
        ({"schedul": "cosine"}, "A walk has no condition 'schedul'. Did you mean schedule?"),
        ({"seed": 1.5}, "seed is 1.5, but takes a whole number from 0 to 4,294,967,295."),
        ({"seed": 2**32}, "seed is 4294967296"),
    ],
)
def test_a_bad_condition_is_one_sentence(given_: dict, words: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the words are checked below
        simulate("adam", "rosenbrock", **given_)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
