"""What holds of every walk, and what happens when the input or the walk goes wrong."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizers import CONVERGED, DIVERGED, MAX_STEPS, OPTIMIZERS, SURFACES, race, simulate


@given(
    name=st.sampled_from(list(OPTIMIZERS)),
    surface=st.sampled_from(list(SURFACES)),
    lr=st.floats(1e-6, 10),
    x=st.floats(-5, 5),
    y=st.floats(-5, 5),
    steps=st.integers(1, 60),
    noise=st.sampled_from([0.0, 0.5]),
    clip_norm=st.sampled_from([None, 0.3]),
)
@settings(max_examples=300, deadline=None)
def test_invariants(name, surface, lr, x, y, steps, noise, clip_norm) -> None:
    walk = simulate(f"{name}(lr={lr!r})", surface, (x, y), steps, noise=noise, clip_norm=clip_norm, seed=3)
    assert walk.path.shape == (steps + 1, 2)
    assert walk.loss.shape == (steps + 1,)
    for series in (walk.grad, walk.update, walk.effective_lr, *walk.state.values()):
        assert series.shape == (steps, 2)
    assert tuple(walk.path[0]) == (x, y)
    last = steps if walk.diverged is None else walk.diverged - 1
    alive = walk.path[: last + 1]
    assert np.array_equal(walk.path[1 : last + 1], walk.path[:last] + walk.update[:last])
    assert np.array_equal(walk.loss[: last + 1], walk.surface.value(*alive.T))
    assert np.isfinite(alive).all()
    assert np.isnan(walk.path[last + 1 :]).all()
    assert np.isnan(walk.loss[last + 1 :]).all()
    if not noise and clip_norm is None:
        assert np.array_equal(walk.grad[:last], walk.surface.gradient(*walk.path[:last].T))
    if clip_norm is not None:
        assert np.hypot(*walk.grad[:last].T).max(initial=0) <= clip_norm * (1 + 1e-15)
    assert (walk.outcome == DIVERGED) == (walk.diverged is not None)
    assert (walk.outcome == CONVERGED) == (walk.arrived is not None)


def test_divergence_is_shown_not_clipped() -> None:
    # f = ½x²·κ: gradient descent multiplies x by 1 − lr·κ; at lr = 2.1/κ that is −1.1, for ever.
    walk = simulate("gd(lr=0.021)", "quadratic(condition=100)", start=(0.0, 1.0), steps=1000)
    assert walk.outcome == DIVERGED
    grown = walk.path[: walk.diverged, 1]
    assert grown == pytest.approx((-1.1) ** np.arange(walk.diverged), rel=1e-9)
    assert abs(grown[-1]) > 5e8
    assert np.isnan(walk.path[-1]).all()


@pytest.mark.parametrize(("lr", "outcome"), [(0.0199, CONVERGED), (0.0201, MAX_STEPS)])
def test_gradient_descent_is_stable_up_to_two_over_curvature(lr: float, outcome: str) -> None:
    walk = simulate(f"gd(lr={lr})", "quadratic(condition=100)", start=(0.0, 1.0), steps=1000)
    assert walk.outcome == outcome
    assert (abs(walk.path[-1, 1]) < 1) == (outcome == CONVERGED)


def test_arrived_is_the_step_after_which_it_stays() -> None:
    walk = simulate("momentum(lr=0.01)", "quadratic", steps=800)
    radius = 0.01 * math.hypot(6.0, 5.2)
    distance = np.hypot(*walk.path.T)
    assert walk.outcome == CONVERGED
    assert np.all(distance[walk.arrived :] <= radius)
    assert distance[walk.arrived - 1] > radius
    assert np.any(distance[: walk.arrived - 1] <= radius)  # it passed through before, and left again


def test_passing_through_is_not_arriving() -> None:
    walk = simulate("momentum(lr=0.01)", "quadratic", steps=24)
    assert walk.distance[-1] < 0.01 * math.hypot(6.0, 5.2) < np.hypot(*walk.update[-1])
    assert walk.outcome == MAX_STEPS


def test_a_saddle_has_no_arrival() -> None:
    walk = simulate("adam(lr=0.05)", "saddle", steps=200)
    assert walk.outcome == MAX_STEPS
    assert np.isinf(walk.distance).all()
    assert walk.loss[-1] < -50


def test_noise_has_a_seed() -> None:
    one, same, other = (
        simulate("gd(lr=0.01)", "quadratic", steps=2000, noise=2.0, seed=seed) for seed in (1, 1, 2)
    )
    assert np.array_equal(one.path, same.path)
    assert not np.array_equal(one.path, other.path)
    added = one.grad - one.surface.gradient(*one.path[:-1].T)
    assert added.std() == pytest.approx(2.0, rel=0.05)
    assert abs(added.mean()) < 0.1


@pytest.mark.parametrize(
    "clip", [{"clip_norm": 0.7}, {"clip_value": 0.4}, {"clip_norm": 0.7, "clip_value": 0.4}]
)
def test_clipping_equals_torch(clip: dict[str, float]) -> None:
    walk = simulate("gd(lr=0.05)", "himmelblau", steps=100, **clip)
    for theta, used in zip(walk.path[:-1], walk.grad, strict=True):
        parameter = torch.zeros(2, dtype=torch.float64, requires_grad=True)
        parameter.grad = torch.from_numpy(walk.surface.gradient(*theta))
        if "clip_norm" in clip:
            torch.nn.utils.clip_grad_norm_([parameter], clip["clip_norm"])
        if "clip_value" in clip:
            torch.nn.utils.clip_grad_value_([parameter], clip["clip_value"])
        assert parameter.grad.numpy() == pytest.approx(used, rel=1e-14)


def test_schedule_equals_lambda_lr() -> None:
    walk = simulate("momentum(lr=0.01)", "himmelblau", steps=100, schedule=lambda k: 1 / (1 + k))
    theta = torch.tensor(walk.surface.entry.start, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([theta], lr=0.01, momentum=0.9)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda k: 1 / (1 + k))
    for k in range(100):
        assert walk.lr[k] == optimizer.param_groups[0]["lr"]
        theta.grad = torch.from_numpy(walk.surface.gradient(*theta.detach().numpy()))
        optimizer.step()
        schedule.step()
    assert theta.detach().numpy() == pytest.approx(walk.path[-1], rel=1e-12)


def test_a_race_has_one_start_and_distinct_looks() -> None:
    result = race(["adam", "adam(lr=0.1)", "adam(lr=0.1, bias_correction=False)"], "beale", steps=20)
    assert {tuple(walk.path[0]) for walk in result} == {result.start}
    assert len({look.label for look in result.looks}) == 3
    assert len({look.dash for look in result.looks}) == 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"racer": "adamm"}, "There is no optimizer 'adamm'. Did you mean adam?"),
        ({"racer": 7}, "7 is no optimizer"),
        ({"racer": "adam(lr=-1)"}, "lr of adam is -1, but takes a number from 0 to 1,000,000."),
        ({"surface": "rosenbruck"}, "Did you mean rosenbrock?"),
        (
            {"surface": "quadratic(condition=0)"},
            "condition of quadratic is 0, but takes a number from 1 to 10,000.",
        ),
        ({"surface": "beale(condition=2)"}, "beale has no hyperparameter 'condition': it takes none."),
        ({"steps": 0}, "steps is 0, but takes a whole number from 1 to 1000000."),
        ({"steps": 2.5}, "steps is 2.5"),
        ({"steps": True}, "steps is True"),
        ({"start": (1,)}, "start is (1,), but takes two numbers"),
        ({"start": (1, math.inf)}, "start is (1, inf)"),
        ({"start": "ab"}, "start is 'ab'"),
        ({"noise": -1.0}, "noise is -1.0, but takes a finite number from 0."),
        ({"clip_norm": 0}, "clip_norm is 0, but takes a finite number above 0."),
        ({"seed": -1}, "seed is -1"),
        ({"schedule": 0.5}, "schedule is 0.5, but takes None, a schedule"),
        ({"schedule": lambda k: None}, "schedule gives None at step 0"),
        ({"schedule": lambda k: "x"}, "schedule gives 'x' at step 0"),
    ],
)
def test_bad_input_is_one_sentence(arguments: dict, words: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the words are checked below
        simulate(**({"racer": "adam", "surface": "rosenbrock"} | arguments))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_empty_race_is_refused() -> None:
    for racers in ([], "adam"):
        with pytest.raises(ValueError, match="at least one racer"):
            race(racers, "rosenbrock")
