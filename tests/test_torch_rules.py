"""The rules under torch equal torch.optim, in parameters and in state, for everything the catalogue has."""

import copy
import pickle

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler
from torch.optim.swa_utils import SWALR, AveragedModel

from optimizers import OPTIMIZERS, Racer
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


@pytest.mark.parametrize("resume", ["state_dict", "deepcopy", "pickle"])
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
    elif resume == "deepcopy":
        model, again = copy.deepcopy((model, optimizer))
    else:
        model, again = pickle.loads(pickle.dumps((model, optimizer)))
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


TWINS = [racer for racer in map(Racer.parse, OPTIMIZERS) if twin_arguments(racer)]


def one_cycle(optimizer, racer):
    """It moves momentum or beta1 too, where the optimizer has one; torch's SGD has one for gd as well."""
    cycles = not racer.values.keys().isdisjoint({"momentum", "beta1"})
    return lr_scheduler.OneCycleLR(optimizer, max_lr=0.02, total_steps=STEPS, cycle_momentum=cycles)


def warmup_and_cosine(optimizer, racer):
    first = lr_scheduler.LinearLR(optimizer, total_iters=10)
    return lr_scheduler.SequentialLR(optimizer, [first, lr_scheduler.CosineAnnealingLR(optimizer, 50)], [10])


@pytest.mark.parametrize("racer", TWINS, ids=str)
@pytest.mark.parametrize(
    "schedule",
    [
        one_cycle,
        warmup_and_cosine,
        lambda o, racer: lr_scheduler.LambdaLR(o, lambda k: 0.97**k),
        lambda o, racer: lr_scheduler.ReduceLROnPlateau(o, patience=3, threshold=0.1),
        lambda o, racer: SWALR(o, swa_lr=0.003, anneal_epochs=20),
    ],
    ids=["one_cycle", "warmup+cosine", "lambda", "plateau", "swa"],
)
def test_torchs_schedulers_and_clipping_drive_it_alike(racer, schedule):
    ours, theirs = network(), network()
    twin = getattr(torch.optim, racer.optimizer.twin.name)
    averages, rates = [], []
    for model, optimizer in (
        (ours, RuleOptimizer(ours.parameters(), racer)),
        (theirs, twin(theirs.parameters(), **twin_arguments(racer))),
    ):
        scheduler, average = schedule(optimizer, racer), AveragedModel(model)
        generator = torch.Generator().manual_seed(3)
        for _ in range(STEPS - 1):
            inputs = torch.randn(16, 5, generator=generator)
            optimizer.zero_grad()
            loss = nn.functional.mse_loss(model(inputs), inputs[:, :3].sin())
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 0.3)
            torch.nn.utils.clip_grad_value_(model.parameters(), 0.1)
            optimizer.step()
            average.update_parameters(model)
            scheduler.step(*[loss.item()] * isinstance(scheduler, lr_scheduler.ReduceLROnPlateau))
        averages.append(average)
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates[0] == pytest.approx(rates[1], rel=1e-12)
    assert rates[0] != racer.values["lr"]
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-12, atol=1e-14)
    for mine, other in zip(*(average.parameters() for average in averages), strict=True):
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


@pytest.mark.parametrize("betas", [0.9, (0.9,), (0.9, 0.99, 0.999), None])
def test_a_groups_bad_pair_is_named(betas):
    with pytest.raises(ValueError, match=r"^betas is .*, but takes a pair, e\.g\. \(0\.9, 0\.999\)\.$"):
        RuleOptimizer([{"params": [nn.Parameter(torch.ones(1))], "betas": betas}], "adam")


@pytest.mark.parametrize(
    ("saved", "of"),
    [
        (lambda p: RuleOptimizer(p, "momentum"), "momentum"),
        (lambda p: torch.optim.Adam(p), "no RuleOptimizer"),
    ],
)
def test_a_state_of_another_optimizer_is_refused_and_changes_nothing(saved, of):
    model = network()
    optimizer = RuleOptimizer(model.parameters(), "adam(lr=0.01)")
    walk(model, optimizer, 2)
    before = copy.deepcopy(optimizer.state_dict())
    with pytest.raises(ValueError, match=f"^state_dict is of {of}, but takes one of adam.$"):
        optimizer.load_state_dict(saved(network().parameters()).state_dict())
    after = optimizer.state_dict()
    assert after["param_groups"] == before["param_groups"]
    for index, kept in before["state"].items():
        assert all(np.array_equal(after["state"][index][name], value) for name, value in kept.items())


