"""How quick the playground is under a hand, in a real browser against a real server.

    python -m tests.benchmarks.playground [--json FILE] [--updates N]

Reports: slider or click to the new race drawn; frames a second while a race plays; the command `adamscope` to
the first moving frame, with warm caches; requests that left this machine. Times are the browser's own, from
the input event to the end of the frame that shows the new race.
"""

import argparse
import json
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import urlopen

from playwright.sync_api import Browser, Page, sync_playwright

from tests.benchmarks.machine import machine
from tests.e2e.conftest import LOOPBACK, chromium, start_server

MOVING = "window.__adamscope?.player?.step > 0.5"

# next() resolves to the ms from the next input event to the first frame that shows a race that came after it.
WATCH = """() => {
    const player = window.__adamscope.player;
    let pressed = null;
    for (const kind of ["input", "pointerdown"]) {
        document.addEventListener(kind, (event) => (pressed ??= event.timeStamp), true);
    }
    window.next = () => {
        const updates = player.counts.updates;
        pressed = null;
        return { done: new Promise((resolve) => {
            const look = () => {
                const { counts } = player;
                const fresh = pressed !== null && counts.updates > updates && counts.shown > pressed;
                fresh ? resolve(counts.shown - pressed) : setTimeout(look, 1);
            };
            look();
        }) };
    };
}"""


def quantiles(times: list[float]) -> dict[str, float]:
    """Return median, 95th percentile and number of `times`, ms."""
    ordered = sorted(times)
    return {
        "p50_ms": statistics.median(ordered),
        "p95_ms": ordered[min(len(ordered) - 1, round(0.95 * len(ordered)))],
        "updates": len(ordered),
    }


def idle(page: Page) -> None:
    page.wait_for_function("window.__adamscope.player.idle")


def slider_times(page: Page, updates: int) -> list[float]:
    """Drag Adam's learning rate about; one time per movement."""
    box = page.get_by_role("slider", name="lr of Adam", exact=True).bounding_box()
    assert box is not None
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] / 2, y)
    page.mouse.down()
    times = []
    for k in range(updates):
        idle(page)
        waiting = page.evaluate_handle("window.next()")
        page.mouse.move(box["x"] + box["width"] * (0.3 + 0.4 * ((7 * k) % 40) / 40), y)
        times.append(page.evaluate("waiting => waiting.done", waiting))
    page.mouse.up()
    idle(page)
    return times


def click_times(page: Page, updates: int) -> list[float]:
    """Place the start here and there; one time per click."""
    box = page.locator("canvas.ink").bounding_box()
    assert box is not None
    times = []
    for k in range(updates):
        idle(page)
        waiting = page.evaluate_handle("window.next()")
        page.mouse.click(
            box["x"] + box["width"] * (0.1 + 0.8 * ((7 * k) % 40) / 40),
            box["y"] + box["height"] * (0.1 + 0.8 * ((11 * k) % 40) / 40),
        )
        times.append(page.evaluate("waiting => waiting.done", waiting))
    idle(page)
    return times


def frames_a_second(page: Page, seconds: float) -> float:
    """Return how many frames of a running race are drawn in a second."""
    count = "[window.__adamscope.player.frames, performance.now()]"
    frames, began = page.evaluate(count)
    page.wait_for_timeout(1000 * seconds)
    later, ended = page.evaluate(count)
    assert page.evaluate("window.__adamscope.player.playing")
    return 1000 * (later - frames) / (ended - began)


def health(process: subprocess.Popen[bytes], address: str) -> None:
    """Wait until the server answers."""
    began = time.perf_counter()
    while True:
        try:
            with urlopen(f"{address}/_stcore/health", timeout=1):
                return
        except OSError:
            if process.poll() is not None or time.perf_counter() - began > 60:
                raise
            time.sleep(0.02)


def first_frame(browser: Browser, home: Path) -> float:
    """Return the seconds from starting the command to a race that moves, in a browser already open."""
    page = browser.new_context(viewport={"width": 1280, "height": 720}).new_page()
    began = time.perf_counter()
    process, address = start_server(home, home / "server.log")
    try:
        while True:
            try:
                with urlopen(f"{address}/_stcore/health", timeout=1):
                    break
            except OSError:
                if process.poll() is not None or time.perf_counter() - began > 60:
                    raise
                time.sleep(0.02)
        page.goto(address)
        page.wait_for_function(MOVING)
        return time.perf_counter() - began
    finally:
        page.context.close()
        process.terminate()
        process.wait(10)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--updates", type=int, default=80)
    args = parser.parse_args()
    program = chromium()
    if program is None:
        raise SystemExit("No Chromium: install Debian's package, or name the program in ADAMSCOPE_CHROMIUM.")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        home = Path(folder)
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        first_frame(browser, home)  # caches are warm now
        starts = [first_frame(browser, home) for _ in range(3)]
        process, address = start_server(home, home / "server.log")
        try:
            time.sleep(3)
            outside: list[str] = []
            page = browser.new_context(viewport={"width": 1280, "height": 720}).new_page()
            page.on("request", lambda request: _note(request.url, outside))
            page.goto(address)
            page.wait_for_function(MOVING)
            rate = frames_a_second(page, 6)
            page.evaluate(WATCH)
            slider = quantiles(slider_times(page, args.updates))
            click = quantiles(click_times(page, args.updates))
            mounts = page.evaluate("window.__adamscope.mounts")
        finally:
            process.terminate()
            process.wait(10)
        version = browser.version
        browser.close()
    result = {
        "machine": {**machine("streamlit", "numba", "playwright"), "chromium": version},
        "slider_to_drawn": slider,
        "click_to_drawn": click,
        "frames_a_second": rate,
        "command_to_first_moving_frame_s": statistics.median(starts),
        "requests_off_the_machine": len(outside),
        "remounts": mounts - 1,
    }
    for name, found, goal in (
        ("slider → drawn, p50 / p95, ms", f"{slider['p50_ms']:.0f} / {slider['p95_ms']:.0f}", "60 / 120"),
        ("click → drawn, p50 / p95, ms", f"{click['p50_ms']:.0f} / {click['p95_ms']:.0f}", "60 / 120"),
        ("frames a second, playing", f"{rate:.1f}", "≥ 55"),
        ("command → first moving frame, s", f"{statistics.median(starts):.1f}", "≤ 4"),
        ("requests off the machine", f"{len(outside)}", "0"),
        ("remounts", f"{mounts - 1}", "0"),
    ):
        print(f"{name:34}{found:>12}   goal {goal}")
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(result, indent=2) + "\n")


def _note(url: str, outside: list[str]) -> None:
    parts = urlsplit(url)
    if parts.scheme not in {"data", "blob"} and parts.hostname not in LOOPBACK:
        outside.append(url)


if __name__ == "__main__":
    main()
