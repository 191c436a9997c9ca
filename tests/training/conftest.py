import numpy as np
import pytest

from optimizers.training import data


@pytest.fixture(scope="module")
def easy_data():
    """Ten classes of plain colours with a little noise, as `data.load` gives them: learned in seconds."""
    random = np.random.default_rng(0)
    colours = random.integers(40, 215, (10, 3))

    def draw(count):
        labels = np.arange(count) % 10
        images = colours[labels][:, :, None, None] + random.integers(-30, 31, (count, 3, 32, 32))
        return images.astype(np.uint8), labels.astype(np.int64)

    classes = tuple(f"colour {number}" for number in range(10))
    dataset = data.Dataset("shapes10", *draw(120), *draw(60), classes, "Plain colours, for tests.")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data, "load", lambda name: dataset)
        yield dataset
