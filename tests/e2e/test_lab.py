"""The lab in a real browser: a short run from Start to its end, seen from two pages, and stopped."""

import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser

SHORT = "/lab?o=adam&o=adam(bias_correction=False)&data=shapes10&epochs=2&batch_size=50&seed=0&limit=1000"
STEPS = 40


def lab(page: Page) -> Any:
    return page.evaluate("() => window.__adamscope?.lab ?? null")


def wait_for(page: Page, condition: str, seconds: float = 90) -> None:
    page.wait_for_function(
        f"() => {{ const lab = window.__adamscope?.lab; return lab && {condition} }}", timeout=1000 * seconds
    )


def start(page: Page) -> str:
    """Press Start; return the new run's id."""
    wait_for(page, "lab.updates > 0")
    before = (lab(page)["run"] or {}).get("id")
    page.get_by_role("button", name="Start", exact=True).click()
    wait_for(page, f"lab.run && lab.run.id !== {before!r}".replace("None", "null"))
    run_id: str = lab(page)["run"]["id"]
    return run_id


def ink(page: Page, chart: int) -> int:
    """Number of pixels of a chart that are drawn in a racer's colour (neither grey nor empty)."""
    return int(
        page.locator(".lab canvas")
        .nth(chart)
        .evaluate("""(canvas) => {
        const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        let count = 0;
        for (let i = 0; i < data.length; i += 4) {
            const rgb = [data[i], data[i + 1], data[i + 2]];
            if (data[i + 3] > 80 && Math.max(...rgb) - Math.min(...rgb) > 60) count += 1;
        }
        return count;
    }""")
    )


def test_a_short_run_grows_its_curves_ends_and_is_the_same_from_every_page(
    open_page: Any, tmp_path: Path
) -> None:
    page = open_page(SHORT)
    expect(page.get_by_text("Choose who trains on what")).to_be_visible()
    run_id = start(page)
    wait_for(page, "lab.run.points[0] > 2")
    early = lab(page)["run"]["step"], ink(page, 0), ink(page, 1)
    assert 0 < early[0] < STEPS  # seen while it trains, not afterwards
    assert min(early[1:]) > 20

    second = open_page("/lab")  # no run named: it finds the one under way
    wait_for(second, f"lab.run && lab.run.id === '{run_id}'")

    wait_for(page, "lab.run.state === 'finished'")
    told = lab(page)
    assert told["run"]["step"] == STEPS
    assert told["run"]["tests"] == [3, 3]  # before the first step and after each epoch
    assert (told["mounts"], told["resent"]) == (1, 0)
    assert ink(page, 0) > early[1]
    expect(page.get_by_text("Finished", exact=True)).to_be_visible()
    expect(page.get_by_role("row", name="Adam, uncorrected")).to_be_visible()
    expect(page.get_by_text(re.compile("cpu, (fp32|bf16)$"))).to_be_visible()  # what "auto" came to

    wait_for(second, "lab.run.state === 'finished'")
    assert lab(second)["run"] == told["run"]
    page.reload()
    wait_for(page, "lab.run")
    assert lab(page)["run"] == told["run"]
    assert f"run={run_id}" in page.url


def test_chance_is_one_in_as_many_classes(open_page: Any) -> None:
    page = open_page(SHORT)
    wait_for(page, "lab.updates > 0")
    say = """async (classes) => {
        const loaded = performance.getEntriesByType("resource").map(({ name }) => name);
        const url = loaded.find((name) => name.endsWith("/standings.js"));
        const { createStandings } = await import(url);
        const { createRecord } = await import(new URL("curves.js", url).href);
        const look = { light: "#000000", dark: "#ffffff", dash: [], hollow: false };
        const racers = ["sure", "lost"].map((label) => ({ label, notation: label, ...look }));
        const run = { id: "1f2e3d4c", active: true, diverged: {}, racers, classes, steps_per_epoch: 5 };
        const say = (rows) => {
            const record = createRecord(racers);
            record.take([0, 0], new Float32Array(0), new Float32Array(rows));
            const standings = createStandings({ onShow() {} });
            standings.update(run, [], record, { dark: false }, null);
            return standings.node.querySelector(".sentence").textContent;
        };
        const guessed = classes ? 1.1 / classes : 0;
        return [say([0, 0, 2, 0.25, 0, 1, 0, 2, 0.25, 0]), say([0, 5, 1, 0.9, 0, 1, 5, 2, guessed, 0])];
    }"""
    for classes, chance in {10: "chance is 10 %", 3: "chance is 33.3 %", None: None}.items():
        told = page.evaluate(say, classes)
        assert "25.0 % right" in told[0]
        assert chance in told[0] if chance else "chance" not in told[0]
        assert ("at chance: lost" in told[1]) == (chance is not None)


def test_stop_ends_a_long_run_at_once(open_page: Any) -> None:
    page = open_page(SHORT.replace("epochs=2", "epochs=200"))
    start(page)
    wait_for(page, "lab.run.points[0] > 0")
    expect(page.get_by_text(re.compile(r"\d+ (s|min|h) .*left|\d+ s left"))).to_be_visible()
    page.get_by_role("button", name="Stop", exact=True).click()
    wait_for(page, "lab.run.state === 'stopped'", 5)
    expect(page.get_by_role("button", name="Stop", exact=True)).to_be_hidden()


