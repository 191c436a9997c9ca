"""Every rule against its torch.optim twin, and uncorrected Adam against a loop written apart from it."""

import math

import numpy as np
import pytest
import torch

from optimizers import OPTIMIZERS, Racer, Trajectory, simulate

SURFACES = ("quadratic(condition=30, angle=20)", "rosenbrock", "himmelblau")
STEPS = 300


def _twin_runs(*rates: float) -> list[str]:
    """Return each optimizer that has a twin, at these learning rates, and with each decay rate moved."""
    runs = []
    for name, entry in OPTIMIZERS.items():
        decays = [hyper.name for hyper in entry.hyperparameters if hyper.scale == "one_minus_log"]
        for lr in rates:
            racer = Racer.parse(name).change(lr=lr)
            runs += [str(racer), *(str(racer.change(**{decay: 0.7})) for decay in decays)]
    return [run for run in runs if Racer.parse(run).optimizer.twin is not None]


def _torch_twin(walk: Trajectory, *, follow: bool) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Walk the torch.optim twin; return its path and state. With `follow` each step leaves from our point."""
    twin = walk.racer.optimizer.twin
    theta = torch.tensor(walk.path[0], requires_grad=True)
    optimizer = getattr(torch.optim, twin.name)([theta], **twin.arguments(walk.racer.values))
    path, states = [theta.detach().clone().numpy()], {name: [] for name in twin.state}
    for k in range(STEPS if walk.diverged is None else walk.diverged - 1):
        if follow:
            with torch.no_grad():
                theta.copy_(torch.from_numpy(walk.path[k]))
        theta.grad = torch.from_numpy(walk.surface.gradient(*theta.detach().numpy()))
        optimizer.step()
        path.append(theta.detach().clone().numpy())
        for name, torch_name in twin.state.items():
            states[name].append(optimizer.state[theta][torch_name].clone().numpy())
    return np.array(path), {name: np.array(series) for name, series in states.items()}


def _close(ours: np.ndarray, theirs: np.ndarray) -> bool:
    """Tell whether two series (T, 2) agree to 1e-12 of the greatest size each coordinate has."""
    ours = ours[: len(theirs)]
    return bool(np.all(np.abs(ours - theirs) <= 1e-12 * np.abs(theirs).max(axis=0)))


@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize("notation", _twin_runs(2e-4, 2e-3))
def test_equals_torch(notation: str, surface: str) -> None:
    walk = simulate(notation, surface, steps=STEPS)
    path, states = _torch_twin(walk, follow=False)
    assert len(path) > 1
    assert _close(walk.path, path)
    for name, series in states.items():
        assert _close(walk.state[name], series)


@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize("notation", _twin_runs(0.05))
def test_equals_torch_step_by_step_where_the_walk_is_chaotic(notation: str, surface: str) -> None:
    # At a large lr a racer bounces, and the last bit of one step decides where the hundredth lands. So here
    # torch leaves from our point at each step; its state is still its own, over all 300.
    walk = simulate(notation, surface, steps=STEPS)
    path, states = _torch_twin(walk, follow=True)
    assert _close(walk.path, path)
    for name, series in states.items():
        assert _close(walk.state[name], series)


@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize("correct", [True, False, "first", "second"])
def test_adam_equals_a_plain_loop(surface: str, correct: bool | str) -> None:
    lr, beta1, beta2, eps = 0.02, 0.9, 0.999, 1e-8
    walk = simulate(f"adam(lr={lr}, bias_correction={correct})", surface, steps=STEPS)
    theta, m, v = np.array(walk.surface.entry.start), np.zeros(2), np.zeros(2)
    path = [theta.copy()]
    for t in range(1, STEPS + 1):
        g = walk.surface.gradient(*theta)
        m += (1 - beta1) * (g - m)
        v += (1 - beta2) * (np.square(g) - v)
        m_scale = 1 / (1 - beta1**t) if correct in (True, "first") else 1
        v_scale = 1 / (1 - beta2**t) if correct in (True, "second") else 1
        theta = theta - lr * (m * m_scale) / (np.sqrt(v * v_scale) + eps)
        path.append(theta)
    assert np.abs(walk.path - path).max() <= 1e-12 * np.abs(path).max()


def test_every_rule_is_compared_with_something() -> None:
    compared = {Racer.parse(notation).name for notation in _twin_runs(0.05)}
    assert compared == set(
        OPTIMIZERS
    )  # a rule without a twin needs a loop of its own, as uncorrected Adam has


@pytest.mark.parametrize(("beta1", "beta2"), [(0.9, 0.999), (0.9, 0.99), (0.0, 0.9999)])
def test_first_step_without_bias_correction(beta1: float, beta2: float) -> None:
    walk = simulate(
        f"adam(lr=0.01, beta1={beta1}, beta2={beta2}, bias_correction=False)", "rosenbrock", steps=1
    )
    expected = (1 - beta1) / math.sqrt(1 - beta2) * 0.01  # 3.16 × lr at the defaults
    assert np.abs(walk.update[0]) == pytest.approx([expected, expected], rel=1e-6)


def test_first_step_with_bias_correction_is_lr_times_the_sign() -> None:
    walk = simulate("adam(lr=0.01, eps=0)", "rosenbrock", steps=1)
    assert walk.update[0] == pytest.approx(-0.01 * np.sign(walk.grad[0]), rel=1e-12)


@pytest.mark.parametrize("alpha", [0.9, 0.99, 0.999])
def test_first_step_of_rmsprop(alpha: float) -> None:
    walk = simulate(f"rmsprop(lr=0.01, alpha={alpha}, eps=0)", "rosenbrock", steps=1)
    assert np.abs(walk.update[0]) == pytest.approx(0.01 / math.sqrt(1 - alpha), rel=1e-12)


def test_momentum_has_ten_times_the_steady_step_of_gradient_descent() -> None:
    # Down a slope that hardly changes: 1 + 0.9 + 0.81 + … = 10.
    far = {"surface": "quadratic(condition=1)", "start": (1e6, 0.0), "steps": 200}
    heavy = simulate("momentum(lr=1e-9)", **far).update[-1, 0]
    plain = simulate("gd(lr=1e-9)", **far).update[-1, 0]
    assert heavy / plain == pytest.approx(10, rel=1e-5)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_update_is_effective_lr_times_direction(name: str) -> None:
    walk = simulate(Racer.parse(name).change(lr=1e-4), "himmelblau", steps=50)
    direction = {"g": walk.grad, **walk.state}[walk.racer.optimizer.direction]
    assert np.array_equal(walk.update, -walk.effective_lr * direction)
