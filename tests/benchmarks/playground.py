"""How quick the playground is under a hand, in a real browser against a real server.

    python -m tests.benchmarks.playground [part …] [--json FILE] [--updates N]

Parts, all of them by default:
    start      the command `adamscope` to the first moving frame, with warm caches
    fresh      the same in a browser that has just been opened, on a server that runs
    page       the first page: slider or click to drawn, frames a second, requests off the machine
    small      slider or click to the new race drawn, 4 racers × 500 steps
    large      the same, 8 racers × 2,000 steps
    live       new races a second while a slider moves
    frames     frames a second with 8 racers: plain, with vectors, as a relief, and while a hand turns it
               (the slowest second of 4)
    maps       basin maps a second while a slider moves, 500 steps each
    endurance  remounts over 100 updates; memory of tab and server from update 200 to update 1,200

Times are the browser's own, from the input event to the end of the frame that shows the new race. A part that
is measured again replaces what FILE has of it.
"""

import argparse
import json
import math
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import urlopen

import psutil
from playwright.sync_api import Browser, BrowserType, Page, sync_playwright

from tests.benchmarks.machine import machine
from tests.e2e.conftest import LOOPBACK, chromium, start_server
from tests.e2e.test_endurance import drag, kept
from tests.e2e.test_relief import TURN

MOVING = "window.__adamscope?.player?.step > 0.5"
COUNTS = "window.__adamscope.player.counts"

FOUR = "o=momentum(lr=0.0008)&o=rmsprop(lr=0.02)&o=adam(lr=0.1)&o=nesterov(lr=0.0005)"
EIGHT = f"{FOUR}&o=gd(lr=0.001)&o=adagrad(lr=0.5)&o=nadam(lr=0.1)&o=lion(lr=0.02)"
SMALL = f"?surface=rosenbrock&{FOUR}&steps=500&racer=2&loop=1"
LARGE = f"?surface=rosenbrock&{EIGHT}&steps=2000&racer=2&loop=1"

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


def take_slider(page: Page) -> Callable[[float], None]:
    """Press the mouse on Adam's learning rate; return what moves it, from 0 to 1."""
    slider = page.get_by_role("slider", name="lr of Adam", exact=True)
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    assert box is not None
    y = box["y"] + box["height"] / 2

    def move(to: float) -> None:
        page.mouse.move(box["x"] + box["width"] * to, y)

    move(0.5)
    page.mouse.down()
    return move


def rate_while_moving(page: Page, seconds: float, count: str) -> float:
    """Return how many `count`s there are in a second while a hand moves a slider to and fro."""
    move = take_slider(page)
    read = f"[{COUNTS}.{count}, performance.now()]"
    before, began = page.evaluate(read)
    until = time.perf_counter() + seconds
    k = 0
    while time.perf_counter() < until:
        move(0.5 + 0.2 * math.sin(k / 15))
        k += 1
    later, ended = page.evaluate(read)
    page.mouse.up()
    idle(page)
    return 1000 * (later - before) / (ended - began)


def slider_times(page: Page, updates: int) -> list[float]:
    """Drag Adam's learning rate about; one time per movement."""
    move = take_slider(page)
    times = []
    for k in range(updates):
        idle(page)
        waiting = page.evaluate_handle("window.next()")
        move(0.3 + 0.4 * ((7 * k) % 40) / 40)
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


def frames_while_turning(page: Page) -> tuple[float, float]:
    """Return frames in the slowest second of a relief that plays and is turned: at each frame, by mouse."""
    count = "[window.__adamscope.player.frames, performance.now()]"
    ink = page.locator(".relief canvas.ink")
    box = ink.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def drag() -> None:
        page.mouse.move(x, y)
        page.mouse.down()
        until = time.perf_counter() + 1
        k = 0
        while time.perf_counter() < until:
            k += 1
            page.mouse.move(x + 4 * k, y + k / 2)
        page.mouse.up()

    def rate(turn: Callable[[], object]) -> float:
        frames, began = page.evaluate(count)
        turn()
        later, ended = page.evaluate(count)
        assert page.evaluate("window.__adamscope.player.playing")
        return float(1000 * (later - frames) / (ended - began))

    return min(rate(lambda: ink.evaluate(TURN)) for _ in range(4)), min(rate(drag) for _ in range(4))


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
        health(process, address)
        page.goto(address)
        page.wait_for_function(MOVING)
        return time.perf_counter() - began
    finally:
        page.context.close()
        process.terminate()
        process.wait(10)


