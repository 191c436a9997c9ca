"""Every rule against its torch.optim twin, the others against their papers, and what each is known for."""

import inspect
import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizers import DIVERGED, OPTIMIZERS, Racer, Trajectory, equivalents, simulate
from tests.papers import PAPERS, follow
from tests.racers import TWIN_VARIANTS, VARIANTS, any_racer, any_surface, kept_by_twin, twin_arguments
from tests.schedulers import torch_scheduler

SURFACES = {  # and what a walk there is taken under, schedule and clipping, where it is not bare
    "quadratic(condition=30, angle=20)": {"schedule": "warmup(total_iters=50)+cosine", "clip_norm": 10.0},
    "rosenbrock": {"schedule": "one_cycle", "clip_norm": 5.0, "clip_value": 4.0},
    "himmelblau": {"schedule": "exponential(gamma=0.995)", "clip_value": 8.0},
    "beale": {"schedule": "step(step_size=60, gamma=0.5)", "clip_norm": 8.0, "clip_value": 7.0},
}
STEPS = 300


def torch_twin(walk: Trajectory, *, anew: bool) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Walk the torch.optim twin; return its path and state. With `anew` each step leaves from our point."""
    racer = walk.racer
    twin, arguments = racer.optimizer.twin, twin_arguments(racer)
    assert twin is not None
    assert arguments is not None
    theta = torch.tensor(walk.path[0], requires_grad=True)
    optimizer = getattr(torch.optim, twin.name)([theta], **arguments)
    under = walk.conditions
    scheduler = under.schedule and torch_scheduler(under.schedule, optimizer, STEPS)
    kept = kept_by_twin(racer)
    path, states = [theta.detach().clone().numpy()], {name: [] for name in kept}
    for k in range(STEPS if walk.diverged is None else walk.diverged - 1):
        if k and scheduler:
            scheduler.step()
        if anew:
            with torch.no_grad():
                theta.copy_(torch.from_numpy(walk.path[k]))
        theta.grad = torch.from_numpy(walk.surface.gradient(*theta.detach().numpy()))
        if under.clip_norm:
            torch.nn.utils.clip_grad_norm_([theta], under.clip_norm)
        if under.clip_value:
            torch.nn.utils.clip_grad_value_([theta], under.clip_value)
        optimizer.step()
        path.append(theta.detach().clone().numpy())
        for name, torchs in kept.items():
            states[name].append(optimizer.state[theta][torchs].double().expand(2).clone().numpy())
    return np.array(path), {name: np.array(series) for name, series in states.items()}


def close(ours: np.ndarray, theirs: np.ndarray) -> bool:
    """Tell whether two series (T, 2) agree to 1e-12 of the greatest size each coordinate has."""
    ours = ours[: len(theirs)]
    return bool(np.all(np.abs(ours - theirs) <= 1e-12 * np.abs(theirs).max(axis=0)))


@pytest.fixture(autouse=True)
def _double() -> Iterator[None]:
    """torch.optim.NAdam keeps its product of momenta in torch's default precision."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


# Centered RMSprop divides by √(v − ḡ²), which on a slope that hardly changes is all rounding: on its own path
# no two programs agree for long, so it is compared below, where each step leaves from our point.
@pytest.mark.parametrize("bare", [True, False], ids=["bare", "scheduled-and-clipped"])
@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize("racer", [r for r in TWIN_VARIANTS if not r.values.get("centered")], ids=str)
def test_equals_torch(racer: Racer, surface: str, bare: bool) -> None:
    racer = racer.change(lr=min(racer.values["lr"] / 20, 0.05))
    walk = simulate(racer, surface, steps=STEPS, **{} if bare else SURFACES[surface])
    path, states = torch_twin(walk, anew=False)
    assert len(path) > 100
    assert close(walk.path, path)
    for name, series in states.items():
        assert close(walk.state[name], series), name


