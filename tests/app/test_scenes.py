"""What each scene says is true of the race it opens."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from app.request import RaceRequest
from app.scenes import SCENES
from optimizers import Race, Trajectory, race, simulate, sweep_map
from optimizers.trajectory import CONVERGED, DIVERGED

Claim = Callable[[Race], None]
CLAIMS: dict[str, Claim] = {}


def claim(name: str) -> Callable[[Claim], Claim]:
    def keep(check: Claim) -> Claim:
        CLAIMS[name] = check
        return check

    return keep


def run(name: str, **changed: Any) -> Race:
    """Run a scene's race from its own link, with some conditions changed."""
    request, notices = RaceRequest.parse(SCENES[name].query)
    assert notices == []
    assert request.scene == name
    return replace(request, **changed).race()


@pytest.mark.parametrize("name", SCENES)
def test_what_a_scene_says_is_so(name: str) -> None:
    CLAIMS[name](run(name))


def test_scenes_can_be_named_and_told_apart() -> None:
    assert len(SCENES) >= 12
    assert len({scene.title for scene in SCENES.values()}) == len(SCENES)
    for name, scene in SCENES.items():
        assert re.fullmatch(r"[a-z0-9-]+", name)
        assert scene.query.endswith(f"&scene={name}")
        assert scene.watch.endswith(".")
        assert len(scene.watch) <= 160  # one sentence that fits under the surface


@claim("ravine")
def _(result: Race) -> None:
    gd, momentum = result
    across = gd.path[:8, 1]
    assert (across[1:] * across[:-1] < 0).all()  # from wall to wall
    assert (np.diff(gd.path[:40, 0]) > 0).all()  # and never back along the floor
    assert momentum.arrived * 3 < gd.arrived


@claim("two-over-l")
def _(result: Race) -> None:
    below, above = result
    for walk, share in (below, 0.98), (above, 1.02):
        assert_allclose(np.abs(walk.path[1:, 1]), share * np.abs(walk.path[:-1, 1]), rtol=1e-9)
    assert np.abs(above.path[-1, 1]) > 2.6  # off the map
    # The line is sharp: a hundredth of 1/L decides.
    ends = [simulate(f"gd(lr={share / 10})", "quadratic", (-2.5, 1), 3000) for share in (1.99, 2.01)]
    assert [end.outcome for end in ends] == [CONVERGED, DIVERGED]


@claim("overshoot")
def _(result: Race) -> None:
    gd, *heavy = result
    assert (gd.path[:, 0] < 0).all()
    for walk, kept in zip(heavy, (0.9, 0.81), strict=True):
        for axis in walk.path[:60].T:
            assert axis.min() < 0 < axis.max()
            # x(k+1) = a·x(k) − μ·x(k−1) with complex roots, |root|² = μ: this determinant falls by μ a step.
            wave = axis[2:] * axis[:-2] - axis[1:-1] ** 2
            assert_allclose(wave[1:], kept * wave[:-1], rtol=1e-6)
            assert (wave > 0).all() or (wave < 0).all()


@claim("ten-times")
def _(result: Race) -> None:
    gd, momentum, fair = (walk.update[:, 0] for walk in result)
    assert_allclose(gd, 0.01)
    assert_allclose(momentum[-1], 10 * gd[-1], rtol=0.01)
    assert_allclose(fair, 10 * gd)


@claim("first-steps")
def _(result: Race) -> None:
    corrected, uncorrected = (walk.update[:, 0] / 0.02 for walk in result)
    assert_allclose(corrected, 1.0, rtol=1e-6)
    assert [round(float(uncorrected[step]), 2) for step in (0, 11)] == [3.16, 6.57]
    assert int(np.argmax(uncorrected)) == 11


@claim("first-leap")
def _(result: Race) -> None:
    first = [float(np.abs(walk.update[0, 0])) / 0.02 for walk in result]
    assert_allclose(first, [10**0.5, 10.0, 1000**0.5, 1.0], rtol=1e-4)


@claim("rotated-ravine")
def _(result: Race) -> None:
    gd, adam = result
    same_gd, quick_adam = race(result.racers, "quadratic(condition=50)", result.start, result.steps)
    assert same_gd.arrived == gd.arrived
    assert adam.arrived > 5 * quick_adam.arrived