def test_runs_are_kept_paused_resumed_compared_and_deleted(open_page: Any) -> None:
    mlp = SHORT.replace("data=shapes10", "data=digits&model=image_mlp")
    page = open_page(mlp.replace("epochs=2", "epochs=1&seeds=2&view=classes"))
    start(page)
    wait_for(page, "lab.run.state === 'finished'")
    panel = page.get_by_role("tabpanel", name="Classes")
    wrong = panel.locator(".mistakes figure").first
    first = wrong.get_attribute("title")
    panel.get_by_label("With which seed").select_option("seed 1")
    page.wait_for_url(re.compile("nth_seed=2"))
    expect(wrong).not_to_have_attribute("title", str(first))
    page.get_by_label("Name of this run").fill("The short one")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name=re.compile("^The short one, .*, finished$"))).to_be_visible()

    page.goto(page.url.partition("/lab")[0] + mlp.replace("epochs=2", "epochs=200"))
    start(page)
    wait_for(page, "lab.run.step > 20")
    page.get_by_role("button", name="Pause", exact=True).click()
    wait_for(page, "lab.run.state === 'paused'")
    page.reload()  # it is still there
    wait_for(page, "lab.run && lab.run.state === 'paused'")
    step = lab(page)["run"]["step"]
    page.get_by_role("button", name="Resume", exact=True).click()
    wait_for(page, f"lab.run.state === 'running' && lab.run.step > {step}")
    page.get_by_role("button", name="Stop", exact=True).click()
    wait_for(page, "lab.run.state === 'stopped'")
    told = lab(page)["run"]
    assert told["points"] == [told["step"]] * 2  # none is missing, none is twice

    page.get_by_role("button", name="all runs").click()
    page.get_by_label("Compare The short one").check()
    page.wait_for_url(re.compile("compare=[0-9a-f]{8}"))
    page.get_by_role("button", name="Delete The short one").click()
    page.get_by_role("button", name="Delete for good").click()
    expect(page.get_by_label("Compare The short one")).to_have_count(0)
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name=re.compile("^The short one"))).to_have_count(0)
    page.wait_for_url(lambda url: "compare" not in url)


def test_back_leaves_the_lab_whatever_was_changed_there(open_page: Any) -> None:
    page = open_page("/")
    page.get_by_role("link", name="Lab").click()
    wait_for(page, "lab.updates > 0")
    page.wait_for_url(re.compile("epochs=10"))
    entries = page.evaluate("history.length")
    slider = page.get_by_role("slider", name="lr of Adam", exact=True)
    slider.focus()
    for _ in range(5):
        turn = lab(page)["updates"]
        page.keyboard.press("ArrowRight")
        wait_for(page, f"lab.updates > {turn}")
    lr = slider.get_attribute("aria-valuetext")
    page.wait_for_url(re.compile(f"o=adam%28lr%3D{lr}%29"))
    assert page.evaluate("history.length") == entries
    page.go_back()
    expect(page.get_by_role("button", name="Back to the start (Home)")).to_be_visible()
    page.go_forward()
    expect(slider).to_have_attribute("aria-valuetext", str(lr))


def test_what_is_asked_for_is_in_the_address_and_by_keyboard(open_page: Any) -> None:
    page = open_page("/lab?o=adam&data=shapes10")
    wait_for(page, "lab.updates > 0")
    slider = page.get_by_role("slider", name="lr of Adam")
    slider.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_url(re.compile(r"o=adam%28lr%3D0\.0010"))
    page.get_by_label("Adam in racer notation").fill("momentum(lr=0.02)")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"o=momentum%28lr%3D0\.02%29"))
    page.get_by_role("button", name="+ add a racer").press("Enter")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.get_by_role("slider", name=re.compile("^lr of"))).to_have_count(2)
    page.get_by_label("Epochs").fill("zero")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("epochs is 'zero', but takes a whole number")
    expect(page.get_by_label("Epochs")).to_have_value("10")
    assert "epochs=10" in page.url


def test_more_settings_are_a_line_until_opened_and_stand_in_the_address(open_page: Any) -> None:
    page = open_page(SHORT)
    wait_for(page, "lab.updates > 0")
    line = page.get_by_role("button", name="More settings")
    schedule = page.get_by_label("Schedule")
    expect(schedule).to_be_hidden()
    line.click()
    schedule.fill("warmup(total_iters=5)+cosine")
    schedule.press("Enter")
    page.get_by_role("button", name="flip", exact=True).click()
    expect(page.get_by_role("button", name="flip", exact=True)).to_have_attribute("aria-pressed", "true")
    precision = page.get_by_role("group", name="Precision")
    expect(precision.get_by_role("button", name="fp32", exact=True)).to_be_visible()
    precision.get_by_role("button", name="fp32", exact=True).click()
    page.wait_for_function("() => location.search.includes('precision=fp32')")
    precision.get_by_role("button", name="auto", exact=True).click()
    page.get_by_label("Dropout").fill("2")
    page.get_by_label("Dropout").press("Enter")
    expect(page.get_by_text("dropout is 2.0, but takes a number from 0 to below 1.")).to_be_visible()
    expect(page.get_by_label("Dropout")).to_have_value("")
    page.get_by_label("Dropout").fill("0.25")
    page.get_by_label("Dropout").press("Enter")
    page.wait_for_function("() => location.search.includes('dropout=0.25')")
    assert {"augment": "flip", "schedule": "warmup+cosine"}.items() <= {
        name: values[0] for name, values in parse_qs(urlsplit(page.url).query).items()
    }.items()
    line.click()
    expect(line).to_have_text("More settings: warmup+cosine, flip, dropout 0.25")

    page.get_by_label("Pictures or texts to train on").select_option("docs8")
    expect(page.get_by_label("Network")).to_have_value("text_cnn")  # the one that takes texts
    expect(page.get_by_role("button", name="flip", exact=True)).to_be_hidden()
    page.wait_for_function("() => location.search.includes('model=text_cnn')")
    page.reload()
    wait_for(page, "lab.updates > 0")
    expect(page.get_by_label("Network")).to_have_value("text_cnn")
    expect(line).to_have_text("More settings: warmup+cosine, dropout 0.25")
