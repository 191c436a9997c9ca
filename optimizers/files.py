"""Files that are whole or not there at all."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole(path: Path | str) -> Iterator[Path]:
    """Yield a name beside `path` to write to; the file takes its place when all of it is written.

    Whatever ends the writing early, Ctrl-C too, leaves no file, and one that was there before as it was.

    Raises:
        FileNotFoundError: its folder is not there; said before anything is computed.
    """
    path = Path(os.path.realpath(path))  # a link stays a link
    if not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    temporary = path.with_name(f".{path.stem}-{secrets.token_hex(4)}{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as problem:
        if problem.filename == str(temporary):  # a name nobody gave
            problem.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)
