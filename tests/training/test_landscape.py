"""Planes are where they say, and the loss on them is the network's own."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from app.cli import run
from optimizers.training import StopTraining, TrainConfig, train
from optimizers.training import pictures as racing
from optimizers.training import probe as probing
from optimizers.training.data import DataError
from optimizers.training.landscape import (
    Order,
    line,
    loss_grid,
    measure,
    open_landscape,
    pca_plane,
    places,
    random_plane,
)
from optimizers.training.models import build
from optimizers.training.preprocessing import whitening_of
from optimizers.training.probe import Pictures, look, shapes
from optimizers.training.snapshots import Snapshots, load, mark

RACERS = ("adam", "rmsprop(lr=0.001)")


def weights_of(network: nn.Module) -> np.ndarray:
    return nn.utils.parameters_to_vector(network.parameters()).detach().numpy()


def plainly(weights: np.ndarray, images: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Loss and accuracy as anyone would write them down, in float64."""
    network = build("keras_cnn", 10, torch.Generator()).double()
    nn.utils.vector_to_parameters(torch.from_numpy(weights.astype(np.float64)), network.parameters())
    with torch.no_grad():
        logits = network(torch.from_numpy(images).double() / 255)
    truth = torch.from_numpy(labels)
    loss = nn.functional.cross_entropy(logits, truth).item()
    return loss, (logits.argmax(1) == truth).double().mean().item()


@pytest.fixture(scope="module")
def pictures():
    random = np.random.default_rng(1)
    images = random.integers(0, 256, (130, 3, 32, 32), dtype=np.uint8)
    return Pictures(images, random.integers(0, 10, 130), 10)


@pytest.fixture(scope="module")
def corner():
    """A network's weights and two directions from them."""
    network = build("keras_cnn", 10, torch.Generator().manual_seed(3))
    with torch.no_grad():
        for parameter in network.parameters():  # biases that are not zero
            parameter.add_(0.02 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(4)))
    weights = weights_of(network)
    axes = 0.03 * np.random.default_rng(5).standard_normal((2, weights.size))
    return weights, axes.astype(np.float32)


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def run_folder(easy_data, tmp_path_factory):
    """A short run that kept five snapshots of two racers, exact arithmetic."""
    folder = tmp_path_factory.mktemp("run")
    config = TrainConfig(
        RACERS, epochs=4, batch_size=30, snapshots=5, device="cpu", precision="fp32", threads=1
    )
    return folder, train(config, folder=folder)


def cloud(count: int, size: int, seed: int = 0) -> Snapshots:
    """Snapshots of no network: a path of each of two racers in `size` dimensions."""
    random = np.random.default_rng(seed)
    steps = random.standard_normal((count, size)) * np.linspace(1, 3, size)
    config = TrainConfig(RACERS)
    racer = np.arange(count) % 2
    return Snapshots(config, np.sort(racer), np.arange(count), np.cumsum(steps, 0).astype(np.float32) + 100)


# Snapshots --------------------------------------------------------------------------------------------------


def test_a_run_keeps_its_start_its_end_and_some_between(run_folder):
    folder, result = run_folder
    kept = load(folder)
    assert kept.config == result.config
    for place, racer in enumerate(result.racers):
        steps = kept.step[kept.of(place)]
        assert list(steps) == [0, 1, 4, 9, 16]  # 16 · (k/4)²
        assert np.array_equal(kept.end(place), racer.weights)  # to the bit
    first = kept.weights[kept.step == 0]
    assert np.array_equal(first[0], first[1])
    assert np.array_equal(first[0], weights_of_start(result))
    assert not (kept.end(0) == kept.end(1)).all()


def weights_of_start(result):
    def stop_at_once(event):
        raise StopTraining

    found = train(result.config, stop_at_once)
    return found.racers[0].weights


def test_sets_between_are_half_as_large_and_off_by_a_part_in_2048(run_folder, easy_data, tmp_path):
    folder, _ = run_folder
    between = np.load(folder / "snapshots" / "0-0-4.npy")
    assert between.dtype == np.float16
    shorter = TrainConfig(
        RACERS, epochs=1, batch_size=30, snapshots=2, device="cpu", precision="fp32", threads=1
    )
    exact = train(shorter, folder=tmp_path).racers[0].weights  # the same first four steps
    assert np.all(np.abs(between - exact) <= np.abs(exact) / 2048 + 3e-8)


