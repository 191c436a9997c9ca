"""digits: scikit-learn's 1,797 handwritten digits, 8 × 8 pixels in 17 shades of grey.

Real, and on the disk already. They are the test set of E. Alpaydin, C. Kaynak, "Optical Recognition of
Handwritten Digits", UCI, 1998 (CC BY 4.0).
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np

from optimizers.training.data import DataError, Dataset

NOTE = "digits, real handwriting that comes with scikit-learn: 1,437 to train on and 360 to test, 8 × 8, grey"
CLASSES = tuple("0123456789")
TESTS = 360  # a fifth


def present(home: Path) -> bool:
    """Whether scikit-learn is installed."""
    return find_spec("sklearn") is not None


def read(home: Path) -> Dataset:
    """Read them, shuffled always alike: the file has writer after writer."""
    if not present(home):
        raise DataError(
            "digits come with scikit-learn, which is not installed here: pip install scikit-learn"
        )
    from sklearn.datasets import load_digits

    found = load_digits()
    order = np.random.default_rng(0).permutation(len(found.target))
    images = np.rint(found.images[order] * (255 / 16)).astype(np.uint8)[:, None]  # (1797, 1, 8, 8)
    labels = found.target[order].astype(np.int64)
    return Dataset("digits", images[TESTS:], labels[TESTS:], images[:TESTS], labels[:TESTS], CLASSES, NOTE)
