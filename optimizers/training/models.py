"""The networks of the lab. A new one is one entry of `MODELS`.

torch is imported where a network is built, so that pages can name the models without it.

Where a network pools and then applies ReLU: that gives the same outputs and gradients as the other order (the
larger of two numbers is the same before and after a monotone function) on a quarter of the numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import nn

CIFAR = (3, 32, 32)  # channels, height, width


@dataclass(frozen=True)
class Model:
    """A network, and what people need to know of it."""

    title: str
    citation: str
    # (shape of an example, classes, dropout rate or None for its own) -> the network, weights of no account.
    # A picture's shape is (channels, height, width), with values from 0 to 1; a text's (tokens, vocabulary).
    layers: Callable[[tuple[int, ...], int, float | None], nn.Sequential]
    initialise: Callable[[nn.Module, torch.Generator], None]  # sets every weight
    takes: str = "pictures"  # or "texts"
    smallest: int = 1  # height and width of the smallest picture it takes
    weight_decay: float = 0.0  # λ of the penalty λ/2·‖w‖² on matrices and kernels
    dropout: str = "0"  # its own rates, in words
    preprocess: str = ""  # pictures before the first layer: "standardise" or "whiten", see `preprocessing`

    def misfit(self, kind: str, shape: tuple[int, ...]) -> str:
        """Return why examples of this kind and shape can't be had, to follow a name; "" where they can."""
        if kind != self.takes:
            return f"takes {self.takes}, not {kind}"
        if kind == "pictures" and min(shape[1:]) < self.smallest:
            side = f"{self.smallest} × {self.smallest}"
            return f"takes pictures of at least {side} pixels, not {shape[1]} × {shape[2]}"
        return ""


def build(
    name: str,
    classes: int,
    generator: torch.Generator,
    shape: tuple[int, ...] = CIFAR,
    dropout: float | None = None,
) -> nn.Sequential:
    """Return the network `name` with fresh weights drawn from `generator`.

    Args:
        name: of `MODELS`.
        classes: how many answers there are.
        generator: on the CPU.
        shape: of an example, as `Model.layers` takes it.
        dropout: rate of every dropout layer; None is the network's own.

    >>> import torch
    >>> network = build("keras_cnn", 10, torch.Generator().manual_seed(0))
    >>> sum(parameter.numel() for parameter in network.parameters())
    122570
    """
    network = MODELS[name].layers(shape, classes, dropout)
    MODELS[name].initialise(network, generator)
    return network


@cache
def seen(name: str, shape: tuple[int, ...] = CIFAR) -> tuple[int, int]:
    """Return how many rows and columns of a picture any output of a network depends on, counted from 0, 0.

    The rest need not be looked at: outputs and gradients are the same but for the order of their sums. Where
    a layer counts on the size of the whole picture, that is the size of the whole.

    >>> seen("keras_cnn")  # its pools drop the last row and column of 15 × 15 and of 13 × 13
    (30, 30)
    """
    import torch

    _, high, wide = shape
    network = build(name, 10, torch.Generator().manual_seed(0), shape).eval()
    picture = torch.rand(8, *shape, generator=torch.Generator().manual_seed(1)).requires_grad_()
    with torch.enable_grad():
        answers = network(picture)
        answers.square().sum().backward()
    assert picture.grad is not None
    counts = picture.grad.abs().sum((0, 1))
    rows, columns = (int(counts.sum(side).nonzero().max()) + 1 for side in (1, 0))
    if (rows, columns) == (high, wide):
        return high, wide
    try:
        found = network(picture[:, :, :rows, :columns])
    except RuntimeError:  # a layer behind counts on the size of the whole
        return high, wide
    return (rows, columns) if torch.allclose(found, answers, rtol=1e-4, atol=1e-5) else (high, wide)


# First weights ----------------------------------------------------------------------------------------------


def glorot(network: nn.Module, generator: torch.Generator) -> None:
    """Draw weights as Keras does: uniform in ±√(6/(fan_in + fan_out)); zero biases. Glorot, Bengio 2010."""
    from torch import nn

    _initialise(network, lambda weight: nn.init.xavier_uniform_(weight, generator=generator), generator)


def he(network: nn.Module, generator: torch.Generator) -> None:
    """Draw weights from N(0, 2/fan_in); zero biases. He et al., arXiv:1502.01852, eq. 10."""
    from torch import nn

    _initialise(
        network,
        lambda weight: nn.init.kaiming_normal_(weight, nonlinearity="relu", generator=generator),
        generator,
    )


def torch_default(network: nn.Module, generator: torch.Generator) -> None:
    """Draw weights and biases as torch's own layers do: uniform in ±1/√fan_in."""
    from torch import nn

    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            bound = layer.weight[0].numel() ** -0.5
            nn.init.uniform_(layer.weight, -bound, bound, generator=generator)
            if layer.bias is not None:
                nn.init.uniform_(layer.bias, -bound, bound, generator=generator)