def test_a_stopped_run_keeps_where_it_ended_and_another_run_starts_anew(easy_data, tmp_path):
    def stop_after_three(event):
        if getattr(event, "step", 0) >= 3:
            raise StopTraining

    config = TrainConfig(("adam",), epochs=9, batch_size=30, snapshots=4, device="cpu", precision="fp32")
    stopped = train(config, stop_after_three, folder=tmp_path)
    kept = load(tmp_path)
    assert kept.step.max() == stopped.steps
    assert np.array_equal(kept.end(0), stopped.racers[0].weights)
    other = TrainConfig(("rmsprop(lr=0.001)",), epochs=1, batch_size=60, snapshots=2, device="cpu")
    train(other, folder=tmp_path)
    assert list(load(tmp_path).step) == [0, 2]


def test_a_racer_that_diverges_ends_at_its_last_finite_weights(easy_data, tmp_path):
    config = TrainConfig(("gd(lr=1e6)", "adam"), epochs=3, batch_size=30, snapshots=12, device="cpu")
    train(config, folder=tmp_path)
    kept = load(tmp_path)
    assert np.isfinite(kept.weights).all()
    assert kept.step[kept.of(0)].max() < kept.step[kept.of(1)].max() == 12


def test_marks_are_all_met_in_order():
    for total, count in ((1, 2), (7, 24), (500, 24), (15_640, 2)):
        marks = [mark(step, total, count) for step in range(total + 1)]
        assert marks[0] == 0
        assert marks[-1] == count - 1
        assert marks == sorted(marks)


@pytest.mark.parametrize("snapshots", [1, -2, 1.5, True, 1001])
def test_a_bad_number_of_snapshots_is_said(snapshots):
    with pytest.raises(ValueError, match="snapshots is"):
        TrainConfig(RACERS, snapshots=snapshots)


def test_what_is_missing_or_damaged_is_said_in_a_sentence(run_folder, tmp_path):
    with pytest.raises(DataError, match=r"no snapshots in .*: train with --snapshots 24"):
        load(tmp_path)
    folder, _ = run_folder
    with pytest.raises(ValueError, match="racers is"):
        load(folder, [2])
    with pytest.raises(DataError, match="no snapshots of these racers"):
        load(folder, seed=1)
    copy = tmp_path / "snapshots"
    copy.mkdir()
    for file in (folder / "snapshots").iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    (copy / "0-0-4.npy").write_bytes(b"\x93NUMPY and no more")
    with pytest.raises(DataError, match=r"0-0-4.npy can't be read, so remove it"):
        load(tmp_path)
    np.save(copy / "0-0-4.npy", np.zeros(3))
    with pytest.raises(DataError, match="of another network"):
        load(tmp_path)
    (copy / "config.json").write_text("{")
    with pytest.raises(DataError, match="train once more"):
        load(tmp_path)


# Planes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [40, 200_000])
def test_principal_axes_are_those_of_an_svd(size):
    snapshots = cloud(9, size)
    plane = pca_plane(snapshots)
    centred = snapshots.weights.astype(np.float64)
    centred -= centred.mean(0)
    left, singular, right = np.linalg.svd(centred, full_matrices=False)
    share = singular**2 / np.sum(singular**2)
    assert plane.explained == pytest.approx(tuple(share[:2]), rel=1e-6)
    assert plane.axes @ plane.axes.T == pytest.approx(np.eye(2), abs=1e-5)
    assert np.abs(np.einsum("ip,ip->i", plane.axes, right[:2])) == pytest.approx(np.ones(2), abs=1e-5)
    spots, off = plane.shadows(snapshots.weights)
    assert np.abs(spots) == pytest.approx(np.abs(left[:, :2] * singular[:2]), rel=1e-4, abs=1e-2)
    assert off == pytest.approx(np.sqrt(np.sum((left[:, 2:] * singular[2:]) ** 2, 1)), rel=1e-4)
    ends = spots[[snapshots.of(0)[-1], snapshots.of(1)[-1]]].sum(0)
    assert (ends >= 0).all()  # the axes point the way the racers go


def test_a_path_on_a_plane_has_no_distance_from_it_and_one_on_a_line_has_no_plane():
    flat = cloud(8, 300)
    basis = np.random.default_rng(2).standard_normal((2, 300))
    spread = np.random.default_rng(3).standard_normal((8, 2))
    on_plane = Snapshots(flat.config, flat.racer, flat.step, (5 + spread @ basis).astype(np.float32))
    plane = pca_plane(on_plane)
    assert sum(plane.explained) == pytest.approx(1)
    assert plane.shadows(on_plane.weights)[1].max() < 1e-3
    on_line = Snapshots(
        flat.config, flat.racer, flat.step, np.outer(spread[:, 0], basis[0]).astype(np.float32)
    )
    with pytest.raises(ValueError, match="not in one line"):
        pca_plane(on_line)
    few = Snapshots(flat.config, flat.racer[:2], flat.step[:2], flat.weights[:2])
    with pytest.raises(ValueError, match="at least three snapshots"):
        pca_plane(few)


