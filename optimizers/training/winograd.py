"""Convolutions of 3 × 3 by Winograd's minimal filtering, in bf16 on a CPU.

F(2 × 2, 3 × 3) of Lavin, Gray, arXiv:1509.09308, section 4.1: of each tile d of 4 × 4 numbers,

    Y = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A

are the four outputs of kernel g, by 16 products where they are written with 36. The products of all tiles
are 16 matrix products, torch's. What comes before and after them would be many passes over as many numbers,
and is one of Numba's each, ReLU and a pool of 2 × 2 in it: a tile's four outputs are those of which such a
pool takes the largest.

bf16 numbers lie here as their bits, int16: from 0 up they are in the order of those bits, and those below 0
have its sign. Sums are float32, each rounded once to the nearest bf16, ties to even; none may be NaN.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numba import boolean, float32, int16, void
from torch import Tensor

from optimizers.kernels import _compiled
from optimizers.training.pools import narrow, widened

G = torch.tensor([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])


def kernels(weight: Tensor) -> Tensor:
    """Return G g Gᵀ of each kernel g, (16, C, out) bf16, of weights (out, C, 3, 3)."""
    transformed = torch.einsum("ai,ocij,bj->abco", G, weight.float(), G)
    return transformed.flatten(0, 1).to(torch.bfloat16, memory_format=torch.contiguous_format)


@_compiled(void(int16[:, :, :, :, ::1], int16[:, :, :, :, ::1]))
def tiles(
    quarters: Any,  # (4, n, h, w, C): the four numbers of which a pool takes the largest; or (1, n, h, w, C)
    found: Any,  # (16, n, h/2 − 1, w/2 − 1, C)
) -> None:
    """Fill `found` with Bᵀ d B, where d are the tiles of 4 × 4 after pool and ReLU, two apart."""
    several, count, _, wide, channels = quarters.shape
    _, _, rows, columns, _ = found.shape
    seen = np.empty((4, wide, channels), np.float32)
    half = np.empty((4, wide, channels), np.float32)  # Bᵀ d
    for n in range(count):
        for i in range(rows):
            for k in range(4):
                if i > 0 and k < 2:  # tiles overlap by two rows
                    seen[k] = seen[k + 2]
                    continue
                for j in range(wide):
                    a = quarters[0, n, 2 * i + k, j]
                    if several == 4:
                        b = quarters[1, n, 2 * i + k, j]
                        c = quarters[2, n, 2 * i + k, j]
                        d = quarters[3, n, 2 * i + k, j]
                        for at in range(channels):
                            largest = max(max(a[at], b[at]), max(c[at], d[at]))
                            seen[k, j, at] = widened(max(largest, np.int16(0)))
                    else:
                        for at in range(channels):
                            seen[k, j, at] = widened(max(a[at], np.int16(0)))
            for j in range(wide):
                for at in range(channels):
                    half[0, j, at] = seen[0, j, at] - seen[2, j, at]
                    half[1, j, at] = seen[1, j, at] + seen[2, j, at]
                    half[2, j, at] = seen[2, j, at] - seen[1, j, at]
                    half[3, j, at] = seen[1, j, at] - seen[3, j, at]
            for k in range(4):
                for j in range(columns):
                    for at in range(channels):
                        second, third = half[k, 2 * j + 1, at], half[k, 2 * j + 2, at]
                        found[4 * k, n, i, j, at] = narrow(half[k, 2 * j, at] - third)
                        found[4 * k + 1, n, i, j, at] = narrow(second + third)
                        found[4 * k + 2, n, i, j, at] = narrow(third - second)
                        found[4 * k + 3, n, i, j, at] = narrow(second - half[k, 2 * j + 3, at])


@_compiled(void(int16[:, :, :, :, ::1], float32[::1], int16[:, :, :, ::1], boolean))
def outputs(
    products: Any,  # (16, n, h, w, out)
    bias: Any,  # (out,)
    found: Any,  # (n, h, w, out) where pooled, else (n, 2h, 2w, out)
    pool: bool,
) -> None:
    """Fill `found` with ReLU(Y + bias), Y = Aᵀ m A of products m; where pooled, a tile's largest alone."""
    _, count, rows, columns, channels = products.shape
    half = np.empty((8, channels), np.float32)  # Aᵀ m
    zero = np.float32(0)
    for n in range(count):
        for i in range(rows):
            for j in range(columns):
                for k in range(4):
                    for at in range(channels):
                        second = widened(products[4 + k, n, i, j, at])
                        third = widened(products[8 + k, n, i, j, at])
                        half[k, at] = widened(products[k, n, i, j, at]) + second + third
                        half[4 + k, at] = second - third - widened(products[12 + k, n, i, j, at])
                if pool:  # one loop with both in it would not be vectorised
                    for at in range(channels):
                        y00 = half[0, at] + half[1, at] + half[2, at]
                        y01 = half[1, at] - half[2, at] - half[3, at]
                        y10 = half[4, at] + half[5, at] + half[6, at]
                        y11 = half[5, at] - half[6, at] - half[7, at]
                        largest = max(max(y00, y01), max(y10, y11)) + bias[at]
                        found[n, i, j, at] = narrow(max(largest, zero))
                    continue
                for k in range(2):
                    for at in range(channels):
                        y0 = half[4 * k, at] + half[4 * k + 1, at] + half[4 * k + 2, at]
                        y1 = half[4 * k + 1, at] - half[4 * k + 2, at] - half[4 * k + 3, at]
                        found[n, 2 * i + k, 2 * j, at] = narrow(max(y0 + bias[at], zero))
                        found[n, 2 * i + k, 2 * j + 1, at] = narrow(max(y1 + bias[at], zero))


