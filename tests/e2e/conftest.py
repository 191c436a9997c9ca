"""A server of our own and a real browser, for every test in this folder."""

import fcntl
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Error, Page, Request, sync_playwright

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
        browser = playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--process-per-site"]
        )
        yield browser
        browser.close()


@pytest.fixture(autouse=True)
def _turn(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A test marked `measures` runs alone: those on other workers wait for its end, and it for theirs."""
    folder = tmp_path_factory.getbasetemp().parent  # of all workers
    kind = fcntl.LOCK_EX if request.node.get_closest_marker("measures") else fcntl.LOCK_SH
    with (folder / "gate.lock").open("w") as gate, (folder / "machine.lock").open("w") as machine:
        fcntl.flock(gate, kind)  # who waits to measure lets nobody else begin
        fcntl.flock(machine, kind)
        fcntl.flock(gate, fcntl.LOCK_UN)
        yield


@pytest.fixture(scope="session")
def shared(browser: Browser, server: str) -> Iterator[BrowserContext]:
    """The context of each test's first page: what the browser has fetched and compiled, it has for the next.

    A page that stays open keeps the process, in which that lies. It asks for nothing and draws nothing.
    """
    context = browser.new_context()
    context.new_page().goto(f"{server}/_stcore/health")
    yield context
    context.close()


@pytest.fixture
def open_page(browser: Browser, server: str, shared: BrowserContext) -> Iterator[OpenPage]:
    """open_page("/lab", color_scheme="dark") -> a new page, 1280 × 720, in a browser that knows nothing yet.

    The first page shares its process with other tests' first pages, and nothing else. Each further page, one
    with `own`, and one with options of a context rather than of a page has a process of its own.
    The test fails if any page asked something of another machine, or wrote an error to its console.
    """
    opened: list[Page] = []
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

    def open_(path: str = "/", *, own: bool = False, **options: Any) -> Page:
        options = {"viewport": {"width": 1280, "height": 720}, **options}
        if own or opened or options.keys() - {"viewport", "color_scheme", "reduced_motion"}:
            page = browser.new_context(**options).new_page()
        else:
            page = shared.new_page()
            page.set_viewport_size(options.pop("viewport"))
            if options:
                page.emulate_media(**options)
        opened.append(page)
        page.on("request", on_request)
        page.on("console", on_console)
        page.on("pageerror", on_error)
        page.goto(server + path)
        return page

    yield open_
    for page in opened:
        if page.context is shared:
            shared.clear_cookies()
            shared.clear_permissions()
            shared.new_cdp_session(page).send(
                "Storage.clearDataForOrigin", {"origin": server, "storageTypes": "all"}
            )
            page.close()
        else:
            page.context.close()
    assert not complaints, "\n".join(complaints)


@pytest.fixture
def page(open_page: OpenPage) -> Page:
    """The app's first page."""
    return open_page()
