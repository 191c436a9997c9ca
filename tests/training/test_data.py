"""Fetching CIFAR-10 from a server on loopback that misbehaves in every way, and from what a user names."""

import errno
import gzip
import hashlib
import http.server
import io
import os
import shutil
import tarfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import filelock
import numpy as np
import pytest

from optimizers.training import data, download
from optimizers.training.data import FILES, FOLDER, META, DataError, fetch_cifar10, load

RECORDS = 12  # in each of the small stand-in's files
LOCK = ".cifar10.lock"
PART = "cifar-10-binary.tar.gz.part"


def small_files() -> dict[str, bytes]:
    """CIFAR-10 in small: the official files and names, with 12 random records each."""
    rng = np.random.default_rng(0)
    files = {META: ("\n".join(data.CLASSES) + "\n").encode()}
    for name in FILES:
        records = rng.integers(0, 256, (RECORDS, 3073), np.uint8)
        records[:, 0] = np.arange(RECORDS) % 10
        files[name] = records.tobytes()
    return files


def pack(files: dict[str, bytes], folder: str = FOLDER, extra: tuple[tarfile.TarInfo, ...] = ()) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as tar:
        directory = tarfile.TarInfo(folder)
        directory.type = tarfile.DIRTYPE
        tar.addfile(directory)
        for name, content in files.items():
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        for member in extra:
            tar.addfile(member, io.BytesIO(bytes(member.size)))
    return buffer.getvalue()


SMALL = small_files()
ARCHIVE = pack(SMALL)
SIZE = len(ARCHIVE)
SHA256 = hashlib.sha256(ARCHIVE).hexdigest()


