"""The networks of the lab. A new one is one entry of `MODELS`.

torch is imported where a network is built, so that pages can name the models without it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass(frozen=True)
class Model:
    """A network for pictures of 3 × 32 × 32, with values from 0 to 1."""

    title: str
    citation: str
    layers: Callable[[int], nn.Sequential]  # number of classes -> the network, weights of no account
    initialise: Callable[[nn.Module, torch.Generator], None]  # sets every weight
    weight_decay: float = 0.0  # λ of the penalty λ/2·‖w‖² on matrices and kernels


def build(name: str, classes: int, generator: torch.Generator) -> nn.Sequential:
    """Return the network `name` with fresh weights drawn from `generator`.

    >>> import torch
    >>> network = build("keras_cnn", 10, torch.Generator().manual_seed(0))
    >>> sum(parameter.numel() for parameter in network.parameters())
    122570
    """
    network = MODELS[name].layers(classes)
    MODELS[name].initialise(network, generator)
    return network


def glorot(network: nn.Module, generator: torch.Generator) -> None:
    """Draw weights as Keras does: uniform in ±√(6/(fan_in + fan_out)); zero biases. Glorot, Bengio 2010."""
    from torch import nn

    for parameter in network.parameters():
        if parameter.dim() > 1:
            nn.init.xavier_uniform_(parameter, generator=generator)
        else:
            nn.init.zeros_(parameter)


def keras_cnn(classes: int) -> nn.Sequential:
    """Return conv 32 – pool – conv 64 – pool – conv 64 – dense 64 – dense; 3 × 3 without padding, ReLU."""
    from torch import nn

    # Pooling before ReLU gives the same outputs and gradients as after it (the larger of two numbers is the
    # same before and after a monotone function) on a quarter of the numbers.
    return nn.Sequential(
        nn.Conv2d(3, 32, 3),  # 32 × 30 × 30
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3),  # 64 × 13 × 13
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Conv2d(64, 64, 3),  # 64 × 4 × 4
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(1024, 64),
        nn.ReLU(),
        nn.Linear(64, classes),
    )


MODELS: dict[str, Model] = {
    "keras_cnn": Model(
        title="Keras CNN",
        citation="the network of TensorFlow's CNN tutorial",
        layers=keras_cnn,
        initialise=glorot,
    ),
}
