"""A lesson as a learner meets it: guess, see, turn the knob; in both themes, on a narrow screen too."""

from collections.abc import Callable
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser


def skip(page: Page, question: int) -> None:
    """Pass over a question, counted from 0."""
    asked = page.locator("[class*=st-key-question]").nth(question)
    asked.get_by_role("button", name="Just show me").click()
    expect(asked.get_by_role("radio")).to_have_count(0)


def test_guess_then_see(open_page: Callable[..., Page]) -> None:
    page = open_page("/lessons")
    page.get_by_role("button", name="Bias correction").click()
    expect(page.get_by_role("heading", name="Bias correction")).to_be_visible()
    assert parse_qs(urlsplit(page.url).query) == {"lesson": ["5"]}
    page.get_by_text("a third of lr", exact=True).click()
    page.get_by_role("button", name="Lock in my guess").click()
    expect(page.get_by_text("← your guess")).to_be_visible()
    expect(page.get_by_text("It is 3.16")).to_be_visible()
    page.reload()
    expect(page.get_by_text("← your guess")).to_be_visible()
    skip(page, 1)
    skip(page, 2)
    expect(page.get_by_text("6.57 × at t = 12", exact=True)).to_be_visible()  # in the drawing
    canvas = page.locator("canvas").first
    canvas.scroll_into_view_if_needed()
    page.wait_for_function("window.__adamscope?.player?.counts.draws > 1")
    assert canvas.bounding_box()["width"] > 500  # type: ignore[index]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_drawing_can_be_read_in_either_theme(open_page: Callable[..., Page], scheme: str) -> None:
    page = open_page("/lessons?lesson=5", color_scheme=scheme, viewport={"width": 480, "height": 800})
    skip(page, 0)
    skip(page, 1)
    label = page.get_by_text("step t", exact=True)
    expect(label).to_be_visible()
    ink = label.evaluate("e => getComputedStyle(e).fill")
    (red, *_) = (int(part) for part in ink.removeprefix("rgb(").rstrip(")").split(","))
    assert (red < 100) == (scheme == "light"), f"the drawing's text is {ink} on a {scheme} page"
    overflow = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert overflow <= 0, "the page scrolls sideways"


def test_an_address_is_quoted_and_not_interpreted(open_page: Callable[..., Page]) -> None:
    """A link to the page may not make it ask another machine, nor put words of its own into it as links."""
    picture, link = "![x](https://evil.example/a.png)", "[log in](https://evil.example)"
    tag = "<img src=//evil.example/b.png>"
    page = open_page(f"/lessons?lesson={quote(picture)}&{quote(link)}=1&{quote(tag)}=1")
    notices = page.locator("p.notice")
    expect(notices).to_have_count(3)
    for notice, text in zip(notices.all(), (picture, link, tag), strict=True):
        expect(notice).to_contain_text(text)
    inside = page.get_by_test_id("stMain")
    expect(inside.locator("a[href*=evil], img")).to_have_count(0)
