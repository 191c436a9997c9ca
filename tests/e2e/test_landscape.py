"""A run's landscape: measured from the page, played on the measured ground, and there again on return."""

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser

RACERS = "o=adam&o=adam(bias_correction=False)&o=gd(lr=1000000)"  # the last one diverges
SHORT = f"/lab?{RACERS}&data=shapes10&epochs=1&batch_size=50&seed=0&limit=200&view=landscape"


def wait_for(page: Page, condition: str, seconds: float = 90) -> None:
    page.wait_for_function(
        f"() => {{ const all = window.__adamscope; return {condition} }}", timeout=1000 * seconds
    )


def player(page: Page, what: str) -> Any:
    return page.evaluate(f"() => {{ const {{ player }} = window.__adamscope; return {what} }}")


def test_a_landscape_is_measured_played_and_there_again(open_page: Any) -> None:
    page = open_page(SHORT, reduced_motion="reduce")
    wait_for(page, "all?.lab?.updates > 0")
    page.get_by_role("button", name="Start", exact=True).click()
    wait_for(page, "all.lab.run?.state === 'finished'")
    expect(page.get_by_text(re.compile(r"Gradient descent diverged at step \d"))).to_be_visible()
    page.get_by_role("button", name="Measure", exact=True).click()
    wait_for(page, "all.landscape?.shown && all.player?.counts.draws > 0")

    race = player(page, "({ steps: player.race.steps, at: player.race.measured.steps, words: player.words })")
    assert race["at"][0] == 0
    assert race["at"][-1] == 4  # steps of training
    assert race["steps"] == len(race["at"]) - 1
    assert re.match(r"This plane holds .* of the spread of the paths", race["words"])
    table = page.locator("table.measured")
    expect(table.get_by_role("row", name="Adam, uncorrected")).to_be_visible()
    expect(table.get_by_role("row", name="gradient descent")).to_have_count(
        0
    )  # nor in the plane of the paths
    own = player(page, "player.race.racers[0].loss[player.race.steps]")
    expect(table.get_by_role("row").nth(1).get_by_role("cell").first).to_have_text(f"{own:#.3g}")
    for dead in ("vectors", "slow motion", "Fair?", "basin map"):
        expect(page.get_by_role("button", name=dead)).to_have_count(0)
    page.get_by_role("slider", name="Step", exact=True).press("Home")
    expect(table.locator("xpath=..").get_by_role("heading", name="At step 0")).to_be_visible()

    page.get_by_label("Which plane").select_option("line")
    expect(page.get_by_text("Straight from one racer's end")).to_be_visible()
    expect(page.locator(".landscape-stage")).to_be_hidden()
    expect(page.get_by_label("To whose end").locator("option")).to_have_text(["Adam", "Adam, uncorrected"])
    expect(page.get_by_text("Gradient descent diverged and has no end to look from.")).to_be_visible()
    page.wait_for_url(re.compile("plane=line"))
    page.get_by_label("Which plane").select_option("pca")
    wait_for(page, "all.landscape.shown && all.landscape.plane === 'pca'")
    expect(table).to_be_visible()

    page.wait_for_url(lambda url: "plane=line" not in url)
    page.reload()
    wait_for(page, "all?.landscape?.shown && all.player?.counts.draws > 0")
    assert player(page, "player.race.measured.steps") == race["at"]