@pytest.mark.parametrize("bare", [True, False], ids=["bare", "scheduled-and-clipped"])
@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize("racer", TWIN_VARIANTS, ids=str)
def test_equals_torch_step_by_step_where_the_walk_is_chaotic(racer: Racer, surface: str, bare: bool) -> None:
    # At a large lr a racer bounces, and the last bit of one step decides where the hundredth lands. So here
    # torch leaves from our point at each step; its state is still its own, over all 300.
    walk = simulate(racer.change(lr=0.05), surface, steps=STEPS, **{} if bare else SURFACES[surface])
    path, states = torch_twin(walk, anew=True)
    assert close(walk.path, path)
    for name, series in states.items():
        assert close(walk.state[name], series), name


PAPER_VARIANTS = [racer for racer in VARIANTS if twin_arguments(racer) is None]


@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize("racer", PAPER_VARIANTS, ids=str)
def test_equals_its_paper(racer: Racer, surface: str) -> None:
    walk = simulate(racer.change(lr=racer.values["lr"] / 20), surface, steps=STEPS)
    known = walk.path[: walk.diverged]
    path = follow(walk.racer, walk.grad[: len(known) - 1], known[0])
    assert len(path) > 100
    assert np.abs(known - path).max() <= 1e-12 * np.abs(path).max()


def test_every_variant_is_compared_with_something() -> None:
    assert {racer.name for racer in TWIN_VARIANTS} | {racer.name for racer in PAPER_VARIANTS} == set(
        OPTIMIZERS
    )
    assert {name for name, entry in OPTIMIZERS.items() if entry.twin is None} <= set(PAPERS)


TORCHS = {"beta1": ("betas", 0), "beta2": ("betas", 1)}


@pytest.mark.parametrize("name", [name for name, entry in OPTIMIZERS.items() if entry.twin])
def test_defaults_are_torchs(name: str) -> None:
    """Except where torch's default is off (momentum=0), so that there would be no such optimizer."""
    entry = OPTIMIZERS[name]
    assert entry.twin is not None
    signature = inspect.signature(getattr(torch.optim, entry.twin.name)).parameters
    for hyper in entry.hyperparameters:
        if hyper.name in ("bias_correction", "convention", "eps_placement"):
            continue
        torchs, index = TORCHS.get(hyper.name, (hyper.name, None))
        default = signature[torchs].default
        if index is not None:
            default = default[index]
        if (entry.twin.name, hyper.name) == ("SGD", "momentum"):
            assert (default, hyper.default) == (0, 0.9)
        else:
            assert hyper.default == default, hyper.name


@pytest.mark.parametrize("racer", VARIANTS, ids=str)
def test_update_is_effective_lr_times_direction(racer: Racer) -> None:
    """And the decay of its own, where weight decay is decoupled."""
    walk = simulate(racer.change(lr=racer.values["lr"] / 10), "himmelblau", steps=50)
    direction = {"g": walk.grad, **walk.state}[racer.direction]
    expected = -walk.effective_lr * direction
    if "decay" in walk.state:
        expected = expected - walk.state["decay"]
    assert np.array_equal(walk.update, expected, equal_nan=True)


STARTS = st.tuples(*[st.floats(-5, 5) | st.floats(-1e9, 1e9)] * 2)
SCHEDULED = st.sampled_from([None, "warmup+cosine", "one_cycle"])


@given(
    racer=any_racer(),
    surface=any_surface(),
    start=STARTS,
    steps=st.integers(1, 60),
    schedule=SCHEDULED,
    clip_norm=st.none() | st.floats(1e-9, 1e9),
    clip_value=st.none() | st.floats(1e-9, 1e9),
    noise=st.just(0.0) | st.floats(0, 1e9),
)
@settings(max_examples=400, deadline=None)
def test_any_walk_is_finite_until_it_diverges(racer, surface, start, steps, **under) -> None:
    """Whatever is accepted raises nothing, warns of nothing, and is the same again to the last bit."""
    walk = simulate(racer, surface, start, steps, **under)
    lived = steps if walk.diverged is None else walk.diverged - 1
    known = slice(0, lived + 1)
    assert np.isfinite(walk.path[known]).all()
    assert np.isfinite(walk.loss[1 : lived + 1]).all()
    assert np.array_equal(walk.loss[known], walk.surface.value(*walk.path[known].T))
    assert np.array_equal(walk.path[1 : lived + 1], walk.path[:lived] + walk.update[:lived])
    assert np.isnan(walk.path[lived + 1 :]).all()
    assert np.isnan(walk.loss[lived + 1 :]).all()
    assert (walk.outcome == DIVERGED) == (walk.diverged is not None)
    again = simulate(racer, surface, start, steps, **under)
    assert np.array_equal(walk.record, again.record, equal_nan=True)
    assert np.array_equal(walk.loss, again.loss, equal_nan=True)


