import sys
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def _home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A home of the tests' own: none reads or writes the data and runs of whoever starts them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ADAMSCOPE_HOME", str(tmp_path_factory.mktemp("home")))
        patch.delenv("ADAMSCOPE_STORE", raising=False)
        yield


@pytest.fixture(autouse=True)
def _main() -> Iterator[None]:
    """The program that runs is the tests', as it was: a page under test takes its place, and would be run
    again by each process that a later test starts."""
    main = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = main
