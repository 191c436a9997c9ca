"""Ten thousand each: mangled links, hostile messages, formulas that are none; then the worst on the page.

Whatever comes is answered by one sentence and costs little; the race stays, and nobody else notices.
"""

import asyncio
import json
import math
import random
import re
import signal
import sys
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from typing import Any
from urllib.parse import parse_qs, quote, urlencode

import pytest
from websockets.exceptions import ConnectionClosedError

from app.address import LONGEST
from app.player import Message
from app.request import MOST_RACERS, MOST_STEPS, RaceRequest
from optimizers import formula
from optimizers.player import payload
from tests.app.test_playground import labels, packet, send, start
from tests.benchmarks.classroom import HOSTILE, UNREADABLE, Learner
from tests.benchmarks.formula import WATCHED, texts
from tests.benchmarks.playground import health
from tests.e2e.conftest import start_server

COUNT = 10_000
PATIENCE = 60  # seconds of processor time after which ten thousand count as a hang; they take a few

# Every part a link can have, and each kind of value.
LINKS = (
    "surface=rosenbrock&o=momentum(lr=0.0008)&o=rmsprop(lr=0.02)&o=adam(lr=0.1)&start=-1.35,2.15&steps=400",
    "surface=quadratic(condition=50,angle=-30)&o=gd(lr=0.01)&o=adam(lr=0.1,bias_correction=first)&steps=60&step=7",
    "surface=himmelblau&o=nesterov(lr=0.002)&o=adam(lr=0.2)&start=1,-2&steps=150&racer=0&speed=2&loop=1",
    "surface=beale&o=adamw(lr=0.1,weight_decay=0.01)&schedule=warmup(steps=10)+cosine&clip_norm=1&seed=7",
    "surface=saddle&o=gd(lr=0.05)&o=adagrad&clip_value=0.5&noise=0.3&seed=4294967295&names=first,the%20second",
    "surface=logistic&o=gd&o=adam&batch_size=8&seed=3&steps=40&by=length&off=0&charts=loss,lr",
    "surface=rastrigin&o=adam(lr=0.1)&stage=relief&camera=120,45&levels=16&scale=linear&show=vectors,basin",
    "surface=cliff&o=rmsprop&window=-1,1,-2,2&panel=sweep&sweep=lr,alpha&predict=where&hide=panel,charts"
    "&lock=surface,hyper&scene=cliff",
)
WITH_A_FORMULA = 'surface=formula("(1-x)**2%20%2B%20100*(y-x**2)**2")&o=adam(lr=0.1)&steps=50'
VALUES = (
    *("", "0", "-1", "1e308", "-1e308", "1e999", "nan", "inf", "-inf", "1e-999", "0x10", "1_000", "١٢", "½"),
    *("9" * 400, "1." + "0" * 400, "None", "True", "[]", "{}", "()", "(" * 200, "'", '"', "\\", "a" * 300),
    *("%", "%zz", "%00", "%ff%fe", "%ED%A0%80", "%u2028", "\ud800", "\0", "\x1b[31m", "\u2028", "\u202e"),
    *("<script>alert(1)</script>", "{{7*7}}", "../etc/passwd", "'; drop table runs; --", "__import__('os')"),
    *(",", ",,,,", "1,2,3", "1,nan", "+", "&", "=", "%26", "%3D", "adam", "adam(", "adam()", "adam(lr=)"),
    *("adam(lr=1e308)", "adam(lr=" + "9" * 200 + ")", "adam(lr=0.1,lr=0.1)", "adam(**{})", "adam(lr=[[]])"),
    *("lambda: 0", "quadratic(condition=nan)", "quadratic(angle=1e400)", "loss,loss,loss,loss,loss"),
    *("🙂", "🙂" * 60),
)  # fmt: skip
SIGNS = "0123456789.,()=&%+-_eEnaif\"'\\ \t\n\r\0\x7f\x1b²π−×é\u2028\u202e\ud800🙂"


