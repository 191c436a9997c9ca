"""What the small networks train on: the catalogue of data sets, and CIFAR-10, fetched once and checked.

Everything here is NumPy and files, without torch. Data live under `home()`. Other sets have a module each.
"""

from __future__ import annotations

import contextlib
import errno
import gzip
import hashlib
import json
import logging
import os
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib import import_module
from pathlib import Path, PurePath, PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from optimizers.files import whole
from optimizers.notation import unknown
from optimizers.training import shapes
from optimizers.training.download import DownloadError, Progress, download, file_sha256

_log = logging.getLogger(__name__)


class DataError(RuntimeError):
    """Data are missing, damaged or out of reach; the message says in one sentence what to do."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """Pictures, or texts, and labels in memory, as `torch.from_numpy` takes them.

    `note` says in one sentence what the pictures are; it is shown wherever they are used.
    """

    name: str
    train_images: np.ndarray  # (N, C, H, W) uint8: red, green, blue, or grey; texts: (N, tokens) int64
    train_labels: np.ndarray  # (N,) int64: an index into classes
    test_images: np.ndarray  # (M, C, H, W) uint8; texts: (M, tokens) int64
    test_labels: np.ndarray  # (M,) int64
    classes: tuple[str, ...]
    note: str
    vocabulary: tuple[
        str, ...
    ] = ()  # of texts: the word of each token; the first pads, the second is unknown

    @property
    def shape(self) -> tuple[int, ...]:
        """Of an example, as a network is built for it: (C, H, W); texts: (tokens, vocabulary)."""
        sizes = self.train_images.shape[1:]
        return (*sizes, len(self.vocabulary)) if self.vocabulary else sizes


@dataclass(frozen=True)
class DatasetEntry:
    """What people need to know of a data set before it is loaded, and how to load it from home()."""

    title: str
    note: str
    classes: tuple[str, ...]
    present: Callable[[Path], bool]
    read: Callable[[Path], Dataset]
    kind: str = "pictures"  # or "texts"
    shape: tuple[int, ...] = (3, 32, 32)  # of an example, as `Dataset.shape`
    command: str = ""  # that brings it onto this machine


def home() -> Path:
    """Where data, runs and checkpoints live: $ADAMSCOPE_HOME, or the platform's folder for user data."""
    named = os.environ.get("ADAMSCOPE_HOME")
    if named:
        return Path(named).expanduser().absolute()
    import platformdirs

    return platformdirs.user_data_path("adamscope", appauthor=False)


def available(name: str, home: Path | None = None) -> bool:
    """Whether `load(name)` needs no download. Raises ValueError for an unknown name."""
    return entry(name).present(_home(home))


def load(name: str, home: Path | None = None) -> Dataset:
    """Read a data set of `DATASETS` into memory (CIFAR-10 takes a fraction of a second).

    Raises ValueError for an unknown name, DataError where the data are missing or damaged.

    >>> load("shapes10").train_images.shape
    (10000, 3, 32, 32)
    """
    return entry(name).read(_home(home))


def _home(chosen: Path | None) -> Path:
    return home() if chosen is None else Path(chosen)


# CIFAR-10 ---------------------------------------------------------------------------------------------
#
# Krizhevsky, "Learning Multiple Layers of Features from Tiny Images" (2009), in its binary layout, which
# needs no pickle: a record is 1 label byte, then 1024 red, 1024 green and 1024 blue bytes, row by row.

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
FOLDER = "cifar-10-batches-bin"
ARCHIVE = "cifar-10-binary.tar.gz"
PART = f"{ARCHIVE}.part"
ARCHIVE_BYTES = 170_052_171
ARCHIVE_SHA256 = "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"
URLS = (
    "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",  # the author's; 50-90 kB/s since mid-2026
    "https://mindspore-website.obs.cn-north-4.myhuaweicloud.com/notebook/datasets/cifar-10-binary.tar.gz",
    "https://storage.googleapis.com/s4tf-hosted-binaries/datasets/CIFAR10/cifar-10-binary.tar.gz",
)
RECORD = 3073  # bytes
BATCH = 10_000  # records in an official file; a shortened copy may have fewer
TRAIN_FILES = (
    "data_batch_1.bin",
    "data_batch_2.bin",
    "data_batch_3.bin",
    "data_batch_4.bin",
    "data_batch_5.bin",
)
TEST_FILE = "test_batch.bin"
FILES = (*TRAIN_FILES, TEST_FILE)
OFFICIAL_SHA256 = {
    "data_batch_1.bin": "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
    "data_batch_2.bin": "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
    "data_batch_3.bin": "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
    "data_batch_4.bin": "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
    "data_batch_5.bin": "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
    "test_batch.bin": "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
}
META = "batches.meta.txt"  # the class names, one a line
PROVENANCE = (
    "provenance.json"  # written by fetch_cifar10: where the files are from, whether they are official
)


