"""Each kind of change does what its name says, and nothing else."""

import pytest
import torch

from optimizers.training.augment import BRIGHTNESS, CONTRAST, SATURATION, augment


def changed(images, kinds, seed=0):
    return augment(images, kinds, torch.Generator().manual_seed(seed))


@pytest.fixture
def images():
    return torch.rand(64, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def test_set_by_the_seed(images):
    every = "crop+flip+jitter+shear+zoom"
    assert torch.equal(changed(images, every), changed(images, every))
    assert not torch.equal(changed(images, every), changed(images, every, seed=1))


def test_crop_moves_by_whole_pixels_and_is_black_outside(images):
    found = changed(images, "crop")
    padded = torch.nn.functional.pad(images, (2, 2, 2, 2))
    crops = {(x, y): padded[:, :, y : y + 32, x : x + 32] for x in range(5) for y in range(5)}
    taken = []
    for k, image in enumerate(found):
        (place,) = [at for at, crop in crops.items() if torch.allclose(image, crop[k], atol=1e-4)]
        taken.append(place)
    assert len(set(taken)) > 15  # of 25
    assert {x for x, _ in taken} == {y for _, y in taken} == set(range(5))


def test_flip_mirrors_about_half(images):
    found = changed(images, "flip")
    mirrored = [
        torch.allclose(image, old.flip(-1), atol=1e-4) for image, old in zip(found, images, strict=True)
    ]
    kept = [torch.allclose(image, old, atol=1e-4) for image, old in zip(found, images, strict=True)]
    assert all(a != b for a, b in zip(mirrored, kept, strict=True))
    assert 16 < sum(mirrored) < 48


def test_zoom_and_shear_are_affine():
    """A ramp stays a ramp inside, about the same middle; its slope tells by how much."""
    x = torch.linspace(-1, 1, 33).expand(200, 1, 33, 33)
    middle = slice(12, 21)
    for kinds, steps in (("zoom", x), ("zoom", x.transpose(2, 3)), ("shear", x)):
        found = changed(steps.contiguous(), kinds)[:, 0, middle, middle]
        along = (found[:, 0, 8] - found[:, 0, 0]) / 8 * 16  # by half a side
        down = (found[:, 8, 0] - found[:, 0, 0]) / 8 * 16
        assert torch.allclose(found[:, 4, 4], torch.zeros(200), atol=1e-4)
        slope, other = (along, down) if steps is x else (down, along)
        if kinds == "zoom":
            assert 0.79 < slope.min() < 0.85
            assert 1.15 < slope.max() < 1.21
            assert other.abs().max() < 1e-4
        else:
            assert torch.allclose(slope, torch.ones(200), atol=1e-3)
            assert -0.21 < other.min() < -0.15
            assert 0.15 < other.max() < 0.21


def test_jitter_changes_colours_not_places():
    plain = torch.tensor([0.5, 0.45, 0.55])[:, None, None].expand(500, 3, 8, 8).contiguous()
    found = changed(plain, "jitter")
    assert torch.allclose(found, found[:, :, :1, :1].expand_as(found))  # one colour stays one colour
    colours = found[:, :, 0, 0]
    assert 0.5 - BRIGHTNESS - 0.02 < colours.mean(1).min() < 0.4
    assert 0.6 < colours.mean(1).max() < 0.5 + BRIGHTNESS + 0.02
    spread = colours[:, 2] - colours[:, 1]  # 0.1 × contrast × saturation
    assert 0.1 * (1 - CONTRAST) * (1 - SATURATION) < spread.min() < 0.05
    assert 0.15 < spread.max() < 0.1 * (1 + CONTRAST) * (1 + SATURATION)
    black_and_white = torch.rand(8, 3, 16, 16).round()
    assert changed(black_and_white, "jitter").min() >= 0
    assert changed(black_and_white, "jitter").max() <= 1


def test_one_more_kind_leaves_the_others_as_they_were(images):
    flipped, both = changed(images, "flip"), changed(images, "flip+jitter")
    again = augment(flipped, "jitter", torch.Generator().manual_seed(0))
    assert torch.allclose(both, again, atol=1e-6)


def test_grey_pictures(images):
    assert changed(images[:, :1], "crop+flip+jitter+shear+zoom").shape == (64, 1, 32, 32)
