"""What the player asks Python for: one message at a time, two under a moving hand, and none is lost."""

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Route

import optimizers.player

pytestmark = pytest.mark.browser

FOLDER = Path(optimizers.player.__file__).parent
# A messenger whose time the test holds: late() is what happens when nobody has answered for so many ms.
RUN = """async (work) => {
    const { createMessenger } = await import("/request.js");
    const sent = [];
    const clock = { late: null, ms: 0 };
    window.setTimeout = (late, ms) => Object.assign(clock, { late, ms });
    window.clearTimeout = () => { clock.late = null; };
    const messenger = createMessenger((message) => sent.push(message));
    return new Function("messenger", "clock", "sent", work)(messenger, clock, sent);
}"""


def run(browser: Browser, work: str) -> Any:
    """Run JavaScript that may name `messenger`, `clock` and `sent`."""

    def serve(route: Route) -> None:
        name = route.request.url.rsplit("/", 1)[1]
        body = (FOLDER / name).read_text("utf-8") if name else "<!doctype html>"
        route.fulfill(body=body, content_type="text/javascript" if name else "text/html")

    page = browser.new_page()
    try:
        page.route("**/*", serve)
        page.goto("http://player.test/")
        return page.evaluate(RUN, work)
    finally:
        page.close()


def test_a_lost_message_is_sent_again_and_the_newest_says_what_is_wanted(browser: Browser) -> None:
    sent, waits = run(
        browser,
        """
        const waits = [];
        messenger.ask({ query: "a", make: { format: "png" } });
        messenger.ask({ query: "b" }); // nothing is heard of the first
        waits.push(clock.ms);
        clock.late();
        waits.push(clock.ms);
        clock.late();
        messenger.answered(3);
        waits.push(clock.late, messenger.idle);
        messenger.ask({ query: "c" });
        messenger.forget(); // another link was opened
        clock.late();
        return [sent, [...waits, messenger.idle]];
        """,
    )
    file = {"make": {"format": "png"}}
    assert sent == [
        {"query": "a", "turn": 1, **file},
        {"query": "b", "turn": 2, **file},
        {"query": "b", "turn": 3, **file},
        {"query": "c", "turn": 4},
    ]
    assert waits == [8000, 16000, None, True, True]


def test_a_file_and_a_link_that_wait_are_not_overtaken(browser: Browser) -> None:
    sent = run(
        browser,
        """
        messenger.ask({ query: "a" });
        messenger.ask({ query: "b", make: { format: "png" } });
        messenger.ask({ query: "c" });
        messenger.answered(1);
        messenger.ask({ query: "d", make: { format: "gif" } });
        messenger.ask({ query: "e", stop: true });
        messenger.answered(2);
        messenger.ask({ query: "link", opened: true });
        messenger.ask({ query: "f" });
        messenger.answered(3);
        return sent;
        """,
    )
    assert sent == [
        {"query": "a", "turn": 1},
        {"query": "c", "turn": 2, "make": {"format": "png"}},
        {"query": "e", "turn": 3, "stop": True},
        {"query": "link", "turn": 4, "opened": True},
    ]


def test_under_a_moving_hand_one_goes_out_ahead(browser: Browser) -> None:
    sent, idle = run(
        browser,
        """
        const idle = [];
        const hand = (query) => messenger.ask({ query, settled: false });
        for (const query of ["a", "b", "c", "d"]) hand(query);
        messenger.answered(1);
        idle.push(sent.length, messenger.idle);
        messenger.answered(1); // said again: it answers nothing
        hand("e");
        messenger.answered(3); // the second was overtaken by the third
        idle.push(sent.length, messenger.idle);
        hand("f");
        messenger.ask({ query: "g", settled: true }); // what the hand leaves waits for all before it
        messenger.answered(4);
        idle.push(sent.length);
        messenger.answered(5);
        idle.push(sent.length, messenger.idle);
        clock.late(); // nobody has answered
        messenger.answered(7);
        return [sent.map(({ query, turn }) => `${query} ${turn}`), [...idle, messenger.idle]];
        """,
    )
    assert sent == ["a 1", "b 2", "d 3", "e 4", "f 5", "g 6", "g 7"]
    assert idle == [3, False, 4, False, 5, 6, False, True]