def _cifar10_present(home: Path) -> bool:
    return all((home / FOLDER / name).is_file() for name in FILES)


def _read_cifar10(home: Path) -> Dataset:
    folder = home / FOLDER
    if not _cifar10_present(home):
        raise DataError(
            f"CIFAR-10 is not in {home}: fetch it with `adamscope data cifar10`, or use shapes10, "
            "which needs no download"
        )
    train_images, train_labels = _read_batches([folder / name for name in TRAIN_FILES])
    test_images, test_labels = _read_batches([folder / TEST_FILE])
    counts = f"{len(train_labels):,} training and {len(test_labels):,} test pictures"
    note = f"CIFAR-10, {counts}: {_origin(folder).note}"
    return Dataset("cifar10", train_images, train_labels, test_images, test_labels, CLASSES, note)


def _read_batches(paths: Sequence[Path]) -> tuple[np.ndarray, np.ndarray]:
    batches = [_records(path) for path in paths]
    total = sum(map(len, batches))
    images = np.empty((total, 3, 32, 32), np.uint8)
    labels = np.empty(total, np.int64)
    first = 0
    for batch in batches:
        rows = slice(first, first + len(batch))
        images[rows] = batch[:, 1:].reshape(-1, 3, 32, 32)
        labels[rows] = batch[:, 0]
        first += len(batch)
    return images, labels


def _records(path: Path, source: str | None = None) -> np.ndarray:
    """The records of a batch file, (n, 3073) uint8 mapped from disk; raises DataError if it is not one."""
    shown = f"{path.name} in {source or path.parent}"
    size = path.stat().st_size
    count, rest = divmod(size, RECORD)
    if rest or not 1 <= count <= BATCH:
        raise DataError(
            f"{shown} is not a CIFAR-10 batch: it has {size:,} bytes, not 1 to {BATCH:,} records of "
            f"{RECORD:,}; {_FETCH_AGAIN}"
        )
    records = np.memmap(path, np.uint8, "r", shape=(count, RECORD))
    highest = int(records[:, 0].max())
    if highest >= len(CLASSES):
        raise DataError(
            f"{shown} is not a CIFAR-10 batch: it has the label {highest}, not 0 to 9; {_FETCH_AGAIN}"
        )
    return records


_FETCH_AGAIN = "fetch CIFAR-10 again with `adamscope data cifar10`"


class _Origin(NamedTuple):
    official: bool | None  # None: not known
    note: str


def _origin(folder: Path) -> _Origin:
    """Where the files in home() are from, as far as that is known."""
    try:
        record = json.loads((folder / PROVENANCE).read_text("utf-8"))
        official, source, sizes = bool(record["official"]), str(record["source"]), dict(record["bytes"])
    except (OSError, ValueError, KeyError, TypeError):
        return _Origin(None, "put there by hand, not checked against the official ones")
    if any((folder / name).stat().st_size != sizes.get(name) for name in FILES):
        return _Origin(None, "changed since they were fetched, not checked against the official ones")
    if official:
        return _Origin(True, "the official ones, by SHA-256 when they were fetched")
    return _Origin(False, f"read from {PurePath(source).name} on this machine, not the official ones")


# Fetching: bytes into one .part file, or from what the user has; checked files into a staging folder; then
# one rename. Whatever stops it, home() holds the old data or the new, and never a mixture.

_ELSEWHERE = (
    "name a copy you have with `adamscope data cifar10 --from FILE`, or use shapes10, which needs no download"
)
_WANTED = f"the binary version is wanted, {ARCHIVE} ({ARCHIVE_BYTES:,} bytes, {URLS[0]})"
_SPARE = 16_000_000  # bytes to leave free on the disk