@given(
    racer=any_racer(),
    surface=st.sampled_from(list(SURFACES)),
    start=STARTS,
    schedule=SCHEDULED,
    clipped=st.booleans(),
)
@settings(max_examples=400, deadline=None)
def test_compiled_it_is_the_same_function(racer, surface, start, schedule, clipped) -> None:
    """NumPy, handing the rule the same point and gradient at each step, has the same rows to the last bit."""
    walk = simulate(racer, surface, start, steps=12, schedule=schedule, clip_value=3.0 if clipped else None)
    entry, state = racer.optimizer, tuple(np.full(2, initial) for initial in racer.initial)
    for k in range(12 if walk.diverged is None else walk.diverged):
        at_this_step = racer.arguments | {"lr": walk.lr[k]}
        with np.errstate(all="ignore"):
            update, state, shown = entry.rule(walk.path[k], walk.grad[k], k + 1, *state, **at_this_step)
        for name, value in zip(walk.slots[2:], (update, *state, *shown), strict=True):
            ours = walk.record[k, walk.slots.index(name)]
            assert np.array_equal(ours, np.broadcast_to(value, 2), equal_nan=True), name


def test_a_step_to_nowhere_is_told_as_it_was() -> None:
    """0/0 along y, where the slope and ε are zero; what was added to x is no difference of two points."""
    walk = simulate("adam(lr=0.1, eps=0)", "quadratic", start=(-123456789.0, 0.0), steps=5)
    assert (walk.outcome, walk.diverged) == (DIVERGED, 1)
    assert walk.update[0, 0] == pytest.approx(0.1, rel=1e-15)
    assert np.isnan(walk.update[0, 1])


class TestConventions:
    """Momentum as PyTorch, Sutskever or an average has it; ε outside the root, inside it or Keras's ε̂."""

    @pytest.mark.parametrize("nesterov", [False, True])
    @pytest.mark.parametrize("convention", ["pytorch", "sutskever", "ema"])
    def test_equivalent_momentum_walks_the_same_path(self, convention: str, nesterov: bool) -> None:
        racer = Racer.parse(f"momentum(lr=0.002, convention={convention}, nesterov={nesterov})")
        walk = simulate(racer, "beale", steps=STEPS)
        others = equivalents(racer)
        assert {other.racer.values["convention"] for other in others} == {"pytorch", "sutskever", "ema"} - {
            convention
        }
        for other in others:
            assert other.racer.values["lr"] == pytest.approx(
                0.002
                * (10 if other.racer.values["convention"] == "ema" else 1)
                / (10 if convention == "ema" else 1)
            )
            assert close(simulate(other.racer, "beale", steps=STEPS).path, walk.path), other
            # said of another lr rule, the same notation is another path
            assert not close(simulate(other.racer.change(lr=0.004), "beale", steps=STEPS).path, walk.path)

    def test_sutskevers_momentum_holds_the_lr_it_came_with(self) -> None:
        """Under a schedule the two conventions part, as `equivalents` says."""
        (held, averaged) = equivalents("momentum(lr=0.001)")
        assert (held.when, averaged.when) == ("while lr is constant", "")
        schedule = lambda k: 1.0 if k < 20 else 0.1  # noqa: E731
        walk = simulate("momentum(lr=0.001)", "beale", steps=100, schedule=schedule)
        assert not close(simulate(held.racer, "beale", steps=100, schedule=schedule).path, walk.path)
        assert close(simulate(averaged.racer, "beale", steps=100, schedule=schedule).path, walk.path)

    @pytest.mark.parametrize("t", [1, 10, 1000])
    def test_equivalent_eps_takes_the_same_step(self, t: int) -> None:
        """ε̂ exactly, at step t; inside the root within a factor of √2."""
        racer = Racer.parse("adam(lr=0.01, eps=0.1)")
        rule, state = racer.optimizer.rule, (0.3, 0.02)
        step = rule(1.0, 0.5, t, *state, **racer.arguments)[0]
        hat, inside = None, None
        for other in equivalents(racer, t):
            taken = rule(1.0, 0.5, t, *state, **other.racer.arguments)[0]
            if other.racer.values["eps_placement"] == "hat":
                hat = taken
                assert other.when == f"at step {t}"
            else:
                inside = taken
                assert other.when == "to within a factor of √2"
        assert hat == pytest.approx(step, rel=1e-12)
        assert inside is not None
        assert 1 <= inside / step <= math.sqrt(2)

    def test_keras_eps_is_a_thousand_times_outsides_at_the_first_step(self) -> None:
        """ε̂ = 1e-7 beside √v is ε = 3.2e-6 beside √v̂ at step 1: √(1 − 0.999) is 0.032."""
        (outside, _) = equivalents("adam(eps=1e-7, eps_placement=hat)", t=1)
        assert outside.racer.values["eps_placement"] == "outside"
        assert outside.racer.values["eps"] == pytest.approx(1e-7 / math.sqrt(0.001))

    def test_other_rules_have_no_convention(self) -> None:
        assert equivalents("gd(lr=0.1)") == []


