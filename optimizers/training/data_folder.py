"""folder:DIR: pictures of one's own, a folder for each class, as 32 × 32 squares.

    DIR/cat/….jpg  DIR/dog/….png            a fifth of each class is kept for testing, always the same
    DIR/train/cat/…  DIR/test/cat/…         or as it is split already

Where DIR is a bare name, it is looked for in `home()/pictures` first: what lies there the page offers, too.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from optimizers.training.data import DataError, Dataset

SIDE = 32
TEST_SHARE = 5  # every fifth picture, of a class in shuffled order
MOST_CLASSES = 1_000
MOST_PICTURES = 200_000  # 600 MB as 32 × 32
LARGEST = 100_000_000  # pixels of a picture; a file may claim any number, and would fill the memory
KINDS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")

Listing = tuple[tuple[str, tuple[tuple[str, int, int], ...]], ...]  # class, files with size and time


def read(name: str, folder: Path) -> Dataset:
    """Read every picture. Raises DataError where there is no folder, or too little in it."""
    split = [folder / "train", folder / "test"]
    whole = not split[0].is_dir()
    if not folder.is_dir():
        raise DataError(
            f"there is no folder {folder}: name one that holds a folder of pictures for each class"
        )
    if not whole and not split[1].is_dir():
        raise DataError(f"{folder} has a folder train but no test: add one with the same classes, or neither")
    listings = tuple(map(_listing, [folder] if whole else split))
    return _read(name, folder, listings)


@lru_cache(
    maxsize=2
)  # a worker trains on the same pictures again and again; a changed file is another listing
def _read(name: str, folder: Path, listings: tuple[Listing, ...]) -> Dataset:
    names = tuple(kind for kind, _ in listings[0])
    if len(names) < 2:
        raise DataError(
            f"{folder} has {len(names) or 'no'} folder{'s' * (len(names) != 1)} of pictures: it takes one "
            "for each class, at least two"
        )
    if len(names) > MOST_CLASSES:
        raise DataError(f"{folder} has {len(names):,} folders: a class each is at most {MOST_CLASSES:,}")
    if len(listings) == 2 and tuple(kind for kind, _ in listings[1]) != names:
        raise DataError(f"{folder} has other classes in test than in train: give both the same folders")
    total = sum(len(files) for listing in listings for _, files in listing)
    if total > MOST_PICTURES:
        raise DataError(f"{folder} has {total:,} pictures: at most {MOST_PICTURES:,} fit into memory")

    roots = [folder] if len(listings) == 1 else [folder / "train", folder / "test"]
    found = [_squares(root, listing) for root, listing in zip(roots, listings, strict=True)]
    failed = sum(part[2] for part in found)
    parts = [part[:2] for part in found] if len(found) == 2 else _split(*found[0][:2])
    (train_images, train_labels), (test_images, test_labels) = parts
    for labels, what in ((train_labels, "to train on"), (test_labels, "to test")):
        lacking = [
            kind
            for kind, count in zip(names, np.bincount(labels, minlength=len(names)), strict=True)
            if not count
        ]
        if lacking:
            raise DataError(
                f"{folder} has no picture {what} of {lacking[0]} that can be read: add some, at least two of "
                f"each class ({', '.join(KINDS[:3])}, …)"
            )
    note = (
        f"{folder.name}, pictures of one's own: {len(train_labels):,} to train on and {len(test_labels):,} "
        f"to test, {SIDE} × {SIDE}"
    )
    if failed:
        files, left = ("files", "are") if failed > 1 else ("file", "is")
        note += f"; {failed:,} {files} could not be read and {left} left out"
    return Dataset(name, train_images, train_labels, test_images, test_labels, names, note)


def _folders(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))


def _listing(root: Path) -> Listing:
    """Return the picture files of each class folder below `root`, at whatever depth, in order."""

    def files(folder: Path) -> Iterable[tuple[str, int, int]]:
        for path, _, names in os.walk(folder):
            for name in names:
                if Path(name).suffix.lower() in KINDS and not name.startswith("."):
                    file = Path(path, name)
                    try:
                        status = file.stat()
                    except OSError:  # a dangling link; reading it fails and is counted
                        yield str(file.relative_to(root)), 0, 0
                        continue
                    yield str(file.relative_to(root)), status.st_size, status.st_mtime_ns

    try:
        return tuple((folder.name, tuple(sorted(files(folder)))) for folder in _folders(root))
    except OSError as problem:
        raise DataError(f"{root} cannot be read ({problem.strerror}): check the rights on it") from problem


def _squares(root: Path, listing: Listing) -> tuple[np.ndarray, np.ndarray, int]:
    """Return pictures (n, 3, 32, 32), labels, and how many files could not be read."""
    places = [(root / file, label) for label, (_, files) in enumerate(listing) for file, _, _ in files]
    images = np.empty((len(places), 3, SIDE, SIDE), np.uint8)
    with warnings.catch_warnings(), ThreadPoolExecutor() as pool:
        warnings.simplefilter("ignore")  # of odd but readable files, and of large ones, which _square refuses
        read = list(pool.map(partial(_square, images), range(len(places)), (path for path, _ in places)))
    kept = np.array(read, bool)
    labels = np.array([label for _, label in places], np.int64)
    return images[kept], labels[kept], int((~kept).sum())


def _square(images: np.ndarray, place: int, path: Path) -> bool:
    """Read the middle square of a picture, on white where it is transparent; return whether that worked."""
    try:
        with Image.open(path) as file:
            if file.width * file.height > LARGEST:
                return False
            file.draft("RGB", (2 * SIDE, 2 * SIDE))  # a large JPEG is decoded small
            image = ImageOps.exif_transpose(file)
            if image.has_transparency_data:
                image = image.convert("RGBA")
                image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
            image = ImageOps.fit(image.convert("RGB"), (SIDE, SIDE), Image.Resampling.BOX)
    except (
        OSError,
        ValueError,
        SyntaxError,
        EOFError,
        Image.DecompressionBombError,
    ):  # what Pillow's readers raise
        return False
    images[place] = np.asarray(image).transpose(2, 0, 1)
    return True


def _split(images: np.ndarray, labels: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Keep every fifth picture of each class for testing, after a shuffle that is always alike."""
    random = np.random.default_rng(0)
    tests = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        order = random.permutation(np.flatnonzero(labels == label))
        if len(order) > 1:  # else the caller says that one is not enough
            tests[order[::TEST_SHARE]] = True
    return [(images[~tests], labels[~tests]), (images[tests], labels[tests])]
