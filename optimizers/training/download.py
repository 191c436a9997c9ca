"""Download one large file whose size and SHA-256 are known: resumed, from mirrors, never wrong.

pooch was looked at: its HTTPDownloader begins every attempt at byte 0 and knows one URL a file, so a large
file from a throttled host might never come. This is requests (proxies, redirects, certificates) and a .part.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    import requests

Progress = Callable[[int, int | None], None]  # bytes so far, bytes in all where known

CONNECT_SECONDS = 10.0
TRIES = 5  # connections to one server, as long as each brings something
WINDOW_SECONDS = 10.0  # over which the speed is measured
SLOW = 250_000  # bytes/s: below this the next server gets its chance, and the fastest of them the rest
STALLED = 500  # bytes/s: below this nothing will come of it


class DownloadError(RuntimeError):
    """No server gave the file; the text says why each did not."""


class _ServerError(Exception):
    """This server did not give the file; the text is the reason."""


class _SlowError(Exception):
    """This server works, at `rate` bytes/s."""

    def __init__(self, rate: float) -> None:
        self.rate = rate


def download(
    urls: Sequence[str],
    part: Path,
    size: int,
    sha256: str,
    progress: Progress,
    stall_seconds: float,
) -> str:
    """Bring the file `part` to `size` bytes with this `sha256`, and return the URL that finished it.

    What an earlier attempt left in `part` is continued, from whichever server: all must hold the same bytes,
    and the checksum over the whole decides. The first server that works and is not slow gives the file; if
    all are slow, the fastest. Only one process may work on `part` at a time.

    Raises DownloadError; `part` then holds what came so far, unless it was wrong.
    """
    if _size(part) == size and file_sha256(part) == sha256:
        return urls[0]  # complete: what came after the download was interrupted
    failures: dict[str, str] = {}
    slow: dict[str, float] = {}

    def attempt(url: str, patient: bool) -> bool:
        try:
            _from_server(url, part, size, sha256, progress, stall_seconds, patient)
        except _ServerError as failure:
            failures[url] = str(failure)
        except _SlowError as trial:
            slow[url] = trial.rate
        else:
            return True
        return False

    for url in urls:
        if attempt(url, patient=len(urls) == 1):
            return url
    for url in sorted(slow, key=lambda url: slow[url], reverse=True):
        if attempt(url, patient=True):
            return url
    raise DownloadError("; ".join(f"{urlsplit(url).netloc} {reason}" for url, reason in failures.items()))


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _from_server(
    url: str, part: Path, size: int, sha256: str, progress: Progress, stall_seconds: float, patient: bool
) -> None:
    """Complete `part` from one server, over several connections if they break."""
    continued = _size(part) > 0  # some bytes are of another run or server
    for tries_left in reversed(range(TRIES)):
        before = _size(part)
        try:
            _receive(url, part, size, progress, stall_seconds, patient)
        except _ServerError:
            if _size(part) > before and tries_left:
                continue  # it brought something: go on from there
            raise
        if file_sha256(part) == sha256:
            return
        part.unlink()
        if not continued:
            break
        continued = False  # the old bytes may be at fault: once more, all from this server
    raise _ServerError("sent a file with a wrong checksum (SHA-256)")


def _receive(
    url: str, part: Path, size: int, progress: Progress, stall_seconds: float, patient: bool
) -> None:
    """Append to `part` over one connection until it has `size` bytes."""
    import requests
    from urllib3.exceptions import HTTPError, ReadTimeoutError

    if _size(part) >= size:
        part.unlink()  # all there, and wrong
    offset = _size(part)
    headers = {"Accept-Encoding": "identity", "User-Agent": "adamscope"}
    if offset:
        headers["Range"] = f"bytes={offset}-"
    try:
        with requests.get(
            url, headers=headers, stream=True, timeout=(CONNECT_SECONDS, stall_seconds)
        ) as reply:
            offset = _first_byte(reply, offset, size)
            with part.open("r+b" if offset else "wb") as file:
                file.seek(offset)
                _copy(reply, file, offset, size, progress, patient)
    except (requests.Timeout, ReadTimeoutError) as error:  # first: a ConnectTimeout is a ConnectionError too
        raise _ServerError(f"sent nothing for {stall_seconds:g} s") from error
    except requests.ConnectionError as error:
        raise _ServerError("cannot be reached") from error
    except (requests.RequestException, HTTPError, ConnectionError) as error:
        raise _ServerError("broke the connection") from error


def _first_byte(reply: requests.Response, offset: int, size: int) -> int:
    """Where this reply starts: at `offset`, or at 0 from a server that ignores ranges."""
    if reply.status_code == 206:
        if reply.headers.get("Content-Range") != f"bytes {offset}-{size - 1}/{size}":
            raise _ServerError("has another file under this name")
        return offset
    if reply.status_code != 200:
        raise _ServerError(f"answered {reply.status_code} {reply.reason}")
    length = reply.headers.get("Content-Length", "")
    if length.isdigit() and int(length) != size:
        raise _ServerError(
            f"has another file under this name ({int(length):,} bytes where {size:,} are expected)"
        )
    return 0


def _copy(
    reply: requests.Response, file: IO[bytes], offset: int, size: int, progress: Progress, patient: bool
) -> None:
    done = offset
    since, before = time.monotonic(), done
    progress(done, size)
    while done < size:
        # read1 gives what has arrived, where a full read would hide a trickle.
        chunk = reply.raw.read1(min(1 << 18, size - done))
        if not chunk:
            raise _ServerError("broke the connection")
        file.write(chunk)
        done += len(chunk)
        progress(done, size)
        seconds = time.monotonic() - since
        if seconds >= WINDOW_SECONDS and done < size:
            rate = (done - before) / seconds
            if rate < STALLED:
                raise _ServerError(f"sent {done - before} bytes in {seconds:.0f} s")
            if rate < SLOW and not patient:
                raise _SlowError(rate)
            since, before = time.monotonic(), done
