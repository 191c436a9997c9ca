"""A pool and its ReLU in one pass are torch's, to the bit."""

import pytest
import torch
from torch import nn

from optimizers.training.pools import PooledReLU, join


@pytest.mark.parametrize("window", [(2, False), (3, True), (3, False)])
@pytest.mark.parametrize("shape", [(3, 8, 6, 6), (2, 5, 7, 9), (1, 64, 4, 3), (2, 8, 8, 7)])
def test_outputs_and_gradients_are_those_of_pool_and_relu(shape, window):
    random = torch.Generator().manual_seed(0)
    x = (2 * torch.randn(shape, generator=random)).bfloat16()
    x[torch.rand(shape, generator=random) < 0.3] = 1.5  # many equal ones
    x[torch.rand(shape, generator=random) < 0.1] = -0.0
    x = x.contiguous(memory_format=torch.channels_last)
    found = []
    side, ceil = window
    for layer in (nn.Sequential(nn.MaxPool2d(side, 2, ceil_mode=ceil), nn.ReLU()), PooledReLU(*window)):
        leaf = x.clone().requires_grad_()
        y = layer(leaf)
        g = torch.randn(y.shape, generator=torch.Generator().manual_seed(1)).bfloat16()
        y.backward(g)  # contiguous, where y is channels last
        found.append((y, leaf.grad))
    (expected, gradient), (ours, own) = found
    assert torch.equal(ours, expected)
    assert torch.equal(own, gradient)
    assert ours.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("side", [2, 3])
@pytest.mark.parametrize("sign", [1, -1])
def test_what_is_not_a_number_stays_so(sign, side):
    x = torch.full((1, 8, 6, 6), -1.0).bfloat16()
    x[0, :, 1, 3] = torch.tensor(sign * torch.nan).bfloat16()
    x[0, :, 3, 0] = torch.inf
    y = PooledReLU(side)(x)
    assert y[0, :, 0, 1].isnan().all()
    assert (y[0, :, 1, 0] == torch.inf).all()
    assert not y[0, :, 0, 0].any()


def test_joined_a_network_is_the_same_function_and_keeps_its_names():
    layers = (nn.Conv2d(3, 8, 3), nn.MaxPool2d(2), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU(), nn.MaxPool2d(3))
    network = nn.Sequential(*layers)
    x = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    names, expected = [name for name, _ in network.named_parameters()], network(x)
    join(network)
    assert [type(layer).__name__ for layer in network] == [
        *("Conv2d", "PooledReLU", "Identity", "Conv2d", "ReLU", "MaxPool2d")
    ]
    assert [name for name, _ in network.named_parameters()] == names
    assert torch.equal(network(x), expected)
