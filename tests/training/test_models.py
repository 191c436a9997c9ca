import pytest
import torch
from torch import nn

from optimizers.training.models import MODELS, build


def fresh(name, seed=0):
    return build(name, 10, torch.Generator().manual_seed(seed))


def test_keras_cnn_has_the_parameters_of_the_tutorial():
    shapes = [tuple(parameter.shape) for parameter in fresh("keras_cnn").parameters() if parameter.dim() > 1]
    assert shapes == [(32, 3, 3, 3), (64, 32, 3, 3), (64, 64, 3, 3), (64, 1024), (10, 64)]
    assert sum(parameter.numel() for parameter in fresh("keras_cnn").parameters()) == 122_570


def test_keras_cnn_starts_as_keras_does():
    for layer in fresh("keras_cnn"):
        if isinstance(layer, nn.Conv2d | nn.Linear):
            area = 9 if isinstance(layer, nn.Conv2d) else 1
            bound = (6 / (area * (layer.weight.shape[0] + layer.weight.shape[1]))) ** 0.5
            assert 0.97 * bound < layer.weight.abs().max() <= bound
            assert layer.weight.mean().abs() < 0.1 * bound
            assert not layer.bias.any()


def test_pooling_before_relu_is_the_same_function():
    network = fresh("keras_cnn").double()
    layers = list(network)
    for first in (1, 4):
        assert isinstance(layers[first], nn.MaxPool2d)
        layers[first], layers[first + 1] = layers[first + 1], layers[first]
    textbook = nn.Sequential(*layers)  # shares the parameters
    images = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(1)).double()
    found = []
    for net in (network, textbook):
        net.zero_grad()
        outputs = net(images)
        outputs.square().sum().backward()
        found.append([outputs, *(parameter.grad.clone() for parameter in net.parameters())])
    for ours, expected in zip(*found, strict=True):
        assert torch.equal(ours, expected)


@pytest.mark.parametrize("name", MODELS)
def test_every_model_classifies_pictures_and_repeats(name):
    network = fresh(name)
    assert network(torch.rand(2, 3, 32, 32)).shape == (2, 10)
    again, other = fresh(name), fresh(name, seed=1)
    assert all(map(torch.equal, network.parameters(), again.parameters()))
    assert not torch.equal(next(network.parameters()), next(other.parameters()))
