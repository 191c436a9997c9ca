"""What an hour under restless hands does to a page: nothing."""

from collections.abc import Callable

import pytest
from playwright.sync_api import CDPSession, Locator, Page

from tests.e2e.test_playground import PLAYER, address, middle, pause, player, ready, settled

pytestmark = pytest.mark.browser
OpenPage = Callable[..., Page]

# Moves a slider so many times, each as soon as the race of the one before is there.
DRAG = """async (range, count) => {
    const player = window.__adamscope.player;
    for (let k = 0; k < count; k++) {
        const before = player.counts.updates;
        range.value = 100 + ((37 * k) % 600);
        range.dispatchEvent(new Event("input", { bubbles: true }));
        while (player.counts.updates === before) await new Promise((done) => setTimeout(done, 2));
    }
    range.dispatchEvent(new Event("change", { bubbles: true }));
}"""


def kept(session: CDPSession) -> dict[str, float]:
    """What the tab holds once all that can be thrown away is: bytes, nodes, listeners."""
    session.send("Performance.enable")
    for _ in range(2):
        session.send("HeapProfiler.collectGarbage")
    metrics = {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}
    arrays = session.send("Runtime.getHeapUsage")["backingStorageSize"]  # they are not on JavaScript's heap
    return {
        "heap": metrics["JSHeapUsedSize"],
        "arrays": arrays,
        "nodes": metrics["Nodes"],
        "listeners": metrics["JSEventListeners"],
    }


def drag(page: Page, slider: Locator, count: int) -> None:
    """Drag for `count` new races."""
    updates = player(page, "counts.updates")
    slider.evaluate(DRAG, count)
    settled(page)
    assert player(page, "counts.updates") - updates >= count


def test_updates_remount_nothing_and_leave_nothing_behind(open_page: OpenPage) -> None:
    page = ready(open_page("/?step=100", own=True))  # its process holds nothing else
    settled(page)
    session = page.context.new_cdp_session(page)
    slider = page.get_by_role("slider", name="lr of RMSprop", exact=True)
    drag(page, slider, 60)
    before = kept(session)
    drag(page, slider, 140)
    after = kept(session)
    assert page.evaluate("window.__adamscope.mounts") == 1
    grown = {name: after[name] - before[name] for name in before}
    # A race has 150,000 bytes: the browser lets go of the last few when it likes, 140 kept would be 21 MB.
    assert grown["arrays"] < 1e6, "races that nobody sees are kept"
    assert grown["heap"] < 3e6  # an answer's text alone would make 3 MB
    assert grown["nodes"] < 100
    assert grown["listeners"] < 100


def test_a_slow_browser_keeps_up_with_a_burst(page: Page) -> None:
    ready(page)
    pause(page)
    settled(page)
    slider = page.get_by_role("slider", name="lr of RMSprop", exact=True)
    throttle = page.context.new_cdp_session(page)
    throttle.send("Emulation.setCPUThrottlingRate", {"rate": 8})
    slider.evaluate(
        """async (range) => {
            for (let k = 0; k < 40; k++) {
                range.value = 100 + 8 * k;
                range.dispatchEvent(new Event("input", { bubbles: true }));
                await new Promise((done) => setTimeout(done, 4));
            }
            range.dispatchEvent(new Event("change", { bubbles: true }));
        }"""
    )
    page.wait_for_function(f"{PLAYER}.idle", timeout=20_000)
    throttle.send("Emulation.setCPUThrottlingRate", {"rate": 1})
    assert page.evaluate("window.__adamscope.mounts") == 1
    shown = slider.get_attribute("aria-valuetext")
    assert shown is not None
    # Whatever was skipped on the way, the last one asked for is the one shown, and the one in the address.
    assert player(page, "race.racers[1].hyper[0].value") == float(shown)
    assert f"rmsprop(lr={shown})" in address(page)["o"]


def test_a_reload_in_the_middle_of_a_drag(open_page: OpenPage) -> None:
    page = ready(open_page("/?step=50&steps=120"))
    settled(page)
    name = "lr of RMSprop"
    x, y = middle(page.get_by_role("slider", name=name, exact=True))
    updates = player(page, "counts.updates")
    page.mouse.move(x, y)
    page.mouse.down()
    for k in range(1, 9):
        page.mouse.move(x - 4 * k, y)
    page.wait_for_function(f"{PLAYER}.counts.updates > {updates}")
    page.mouse.move(x + 30, y)  # a question is under way
    page.reload()
    ready(page)
    page.mouse.up()
    settled(page)
    assert page.evaluate("window.__adamscope.mounts") == 1
    # A value reaches the address where a hand lets go: the page opens as the link had it, and goes on.
    assert (player(page, "race.steps"), player(page, "step"), player(page, "playing")) == (120, 50, False)
    assert "rmsprop(lr=0.02)" in address(page)["o"]
    page.get_by_role("slider", name=name, exact=True).press("ArrowRight")
    settled(page)
    lr = player(page, "race.racers[1].hyper[0].value")
    assert lr > 0.02
    assert f"rmsprop(lr={lr})" in address(page)["o"]