def test_a_state_of_the_same_optimizer_brings_its_values():
    model = network()
    optimizer = RuleOptimizer(model.parameters(), "adam")
    optimizer.load_state_dict(RuleOptimizer(network().parameters(), "adam(lr=0.5, eps=0.1)").state_dict())
    assert (optimizer.param_groups[0]["lr"], optimizer.param_groups[0]["eps"]) == (0.5, 0.1)


@pytest.mark.parametrize("racer", VARIANTS, ids=str)
def test_loading_casts_state_to_the_parameters_type_as_torch_does(racer):
    """And counts steps as before; a state that all coordinates share goes along."""
    saved, model = network(), network().float()
    optimizer = RuleOptimizer(saved.parameters(), racer)
    walk(saved, optimizer, 2)
    again = RuleOptimizer(model.parameters(), racer)
    again.load_state_dict(optimizer.state_dict())
    for parameter in model.parameters():
        kept = again.state[parameter]
        assert kept["step"] == 2
        assert {kept[name].dtype for name in racer.optimizer.state} <= {torch.float32}
        parameter.grad = torch.ones_like(parameter)
    again.step()
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


@pytest.mark.parametrize("racer", TWINS, ids=str)
def test_single_precision_is_torchs_to_its_own_rounding(racer):
    ours, theirs = network().float(), network().float()
    optimizer = RuleOptimizer(ours.parameters(), racer)
    reference = getattr(torch.optim, racer.optimizer.twin.name)(theirs.parameters(), **twin_arguments(racer))
    generator = torch.Generator().manual_seed(4)
    for _ in range(20):
        for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            mine.grad = torch.randn(mine.shape, generator=generator, dtype=torch.float32)
            other.grad = mine.grad.clone()
        optimizer.step()
        reference.step()
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert mine.dtype == torch.float32
        torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("racer", VARIANTS, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_parameters_and_state_keep_their_type(racer, dtype):
    theta = nn.Parameter(torch.linspace(-1, 1, 7).to(dtype))
    before = theta.detach().clone()
    optimizer = RuleOptimizer([theta], racer.change(lr=0.05))
    for _ in range(3):
        theta.grad = (theta.detach() * 3 + 1).to(dtype)
        optimizer.step()
    assert theta.dtype == dtype
    assert torch.isfinite(theta).all()
    assert not torch.equal(theta, before)
    for name in racer.optimizer.state:
        assert optimizer.state[theta][name].dtype == dtype


@pytest.mark.parametrize("racer", VARIANTS, ids=str)
def test_a_tensor_lr_steps_as_its_number(racer):
    ours, theirs = network(), network()
    lr = 0.5 * racer.values["lr"]
    optimizer = RuleOptimizer([{"params": ours.parameters(), "lr": torch.tensor(lr)}], racer)
    reference = RuleOptimizer(theirs.parameters(), racer.change(lr=lr))
    schedulers = [lr_scheduler.StepLR(each, 2) for each in (optimizer, reference)]
    for seed in range(3):
        walk(ours, optimizer, 2, seed=seed)
        walk(theirs, reference, 2, seed=seed)
        for scheduler in schedulers:
            scheduler.step()
    assert isinstance(optimizer.param_groups[0]["lr"], torch.Tensor)
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-12, atol=1e-14)


