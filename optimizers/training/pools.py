"""A pool and its ReLU in one pass each way, for training in bf16 on a CPU.

torch takes three passes forward and three back, with the place of each maximum as an int64. The results are
torch's to the bit: of equal numbers the first has the gradient, NaN is greater than any number, and where
windows overlap each gradient is added to a bf16 number.

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


@njit(error_model="numpy")
def widened(bits: Any) -> Any:
    """Return the number whose bits, int16, are those of a bf16, as float32."""
    return np.int32(np.int32(bits) << np.int32(16)).view(np.float32)


@njit(error_model="numpy")
def narrow(number: Any) -> Any:
    """Return the bits of the nearest bf16, ties to even."""
    bits = np.float32(number).view(np.int32)
    odd = (bits >> np.int32(16)) & np.int32(1)
    return np.int16((bits + np.int32(0x7FFF) + odd) >> np.int32(16))


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


@njit(error_model="numpy")
def _larger(best: Any, place: Any, bits: Any, k: Any) -> Any:
    """Return the larger of two numbers and its place; of equal ones that of the first."""
    bits = _ranked(bits)
    return (bits, np.int8(k)) if bits > best else (best, place)


@_compiled(void(int16[:, :, :, ::1], int16[:, :, :, ::1], int8[:, :, :, ::1]))
def forward_overlapping(
    x: Any,  # (n, high, wide, C)
    y: Any,  # (n, h, w, C); the last windows may reach one beyond the lower and the right edge
    where: Any,  # of y's shape: which of the nine it is, row by row, or NOWHERE
) -> None:
    """Fill y with ReLU(max_pool2d(x, 3, 2)), and where each maximum comes from."""
    count, rows, columns, channels = y.shape
    _, high, wide, _ = x.shape
    for n in range(count):
        for i in range(rows):
            upper, middle, lower = x[n, 2 * i], x[n, 2 * i + 1], x[n, min(2 * i + 2, high - 1)]
            for j in range(columns):
                # Beyond the edge stands what is before it, and never wins: of equal ones the first does.
                p, q, r = 2 * j, 2 * j + 1, min(2 * j + 2, wide - 1)
                x0, x1, x2 = upper[p], upper[q], upper[r]
                x3, x4, x5 = middle[p], middle[q], middle[r]
                x6, x7, x8 = lower[p], lower[q], lower[r]
                for c in range(channels):
                    best, place = np.int16(0), np.int8(NOWHERE)  # below 0 ReLU lets nothing through
                    best, place = _larger(best, place, x0[c], 0)
                    best, place = _larger(best, place, x1[c], 1)
                    best, place = _larger(best, place, x2[c], 2)
                    best, place = _larger(best, place, x3[c], 3)
                    best, place = _larger(best, place, x4[c], 4)
                    best, place = _larger(best, place, x5[c], 5)
                    best, place = _larger(best, place, x6[c], 6)
                    best, place = _larger(best, place, x7[c], 7)
                    best, place = _larger(best, place, x8[c], 8)
                    y[n, i, j, c] = best
                    where[n, i, j, c] = place


@_compiled(void(int16[:, :, :, ::1], int8[:, :, :, ::1], int16[:, :, :, ::1]))
def backward_overlapping(
    g: Any,  # (n, h, w, C)
    where: Any,  # (n, h, w, C), as `forward_overlapping` filled it
    found: Any,  # (n, high, wide, C)
) -> None:
    """Fill `found` with the gradient of the loss for x, of that for y."""
    count, rows, columns, channels = g.shape
    _, high, wide, _ = found.shape
    for n in range(count):
        for r in range(high):
            for q in range(wide):
                into = found[n, r, q]
                into[:] = np.int16(0)
                # It is in the windows that begin at its own row, at one before, or two; so with columns.
                for i in range(max((r - 1) // 2, 0), min(r // 2 + 1, rows)):
                    for j in range(max((q - 1) // 2, 0), min(q // 2 + 1, columns)):
                        k = 3 * (r - 2 * i) + q - 2 * j
                        for c in range(channels):  # each sum is rounded, as torch does
                            total = narrow(widened(into[c]) + widened(g[n, i, j, c]))
                            into[c] = total if where[n, i, j, c] == k else into[c]


class _PooledReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, side: int, ceil: bool) -> Tensor:
        seen = x.permute(0, 2, 3, 1).contiguous()
        count, high, wide, channels = ctx.whole = seen.shape
        y = seen.new_empty(count, _windows(high, side, ceil), _windows(wide, side, ceil), channels)
        where = torch.empty(y.shape, dtype=torch.int8)
        pass_, ctx.back = (forward, backward) if side == 2 else (forward_overlapping, backward_overlapping)
        pass_(_bits(seen), _bits(y), where.numpy())
        ctx.save_for_backward(where)
        return y.permute(0, 3, 1, 2)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None, None]:
        (where,) = ctx.saved_tensors
        found = g.new_empty(ctx.whole)
        ctx.back(_bits(g.permute(0, 2, 3, 1).contiguous()), where.numpy(), _bits(found))
        return found.permute(0, 3, 1, 2), None, None


def _windows(length: int, side: int, ceil: bool) -> int:
    """Return how many windows lie along a length, two apart; with `ceil` the last may reach over it."""
    return (length - side + ceil) // 2 + 1


def _bits(numbers: Tensor) -> Any:
    return numbers.detach().view(torch.int16).numpy()


class PooledReLU(nn.Module):
    """MaxPool2d, then ReLU: in one pass of bf16 pictures, and as torch has them of others.

    Args:
        side: of a window, 2 or 3; windows are two apart.
        ceil: whether the last may reach over the edge; False for a side of 2.
    """

    def __init__(self, side: int, ceil: bool = False) -> None:
        """Take these windows."""
        super().__init__()
        self.side, self.ceil = side, ceil

    def forward(self, x: Tensor) -> Tensor:
        """Return (n, C, h, w) of (n, C, high, wide)."""
        if x.dtype == torch.bfloat16 and min(x.shape[2:]) >= self.side:
            found: Tensor = _PooledReLU.apply(x, self.side, self.ceil)
            return found
        return torch.relu(nn.functional.max_pool2d(x, self.side, 2, ceil_mode=self.ceil))


def is_halving(pool: nn.Module, relu: nn.Module) -> bool:
    """Whether these are a pool of 2 × 2 and a ReLU."""
    return _joined(pool, relu) == (2, False)


def _joined(pool: nn.Module, relu: nn.Module) -> tuple[int, bool] | None:
    """Return side and ceil_mode of a pool that `PooledReLU` takes together with its ReLU; of others None."""
    if not isinstance(pool, nn.MaxPool2d) or not isinstance(relu, nn.ReLU):
        return None
    if (pool.stride, pool.padding, pool.dilation, pool.return_indices) != (2, 0, 1, False):
        return None
    window = pool.kernel_size, pool.ceil_mode
    return window if window in ((2, False), (3, False), (3, True)) else None


def join(network: nn.Sequential) -> None:
    """Let each pool of a network on a CPU take its ReLU with it; the layers keep their places."""
    for place in range(len(network) - 1):
        if window := _joined(network[place], network[place + 1]):
            network[place], network[place + 1] = PooledReLU(*window), nn.Identity()
