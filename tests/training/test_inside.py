"""Every number that is told of a step inside a network, against numpy in float64."""

import math
from dataclasses import astuple

import numpy as np
import pytest
import torch
from torch import nn

from optimizers import OPTIMIZERS, Racer
from optimizers.torch_rules import apply_rule, initial_state
from optimizers.training import Inside, TrainConfig, train
from optimizers.training.inside import SAMPLE, Gauge, due, layers_of, stride

STEPS = 7
NETWORK = nn.Sequential(nn.Conv2d(1, 3, 2), nn.GroupNorm(1, 3), nn.ReLU(), nn.Flatten(), nn.Linear(12, 40))
SIZES = [15, 6, 520]


def walk(notation: str, steps: int = STEPS, sizes: tuple[int, ...] = ()) -> tuple[list[Inside], list[dict]]:
    """Step a network's weights along noisy gradients, many of them zero; return what is told and what was."""
    racer, random = Racer.parse(notation), torch.Generator().manual_seed(0)
    network = nn.Sequential(*(nn.Linear(1, size, bias=False) for size in sizes)) if sizes else NETWORK
    theta = torch.randn(sum(p.numel() for p in network.parameters()), generator=random)
    gauge = Gauge(racer, theta, layers_of(network), every=1)
    state, kept = initial_state(racer.optimizer, racer.values, theta), []
    for t in range(1, steps + 1):
        g = torch.randn(len(theta), generator=random) * torch.randint(0, 2, (len(theta),), generator=random)
        g[:3] = 0  # never moved by its gradient: nothing is gathered
        before = theta.clone()
        update, shown = apply_rule(racer.optimizer.rule, theta, g, t, state, racer.arguments)
        gauge.measure(t, theta, g, update, state, shown, racer.arguments)
        kept.append({"before": before, "after": theta.clone(), "g": g, "update": update.clone()})
    kept = [{name: vector.double().numpy() for name, vector in one.items()} for one in kept]
    return gauge.news(2, 1), kept


def spans(sizes: list[int]) -> list[slice]:
    ends = np.cumsum(sizes)
    return [slice(0, ends[-1]), *(slice(end - size, end) for size, end in zip(sizes, ends, strict=True))]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_number_is_numpys(name: str) -> None:
    decay = "weight_decay" in [one.name for one in OPTIMIZERS[name].hyperparameters]
    coupled = "decay" not in OPTIMIZERS[name].shown or "decoupled_weight_decay" in Racer.parse(name).values
    notation = f"{name}(weight_decay=0.1)" if decay else name
    told, kept = walk(notation)
    values = Racer.parse(notation).values
    assert [(one.racer, one.seed, one.step, one.layer) for one in told] == [
        (2, 1, step, layer) for step in range(1, STEPS + 1) for layer in (-1, 0, 1, 2)
    ]
    expected = []
    for one in kept:
        moved = one["after"] - one["before"]
        pulled = 0 if coupled else values["lr"] * values["weight_decay"] * one["before"]
        for span in spans(SIZES):
            part = {key: vector[span] for key, vector in one.items()}
            effective = np.abs(one["update"] + pulled)[span] / values["lr"]
            g, step = part["g"], part["update"]
            lengths = np.linalg.norm(g) * np.linalg.norm(step)
            expected.append(
                [
                    *np.quantile(effective, (0.05, 0.5, 0.95)),
                    np.linalg.norm(moved[span]) / np.linalg.norm(part["before"]),
                    np.linalg.norm(g),
                    -(g @ step) / lengths if lengths else np.nan,
                    np.linalg.norm(part["after"] - kept[0]["before"][span]),
                ]
            )
    found = [[*astuple(one)[3:9], one.distance] for one in told]
    # Small lr: what float32 keeps of a step when it is added to a weight is all that numpy sees of it.
    np.testing.assert_allclose(found, expected, rtol=2e-3, atol=1e-6)


