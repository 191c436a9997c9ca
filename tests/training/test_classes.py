"""What is shown of the test pictures: confusion, filters, mistakes; and the file of what lies inside."""

import csv
import math

import numpy as np
import pytest
import torch
from sklearn.metrics import confusion_matrix
from torch import nn

from optimizers.training import Look, TrainConfig, jobs, train
from optimizers.training.classes import MISTAKES, MOST_BYTES, confusion, first_filters, look_at
from optimizers.training.inside_csv import write_inside
from optimizers.training.store import LookRow, PictureRow, Store

SETTINGS = {"epochs": 2, "batch_size": 32, "device": "cpu", "precision": "fp32", "threads": 1}


def test_confusion_is_scikit_learns() -> None:
    random = np.random.default_rng(0)
    labels, predictions = random.integers(0, 5, (2, 300))
    expected = confusion_matrix(labels, predictions, labels=range(5))
    np.testing.assert_array_equal(confusion(labels, predictions, 5), expected)


def test_first_filters_are_the_weights_by_their_largest() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 5), nn.ReLU(), nn.Flatten(), nn.Linear(4, 2))
    network = network.to(memory_format=torch.channels_last)
    filters, largest = first_filters(network, (3, 32, 32))
    weights = network[0].weight.detach().numpy()
    assert filters.shape == (4, 5, 5, 3)
    assert largest == pytest.approx(np.abs(weights).max())
    np.testing.assert_allclose(
        filters.transpose(0, 3, 1, 2) * largest / 127, weights, atol=0.51 * largest / 127
    )

    dense = nn.Sequential(nn.Flatten(), nn.Linear(64, 7))
    filters, _ = first_filters(dense, (1, 8, 8))
    assert filters.shape == (7, 8, 8, 1)
    strongest = dense[1].weight[3].abs().argmax().item()  # another may be rounded to the same number
    assert np.abs(filters[3]).flat[strongest] == np.abs(filters[3]).max() > 0


@pytest.mark.parametrize(
    ("network", "shape"),
    [
        (nn.Sequential(nn.Embedding(9, 4), nn.Flatten(), nn.Linear(4, 2)), (1,)),
        (nn.Sequential(nn.Flatten(), nn.Linear(12, 2)), (3, 2, 2)),
    ],
)
def test_what_does_not_begin_with_pictures_has_no_filters(network: nn.Module, shape: tuple[int, ...]) -> None:
    if len(shape) == 3:
        nn.init.constant_(network[1].weight, math.nan)  # diverged
    assert first_filters(network, shape)[0].size == 0


def test_a_look_is_bounded_and_its_mistakes_are_the_surest() -> None:
    random = np.random.default_rng(1)
    labels, predictions = random.integers(0, 3, (2, 2_000))
    confidence = random.random(2_000).astype(np.float32)
    images = random.integers(0, 256, (2_000, 3, 4, 4), dtype=np.uint8)
    network = nn.Sequential(nn.Flatten(), nn.Linear(48, 9_000))
    one = look_at(network, (3, 4, 4), images, labels, predictions, confidence, 3, 1, 20, 4)
    assert (one.racer, one.step, one.epoch) == (1, 20, 4)
    assert len(one.positions) == MISTAKES
    assert (np.diff(one.confidence) <= 0).all()
    assert (one.labels != one.predictions).all()
    np.testing.assert_array_equal(one.labels, labels[one.positions])
    np.testing.assert_array_equal(one.pictures, images[one.positions].transpose(0, 2, 3, 1))
    assert 0 < one.filters.nbytes <= MOST_BYTES
    many = look_at(network, (3, 4, 4), images, labels, predictions, confidence, 1_000, 0, 1, 1)
    assert many.confusion.size == 0


def test_a_run_looks_at_each_evaluation_and_the_store_keeps_it(easy_data, tmp_path) -> None:
    store, looks = Store(f"sqlite:///{tmp_path / 'runs.sqlite'}"), []
    run_id = store.create({"racers": ["adam"]})
    with jobs.Recorder(store, run_id) as record:

        def listen(event):
            record(event)
            if isinstance(event, Look):
                looks.append(event)

        result = train(TrainConfig(("adam", "gd(lr=0.1)"), seeds=2, **SETTINGS), listen)
    assert sorted((one.seed, one.racer, one.epoch) for one in looks) == list(np.ndindex(2, 2, 3))
    for one in looks[-4:]:
        racer = next(
            r for r in result.racers if r.notation == result.config.racers[one.racer] and r.seed == one.seed
        )
        expected = confusion_matrix(easy_data.test_labels, racer.predictions, labels=range(10))
        np.testing.assert_array_equal(one.confusion, expected)
    for seed in range(2):
        found = store.looks(run_id, seed=seed)
        rows: list[LookRow] = found.looks
        own = [one for one in looks if one.seed == seed]
        assert [row.confusion for row in rows] == [one.confusion.tolist() for one in own]
        assert rows[-1].filters == own[-1].filters.tobytes()
    pictures: list[PictureRow] = found.pictures
    assert {row.position for row in pictures} == {p for one in looks for p in one.positions.tolist()}
    shown = np.frombuffer(pictures[0].data, np.uint8).reshape(pictures[0].shape)
    np.testing.assert_array_equal(shown, easy_data.test_images[pictures[0].position].transpose(1, 2, 0))
    run = store.get(run_id)
    assert run is not None
    assert (run.layers, run.classes) == (list(result.layers), list(easy_data.classes))
    assert run.memory > 1e7
    inside = store.inside(run_id).insides
    assert len(inside) == len(result.insides)
    store.close()


def test_what_lies_inside_is_written_as_a_table(easy_data, monkeypatch, tmp_path) -> None:
    monkeypatch.setattr("optimizers.training.race.PICTURES", 10)
    config = TrainConfig(("gd(lr=0.1)", "adam"), seed=5, telemetry=2, sharpness=4, **SETTINGS)
    result = train(config)
    measured = (result.steps_per_epoch, result.insides, result.sharpnesses)
    write_inside(tmp_path / "inside.csv", result.config, result.layers, *measured)
    with (tmp_path / "inside.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == sorted(int(row["step"]) for row in rows)
    assert len(rows) == 2 * 5 * 6 + 2 * 2  # steps 1, 2, 4, 6, 8; sharpness at 4 and 8
    assert {row["layer"] for row in rows} == {"all", *result.layers}
    first = next(row for row in rows if row["racer"] == "gd(lr=0.1)" and row["layer"] == "conv 2")
    assert (first["seed"], first["under_eps"], first["epoch"]) == ("5", "", "0.25")
    told = next(one for one in result.insides if (one.racer, one.step, one.layer) == (0, 1, 1))
    assert float(first["distance"]) == told.distance
    sharp = [row for row in rows if row["sharpness"]]
    assert [float(row["sharpness"]) for row in sharp] == [one.raw for one in result.sharpnesses]
    assert sharp[0]["ratio"] == ""