def test_groups_of_every_kind():
    """One empty, one with values and options of its own, one added after a step; names go along."""
    one, two, three = (nn.Parameter(torch.ones(2)) for _ in range(3))
    groups = [{"params": []}, {"params": [("one", one)], "betas": (0.5, 0.7), "layer": "head"}]
    optimizer = RuleOptimizer(groups[1:], "adam(lr=0.1)")
    optimizer.add_param_group({"params": [("two", two)], "lr": 0.2, "beta1": 0.8})
    one.grad, two.grad = torch.ones(2), torch.ones(2)
    optimizer.step()
    optimizer.add_param_group({"params": [("three", three)], "optimizer": "gd"})  # which is the whole's
    three.grad = torch.ones(2)
    optimizer.step()
    assert [optimizer.state[p]["step"] for p in (one, two, three)] == [2, 2, 1]
    first, second, third = optimizer.param_groups
    assert (first["betas"], first["layer"], first["param_names"]) == ((0.5, 0.7), "head", ["one"])
    assert (second["betas"], second["lr"]) == ((0.8, 0.999), 0.2)
    assert (third["betas"], third["lr"], third["optimizer"]) == ((0.9, 0.999), 0.1, "adam")
    assert third["params"][0].detach() == pytest.approx(torch.full((2,), 0.9))
    assert "optimizer: adam" in repr(optimizer)
    assert "layer: head" in repr(optimizer)
    empty = RuleOptimizer([{"params": []}, {"params": [one]}], "gd(lr=1)")
    empty.step()
    assert len(empty.param_groups) == 2
    for wrong, message in [
        ({"params": [one]}, "more than one parameter group"),
        ({"params": [torch.ones(1) * one]}, "non-leaf"),
    ]:
        with pytest.raises(ValueError, match=message):
            empty.add_param_group(wrong)
    with pytest.raises(TypeError, match="must be a dict"):
        empty.add_param_group([one])
    with pytest.raises(ValueError, match="empty parameter list"):
        RuleOptimizer([], "gd")


def test_hooks_see_each_step_and_each_state_dict():
    theta = nn.Parameter(torch.ones(1))
    optimizer = RuleOptimizer([theta], "gd(lr=0.25)")
    seen = []
    optimizer.register_step_pre_hook(lambda o, args, kwargs: seen.append(("before", theta.item())))
    optimizer.register_step_post_hook(lambda o, args, kwargs: seen.append(("after", theta.item())))
    optimizer.register_state_dict_post_hook(lambda o, state: {**state, "note": "mine"})
    optimizer.register_load_state_dict_pre_hook(lambda o, state: seen.append(state["note"]))
    theta.grad = torch.ones(1)
    optimizer.step()
    optimizer.load_state_dict(optimizer.state_dict())
    assert seen == [("before", 1.0), ("after", 0.75), "mine"]


def test_a_parameter_changed_under_a_pending_backward_is_noticed():
    """As with torch's own: autograd counts the changes of what it has saved."""
    theta = nn.Parameter(torch.ones(1))
    optimizer = RuleOptimizer([theta], "gd(lr=0.25)")
    loss = (theta**2).sum()
    loss.backward(retain_graph=True)
    optimizer.step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


@pytest.mark.parametrize("racer", VARIANTS, ids=str)
def test_nothing_it_keeps_holds_a_graph(racer):
    theta = nn.Parameter(torch.ones(3))
    optimizer = RuleOptimizer([theta], racer)
    (theta.grad,) = torch.autograd.grad((theta**3).sum(), theta, create_graph=True)
    optimizer.step()
    assert theta.is_leaf
    for name in racer.optimizer.state:
        assert not optimizer.state[theta][name].requires_grad
        assert type(optimizer.state[theta][name]) is torch.Tensor


@pytest.mark.parametrize("shape", [(), (0,), (2, 0, 3), (2, 3)])
def test_any_shape_is_stepped(shape):
    theta = nn.Parameter(torch.ones(shape))
    optimizer = RuleOptimizer([theta], "nadam")
    theta.grad = torch.ones(shape)
    optimizer.step()
    assert (theta < 1).all()
    optimizer.zero_grad(set_to_none=False)
    assert theta.grad is not None
    optimizer.zero_grad()
    assert theta.grad is None
    optimizer.step()  # nothing has a gradient: nothing is stepped
    assert optimizer.state[theta]["step"] == 1
