"""Networks trained at once are what each would be alone: the engine of a GPU, tried here without one."""

import json
import math
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from optimizers import OPTIMIZERS, Racer
from optimizers.training import Point, StopTraining, TrainConfig, data, race
from optimizers.training.crowd import FILE, Crowd
from optimizers.training.lane import Lane, parts
from optimizers.training.layers import Dropout
from optimizers.training.models import MODELS, build
from optimizers.training.stack import Stack, UnstackableError, losses
from optimizers.training.telemetry import Way
from optimizers.training.together import Engine, Family, Recorded, _beside, _cause, _Portion

WAYS = ("products", "grouped", "streams")
FOUR = ("momentum(lr=0.01)", "adam(lr=0.001)", "adam(lr=0.002)", "rmsprop(lr=0.0005)")


@pytest.fixture(autouse=True)
def one_thread():
    """Torch's threads wait for each other, and for long where other programs want the cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def pictures(monkeypatch, tmp_path):
    """Sixty pictures of 8 × 8, in three colours, with noise."""
    random = np.random.default_rng(0)
    labels = np.arange(60) % 3
    images = random.integers(40, 215, (3, 3))[labels][:, :, None, None] + random.integers(
        -40, 41, (60, 3, 8, 8)
    )
    images = images.astype(np.uint8)
    few = data.Dataset(
        "shapes10", images[:44], labels[:44], images[44:], labels[44:], tuple("abc"), "Colours."
    )
    monkeypatch.setattr(data, "load", lambda name: few)
    monkeypatch.setenv("ADAMSCOPE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("optimizers.training.crowd.STEPS", 2)
    return few


def recipe(racers=FOUR, **settings):
    given = {"epochs": 2, "batch_size": 16, "precision": "fp32", "model": "resnet_small", "device": "cpu"}
    return TrainConfig(racers, **given | settings)


def run(way, config, on_event=None, **where):
    return race.train(config, on_event, ways=[way] if isinstance(way, str) else way, **where)


def weights(result):
    return [racer.weights for racer in result.racers]


def same(a, b):
    return all(map(np.array_equal, weights(a), weights(b))) and len(a.racers) == len(b.racers)


# One step ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("products", [False, True], ids=["grouped", "products"])
@pytest.mark.parametrize("name", MODELS)
def test_losses_and_gradients_are_those_of_each_network_alone(name, products):
    texts, count, size = MODELS[name].takes == "texts", 3, 5
    side = max(8, MODELS[name].smallest)
    shape = (12, 50) if texts else (3, side, side)
    random = torch.Generator().manual_seed(0)
    networks = [build(name, 4, random, shape, dropout=0.3) for _ in range(count)]
    x = (
        torch.randint(0, 50, (size, 12), generator=random)
        if texts
        else torch.rand(size, *shape, generator=random)
    )
    x = x if texts else x.contiguous(memory_format=torch.channels_last)
    labels = torch.arange(size) % 4
    rows = torch.cat([nn.utils.parameters_to_vector(network.parameters())[None] for network in networks])
    rows = rows.detach()
    masks: list[torch.Tensor] = []

    def draw(layer, inputs, _):
        masks.append((torch.rand(inputs[0].shape, generator=random) > 0.3) / 0.7)

    hooks = [
        layer.register_forward_hook(draw) for layer in networks[0].modules() if isinstance(layer, Dropout)
    ]
    networks[0].eval()(x)
    for hook in hooks:
        hook.remove()
    expected, gradients = [], []
    shapes = list(networks[0].parameters())
    for network, row in zip(networks, rows, strict=True):
        for parameter, part in zip(network.parameters(), parts(row, shapes), strict=True):
            parameter.data = part
        for layer, mask in zip(
            (layer for layer in network.modules() if isinstance(layer, Dropout)), masks, strict=True
        ):
            layer.mask = mask
        loss = nn.functional.cross_entropy(network.train()(x), labels, label_smoothing=0.1)
        expected.append(loss.item())
        found = torch.autograd.grad(loss, list(network.parameters()))
        gradients.append(torch.cat([one.flatten() for one in found]))
    leaves = [part.detach().requires_grad_() for part in parts(rows, shapes)]
    stack = Stack(networks[0], dict(zip(shapes, leaves, strict=True)), products=products)
    loss = losses(stack(x, masks), labels, 0.1).mean(1)
    assert loss.tolist() == pytest.approx(expected, rel=1e-6)
    together = torch.cat([one.flatten(1) for one in torch.autograd.grad(loss.sum(), leaves)], 1)
    for mine, other in zip(together, gradients, strict=True):
        assert torch.linalg.vector_norm(mine - other) < 2e-6 * torch.linalg.vector_norm(other)


def test_a_layer_it_does_not_know_is_named():
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 2), nn.Tanh())
    with pytest.raises(UnstackableError, match=r"a layer Tanh\(\)"):
        Stack(network, {parameter: parameter[None] for parameter in network.parameters()})


# A run ------------------------------------------------------------------------------------------------------


def _everything():
    racers = [Racer.parse(name) for name in OPTIMIZERS]
    racers = [racer.change(lr=racer.values["lr"] / 100) for racer in racers]  # so that rounding does not grow
    more = ("adam(lr=2e-5)", "adam(lr=1e-5, bias_correction=False)", "momentum(lr=1e-4, dampening=0.3)")
    return (*map(str, racers), *more)


EVERYTHING = {
    "seeds": 2,
    "epochs": 1,
    "batch_size": 12,
    "schedule": "warmup(total_iters=3)+cosine",
    "clip_norm": 0.5,
    "clip_value": 0.05,
    "weight_decay": 0.01,
    "label_smoothing": 0.1,
    "dropout": 0.3,
    "augment": "crop+flip",
    "telemetry": 2,
}


@pytest.fixture(scope="module")
def turns():
    """One network after the other: what `Lane.step` does, which equals torch.optim, see test_race."""
    found = {}

    def of(config):
        if config not in found:
            found[config] = run("turns", config)
        return found[config]

    return of


@pytest.mark.parametrize("way", WAYS)
def test_every_optimizer_under_every_condition(way, turns):
    config = recipe(_everything(), **EVERYTHING)
    expected, found = turns(config), run(way, config)

    def stop(event):
        raise StopTraining

    begun = [racer.weights for racer in race.train(config, stop).racers]
    for start, mine, other in zip(begun, found.racers, expected.racers, strict=True):
        for name in ("notation", "seed", "examples", "batches_sha256", "initial_weights_sha256"):
            assert getattr(mine, name) == getattr(other, name)
        walked = np.linalg.norm(other.weights - start)
        assert np.linalg.norm(mine.weights - other.weights) < 2e-3 * walked, mine.label
    for kind in ("points", "evaluations", "insides"):
        a, b = getattr(found, kind), getattr(expected, kind)
        places = [(one.racer, one.seed, one.step) for one in b]
        assert [(one.racer, one.seed, one.step) for one in a] == places
        assert places
        numbers = ("ratio", "gradient", "distance") if kind == "insides" else ("loss", "accuracy")
        for name in numbers:
            assert [getattr(one, name) for one in a] == pytest.approx(
                [getattr(one, name) for one in b], rel=2e-3 if kind == "insides" else 1e-4, nan_ok=True
            )


@pytest.mark.parametrize("way", WAYS)
def test_bf16_rounds_at_the_same_places(way, turns):
    config = recipe(precision="bf16", clip_norm=1.0, telemetry=4)
    expected, found = turns(config), run(way, config)
    losses_of = [[point.loss for point in result.points] for result in (found, expected)]
    assert losses_of[0] == pytest.approx(losses_of[1], rel=0.05)
    assert losses_of[0][:4] == pytest.approx(losses_of[1][:4], rel=2e-3)  # of the first step


@pytest.mark.parametrize("way", WAYS)
def test_one_that_diverges_rests_and_the_others_go_on(way, turns):
    config = recipe(("gd(lr=1e6)", *FOUR), epochs=3)
    expected, found = turns(config), run(way, config)
    assert [racer.diverged_at for racer in found.racers] == [racer.diverged_at for racer in expected.racers]
    assert found.racers[0].diverged_at is not None
    assert len(found.points) == len(expected.points)
    for mine, other in zip(found.racers, expected.racers, strict=True):
        if other.diverged_at is None:
            assert mine.weights == pytest.approx(other.weights, abs=2e-3)
            assert mine.test_loss == pytest.approx(other.test_loss, rel=1e-2)


def test_sharpness_is_measured_where_the_last_step_led(turns):
    config = recipe(("adam(lr=1e-4)", "gd(lr=1e-3)"), sharpness=2, epochs=1, schedule="cosine")
    expected, found = turns(config), run("streams", config)
    assert found.sharpnesses
    for mine, other in zip(found.sharpnesses, expected.sharpnesses, strict=True):
        assert (mine.racer, mine.step) == (other.racer, other.step)
        assert (mine.raw, mine.preconditioned, mine.bound) == pytest.approx(
            (other.raw, other.preconditioned, other.bound), rel=0.02, nan_ok=True
        )


def test_a_run_taken_up_again_goes_on_as_it_would_have(tmp_path):
    config = recipe(FOUR[:2], dropout=0.2, schedule="cosine", seeds=2)
    whole, seen = run("streams", config), []

    def stop(event):
        seen.append(event)
        if sum(isinstance(one, Point) for one in seen) == 8:
            raise StopTraining

    halfway = run("streams", config, stop, folder=tmp_path)
    assert 0 < halfway.steps < whole.steps
    again = run("streams", config, folder=tmp_path, resume=True)
    assert same(again, whole)
    assert [racer.batches_sha256 for racer in again.racers] == [
        racer.batches_sha256 for racer in whole.racers
    ]


# Fixed tensors ----------------------------------------------------------------------------------------------


def test_a_step_reads_nothing_but_its_fixed_tensors(monkeypatch):
    """What a graph is recorded with is all it reads: batches are spoilt as soon as they are loaded."""
    config = recipe(dropout=0.3, seeds=2)
    expected = run("products", config)
    load, advance, spoil = Engine.load, Engine.advance, []

    def loaded(engine, batches):
        load(engine, batches)
        for batch in batches if spoil else []:
            batch.images.fill_(math.nan)
            batch.labels.fill_(10**9)
            for mask in batch.masks:
                mask.fill_(math.nan)

    def advanced(engine, *of):
        spoil.append(True)
        advance(engine, *of)
        spoil.clear()

    monkeypatch.setattr(Engine, "load", loaded)
    monkeypatch.setattr(Engine, "advance", advanced)
    assert same(run("products", config), expected)


# Which way --------------------------------------------------------------------------------------------------


def _heard(config, ways, **where):
    said = []

    def hear(event):
        if isinstance(event, Way):
            said.append(event.how)

    result = run(ways, config, hear, **where)
    return said, result


def test_trying_leaves_no_trace(monkeypatch):
    config = recipe(dropout=0.3, telemetry=2)
    expected = run("streams", config)
    fastest = Crowd._fastest
    tried = []

    def watched(crowd, *of):
        tried.extend(fastest(crowd, *of))
        return ["streams"]

    monkeypatch.setattr(Crowd, "_fastest", watched)
    assert same(run(WAYS, config), expected)
    assert set(tried) == set(WAYS)


@pytest.fixture
def as_on_a_gpu(monkeypatch):
    """Let a run on a CPU choose as it would on a GPU."""
    monkeypatch.setattr(race, "Crowd", lambda config, say, ways: Crowd(config, say))


def test_the_fastest_is_kept_and_taken_again(as_on_a_gpu, tmp_path, monkeypatch, caplog):
    config = recipe(epochs=1, model="image_mlp")
    said, result = _heard(config, [])
    (sentence,) = said
    assert sentence == result.how
    assert sentence.startswith("4 networks at once, ")
    assert sentence.endswith("the fastest of 3 ways tried here.")
    (kept,) = json.loads((tmp_path / "home" / FILE).read_text("utf-8")).values()
    assert set(kept["seconds"]) == set(WAYS)
    assert kept["way"] == min(kept["seconds"], key=kept["seconds"].get)
    rehearsed = []
    rehearse = Engine.rehearse

    def watched(engine, batches, steps):
        rehearsed.append((engine.way, steps))
        return rehearse(engine, batches, steps)

    monkeypatch.setattr(Engine, "rehearse", watched)
    (again,), _ = _heard(config, [])
    assert rehearsed == [(kept["way"], 0)]  # recorded, not timed
    assert "fastest" not in again
    _heard(replace(config, batch_size=8), [])
    assert len(rehearsed) > 4  # another batch is another race
    (tmp_path / "home" / FILE).write_text("{", "utf-8")
    _heard(config, [])
    assert "found anew" in caplog.text


def test_a_way_that_fails_is_left_out_and_turns_are_the_last_resort(as_on_a_gpu, monkeypatch, caplog, turns):
    config = recipe(epochs=1, model="image_mlp")

    def refuse(*of, **given):
        raise UnstackableError("Not this one.")

    monkeypatch.setattr(Stack, "__init__", refuse)
    (sentence,), _ = _heard(config, [])
    assert sentence.startswith("4 networks at once, each on a stream of its own")
    assert "Not this one." in caplog.text
    monkeypatch.setattr(_Portion, "__init__", refuse)
    (sentence,), result = _heard(replace(config, batch_size=15), [])
    assert sentence == "4 networks in turns, one after the other at each step."
    assert same(result, turns(replace(config, batch_size=15)))


# Memory -----------------------------------------------------------------------------------------------------


def _short(monkeypatch, most, after):
    """Let more than `most` networks at once find no room, once so many portions were computed."""
    learn, computed = _Portion.learn, []

    def cramped(portion, inputs, seen):
        computed.append(len(portion.lanes))
        learn(portion, inputs, seen)
        if len(portion.lanes) > most and len(computed) > after:
            raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(_Portion, "learn", cramped)
    return computed


@pytest.mark.parametrize(("way", "after"), [("streams", 3), ("products", 3)])
def test_what_does_not_fit_is_computed_fewer_at_a_time(monkeypatch, way, after):
    """A step that broke off steps nobody twice: the run ends as if there had been room."""
    config = recipe((*FOUR, "nadam", "lion(lr=1e-4)"), epochs=1, dropout=0.2, telemetry=2)
    expected = run(way, config)
    computed = _short(monkeypatch, 2, after)
    said, result = _heard(config, way)
    assert said[-1] == "6 networks do not fit into the GPU's memory at once: 2 at a time."
    assert result.how == said[-1]
    assert set(computed) == {6, 3, 2}
    if way == "streams":
        assert same(result, expected)
    for mine, other in zip(weights(result), weights(expected), strict=True):
        assert mine == pytest.approx(other, abs=1e-5)


def test_a_rule_without_room_steps_nobody_twice(monkeypatch):
    config = recipe(telemetry=0)
    expected = run("streams", config)
    step, calls = Family.step, []

    def cramped(family, *of):
        calls.append(family)
        if len(calls) == 14:  # the second of three families, at a step half-way
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return step(family, *of)

    monkeypatch.setattr(Family, "step", cramped)
    said, result = _heard(config, "streams")
    assert said[-1] == "4 networks do not fit into the GPU's memory at once: 2 at a time."
    assert same(result, expected)


def test_where_not_even_one_fits_the_run_fails(monkeypatch):
    _short(monkeypatch, 0, 0)
    for ways in ("products", WAYS):
        with pytest.raises(torch.OutOfMemoryError):
            run(ways, recipe(epochs=1))


def test_lack_of_memory_is_seen_behind_what_the_recorder_says():
    def record():
        try:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        finally:
            raise RuntimeError("operation failed due to a previous error during capture")

    with pytest.raises(RuntimeError) as caught:
        record()
    assert isinstance(_cause(caught.value), torch.OutOfMemoryError)
    other = RuntimeError("cuDNN")
    assert _cause(other) is other


def test_lanes_go_on_in_their_own_memory_when_they_leave(turns):
    """A lane that rests keeps no matrix of all alive."""
    kept = []
    step = Lane.move_out

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Lane, "move_out", lambda lane: (step(lane), kept.append(lane)))
        run("grouped", recipe(("gd(lr=1e6)", "adam"), epochs=3))
    (lane,) = kept
    assert lane.theta.untyped_storage().nbytes() == 4 * len(lane.theta)


# What only a GPU does, by the book --------------------------------------------------------------------------


class FakeStream:
    def __init__(self):
        self.waited_for = []

    def wait_stream(self, other):
        self.waited_for.append(other)


@pytest.fixture
def cuda(monkeypatch):
    """Torch's streams and graphs as far as a recording uses them; returns what was done, in order."""
    main, done, current = FakeStream(), [], []

    @contextmanager
    def stream(one):
        current.append(one)
        yield
        current.pop()

    @contextmanager
    def graph(one, pool):
        done.append(("record", pool))
        yield

    class Graph:
        def replay(self):
            done.append("replay")

    monkeypatch.setattr(torch.cuda, "current_stream", lambda: current[-1] if current else main)
    monkeypatch.setattr(torch.cuda, "Stream", FakeStream)
    monkeypatch.setattr(torch.cuda, "stream", stream)
    monkeypatch.setattr(torch.cuda, "graph", graph)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    return main, done


def test_work_is_warmed_up_recorded_once_and_replayed(cuda):
    main, done = cuda

    def work():
        done.append("aside" if torch.cuda.current_stream() is not main else "work")

    recorded = Recorded(work, True, "pool")
    assert done == ["aside"] * 3 + [("record", "pool"), "work"]
    assert len(main.waited_for) == 1
    recorded()
    recorded()
    assert done[5:] == ["replay", "replay"]


def test_a_recording_without_room_says_that(cuda):
    def work():
        try:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        finally:
            raise RuntimeError("operation failed due to a previous error during capture")

    with pytest.raises(torch.OutOfMemoryError):
        Recorded(work, True, None)


def test_streams_begin_and_end_with_the_current_one_and_the_idle_are_left_alone(cuda):
    main, _ = cuda
    streams, seen = [FakeStream() for _ in range(4)], []
    _beside([lambda: seen.append(torch.cuda.current_stream())] * 3, streams)
    assert seen == streams[:3] == main.waited_for
    assert all(stream.waited_for == [main] for stream in streams[:3])
    assert not streams[3].waited_for
    _beside([lambda: seen.append(torch.cuda.current_stream())] * 6, streams)
    assert seen[3:] == [*streams, *streams[:2]]
