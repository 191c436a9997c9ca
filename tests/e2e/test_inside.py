"""The lab's views into the networks, in a real browser, while they train and afterwards."""

import re
from typing import Any

import pytest
from playwright.sync_api import Locator, expect

from tests.e2e.test_lab import SHORT, start, wait_for

pytestmark = pytest.mark.browser


def ink(canvas: Locator) -> int:
    """Number of pixels of a canvas that are drawn in a racer's colour (neither grey nor empty)."""
    count = canvas.evaluate("""(canvas) => {
        const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        let count = 0;
        for (let i = 0; i < data.length; i += 4) {
            const rgb = [data[i], data[i + 1], data[i + 2]];
            if (data[i + 3] > 20 && Math.max(...rgb) - Math.min(...rgb) > 60) count += 1;
        }
        return count;
    }""")
    return int(count)


def test_inside_and_classes_are_seen_live_and_in_the_address(open_page: Any) -> None:
    page = open_page(SHORT + "&telemetry=1&view=inside")
    start(page)
    charts = page.locator(".lab .multiples canvas")
    expect(charts.first).to_be_visible(timeout=60_000)
    wait_for(page, "lab.run.step > 2")
    assert "telemetry=1" in page.url
    wait_for(page, "lab.run.state === 'finished'")
    expect(charts).to_have_count(6)
    assert all(ink(charts.nth(place)) > 20 for place in range(6))

    # Adam's first step is lr for every weight with a gradient; uncorrected, it is 3.16 × lr.
    page.get_by_label("What to look at inside").select_option("effective")
    page.get_by_label("Layer", exact=True).select_option("conv 1")
    expect(charts).to_have_count(1)
    page.wait_for_url(re.compile("quantity=effective.*layer=0"))
    charts.focus()
    page.keyboard.press("Home")
    rows = page.locator(".lab .spelled tbody tr")
    read = [re.match(r"[\d.]+", text)[0] for text in rows.locator("td").all_inner_texts()]  # type: ignore[index]
    assert [float(number) for number in read] == pytest.approx([1, 3.16], abs=0.01)
    glance = page.get_by_role("region", name="Every layer at a glance")
    expect(glance.locator("tbody tr td:nth-child(3)")).to_have_text(["1.0", "3.2"])  # conv 1, all before it
    expect(glance.get_by_text(re.compile("^Largest in .* of Adam, uncorrected, "))).to_be_visible()
    glance.get_by_role("button", name="dense 1").press("Enter")
    page.wait_for_url(re.compile("layer=3"))
    expect(glance.get_by_role("button", name="dense 1")).to_have_attribute("aria-pressed", "true")

    page.get_by_role("tab", name="Inside").press("ArrowRight")
    expect(page.get_by_role("tab", name="Classes")).to_be_focused()
    page.wait_for_url(re.compile("view=classes"))
    matrices = page.locator(".lab canvas.confusion")
    expect(matrices).to_have_count(2)
    assert ink(matrices.first) > 200
    assert page.locator(".lab .filters").first.locator("canvas").count() == 32
    expect(page.locator(".lab .mistakes canvas").first).to_be_visible()
    expect(page.locator(".lab .dots .row[role=img]")).to_have_count(10)
    page.get_by_label("After which epoch").press("Home")
    expect(page.get_by_text("before the first step")).to_be_visible()

    page.get_by_role("tab", name="Curves").click()
    page.get_by_role("radio", name="seconds").click()
    page.wait_for_url(re.compile("axis=seconds"))
    page.reload()
    wait_for(page, "lab.run")
    expect(page.get_by_role("radio", name="seconds")).to_have_attribute("aria-checked", "true")