def size_of(notation: str, gradients: np.ndarray) -> tuple[np.ndarray, float]:
    """Return what a rule divides by before ε joins it, and the size below which ε weighs more: float64."""
    values, t = Racer.parse(notation).values, len(gradients)
    g, eps = gradients, values["eps"]
    if notation.startswith("adagrad"):
        return np.sqrt((g**2).sum(0)), eps
    beta2 = values.get("beta2", values.get("alpha", values.get("rho")))
    weights = (1 - beta2) * beta2 ** np.arange(t - 1, -1, -1)[:, None]
    v = (weights * g**2).sum(0)
    match notation.partition("(")[0]:
        case "rmsprop" if values["centered"]:
            return np.sqrt(np.maximum(0, v - (weights * g).sum(0) ** 2)), eps
        case "rmsprop" | "radam":
            return np.sqrt(v), eps
        case "adadelta":
            return np.sqrt(v), math.sqrt(eps)
    if values.get("eps_placement") == "hat":
        return np.sqrt(v), eps
    placed = math.sqrt(eps) if values.get("eps_placement") == "inside" else eps
    return np.sqrt(v / (1 - beta2**t)), placed


@pytest.mark.parametrize(
    "notation",
    [
        *("adam(eps=0.5)", "adam(eps=0.02, eps_placement='hat')", "adam(eps=0.25, eps_placement='inside')"),
        *("adamw(eps=0.6, weight_decay=0)", "nadam(eps=0.5)", "radam(eps=0.03)", "adagrad(eps=1.0)"),
        *("rmsprop(eps=0.1)", "rmsprop(eps=0.15, centered=True)", "adadelta(eps=0.25)"),
    ],
)
def test_the_share_under_eps(notation: str) -> None:
    told, kept = walk(notation)
    size, eps = size_of(notation, np.array([one["g"] for one in kept]))
    expected = [np.mean(size[span] < eps) for span in spans(SIZES)]
    assert [one.under_eps for one in told[-4:]] == pytest.approx(expected, abs=1e-6)
    assert 0.05 < expected[0] < 0.95


@pytest.mark.parametrize("name", ["gd", "momentum", "nesterov", "adamax", "signsgd", "lion"])
def test_a_rule_without_a_root_beside_eps_has_no_share_under_it(name: str) -> None:
    assert all(math.isnan(one.under_eps) for one in walk(name)[0])


def test_adams_effective_step_is_the_size_of_m_hat_over_root_v_hat_and_eps() -> None:
    told, kept = walk("adam(lr=0.25, eps=0.01)")
    g, t = np.array([one["g"] for one in kept]), STEPS
    past = np.arange(t - 1, -1, -1)[:, None]
    m_hat = (0.1 * 0.9**past * g).sum(0) / (1 - 0.9**t)
    v_hat = (0.001 * 0.999**past * g**2).sum(0) / (1 - 0.999**t)
    expected = np.median(np.abs(m_hat) / (np.sqrt(v_hat) + 0.01))
    assert told[-4].effective_median == pytest.approx(expected, rel=1e-4)


def test_quantiles_of_a_large_layer_are_those_of_a_sample() -> None:
    told, kept = walk("gd(lr=1)", steps=1, sizes=(20 * SAMPLE, 10))
    whole = np.quantile(np.abs(kept[0]["g"]), (0.05, 0.5, 0.95))
    sampled = [[one.effective_low, one.effective_median, one.effective_high] for one in told[:2]]
    rank = np.mean(np.abs(kept[0]["g"]) <= told[0].effective_high)
    assert told[2].effective_median == pytest.approx(np.median(np.abs(kept[0]["g"][-10:])))
    assert sampled[0] != list(whole)
    assert rank == pytest.approx(0.95, abs=0.03)


