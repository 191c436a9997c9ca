"""The rules under torch equal torch.optim, in parameters and in state, for everything the catalogue has."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from optimizers.torch_rules import RuleOptimizer, apply_rule, initial_state
from tests.racers import TWIN_VARIANTS, VARIANTS, kept_by_twin, twin_arguments

STEPS = 60


@pytest.fixture(autouse=True)
def _double():
    """torch.optim.NAdam keeps its product of momenta in torch's default precision."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 3)).double()


def walk(model, optimizer, steps=STEPS, seed=1):
    """Train on new numbers at each step."""
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        inputs = torch.randn(16, 5, generator=generator, dtype=torch.float64)
        targets = inputs[:, :3].sin()
        optimizer.zero_grad()
        nn.functional.mse_loss(model(inputs), targets).backward()
        optimizer.step()


@pytest.mark.parametrize("racer", TWIN_VARIANTS, ids=str)
def test_equals_torch_optim(racer):
    twin = getattr(torch.optim, racer.optimizer.twin.name)
    ours, theirs = network(), network()
    optimizer = RuleOptimizer(ours.parameters(), racer)
    reference = twin(theirs.parameters(), **twin_arguments(racer))
    walk(ours, optimizer)
    walk(theirs, reference)
    for mine, other, begun in zip(
        ours.parameters(), theirs.parameters(), network().parameters(), strict=True
    ):
        assert not torch.equal(mine, begun)
        torch.testing.assert_close(mine, other, rtol=1e-12, atol=1e-14)
        for name, torchs_name in kept_by_twin(racer).items():
            expected = reference.state[other][torchs_name]
            state = optimizer.state[mine][name]
            torch.testing.assert_close(state, expected.to(state.dtype), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("racer", VARIANTS, ids=str)
def test_equals_the_same_rule_on_numpy_arrays(racer):
    rule, random = racer.optimizer.rule, np.random.default_rng(0)
    theta = random.normal(size=50)
    state = racer.initial
    flat = torch.from_numpy(theta.copy())
    kept = initial_state(racer.optimizer, racer.values, flat)
    for t in range(1, STEPS + 1):
        g = random.normal(size=50)
        update, state, _ = rule(theta, g, t, *state, **racer.arguments)
        theta = theta + update
        apply_rule(rule, flat, torch.from_numpy(g), t, kept, racer.arguments)
    np.testing.assert_allclose(flat.numpy(), theta, rtol=1e-12)
    for mine, expected in zip(kept, state, strict=True):
        np.testing.assert_allclose(mine.numpy(), expected, rtol=1e-12)


def test_state_survives_when_a_rule_hands_on_its_gradient():
    """A rule may keep the last gradient; the buffer it stands in is overwritten by the next one."""

    def difference(theta, g, t, last, lr):
        return -lr * (g - last), (g,), (lr,)

    theta, g, state = torch.zeros(1), torch.ones(1), [torch.zeros(1)]
    apply_rule(difference, theta, g, 1, state, {"lr": 1.0})
    g.fill_(5.0)
    apply_rule(difference, theta, g, 2, state, {"lr": 1.0})
    assert theta.item() == -5.0  # −(1 − 0) − (5 − 1)


@pytest.mark.parametrize("resume", ["state_dict", "deepcopy"])
def test_state_round_trip(resume):
    whole, model = network(), network()
    straight = RuleOptimizer(whole.parameters(), "adam(lr=0.01, beta1=0.8)")
    walk(whole, straight, 5, seed=1)
    walk(whole, straight, 5, seed=2)
    optimizer = RuleOptimizer(model.parameters(), "adam(lr=0.01, beta1=0.8)")
    walk(model, optimizer, 5, seed=1)
    if resume == "state_dict":
        again = RuleOptimizer(model.parameters(), "adam")
        again.load_state_dict(optimizer.state_dict())
    else:
        model, again = copy.deepcopy((model, optimizer))
    walk(model, again, 5, seed=2)
    for mine, expected in zip(model.parameters(), whole.parameters(), strict=True):
        assert torch.equal(mine, expected)


def test_groups_and_schedules_change_the_learning_rate():
    first, second = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))
    groups = [{"params": [first]}, {"params": [second], "lr": 0.5}]
    optimizer = RuleOptimizer(groups, "gd(lr=0.1)")
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.1)
    for _ in range(2):
        first.grad, second.grad = torch.ones(1), torch.ones(1)
        optimizer.step()
        schedule.step()
    assert first.item() == pytest.approx(-0.11)
    assert second.item() == pytest.approx(-0.55)