@dataclass
class Bench:
    """A browser, a server, and what was found."""

    kind: BrowserType
    program: str
    browser: Browser
    home: Path
    address: str
    pid: int
    updates: int
    found: dict[str, Any] = field(default_factory=dict)  # as it goes into the file
    outside: list[str] = field(default_factory=list)  # requests that left the machine, of every page opened

    def open(self, link: str = "") -> Page:
        """Open a page of its own, its race running."""
        page = self.browser.new_context(viewport={"width": 1280, "height": 720}).new_page()
        page.on("request", lambda request: _note(request.url, self.outside))
        page.goto(f"{self.address}/{link}")
        page.wait_for_function(MOVING)
        page.wait_for_timeout(1500)  # fonts and the first address have come
        return page

    def hand(self, page: Page, name: str, goal: str) -> None:
        """Measure slider and click to drawn, under `name`slider_to_drawn and `name`click_to_drawn."""
        page.evaluate(WATCH)
        for what, times in ("slider", slider_times), ("click", click_times):
            times_ = quantiles(times(page, self.updates))
            self.found[f"{name}{what}_to_drawn"] = times_
            say(f"{what} → drawn, p50 / p95, ms", f"{times_['p50_ms']:.0f} / {times_['p95_ms']:.0f}", goal)


def say(name: str, found: str, goal: str) -> None:
    print(f"{name:54}{found:>14}   goal {goal}", flush=True)


def start(bench: Bench) -> None:
    first_frame(bench.browser, bench.home)  # caches are warm now
    times = [first_frame(bench.browser, bench.home) for _ in range(3)]
    bench.found["command_to_first_moving_frame_s"] = statistics.median(times)
    say("command → first moving frame, s", f"{statistics.median(times):.1f}", "≤ 4")


def fresh(bench: Bench) -> None:
    times = []
    for _ in range(5):
        browser = bench.kind.launch(executable_path=bench.program, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 720})
        began = time.perf_counter()
        page.goto(bench.address)
        page.wait_for_function(MOVING)
        times.append(time.perf_counter() - began)
        browser.close()
    bench.found["fresh_browser_to_first_moving_frame_s"] = statistics.median(times)
    say("fresh browser → first moving frame, s", f"{statistics.median(times):.2f}", "≤ 2")


def first_page(bench: Bench) -> None:
    page = bench.open()
    rate = frames_a_second(page, 5)
    bench.found["frames_a_second"] = rate
    say("frames a second, playing", f"{rate:.1f}", "≥ 55")
    bench.hand(page, "", "60 / 120")
    bench.found["requests_off_the_machine"] = len(bench.outside)
    say("requests off the machine", f"{len(bench.outside)}", "0")
    page.context.close()


def small(bench: Bench) -> None:
    page = bench.open(SMALL)
    bench.hand(page, "small_", "60 / 120, 4 × 500")
    page.context.close()


def large(bench: Bench) -> None:
    page = bench.open(LARGE)
    bench.hand(page, "large_", "p95 200, 8 × 2,000")
    page.context.close()


def live(bench: Bench) -> None:
    page = bench.open(SMALL)
    rate = rate_while_moving(page, 6, "updates")
    bench.found["live_races_a_second"] = rate
    say("new races a second under a moving slider, 4 × 500", f"{rate:.1f}", "≥ 20")
    page.context.close()


