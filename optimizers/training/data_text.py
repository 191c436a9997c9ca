"""Texts: docs8, from the libraries that are installed here, and reviews, fetched once and checked.

A text is its words in lower case as numbers, 48 of them: what is shorter is padded with 0, what is longer is
cut, and a word that is not among the commonest of the training texts is 1.
"""

from __future__ import annotations

import io
import re
import tarfile
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from optimizers.training.data import DataError, Dataset, alone, in_one_sentence
from optimizers.training.data import home as default_home
from optimizers.training.download import DownloadError, Progress, download

TOKENS = 48  # of a text
VOCABULARY = 5_000
PAD, UNKNOWN = range(2)


def words(text: str) -> list[str]:
    """Split a text into words in lower case.

    >>> words("It isn't bad: 8/10, really.")
    ['it', "isn't", 'bad', 'really']
    """
    return re.findall(r"[^\W\d_]+(?:'[^\W\d_]+)?", text.lower().replace("’", "'"))


def _dataset(
    name: str,
    train: Sequence[tuple[list[str], int]],  # words, label
    tests: Sequence[tuple[list[str], int]],
    classes: tuple[str, ...],
    note: str,
) -> Dataset:
    """Number the words, and put the training texts in an order that is always the same."""
    counts = Counter(word for text, _ in train for word in text)
    # The commonest first, equals by the alphabet, so that a copy of the data gives the same.
    common = sorted(counts, key=lambda word: (-counts[word], word))[: VOCABULARY - 2]
    vocabulary = ("", "?", *common)
    number = {word: place for place, word in enumerate(vocabulary)}

    def tokens(texts: Sequence[tuple[list[str], int]]) -> tuple[np.ndarray, np.ndarray]:
        rows = np.full((len(texts), TOKENS), PAD, np.int64)
        for row, (text, _) in zip(rows, texts, strict=True):
            cut = [number.get(word, UNKNOWN) for word in text[:TOKENS]]
            row[: len(cut)] = cut
        return rows, np.array([label for _, label in texts], np.int64)

    shuffled = [train[k] for k in np.random.default_rng(0).permutation(len(train))]
    return Dataset(name, *tokens(shuffled), *tokens(tests), classes, note, vocabulary)


# docs8 ------------------------------------------------------------------------------------------------------
#
# Real prose that is on the disk already: paragraphs of the docstrings of libraries this project depends on.
# Which library is it from? Names of libraries are taken out; the words of its field are what is left.

LIBRARIES = {  # import name -> the distribution it comes with
    "dask": "dask",
    "matplotlib": "matplotlib",
    "numpy": "numpy",
    "sklearn": "scikit-learn",
    "sqlalchemy": "sqlalchemy",
    "streamlit": "streamlit",
    "sympy": "sympy",
    "torch": "torch",
}
DOCS_NOTE = (
    "docs8, real paragraphs from the docstrings of eight libraries installed here: which one is it from?"
)
DOCS_CLASSES = tuple(LIBRARIES.values())
EACH = (500, 100)  # paragraphs of each library: to train on, to test, from other files
FEWEST_WORDS = 8
_DOCSTRING = re.compile(r'(?:def|class)\b[^"\']{0,2000}?:\s*r?"""(.*?)"""', re.DOTALL)
_NAMES = {*LIBRARIES, *LIBRARIES.values(), "scikit", "learn", "np", "plt", "mpl", "st", "da", "sa", "pytorch"}


def docs_present(home: Path) -> bool:
    """Whether all eight are installed."""
    return all(find_spec(name) for name in LIBRARIES)


def read_docs(home: Path) -> Dataset:
    """Read the paragraphs. Raises DataError where a library is not installed."""
    lacking = [of for name, of in LIBRARIES.items() if not find_spec(name)]
    if lacking:
        raise DataError(
            f"docs8 is made of libraries of which {', '.join(lacking)} is not installed here: install it"
        )
    return _docs()


@cache  # reading takes a second
def _docs() -> Dataset:
    train: list[tuple[list[str], int]] = []
    tests: list[tuple[list[str], int]] = []
    seen: set[tuple[str, ...]] = set()
    for label, name in enumerate(LIBRARIES):
        spec = find_spec(name)
        assert spec is not None  # read_docs has looked
        assert spec.submodule_search_locations is not None
        root = Path(spec.submodule_search_locations[0])
        paragraphs = _paragraphs(root, seen)
        for into, count in ((tests, EACH[1]), (train, EACH[0])):
            into += [(found, label) for found in _take(paragraphs, count)]
    versions = ", ".join(f"{of} {version(of)}" for of in DOCS_CLASSES)
    note = f"{DOCS_NOTE} {len(train):,} to train on and {len(tests):,} to test, from {versions}"
    return _dataset("docs8", train, tests, DOCS_CLASSES, note)


def _paragraphs(root: Path, seen: set[tuple[str, ...]]) -> Iterator[list[list[str]]]:
    """Yield the paragraphs of each file of a library, as words, files in an order that is always the same."""
    files = sorted(path for path in root.rglob("*.py") if "test" not in str(path.relative_to(root)))
    for place in np.random.default_rng(0).permutation(len(files)):
        found = []
        source = files[place].read_text("utf-8", errors="replace")
        for docstring in _DOCSTRING.findall(source):
            for paragraph in re.split(r"\n\s*\n", docstring):
                if re.search(r">>>|---|===|::|\|", paragraph):  # code, headings, tables
                    continue
                text = [word for word in words(paragraph) if word not in _NAMES]
                if len(text) >= FEWEST_WORDS and tuple(text) not in seen:
                    seen.add(tuple(text))
                    found.append(text)
        yield found


