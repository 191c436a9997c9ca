"""A race as one HTML file: it plays from disk, with no server and no network."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from optimizers import race

pytestmark = pytest.mark.browser


def test_the_file_plays_offline(browser: Browser, tmp_path: Path) -> None:
    out = tmp_path / "race.html"
    result = race(["momentum(lr=0.0008)", "adam(lr=0.1)", "gd(lr=0.5)"], "rosenbrock", steps=200)
    out.write_text(result.to_html(), encoding="utf-8")
    context = browser.new_context(offline=True, viewport={"width": 1280, "height": 720})
    page = context.new_page()
    asked, complaints = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(out.as_uri())
    stage = page.locator("canvas").first
    stage.wait_for()
    first = stage.screenshot()
    page.wait_for_timeout(500)
    assert stage.screenshot() != first  # it plays by itself
    page.get_by_text("gradient descent diverges").first.wait_for(state="attached", timeout=5000)
    context.close()
    assert complaints == []
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
