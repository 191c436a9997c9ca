"""Texts: real ones from the disk, and real ones from a server that are checked before they are believed."""

import gzip
import hashlib
import io
import tarfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from optimizers.training import TrainConfig, data, data_text, train
from optimizers.training.data import DATASETS, DataError, load
from optimizers.training.data_text import PAD, TOKENS, UNKNOWN, fetch_reviews

INNER = data_text._INNER


@pytest.fixture(scope="module")
def docs8() -> data.Dataset:
    return load("docs8")


def test_docs8_is_balanced_and_honest(docs8: data.Dataset) -> None:
    assert docs8.train_images.shape == (4000, TOKENS)
    assert docs8.test_images.shape == (800, TOKENS)
    assert np.bincount(docs8.train_labels).tolist() == [500] * 8
    assert np.bincount(docs8.test_labels).tolist() == [100] * 8
    assert "real paragraphs" in docs8.note
    assert f"numpy {np.__version__}" in docs8.note  # another version has other texts
    assert docs8.shape == (TOKENS, len(docs8.vocabulary))
    assert docs8.classes == DATASETS["docs8"].classes
    assert not {row.tobytes() for row in docs8.train_images} & {row.tobytes() for row in docs8.test_images}


def test_docs8_does_not_name_the_answer(docs8: data.Dataset) -> None:
    assert not set(docs8.vocabulary) & {
        "numpy",
        "np",
        "torch",
        "pytorch",
        "sympy",
        "dask",
        "matplotlib",
        "sklearn",
    }


def test_a_text_is_its_words_as_numbers(docs8: data.Dataset) -> None:
    assert docs8.vocabulary[PAD] == ""
    assert docs8.vocabulary[UNKNOWN] == "?"
    assert docs8.train_images.max() < len(docs8.vocabulary) <= data_text.VOCABULARY
    for row in docs8.train_images[:200]:
        length = np.count_nonzero(row)
        assert length >= data_text.FEWEST_WORDS
        assert not row[length:].any()  # padded at the end alone
    counts = np.bincount(docs8.train_images.ravel(), minlength=len(docs8.vocabulary))
    assert docs8.vocabulary[2] == "the"
    assert counts[2] > counts[100] > 0


def test_the_text_network_learns_docs8(docs8: data.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "load", lambda name: docs8)
    config = TrainConfig(
        ("adam(lr=0.005)",), data="docs8", model="text_cnn", epochs=3, batch_size=64, device="cpu"
    )
    assert train(config).racers[0].test_accuracy > 0.45  # chance is 0.125


LINES = [
    f"{k}\t{rating}\tThis film is {word}, number {k}."
    for k in range(40)
    for rating, word in ((1.5, "good"), (-2.25, "bad"), (0.0, "long"))
]


def archive(text: str = "\n".join(LINES), inner: str = INNER, name: str = data_text.REVIEWS_FILE) -> bytes:
    def tar(path: str, content: bytes) -> bytes:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz") as file:
            member = tarfile.TarInfo(path)
            member.size = len(content)
            file.addfile(member, io.BytesIO(content))
        return buffer.getvalue()

    return tar(inner, tar(f"hutto_ICWSM_2014/{name}", text.encode()))


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(served.content)))
            self.end_headers()
            self.wfile.write(served.content)

        def log_message(self, *args: object) -> None: ...

    served = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.content = archive()
    Thread(target=served.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield served
    served.shutdown()
    served.server_close()


def fetch(home: Path, server: ThreadingHTTPServer, content: bytes) -> Path:
    url = f"http://127.0.0.1:{server.server_address[1]}/vaderSentiment-3.3.2.tar.gz"
    return fetch_reviews(home=home, urls=[url], size=len(content), sha256=hashlib.sha256(content).hexdigest())


def test_reviews_are_fetched_checked_and_read(
    tmp_path: Path, server: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_text, "REVIEW_TESTS", 20)
    with pytest.raises(DataError, match=r"adamscope data reviews.*docs8"):
        load("reviews", tmp_path)
    file = fetch(tmp_path, server, archive())
    server.content = b"never asked again"
    assert fetch(tmp_path, server, archive()) == file
    assert {path.name for path in tmp_path.iterdir()} == {"reviews", ".reviews.lock"}
    found = load("reviews", tmp_path)
    assert (len(found.train_labels), len(found.test_labels)) == (60, 20)  # the 40 at 0 are left out
    first = [found.vocabulary[token] for token in found.train_images[0] if token]
    assert first[:3] == ["this", "film", "is"]
    assert first[3] == ("bad", "good")[found.train_labels[0]]


def test_a_wrong_download_is_not_believed(tmp_path: Path, server: ThreadingHTTPServer) -> None:
    wanted = archive()
    server.content = bytes(len(wanted))
    with pytest.raises(DataError, match=r"wrong checksum.*--from FILE.*docs8"):
        fetch(tmp_path, server, wanted)
    assert not (tmp_path / "reviews").exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "cut short, damaged or no"),
        (archive()[:-200], "cut short, damaged or no"),
        (gzip.compress(b"hello"), "cut short, damaged or no"),
        (archive(inner="elsewhere.tar.gz"), "holds no movieReviewSnippets"),
        (archive(name="other.txt"), "holds no movieReviewSnippets"),
    ],
    ids=["empty", "cut", "other", "elsewhere", "lacks it"],
)
def test_a_bad_archive_gets_one_sentence(tmp_path: Path, content: bytes, said: str) -> None:
    file = tmp_path / "x.tar.gz"
    file.write_bytes(content)
    with pytest.raises(DataError) as problem:
        fetch_reviews(file, home=tmp_path / "home")
    assert said in str(problem.value)
    assert "2,466,783 bytes" in str(problem.value)
    assert not (tmp_path / "home" / "reviews").exists()
    with pytest.raises(DataError, match="there is no file"):
        fetch_reviews(tmp_path / "nowhere", home=tmp_path / "home")


def test_a_damaged_file_of_reviews(tmp_path: Path) -> None:
    (tmp_path / "x.tar.gz").write_bytes(archive("1\t2.0\tGood\n2\tgood"))
    file = fetch_reviews(tmp_path / "x.tar.gz", home=tmp_path)
    with pytest.raises(DataError, match=r"line 2 of .* is no review: remove that file"):
        load("reviews", tmp_path)
    file.write_text("1\t2.0\tGood\n")
    with pytest.raises(DataError, match="has too few reviews, 1: remove it"):
        load("reviews", tmp_path)


def test_digits_are_real_and_grey() -> None:
    found = load("digits")
    assert found.train_images.shape == (1437, 1, 8, 8)
    assert found.test_images.shape == (360, 1, 8, 8)
    assert (found.train_images.min(), found.train_images.max()) == (0, 255)
    assert found.train_images.dtype == np.uint8
    assert np.bincount(found.test_labels, minlength=10).min() > 25
    assert found.shape == DATASETS["digits"].shape
    config = TrainConfig(("adam(lr=0.01)",), data="digits", model="image_mlp", epochs=6, device="cpu")
    assert train(config).racers[0].test_accuracy > 0.9


@pytest.mark.parametrize("name", ["digits", "docs8"])
def test_a_library_that_is_not_there_gets_one_sentence(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        f"optimizers.training.data_{'digits' if name == 'digits' else 'text'}.find_spec", lambda name: None
    )
    assert not data.available(name)
    with pytest.raises(DataError, match="not installed here"):
        load(name)