def _take(files: Iterator[list[list[str]]], count: int) -> list[list[str]]:
    """Take whole files until there are enough paragraphs; of one large file at most a tenth of them."""
    found: list[list[str]] = []
    for paragraphs in files:
        found += paragraphs[: count // 10]
        if len(found) >= count:
            break
    return found[:count]


# reviews ----------------------------------------------------------------------------------------------------
#
# Hutto, Gilbert, "VADER: A Parsimonious Rule-based Model for Sentiment Analysis of Social Media Text", ICWSM
# 2014: sentences of film reviews (Pang, Lee 2004), each rated by twenty people from −4 to 4. Published by the
# author under the MIT licence, in the source archive of his package; PyPI never changes a file.

REVIEWS_NOTE = "reviews: 10,000 sentences of film reviews, judged by people; a 2.5 MB download, once"
REVIEWS_CLASSES = ("negative", "positive")
REVIEWS_FOLDER = "reviews"
REVIEWS_FILE = "movieReviewSnippets_GroundTruth.txt"
REVIEWS_URLS = (
    "https://files.pythonhosted.org/packages/77/8c/4a48c10a50f750ae565e341e697d74a38075a3e43ff0df6f1ab72e186902/"
    "vaderSentiment-3.3.2.tar.gz",
)
REVIEWS_BYTES = 2_466_783
REVIEWS_SHA256 = "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9"
_INNER = "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz"
REVIEW_TESTS = 2_000


def reviews_present(home: Path) -> bool:
    """Whether they have been fetched."""
    return (home / REVIEWS_FOLDER / REVIEWS_FILE).is_file()


def fetch_reviews(
    source: Path | None = None,
    progress: Progress | None = None,
    *,
    home: Path | None = None,
    urls: Sequence[str] = REVIEWS_URLS,
    sha256: str = REVIEWS_SHA256,
    size: int = REVIEWS_BYTES,
    stall_seconds: float = 30.0,
) -> Path:
    """Put the reviews into `home` and return their file: from `source`, the archive, or downloaded.

    Raises DataError, in one sentence that says what is wrong and what to do; nothing is then half-written.
    """
    home = home or default_home()
    target = home / REVIEWS_FOLDER / REVIEWS_FILE
    with in_one_sentence(home), alone(home, REVIEWS_FOLDER):
        if source is None and target.is_file():
            return target
        archive = Path(source).expanduser() if source else home / "reviews.tar.gz.part"
        if source is None:
            try:
                download(urls, archive, size, sha256, progress or (lambda done, total: None), stall_seconds)
            except DownloadError as error:
                raise DataError(
                    f"the reviews could not be downloaded ({error}): try again, name a copy you have with "
                    "`adamscope data reviews --from FILE`, or use docs8, which needs no download"
                ) from error
        text = _unpacked(archive)
        target.parent.mkdir(exist_ok=True)
        part = target.with_suffix(".part")
        part.write_bytes(text)
        part.replace(target)
        if source is None:
            archive.unlink()
    return target


def _unpacked(archive: Path) -> bytes:
    """Return the file of reviews from the archive within the archive."""
    wanted = f"vaderSentiment-3.3.2.tar.gz is wanted ({REVIEWS_BYTES:,} bytes, {REVIEWS_URLS[0]})"
    if not archive.is_file():
        raise DataError(f"there is no file {archive}: {wanted}")
    try:
        with tarfile.open(archive, "r:gz") as outer:
            inner = outer.extractfile(_INNER)
            assert inner is not None  # a regular file has content
            with tarfile.open(fileobj=io.BytesIO(inner.read()), mode="r:gz") as tar:
                found = tar.extractfile(f"hutto_ICWSM_2014/{REVIEWS_FILE}")
                assert found is not None
                return found.read()
    except KeyError:
        raise DataError(f"{archive} holds no {REVIEWS_FILE}: {wanted}") from None
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise DataError(f"{archive} is cut short, damaged or no .tar.gz: {wanted}") from error


def read_reviews(home: Path) -> Dataset:
    """Read them, but for those judged neither good nor bad. Raises DataError where they are missing."""
    if not reviews_present(home):
        raise DataError(
            f"the reviews are not in {home}: fetch them with `adamscope data reviews`, or use docs8, which "
            "needs no download"
        )
    file = home / REVIEWS_FOLDER / REVIEWS_FILE
    rated = []
    for number, line in enumerate(file.read_text("utf-8", errors="replace").splitlines(), 1):
        try:
            _, rating, text = line.split("\t")
            judged = float(rating)
        except ValueError:
            raise DataError(
                f"line {number} of {file} is no review: remove that file, and fetch it again with "
                "`adamscope data reviews`"
            ) from None
        if judged and (found := words(text)):
            rated.append((found, int(judged > 0)))
    if len(rated) <= REVIEW_TESTS:
        raise DataError(
            f"{file} has too few reviews, {len(rated):,}: remove it, and fetch it again with "
            "`adamscope data reviews`"
        )
    rated = [rated[k] for k in np.random.default_rng(0).permutation(len(rated))]
    tests, train = rated[:REVIEW_TESTS], rated[REVIEW_TESTS:]
    counts = f"{len(train):,} to train on and {len(tests):,} to test"
    note = f"reviews, sentences of film reviews judged by people: {counts}"
    return _dataset("reviews", train, tests, REVIEWS_CLASSES, note)