@claim("saddle")
def _(result: Race) -> None:
    def escape(walk: Trajectory) -> int:
        return int(np.flatnonzero(np.abs(walk.path[:, 1]) > 1)[0])

    gd, momentum, rmsprop, adam = map(escape, result)
    assert rmsprop < adam < momentum < gd


@claim("plateau")
def _(result: Race) -> None:
    gd, _, adam = result
    slope = result.surface.gradient(*result.start)
    assert 5e-5 < np.hypot(*slope) < 1.5e-4
    assert np.hypot(*(gd.path[-1] - gd.path[0])) < 0.05
    assert adam.arrived < 100


@claim("local-minima")
def _(result: Race) -> None:
    gd, momentum, adam = result
    assert momentum.outcome == CONVERGED
    for stuck in gd, adam:
        assert stuck.outcome != CONVERGED
        assert np.hypot(*stuck.update[-1]) < 1e-3  # at rest
        assert stuck.loss[-1] > momentum.loss[-1] + 10


@claim("sharp-and-flat")
def _(result: Race) -> None:
    small, large = result
    assert_allclose(small.path[-1], (-1, -1), atol=1e-3)
    assert_allclose(large.path[-1], (1, 1), atol=1e-2)
    above = simulate("gd(lr=0.0201)", "sharp_flat", steps=2000)
    assert np.hypot(*(above.path[-1] + 1)) > 0.01  # just above 2/100 it can't rest there


@claim("which-minimum")
def _(result: Race) -> None:
    ends = {min(result.surface.entry.minima, key=lambda m: np.hypot(*(walk.path[-1] - m))) for walk in result}
    assert len(ends) == 3
    assert all(walk.outcome == CONVERGED for walk in result)


@claim("cliff")
def _(result: Race) -> None:
    for walk in result:
        slope = np.hypot(*walk.grad.T)
        assert slope.max() > 1000 * slope[0]
        assert np.hypot(*walk.path[-1]) > 50


@claim("clipping")
def _(result: Race) -> None:
    assert all(walk.outcome == CONVERGED for walk in result)
    assert all(np.hypot(*walk.grad.T).max() <= 1 + 1e-12 for walk in result)


def spread(result: Race, last: int) -> list[float]:
    """Return each racer's root mean square distance from the minimum over its last steps."""
    return [float(np.sqrt(np.mean(walk.distance[-last:] ** 2))) for walk in result]


@claim("noise-floor")
def _(result: Race) -> None:
    assert all(walk.outcome != CONVERGED for walk in result)
    seeds = [spread(run("noise-floor", seed=seed), 300) for seed in range(20)]
    large, small = np.sqrt(np.mean(np.square(seeds), axis=0))
    # Along an axis of curvature λ the cloud's variance is lr·σ²/(λ(2 − lr·λ)).
    wide = np.sqrt(sum(0.1 * 9 / (curvature * (2 - 0.1 * curvature)) for curvature in (1, 10)))
    assert_allclose(large, wide, rtol=0.1)
    assert large > 1.8 * small


@claim("schedule")
def _(result: Race) -> None:
    del result  # one seed proves nothing
    with_, without = (
        np.sqrt(
            np.mean(np.square([spread(run("schedule", seed=seed, **how), 20) for seed in range(20)]), axis=0)
        )
        for how in ({}, {"schedule": None})
    )
    assert with_[0] < without[0] / 3
    assert with_[1] < without[1] / 1.5


@claim("sweep")
def _(result: Race) -> None:
    swept = sweep_map(
        "adam", "rosenbrock", x=("lr", 1e-3, 1, 240), y=("beta2", 0.9, 0.999, 2), steps=result.steps
    )
    arrived = swept.steps_to_converge >= 0
    in_a_row = max(map(len, "".join("x" if here else " " for here in arrived[0]).split()))
    assert in_a_row >= 30  # of 80 lr a decade
    assert arrived[1].sum() <= 3  # a lucky few


@claim("amsgrad")
def _(result: Race) -> None:
    adam, amsgrad = result
    assert adam.path[:, 0].max() == 1.0
    assert adam.path[-1010:, 0].mean() > 0.8
    assert amsgrad.path[-1, 0] < -0.3
    each_round = amsgrad.path[505::101, 0]
    assert (np.diff(each_round) < 0).all()
