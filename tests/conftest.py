from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def _home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A home of the tests' own: none reads or writes the data and runs of whoever starts them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ADAMSCOPE_HOME", str(tmp_path_factory.mktemp("home")))
        patch.delenv("ADAMSCOPE_STORE", raising=False)
        yield
