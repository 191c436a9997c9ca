"""The layers that torch does not have, or not as the lab needs them."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import pad


class Dropout(nn.Module):
    """Set a share of the inputs to zero in training, and enlarge the others to make up for it.

    The mask comes from outside: `race` draws one for each batch, and every racer's network is given the same.
    """

    def __init__(self, rate: float) -> None:
        """Drop `rate` of the inputs, above 0 and below 1."""
        super().__init__()
        self.rate = rate
        self.mask: Tensor | None = None  # (B, …) as the input; 0, or 1/(1 − rate) for what is kept

    def forward(self, x: Tensor) -> Tensor:
        """Return x ⊙ mask in training, x as it is elsewhere."""
        if not self.training:
            return x
        if self.mask is None:
            raise RuntimeError("A dropout layer has no mask for this batch.")
        return x * self.mask

    def extra_repr(self) -> str:
        """Return what the printed network says of it."""
        return f"rate={self.rate}"


class Residual(nn.Module):
    """y = ReLU(x′ + F(x)): two 3 × 3 convolutions beside a shortcut without weights.

    Where the channels grow, both take every second place, and the shortcut's new channels are zero: option A
    of He et al., arXiv:1512.03385, section 4.2.
    """

    def __init__(self, channels: int, out: int) -> None:
        """Lead `channels` to `out`, a multiple of 8, either the same or more."""
        super().__init__()
        self.stride, self.more = (1, 0) if channels == out else (2, out - channels)
        self.residue = nn.Sequential(
            nn.Conv2d(channels, out, 3, self.stride, padding=1, bias=False),
            nn.GroupNorm(out // 8, out),
            nn.ReLU(),
            nn.Conv2d(out, out, 3, padding=1, bias=False),
            nn.GroupNorm(out // 8, out),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return y for x, (B, channels, H, W)."""
        return torch.relu(self.shortcut(x) + self.residue(x))

    def shortcut(self, x: Tensor) -> Tensor:
        """Return x′ for x, (…, channels, H, W)."""
        x = x[..., :: self.stride, :: self.stride]
        return pad(x, (0, 0, 0, 0, 0, self.more)) if self.more else x


class Transpose(nn.Module):
    """From (B, tokens, features) to (B, features, tokens), as a convolution takes them."""

    def forward(self, x: Tensor) -> Tensor:
        """Return x with its last two axes exchanged."""
        return x.transpose(1, 2)