def test_random_directions_are_as_long_as_the_networks_filters_and_leave_biases(corner, pictures):
    weights, _ = corner
    sizes = shapes("keras_cnn", pictures)
    plane = random_plane(weights, sizes, seed=7)
    again, other = random_plane(weights, sizes, seed=7), random_plane(weights, sizes, seed=8)
    assert np.array_equal(plane.axes, again.axes)
    assert not np.array_equal(plane.axes, other.axes)
    start, filters = 0, 0
    for shape in sizes:
        part = slice(start, start + math.prod(shape))
        start = part.stop
        for axis in plane.axes:
            if len(shape) == 1:
                assert not axis[part].any()
                continue
            for own, direction in zip(
                weights[part].reshape(shape[0], -1), axis[part].reshape(shape[0], -1), strict=True
            ):
                assert np.linalg.norm(direction) == pytest.approx(np.linalg.norm(own), rel=1e-5)
                filters += 1
    assert filters == 2 * (32 + 64 + 64 + 64 + 10)
    cosine = plane.axes[0] @ plane.axes[1] / np.prod(np.linalg.norm(plane.axes, axis=1))
    assert abs(cosine) < 0.02


def test_every_network_is_looked_at_as_its_race_looks(pictures, tmp_path):
    """Other shapes, a network of blocks, texts: the loss of the weights is what a race's own network has."""
    random = np.random.default_rng(0)
    texts = Pictures(random.integers(0, 50, (12, 20)), random.integers(0, 3, 12), 3, (20, 50))
    grey = Pictures(
        random.integers(0, 256, (12, 1, 8, 8), dtype=np.uint8), random.integers(0, 10, 12), 10, (1, 8, 8)
    )
    few = replace(pictures, images=pictures.images[:12], labels=pictures.labels[:12])
    for model, of in (
        ("text_cnn", texts),
        ("image_mlp", grey),
        ("resnet_small", few),
        ("adam_paper_cnn", few),
    ):
        network = build(model, of.classes, torch.Generator().manual_seed(1), of.shape)
        weights = weights_of(network)
        of = replace(of, whitening=whitening_of(model, of.images, "cpu"))
        for precision in ("fp32", "bf16"):
            seen = look(model, weights, weights[None], np.array([[0.0], [0.5]]), of, precision=precision)
            assert np.isfinite(seen.loss).all()
            assert seen.loss[0] != seen.loss[1]
        config = TrainConfig(("gd",), data="shapes10", model="keras_cnn", precision="fp32", device="cpu")
        race = racing.Pictures(of.images, of.labels, replace(config, **fitting(model)), of.whitening)
        (batch,) = race.batches(torch.arange(len(of.labels)), 12)
        with torch.no_grad():
            expected = nn.functional.cross_entropy(network.eval()(batch.images), batch.labels).item()
        exact = look(model, weights, weights[None], np.zeros((1, 1)), of)
        assert exact.loss[0] == pytest.approx(expected, rel=1e-5)


def fitting(model):
    return {"model": model, "data": {"text_cnn": "docs8", "image_mlp": "digits"}.get(model, "shapes10")}


def test_a_shadow_is_the_nearest_point_of_a_slanted_plane():
    random = np.random.default_rng(0)
    plane = random_plane(random.standard_normal(60).astype(np.float32), [(6, 10)], seed=1)
    weights = random.standard_normal((5, 60)).astype(np.float32)
    spots, off = plane.shadows(weights)
    for row, spot, distance in zip(weights, spots, off, strict=True):
        best, residual, *_ = np.linalg.lstsq(plane.axes.T, row - plane.origin, rcond=None)
        assert spot == pytest.approx(best, rel=1e-4, abs=1e-5)
        assert distance == pytest.approx(math.sqrt(residual[0]), rel=1e-4)


def test_a_line_has_its_ends_at_0_and_1(corner):
    weights, axes = corner
    other = weights + axes[0]
    track = line(weights, other, ("a", "b"))
    spots, off = track.shadows(np.stack([weights, other]))
    assert spots[:, 0] == pytest.approx([0, 1], abs=1e-5)
    assert off.max() < 1e-3


# Loss -------------------------------------------------------------------------------------------------------