def fetch_cifar10(
    source: Path | None = None,
    progress: Progress | None = None,
    *,
    home: Path | None = None,
    urls: Sequence[str] = URLS,
    sha256: str = ARCHIVE_SHA256,
    size: int = ARCHIVE_BYTES,
    stall_seconds: float = 30.0,
) -> Path:
    """Put CIFAR-10 into `home` and return its folder there.

    Without `source` the official archive is downloaded, unless its files are there already: continued where
    an earlier attempt stopped, from the first of `urls` that works, and taken only with this `size` and
    `sha256`. `source` is the archive, a folder with the .bin files, or a folder that holds either;
    well-formed data that are not the official ones are taken too, and the data set's note says so.

    Raises DataError, in one sentence that says what is wrong and what to do; nothing is then half-written.
    """
    home = _home(home)
    report = progress or (lambda done, total: None)
    with in_one_sentence(home), alone(home, "CIFAR-10"):
        staging, target = home / f".{FOLDER}.new", home / FOLDER
        _remove(staging)  # left by a process that was killed
        try:
            if source is not None:
                _stage_source(Path(source).expanduser(), staging, sha256, report)
            elif _cifar10_present(home) and _origin(target).official:
                return target
            else:
                _stage_download(staging, urls, sha256, size, report, stall_seconds)
            _swap(staging, target)
            if source is None:
                (home / PART).unlink()
        finally:
            _remove(staging)
    return target


def _stage_download(
    staging: Path, urls: Sequence[str], sha256: str, size: int, progress: Progress, stall_seconds: float
) -> None:
    home = staging.parent
    part = home / PART
    have = part.stat().st_size if part.exists() else 0
    _need_space(home, max(size - have, 0) + len(FILES) * BATCH * RECORD)
    try:
        url = download(urls, part, size, sha256, progress, stall_seconds)
    except DownloadError as error:
        have = part.stat().st_size if part.exists() else 0
        again = f"try again, which continues after the {_mb(have)} that came" if have else "check the network"
        raise DataError(f"CIFAR-10 could not be downloaded ({error}): {again}, {_ELSEWHERE}") from error
    _unpack(part, staging, lambda done, total: None)
    _finish(staging, url, official=True)


def _stage_source(source: Path, staging: Path, sha256: str, progress: Progress) -> None:
    found = _find(source)
    _need_space(staging.parent, len(FILES) * BATCH * RECORD)
    if found.is_dir():
        _copy_files(found, staging, progress)
        _finish(staging, str(found), official=False)
    else:
        official = file_sha256(found) == sha256
        _unpack(found, staging, progress)
        _finish(staging, str(found), official)


def _find(source: Path) -> Path:
    """The archive or the folder of .bin files that `source` is or holds."""
    if source.is_file():
        return source
    if not source.is_dir():
        raise DataError(f"there is no {source}: name the file {ARCHIVE}, or the folder {FOLDER}")
    for folder in (source, source / FOLDER):
        if any((folder / name).exists() for name in FILES):
            return folder
    if (source / ARCHIVE).is_file():
        return source / ARCHIVE
    if any((source / name).exists() for name in (*_PYTHON_VERSION, "data_batch_1")):
        raise DataError(f"{source} holds the Python version of CIFAR-10: {_WANTED}")
    raise DataError(f"{source} holds neither {ARCHIVE} nor {FOLDER}: {_WANTED}")


_PYTHON_VERSION = ("cifar-10-batches-py", "cifar-10-python.tar.gz")


def _copy_files(folder: Path, staging: Path, progress: Progress) -> None:
    paths = [folder / name for name in (*FILES, META) if (folder / name).exists()]
    total = sum(path.stat().st_size for path in paths)
    done = 0
    staging.mkdir()
    for path in paths:
        shutil.copyfile(path, staging / path.name)
        done += path.stat().st_size
        progress(done, total)


def _unpack(archive: Path, staging: Path, progress: Progress) -> None:
    """Write the archive's batches and class names into `staging`, having looked at every member."""
    with archive.open("rb") as file:
        if file.read(2) != b"\x1f\x8b":
            raise DataError(f"{archive} is not a .tar.gz archive: {_WANTED}")
    done = 0
    staging.mkdir()
    try:
        with gzip.open(archive) as unzipped, tarfile.open(fileobj=unzipped, mode="r:") as tar:
            for member in tar:
                name = _wanted_name(member, archive)
                if name is None:
                    continue
                content = tar.extractfile(member)
                assert content is not None  # a regular file has content
                with content, (staging / name).open("xb") as out:
                    shutil.copyfileobj(content, out, 1 << 20)
                done += member.size
                progress(done, None)
            while unzipped.read(1 << 20):  # to its end, where gzip has its checksum
                pass
    except FileExistsError:
        raise DataError(
            f"{archive} holds a file twice, which the CIFAR-10 archive does not: {_WANTED}"
        ) from None
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{archive} is cut short or damaged: download it again, {_WANTED}") from error


