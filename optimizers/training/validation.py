"""Held-out pictures: what a choice among networks is made by, so that test pictures have no part in it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from optimizers.training.data import Dataset


def hold_out(dataset: Dataset, count: int, seed: int) -> Dataset:
    """Return `dataset` with `count` of its training pictures in the place of its test pictures.

    They are drawn by `seed`, without replacement; the others are trained on, in their order. The test
    pictures are not in what is returned, so that nothing that trains on it can look at them.

    Raises:
        ValueError: there are too few training pictures, in one sentence.
    """
    total = len(dataset.train_labels)
    if count >= total:
        raise ValueError(
            f"validation is {count:,}, but {dataset.name} has {total:,} training pictures in all."
        )
    held = np.zeros(total, bool)
    held[np.random.default_rng(seed).choice(total, count, replace=False)] = True
    return replace(
        dataset,
        train_images=dataset.train_images[~held],
        train_labels=dataset.train_labels[~held],
        test_images=dataset.train_images[held],
        test_labels=dataset.train_labels[held],
        note=f"{dataset.note}; judged by {count:,} training pictures held out by seed {seed}",
    )
