"""A PostgreSQL server of our own for the tests, in a folder of its own, with a socket and no port."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

REASON = "No PostgreSQL server: install Debian's package postgresql."


def programs() -> Path | None:
    """Return the folder of initdb and pg_ctl: the one in PATH, or Debian's newest; None if there is none."""
    found = shutil.which("initdb")
    if found:
        return Path(found).parent
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[4]))
    return debian[-1].parent if debian else None


@contextmanager
def server() -> Iterator[str]:
    """Start a server; yield the URL of its one database, whose user may do everything."""
    folder_of_programs = programs()
    if folder_of_programs is None:
        if os.environ.get("ADAMSCOPE_REQUIRE_POSTGRES") == "1":
            pytest.fail(REASON)
        pytest.skip(REASON)
    folder = Path(tempfile.mkdtemp(prefix="adamscope-"))  # a socket's path is at most 107 bytes
    as_user = {}
    if os.getuid() == 0:  # PostgreSQL refuses to serve as root
        shutil.chown(folder, "nobody")
        as_user = {"user": "nobody"}

    def run(program: str, *arguments: str) -> None:
        command = [str(folder_of_programs / program), "--pgdata", str(folder / "data"), *arguments]
        log = folder / f"{program}.log"
        with log.open("wb") as sink:
            ended = subprocess.run(command, stdout=sink, stderr=sink, cwd="/", check=False, **as_user)
        assert ended.returncode == 0, log.read_text()

    try:
        run("initdb", "--auth=trust", "--username=adamscope", "--no-sync", "--no-locale", "--encoding=UTF8")
        options = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off"
        run("pg_ctl", "start", "--wait", f"--log={folder / 'data' / 'server.log'}", f"--options={options}")
        try:
            yield f"postgresql+psycopg://adamscope@/postgres?host={folder}"
        finally:
            run("pg_ctl", "stop", "--mode=immediate")
    finally:
        shutil.rmtree(folder)
