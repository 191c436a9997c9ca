"""A pool of 2 × 2 and its ReLU in one pass each way, for training in bf16 on a CPU.

torch takes three passes forward and three back, with the place of each maximum as an int64. The results are
torch's to the bit: of equal numbers the first has the gradient, and NaN is greater than any number.

bf16 numbers are read as their bits, int16: from 0 up they are in the order of those bits. Those below 0 are
not among themselves, but ReLU makes each of them 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numba import int8, int16, njit, void
from torch import Tensor, nn

from optimizers.kernels import _compiled

INFINITY = 0x7F80  # the bits of bf16's; those of a NaN are above, but for the sign
NOWHERE = -1  # in place of a maximum's: ReLU lets no gradient through


@njit(error_model="numpy")
def _ranked(bits: Any) -> Any:
    """Return bits in the order of their numbers from 0 up, any NaN above all."""
    return np.int16(0x7FFF) if (bits & np.int16(0x7FFF)) > np.int16(INFINITY) else bits


@_compiled(void(int16[:, :, :, ::1], int16[:, :, :, ::1], int8[:, :, :, ::1]))
def forward(
    x: Any,  # (n, high, wide, C)
    y: Any,  # (n, high // 2, wide // 2, C)
    where: Any,  # of y's shape: which of the four it is, row by row, or NOWHERE
) -> None:
    """Fill y with ReLU(max_pool2d(x, 2)), and where each maximum comes from."""
    count, rows, columns, channels = y.shape
    for n in range(count):
        for i in range(rows):
            for j in range(columns):
                first, second = x[n, 2 * i, 2 * j], x[n, 2 * i, 2 * j + 1]
                third, fourth = x[n, 2 * i + 1, 2 * j], x[n, 2 * i + 1, 2 * j + 1]
                for c in range(channels):
                    a, b = _ranked(first[c]), _ranked(second[c])
                    d, e = _ranked(third[c]), _ranked(fourth[c])
                    upper, lower = max(a, b), max(d, e)
                    largest = max(max(upper, lower), np.int16(0))
                    place = np.int8(0) if a == largest else np.int8(1)
                    below = np.int8(2) if d == largest else np.int8(3)
                    place = place if upper == largest else below
                    y[n, i, j, c] = largest
                    where[n, i, j, c] = np.int8(NOWHERE) if largest == np.int16(0) else place


@_compiled(void(int16[:, :, :, ::1], int8[:, :, :, ::1], int16[:, :, :, ::1]))
def backward(
    g: Any,  # (n, h, w, C)
    where: Any,  # (n, h, w, C), as `forward` filled it
    found: Any,  # (n, high, wide, C)
) -> None:
    """Fill `found` with the gradient of the loss for x, of that for y."""
    count, rows, columns, channels = g.shape
    nothing = np.int16(0)
    for n in range(count):
        for i in range(rows):
            for j in range(columns):
                for k in range(4):  # one after the other: a loop that writes to four places is not vectorised
                    into = found[n, 2 * i + k // 2, 2 * j + k % 2]
                    for c in range(channels):
                        into[c] = g[n, i, j, c] if where[n, i, j, c] == k else nothing
            found[n, 2 * i : 2 * i + 2, 2 * columns :] = nothing
        found[n, 2 * rows :] = nothing


class _HalvingReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        seen = x.permute(0, 2, 3, 1).contiguous()
        count, high, wide, channels = ctx.whole = seen.shape
        y = seen.new_empty(count, high // 2, wide // 2, channels)
        where = torch.empty(y.shape, dtype=torch.int8)
        forward(_bits(seen), _bits(y), where.numpy())
        ctx.save_for_backward(where)
        return y.permute(0, 3, 1, 2)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        (where,) = ctx.saved_tensors
        found = g.new_empty(ctx.whole)
        backward(_bits(g.permute(0, 2, 3, 1).contiguous()), where.numpy(), _bits(found))
        return found.permute(0, 3, 1, 2)


def _bits(numbers: Tensor) -> Any:
    return numbers.detach().view(torch.int16).numpy()


class HalvingReLU(nn.Module):
    """MaxPool2d(2), then ReLU: in one pass of bf16 pictures, and as torch has them of others."""

    def forward(self, x: Tensor) -> Tensor:
        """Return (n, C, h // 2, w // 2) of (n, C, h, w)."""
        if x.dtype == torch.bfloat16:
            found: Tensor = _HalvingReLU.apply(x)
            return found
        return torch.relu(nn.functional.max_pool2d(x, 2))


def is_halving(pool: nn.Module, relu: nn.Module) -> bool:
    """Whether these are a pool of 2 × 2 and a ReLU."""
    if not isinstance(pool, nn.MaxPool2d) or not isinstance(relu, nn.ReLU):
        return False
    settings = pool.kernel_size, pool.stride, pool.padding, pool.dilation, pool.ceil_mode
    return settings == (2, 2, 0, 1, False)


def join(network: nn.Sequential) -> None:
    """Let each pool of 2 × 2 of a network on a CPU take its ReLU with it; the layers keep their places."""
    for place in range(len(network) - 1):
        if is_halving(network[place], network[place + 1]):
            network[place], network[place + 1] = HalvingReLU(), nn.Identity()
