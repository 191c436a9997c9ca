"""What is done to every picture before the first layer, as `Model.preprocess` names it.

Krizhevsky 2009 (Learning multiple layers of features from tiny images, section 2) whitens CIFAR-10 by ZCA;
Goodfellow et al. 2013 (maxout networks, arXiv:1302.4389, section 5.2), by pylearn2, bring each picture to one
contrast first, and add ε = 0.1 to the variances. So it is done here. Augmentation comes before: its noughts
are black, its colours from 0 to 1.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from optimizers.training import checkpoint
from optimizers.training.data import home
from optimizers.training.models import MODELS

EPSILON = 0.1  # added to each variance, where that of a pixel of a standardised picture is about 1
CHUNK = 1000  # pictures
KEPT = 8  # whitenings on the disk, of 38 MB each
WORDS = {
    "": "",
    "standardise": "each picture brought to mean 0 and standard deviation 1",
    "whiten": f"each picture standardised, then whitened by ZCA of the training pictures (ε = {EPSILON})",
}

_log = logging.getLogger(__name__)


class Whitening(NamedTuple):
    """An affine map of pictures as rows, under which those it is of have about unit covariance."""

    mean: Tensor  # (D,)
    matrix: Tensor  # (D, D), symmetric


def standardised(images: Tensor) -> Tensor:
    """Bring each picture to mean 0 and standard deviation 1; one of a single colour to 0."""
    deviation, mean = torch.std_mean(images, (1, 2, 3), correction=0, keepdim=True)
    smallest = images[0].numel() ** -0.5  # as tf.image.per_image_standardization
    return (images - mean) / deviation.clamp(min=smallest)


def zca(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean μ and matrix W = (C + εI)^(−½) of pictures, standardised, whose covariance is C.

    With C = QΛQᵀ, W = Q(Λ + ε)^(−½)Qᵀ: of all maps to unit covariance, the one that changes pictures least.
    Where there are fewer pictures than pixels, the same comes of the smaller Gram matrix XXᵀ/N = UΛUᵀ of the
    centred pictures X: W = I/b − Σ (Xᵀu)(Xᵀu)ᵀ / (N·ab(a + b)), a = √(λ + ε), b = √ε.

    Args:
        images: (N, C, H, W) uint8.

    Returns:
        (D,) and (D, D) float32, D = C · H · W; on the device of `images`.
    """
    count, size = len(images), images[0].numel()
    rows = lambda part: standardised(part.float().div(255)).flatten(1)  # noqa: E731
    mean = torch.stack([rows(part).double().sum(0) for part in images.split(CHUNK)]).sum(0) / count
    if count < size:
        centred = rows(images).double() - mean
        values, vectors = torch.linalg.eigh(centred @ centred.T / count)
        a, b = (values.clamp(min=0) + EPSILON).sqrt(), EPSILON**0.5
        spread = (centred.T @ vectors) * (count * a * b * (a + b)).rsqrt()
        matrix = torch.eye(size, dtype=mean.dtype, device=mean.device) / b - spread @ spread.T
    else:
        covariance = torch.zeros(size, size, dtype=mean.dtype, device=mean.device)
        for part in images.split(CHUNK):
            centred = rows(part) - mean.float()
            covariance += centred.T @ centred
        values, vectors = torch.linalg.eigh(covariance / count)
        matrix = (vectors * (values.clamp(min=0) + EPSILON).rsqrt()) @ vectors.T
    return mean.float(), matrix.float()


def whitened(images: Tensor, mean: Tensor, matrix: Tensor) -> Tensor:
    """Return standardised pictures, (B, C, H, W) float32, whitened."""
    return ((images.flatten(1) - mean) @ matrix).view(images.shape)


def preprocessed(model: str, images: Tensor, whitening: Whitening | None) -> Tensor:
    """Return pictures, (B, C, H, W) float32 from 0 to 1, as a network takes them."""
    if MODELS[model].preprocess:
        images = standardised(images)
    return images if whitening is None else whitened(images, *whitening)


def whitening_of(
    model: str, images: np.ndarray, device: str, tell: Callable[[str], None] = lambda text: None
) -> Whitening | None:
    """Return the whitening of the pictures a network is trained on; None for a network that takes none.

    Of all of CIFAR-10 it takes half a minute on two cores, and is kept on the disk for the next time.

    Args:
        model: of `MODELS`.
        images: (N, C, H, W) uint8, those that are trained on alone.
        device: where it is worked out and used, "cpu" or "cuda".
        tell: is told, in one sentence, where it is worked out.
    """
    import filelock

    if MODELS[model].preprocess != "whiten":
        return None
    pictures = np.ascontiguousarray(images)
    name = hashlib.sha256(f"zca {EPSILON} {pictures.shape}".encode())
    name.update(pictures.data)
    folder = home() / "whitening"
    folder.mkdir(parents=True, exist_ok=True)
    own = folder / name.hexdigest()[:16]
    with filelock.FileLock(folder / ".lock"):  # of several workers one works it out
        try:
            state = checkpoint.read(own).state
            own.touch()
        except checkpoint.CheckpointError:
            tell(f"The whitening of {len(images):,} pictures is worked out, once.")
            mean, matrix = (part.cpu() for part in zca(torch.from_numpy(pictures).to(device)))
            state = {"mean": mean, "matrix": matrix}
            shutil.rmtree(own, ignore_errors=True)  # a damaged one
            try:
                checkpoint.write(own, state)
            except OSError as problem:
                _log.warning("A whitening could not be kept (%s); it is worked out again.", problem)
        old = sorted(folder.glob("[0-9a-f]*"), key=lambda path: path.stat().st_mtime)[:-KEPT]
        for path in old:
            shutil.rmtree(path)
    return Whitening(state["mean"].to(device), state["matrix"].to(device))