def mangled(random_: random.Random) -> str:
    """Return a good link with something wrong."""
    query = WITH_A_FORMULA if random_.random() < 0.02 else random_.choice(LINKS)
    for _ in range(random_.choice((1, 1, 1, 2, 3, 8))):
        parts = query.split("&")
        at = random_.randrange(len(query) + 1)
        part = random_.randrange(len(parts))
        match random_.randrange(12):
            case 0:
                query = query[:at] + query[at + random_.randint(1, 9) :]
            case 1:
                query = query[:at] + query[max(0, at - random_.randint(1, 9)) :]
            case 2:
                query = query[:at] + random_.choice(SIGNS) + query[at:]
            case 3:
                query = query[:at] + f"%{random_.choice(SIGNS)}{random_.choice(SIGNS)}" + query[at:]
            case 4:
                length = random_.randint(2, 30)
                query = (
                    query[:at] + "".join(random_.sample(query[at:], len(query[at:]))[:length]) + query[at:]
                )
            case 5 | 6 | 7:  # another value
                parts[part] = f"{parts[part].partition('=')[0]}={random_.choice(VALUES)}"
                query = "&".join(parts)
            case 8:  # a part said again, or many times
                query = "&".join([*parts, *[parts[part]] * random_.choice((1, 1, 9, 80))])
            case 9:  # another part's value
                name, other = parts[part].partition("=")[0], random_.choice(parts).partition("=")[2]
                query = "&".join([*parts[:part], f"{name}={other}", *parts[part + 1 :]])
            case 10:  # a number that is none, too large, or too small
                query = re.sub(
                    r"\d+\.?\d*",
                    lambda found: random_.choice((found[0], found[0], random_.choice(VALUES))),
                    query,
                )
            case 11:
                query += random_.choice(SIGNS) * random_.choice((1, 100, 9000))
    return query


def assert_a_sentence(notice: str) -> None:
    """One kind line: no traceback, no Python in it, not too long to read."""
    assert notice.endswith((".", "?")), notice
    assert 10 < len(notice) <= 300, (len(notice), notice)
    assert notice.isprintable(), notice  # so that no control character, line break or lone surrogate is shown
    said = re.sub(r"'[^']*'|\"[^\"]*\"", "", notice)  # what was given may be repeated in quotes
    assert not re.search(r"Traceback|Error\b|Exception|NoneType|object at 0x|<class|File \"", said), notice


@contextmanager
def no_hang() -> Iterator[None]:
    """Fail, rather than go on for ever."""

    def give_up(*_: object) -> None:
        raise TimeoutError(f"not done after {PATIENCE} s")

    before = signal.signal(signal.SIGPROF, give_up)
    signal.setitimer(signal.ITIMER_PROF, PATIENCE)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def test_ten_thousand_mangled_links() -> None:
    random_ = random.Random(4)
    kept = RaceRequest.parse(LINKS[3])[0]
    good: dict[str, RaceRequest] = {}
    refused = 0
    with no_hang():
        for _ in range(COUNT):
            request, notices = RaceRequest.parse(mangled(random_), kept)
            for notice in notices:
                assert_a_sentence(notice)
            refused += bool(notices)
            assert 1 <= len(request.racers) <= MOST_RACERS
            assert 1 <= request.steps <= MOST_STEPS
            assert len(request.names) <= len(request.racers)
            query = request.query()
            assert len(query) <= LONGEST
            good.setdefault(query, request)
        assert RaceRequest.parse("", kept) == (kept, [])  # nothing of all that stays behind
    assert refused > COUNT / 2, "the links are hardly mangled"
    assert len(good) > 200
    with no_hang():
        for query, request in random_.sample(sorted(good.items(), key=lambda item: item[0]), 200):
            again, notices = RaceRequest.parse(query)
            assert (again.query(), notices) == (query, []), "what the address says is another race"
            meta, _ = payload(replace(request, steps=min(request.steps, 12), step=None).race())
            json.dumps([meta, request.look], allow_nan=False)


MILLION = list(range(1_000_000))
DEEP: list[Any] = []
for _ in range(10_000):
    DEEP = [DEEP]