@pytest.mark.parametrize(("beta1", "beta2"), [(0.9, 0.999), (0.9, 0.99), (0.0, 0.9999)])
def test_first_step_without_bias_correction(beta1: float, beta2: float) -> None:
    walk = simulate(
        f"adam(lr=0.01, beta1={beta1}, beta2={beta2}, bias_correction=False)", "rosenbrock", steps=1
    )
    expected = (1 - beta1) / math.sqrt(1 - beta2) * 0.01  # 3.16 × lr at the defaults
    assert np.abs(walk.update[0]) == pytest.approx([expected, expected], rel=1e-6)


@pytest.mark.parametrize("name", ["adam", "adamw", "amsgrad", "adamax"])
def test_first_step_with_bias_correction_is_lr_times_the_sign(name: str) -> None:
    racer = Racer.parse(name).change(lr=0.01, eps=0)
    if "weight_decay" in racer.values:
        racer = racer.change(weight_decay=0)
    walk = simulate(racer, "rosenbrock", steps=1)
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


def test_amsgrads_size_never_shrinks() -> None:
    walk = simulate("amsgrad(lr=0.1)", "beale", steps=STEPS)
    assert (np.diff(walk.state["v_max"], axis=0) >= 0).all()
    assert (np.diff(walk.state["v"], axis=0) < 0).any()


def test_radam_is_plain_momentum_while_rho_is_small() -> None:
    walk = simulate("radam(lr=0.01)", "himmelblau", steps=10)
    rho = walk.state["rho"][:, 0]
    assert (rho[:5] <= 5).all()
    assert (rho[5:] > 5).all()  # torch's and the paper's fifth step, at β₂ = 0.999
    assert (walk.effective_lr[:5] == 0.01).all()
    assert (walk.effective_lr[5:] != 0.01).all()


@pytest.mark.parametrize("name", ["lion", "signsgd"])
def test_a_sign_moves_each_axis_by_lr(name: str) -> None:
    walk = simulate(f"{name}(lr=0.01)", "rosenbrock", steps=50)
    assert (np.abs(walk.update) == 0.01).all()


def test_adadelta_needs_no_lr() -> None:
    """Its first step is made of ε: √ε/√((1−ρ)g² + ε)·g, whatever the gradient's size."""
    walk = simulate("adadelta", "rosenbrock", steps=1)
    assert np.abs(walk.update[0]) == pytest.approx(math.sqrt(1e-6 / 0.1), rel=1e-5)


def test_decoupled_decay_shrinks_alike_whatever_the_gradient() -> None:
    """Coupled decay is divided by the gradient's size; decoupled, every weight loses lr·λ of itself."""
    walk = simulate("adamw(lr=0.01, weight_decay=0.1)", "rosenbrock", steps=20)
    np.testing.assert_array_equal(walk.state["decay"], 0.01 * 0.1 * walk.path[:-1])