def _wanted_name(member: tarfile.TarInfo, archive: Path) -> str | None:
    """The file a member becomes, None for one to pass over; raises DataError for what has no place there."""
    path = PurePosixPath(member.name)
    if path.parts and path.parts[0] in _PYTHON_VERSION:
        raise DataError(f"{archive} is the Python version of CIFAR-10: {_WANTED}")
    inside = path.parts[:1] == (FOLDER,)
    if member.isdir() and (path.parts == () or path.parts == (FOLDER,)):
        return None
    if member.isreg() and len(path.parts) == 1 + inside:
        if path.name == "readme.html" or path.name.startswith("._"):  # ._: what a Mac adds when it packs
            return None
        if path.name in FILES and member.size <= BATCH * RECORD:
            return path.name
        if path.name == META and member.size <= 1000:
            return path.name
    raise DataError(f"{archive} holds {member.name!r}, which the CIFAR-10 archive does not: {_WANTED}")


def _finish(staging: Path, source: str, official: bool) -> None:
    """Check the staged files and write down where they are from."""
    missing = [name for name in FILES if not (staging / name).is_file()]
    if missing:
        raise DataError(f"{source} lacks {', '.join(missing)}: {_WANTED}")
    for name in FILES:
        _records(staging / name, source)
    _check_classes(staging / META, source)
    if not official:
        official = all(file_sha256(staging / name) == OFFICIAL_SHA256[name] for name in FILES)
    record = {
        "source": source,
        "official": official,
        "fetched": datetime.now(UTC).isoformat(timespec="seconds"),
        "bytes": {name: (staging / name).stat().st_size for name in FILES},
    }
    (staging / PROVENANCE).write_text(json.dumps(record, indent=2) + "\n", "utf-8")


def _check_classes(meta: Path, source: str) -> None:
    if not meta.exists():
        meta.write_text("\n".join(CLASSES) + "\n", "utf-8")
    names = meta.read_text("utf-8", errors="replace").split()
    if tuple(names) != CLASSES:
        raise DataError(
            f"{source} is not CIFAR-10, as its {META} names {', '.join(names[:10]) or 'nothing'}: {_WANTED}"
        )


