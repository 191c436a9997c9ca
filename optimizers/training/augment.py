"""Training pictures changed at random, a whole batch at once, on the device it is on.

Each kind of change draws its own numbers, so that one more kind leaves the others as they were.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

SHIFT = 1 / 16  # of the side, by which a crop is off the middle at most: 2 pixels of 32
SHEAR = 0.2  # sideways per height; Keras counts its shear_range in degrees
ZOOM = 0.2  # of the height, and of the width
BRIGHTNESS, CONTRAST, SATURATION = 0.2, 0.4, 0.5  # colour jitter: what is added, and two factors around 1
LUMA = (0.299, 0.587, 0.114)  # of red, green and blue in what the eye sees as bright (ITU-R BT.601)


def augment(images: Tensor, kinds: str, random: torch.Generator) -> Tensor:
    """Return pictures changed at random.

    Args:
        images: (B, C, H, W) float, 0 to 1; C is 3 or 1.
        kinds: names of `config.AUGMENTATIONS` joined by +. "crop" moves a picture by whole pixels, as a crop
            of the padded picture does; "flip" mirrors every other one; "shear" and "zoom" are bilinear; what
            comes in from outside is black. "jitter" changes saturation, contrast and brightness.
        random: on the CPU, so that every device draws the same.

    >>> images = torch.rand(4, 3, 32, 32)
    >>> augment(images, "crop+flip", torch.Generator().manual_seed(0)).shape
    torch.Size([4, 3, 32, 32])
    """
    chosen = kinds.split("+")
    # Each row is one picture's: crop x, y; flip; shear; zoom x, y; saturation, contrast, brightness.
    draws = onto(torch.rand(len(images), 9, generator=random), images.device).T  # (9, B), 0 to 1
    if any(name != "jitter" for name in chosen):
        images = _moved(images, chosen, draws[:6])
    if "jitter" in chosen:
        images = _jittered(images, *(2 * draws[6:, :, None, None, None] - 1))
    return images


def onto(numbers: Tensor, device: torch.device) -> Tensor:
    """Return numbers from the CPU on a device, without waiting for what a GPU is doing."""
    return numbers.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else numbers


def _moved(images: Tensor, chosen: list[str], draws: Tensor) -> Tensor:
    """Crop, flip, shear and zoom in one resampling: row by row, where each pixel is taken from."""
    count, _, high, wide = images.shape
    x = torch.zeros(count, 3, device=images.device)  # a pixel's x from (x, y, 1), −1 to 1 across the picture
    y = torch.zeros_like(x)
    x[:, 0] = y[:, 1] = 1
    if "zoom" in chosen:
        x[:, 0] += ZOOM * (2 * draws[4] - 1)
        y[:, 1] += ZOOM * (2 * draws[5] - 1)
    if "shear" in chosen:
        x[:, 1] = SHEAR * (2 * draws[3] - 1) * high / wide
    if "flip" in chosen:
        x[:, :2] *= torch.where(draws[2] < 0.5, -1.0, 1.0)[:, None]
    if "crop" in chosen:
        for row, side, draw in ((x, wide, draws[0]), (y, high, draws[1])):
            most = max(1, round(SHIFT * side))
            row[:, 2] = ((draw * (2 * most + 1)).floor() - most) * 2 / side
    grid = affine_grid(torch.stack((x, y), 1), list(images.shape), align_corners=False)
    return grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def _jittered(images: Tensor, saturation: Tensor, contrast: Tensor, brightness: Tensor) -> Tensor:
    """Change colours; each argument is (B, 1, 1, 1), −1 to 1."""
    if images.shape[1] == 3:
        luma = onto(torch.tensor(LUMA, dtype=images.dtype), images.device)[:, None, None]
        images = torch.lerp((images * luma).sum(1, keepdim=True), images, 1 + SATURATION * saturation)
    mean = images.mean((1, 2, 3), keepdim=True)
    images = torch.lerp(mean, images, 1 + CONTRAST * contrast) + BRIGHTNESS * brightness
    return images.clamp(0, 1)
