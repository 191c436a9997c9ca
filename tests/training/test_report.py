import csv
import json

import matplotlib.image
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from optimizers import OPTIMIZERS
from optimizers.training import Started, StopTraining, TrainConfig, train
from optimizers.training.report import write_report

RACERS = ("adam", "adam(bias_correction=False)", "gd(lr=1000000)")


@pytest.fixture(scope="module")
def run(easy_data):
    return train(TrainConfig(racers=RACERS, epochs=4, batch_size=30, device="cpu", precision="fp32"))


def strict_json(path):
    """Read JSON as anyone can: without the NaN that Python writes and others refuse."""

    def refuse(constant):
        raise AssertionError(constant)

    return json.loads(path.read_text("utf-8"), parse_constant=refuse)


def test_config_repeats_the_run(run, tmp_path):
    write_report(run, tmp_path)
    config = TrainConfig.from_json((tmp_path / "config.json").read_text("utf-8"))
    assert (config.device, config.precision) == ("cpu", "fp32")
    assert config.threads is not None
    again = train(config)
    assert np.array_equal(again.racers[0].weights, run.racers[0].weights)


def test_summary(run, easy_data, tmp_path):
    write_report(run, tmp_path)
    summary = strict_json(tmp_path / "summary.json")
    adam, uncorrected, gd = summary["racers"]
    assert [racer["notation"] for racer in summary["racers"]] == list(RACERS)
    assert uncorrected["label"] == "Adam, uncorrected"
    assert adam["test_accuracy"] == run.racers[0].test_accuracy == run.evaluations[-2].accuracy
    assert adam["test_loss"] == run.racers[0].test_loss
    assert adam["samples_per_second"] == pytest.approx(480 / adam["seconds"])
    truth, answers = easy_data.test_labels, run.racers[0].predictions
    for number, name in enumerate(easy_data.classes):
        right = np.sum((truth == number) & (answers == number))
        precision, recall = right / max(1, np.sum(answers == number)), right / np.sum(truth == number)
        assert adam["precision"][name] == pytest.approx(precision)
        assert adam["recall"][name] == pytest.approx(recall)
        f1 = 2 * precision * recall / max(precision + recall, 1e-9)
        assert adam["f1"][name] == pytest.approx(f1)
    assert len({racer["initial_weights_sha256"] for racer in summary["racers"]}) == 1
    assert adam["batches_sha256"] == uncorrected["batches_sha256"]
    assert gd["diverged_at"] == run.racers[2].diverged_at
    assert gd["test_accuracy"] is gd["test_loss"] is gd["f1"] is None
    assert (summary["device"], summary["seed"], summary["precision"]) == ("cpu", 0, "fp32")
    assert {"python", "torch", "numpy", "adamscope"} <= set(summary["versions"])
    assert summary["data_note"] == easy_data.note


def test_metrics_hold_every_point(run, tmp_path):
    write_report(run, tmp_path)
    with (tmp_path / "metrics.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(run.points) + len(run.evaluations)
    steps = [int(row["step"]) for row in rows]
    assert steps == sorted(steps)
    trained = [row for row in rows if row["split"] == "train" and row["racer"] == "adam"]
    assert [float(row["loss"]) for row in trained] == [p.loss for p in run.points if p.racer == 0]
    assert [float(row["epoch"]) for row in trained] == [(k + 1) / 4 for k in range(16)]
    tested = [row for row in rows if row["split"] == "test" and row["racer"] == "adam"]
    assert [float(row["accuracy"]) for row in tested] == [e.accuracy for e in run.evaluations if e.racer == 0]
    diverged = [row for row in rows if row["split"] == "train" and row["racer"] == RACERS[2]]
    assert diverged[-1]["loss"] == "nan"


def test_curves_wear_the_racers_colours(run, tmp_path):
    folder = write_report(run, tmp_path / "new" / "run")
    assert len(list(folder.iterdir())) == 4
    picture = matplotlib.image.imread(folder / "curves.png")[:, :, :3]
    assert picture.shape[:2] == (800, 1760)
    for name in ("adam", "gd"):
        near = np.abs(picture - to_rgb(OPTIMIZERS[name].light)).max(axis=2) < 0.02
        assert near.sum() > 300


def test_a_run_stopped_at_once_has_a_report(easy_data, tmp_path):
    def stop(event):
        assert isinstance(event, Started)
        raise StopTraining

    write_report(train(TrainConfig(racers=("adam",)), stop), tmp_path)
    summary = strict_json(tmp_path / "summary.json")
    assert summary["stopped"] is True
    assert summary["racers"][0]["test_accuracy"] is summary["racers"][0]["samples_per_second"] is None
