"""Whitening is what it says it is, of the training pictures alone, and is worked out once."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from optimizers.training import Preparing, TrainConfig, checkpoint, data, preprocessing, train
from optimizers.training.preprocessing import KEPT, standardised, whitened, whitening_of, zca
from optimizers.training.validation import hold_out


def smooth(count: int, side: int) -> torch.Tensor:
    """Pictures whose neighbouring pixels are alike, uint8."""
    random = torch.Generator().manual_seed(0)
    coarse = torch.rand(count, 3, 2, 2, generator=random)
    fine = torch.rand(count, 3, side, side, generator=random)
    mixed = 0.8 * torch.nn.functional.interpolate(coarse, size=(side, side), mode="bilinear") + 0.2 * fine
    return mixed.mul(255).byte()


def test_zca_takes_away_what_pixels_have_in_common_and_changes_a_picture_least():
    images = smooth(3000, 4)
    mean, matrix = zca(images)
    rows = standardised(images / 255).flatten(1).double()
    values = torch.linalg.eigvalsh(rows.T.cov(correction=0))
    assert torch.allclose(mean.double(), rows.mean(0), atol=1e-6)
    assert torch.allclose(matrix, matrix.T, atol=1e-5)
    assert torch.linalg.eigvalsh(matrix).min() > 0  # symmetric and positive: ZCA among all whitenings
    found = whitened(standardised(images / 255), mean, matrix).flatten(1).double().T.cov(correction=0)
    expected = values / (values + preprocessing.EPSILON)  # near 1 where there is much variance
    assert torch.allclose(torch.linalg.eigvalsh(found), expected.sort().values, atol=1e-4)
    correlation = found.fill_diagonal_(0).abs().mean() / rows.T.cov().fill_diagonal_(0).abs().mean()
    assert correlation < 0.2


def test_fewer_pictures_than_pixels_give_the_same_by_the_smaller_matrix():
    images = smooth(40, 4)  # 48 pixels
    mean, matrix = zca(images)
    rows = standardised(images / 255).flatten(1).double()
    values, vectors = torch.linalg.eigh(rows.T.cov(correction=0))
    expected = (vectors * (values + preprocessing.EPSILON).rsqrt()) @ vectors.T
    assert torch.allclose(matrix.double(), expected, rtol=1e-4, atol=1e-5)
    assert torch.allclose(mean.double(), rows.mean(0), atol=1e-6)


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("ADAMSCOPE_HOME", str(tmp_path))
    return tmp_path


def test_it_is_kept_by_its_pictures_and_a_damaged_one_is_worked_out_again(home):
    images = smooth(20, 8).numpy()
    told = []
    first = whitening_of("adam_paper_cnn", images, "cpu", told.append)
    assert told == ["The whitening of 20 pictures is worked out, once."]
    again = whitening_of("adam_paper_cnn", images, "cpu", told.append)
    assert len(told) == 1
    assert torch.equal(first.matrix, again.matrix)
    other = whitening_of("adam_paper_cnn", images[:19], "cpu", told.append)
    assert len(told) == 2
    assert not torch.equal(first.matrix, other.matrix)
    for path in home.glob(f"whitening/*/{checkpoint.NAME}"):
        path.write_bytes(path.read_bytes()[:-5])
    assert torch.equal(whitening_of("adam_paper_cnn", images, "cpu", told.append).matrix, first.matrix)
    assert len(told) == 3
    for count in range(2, 4 + KEPT):
        whitening_of("adam_paper_cnn", images[:count], "cpu")
    assert len(list(home.glob("whitening/[0-9a-f]*"))) == KEPT
    assert whitening_of("keras_cnn", images, "cpu", told.append) is None


def test_a_run_whitens_by_the_pictures_it_trains_on_alone(home, monkeypatch):
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (60, 3, 8, 8), dtype=np.uint8)
    labels = np.arange(60) % 10
    dataset = data.Dataset(
        "shapes10", images[:40], labels[:40], images[40:], labels[40:], tuple("abcdefghij"), ""
    )
    monkeypatch.setattr(data, "load", lambda name: dataset)
    seen = []
    monkeypatch.setattr(preprocessing, "zca", lambda images: seen.append(images.numpy()) or zca(images))
    config = TrainConfig(("adam",), "shapes10", "adam_paper_cnn", 1, 10, "cpu", precision="fp32", seed=3)
    told = []
    result = train(replace(config, validation=10, limit=20), told.append)
    (used,) = seen
    np.testing.assert_array_equal(used, hold_out(dataset, 10, seed=3).train_images[:20])
    assert [event.text for event in told if isinstance(event, Preparing)] == [
        "The whitening of 20 pictures is worked out, once."
    ]
    assert isinstance(told[0], Preparing)
    assert "each picture standardised, then whitened by ZCA of the training pictures (ε = 0.1)" in (
        result.data_note
    )
