"""shapes10: repeatable, balanced, ten shapes that differ, and not for a linear classifier."""

from pathlib import Path

import numpy as np
import pytest

from optimizers.training import shapes
from optimizers.training.data import DATASETS, Dataset, available, keep_shapes10, load


@pytest.fixture(scope="module")
def shapes10() -> Dataset:
    return load("shapes10")


def test_layout(shapes10: Dataset) -> None:
    assert shapes10.train_images.shape == (10_000, 3, 32, 32)
    assert shapes10.test_images.shape == (2_000, 3, 32, 32)
    assert shapes10.train_images.dtype == shapes10.test_images.dtype == np.uint8
    assert shapes10.train_labels.dtype == shapes10.test_labels.dtype == np.int64
    assert np.bincount(shapes10.train_labels).tolist() == [1000] * 10
    assert np.bincount(shapes10.test_labels).tolist() == [200] * 10
    assert len(set(shapes10.classes)) == 10
    assert available("shapes10")


def test_named_as_a_stand_in(shapes10: Dataset) -> None:
    assert "generated pictures standing in for real ones" in shapes10.note
    assert "generated" in DATASETS["shapes10"].title


def test_set_by_the_seed() -> None:
    images, labels = shapes.draw(50, seed=3)
    again, same = shapes.draw(50, seed=3)
    other, _ = shapes.draw(50, seed=4)
    assert np.array_equal(images, again)
    assert np.array_equal(labels, same)
    assert not np.array_equal(images, other)


def test_training_and_test_pictures_differ(shapes10: Dataset) -> None:
    assert not {image.tobytes() for image in shapes10.train_images} & {
        i.tobytes() for i in shapes10.test_images
    }


def test_shapes_differ() -> None:
    """No two shapes cover the same pixels, however they are turned."""
    y, x = np.meshgrid(
        np.linspace(-1.4, 1.4, 64, dtype=np.float32), np.linspace(-1.4, 1.4, 64, dtype=np.float32)
    )
    turns = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    masks = {
        name: [shape(np.cos(a) * x + np.sin(a) * y, np.cos(a) * y - np.sin(a) * x) < 0 for a in turns]
        for name, shape in shapes.SHAPES.items()
    }
    for name, (mask, *_) in masks.items():
        assert 0.05 < mask.mean() < 0.6, name
        for other, turned in masks.items():
            if other != name:
                overlap = max((mask & m).sum() / (mask | m).sum() for m in turned)
                assert overlap < 0.85, f"{name} looks like {other}"


def test_a_linear_classifier_does_poorly(shapes10: Dataset) -> None:
    def features(images: np.ndarray) -> np.ndarray:
        small = (
            images.astype(np.float32).mean(1).reshape(-1, 16, 2, 16, 2).mean((2, 4)).reshape(len(images), -1)
        )
        return np.c_[small / 255, np.ones(len(small))]

    x, target = features(shapes10.train_images), np.eye(10)[shapes10.train_labels]
    weights = np.linalg.solve(x.T @ x + 1e-2 * np.eye(x.shape[1]), x.T @ target)
    accuracy = np.mean((features(shapes10.test_images) @ weights).argmax(1) == shapes10.test_labels)
    assert 0.12 < accuracy < 0.5, "ten classes by chance are 0.10"


def test_count() -> None:
    with pytest.raises(ValueError, match="count 0 is out of range"):
        shapes.draw(0, seed=0)


def test_drawn_once_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []

    def draw(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        drawn.append((count, seed))
        return np.full((2, 3, 32, 32), seed, np.uint8), np.arange(2)

    monkeypatch.setattr(shapes, "draw", draw)
    first, again = keep_shapes10(tmp_path), keep_shapes10(tmp_path)
    assert drawn == [(10_000, 0), (2_000, 1)]
    assert all(map(np.array_equal, first, again))
    (file,) = tmp_path.rglob("*.npz")
    file.write_bytes(file.read_bytes()[:-50])
    assert all(map(np.array_equal, first, keep_shapes10(tmp_path)))  # damaged, and drawn again
    assert len(drawn) == 4


def test_drawn_where_nothing_can_be_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shapes, "draw", lambda count, seed: (np.zeros((1, 3, 32, 32), np.uint8), np.zeros(1)))
    (tmp_path / "drawn").write_text("a file where the folder should be")
    assert len(keep_shapes10(tmp_path)) == 4


def test_a_portion_is_no_part_of_the_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    images, _ = shapes.draw(300, seed=3)
    monkeypatch.setattr(shapes, "PORTION", 7)
    assert np.array_equal(images, shapes.draw(300, seed=3)[0])