def _initialise(
    network: nn.Module, draw: Callable[[torch.Tensor], object], generator: torch.Generator
) -> None:
    """Draw every kernel and matrix; biases 0, scales 1, embeddings uniform in ±0.05 as Keras has them."""
    from torch import nn

    for layer in network.modules():
        match layer:
            case nn.GroupNorm():
                nn.init.ones_(layer.weight)
                nn.init.zeros_(layer.bias)
            case nn.Embedding():
                nn.init.uniform_(layer.weight, -0.05, 0.05, generator=generator)
                layer._fill_padding_idx_with_zero()
            case nn.Conv1d() | nn.Conv2d() | nn.Linear():
                draw(layer.weight)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)


# Networks ---------------------------------------------------------------------------------------------------


def keras_cnn(shape: tuple[int, ...], classes: int, dropout: float | None) -> nn.Sequential:
    """Return conv 32 – pool – conv 64 – pool – conv 64 – dense 64 – dense; 3 × 3 without padding, ReLU.

    It has no dropout of its own; where a rate is given, it is of the inputs of both dense layers.
    """
    from torch import nn

    channels, *sides = shape
    high, wide = (((side - 2) // 2 - 2) // 2 - 2 for side in sides)  # 4 × 4
    return nn.Sequential(
        nn.Conv2d(channels, 32, 3),  # 32 × 30 × 30
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3),  # 64 × 13 × 13
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Conv2d(64, 64, 3),  # 64 × 4 × 4
        nn.ReLU(),
        nn.Flatten(),
        *_dropout(dropout),
        nn.Linear(64 * high * wide, 64),
        nn.ReLU(),
        *_dropout(dropout),
        nn.Linear(64, classes),
    )


def simple_cnn(shape: tuple[int, ...], classes: int, dropout: float | None) -> nn.Sequential:
    """Return three times conv 64 – pool, dense 512 – dense; 3 × 3 with padding, ReLU.

    The article's third convolution has 10 channels where its dense layer expects 64, and that layer counts
    16 × 8 places where three pools leave 4 × 4: 64 channels and 4 × 4 places here. Where a dropout rate is
    given, it is of the inputs of both dense layers.
    """
    from torch import nn

    channels, *sides = shape
    high, wide = (side // 8 for side in sides)  # 4 × 4
    return nn.Sequential(
        nn.Conv2d(channels, 64, 3, padding=1),  # 64 × 32 × 32
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Conv2d(64, 64, 3, padding=1),  # 64 × 16 × 16
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Conv2d(64, 64, 3, padding=1),  # 64 × 8 × 8
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Flatten(),
        *_dropout(dropout),
        nn.Linear(64 * high * wide, 512),
        nn.ReLU(),
        *_dropout(dropout),
        nn.Linear(512, classes),
    )


def cnn_3c3d(shape: tuple[int, ...], classes: int, dropout: float | None) -> nn.Sequential:
    """Return conv 64 (5 × 5) – pool – conv 96 – pool – conv 128 – pool, dense 512 – 256 – classes, ReLU.

    The third convolution alone is padded. Pools take 3 × 3 at every second place; TensorFlow's "same" lets
    the last of them reach one row and column beyond the edge, as torch's ceil_mode does. Where a dropout rate
    is given, it is of the inputs of the three dense layers.
    """
    from torch import nn

    channels, *sides = shape
    high, wide = (_halved(_halved(_halved(side - 4) - 2)) for side in sides)  # 3 × 3
    return nn.Sequential(
        nn.Conv2d(channels, 64, 5),  # 64 × 28 × 28
        nn.MaxPool2d(3, 2, ceil_mode=True),
        nn.ReLU(),
        nn.Conv2d(64, 96, 3),  # 96 × 12 × 12
        nn.MaxPool2d(3, 2, ceil_mode=True),
        nn.ReLU(),
        nn.Conv2d(96, 128, 3, padding=1),  # 128 × 6 × 6
        nn.MaxPool2d(3, 2, ceil_mode=True),
        nn.ReLU(),
        nn.Flatten(),
        *_dropout(dropout),
        nn.Linear(128 * high * wide, 512),
        nn.ReLU(),
        *_dropout(dropout),
        nn.Linear(512, 256),
        nn.ReLU(),
        *_dropout(dropout),
        nn.Linear(256, classes),
    )


def adam_paper_cnn(shape: tuple[int, ...], classes: int, dropout: float | None) -> nn.Sequential:
    """Return conv 64 – pool – conv 64 – pool – conv 128 – pool, dense 1000 – classes; 5 × 5, ReLU.

    Pools take 3 × 3 at every second place. Dropout is of the input and of the dense layer, as in the paper,
    which does not give the rates, the padding or how it whitens: here 0.2 and 0.5, padding that keeps the
    size, and ZCA, see `preprocessing`.
    """
    from torch import nn

    channels, *sides = shape
    high, wide = (_halved(_halved(_halved(side))) for side in sides)  # 4 × 4
    return nn.Sequential(
        *_dropout(dropout, 0.2),
        nn.Conv2d(channels, 64, 5, padding=2),  # 64 × 32 × 32
        nn.MaxPool2d(3, 2, ceil_mode=True),
        nn.ReLU(),
        nn.Conv2d(64, 64, 5, padding=2),  # 64 × 16 × 16
        nn.MaxPool2d(3, 2, ceil_mode=True),
        nn.ReLU(),
        nn.Conv2d(64, 128, 5, padding=2),  # 128 × 8 × 8
        nn.MaxPool2d(3, 2, ceil_mode=True),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(128 * high * wide, 1000),
        nn.ReLU(),
        *_dropout(dropout, 0.5),
        nn.Linear(1000, classes),
    )


def resnet_small(shape: tuple[int, ...], classes: int, dropout: float | None) -> nn.Sequential:
    """Return conv 16, three residual blocks of 16, 32 and 64 channels, mean over all places, dense.

    Normalised by groups of 8 channels: over a batch, as in the paper, what a network answers to one picture
    would hang on the others beside it. Where a dropout rate is given, it is of the dense layer's inputs.
    """
    from torch import nn

    from optimizers.training.layers import Residual

    return nn.Sequential(
        nn.Conv2d(shape[0], 16, 3, padding=1, bias=False),  # 16 × 32 × 32
        nn.GroupNorm(2, 16),
        nn.ReLU(),
        Residual(16, 16),
        Residual(16, 32),  # 32 × 16 × 16
        Residual(32, 64),  # 64 × 8 × 8
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        *_dropout(dropout),
        nn.Linear(64, classes),
    )


def image_mlp(shape: tuple[int, ...], classes: int, dropout: float | None) -> nn.Sequential:
    """Return dense 64 – dense over all values of a picture, ReLU."""
    from math import prod

    from torch import nn

    return nn.Sequential(
        nn.Flatten(), nn.Linear(prod(shape), 64), nn.ReLU(), *_dropout(dropout), nn.Linear(64, classes)
    )


def text_cnn(shape: tuple[int, ...], classes: int, dropout: float | None) -> nn.Sequential:
    """Return embedding 64 – conv 64 over 5 words – maximum over the text – dropout 0.5 – dense, ReLU."""
    from torch import nn

    from optimizers.training.layers import Transpose

    vocabulary = shape[-1]
    return nn.Sequential(
        nn.Embedding(vocabulary, 64, padding_idx=0),  # tokens × 64
        Transpose(),  # 64 × tokens
        nn.Conv1d(64, 64, 5),
        nn.AdaptiveMaxPool1d(1),
        nn.ReLU(),
        nn.Flatten(),
        *_dropout(dropout, 0.5),
        nn.Linear(64, classes),
    )


def _halved(side: int) -> int:
    """Return how many windows of 3 at every second place a side has, the last allowed to reach over it."""
    return -(-(side - 3) // 2) + 1


def _dropout(asked: float | None, own: float = 0.0) -> tuple[nn.Module, ...]:
    """Return a dropout layer, or nothing where its rate is 0."""
    from optimizers.training.layers import Dropout

    rate = own if asked is None else asked
    return (Dropout(rate),) if rate else ()


MODELS: dict[str, Model] = {
    "keras_cnn": Model(
        title="Keras CNN",
        citation="the network of TensorFlow's CNN tutorial",
        layers=keras_cnn,
        initialise=glorot,
        smallest=18,
    ),
    "simple_cnn": Model(
        title="Simple CNN",
        citation="SimpleCNN of 禅与计算机程序设计艺术's article on Adam, mended so that its layers fit",
        layers=simple_cnn,
        initialise=torch_default,
        smallest=8,
    ),
    "cnn_3c3d": Model(
        title="DeepOBS 3c3d",
        citation="cifar10_3c3d of Schneider, Balles, Hennig, DeepOBS, arXiv:1903.05499",
        layers=cnn_3c3d,
        initialise=glorot,
        smallest=16,
        weight_decay=0.002,
        preprocess="standardise",
    ),
    "adam_paper_cnn": Model(
        title="Adam paper's CNN",
        citation="Kingma, Ba, arXiv:1412.6980, section 6.3",
        layers=adam_paper_cnn,
        initialise=glorot,
        smallest=8,
        dropout="0.2, 0.5",
        preprocess="whiten",
    ),
    "resnet_small": Model(
        title="Small ResNet",
        citation="He et al., arXiv:1512.03385, section 4.2 with n = 1; GroupNorm: Wu, He, arXiv:1803.08494",
        layers=resnet_small,
        initialise=he,
    ),
    "image_mlp": Model(
        title="Dense network",
        citation="the network of TensorFlow's quickstart for beginners, 64 wide",
        layers=image_mlp,
        initialise=glorot,
    ),
    "text_cnn": Model(
        title="Text CNN",
        citation="after Kim, arXiv:1408.5882, with one width of filter",
        layers=text_cnn,
        initialise=glorot,
        takes="texts",
        dropout="0.5",
    ),
}