# What a message may hold instead of what it should.
ODD = (
    *(None, True, False, 0, 1, -1, 7, 10**9, 10**30, 10**4000, -(2**63), 0.5, -0.0, 1e308, 5e-324),
    *(math.nan, math.inf, -math.inf, "", "7", "x" * 1_000_000, "\ud800", "\0", b"surface=beale"),
    *([], {}, [[]], MILLION, DEEP, ["rosenbrock"] * 99, [None, 7, {}, "beale"], {"basin": DEEP}, {1: 2}),
    *({"format": MILLION}, {"format": "gif", "dark": math.nan}, ({"a": 1},), {"basin": "x" * 1_000_000}),
)  # fmt: skip


def hostile_message(random_: random.Random) -> object:
    """Return what a player would send, with something wrong; now and then something else altogether."""
    message: dict[Any, Any] = {
        "query": LINKS[0],
        "turn": 3,
        "settled": True,
        "grids": ["rosenbrock"],
        "have": {"basin": "abc"},
        "make": None,
        "stop": False,
        "opened": False,
    }
    if random_.random() < 0.1:
        return random_.choice(ODD)
    for _ in range(random_.choice((1, 1, 2, 5))):
        name = random_.choice(list(message) or ["query"])
        match random_.randrange(8):
            case 0:
                message.pop(name, None)
            case 1:
                message[random_.choice(("colour", "", "__class__", 7, None))] = random_.choice(ODD)
            case 2:
                message[name] = [message.get(name)] * random_.choice((1, 1000))
            case 3:
                message["query"] = mangled(random_)
            case _:
                message[name] = random_.choice(ODD)
    return message


def test_ten_thousand_hostile_messages() -> None:
    random_ = random.Random(4)
    messages = [hostile_message(random_) for _ in range(COUNT)]
    read = 0
    tracemalloc.start()
    try:
        with no_hang():
            for sent in messages:
                tracemalloc.reset_peak()
                before = tracemalloc.get_traced_memory()[0]
                message = Message.read(sent)
                assert tracemalloc.get_traced_memory()[1] - before < 100_000, "a message is copied"
                if message is None:
                    continue
                read += 1
                assert type(message.query) is str
                assert type(message.turn) is int
                assert 0 < message.turn < 2**31
                assert len(message.grids) + len(message.have) < 32
                assert all(
                    type(name) is str for name in [*message.grids, *message.have, *message.have.values()]
                )
                assert {type(flag) for flag in (message.settled, message.stop, message.opened)} == {bool}
                assert message.make is None or isinstance(message.make, dict)
    finally:
        tracemalloc.stop()
    assert COUNT / 5 < read < COUNT, "the messages are hardly hostile, or all of them are no messages"


def non_formulas() -> Iterator[str]:
    """Yield texts of the benchmark's kinds that are no formula."""
    for _, text in texts(4 * COUNT, seed=4):
        try:
            formula.read(text)
        except ValueError:
            yield text


def test_ten_thousand_non_formulas() -> None:
    kept = RaceRequest.parse(WITH_A_FORMULA)[0]  # what is imported and compiled at first use is so now
    heard: list[str] = []
    listening = False

    def hook(event: str, given: tuple[Any, ...]) -> None:
        if listening and (event in WATCHED or (event == "compile" and given[1] != "<unknown>")):
            heard.append(f"{event} {given!r:.100}")

    sys.addaudithook(hook)
    count = 0
    with no_hang():
        for text in islice(non_formulas(), COUNT):
            count += 1
            link = "surface=" + quote(f'formula("{text}")', errors="surrogatepass")
            listening = True
            request, notices = RaceRequest.parse(link, kept)
            listening = False
            if request == kept:
                (notice,) = notices
                assert_a_sentence(notice)
            else:  # a quotation mark or a backslash in it made something else of it: a formula after all
                assert not notices
                assert set(text) & set('"\\'), text
                assert RaceRequest.parse(request.query(), kept) == (request, [])
    assert count == COUNT
    assert heard == []


def refused(kept: RaceRequest, seed: int, count: int) -> list[str]:
    """Return mangled links that have something to say, as they can come over a wire."""
    random_ = random.Random(seed)
    links = (mangled(random_).encode(errors="replace").decode() for _ in range(20 * count))
    return list(islice((link for link in links if RaceRequest.parse(link, kept)[1]), count))


def race_of(meta: dict[str, Any]) -> tuple[object, ...]:
    return (
        meta["surface"]["notation"],
        [racer["notation"] for racer in meta["racers"]],
        meta["start"],
        meta["steps"],
    )


