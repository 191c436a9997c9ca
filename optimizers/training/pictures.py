"""What a step trains on: pictures in an order, changed at random, with masks for dropout."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from optimizers.training.augment import augment, onto
from optimizers.training.config import TrainConfig
from optimizers.training.device import DTYPES
from optimizers.training.models import MODELS, seen
from optimizers.training.preprocessing import Whitening, preprocessed


class Seed:
    """What all racers of one seed share: first weights, order of the pictures, and what a step draws.

    One stream of random numbers each. Those of a step hang on the seed and the step alone, so that a run that
    is taken up again goes on as it would have.
    """

    def __init__(self, place: int, number: int) -> None:
        """Begin the streams of seed `number`, at its place among the run's."""
        self.place, self.number = place, number
        streams = np.random.SeedSequence(number).generate_state(2, np.uint64)
        self.weights, self.shuffle = (torch.Generator().manual_seed(int(seed)) for seed in streams)

    def random(self, purpose: int, step: int, device: str = "cpu") -> torch.Generator:
        """Return the random numbers of a step, counted from 0, for one of several purposes."""
        stream = np.random.SeedSequence(self.number, spawn_key=(purpose, step))
        return torch.Generator(device).manual_seed(int(stream.generate_state(1, np.uint64)[0]))


AUGMENT, MASK = range(2)  # purposes


@dataclass(frozen=True)
class Batch:
    """The pictures of one step."""

    images: Tensor  # (B, C, H, W) channels last, in the run's precision; texts: (B, tokens) int64
    labels: Tensor  # (B,)
    positions: bytes  # of the pictures in their set, int64
    masks: tuple[Tensor, ...] = ()  # (B, …) of each dropout layer, in the network's order


class Pictures:
    """A set of pictures, or of texts, as one tensor on the device."""

    def __init__(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        config: TrainConfig,
        whitening: Whitening | None = None,  # of the training pictures, where the network takes one
    ) -> None:
        """Lay the pictures out as the network takes them: channels last."""
        if images.ndim == 4:  # (N, H, W, C) uint8
            self.seen = seen(config.model, images.shape[1:])
            images = images.transpose(0, 2, 3, 1)
        self.images = torch.from_numpy(np.ascontiguousarray(images)).to(config.device)
        self.labels = torch.from_numpy(np.ascontiguousarray(labels)).to(config.device)
        self.config, self.dtype = config, DTYPES[config.precision]
        self.preprocess, self.whitening = MODELS[config.model].preprocess, whitening

    def __len__(self) -> int:
        """How many there are."""
        return len(self.labels)

    def batches(self, order: Tensor, size: int) -> Iterator[Batch]:
        """Yield the pictures at `order`, (n,) int64 on the CPU, `size` at a time; the last may be smaller."""
        places = onto(order, self.images.device)
        for here, there in zip(order.split(size), places.split(size), strict=True):
            yield Batch(self._prepared(there, None), self._labels(there), here.numpy().tobytes())

    def training_batches(
        self, order: Tensor, size: int, seed: Seed, step: int, masked: Sequence[tuple[float, torch.Size]]
    ) -> Iterator[Batch]:
        """Yield the same for training, from `step` on: changed at random, with a mask for each dropout."""
        places = onto(order, self.images.device).split(size)
        for at, (here, there) in enumerate(zip(order.split(size), places, strict=True), step):
            changed = seed.random(AUGMENT, at) if self.config.augment else None
            images = self._prepared(there, changed)
            drawn = seed.random(MASK, at, self.config.device) if masked else None
            masks = tuple(self._mask(len(here), rate, shape, drawn) for rate, shape in masked)
            yield Batch(images, self._labels(there), here.numpy().tobytes(), masks)

    def _labels(self, there: Tensor) -> Tensor:
        return self.labels.index_select(0, there)

    def _prepared(self, there: Tensor, changed: torch.Generator | None) -> Tensor:
        images = self.images.index_select(0, there)
        if images.dim() == 2:  # texts
            return images
        images = images.permute(0, 3, 1, 2)
        high, wide = self.seen
        if changed is None and not self.preprocess:
            images = images[:, :, :high, :wide]
            return images.to(self.dtype, memory_format=torch.channels_last).div_(255)
        images = images.float().div_(255)
        if changed is not None:
            images = augment(images, self.config.augment, changed)
        images = preprocessed(self.config.model, images, self.whitening)[:, :, :high, :wide]
        return images.to(self.dtype, memory_format=torch.channels_last)

    def _mask(self, count: int, rate: float, shape: torch.Size, drawn: torch.Generator | None) -> Tensor:
        """Draw what a dropout layer multiplies by: 0, or 1/(1 − rate) for what it keeps."""
        mask = torch.empty(count, *shape, dtype=self.dtype, device=self.images.device)
        if mask.dim() == 4:
            mask = mask.to(memory_format=torch.channels_last)
        return mask.bernoulli_(1 - rate, generator=drawn).div_(1 - rate)
