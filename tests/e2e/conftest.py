"""A server of our own and a real browser, for every test in this folder."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Error, Page, Request, sync_playwright

LOOPBACK = {"127.0.0.1", "localhost", "::1"}
# Opened at a page's own address, Streamlit asks for these beneath it, is told 404, and asks at the root.
PROBES = ("/_stcore/health", "/_stcore/host-config")
OpenPage = Callable[..., Page]


def chromium() -> str | None:
    """Return the browser's program: $ADAMSCOPE_CHROMIUM, or Debian's; None if there is none."""
    named = os.environ.get("ADAMSCOPE_CHROMIUM")
    if named:
        return named if Path(named).exists() else None
    return shutil.which("chromium") or shutil.which("chromium-browser")


def start_server(home: Path, log: Path) -> tuple[subprocess.Popen[bytes], str]:
    """Start the app as `adamscope --no-browser` does, on a free port; return the process and its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-c", "from app.cli import main; main()", "--no-browser", "--port", str(port)]
    with log.open("wb") as sink:
        process = subprocess.Popen(
            command,
            stdout=sink,
            stderr=subprocess.STDOUT,
            env=os.environ | {"ADAMSCOPE_HOME": str(home)},
            cwd=home,
        )
    return process, f"http://127.0.0.1:{port}"


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a running app whose data live in a temporary folder."""
    home = tmp_path_factory.mktemp("home")
    log = home / "server.log"
    process, address = start_server(home, log)
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                with urlopen(f"{address}/_stcore/health", timeout=2):
                    break
            except (URLError, OSError):
                if process.poll() is not None or time.monotonic() > deadline:
                    pytest.fail(f"The app did not start:\n{log.read_text()}")
                time.sleep(0.1)
        yield address
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Headless Chromium. Without it tests are skipped, unless ADAMSCOPE_REQUIRE_BROWSER=1 says to fail."""
    program = chromium()
    if program is None:
        reason = "No Chromium: install Debian's package, or name the program in ADAMSCOPE_CHROMIUM."
        if os.environ.get("ADAMSCOPE_REQUIRE_BROWSER") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Browser, server: str) -> Iterator[OpenPage]:
    """open_page("/lab", color_scheme="dark") -> a page in a browser context of its own, 1280 × 720.

    The test fails if any page asked something of another machine, or wrote an error to its console.
    """
    contexts = []
    complaints: list[str] = []

    def on_request(request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in {"data", "blob"} and parts.hostname not in LOOPBACK:
            complaints.append(f"asked another machine for {request.url}")

    def on_console(message: ConsoleMessage) -> None:
        if message.type == "error" and not message.location["url"].endswith(PROBES):
            complaints.append(f"console: {message.text}")

    def on_error(error: Error) -> None:
        complaints.append(f"script error: {error}")

    def open_(path: str = "/", **options: object) -> Page:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 720}, **options})
        contexts.append(context)
        page = context.new_page()
        page.on("request", on_request)
        page.on("console", on_console)
        page.on("pageerror", on_error)
        page.goto(server + path)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert not complaints, "\n".join(complaints)


@pytest.fixture
def page(open_page: OpenPage) -> Page:
    """The app's first page."""
    return open_page()