def test_a_page_opens_at_any_link() -> None:
    for link in refused(RaceRequest(), seed=5, count=16):
        meta, arrays = packet(start(link))
        opened, notices = RaceRequest.parse(urlencode(parse_qs(link), doseq=True))
        assert meta["notices"] == notices
        assert meta["address"] == opened.query(), "what is good in a link is taken"
        assert arrays["tracks"] > 0
        for notice in meta["notices"]:
            assert_a_sentence(notice)


GOOD = "surface=beale&o=gd(lr=0.01)&o=adam(lr=0.02)&start=1,1&steps=30"


def test_hostile_messages_leave_the_page_as_it_was() -> None:
    kept = RaceRequest.parse(GOOD)[0]
    links = refused(kept, seed=6, count=30)
    formulas = [f"surface={quote(f'formula({text!r})')}" for text in islice(non_formulas(), 20)]
    random_ = random.Random(6)
    strange = [message for _ in range(60) if Message.read(message := hostile_message(random_)) is None]
    test = start(GOOD)
    before = race_of(packet(test)[0])
    for sent in strange:
        test.session_state["player"] = {"asked": sent}
        meta, _ = packet(test.run())
        assert (race_of(meta), meta["notices"]) == (before, []), repr(sent)[:200]
    for turn, query in enumerate([*links, *formulas], start=1):
        odd = {name: random_.choice(ODD) for name in ("grids", "have", "make")}
        meta, _ = send(test, query=query, turn=turn, settled=True, **odd)
        assert (race_of(meta), meta["turn"]) == (before, turn), query
        assert meta["notices"], query
        for notice in meta["notices"]:
            assert_a_sentence(notice)
    meta, _ = send(test, query="steps=31", turn=1000, settled=True, grids=[])
    assert (meta["steps"], meta["notices"], labels(meta)) == (31, [], ["gradient descent", "Adam"])


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home = tmp_path_factory.mktemp("home")
    process, address = start_server(home, home / "server.log")
    try:
        health(process, address)
        yield address
    finally:
        process.terminate()
        process.wait(10)


def test_one_learner_s_hostile_messages_are_nobody_else_s(address: str) -> None:
    async def meet() -> None:
        async with Learner.join(address, GOOD) as villain, Learner.join(address, GOOD) as bystander:
            before = race_of(villain.meta)
            for turn, value in enumerate(HOSTILE):
                await villain.send(value)
                await villain.hear()
                assert race_of(villain.meta) == before, value[:100]
                for notice in villain.meta["notices"]:
                    assert_a_sentence(notice)
                await bystander.ask(f"steps={40 + turn}")
                assert (bystander.meta["steps"], bystander.meta["notices"]) == (40 + turn, [])
            assert villain.meta["notices"]
            assert villain.faults == bystander.faults == []

    asyncio.run(meet())


@pytest.mark.parametrize("value", UNREADABLE)
def test_what_no_browser_can_send_ends_the_session_of_who_sent_it(address: str, value: str) -> None:
    async def meet() -> None:
        async with Learner.join(address, GOOD) as villain, Learner.join(address, GOOD) as bystander:
            await villain.send(value)
            await villain.hear()
            (fault,) = villain.faults  # Streamlit's own sentence, with nothing of the program in it
            assert not re.search(r"Traceback|\\.py|json|decod", fault, re.IGNORECASE)
            await bystander.ask("steps=41")
            assert (bystander.meta["steps"], bystander.faults) == (41, [])
        async with Learner.join(address, GOOD) as again:
            assert (again.meta["steps"], again.faults) == (30, [])

    asyncio.run(meet())


def test_a_message_of_forty_megabytes_is_not_read(address: str) -> None:
    async def flood(villain: Learner) -> None:
        await villain.send(json.dumps({"asked": "x" * 40_000_000}))
        await villain.hear()

    async def meet() -> None:
        async with Learner.join(address, GOOD) as villain, Learner.join(address, GOOD) as bystander:
            with pytest.raises(ConnectionClosedError, match="too big"):
                await flood(villain)
            await bystander.ask("steps=41")
            assert (bystander.meta["steps"], bystander.faults) == (41, [])

    asyncio.run(meet())