def test_a_vector_of_zeros_has_no_direction_and_no_ratio() -> None:
    racer, theta = Racer.parse("gd(lr=0.1)"), torch.zeros(4)
    gauge = Gauge(racer, theta, layers_of(nn.Linear(4, 1, bias=False)), every=1)
    update, shown = apply_rule(racer.optimizer.rule, theta, torch.zeros(4), 1, [], racer.arguments)
    gauge.measure(1, theta, torch.zeros(4), update, [], shown, racer.arguments)
    overall = gauge.news(0, 0)[0]
    assert math.isnan(overall.cosine)
    assert math.isnan(overall.ratio)
    assert overall.gradient == overall.effective_high == overall.distance == 0


def test_layers_are_named_and_cover_all_weights() -> None:
    tied = nn.Linear(3, 3)
    layers = layers_of(nn.Sequential(nn.Embedding(5, 3), tied, nn.Conv1d(3, 2, 1), tied, nn.Linear(2, 2)))
    assert [layer.name for layer in layers] == ["embedding", "dense 1", "conv", "dense 2"]
    assert [(layer.start, layer.stop) for layer in layers] == [(0, 15), (15, 27), (27, 35), (35, 41)]


def test_when_it_is_measured() -> None:
    assert [step for step in range(1, 50) if due(step, 20)] == [1, 2, 4, 8, 16, 20, 40]
    assert [step for step in range(1, 50) if due(step, 0)] == []
    assert (stride(None, 1563), stride(None, 40), stride(7, 1563), stride(0, 9)) == (63, 10, 7, 0)


# In a run ---------------------------------------------------------------------------------------------------

THREE = ("momentum(lr=0.01)", "adam", "adam(bias_correction=False)")


def run(racers=THREE, on_event=None, **settings):
    given = {"epochs": 2, "batch_size": 32, "device": "cpu", "precision": "fp32", "threads": 1}
    return train(TrainConfig(racers=racers, **given | settings), on_event)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_it_changes_nothing_in_what_is_trained(easy_data, precision) -> None:
    with_it, without = (run(telemetry=every, precision=precision) for every in (1, 0))
    for one, other in zip(with_it.racers, without.racers, strict=True):
        assert np.array_equal(one.weights, other.weights)
    assert with_it.evaluations == without.evaluations
    assert len(with_it.insides) == 8 * 3 * 6
    assert without.insides == ()


def test_what_a_run_tells_of_the_inside(easy_data) -> None:
    told = []
    result = run(on_event=lambda event: told.append(event) if isinstance(event, Inside) else None)
    assert tuple(told) == result.insides
    assert result.layers == ("conv 1", "conv 2", "conv 3", "dense 1", "dense 2")
    assert sorted({one.step for one in told}) == [1, 2, 4, 8]
    assert sorted({one.layer for one in told}) == [-1, 0, 1, 2, 3, 4]
    first = {one.racer: one for one in told if one.step == 1 and one.layer == -1}
    # Adam begins with lr · sign(g); where units are silent in all pictures, there is no gradient at all.
    assert first[1].effective_high == pytest.approx(1, abs=1e-3)
    assert first[2].effective_high == pytest.approx(0.1 / math.sqrt(0.001), abs=1e-2)
    assert first[0].cosine == pytest.approx(1)
    assert math.isnan(first[0].under_eps)
    assert first[0].gradient == pytest.approx(first[1].gradient)  # the same weights, the same pictures
    begun = run(epochs=1, limit=1, racers=("gd(lr=0)",)).racers[0].weights
    for racer, one in enumerate(one for one in told if one.step == 8 and one.layer == -1):
        walked = np.linalg.norm(result.racers[racer].weights - begun)
        assert one.distance == pytest.approx(walked, rel=1e-5)


def test_nothing_is_told_of_a_racer_from_where_it_diverged(easy_data) -> None:
    result = run(("gd(lr=1000000)", "adam"), telemetry=1)
    gone = [one for one in result.insides if one.racer == 0]
    assert {one.step for one in gone} == set(range(1, result.racers[0].diverged_at))
    assert max(one.step for one in result.insides if one.racer == 1) == 8