def test_closure_and_parameters_without_gradient():
    used, unused = nn.Parameter(torch.ones(1)), nn.Parameter(torch.ones(1))
    optimizer = RuleOptimizer([used, unused], "gd(lr=0.25)")

    def closure():
        optimizer.zero_grad()
        loss = (used**2).sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 1.0
    assert (used.item(), unused.item()) == (0.5, 1.0)


def test_unknown_optimizer_is_named():
    with pytest.raises(ValueError, match=r"adamm.*Did you mean adam"):
        RuleOptimizer([nn.Parameter(torch.ones(1))], "adamm")


@pytest.mark.parametrize("racer", VARIANTS, ids=str)
def test_a_file_of_its_state_goes_on_where_it_stopped(racer, tmp_path):
    whole, model = network(), network()
    straight, optimizer = (RuleOptimizer(net.parameters(), racer) for net in (whole, model))
    walk(whole, straight, 3, seed=1)
    walk(whole, straight, 3, seed=2)
    walk(model, optimizer, 3, seed=1)
    torch.save(optimizer.state_dict(), tmp_path / "state.pt")
    again = RuleOptimizer(model.parameters(), racer.name)
    again.load_state_dict(torch.load(tmp_path / "state.pt"))
    walk(model, again, 3, seed=2)
    for mine, expected in zip(model.parameters(), whole.parameters(), strict=True):
        assert torch.equal(mine, expected)


@pytest.mark.parametrize(
    ("notation", "twin"),
    [("adam", lambda p: torch.optim.Adam(p)), ("momentum", lambda p: torch.optim.SGD(p, momentum=0.9))],
)
@pytest.mark.parametrize(
    "schedule",
    [
        lambda o: torch.optim.lr_scheduler.OneCycleLR(o, max_lr=0.02, total_steps=STEPS),  # moves betas too
        lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, STEPS),
        lambda o: torch.optim.lr_scheduler.LambdaLR(o, lambda k: 0.97**k),
    ],
    ids=["one_cycle", "cosine", "lambda"],
)
def test_torchs_schedulers_and_clipping_drive_it_alike(notation, twin, schedule):
    ours, theirs = network(), network()
    for model, optimizer in (
        (ours, RuleOptimizer(ours.parameters(), notation)),
        (theirs, twin(theirs.parameters())),
    ):
        scheduler = schedule(optimizer)
        generator = torch.Generator().manual_seed(3)
        for _ in range(STEPS - 1):
            inputs = torch.randn(16, 5, generator=generator)
            optimizer.zero_grad()
            nn.functional.mse_loss(model(inputs), inputs[:, :3].sin()).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 0.3)
            optimizer.step()
            scheduler.step()
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    ("gradient", "kind"),
    [(torch.ones(3).to_sparse(), "sparse"), (torch.ones(3, dtype=torch.complex128), "complex")],
)
def test_a_gradient_it_cannot_step_is_named(gradient, kind):
    theta = nn.Parameter(torch.ones(3, dtype=gradient.dtype))
    theta.grad = gradient
    with pytest.raises(TypeError, match=f"adam steps dense real parameters, but a gradient here is {kind}"):
        RuleOptimizer([theta], "adam").step()


def test_a_groups_bad_value_is_named():
    theta = nn.Parameter(torch.ones(1))
    with pytest.raises(ValueError, match="lr of a group of adam is -1"):
        RuleOptimizer([{"params": [theta], "lr": -1}], "adam")