def test_the_grid_is_the_networks_own_loss(corner, pictures, two_threads):
    weights, _ = corner
    plane = random_plane(weights, shapes("keras_cnn", pictures), seed=0)
    x, y = np.array([-0.5, 0.25, 1.0]), np.array([-1.0, 0.5])
    loss, accuracy = loss_grid("keras_cnn", plane, x, y, pictures)
    assert loss.shape == accuracy.shape == (2, 3)
    for j, i in ((0, 0), (0, 2), (1, 1)):
        there = weights + x[i] * plane.axes[0] + y[j] * plane.axes[1]
        expected = plainly(there, pictures.images, pictures.labels)
        assert loss[j, i] == pytest.approx(expected[0], rel=1e-5)
        assert accuracy[j, i] == pytest.approx(expected[1])


def test_taken_apart_it_sees_what_the_whole_network_sees(corner, pictures, two_threads, monkeypatch):
    """In bf16 both round at the same places, but for the order of a sum."""
    weights, axes = corner
    spots = np.random.default_rng(0).uniform(-1, 1, (5, 2))
    apart = look("keras_cnn", weights, axes, spots, pictures, precision="bf16")
    exact = look("keras_cnn", weights, axes, spots, pictures)
    monkeypatch.setattr(probing, "LARGEST", 0.0)
    whole = look("keras_cnn", weights, axes, spots, pictures, precision="bf16")
    assert apart.loss == pytest.approx(whole.loss, rel=1e-3)
    assert apart.loss == pytest.approx(exact.loss, rel=5e-3)
    assert np.abs(apart.accuracy - whole.accuracy).max() <= 2 / 130


def test_pool_and_relu_over_whole_numbers_are_exact():
    random = torch.Generator().manual_seed(0)
    for shape in ((3, 8, 13, 13), (2, 5, 6, 9)):
        numbers = (4 * torch.randn(shape, generator=random) - 1).bfloat16()
        numbers[0, 0] = torch.tensor(-0.0).bfloat16()
        numbers = numbers.contiguous(memory_format=torch.channels_last)
        expected = torch.relu(nn.functional.max_pool2d(numbers, 2))
        assert torch.equal(probing._largest_of_four(numbers), expected)


def test_weights_that_could_overflow_are_looked_at_whole(corner, pictures, monkeypatch):
    weights, axes = corner
    monkeypatch.setattr(probing._Probe, "take_apart", lambda self: pytest.fail("taken apart"))
    seen = look("keras_cnn", weights * 1e8, axes, np.zeros((1, 2)), pictures, precision="bf16")
    assert seen.loss[0] > 1e20
    lost = look("keras_cnn", weights * 1e12, axes, np.zeros((1, 2)), pictures, precision="bf16")
    assert lost.loss[0] == math.inf


def test_progress_counts_and_what_it_raises_ends_the_work(corner, pictures, two_threads):
    weights, axes = corner
    spots, told = np.zeros((40, 2)), []

    def stop_at_five(done, of):
        told.append((done, of))
        if done == 5:
            raise StopTraining

    few = Pictures(pictures.images[:2], pictures.labels[:2], 10)
    with pytest.raises(StopTraining):
        look("keras_cnn", weights, axes, spots, few, progress=stop_at_five)
    assert told == [(k, 40) for k in range(1, 6)]
    assert torch.get_num_threads() == 2


# A landscape, whole -----------------------------------------------------------------------------------------


def test_a_landscape_of_a_run_is_what_it_says_and_is_kept(run_folder, easy_data, tmp_path):
    folder, result = run_folder
    told = []
    found = measure(
        load(folder),
        Order(size=7, pictures=100, device="cpu", precision="fp32"),
        lambda done, of: told.append((done, of)),
    )
    assert told[-1] == (7 * 7 + 10, 7 * 7 + 10)
    assert [done for done, _ in told] == list(range(1, 60))
    assert found.loss.shape == (7, 7)
    assert found.error is None
    assert sum(found.explained) > 0.5
    images, labels = easy_data.train_images[:100], easy_data.train_labels[:100]
    ends = [int(np.flatnonzero(found.racer == place)[-1]) for place in (0, 1)]
    for end, racer in zip(ends, result.racers, strict=True):
        assert found.own[end] == pytest.approx(plainly(racer.weights, images, labels), rel=1e-4)
        assert found.x[0] < found.shadow[end, 0] < found.x[-1]
    plane = pca_plane(load(folder))
    middle = plane.origin + found.x[3] * plane.axes[0] + found.y[3] * plane.axes[1]
    assert found.loss[3, 3] == pytest.approx(plainly(middle, images, labels)[0], rel=1e-4)
    assert f"{100 * sum(found.explained):.3g} %" in found.words
    assert f"up to {found.off.max():.3g} off it" in found.words

    found.save(tmp_path / "kept.npz")
    again = open_landscape(tmp_path / "kept.npz")
    assert again.to_json() == found.to_json()
    json.dumps(again.to_json(), allow_nan=False)
    (tmp_path / "kept.npz").write_bytes(b"PK")
    with pytest.raises(DataError, match="measure it again"):
        open_landscape(tmp_path / "kept.npz")


