"""A network looked at with many sets of weights: loss and accuracy over the same pictures, again and again.

On a CPU each thread looks with a network of its own. In bf16, a network that is a plain chain of layers is
taken apart there:
- What no output sees is cut off. keras_cnn's pools drop the last row and column of 15 × 15 and 13 × 13, so
  that of each picture's 32 × 32 only 30 × 30 are ever looked at: an eighth of the work.
- The first layer's patches are laid out once for all sets of weights, so that it is one matrix product, with
  the four numbers of which its pool takes the largest in four blocks.
- Pool and ReLU are one pass over whole numbers: bf16 numbers from 0 up are in the order of their bits as
  int16, and those below 0 have its sign. Exact, as long as nothing overflows; where it could, the network is
  taken as it is, and so it is on a GPU, whose kernels need no help.
- Convolutions of 3 × 3 behind the first layer take 16 products where they would take 36: `winograd`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from optimizers.training.device import DTYPES, arithmetic
from optimizers.training.models import CIFAR, MODELS, build, seen
from optimizers.training.preprocessing import Whitening, preprocessed

BATCH = {"cpu": 40, "cuda": 2_500}  # pictures
LARGEST = 1e36  # of what a network computes with: beyond it bf16, or a sum of 81 such numbers, may overflow
PLAIN = (nn.Conv2d, nn.Linear, nn.MaxPool2d, nn.ReLU, nn.Flatten, nn.Dropout)

Progress = Callable[[int, int], None]  # told how many of how many are done; may raise, which ends the work


@dataclass(frozen=True, eq=False)
class Pictures:
    """What is looked at."""

    images: NDArray[Any]  # (N, C, H, W) uint8, or texts, (N, tokens) int64
    labels: NDArray[np.int64]  # (N,)
    classes: int
    shape: tuple[int, ...] = CIFAR  # of an example, as `Dataset.shape`
    whitening: Whitening | None = None  # of the training pictures, on the device


class Looks(NamedTuple):
    """What was seen with each set of weights."""

    loss: NDArray[np.float64]  # (N,) cross-entropy in nats, mean over the pictures; inf where it overflows
    accuracy: NDArray[np.float64]  # (N,) 0 to 1


def shapes(model: str, pictures: Pictures) -> list[torch.Size]:
    """Return the shapes of a network's parameters, in its own order."""
    network = build(model, pictures.classes, torch.Generator(), pictures.shape)
    return [parameter.shape for parameter in network.parameters()]


def look(
    model: str,
    base: NDArray[np.float32],  # (P,)
    directions: NDArray[np.float32],  # (D, P)
    coefficients: NDArray[np.float64],  # (N, D)
    pictures: Pictures,
    *,
    device: str = "cpu",
    precision: str = "fp32",
    progress: Progress | None = None,
) -> Looks:
    """Look at the pictures with the weights base + coefficients · directions, N sets of them.

    The weights are added up in float32, and rounded for precision "bf16". The sums over pictures are float64.
    """
    report = progress or (lambda done, of: None)
    threads = torch.get_num_threads()
    found = torch.full((2, len(coefficients)), math.nan, dtype=torch.float64, device=device)
    scales = torch.from_numpy(np.asarray(coefficients, np.float32))
    with arithmetic(precision), torch.no_grad():
        first = _Probe(model, pictures, device, precision, base, directions)
        plain = all(isinstance(layer, PLAIN) for layer in first.network)
        if device == "cpu" and precision == "bf16" and plain and first.bound(coefficients) < LARGEST:
            first.take_apart()
        if device != "cpu":
            for place, scale in enumerate(scales.to(device)):
                found[:, place] = first.look(scale)
                if place % 50 == 49:
                    torch.cuda.synchronize()  # else all would be queued, and told of at once
                    report(place + 1, len(scales))
        else:
            probes = [first, *(first.twin() for _ in range(threads - 1))]
            with closing(_side_by_side(probes, scales)) as each:
                for place, seen in enumerate(each):
                    found[:, place] = seen
                    report(place + 1, len(scales))
    loss, accuracy = found.cpu().numpy() / len(pictures.labels)
    return Looks(np.where(np.isnan(loss), math.inf, loss), accuracy)


def _side_by_side(probes: Sequence[_Probe], scales: Tensor) -> Generator[Tensor, None, None]:
    """Yield what is seen with each row of scales, in order, looking with all the probes at once."""
    every = torch.get_num_threads()
    idle = list(probes)

    def task(scale: Tensor) -> Tensor:
        probe = idle.pop()
        try:
            with torch.no_grad():
                return probe.look(scale)
        finally:
            idle.append(probe)

    try:
        with ThreadPoolExecutor(len(probes), "probe", lambda: torch.set_num_threads(1)) as pool:
            waiting = iter(scales)
            ahead = [pool.submit(task, scale) for scale in islice(waiting, 2 * len(probes))]
            try:
                while ahead:
                    yield ahead.pop(0).result()
                    ahead += [pool.submit(task, scale) for scale in islice(waiting, 1)]
            finally:
                for future in ahead:
                    future.cancel()
    finally:
        torch.set_num_threads(every)


