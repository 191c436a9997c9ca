"""Sweeps in a real browser: a short one from Start to its end, read by keyboard, and on to the lab."""

import re
from typing import Any

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

SHORT = (
    "/sweeps?o=adam&o=adam(bias_correction=False)&axis=lr,1e-3,0.1,2&axis=beta2=0.99,0.999&data=shapes10&epochs=1"
    "&batch_size=50&limit=200&validation=100"
)


def test_a_sweep_fills_its_map_is_read_by_keyboard_and_leads_to_the_lab(open_page: Any) -> None:
    page = open_page(SHORT)
    page.wait_for_function("() => window.__adamscope?.sweeps?.updates > 0")
    expect(page.get_by_text("8 networks: 8 trials, 1 epoch each.")).to_be_visible()
    page.get_by_role("button", name="Start", exact=True).click()
    page.wait_for_function("() => window.__adamscope.sweeps.sweep?.state === 'finished'", timeout=120_000)
    told = page.evaluate("window.__adamscope.sweeps")
    assert (told["mounts"], told["sweep"]["known"], told["sweep"]["trials"]) == (1, 8, 8)
    assert len(told["sweep"]["test"]) == 1
    assert re.search("sweep=[0-9a-f]{8}", page.url)

    parts = page.get_by_role("group", name=re.compile("^Adam"))
    expect(parts).to_have_count(2)  # what is on neither side makes small maps
    first = parts.nth(0).get_by_role("button").nth(0)
    first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowUp")
    looked = page.locator(".looked-at")
    expect(looked).to_contain_text("adam(lr=0.1)")
    expect(looked).to_contain_text("after epoch 1")
    page.get_by_role("radio", name="loss").click()
    page.get_by_label("What goes up the map").select_option("optimizer")
    page.wait_for_url(re.compile("y=optimizer&measure=loss"))
    expect(page.get_by_role("group", name="β₂ 0.99", exact=True)).to_be_visible()

    page.locator(".ranks a").first.click()
    page.wait_for_url(re.compile("/lab.o=adam.*limit=200"))
    page.wait_for_function("() => window.__adamscope?.lab?.updates > 0")
