"""The rules under torch equal torch.optim, in parameters and in state, for everything the catalogue has."""

import copy
from itertools import product

import numpy as np
import pytest
import torch
from torch import nn

from optimizers import OPTIMIZERS, Racer
from optimizers.torch_rules import RuleOptimizer, apply_rule

STEPS = 60


def variants():
    """Every optimizer with every choice it offers, at its defaults and away from them."""
    for entry in OPTIMIZERS.values():
        numbers = [hyper for hyper in entry.hyperparameters if not hyper.choices]
        choices = [[(h.name, c.value) for c in h.choices] for h in entry.hyperparameters if h.choices]
        for chosen in product(*choices):
            racer = Racer.parse(entry.name).change(**dict(chosen))
            yield racer
            # away from every default, eps large enough to matter; a greater lr would be chaotic, so that
            # rounding grows beyond any tolerance
            moved = {h.name: (h.default + h.slider[1]) / 3 for h in numbers}
            yield racer.change(**moved | {"lr": 3 * racer.values["lr"]})


def twins():
    """The (racer, torch.optim class, its arguments) of every variant that has a twin."""
    for racer in variants():
        twin = racer.optimizer.twin
        arguments = twin.arguments(racer.values) if twin else None
        if arguments is not None:
            yield pytest.param(racer, getattr(torch.optim, twin.name), arguments, id=str(racer))


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


@pytest.mark.parametrize(("racer", "twin", "arguments"), list(twins()))
def test_equals_torch_optim(racer, twin, arguments):
    ours, theirs = network(), network()
    optimizer, reference = RuleOptimizer(ours.parameters(), racer), twin(theirs.parameters(), **arguments)
    walk(ours, optimizer)
    walk(theirs, reference)
    for mine, other, begun in zip(
        ours.parameters(), theirs.parameters(), network().parameters(), strict=True
    ):
        assert not torch.equal(mine, begun)
        torch.testing.assert_close(mine, other, rtol=1e-12, atol=1e-14)
        for name, torchs_name in racer.optimizer.twin.state.items():
            expected = reference.state[other][torchs_name]
            torch.testing.assert_close(optimizer.state[mine][name], expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("racer", list(variants()), ids=str)
def test_equals_the_same_rule_on_numpy_arrays(racer):
    rule, random = racer.optimizer.rule, np.random.default_rng(0)
    theta = random.normal(size=50)
    state = tuple(np.zeros(50) for _ in racer.optimizer.state)
    flat, kept = torch.from_numpy(theta.copy()), [torch.zeros(50).double() for _ in state]
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