class _Probe:
    """One network whose weights are one flat vector, and the pictures as it takes them."""

    def __init__(
        self,
        model: str,
        pictures: Pictures,
        device: str,
        precision: str,
        base: NDArray[np.float32],
        directions: NDArray[np.float32],
    ) -> None:
        self.model, self.pictures, self.device, self.dtype = model, pictures, device, DTYPES[precision]
        self._build()
        self.base, self.directions = self._laid_out(base[None])[0], self._laid_out(directions)
        self.labels = torch.from_numpy(np.ascontiguousarray(pictures.labels)).to(device)
        images = torch.from_numpy(np.ascontiguousarray(pictures.images)).to(device)
        self.batches = [self._prepared(batch) for batch in images.split(BATCH[device])]
        self.prepare: list[Callable[[], None]] = []  # what is to be done with new weights
        self.trunk: Callable[[Tensor], Tensor] = self.network  # of a batch …
        self.head: Callable[[Tensor], Tensor] = nn.Identity()  # … and of all pictures at once

    def _prepared(self, images: Tensor) -> Tensor:
        """Return a batch as the race hands it to the network."""
        if images.dim() == 2:  # texts
            return images
        if MODELS[self.model].preprocess:
            images = preprocessed(self.model, images.float().div_(255), self.pictures.whitening).to(
                self.dtype
            )
        else:
            images = images.to(self.dtype).div_(255)
        return images.contiguous(memory_format=torch.channels_last)

    def _build(self) -> None:
        pictures = self.pictures
        network = build(self.model, pictures.classes, torch.Generator(), pictures.shape)
        self.network = network.to(self.device).eval()
        self.parameters = list(self.network.parameters())
        sizes = [parameter.numel() for parameter in self.parameters]
        self.weights = torch.zeros(sum(sizes), dtype=self.dtype, device=self.device)
        for parameter, part in zip(self.parameters, self.weights.split(sizes), strict=True):
            parameter.requires_grad_(False)
            if parameter.dim() == 4:  # channels last
                out, into, high, wide = parameter.shape
                parameter.data = part.view(out, high, wide, into).permute(0, 3, 1, 2)
            else:
                parameter.data = part.view(parameter.shape)

    def _laid_out(self, rows: NDArray[np.float32]) -> Tensor:
        """Return (R, P) weights on the device, each parameter in the order in which the network has it."""
        sizes = [parameter.numel() for parameter in self.parameters]
        parts = torch.from_numpy(np.asarray(rows, np.float32)).split(sizes, dim=1)
        ordered = [
            part.view(-1, *parameter.shape).permute(0, 1, 3, 4, 2).reshape(len(rows), -1)
            if parameter.dim() == 4
            else part
            for part, parameter in zip(parts, self.parameters, strict=True)
        ]
        return torch.cat(ordered, dim=1).to(self.device)

    def twin(self) -> _Probe:
        """Return another network that looks at the same pictures."""
        other: _Probe = object.__new__(_Probe)
        other.__dict__.update(self.__dict__)
        other._build()
        other.trunk = other.network
        if self.trunk is not self.network:
            other._chain()
        return other

    def look(self, scale: Tensor) -> Tensor:
        """Return the sums of loss and of right answers over the pictures, (2,) float64."""
        self.weights.copy_(torch.addmv(self.base, self.directions.t(), scale))
        for prepare in self.prepare:
            prepare()
        logits = self.head(torch.cat([self.trunk(images) for images in self.batches])).float()
        loss = cross_entropy(logits, self.labels, reduction="none").double().sum()
        return torch.stack([loss, (logits.argmax(1) == self.labels).sum().double()])

    def bound(self, coefficients: NDArray[np.float64]) -> float:
        """Return what no number in a plain network exceeds, with any of these coefficients."""
        sizes = [parameter.numel() for parameter in self.parameters]
        scale = torch.from_numpy(np.abs(coefficients).max(0).astype(np.float32))
        most = self.base.abs() + self.directions.abs().t() @ scale
        bound = 1.0  # of a picture
        for parameter, part in zip(self.parameters, most.split(sizes), strict=True):
            largest = float(part.max())
            bound = bound * parameter[0].numel() * largest if parameter.dim() > 1 else bound + largest
        return bound

    # Taken apart ------------------------------------------------------------------------------------------

    def take_apart(self) -> None:
        """Do what the module's first lines say, as far as the network is made so."""
        high, wide = seen(self.model, self.pictures.shape)
        self.batches = [images[:, :, :high, :wide] for images in self.batches]
        self._chain()
        if _is_patched(layers := list(self.network)):
            kernel: Any = layers[0].kernel_size
            self.batches = [_patches(images, kernel) for images in self.batches]

    def _chain(self) -> None:
        """Let trunk and head be the network's layers, a pool and its ReLU in one.

        The head is what comes after all is flat: small products, quicker all at once.
        """
        layers = list(self.network)
        flat = next((place for place, layer in enumerate(layers) if isinstance(layer, nn.Flatten)), None)
        if flat is not None:
            self.head = nn.Sequential(*layers[flat + 1 :])
            layers = layers[: flat + 1]
        chain: list[Callable[[Tensor], Tensor]] = []
        self.prepare = []
        if _is_patched(layers):
            from optimizers.training.winograd import Filtered

            first = _PatchedLayer(layers[0])
            self.prepare.append(first.prepare)
            chain.append(first)
            layers = layers[3:]
            if not _is_filtered(layers):
                chain.append(_largest_of_quarters)
            while _is_filtered(layers):
                pool = _is_halving(layers[1:])
                stage = Filtered(layers[0], pool)
                self.prepare.append(stage.prepare)
                chain.append(stage)
                layers = layers[3 if pool else 2 :]
        while layers:
            if _is_halving(layers):
                chain.append(_largest_of_four)
                layers = layers[2:]
            else:
                chain.append(layers.pop(0))

        def trunk(x: Tensor) -> Tensor:
            for stage in chain:
                x = stage(x)
            return x

        self.trunk = trunk


