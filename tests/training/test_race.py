"""The race is fair, repeats, and equals a plain torch loop."""

import hashlib
import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from optimizers import OPTIMIZERS, Racer
from optimizers.training import (
    Diverged,
    Evaluated,
    Point,
    Progress,
    Started,
    StopTraining,
    TrainConfig,
    data,
    race,
    train,
)
from optimizers.training.lane import Lane
from optimizers.training.layers import Dropout
from optimizers.training.models import MODELS, build
from optimizers.training.pictures import Seed
from optimizers.training.preprocessing import standardised

THREE = ("momentum(lr=0.01)", "adam", "adam(bias_correction=False)")


def recipe(racers=THREE, **settings):
    """A short run in exact fp32 on one thread a racer."""
    given = {"epochs": 2, "batch_size": 32, "device": "cpu", "precision": "fp32", "threads": 1}
    return TrainConfig(racers=racers, **given | settings)


@pytest.fixture
def one_thread():
    """Torch's threads wait for each other, and for long where other programs want the cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def weights(result):
    return [racer.weights for racer in result.racers]


@pytest.mark.parametrize("precision", ["fp32", "auto"])
def test_the_same_seed_repeats_exactly(easy_data, precision):
    first, again = (train(recipe(precision=precision)) for _ in range(2))
    assert all(map(np.array_equal, weights(first), weights(again)))
    told = [[(p.racer, p.step, p.loss, p.accuracy) for p in result.points] for result in (first, again)]
    assert told[0] == told[1]
    assert first.evaluations == again.evaluations
    assert train(recipe(seed=1)).points[0].loss != first.points[0].loss


def test_all_racers_have_the_same_start_and_batches(easy_data):
    first, again, other = train(recipe()), train(recipe()), train(recipe(seed=1))
    for proof in ("initial_weights_sha256", "batches_sha256"):
        hashes = {getattr(racer, proof) for result in (first, again) for racer in result.racers}
        assert len(hashes) == 1
        assert getattr(other.racers[0], proof) not in hashes
    assert {racer.examples for racer in first.racers} == {2 * 120}
    start = [evaluated for evaluated in first.evaluations if evaluated.epoch == 0]
    assert len(start) == 3
    assert len({(evaluated.loss, evaluated.accuracy) for evaluated in start}) == 1
    assert len({w.tobytes() for w in weights(first)}) == 3


def test_company_changes_nothing(easy_data):
    together = train(recipe())
    for index, notation in enumerate(THREE):
        alone = train(recipe((notation,)))
        assert np.array_equal(alone.racers[0].weights, together.racers[index].weights)
        assert alone.racers[0].test_loss == together.racers[index].test_loss


def test_taking_turns_equals_side_by_side(easy_data, one_thread):
    """Where no other way works on a GPU, the racers take turns in one thread."""
    together = train(recipe())
    turns = race.train(recipe(), ways=["turns"])
    assert all(map(np.array_equal, weights(together), weights(turns)))
    assert together.evaluations == turns.evaluations


CONDITIONS = {
    "schedule": "warmup(total_iters=3)+cosine",
    "clip_norm": 0.5,
    "clip_value": 0.05,
    "weight_decay": 0.01,
    "label_smoothing": 0.1,
}


def plain_torch(racer, begun, images, labels, steps, conditions):
    """Train keras_cnn from `begun` as anyone would write it down; return the losses and the last weights."""
    model = nn.Sequential(
        *(nn.Conv2d(3, 32, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(64, 64, 3), nn.ReLU(), nn.Flatten()),
        *(nn.Linear(1024, 64), nn.ReLU(), nn.Linear(64, 10)),
    )
    nn.utils.vector_to_parameters(torch.from_numpy(begun.copy()), model.parameters())
    twin = racer.optimizer.twin
    optimizer = getattr(torch.optim, twin.name)(model.parameters(), **twin.arguments(racer.values))
    criterion = nn.CrossEntropyLoss(label_smoothing=conditions.get("label_smoothing", 0))
    if conditions:
        rates = torch.optim.lr_scheduler
        parts = [rates.LinearLR(optimizer, total_iters=3), rates.CosineAnnealingLR(optimizer, steps - 3)]
        scheduler = rates.SequentialLR(optimizer, parts, milestones=[3])
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = criterion(model(images), labels)
        losses.append(loss.item())
        if conditions:
            for layer in model:
                if hasattr(layer, "weight"):
                    loss = loss + conditions["weight_decay"] / 2 * layer.weight.square().sum()
        loss.backward()
        if conditions:
            assert nn.utils.clip_grad_norm_(model.parameters(), conditions["clip_norm"]) > 0.5  # it bites
            nn.utils.clip_grad_value_(model.parameters(), conditions["clip_value"])
        optimizer.step()
        if conditions:
            scheduler.step()
    return losses, nn.utils.parameters_to_vector(model.parameters()).detach().numpy()


@pytest.mark.filterwarnings("ignore:The epoch parameter in `scheduler.step")  # SequentialLR's own
@pytest.mark.parametrize(
    ("conditions", "ways"),
    [({}, None), (CONDITIONS, None), (CONDITIONS, ["products"])],
    ids=["bare", "conditions", "at once"],
)
def test_equals_a_plain_torch_loop(easy_data, one_thread, conditions, ways):
    """Full batches, so that the order of the pictures is no matter; every optimizer that has a twin."""
    steps = 5 if conditions else 4
    racers = [Racer.parse(name) for name, entry in OPTIMIZERS.items() if entry.twin]
    racers = [racer.change(lr=racer.values["lr"] / 100) for racer in racers]  # so that rounding does not grow
    config = recipe(tuple(map(str, racers)), epochs=steps, batch_size=120, **conditions)
    result = race.train(config, ways=ways)
    begun = train(config, _stop_at(Started)).racers[0].weights
    images, labels = torch.from_numpy(easy_data.train_images) / 255, torch.from_numpy(easy_data.train_labels)
    for index, racer in enumerate(racers):
        losses, ended = plain_torch(racer, begun, images, labels, steps, conditions)
        ours = [point.loss for point in result.points if point.racer == index]
        assert ours == pytest.approx(losses, rel=1e-5)
        walked = ended - begun
        off = result.racers[index].weights - begun - walked
        # fp32 adds in another order, and Adam and RMSprop step by ±lr where a gradient is all but zero
        assert np.linalg.norm(off) < 1e-3 * np.linalg.norm(walked)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_learns(easy_data, precision):
    # Half the default lr: at the default the last batches jump about the bound from one machine to the next.
    result = train(recipe(("adam(lr=0.0005)",), epochs=20, precision=precision))
    assert result.points[0].loss > 2.0
    assert result.points[-1].loss < 0.2
    assert result.racers[0].test_accuracy > 0.95
    predicted = np.mean(result.racers[0].predictions == easy_data.test_labels)
    assert predicted == pytest.approx(result.racers[0].test_accuracy)


def test_one_that_diverges_rests_and_the_others_go_on(easy_data):
    events = []
    result = train(recipe(("gd(lr=1000000)", "adam")), events.append)
    gone, well = result.racers
    (diverged,) = [event for event in events if isinstance(event, Diverged)]
    last = [point for point in result.points if point.racer == 0][-1]
    assert diverged == Diverged(0, gone.diverged_at)
    assert last.step == gone.diverged_at
    assert math.isnan(last.loss)
    assert math.isnan(gone.test_accuracy)
    assert gone.predictions is None
    assert well.diverged_at is None
    assert np.array_equal(well.weights, train(recipe(("adam",))).racers[0].weights)
    assert result.steps == 8
    assert not result.stopped


def test_a_run_ends_when_all_have_diverged(easy_data):
    result = train(recipe(("gd(lr=1000000)",), epochs=50))
    assert result.steps < 10
    assert result.racers[0].diverged_at is not None


def test_what_is_told(easy_data):
    events = []
    result = train(recipe(), events.append)
    started, last = events[0], events[-1]
    assert isinstance(started, Started)
    assert (started.labels[2], started.parameters, started.steps_per_epoch) == (
        "Adam, uncorrected",
        122_570,
        4,
    )
    assert (started.device, started.precision, started.threads) == ("cpu", "fp32", 1)
    assert last == result.evaluations[-1]
    assert [(e.racer, e.epoch, e.step) for e in result.evaluations] == [
        (racer, epoch, 4 * epoch) for epoch in range(3) for racer in range(3)
    ]
    points = [point for point in events if isinstance(point, Point) and point.racer == 1]
    assert [point.step for point in points] == list(range(1, 9))
    assert [point.examples for point in points] == [32, 64, 96, 120, 152, 184, 216, 240]
    assert result.points == tuple(event for event in events if isinstance(event, Point))
    progress = [event for event in events if isinstance(event, Progress)]
    assert (progress[-1].step, progress[-1].total_steps, progress[-1].seconds_left) == (8, 8, 0)
    assert all(event.samples_per_second > 0 for event in progress)


def test_points_average_over_pictures(easy_data, monkeypatch):
    fine = train(recipe(epochs=1))
    monkeypatch.setattr("optimizers.training.race.POINTS_PER_EPOCH", 1)
    coarse = train(recipe(epochs=1))
    assert len(coarse.points) == 3
    for racer, point in enumerate(coarse.points):
        losses = [p.loss for p in fine.points if p.racer == racer]
        assert point.loss == pytest.approx(np.average(losses, weights=[32, 32, 32, 24]))
        assert (point.step, point.examples) == (4, 120)


def _stop_at(kind, count=1):
    """A listener that asks to stop at the nth event of a kind, and wants to hear nothing after that."""
    seen = []

    def listen(event):
        assert len(seen) < count, "told after the stop"
        if isinstance(event, kind):
            seen.append(event)
            if len(seen) == count:
                raise StopTraining

    return listen


@pytest.mark.parametrize(("kind", "count", "steps"), [(Started, 1, 0), (Evaluated, 2, 0), (Point, 5, 2)])
def test_stop_keeps_what_was_trained(easy_data, kind, count, steps):
    result = train(recipe(), _stop_at(kind, count))
    assert result.stopped
    assert result.steps == steps
    assert len(result.points) == 3 * steps
    assert math.isnan(result.racers[0].test_loss) == (kind is Started)


def test_an_error_in_the_listener_comes_through_and_threads_are_given_back(easy_data):
    before = torch.get_num_threads()

    def listen(event):
        if isinstance(event, Point):
            raise KeyError("listener")

    with pytest.raises(KeyError, match="listener"):
        train(recipe(), listen)
    assert torch.get_num_threads() == before


def test_limit_takes_the_first_pictures(easy_data):
    result = train(recipe(("adam",), limit=10, batch_size=4))
    assert result.steps_per_epoch == 3
    assert result.racers[0].examples == 20


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_no_gpu_is_one_sentence():
    with pytest.raises(ValueError, match="torch finds no CUDA GPU here; take 'cpu' or 'auto'"):
        train(recipe(device="cuda"))
    for device in ("cpu", "auto"):
        with pytest.raises(ValueError, match="'tf32', which only a GPU computes in: take fp32, bf16 or auto"):
            train(recipe(device=device, precision="tf32"))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16"])
def test_gpu_agrees_with_cpu(easy_data, precision):
    on_cpu = "fp32" if precision == "tf32" else precision
    here, there = (
        train(recipe(device=device, precision=own)) for device, own in (("cpu", on_cpu), ("cuda", precision))
    )
    for mine, other in zip(here.racers, there.racers, strict=True):
        assert mine.initial_weights_sha256 == other.initial_weights_sha256
        assert mine.batches_sha256 == other.batches_sha256
        assert other.test_loss == pytest.approx(mine.test_loss, rel=0.05)


def test_runs_on_a_bare_machine(monkeypatch, tmp_path):
    """With torch and numpy alone, from the folder, as on a rented GPU machine."""
    missing = (
        "numba sympy typer rich sqlalchemy streamlit dask distributed pooch platformdirs sklearn matplotlib"
    )
    program = f"""