class Filtered:
    """A convolution of 3 × 3 without padding, its ReLU, and the pools before and after it, if there are any.

    What it fills in between is kept for the next batch: new memory would cost as much again.

    Args:
        layer: the convolution.
        pool: whether a pool of 2 × 2 comes between it and its ReLU.
    """

    def __init__(self, layer: Any, pool: bool) -> None:
        """Hold the layer; `prepare` takes its weights."""
        self.layer, self.pool = layer, pool
        self.kept: dict[tuple[int, ...], Tensor] = {}

    def prepare(self) -> None:
        """Take the weights that the layer has now."""
        self.kernels, self.bias = kernels(self.layer.weight), self.layer.bias.float().numpy()

    def __call__(self, x: Tensor) -> Tensor:
        """Return (n, out, h', w'), channels last, of (4, n, h, w, C), as for `tiles`, or of (n, C, h, w)."""
        if x.dim() == 4:
            x = x.permute(0, 2, 3, 1)[None]
        _, count, high, wide, channels = x.shape
        if not self.pool and (high % 2 or wide % 2):  # not in tiles of 2 × 2
            largest = x.view(torch.int16).amax(0).clamp_(min=0).view(x.dtype)
            return torch.relu(self.layer(largest.permute(0, 3, 1, 2)))
        rows, columns, out = high // 2 - 1, wide // 2 - 1, len(self.bias)
        read = self._room(16, count, rows, columns, channels)
        tiles(_bits(x), _bits(read))
        products = self._room(16, count, rows, columns, out)
        torch.bmm(read.flatten(1, 3), self.kernels, out=products.flatten(1, 3))
        each = 1 if self.pool else 2
        found = self._room(count, each * rows, each * columns, out)
        outputs(_bits(products), self.bias, _bits(found), self.pool)
        return found.permute(0, 3, 1, 2)

    def _room(self, *shape: int) -> Tensor:
        if shape not in self.kept:
            self.kept[shape] = torch.empty(shape, dtype=torch.bfloat16)
        return self.kept[shape]


def _bits(numbers: Tensor) -> Any:
    return numbers.view(torch.int16).numpy()
