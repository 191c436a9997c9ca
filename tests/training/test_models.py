import warnings

import pytest
import torch
from torch import nn

from optimizers.training.layers import Dropout, Residual
from optimizers.training.models import MODELS, build, seen


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


def test_only_what_no_output_sees_is_cut_off():
    """keras_cnn drops the last row and column of 15 × 15 and of 13 × 13: two of 32, and none of 30."""
    assert seen("keras_cnn", (3, 30, 30)) == (30, 30)
    assert seen("keras_cnn", (3, 32, 30)) == (30, 30)
    pictures = [name for name, model in MODELS.items() if model.takes == "pictures"]
    cut = {name for name in pictures if seen(name) != (32, 32)}
    assert cut == {"keras_cnn"}
    network = fresh("keras_cnn").double()
    images = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(1)).double()
    found = []
    for seen_images in (images, images[:, :, :30, :30]):
        network.zero_grad()
        outputs = network(seen_images)
        outputs.square().sum().backward()
        found.append([outputs, *(parameter.grad.clone() for parameter in network.parameters())])
    for whole, part in zip(*found, strict=True):
        assert torch.allclose(whole, part, rtol=1e-12, atol=1e-12)


WEIGHTS = {  # counted by hand: kernels, matrices and biases, layer by layer
    "keras_cnn": 122_570,
    "simple_cnn": 3 * 9 * 64 + 2 * 64 * 9 * 64 + 3 * 64 + 1024 * 512 + 512 + 512 * 10 + 10,
    "cnn_3c3d": 895_210,  # DeepOBS's own count
    "adam_paper_cnn": (75 + 1600 + 2 * 1600) * 64 + 2 * 64 + 128 + 2048 * 1000 + 1000 + 10_010,
    "resnet_small": 9 * (3 * 16 + 16 * 16 * 2 + 16 * 32 + 32 * 32 + 32 * 64 + 64 * 64)
    + 2 * (16 * 3 + 32 * 2 + 64 * 2)
    + 650,
    "image_mlp": 3072 * 64 + 64 + 650,
    "text_cnn": 5000 * 64 + 64 * 5 * 64 + 64 + 650,
}
TEXTS = (48, 5000)


def shape_for(name):
    return TEXTS if MODELS[name].takes == "texts" else (3, 32, 32)


def examples(name, count=2):
    random = torch.Generator().manual_seed(1)
    if MODELS[name].takes == "texts":
        return torch.randint(5000, (count, 48), generator=random)
    return torch.rand(count, 3, 32, 32, generator=random)


@pytest.mark.parametrize("name", MODELS)
def test_every_model_has_its_weights_answers_and_repeats(name):
    def made(seed):
        return build(name, 10, torch.Generator().manual_seed(seed), shape_for(name)).eval()

    network, again, other = made(0), made(0), made(1)
    assert sum(parameter.numel() for parameter in network.parameters()) == WEIGHTS[name]
    assert network(examples(name)).shape == (2, 10)
    assert all(map(torch.equal, network.parameters(), again.parameters()))
    assert not torch.equal(next(network.parameters()), next(other.parameters()))
    assert MODELS[name].title
    assert MODELS[name].citation


@pytest.mark.parametrize("name", MODELS)
def test_dropout_is_as_asked(name):
    def rates(dropout):
        network = build(name, 10, torch.Generator().manual_seed(0), shape_for(name), dropout)
        return [layer.rate for layer in network.modules() if isinstance(layer, Dropout)]

    own = {"adam_paper_cnn": [0.2, 0.5], "text_cnn": [0.5]}.get(name, [])
    assert rates(None) == own
    assert rates(0.0) == []
    assert set(rates(0.3)) == {0.3}


def works(name, high, wide):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a layer without a single input
        try:
            network = build(name, 4, torch.Generator().manual_seed(0), (1, high, wide)).eval()
            network(torch.rand(2, 1, high, wide))
        except (RuntimeError, ZeroDivisionError):
            return False
    return all(layer.in_features for layer in network if isinstance(layer, nn.Linear))


@pytest.mark.parametrize("name", [name for name, model in MODELS.items() if model.takes == "pictures"])
def test_the_smallest_picture_is_the_smallest(name):
    side = MODELS[name].smallest
    assert works(name, side, side + 13)
    assert works(name, side, side)
    if side > 1:
        assert not works(name, side - 1, side)
        assert "at least" in MODELS[name].misfit("pictures", (1, side, side - 1))


def test_cnn_3c3d_pools_as_tensorflow_does():
    """TensorFlow's "same" pads what is missing at the end: at even sides one row and one column."""
    network = fresh("cnn_3c3d")
    x = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    ours, textbook = x, x
    for layer in network:
        ours = layer(ours)
        if isinstance(layer, nn.MaxPool2d):
            padded = nn.functional.pad(textbook, (0, 1, 0, 1), value=-torch.inf)
            textbook = nn.functional.max_pool2d(padded, 3, 2)
        else:
            textbook = layer(textbook)
        assert torch.equal(ours, textbook)
    sides = [layer(torch.zeros(1, 1, side, side)).shape[2] for side in (28, 12, 6) for layer in [network[1]]]
    assert sides == [14, 6, 3]


def test_first_weights_by_layer():
    """Scales are 1, biases 0, the padding's embedding 0; He's have the variance 2/fan_in."""
    network = build("resnet_small", 10, torch.Generator().manual_seed(0))
    for layer in network.modules():
        if isinstance(layer, nn.GroupNorm):
            assert torch.equal(layer.weight, torch.ones_like(layer.weight))
            assert not layer.bias.any()
        elif isinstance(layer, nn.Conv2d):
            fan_in = layer.weight[0].numel()
            assert layer.weight.var().item() == pytest.approx(2 / fan_in, rel=0.2)
    embedding = build("text_cnn", 2, torch.Generator().manual_seed(0), TEXTS)[0].weight
    assert not embedding[0].any()
    assert 0.049 < embedding.abs().max() <= 0.05
    for layer in fresh("simple_cnn"):
        if isinstance(layer, nn.Conv2d | nn.Linear):
            bound = layer.weight[0].numel() ** -0.5
            assert 0.97 * bound < layer.weight.abs().max() <= bound
            assert 0.7 * bound < layer.bias.abs().max() <= bound


def test_a_residual_block_keeps_what_its_weights_do_not_change():
    block = Residual(16, 32)
    nn.init.zeros_(block.residue[4].weight)
    nn.init.zeros_(block.residue[4].bias)
    x = torch.rand(2, 16, 8, 8)
    y = block(x)
    assert torch.equal(y[:, :16], x[:, :, ::2, ::2])
    assert not y[:, 16:].any()


def test_resnet_answers_to_each_picture_alone():
    network = fresh("resnet_small")
    images = examples("resnet_small", 6)
    assert torch.allclose(network(images)[:2], network(images[:2]), atol=1e-5)
