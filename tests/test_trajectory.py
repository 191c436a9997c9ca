"""What holds of every walk, and what happens when the input or the walk goes wrong."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizers import CONVERGED, DIVERGED, MAX_STEPS, OPTIMIZERS, SURFACES, Trajectory, race, simulate


def batch_gradients(walk: Trajectory) -> np.ndarray:
    """Each step's gradient, (T, 2), from the surface's source and the rows of the step's batch."""
    entry = walk.surface.entry
    batches = walk.conditions.batches(walk.surface, len(walk.lr))
    values = walk.surface.values.values()
    return np.array(
        [
            entry.function(*theta.tolist(), *values, entry.rows.values[rows].ravel().tolist())[1:]
            for theta, rows in zip(walk.path[:-1], batches, strict=True)
        ]
    )


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
        if walk.conditions.batches(walk.surface, steps).size:
            assert walk.grad[:last] == pytest.approx(batch_gradients(walk)[:last], rel=1e-12, abs=1e-12)
        else:
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


class TestBatches:
    @pytest.mark.parametrize(
        ("surface", "batch_size", "epoch"),
        [
            ("logistic", 1, 23),
            ("noisy_ravine", 4, 8),
            ("noisy_ravine", None, 32),
            ("counterexample", None, 101),
        ],
    )
    def test_an_epochs_mean_is_the_full_gradient(
        self, surface: str, batch_size: int | None, epoch: int
    ) -> None:
        walk = simulate("gd(lr=0)", surface, (0.3, -0.7), steps=3 * epoch, batch_size=batch_size)
        full = walk.surface.gradient(0.3, -0.7)
        assert np.std(walk.grad[:epoch, 0]) > 0.1 * abs(full[0])
        for part in np.split(walk.grad, 3):
            assert part.mean(axis=0) == pytest.approx(full, rel=1e-12)

    def test_an_epoch_takes_each_row_at_most_once_and_the_next_in_another_order(self) -> None:
        walk = simulate("gd(lr=0.1)", "logistic", steps=12, batch_size=4)  # 5 batches of 23, 3 rows left over
        batches = walk.conditions.batches(walk.surface, 12)
        one, other = batches[:5].ravel(), batches[5:10].ravel()
        assert len(set(one)) == len(set(other)) == 20
        assert set(one) | set(other) <= set(range(23))
        assert not np.array_equal(one, other)
        assert walk.grad == pytest.approx(batch_gradients(walk), rel=1e-12)

    def test_in_turn(self) -> None:
        walk = simulate("gd(lr=0.001)", "counterexample", steps=203)
        assert walk.grad[:, 0].tolist() == 2 * [1010, *100 * [-10]] + [1010]

    def test_have_a_seed(self) -> None:
        one, same, other = (
            simulate("gd(lr=0.1)", "logistic", batch_size=4, seed=seed).path for seed in (1, 1, 2)
        )
        assert np.array_equal(one, same)
        assert not np.array_equal(one, other)

    def test_are_the_same_with_and_without_noise(self) -> None:
        """So that one can be changed and the other kept."""
        calm, noisy = (
            simulate("gd(lr=0)", "logistic", batch_size=4, noise=noise).grad for noise in (0.0, 1e-3)
        )
        assert 0 < np.abs(calm - noisy).max() < 6e-3

    @pytest.mark.parametrize(("surface", "rows"), [("logistic", 23), ("noisy_ravine", 32)])
    def test_of_all_rows_are_the_full_gradient(self, surface: str, rows: int) -> None:
        walk = simulate("adam(lr=0.1)", surface, batch_size=rows)
        assert np.array_equal(walk.grad, walk.surface.gradient(*walk.path[:-1].T))
        if surface == "logistic":
            assert np.array_equal(walk.path, simulate("adam(lr=0.1)", surface).path)

    def test_equal_a_training_loop_in_torch(self) -> None:
        walk = simulate("momentum(lr=0.1)", "logistic", steps=200, batch_size=4, seed=5)
        rows = torch.from_numpy(walk.surface.entry.rows.values)
        theta = torch.tensor(walk.path[0], requires_grad=True)
        optimizer = torch.optim.SGD([theta], lr=0.1, momentum=0.9)
        path = [theta.detach().clone().numpy()]
        for batch in walk.conditions.batches(walk.surface, 200):
            z, label = rows[torch.from_numpy(batch)].T
            optimizer.zero_grad()
            torch.nn.functional.binary_cross_entropy_with_logits(theta[0] + theta[1] * z, label).backward()
            optimizer.step()
            path.append(theta.detach().clone().numpy())
        assert np.abs(walk.path - path).max() < 1e-12


class TestBox:
    def test_a_step_that_leaves_it_is_projected_back(self) -> None:
        walk = simulate("gd(lr=0.01)", "counterexample", steps=500)
        assert np.abs(walk.path).max() == pytest.approx(1, abs=1e-15)
        assert walk.update[0, 0] == -1  # −10.1, cut short at the edge
        assert np.array_equal(walk.path[1:], walk.path[:-1] + walk.update)

    def test_a_start_outside_is_kept_and_left(self) -> None:
        walk = simulate("gd(lr=0)", "counterexample", (3.0, -2.0), steps=2)
        assert walk.path.tolist() == [[3, -2], [1, -1], [1, -1]]

    def test_does_not_hide_what_is_no_number(self) -> None:
        walk = simulate("rmsprop(eps=0)", "counterexample", (0.0, 0.0), steps=5)  # g is 0 along y: 0/0
        assert walk.outcome == DIVERGED
        assert walk.diverged == 1


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
        ({"steps": 0}, "steps is 0, but takes a whole number from 1 to 1,000,000."),
        ({"steps": 2.5}, "steps is 2.5"),
        ({"steps": True}, "steps is True"),
        ({"start": (1,)}, "start is (1,), but takes two numbers"),
        ({"start": (1, math.inf)}, "start is (1, inf)"),
        ({"start": "ab"}, "start is 'ab'"),
        ({"noise": -1.0}, "noise is -1.0, but takes a finite number from 0."),
        ({"clip_norm": 0}, "clip_norm is 0, but takes a finite number above 0."),
        ({"seed": -1}, "seed is -1"),
        ({"batch_size": 4}, "batch_size is 4, but rosenbrock has no data to take batches of."),
        ({"surface": "logistic", "batch_size": 0}, "batch_size is 0, but takes a whole number from 1"),
        ({"surface": "logistic", "batch_size": 24}, "batch_size is 24, but logistic has 23 rows."),
        ({"surface": "logistic", "batch_size": 2.0}, "batch_size is 2.0"),
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
