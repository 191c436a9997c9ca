"""How soon the lab shows a first point, and what a landscape beside it takes from a run.

    python -m tests.benchmarks.lab [first] [beside] [--json FILE] [--rounds N] [--cold]

Parts, all of them by default:
    first   Start to the first point on the page, in a real browser: on a server that was just started (Start
            is pressed as soon as the page has it, and 5 s later), and on a worker that has trained before
    beside  speed of a run of two racers while a landscape of another is measured, against the same run alone

Every server has an empty folder for its data, so it draws the stand-in anew; with --cold it also has no
compiled kernels, as in an empty clone, and compiles them meanwhile. Times of `first` are the browser's own,
from the click to the frame in which the page has the point.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, sync_playwright

from tests.benchmarks.machine import machine
from tests.benchmarks.playground import health, say
from tests.e2e.conftest import chromium, start_server

READY = "window.__adamscope?.lab?.updates > 0"
# Resolves to the seconds from a press on Start to the frame in which a new run has a point.
PRESS = """(button) => new Promise((resolve) => {
    const before = window.__adamscope.lab.run?.id;
    const began = performance.now();
    button.click();
    const look = () => {
        const run = window.__adamscope.lab.run;
        if (run && run.id !== before && run.points[0] > 0) resolve((performance.now() - began) / 1000);
        else requestAnimationFrame(look);
    };
    look();
})"""


def first(browser: Browser, rounds: int, cold: bool) -> dict[str, Any]:
    """Measure Start to the first point."""
    times: dict[str, list[float]] = {"at_once": [], "after_5_s": [], "warm": []}
    opened = []
    for wait, name in [(0, "at_once"), (5, "after_5_s")] * rounds:
        with tempfile.TemporaryDirectory() as folder:
            home = Path(folder)
            if cold:
                os.environ["NUMBA_CACHE_DIR"] = str(home / "kernels")
            began = time.perf_counter()
            process, address = start_server(home, home / "server.log")
            page = browser.new_context(viewport={"width": 1280, "height": 720}).new_page()
            try:
                health(process, address)
                page.goto(f"{address}/lab")
                page.wait_for_function(READY, timeout=120_000)
                opened.append(time.perf_counter() - began)
                page.wait_for_timeout(1000 * wait)
                start = page.get_by_role("button", name="Start", exact=True)
                times[name].append(start.evaluate(PRESS))
                if wait:
                    page.get_by_role("button", name="Stop", exact=True).click()
                    page.wait_for_function("window.__adamscope.lab.run.state === 'stopped'")
                    page.wait_for_timeout(1000)
                    times["warm"].append(start.evaluate(PRESS))
            finally:
                page.context.close()
                process.terminate()
                process.wait(10)
    say("command → lab, s", f"{statistics.median(opened):.2f}", "none")
    for name, goal in ("at_once", "≤ 3"), ("after_5_s", "≤ 3"), ("warm", "≤ 1.5"):
        found = ", ".join(f"{seconds:.2f}" for seconds in times[name])
        say(f"Start → first point, {name.replace('_', ' ')}, s", found, goal)
    return {"command_to_lab_s": opened, "start_to_first_point_s": times}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, usage=argparse.SUPPRESS
    )
    parser.add_argument("parts", nargs="*", choices=["first", []], metavar="part")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cold", action="store_true")
    args = parser.parse_args()
    program = chromium()
    if program is None:
        raise SystemExit("No Chromium: install Debian's package, or name the program in ADAMSCOPE_CHROMIUM.")
    found: dict[str, Any] = {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        found |= first(browser, args.rounds, args.cold)
        browser.close()
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(
            json.dumps({"machine": machine("torch", "distributed"), **found}, indent=2) + "\n"
        )


if __name__ == "__main__":
    main()
