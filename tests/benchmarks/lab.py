"""How soon the lab shows a first point, and what a landscape beside it takes from a run.

    python -m tests.benchmarks.lab [first] [beside] [--json FILE] [--rounds N] [--cold]

Parts, all of them by default:
    first   Start to the first point on the page, in a real browser: on a server that was just started (Start
            is pressed as soon as the page has it, and 5 s later), and on a worker that has trained before
    beside  what a run of two racers and a landscape of another have of each other's speed when both are under
            way, in shares of what each has alone

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
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, sync_playwright

from optimizers.training import TrainConfig, cluster, jobs, landscape_jobs
from optimizers.training.landscape import Order
from optimizers.training.store import Run, Store, open_store
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


def beside(seconds: float = 8.0) -> dict[str, Any]:
    """Measure a run and a landscape, each alone and both together."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ADAMSCOPE_HOME"] = folder
        store = open_store(f"sqlite:///{folder}/runs.sqlite")
        short = TrainConfig(("adam", "rmsprop"), data="shapes10", epochs=1, batch_size=128, snapshots=8)
        try:
            ended = jobs.start(short, store)
            until(lambda: not read(store, ended).active)
            landscape_jobs.start(ended, Order(size=201, pictures=1_000))
            landscape = pace(lambda: told(ended), seconds)
            under_way = jobs.start(replace(short, epochs=1_000, snapshots=0), store)
            run_beside, landscape_beside = paces(store, under_way, ended, seconds)
            landscape_jobs.stop(ended)
            until(lambda: (landscape_jobs.status(ended) or {})["state"] == "stopped")
            run = pace(lambda: read(store, under_way).step, seconds)
        finally:
            cluster.close()
    shares = {"run": run_beside / run, "landscape": landscape_beside / landscape}
    for name, share in shares.items():
        say(f"a {name} beside the other, share of its speed alone", f"{share:.0%}", "no standstill")
    alone = {"run_steps_per_second": run, "landscape_looks_per_second": landscape}
    return {"beside": {"share_of_speed_alone": shares, "alone": alone}}


def read(store: Store, run_id: str) -> Run:
    run = store.get(run_id)
    assert run is not None
    return run


def told(run_id: str) -> int:
    """Return how many sets of weights a landscape has looked at."""
    return int((landscape_jobs.status(run_id) or {"done": 0})["done"])


def paces(store: Store, run_id: str, measured: str, seconds: float) -> tuple[float, float]:
    """Return steps and looks a second while both are under way."""
    with ThreadPoolExecutor(2) as pool:
        run = pool.submit(pace, lambda: read(store, run_id).step, seconds)
        landscape = pool.submit(pace, lambda: told(measured), seconds)
        return run.result(), landscape.result()


def pace(count: Callable[[], int], seconds: float) -> float:
    """Return how much a count grows a second, from its first change and two seconds on."""
    first = count()
    until(lambda: count() > first)
    time.sleep(2)
    before, began = count(), time.perf_counter()
    time.sleep(seconds)
    until(lambda: count() > before)
    return (count() - before) / (time.perf_counter() - began)


def until(found: Callable[[], bool], seconds: float = 120) -> None:
    began = time.perf_counter()
    while not found():
        if time.perf_counter() - began > seconds:
            raise RuntimeError("Waited in vain.")
        time.sleep(0.05)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, usage=argparse.SUPPRESS
    )
    parser.add_argument("parts", nargs="*", choices=["first", "beside", []], metavar="part")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cold", action="store_true")
    args = parser.parse_args()
    parts = args.parts or ["first", "beside"]
    found: dict[str, Any] = {}
    if "beside" in parts:
        found |= beside()
    if "first" in parts:
        program = chromium()
        if program is None:
            raise SystemExit("No Chromium: install Debian's package, or name it in ADAMSCOPE_CHROMIUM.")
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
