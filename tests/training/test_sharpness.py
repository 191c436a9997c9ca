"""Sharpness against Hessians that are known in full."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from optimizers import OPTIMIZERS, Racer
from optimizers.torch_rules import apply_rule, initial_state
from optimizers.training import Progress, Sharpness, StopTraining, TrainConfig, train
from optimizers.training.sharpness import MOST_PRODUCTS, Sharpener, hessian_product, largest


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Torch's threads wait for each other, and for long where other programs want the cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def end(search):
    """Run a search to its end; return what it found, and after how many products."""
    products = 0
    while True:
        try:
            next(search)
            products += 1
        except StopIteration as found:
            return found.value, products


def symmetric(values, seed=0):
    random = np.random.default_rng(seed)
    turned, _ = np.linalg.qr(random.normal(size=(len(values), len(values))))
    return torch.tensor(turned @ np.diag(values) @ turned.T, dtype=torch.float32)


@pytest.mark.parametrize("values", [np.linspace(-3, 7, 40), [-90.0, *np.linspace(0, 2, 39)], [-3.0, -2.0]])
def test_the_largest_eigenvalue_of_a_known_matrix(values) -> None:
    """The largest, not the one of greatest size: a negative curvature is no sharpness."""
    matrix = symmetric(values)
    start = torch.randn(len(values), generator=torch.Generator().manual_seed(1))
    (value, vector), products = end(largest(lambda v: matrix @ v, start, tolerance=1e-3))
    assert value == pytest.approx(max(values), rel=1e-3)
    assert torch.linalg.vector_norm(matrix @ vector - value * vector) < 2e-3 * abs(value)
    again, fewer = end(largest(lambda v: matrix @ v, vector, tolerance=1e-2))
    assert again[0] == pytest.approx(value, rel=1e-3)
    assert fewer == 1 < products  # it begins where it is


def test_a_product_that_is_no_number_ends_the_search() -> None:
    (value, _), products = end(largest(lambda v: v * math.nan, torch.ones(9)))
    assert math.isnan(value)
    assert products == 0


@pytest.fixture(scope="module")
def tiny():
    """A network with a maximum, a kink and a norm in it; its pictures, and its Hessian in float64."""
    random = torch.Generator().manual_seed(0)
    network = nn.Sequential(
        *(nn.Conv2d(1, 2, 3), nn.MaxPool2d(2), nn.ReLU(), nn.GroupNorm(1, 2)),
        *(nn.Flatten(), nn.Dropout(0.5), nn.Linear(8, 3)),
    )
    theta = 0.7 * torch.randn(sum(p.numel() for p in network.parameters()), generator=random)
    sizes = [p.numel() for p in network.parameters()]
    decay = torch.rand(len(theta), generator=random)

    def parts(flat):
        pieces = zip(flat.split(sizes), network.parameters(), strict=True)
        return [piece.view(parameter.shape) for piece, parameter in pieces]

    pictures, labels = torch.randn(12, 1, 6, 6, generator=random), torch.arange(12) % 3

    def loss(flat):
        network.eval()
        given = dict(zip([name for name, _ in network.named_parameters()], parts(flat), strict=True))
        logits = torch.func.functional_call(network, given, (pictures.to(flat.dtype),))
        penalty = (decay.to(flat.dtype) * flat * flat).sum() / 2
        return cross_entropy(logits, labels, label_smoothing=0.1) + penalty

    hessian = torch.autograd.functional.hessian(loss, theta.double())
    network.train()
    batches = list(zip(pictures.split(5), labels.split(5), strict=True))
    product = hessian_product(network, parts, theta, batches, 0.1, decay)
    return network, product, hessian


def test_hessian_vector_products_are_those_of_the_full_hessian(tiny) -> None:
    network, product, hessian = tiny
    columns = torch.stack([product(column) for column in torch.eye(len(hessian))])
    torch.testing.assert_close(columns.double(), hessian, rtol=1e-4, atol=1e-5)
    assert network.training  # as it was


def test_raw_and_preconditioned_sharpness_of_a_network(tiny) -> None:
    _, product, hessian = tiny
    size = len(hessian)
    factor = torch.rand(size, generator=torch.Generator().manual_seed(3)) * 50
    sharpener = Sharpener(size, torch.device("cpu"))
    (raw, seen), _ = end(sharpener.measure(product, factor))
    root = factor.double().sqrt()
    assert raw == pytest.approx(torch.linalg.eigvalsh(hessian)[-1].item(), rel=0.02)
    assert seen == pytest.approx(torch.linalg.eigvalsh(root[:, None] * hessian * root)[-1].item(), rel=0.02)
    (raw_again, absent), products = end(sharpener.measure(product, 0.1))
    assert raw_again == pytest.approx(raw, rel=0.02)
    assert math.isnan(absent)
    assert products < MOST_PRODUCTS


BOUNDED = [
    *("gd", "momentum", "momentum(dampening=0.5)", "momentum(nesterov=True, dampening=0.5)"),
    *("momentum(convention='ema')", "momentum(convention='ema', nesterov=True, momentum=0.7)"),
    *("momentum(convention='sutskever')", "nesterov(momentum=0.8)"),
]


@pytest.mark.parametrize("notation", BOUNDED)
def test_a_rule_is_stable_up_to_its_bound_and_not_beyond(notation: str) -> None:
    """One coordinate of a quadratic, whose curvature is a little below the bound, and a little above it."""
    racer = Racer.parse(notation)
    bound = racer.optimizer.stability(racer.values) / racer.values["lr"]
    assert _grown(racer, 0.998 * bound) < 1e-2 < 1e2 < _grown(racer, 1.002 * bound)


@pytest.mark.parametrize("name", ["adam", "amsgrad", "nadam(momentum_decay=1)", "adamw(weight_decay=0)"])
def test_adams_bound_where_its_factor_rests(name: str) -> None:
    """An ε so large that it alone divides is a factor at rest."""
    racer = Racer.parse(name).change(eps=1.0)
    bound = racer.optimizer.stability(racer.values) / racer.values["lr"]
    below, above = (_grown(racer, share * bound, start=1e-60) for share in (0.998, 1.002))
    assert below < 1e-2 < 1e2 < above


def _grown(racer, curvature, start=1.0, settle=150, steps=3000):
    """Return by how much θ grows along ½·curvature·θ² once it has settled; stops where it has exploded."""
    theta = torch.tensor([start], dtype=torch.float64)
    state, settled = initial_state(racer.optimizer, racer.values, theta), start
    for t in range(1, steps + 1):
        apply_rule(racer.optimizer.rule, theta, curvature * theta, t, state, racer.arguments)
        if t == settle:
            settled = abs(theta.item())
        elif t > settle and not 1e-3 < abs(theta.item()) / settled < 1e3:
            break
    return abs(theta.item()) / settled


def test_bounds_are_told_of_every_rule_that_has_one() -> None:
    told = {
        name: entry.stability(Racer.parse(name).values)
        for name, entry in OPTIMIZERS.items()
        if entry.stability
    }
    assert told["gd"] == told["rmsprop"] == told["adagrad"] == 2
    assert told["adam"] == told["amsgrad"] == pytest.approx(38)
    assert told["momentum"] == pytest.approx(3.8)
    assert "lion" not in told
    assert "signsgd" not in told


# In a run ---------------------------------------------------------------------------------------------------

SETTINGS = {"epochs": 1, "batch_size": 40, "device": "cpu", "precision": "fp32", "threads": 1}


@pytest.fixture
def few_pictures(monkeypatch):
    monkeypatch.setattr("optimizers.training.race.PICTURES", 10)


def test_a_run_measures_every_so_many_steps_and_trains_the_same(easy_data, few_pictures) -> None:
    config = TrainConfig(("gd(lr=0.1)", "adam"), sharpness=2, telemetry=0, **SETTINGS)
    told = []
    result = train(config, lambda event: told.append(event) if isinstance(event, Sharpness) else None)
    assert tuple(told) == result.sharpnesses
    assert sorted((one.racer, one.step) for one in told) == [(0, 2), (1, 2)]
    descent, adam = sorted(told, key=lambda one: one.racer)
    assert descent.bound == pytest.approx(20)
    assert math.isnan(descent.preconditioned)
    assert adam.bound == pytest.approx(38_000)
    assert adam.preconditioned > 0
    assert descent.raw > 0
    without = train(replace(config, sharpness=0))
    assert all(
        np.array_equal(one.weights, other.weights)
        for one, other in zip(result.racers, without.racers, strict=True)
    )


def test_a_stop_is_heard_between_two_products(easy_data, few_pictures) -> None:
    seen = []

    def listen(event):
        seen.append(event)
        if isinstance(event, Progress) and sum(isinstance(one, Progress) for one in seen) == 3:
            raise StopTraining  # the first told of steps 1 and 2, this one of a product

    result = train(TrainConfig(("adam",), sharpness=2, **SETTINGS), listen)
    assert result.stopped
    assert result.sharpnesses == ()
    assert result.steps == 2