def frames(bench: Bench) -> None:
    bench.found["eight_racers_frames_a_second"] = rates = {}
    for name, look, goal in (
        ("plain", "", "≥ 55"),
        ("vectors", "&show=vectors", "≥ 55"),
        ("relief", "&stage=relief", "≥ 50"),
        ("relief_with_vectors", "&stage=relief&show=vectors", "≥ 50"),
    ):
        page = bench.open(LARGE + look)
        rates[name] = frames_a_second(page, 4)
        say(f"frames a second, 8 racers, {name.replace('_', ' ')}", f"{rates[name]:.1f}", goal)
        page.context.close()
    page = bench.open(f"{LARGE}&stage=relief")
    rates["relief_turned"], rates["relief_turned_by_mouse"] = frames_while_turning(page)
    for name in "relief_turned", "relief_turned_by_mouse":
        say(f"frames a second, 8 racers, {name.replace('_', ' ')}", f"{rates[name]:.1f}", "≥ 50")
    page.context.close()


def maps(bench: Bench) -> None:
    page = bench.open(f"{SMALL}&show=basin")
    page.wait_for_function(f"{COUNTS}.maps > 0")
    rate_while_moving(page, 2, "maps")  # it is compiled now
    rate = rate_while_moving(page, 6, "maps")
    bench.found["basin_maps_a_second"] = rate
    say("basin maps a second under a moving slider, 500 steps", f"{rate:.1f}", "≥ 10")
    page.context.close()


def endurance(bench: Bench) -> None:
    page = bench.open("?step=100")
    session = page.context.new_cdp_session(page)
    server = psutil.Process(bench.pid)
    slider = page.get_by_role("slider", name="lr of RMSprop", exact=True)
    drag(page, slider, 100)
    mounts = page.evaluate("window.__adamscope.mounts")
    bench.found["remounts"] = mounts - 1
    say("remounts in 100 updates", f"{mounts - 1}", "0")
    drag(page, slider, 100)
    before, rss = kept(session), server.memory_info().rss
    drag(page, slider, 1000)
    after, rss_after = kept(session), server.memory_info().rss
    bench.found["kept_after_200_updates"] = before | {"server_rss": rss}
    bench.found["kept_after_1200_updates"] = after | {"server_rss": rss_after}
    grown = (after["heap"] + after["arrays"] - before["heap"] - before["arrays"]) / 1000
    say("tab: bytes kept of each of 1,000 updates", f"{grown:.0f}", "flat: of some 100,000 it was sent")
    say("server: bytes kept of each of 1,000 updates", f"{(rss_after - rss) / 1000:.0f}", "flat")
    page.context.close()


PARTS: dict[str, Callable[[Bench], None]] = {
    "start": start,
    "fresh": fresh,
    "page": first_page,
    "small": small,
    "large": large,
    "live": live,
    "frames": frames,
    "maps": maps,
    "endurance": endurance,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, usage=argparse.SUPPRESS
    )
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], metavar="part")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--updates", type=int, default=80)
    args = parser.parse_args()
    program = chromium()
    if program is None:
        raise SystemExit("No Chromium: install Debian's package, or name the program in ADAMSCOPE_CHROMIUM.")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        home = Path(folder)
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        process, address = start_server(home, home / "server.log")
        try:
            health(process, address)
            time.sleep(5)  # it compiles what the first page does not show
            bench = Bench(playwright.chromium, program, browser, home, address, process.pid, args.updates)
            for part in args.parts or PARTS:
                PARTS[part](bench)
        finally:
            process.terminate()
            process.wait(10)
        version = browser.version
        browser.close()
    result = {"machine": {**machine("streamlit", "numba", "playwright"), "chromium": version}, **bench.found}
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        before = json.loads(args.json.read_text()) if args.json.exists() else {}
        args.json.write_text(json.dumps(before | result, indent=2) + "\n")


def _note(url: str, outside: list[str]) -> None:
    parts = urlsplit(url)
    if parts.scheme not in {"data", "blob"} and parts.hostname not in LOOPBACK:
        outside.append(url)


if __name__ == "__main__":
    main()