import sys
sys.modules.update(dict.fromkeys({missing.split()!r}))
sys.argv[1:] = "-o adam -o rmsprop --data shapes10 --epochs 1 --limit 64".split()
from optimizers.training.__main__ import main
sys.exit(main())
"""
    monkeypatch.setenv("ADAMSCOPE_HOME", str(tmp_path))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "standing in" in done.stdout
    assert "RMSprop: test accuracy" in done.stdout


def test_bare_command_line_says_what_is_wrong(monkeypatch, capsys):
    from optimizers.training.__main__ import main

    monkeypatch.setattr(sys, "argv", ["training", "-o", "adamm"])
    assert main() == 2
    assert "Did you mean adam?" in capsys.readouterr().err


def test_several_seeds_are_as_many_runs(easy_data):
    """A lane is a racer with a seed: each equals the same racer in a run of that seed alone."""
    events = []
    together = train(recipe(THREE[:2], seed=4, seeds=3), events.append)
    assert [(racer.notation, racer.seed) for racer in together.racers] == [
        (str(Racer.parse(notation)), seed) for seed in range(3) for notation in THREE[:2]
    ]
    (started,) = [event for event in events if isinstance(event, Started)]
    assert started.labels == ("momentum", "Adam")
    for place in range(3):
        alone = train(recipe(THREE[:2], seed=4 + place))
        mine = [racer for racer in together.racers if racer.seed == place]
        assert all(map(np.array_equal, [racer.weights for racer in mine], weights(alone)))
        for kind in ("points", "evaluations"):
            told = [(e.racer, e.step, e.loss, e.accuracy) for e in getattr(together, kind) if e.seed == place]
            assert told == [(e.racer, e.step, e.loss, e.accuracy) for e in getattr(alone, kind)]


def test_one_seed_that_diverges_leaves_the_others(easy_data):
    result = train(recipe(("gd(lr=1000000)", "adam"), seeds=2))
    assert [racer.diverged_at is None for racer in result.racers] == [False, True, False, True]
    assert {(d.racer, d.seed) for d in result.points if math.isnan(d.loss)} == {(0, 0), (0, 1)}


def _dataset(name, shape, classes=3, vocabulary=()):
    random = np.random.default_rng(1)
    images = random.integers(0, 256 if not vocabulary else len(vocabulary), (40, *shape))
    images = images.astype(np.int64 if vocabulary else np.uint8)
    labels = np.arange(40) % classes
    names = tuple("abc"[:classes])
    return data.Dataset(name, images[:30], labels[:30], images[30:], labels[30:], names, "Noise.", vocabulary)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("name", MODELS)
def test_every_network_trains_in_every_precision(monkeypatch, one_thread, name, precision):
    """The flat vector holds its weights, whatever its layers; the loss falls; a test needs no masks."""
    texts = MODELS[name].takes == "texts"
    side = max(8, MODELS[name].smallest)
    words = tuple(map(str, range(50))) if texts else ()
    dataset = _dataset("x", (12,) if texts else (3, side, side), vocabulary=words)
    monkeypatch.setattr(data, "load", lambda name: dataset)
    kind = {"data": "docs8"} if texts else {"data": "shapes10"}
    result = train(recipe(("adam",), model=name, epochs=8, batch_size=15, precision=precision, **kind))
    losses = [point.loss for point in result.points]
    assert losses[-1] < losses[0]
    network = build(name, 3, torch.Generator(), dataset.shape)
    assert sum(parameter.numel() for parameter in network.parameters()) == len(result.racers[0].weights)
    nn.utils.vector_to_parameters(torch.from_numpy(result.racers[0].weights), network.parameters())
    images = torch.from_numpy(dataset.test_images)
    if not texts:
        images = images / 255
        if MODELS[name].preprocess:
            deviation, mean = torch.std_mean(images, (1, 2, 3), correction=0, keepdim=True)
            images = (images - mean) / deviation
        if MODELS[name].preprocess == "whiten":  # by the training pictures
            rows = torch.from_numpy(dataset.train_images).double().div(255).flatten(1)
            deviation, mean = torch.std_mean(rows, 1, correction=0, keepdim=True)
            rows = (rows - mean) / deviation
            covariance = rows.T.cov(correction=0) + 0.1 * torch.eye(rows.shape[1])
            values, vectors = torch.linalg.eigh(covariance)
            matrix = vectors @ (values.rsqrt()[:, None] * vectors.T)
            images = ((images.flatten(1) - rows.mean(0)) @ matrix).view(images.shape).float()
    with torch.no_grad():
        logits = network.eval()(images)
    loss = nn.functional.cross_entropy(logits, torch.from_numpy(dataset.test_labels)).item()
    assert result.racers[0].test_loss == pytest.approx(loss, rel=1e-4 if precision == "fp32" else 0.05)


def _watch_masks(monkeypatch):
    """Note the hash of each mask a network uses, network by network."""
    seen = {}
    forward = Dropout.forward

    def watched(layer, x):
        if layer.training:
            seen.setdefault(layer, []).append(
                hashlib.sha256(layer.mask.float().numpy().tobytes()).hexdigest()
            )
        return forward(layer, x)

    monkeypatch.setattr(Dropout, "forward", watched)
    return seen


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_all_racers_have_the_same_masks_at_a_step(easy_data, monkeypatch, precision):
    seen = _watch_masks(monkeypatch)
    train(recipe(dropout=0.4, precision=precision))
    layers = list(seen.values())  # two of each racer's
    assert len(layers) == 6
    assert all(len(hashes) == len(set(hashes)) == 8 for hashes in layers)  # another at each of 8 steps
    assert len({tuple(hashes) for hashes in layers}) == 2  # the racers' first layers, and their second
    other = _watch_masks(monkeypatch)
    train(recipe(("adam",), dropout=0.4, precision=precision, seed=1))
    assert not {one for hashes in other.values() for one in hashes} & {
        one for hashes in layers for one in hashes
    }


def test_a_mask_keeps_its_share_and_its_sum(easy_data, monkeypatch):
    masks = []
    forward = Dropout.forward

    def watched(layer, x):
        if layer.training:
            assert layer.mask.shape == x.shape
            masks.append(layer.mask)
        return forward(layer, x)

    monkeypatch.setattr(Dropout, "forward", watched)
    train(recipe(("adam",), dropout=0.25))
    every = torch.cat([mask.flatten() for mask in masks])
    assert set(every.tolist()) == {0.0, torch.tensor(4 / 3).item()}
    assert every.mean().item() == pytest.approx(1, abs=0.01)


def test_all_racers_see_the_same_changed_pictures(easy_data, monkeypatch):
    """Every lane steps on one batch; the changes hang on seed and step alone."""
    seen = {}
    step = Lane.step

    def watched(lane, batch):
        seen.setdefault(lane.index, []).append(batch.images.float().numpy().tobytes())
        step(lane, batch)

    monkeypatch.setattr(Lane, "step", watched)
    train(recipe(augment="crop+flip+jitter"))
    assert len(seen) == 3
    assert len({tuple(batches) for batches in seen.values()}) == 1
    changed = seen[0]
    seen.clear()
    train(recipe(("adam",), augment="crop+flip+jitter"))
    assert seen[0] == changed
    seen.clear()
    plain = train(recipe(("adam",)))
    assert seen[0] != changed
    assert all(a != b for a, b in zip(seen[0], changed, strict=True))
    assert plain.racers[0].batches_sha256 == train(recipe(("adam",), augment="flip")).racers[0].batches_sha256


def test_dropout_equals_plain_torch_with_the_same_masks(easy_data, one_thread, monkeypatch):
    """keras_cnn with dropout, as plain code that multiplies by the masks the race has drawn."""
    masks = []
    forward = Dropout.forward

    def watched(layer, x):
        if layer.training:
            masks.append(layer.mask)
        return forward(layer, x)

    monkeypatch.setattr(Dropout, "forward", watched)
    config = recipe(("adam(lr=1e-5)",), epochs=4, batch_size=120, dropout=0.5)
    result = train(config)
    begun = train(config, _stop_at(Started)).racers[0].weights
    head = nn.Sequential(
        *(nn.Conv2d(3, 32, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(64, 64, 3), nn.ReLU(), nn.Flatten()),
    )
    dense, last = nn.Linear(1024, 64), nn.Linear(64, 10)
    weights = [*head.parameters(), *dense.parameters(), *last.parameters()]
    nn.utils.vector_to_parameters(torch.from_numpy(begun.copy()), weights)
    optimizer = torch.optim.Adam(weights, lr=1e-5)
    order = _order_of(config)
    losses = []
    for epoch in range(4):
        images = torch.from_numpy(easy_data.train_images)[order[epoch]] / 255
        labels = torch.from_numpy(easy_data.train_labels)[order[epoch]]
        optimizer.zero_grad()
        hidden = torch.relu(dense(head(images) * masks[2 * epoch]))
        loss = nn.functional.cross_entropy(last(hidden * masks[2 * epoch + 1]), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert [point.loss for point in result.points] == pytest.approx(losses, rel=1e-5)


def _order_of(config):
    """Return the order of the training pictures in each epoch."""
    shuffle = Seed(0, config.seed).shuffle
    return [torch.randperm(120, generator=shuffle) for _ in range(config.epochs)]


def test_what_a_step_draws_hangs_on_seed_and_step_alone():
    def draw(number, purpose, step):
        return torch.rand(3, generator=Seed(0, number).random(purpose, step)).tolist()

    assert draw(5, 0, 7) == draw(5, 0, 7)
    assert len({tuple(draw(n, p, s)) for n in (0, 5) for p in (0, 1) for s in (0, 7, 2**31)}) == 12


def test_standardised_pictures():
    images = torch.rand(5, 3, 8, 8)
    images[0] = 0.3  # of one colour
    found = standardised(images)
    assert not found[0].abs().max() > 1e-5
    assert torch.allclose(found[1:].mean((1, 2, 3)), torch.zeros(4), atol=1e-5)
    assert torch.allclose(found[1:].std((1, 2, 3), correction=0), torch.ones(4), atol=1e-4)