def test_bf16_states_its_error_against_fp32(run_folder, easy_data):
    folder, _ = run_folder
    under = {"size": 5, "pictures": 60, "device": "cpu", "plane": "random"}
    exact = measure(load(folder, [1]), Order(**under, precision="fp32"))
    rounded = measure(load(folder, [1]), Order(**under, precision="bf16"))
    off = np.abs(rounded.loss / exact.loss - 1)[::2, ::2]
    assert rounded.error == pytest.approx(off.max(), rel=1e-2)
    assert 0 < rounded.error < 0.02
    assert exact.x[2] == exact.y[2] == 0
    assert exact.loss[2, 2] == pytest.approx(exact.own[-1, 0], rel=1e-5)  # its middle is the racer's end


def test_a_line_tells_training_and_test_apart(run_folder, easy_data):
    folder, result = run_folder
    found = measure(load(folder), Order("line", size=7, pictures=120, device="cpu", precision="fp32"))
    assert found.x == pytest.approx(np.linspace(-0.25, 1.25, 7))
    assert found.tests.shape == (7, 2)
    for place, racer in ((1, result.racers[0]), (5, result.racers[1])):
        assert found.x[place] == pytest.approx((place - 1) / 4, abs=1e-9)
        trained = plainly(racer.weights, easy_data.train_images, easy_data.train_labels)
        tested = plainly(racer.weights, easy_data.test_images, easy_data.test_labels)
        assert (found.loss[0, place], found.accuracy[0, place]) == pytest.approx(trained, rel=1e-4)
        assert found.tests[place] == pytest.approx(tested, rel=1e-4)
    with pytest.raises(ValueError, match="name two"):
        measure(load(folder, [0]), Order("line", racers=(0,), size=5, device="cpu"))


@pytest.mark.parametrize(
    ("setting", "value"),
    [("plane", "map"), ("size", 4), ("size", 402), ("pictures", 0), ("seed", -1), ("size", 5.0)],
)
def test_a_bad_order_is_said(setting, value):
    with pytest.raises(ValueError, match=f"{setting} is {value!r}, but takes"):
        Order(**{setting: value})


def test_racers_are_named_or_counted():
    config = TrainConfig(("adam", "adam(bias_correction=False)", "rmsprop"))
    assert places(["2", "rmsprop", "adam(bias_correction=False)"], config) == (1, 2, 1)
    assert places(["adam"], config) == (0,)  # as it was written, though two bear the name
    with pytest.raises(
        ValueError, match="racers is 'lion', but takes one that ran, by name or number: 1 adam"
    ):
        places(["lion"], config)


def test_the_command_measures_and_writes(run_folder, easy_data, tmp_path, capsys):
    folder, _ = run_folder
    out = tmp_path / "map.csv"
    command = ["landscape", str(folder), "--size", "5", "--pictures", "30", "--device", "cpu", "--out"]
    assert run([*command, str(out)]) == 0
    said = capsys.readouterr().out
    assert "This plane holds" in said
    assert "off from fp32 by at most" in said or "in fp32" in said
    rows = out.read_text().splitlines()
    assert rows[0] == "what,racer,step,x,y,off_plane,loss,accuracy"
    assert len(rows) == 1 + 25 + 10
    assert rows[-1].startswith("snapshot,rmsprop(lr=0.001),16,")
    assert run([*command, str(tmp_path / "map.gif")]) == 2
    assert run([*command, str(tmp_path / "a.html"), "--plane", "line"]) == 2
    assert ".csv, .json, .npz" in capsys.readouterr().err
    assert run(["landscape", str(tmp_path)]) == 1
    assert run(["landscape", "1f2e3d4c"]) == 2
    assert run(["landscape", str(folder), "--racers", "lion"]) == 2
    assert run(["train", "-o", "adam", "--snapshots", "5", "--data", "shapes10"]) == 2
    assert "name one with --out DIR" in capsys.readouterr().err