def _is_plain(layer: nn.Module) -> bool:
    """Whether this is a convolution without padding or stride, and with a bias."""
    if not isinstance(layer, nn.Conv2d) or layer.bias is None:
        return False
    return (layer.stride, layer.padding, layer.dilation, layer.groups) == ((1, 1), (0, 0), (1, 1), 1)


def _is_patched(layers: Sequence[nn.Module]) -> bool:
    """Whether these begin with such a convolution, a pool of 2 × 2 and a ReLU."""
    return _is_plain(layers[0]) and _is_halving(layers[1:])


def _is_filtered(layers: Sequence[nn.Module]) -> bool:
    """Whether these begin with such a convolution of 3 × 3, perhaps a pool of 2 × 2, and a ReLU."""
    if len(layers) < 2 or not _is_plain(first := layers[0]) or first.kernel_size != (3, 3):
        return False
    return isinstance(layers[1], nn.ReLU) or _is_halving(layers[1:])


def _is_halving(layers: Sequence[nn.Module]) -> bool:
    """Whether these begin with a pool of 2 × 2 and a ReLU."""
    from optimizers.training.pools import is_halving

    return len(layers) > 1 and is_halving(*layers[:2])


def _patches(images: Tensor, kernel: tuple[int, int]) -> Tensor:
    """Return (4, n, h/2, w/2, C·k·k + 1): what each output of a first layer sees, and 1 for its bias.

    The first axis tells the four outputs apart that a pool of 2 × 2 takes together.
    """
    seen = images.unfold(2, kernel[0], 1).unfold(3, kernel[1], 1)  # (n, C, high, wide, k, k), a view
    high, wide = seen.shape[2] // 2, seen.shape[3] // 2
    seen = seen[:, :, : 2 * high, : 2 * wide].unflatten(3, (wide, 2)).unflatten(2, (high, 2))
    seen = seen.permute(3, 5, 0, 2, 4, 1, 6, 7).flatten(5).flatten(0, 1)
    return torch.cat([seen, torch.ones_like(seen[..., :1])], dim=-1)


class _PatchedLayer:
    """A first layer on patches; what it fills is kept, as new memory would cost as much again."""

    def __init__(self, layer: Any) -> None:
        self.layer = layer
        self.kept: dict[int, Tensor] = {}

    def prepare(self) -> None:
        """Take the weights that the layer has now."""
        weight, bias = self.layer.weight, self.layer.bias
        self.matrix = torch.cat([weight.flatten(1), bias[:, None]], dim=1).t()  # (C·k·k + 1, out)

    def __call__(self, patches: Tensor) -> Tensor:
        """Return (4, n, h, w, out): the four numbers of which the pool takes the largest."""
        flat = patches.flatten(0, 3)
        if len(flat) not in self.kept:
            self.kept[len(flat)] = flat.new_empty(len(flat), self.matrix.shape[1])
        return torch.mm(flat, self.matrix, out=self.kept[len(flat)]).view(*patches.shape[:4], -1)


def _largest_of_quarters(quarters: Tensor) -> Tensor:
    """Return ReLU of the largest of four bf16 numbers, (n, C, h, w) of (4, n, h, w, C), none of them NaN."""
    largest = quarters.view(torch.int16).amax(0).clamp_(min=0)
    return largest.view(quarters.dtype).permute(0, 3, 1, 2)


def _largest_of_four(x: Tensor) -> Tensor:
    """Return ReLU(max_pool2d(x, 2)) of bf16 numbers, none of them NaN; channels last, as x is."""
    high, wide = x.shape[2] // 2, x.shape[3] // 2
    rows = x.permute(0, 2, 3, 1)[:, : 2 * high, : 2 * wide].view(torch.int16).unflatten(1, (high, 2))
    larger = torch.maximum(rows[:, :, 0], rows[:, :, 1]).unflatten(2, (wide, 2))
    largest = torch.maximum(larger[:, :, :, 0], larger[:, :, :, 1]).clamp_(min=0)
    return largest.view(x.dtype).permute(0, 3, 1, 2)
