from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import create_engine, text

from optimizers.training import data
from tests.training.postgres import server


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """URL of a database of a real server. Without one tests are skipped, unless CI says to fail."""
    with server() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """URL of an empty database, of either kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'new folder' / 'runs.sqlite'}"
        return
    found = request.getfixturevalue("postgresql")
    yield found
    engine = create_engine(found)
    with engine.begin() as connection:
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
    engine.dispose()


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