def _swap(staging: Path, target: Path) -> None:
    """Put the staged folder in the place of what is there."""
    old = target.with_name(f".{FOLDER}.old")
    _remove(old)
    if target.exists() or target.is_symlink():
        target.rename(old)
    try:
        staging.rename(target)
    except OSError:
        if old.exists():
            old.rename(target)
        raise
    _remove(old)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def alone(home: Path, what: str) -> Iterator[None]:
    """Hold the lock of `what` in home; the operating system lets go of it when a process dies."""
    import filelock

    home.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(home / f".{what.replace('-', '').lower()}.lock", timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise DataError(
            f"another process is fetching {what} into {home}: wait until it has finished"
        ) from None
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def in_one_sentence(home: Path) -> Iterator[None]:
    """Turn what the operating system refuses into a DataError."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise DataError(f"the disk of {home} is full: {_MAKE_SPACE}") from error
        raise DataError(
            f"{error.filename or home} cannot be used ({error.strerror or error}): name a file that can be "
            "read, and an ADAMSCOPE_HOME that can be written"
        ) from error


_MAKE_SPACE = "free some space, or set ADAMSCOPE_HOME to a folder on another disk"


def _need_space(home: Path, needed: int) -> None:
    free = shutil.disk_usage(home).free
    if free < needed + _SPARE:
        raise DataError(
            f"{home} has {_mb(free)} free and CIFAR-10 needs {_mb(needed + _SPARE)}: {_MAKE_SPACE}"
        )


def _mb(count: int) -> str:
    return f"{count / 1e6:,.0f} MB"


# The catalogue ----------------------------------------------------------------------------------------


def _read_shapes10(home: Path) -> Dataset:
    return _shapes10(home)


@cache  # a worker trains on the same pictures again and again
def _shapes10(home: Path) -> Dataset:
    train_images, train_labels, test_images, test_labels = keep_shapes10(home)
    return Dataset(
        "shapes10", train_images, train_labels, test_images, test_labels, shapes.CLASSES, shapes.NOTE
    )


def keep_shapes10(home: Path) -> list[np.ndarray]:
    """Return shapes10's four arrays, from a file in `home`, or else drawn, in a second, and kept there."""
    drawn_by = Path(shapes.__file__).read_bytes() + np.__version__.encode()
    file = home / "drawn" / f"shapes10-{hashlib.sha256(drawn_by).hexdigest()[:8]}.npz"
    names = ("train_images", "train_labels", "test_images", "test_labels")
    try:
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as found:
            return [found[name] for name in names]
    except FileNotFoundError:
        pass
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as problem:
        _log.warning("%s can't be read, so its pictures are drawn again: %s", file, problem)
    sets: list[np.ndarray] = [*shapes.draw(10_000, seed=0), *shapes.draw(2_000, seed=1)]
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with whole(file) as temporary:
            np.savez(temporary, allow_pickle=False, **dict(zip(names, sets, strict=True)))
    except OSError as problem:  # a full disk, say: they can be drawn again
        _log.warning("The pictures drawn for shapes10 can't be kept in %s: %s", file, problem)
    return sets


def _reader(module: str, function: str) -> Callable[[Path], Any]:
    """Return a function of another module of this package, which is loaded when it is called."""

    def call(home: Path) -> Any:
        return getattr(import_module(f"optimizers.training.{module}"), function)(home)

    return call


DATASETS: dict[str, DatasetEntry] = {
    "cifar10": DatasetEntry(
        title="CIFAR-10",
        note="CIFAR-10: 60,000 small photographs of ten kinds of things; a 170 MB download, once",
        classes=CLASSES,
        present=_cifar10_present,
        read=_read_cifar10,
        command="adamscope data cifar10",
    ),
    "shapes10": DatasetEntry(
        title="shapes10 (generated stand-in)",
        note=shapes.NOTE,
        classes=shapes.CLASSES,
        present=lambda home: True,
        read=_read_shapes10,
    ),
    "digits": DatasetEntry(
        title="Handwritten digits",
        note="digits: 1,797 real handwritten digits that come with scikit-learn, 8 × 8 and grey",
        classes=tuple("0123456789"),
        present=_reader("data_digits", "present"),
        read=_reader("data_digits", "read"),
        shape=(1, 8, 8),
        command="pip install scikit-learn",
    ),
    "docs8": DatasetEntry(
        title="docs8 (texts)",
        note="docs8: real paragraphs from the docstrings of eight libraries; which one is it from?",
        classes=("dask", "matplotlib", "numpy", "scikit-learn", "sqlalchemy", "streamlit", "sympy", "torch"),
        present=_reader("data_text", "docs_present"),
        read=_reader("data_text", "read_docs"),
        kind="texts",
        shape=(48, 5000),
        command="pip install adamscope",
    ),
    "reviews": DatasetEntry(
        title="Film reviews (texts)",
        note="reviews: 10,000 sentences of film reviews, judged by people; a 2.5 MB download, once",
        classes=("negative", "positive"),
        present=_reader("data_text", "reviews_present"),
        read=_reader("data_text", "read_reviews"),
        kind="texts",
        shape=(48, 5000),
        command="adamscope data reviews",
    ),
}

FOLDERS = "folder:"  # before the place of class folders of one's own
PICTURES = "pictures"  # the folder in home() whose class folders are offered by name


def entry(name: str) -> DatasetEntry:
    """Return what is known of a data set of `DATASETS`, or of `folder:DIR`; whether it is there is not asked.

    Raises ValueError for an unknown name.
    """
    if name in DATASETS:
        return DATASETS[name]
    if isinstance(name, str) and name.startswith(FOLDERS):
        place = name.removeprefix(FOLDERS)
        if not place or "\0" in place:
            raise ValueError(
                f"{name!r} names no folder; write it like folder:DIR, with a folder for each class."
            )
        return DatasetEntry(
            title=Path(place).name or place,
            note=f"{place}: pictures of one's own, a folder for each class",
            classes=(),
            present=lambda home: _folder(home, place).is_dir(),
            read=lambda home: import_module("optimizers.training.data_folder").read(
                name, _folder(home, place)
            ),
        )
    raise unknown("data set", str(name), [*DATASETS, "folder:DIR"])


def offered(home: Path | None = None) -> list[str]:
    """Return the names of all data sets, and of the class folders that lie in home()/pictures."""
    try:
        found = sorted(path.name for path in (_home(home) / PICTURES).iterdir() if path.is_dir())
    except OSError:
        found = []
    return [*DATASETS, *(FOLDERS + name for name in found if not name.startswith("."))]


def _folder(home: Path, place: str) -> Path:
    kept = home / PICTURES / place
    return kept if Path(place).name == place and kept.is_dir() else Path(place).expanduser().absolute()
