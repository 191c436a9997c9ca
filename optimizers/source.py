"""The text of a rule or a surface: what is compiled, shown and handed out."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable
from typing import Any


def source(function: Callable[..., Any]) -> str:
    """Return a function's own source; one that was itself generated carries it along as `source`.

    Raises:
        ValueError: there is none to be found.
    """
    try:
        return textwrap.dedent(getattr(function, "source", None) or inspect.getsource(function))
    except (OSError, TypeError):
        raise ValueError(
            f"{function.__name__} has no source to compile; define it in a file or in a notebook's cell."
        ) from None