class Server(http.server.ThreadingHTTPServer):
    """Serves ARCHIVE, one entry of `plan` for each request: how to misbehave. Notes the ranges asked for."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.plan: list[str] = []
        self.ranges: list[str | None] = []
        self.content = ARCHIVE
        self.release = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/cifar-10-binary.tar.gz"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        self.server.ranges.append(asked)
        manner, _, amount = (self.server.plan.pop(0) if self.server.plan else "good").partition(" ")
        content = self.server.content
        if manner == "status":
            self.send_error(int(amount))
            return
        ranged = asked and manner not in ("no_range", "no_length")
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if ranged else 0
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        if manner != "no_length":
            self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        stop = start + int(amount) if manner in ("cut", "stall") else len(content)
        if manner == "slow":
            for first in range(start, stop, 20_000):
                self.wfile.write(content[first : first + 20_000])
                self.server.release.wait(0.05)
            return
        self.wfile.write(content[start:stop])
        if manner == "stall":
            self.wfile.flush()
            self.server.release.wait(20)

    def log_message(self, *args: object) -> None: ...


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Server]]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    servers = []

    def start(*plan: str) -> Server:
        server = Server()
        server.plan = list(plan)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return server

    yield start
    for server in servers:
        server.release.set()
        server.shutdown()
        server.server_close()


def fetch(home: Path, *servers: Server, source: Path | None = None, **options: object) -> Path:
    settings = {"urls": [server.url for server in servers], "sha256": SHA256, "size": SIZE} | options
    return fetch_cifar10(source, home=home, **settings)  # type: ignore[arg-type]


def refused(home: Path, *servers: Server, **options: object) -> str:
    with pytest.raises(DataError) as caught:
        fetch(home, *servers, **options)
    sentence = str(caught.value)
    assert "\n" not in sentence
    return sentence


def left(home: Path) -> set[str]:
    return {path.name for path in home.iterdir()}


def whole(home: Path) -> bool:
    """Whether home holds the small CIFAR-10, complete, and nothing else."""
    folder = home / FOLDER
    expected = set(SMALL) | {data.PROVENANCE}
    return (
        left(home) == {FOLDER, LOCK}
        and left(folder) == expected
        and all((folder / name).read_bytes() == content for name, content in SMALL.items())
    )


# Download


def test_download(tmp_path: Path, serve: Callable[..., Server]) -> None:
    server, seen = serve(), []
    assert (
        fetch(tmp_path, server, progress=lambda done, total: seen.append((done, total))) == tmp_path / FOLDER
    )
    assert whole(tmp_path)
    assert seen[-1] == (SIZE, SIZE)
    assert seen == sorted(seen)
    assert load("cifar10", tmp_path).note.endswith("the official ones, by SHA-256 when they were fetched")
    fetch(tmp_path, server)
    assert server.ranges == [None], "what is there already was downloaded again"


def test_broken_connection_resumes(tmp_path: Path, serve: Callable[..., Server]) -> None:
    server = serve("cut 100000", "cut 50000")
    fetch(tmp_path, server)
    assert server.ranges == [None, "bytes=100000-", "bytes=150000-"]
    assert whole(tmp_path)


def test_a_later_run_resumes(tmp_path: Path, serve: Callable[..., Server]) -> None:
    server = serve("cut 100000", "status 503")
    sentence = refused(tmp_path, server)
    assert "answered 503" in sentence
    assert "continues" in sentence
    assert left(tmp_path) == {LOCK, PART}
    fetch(tmp_path, server)
    assert server.ranges[-1] == "bytes=100000-"
    assert whole(tmp_path)


def test_server_that_ignores_ranges_starts_over(tmp_path: Path, serve: Callable[..., Server]) -> None:
    server = serve("cut 100000", "no_range")
    fetch(tmp_path, server)
    assert server.ranges == [None, "bytes=100000-"]
    assert whole(tmp_path)


@pytest.mark.parametrize("length", [100_000, SIZE, SIZE + 5])
def test_corrupt_partial_is_thrown_away(tmp_path: Path, serve: Callable[..., Server], length: int) -> None:
    server = serve()
    (tmp_path / PART).write_bytes(bytes(length))
    fetch(tmp_path, server)
    assert server.ranges == (["bytes=100000-", None] if length < SIZE else [None])
    assert whole(tmp_path)


def test_tampered_archive_is_refused(tmp_path: Path, serve: Callable[..., Server]) -> None:
    server = serve()
    server.content = ARCHIVE[:5000] + bytes([ARCHIVE[5000] ^ 1]) + ARCHIVE[5001:]
    assert "wrong checksum" in refused(tmp_path, server)
    assert left(tmp_path) == {LOCK}


@pytest.mark.parametrize("content", [ARCHIVE[:-1000], ARCHIVE + b"more", b"<html>please log in</html>"])
def test_another_length_is_refused_before_it_is_read(
    tmp_path: Path, serve: Callable[..., Server], content: bytes
) -> None:
    server = serve()
    server.content = content
    assert f"another file under this name ({len(content):,} bytes" in refused(tmp_path, server)
    assert left(tmp_path) == {LOCK}


def test_too_little_unannounced(tmp_path: Path, serve: Callable[..., Server]) -> None:
    server = serve("no_length", "no_length")
    server.content = ARCHIVE[:-1000]
    assert "broke the connection" in refused(tmp_path, server)
    assert FOLDER not in left(tmp_path)


def test_too_much_unannounced_is_not_read(tmp_path: Path, serve: Callable[..., Server]) -> None:
    server = serve("no_length")
    server.content = ARCHIVE * 2
    fetch(tmp_path, server)
    assert whole(tmp_path)


def test_stall(tmp_path: Path, serve: Callable[..., Server]) -> None:
    server = serve(*["stall 0"] * 5)
    assert "sent nothing for 0.2 s" in refused(tmp_path, server, stall_seconds=0.2)
    assert FOLDER not in left(tmp_path)


def test_mirror_after_404(tmp_path: Path, serve: Callable[..., Server]) -> None:
    first, mirror = serve("status 404"), serve()
    fetch(tmp_path, first, mirror)
    assert (first.ranges, mirror.ranges) == ([None], [None])
    assert whole(tmp_path)


def test_slow_server_gives_way_to_a_mirror(
    tmp_path: Path, serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "WINDOW_SECONDS", 0.1)
    monkeypatch.setattr(download, "SLOW", 2_000_000)
    slow, mirror = serve("slow"), serve()
    fetch(tmp_path, slow, mirror)
    assert len(slow.ranges) == len(mirror.ranges) == 1
    assert mirror.ranges[0] is not None, "the mirror did not continue what the slow server began"
    assert whole(tmp_path)


def test_slow_servers_are_used_where_all_are_slow(
    tmp_path: Path, serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "WINDOW_SECONDS", 0.1)
    monkeypatch.setattr(download, "SLOW", 2_000_000)
    slow, dead = serve("slow", "slow"), serve("status 404")
    fetch(tmp_path, slow, dead)
    assert [range_ is None for range_ in slow.ranges] == [True, False]
    assert whole(tmp_path)


def test_no_network(tmp_path: Path, serve: Callable[..., Server]) -> None:
    gone = serve()
    gone.server_close()
    sentence = refused(tmp_path, gone)
    assert "cannot be reached" in sentence
    assert "--from" in sentence
    assert "shapes10" in sentence
    assert left(tmp_path) == {LOCK}


def test_unpacking_that_was_interrupted_needs_no_second_download(
    tmp_path: Path, serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve()

    def interrupt(*args: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copyfileobj", interrupt)
        with pytest.raises(KeyboardInterrupt):
            fetch(tmp_path, server)
    assert left(tmp_path) == {LOCK, PART}
    fetch(tmp_path, server)
    assert server.ranges == [None]
    assert whole(tmp_path)


# What the user names with --from


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "source" / FOLDER
    folder.mkdir(parents=True)
    for name, content in SMALL.items():
        (folder / name).write_bytes(content)
    return folder


def archive(folder: Path, content: bytes) -> Path:
    path = folder.parent / "cifar-10-binary.tar.gz"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    "shape", ["folder", "parent", "archive", "parent of archive", "folder without names"]
)
def test_source(tmp_path: Path, folder: Path, shape: str) -> None:
    home, source = tmp_path / "home", folder
    if shape == "parent":
        source = folder.parent
    if "archive" in shape:
        source = archive(folder, pack(SMALL))
        shutil.rmtree(folder)
        source = source.parent if "parent" in shape else source
    if "names" in shape:
        (folder / META).unlink()
    fetch(home, source=source, sha256="0" * 64)
    assert whole(home)
    got = load("cifar10", home)
    assert got.train_images.shape == (5 * RECORDS, 3, 32, 32)
    assert got.train_images.dtype == np.uint8
    assert got.test_labels.tolist() == [k % 10 for k in range(RECORDS)]
    assert got.test_labels.dtype == np.int64
    record = np.frombuffer(SMALL["data_batch_2.bin"], np.uint8)[:3073]
    assert got.train_images[RECORDS].reshape(-1).tolist() == record[1:].tolist()
    assert got.note.endswith("not the official ones")


def test_official_archive_named_by_hand(tmp_path: Path, folder: Path) -> None:
    fetch(tmp_path / "home", source=archive(folder, ARCHIVE))
    assert load("cifar10", tmp_path / "home").note.endswith(
        "the official ones, by SHA-256 when they were fetched"
    )


def test_official_files_are_known_in_a_folder(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in FILES:
        monkeypatch.setitem(data.OFFICIAL_SHA256, name, hashlib.sha256(SMALL[name]).hexdigest())
    fetch(tmp_path / "home", source=folder)
    assert "the official ones, by" in load("cifar10", tmp_path / "home").note


def test_what_a_mac_packs_is_taken(tmp_path: Path, folder: Path) -> None:
    extra = (member("./._" + FOLDER), member(f"{FOLDER}/._data_batch_1.bin"), member(f"{FOLDER}/readme.html"))
    fetch(tmp_path / "home", source=archive(folder, pack(SMALL, f"./{FOLDER}", extra)))
    assert whole(tmp_path / "home")


def member(name: str, **attributes: object) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    for attribute, value in attributes.items():
        setattr(made, attribute, value)
    return made


TEST = f"{FOLDER}/test_batch.bin"
LACKING = {name: content for name, content in SMALL.items() if name != "test_batch.bin"}
BAD_LABEL = bytes([10]) + SMALL["test_batch.bin"][1:]
BAD_ARCHIVES = {
    "python": (pack({"data_batch_1": b"pickle"}, "cifar-10-batches-py"), "is the Python version"),
    "climbs out": (pack(SMALL, extra=(member("../evil.bin"),)), "holds '../evil.bin'"),
    "absolute": (pack(SMALL, extra=(member("/etc/evil"),)), "holds '/etc/evil'"),
    "climbs inside": (pack(SMALL, extra=(member(f"{FOLDER}/../evil"),)), "evil'"),
    "link": (pack(LACKING, extra=(member(TEST, type=tarfile.SYMTYPE, linkname="/x"),)), "test_batch.bin'"),
    "more files": (pack(SMALL, extra=(member(f"{FOLDER}/run.sh"),)), "run.sh'"),
    "large": (pack(LACKING, extra=(member(TEST, size=30_730_001),)), "test_batch.bin'"),
    "twice": (pack(SMALL, extra=(member(f"{FOLDER}/{META}"),)), "twice"),
    "lacks": (pack(LACKING), "lacks test_batch.bin"),
    "not whole records": (pack(SMALL | {"test_batch.bin": bytes(3072)}), "not 1 to 10,000 records"),
    "empty batch": (pack(SMALL | {"test_batch.bin": b""}), "not 1 to 10,000 records"),
    "label": (pack(SMALL | {"test_batch.bin": BAD_LABEL}), "has the label 10, not 0 to 9"),
    "other classes": (pack(SMALL | {META: b"cat\ndog\n"}), "names cat, dog"),
    "not gzip": (b"PK\x03\x04" + bytes(100), "is not a .tar.gz"),
    "gzip of other": (gzip.compress(b"hello" * 1000), "cut short or damaged"),
    "cut early": (ARCHIVE[:20], "cut short or damaged"),
    "cut late": (ARCHIVE[:-20], "cut short or damaged"),
    "bit flipped": (ARCHIVE[:50_000] + bytes(20) + ARCHIVE[50_020:], "cut short or damaged"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_ARCHIVES)
def test_bad_archive_is_refused_and_the_old_data_stay(tmp_path: Path, folder: Path, case: str) -> None:
    home = tmp_path / "home"
    fetch(home, source=folder)
    content, reason = BAD_ARCHIVES[case]
    sentence = refused(home, source=archive(folder, content))
    assert reason in sentence
    assert whole(home)
    assert left(tmp_path) == {"home", "source"}


@pytest.mark.parametrize("cut", range(1000, SIZE, SIZE // 12))
def test_truncated_archive_is_refused_wherever_it_is_cut(tmp_path: Path, folder: Path, cut: int) -> None:
    refused(tmp_path / "home", source=archive(folder, ARCHIVE[:cut]))
    assert left(tmp_path / "home") == {LOCK}


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        ([], "holds neither"),
        (["cifar-10-python.tar.gz"], "holds the Python version"),
        (["data_batch_1", "test_batch"], "holds the Python version"),
        (["data_batch_1.bin"], "lacks data_batch_2.bin"),
    ],
)
def test_bad_folder_is_refused(tmp_path: Path, names: list[str], reason: str) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name in names:
        (source / name).write_bytes(SMALL["test_batch.bin"])
    assert reason in refused(tmp_path / "home", source=source)
    assert left(tmp_path / "home") == {LOCK}


def test_source_that_is_not_there(tmp_path: Path) -> None:
    assert "there is no " in refused(tmp_path, source=tmp_path / "nowhere.tar.gz")


# Disk, rights, other processes


def test_no_disk_space(
    tmp_path: Path, folder: Path, serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=100_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    server, home = serve(), tmp_path / "home"
    for options in ({"source": folder}, {"source": archive(folder, ARCHIVE)}, {}):
        assert "has 100 MB free and CIFAR-10 needs 20" in refused(home, server, **options)
    assert left(home) == {LOCK}
    assert server.ranges == []


def test_disk_that_fills_up(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(shutil, "copyfileobj", full)
    home = tmp_path / "home"
    assert "is full" in refused(home, source=archive(folder, ARCHIVE))
    assert left(home) == {LOCK}


def test_home_that_is_a_file(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "home").write_text("")
    assert "cannot be used" in refused(tmp_path / "home", source=folder)


def test_a_second_process_is_sent_away(tmp_path: Path, folder: Path) -> None:
    with filelock.FileLock(tmp_path / LOCK):
        assert "another process" in refused(tmp_path, source=folder)
    fetch(tmp_path, source=folder)


def test_what_a_killed_process_left_is_cleared(tmp_path: Path, folder: Path) -> None:
    home = tmp_path / "home"
    for name in (f".{FOLDER}.new", f".{FOLDER}.old"):
        (home / name).mkdir(parents=True)
        (home / name / "test_batch.bin").write_bytes(b"half")
    fetch(home, source=folder)
    assert whole(home)


# Reading


def test_load_says_what_is_wrong(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(DataError, match=r"adamscope data cifar10.*shapes10"):
        load("cifar10", tmp_path)
    with pytest.raises(ValueError, match=r"There is no data set 'mnist'\. Known: cifar10, shapes10"):
        load("mnist")
    assert not data.available("cifar10", tmp_path)
    assert data.available("cifar10", folder.parent)
    assert "put there by hand" in load("cifar10", folder.parent).note
    (folder / "data_batch_4.bin").write_bytes(SMALL["data_batch_4.bin"][:-1])
    with pytest.raises(DataError, match=r"data_batch_4\.bin in .* is not a CIFAR-10 batch"):
        load("cifar10", folder.parent)


def test_changed_files_are_no_longer_called_official(tmp_path: Path, folder: Path) -> None:
    fetch(tmp_path, source=archive(folder, ARCHIVE))
    (tmp_path / FOLDER / "test_batch.bin").write_bytes(SMALL["test_batch.bin"][:3073])
    assert "changed since" in load("cifar10", tmp_path).note


def test_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ADAMSCOPE_HOME", str(tmp_path))
    assert data.home() == tmp_path
    monkeypatch.setenv("ADAMSCOPE_HOME", "")
    assert data.home().name == "adamscope"
