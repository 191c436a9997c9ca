"""Several networks of one kind as one: the answers of K sets of weights to the same batch, all at once.

What goes through the layers has an axis for the networks in front, (K, B, …), or (1, B, …) as long as it is
the same for all. Two ways to convolve:

grouped     one convolution of K groups; the first, whose input is shared, is one with K times the filters
products    the patches under the kernel laid out, then K matrix products in one call; the first is one
            product of the shared patches with all networks' filters side by side

Where a layer looks at each channel by itself, channels of all networks lie side by side, as those of one wide
network, or their batches one behind the other: whichever the tensor is already laid out for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import conv1d, conv2d, cross_entropy, group_norm, linear, pad

from optimizers.training.layers import Dropout, Residual, Transpose

ALONE = (nn.MaxPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool1d)  # each channel of each example by itself
EIGHT = 8  # bf16 numbers are 16 bytes, which tensor cores read at a time

Do = Callable[[Tensor], Tensor]  # (K or 1, B, …) -> (K or 1, B, …)


class UnstackableError(ValueError):
    """A network has a layer that can't be stacked; the message says which, in one sentence."""


class Stack:
    """K networks of one kind.

    Args:
        network: one of them, for its layers; its own weights are not read.
        weights: (K, …) for each of its parameters; leaves, where gradients are wanted.
        products: convolve by matrix products, see above.

    Raises:
        UnstackableError: a layer is of a kind that is not known here.

    >>> network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 2))
    >>> weights = {p: torch.stack([p.detach(), 2 * p.detach()]) for p in network.parameters()}
    >>> Stack(network, weights, products=True)(torch.rand(5, 3, 4, 4)).shape
    torch.Size([2, 5, 2])
    """

    def __init__(
        self, network: nn.Module, weights: Mapping[nn.Parameter, Tensor], *, products: bool = False
    ) -> None:
        """Find out what to do for each layer."""
        self.weights, self.products = weights, products
        self.count = len(next(iter(weights.values())))
        self.masks: Sequence[Tensor] | None = None
        self.dropouts = 0
        self.layers = list(self._of(network))

    def __call__(self, x: Tensor, masks: Sequence[Tensor] | None = None) -> Tensor:
        """Return (K, B, …) for a batch (B, …); with the masks of its dropout layers in training."""
        self.masks = masks
        return _through(self.layers, x[None])

    def _of(self, layer: nn.Module) -> Iterator[Do]:
        match layer:
            case nn.Sequential():
                for one in layer:
                    yield from self._of(one)
            case Residual():
                yield self._residual(layer)
            case nn.Conv1d() | nn.Conv2d():
                yield self._convolution(layer)
            case nn.Linear():
                yield self._linear(layer)
            case nn.Embedding():
                yield self._embedding(layer)
            case nn.GroupNorm():
                yield self._group_norm(layer)
            case Dropout():
                yield self._dropout(self.dropouts)
                self.dropouts += 1
            case nn.ReLU():
                yield torch.relu
            case nn.Flatten(start_dim=1, end_dim=-1):
                yield lambda x: x.flatten(2)
            case Transpose():
                yield lambda x: x.transpose(2, 3)
            case _ if isinstance(layer, ALONE):
                yield lambda x: _each(x, layer)
            case _:
                raise UnstackableError(f"Networks with a layer {layer} can't be computed as one.")

    def _residual(self, layer: Residual) -> Do:
        residue = list(self._of(layer.residue))
        return lambda x: torch.relu(layer.shortcut(x) + _through(residue, x))

    def _dropout(self, place: int) -> Do:
        return lambda x: x if self.masks is None else x * self.masks[place]

    def _linear(self, layer: nn.Linear) -> Do:
        weight, bias = self._weights(layer)  # (K, O, I), (K, O)

        def layer_of_all(x: Tensor) -> Tensor:
            if len(x) == 1:  # one product with all networks' rows
                return _lanes_first(linear(x[0], weight.flatten(0, 1), _flat(bias)), self.count)
            return _product(x, weight, bias)

        return layer_of_all

    def _embedding(self, layer: nn.Embedding) -> Do:
        weight = self._weights(layer)[0]  # (K, V, E)
        starts = layer.num_embeddings * torch.arange(self.count, device=weight.device)[:, None, None]

        def layer_of_all(x: Tensor) -> Tensor:  # (1, B, tokens)
            rows = (x + starts).flatten()
            found = weight.flatten(0, 1).index_select(0, rows).view(self.count, *x.shape[1:], -1)
            if layer.padding_idx is None:
                return found
            return torch.where((x == layer.padding_idx)[..., None], found.detach(), found)  # it never learns

        return layer_of_all

    def _group_norm(self, layer: nn.GroupNorm) -> Do:
        weight, bias = self._weights(layer)  # (K, C) each
        assert bias is not None

        def layer_of_all(x: Tensor) -> Tensor:
            if _side_by_side(x):
                wide = x.transpose(0, 1).flatten(1, 2)
                groups = self.count * layer.num_groups
                return _lanes_first(
                    group_norm(wide, groups, weight.flatten(), _flat(bias), layer.eps), self.count
                )
            normal = _each(x, lambda one: group_norm(one, layer.num_groups, eps=layer.eps))
            shape = (len(weight), 1, -1, *[1] * (x.dim() - 3))
            return torch.addcmul(bias.view(shape), normal, weight.view(shape))

        return layer_of_all

    # Convolutions -----------------------------------------------------------------------------------------

    def _convolution(self, layer: nn.Conv1d | nn.Conv2d) -> Do:
        plain = layer.groups == 1 and set(layer.dilation) == {1} and layer.padding_mode == "zeros"
        if not plain or isinstance(layer.padding, str):
            raise UnstackableError(f"Networks with a convolution like {layer} can't be computed as one.")
        weight, bias = self._weights(layer)  # (K, O, I, …), (K, O)
        return self._by_products(layer, weight, bias) if self.products else self._grouped(layer, weight, bias)

    def _grouped(self, layer: nn.Conv1d | nn.Conv2d, weight: Tensor, bias: Tensor | None) -> Do:
        convolve: Any = conv1d if isinstance(layer, nn.Conv1d) else conv2d

        def layer_of_all(x: Tensor) -> Tensor:
            wide = x.transpose(0, 1).flatten(1, 2)  # (B, K·I, …), or (B, I, …) while that is shared
            kernels = weight.flatten(0, 1)
            seen = convolve(wide, kernels, _flat(bias), layer.stride, layer.padding, groups=len(x))
            return _lanes_first(seen, self.count)

        return layer_of_all

    def _by_products(self, layer: nn.Conv1d | nn.Conv2d, weight: Tensor, bias: Tensor | None) -> Do:
        if isinstance(layer, nn.Conv1d):  # a picture one pixel high
            weight = weight.unsqueeze(3)
        high, wide = weight.shape[3:]
        strides, paddings = ((1, *layer.stride)[-2:], (0, *layer.padding)[-2:])

        def layer_of_all(x: Tensor) -> Tensor:
            flat = x.dim() == 4
            x = x.unsqueeze(3) if flat else x
            if any(paddings):
                x = pad(x, (paddings[1], paddings[1], paddings[0], paddings[0]))
            patches = _Patches.apply(x, (high, wide), strides)  # (K or 1, B, h, w, patch)
            # As the weights lie in a network's row, channels last: a view.
            kernels = weight.movedim(2, -1).flatten(2)  # (K, O, patch)
            if short := -kernels.shape[2] % EIGHT:
                patches, kernels = pad(patches, (0, short)), pad(kernels, (0, short))
            if len(x) == 1:
                seen = linear(patches[0], kernels.flatten(0, 1), _flat(bias))  # (B, h, w, K·O)
                seen = seen.unflatten(-1, (self.count, -1)).permute(3, 0, 4, 1, 2)
            else:
                seen = _product(patches.flatten(1, 3), kernels, bias)
                seen = seen.unflatten(1, patches.shape[1:4]).permute(0, 1, 4, 2, 3)
            return seen.squeeze(3) if flat else seen

        return layer_of_all

    def _weights(self, layer: Any) -> tuple[Tensor, Tensor | None]:
        bias = getattr(layer, "bias", None)
        return self.weights[layer.weight], None if bias is None else self.weights[bias]


