"""What a network makes of the test pictures: confusion of classes, first-layer filters, surest mistakes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from optimizers.training.telemetry import Look

POOL = 500  # test pictures among which mistakes are shown, evenly spaced: so many are kept with a run at most
MISTAKES = 16  # of one look
MOST_BYTES = 16_384  # of the filters of one look
MOST_CLASSES = 100  # of a confusion matrix


def look_at(
    network: nn.Module,
    shape: Sequence[int],  # of one picture, (C, H, W), or of a text, (T,)
    images: np.ndarray,  # (M, C, H, W) uint8, or (M, T)
    labels: np.ndarray,  # (M,)
    predictions: np.ndarray,  # (M,)
    confidence: np.ndarray,  # (M,) probability of the class it predicts
    classes: int,
    racer: int,
    step: int,
    epoch: int,
    seed: int = 0,
) -> Look:
    """Return what is to be shown of one evaluation."""
    pool = np.linspace(0, len(labels) - 1, min(POOL, len(labels))).astype(int)
    wrong = pool[predictions[pool] != labels[pool]]
    surest = wrong[np.argsort(-confidence[wrong], kind="stable")][:MISTAKES]
    pictures = images[surest].transpose(0, 2, 3, 1) if images.ndim == 4 else np.empty((0, 0, 0, 0), np.uint8)
    filters, largest = first_filters(network, shape)
    return Look(
        racer=racer,
        step=step,
        epoch=epoch,
        confusion=confusion(labels, predictions, classes if classes <= MOST_CLASSES else 0),
        filters=filters,
        largest=largest,
        positions=surest,
        labels=labels[surest],
        predictions=predictions[surest],
        confidence=confidence[surest],
        pictures=np.ascontiguousarray(pictures),
        seed=seed,
    )


def confusion(labels: np.ndarray, predictions: np.ndarray, classes: int) -> np.ndarray:
    """Count the pictures of each class (row) that are taken for each class (column): (K, K) int32.

    >>> confusion(np.array([0, 0, 1]), np.array([0, 1, 1]), 0).size
    0
    >>> confusion(np.array([0, 0, 1]), np.array([0, 1, 1]), 2).tolist()
    [[1, 1], [0, 1]]
    """
    if not classes:
        return np.empty((0, 0), np.int32)
    counts = np.bincount(labels * classes + predictions, minlength=classes * classes)
    return counts.reshape(classes, classes).astype(np.int32)


def first_filters(network: nn.Module, shape: Sequence[int]) -> tuple[np.ndarray, float]:
    """Return the first layer's weights as pictures, (n, H, W, C) int8, and the largest |w|, which is 127.

    The first n that fit into `MOST_BYTES`; none where the layer does not look at pictures, or is not finite.
    """
    none = np.empty((0, 0, 0, 0), np.int8), 0.0
    first = next((m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear | nn.Embedding)), None)
    if len(shape) != 3 or not isinstance(first, nn.Conv2d | nn.Linear):
        return none
    weights = first.weight.detach().float()
    weights = weights.reshape(-1, *shape) if isinstance(first, nn.Linear) else weights
    largest = weights.abs().max().item()
    if not 0 < largest < torch.inf:
        return none
    weights = weights[: max(1, MOST_BYTES // weights[0].numel())]
    levels = (127 * weights / largest).round().permute(0, 2, 3, 1).to(torch.int8)
    return levels.contiguous().cpu().numpy(), largest