class _Patches(torch.autograd.Function):
    """What a kernel sees at each place of (G, B, C, H, W): (G, B, h, w, high · wide · C)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, kernel: tuple[int, int], strides: tuple[int, int]) -> Tensor:
        ctx.x, ctx.kernel, ctx.strides = torch.empty_like(x, device="meta"), kernel, strides
        seen = x.unfold(3, kernel[0], strides[0]).unfold(4, kernel[1], strides[1])  # (G, B, C, h, w, …)
        return seen.movedim(2, -1).flatten(4)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, None, None]:
        if not ctx.needs_input_grad[0]:
            return None, None, None
        (high, wide), (down, right) = ctx.kernel, ctx.strides
        g = gradients[0].unflatten(-1, (high, wide, -1)).movedim(-1, 2)  # (G, B, C, h, w, high, wide)
        # In fp32, as a convolution adds up what it returns; laid out as x.
        found = torch.zeros_like(ctx.x, dtype=torch.float32, device=g.device)
        rows, columns = g.shape[3:5]
        for i in range(high):
            for j in range(wide):
                below, beside = i + down * rows, j + right * columns
                found[..., i:below:down, j:beside:right] += g[..., i, j]
        return found.to(g.dtype), None, None


def losses(logits: Tensor, labels: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Return each network's loss on each example, (K, B), for logits (K, B, classes) and labels (B,)."""
    repeated = labels.expand(len(logits), -1).flatten()
    found = cross_entropy(logits.flatten(0, 1), repeated, reduction="none", label_smoothing=label_smoothing)
    return found.view(logits.shape[:2])


def _through(layers: Iterable[Do], x: Tensor) -> Tensor:
    for layer in layers:
        x = layer(x)
    return x


def _side_by_side(x: Tensor) -> bool:
    """Whether the channels of all networks lie as those of one wide network."""
    return x.stride(0) == x.shape[2] * x.stride(2)


def _each(x: Tensor, layer: Do) -> Tensor:
    """Apply a layer that looks at each channel of each example by itself."""
    if _side_by_side(x):
        return _lanes_first(layer(x.transpose(0, 1).flatten(1, 2)), len(x))
    return layer(x.flatten(0, 1)).unflatten(0, x.shape[:2])


def _lanes_first(x: Tensor, count: int) -> Tensor:
    """View (B, K·C, …) as (K, B, C, …)."""
    return x.unflatten(1, (count, -1)).transpose(0, 1)


def _product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Return K products: (K, N, I), (K, O, I), (K, O) -> (K, N, O)."""
    turned = weight.transpose(1, 2)
    return torch.bmm(x, turned) if bias is None else torch.baddbmm(bias[:, None], x, turned)


def _flat(bias: Tensor | None) -> Tensor | None:
    return None if bias is None else bias.flatten()
