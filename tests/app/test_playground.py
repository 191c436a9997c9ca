"""The playground's page without a browser: what it gives the player, and what it makes of the answers."""

import json
import math
import struct
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from streamlit.testing.v1 import AppTest

import app
from app.player import Message

PAGE = Path(app.__file__).parent / "views" / "playground.py"


def start(query: str = "") -> AppTest:
    test = AppTest.from_file(str(PAGE), default_timeout=30)
    test.query_params.update(parse_qs(query))
    return test.run()


def packet(test: AppTest) -> tuple[dict[str, Any], dict[str, int]]:
    """What the player was given: meta, and how many numbers each array holds."""
    assert not test.exception, test.exception[0].message
    (player,) = test.get("bidi_component")
    data = player.proto.bytes
    (length,) = struct.unpack("<I", data[:4])
    header = json.loads(data[4 : 4 + length])
    assert len(data) == 4 + length + 4 * sum(header["arrays"].values())
    return header["meta"], header["arrays"]


def send(test: AppTest, **message: Any) -> tuple[dict[str, Any], dict[str, int]]:
    """Let the player ask for something, as the browser would."""
    test.session_state["player"] = {"asked": message}
    return packet(test.run())


def labels(meta: dict[str, Any]) -> list[str]:
    return [racer["label"] for racer in meta["racers"]]


def test_first_page_is_the_race_of_four() -> None:
    meta, arrays = packet(start())
    assert labels(meta) == ["momentum", "RMSprop", "Adam", "Adam, uncorrected"]
    assert meta["surface"]["name"] == "rosenbrock"
    assert meta["look"]["step"] is None  # nothing says where to stand, so the race runs
    assert meta["notices"] == []
    assert arrays["grid"] == meta["grid"]["nx"] * meta["grid"]["ny"]
    assert "o=adam(lr=0.1)" in meta["address"]
    assert {entry["name"] for entry in meta["catalog"]["surfaces"]} >= {"rosenbrock", "saddle"}


def test_link_sets_everything() -> None:
    meta, _ = packet(start("surface=quadratic(condition=5)&o=gd(lr=0.1)&o=adam&start=1,2&steps=30&step=7"))
    assert labels(meta) == ["gradient descent", "Adam"]
    assert (meta["start"], meta["steps"], meta["look"]["step"]) == ([1, 2], 30, 7)
    assert meta["surface"]["notation"] == "quadratic(condition=5)"


def test_another_link_on_the_same_page_is_opened_as_it_would_be_anew() -> None:
    test = start("surface=beale&o=gd(lr=0.1)&steps=30&step=7&speed=2&loop=1")
    meta, _ = packet(test)
    assert (meta["look"]["step"], meta["look"]["speed"], meta["look"]["loop"], meta["moved"]) == (
        7,
        2,
        True,
        True,
    )
    test.query_params.clear()
    test.query_params.update(parse_qs("surface=himmelblau&o=adam"))
    meta, _ = packet(test.run())
    assert (meta["surface"]["name"], labels(meta), meta["moved"]) == ("himmelblau", ["Adam"], True)
    assert (meta["steps"], meta["look"]["step"], meta["look"]["speed"], meta["look"]["loop"]) == (
        400,
        None,
        1,
        False,
    )


def test_a_link_that_is_opened_while_a_message_is_under_way_wins() -> None:
    test = start("surface=beale&o=gd(lr=0.1)&steps=30")
    own = send(test, query="o=gd(lr=0.2)", turn=1, settled=True, grids=[])[0]["address"]
    send(test, query="o=gd(lr=0.3)", turn=2, settled=True, grids=[])
    test.query_params.clear()
    test.query_params.update(parse_qs(own))  # what the player wrote meanwhile is no link
    meta, _ = send(test, query="o=gd(lr=0.4)", turn=3, settled=True, grids=[])
    assert (meta["moved"], meta["racers"][0]["notation"]) == (False, "gd(lr=0.4)")
    test.query_params.clear()
    test.query_params.update(parse_qs("surface=himmelblau&o=adam&step=7"))
    meta, _ = send(test, query="o=gd(lr=0.5)", turn=4, settled=False, grids=[])
    assert (meta["surface"]["name"], labels(meta)) == ("himmelblau", ["Adam"])
    assert (meta["moved"], meta["look"]["step"], meta["turn"]) == (True, 7, 4)


def test_a_message_is_answered_and_the_address_waits_until_the_hand_rests() -> None:
    test = start()
    moving, arrays = send(test, query="o=adam(lr=0.2)", turn=1, settled=False, grids=["rosenbrock"])
    assert moving["turn"] == 1
    assert moving["racers"][0]["notation"] == "adam(lr=0.2)"
    assert moving["surface"]["name"] == "rosenbrock"  # what a message leaves out stays
    assert moving["address"] == ""
    assert arrays["grid"] == 0  # the player has this surface's map
    rested, arrays = send(
        test, query="o=adam(lr=0.3)&surface=beale", turn=2, settled=True, grids=["rosenbrock"]
    )
    assert "surface=beale&o=adam(lr=0.3)" in rested["address"]
    assert arrays["grid"] > 0


def test_a_surface_that_is_being_turned_sends_a_coarse_map_and_then_the_whole() -> None:
    test = start("surface=quadratic")
    turned = {"query": "surface=quadratic(angle=20)", "grids": ["quadratic"]}
    moving, few = send(test, **turned, turn=1, settled=False)
    rested, many = send(test, **turned, turn=2, settled=True)
    assert moving["grid"]["coarse"]
    assert "coarse" not in rested["grid"]
    assert few["grid"] == moving["grid"]["nx"] * moving["grid"]["ny"] < many["grid"] / 8
    # Every third point, so the last one of a row stands where the whole map has it.
    step = (rested["grid"]["bounds"][1] - rested["grid"]["bounds"][0]) / (rested["grid"]["nx"] - 1)
    width = moving["grid"]["bounds"][1] - moving["grid"]["bounds"][0]
    assert width == pytest.approx(3 * step * (moving["grid"]["nx"] - 1))


def test_the_race_outlasts_a_visit_to_another_page() -> None:
    test = start()
    send(test, query="o=gd(lr=0.004)", turn=1, settled=True, grids=[])
    del test.session_state["player"]  # as Streamlit does when the page is left
    test.query_params.clear()
    meta, _ = packet(test.run())
    assert meta["racers"][0]["notation"] == "gd(lr=0.004)"


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("surface=rosenbrok", "There is no surface 'rosenbrok'"),
        ("o=adamm", "There is no optimizer 'adamm'"),
        ("o=adam(lr=-1)", "lr of adam is -1"),
        ("o=adam(lr=1e999)", "lr of adam is"),
        ("start=nan,1e308", "start is 'nan,1e308'"),
        ("steps=1000000", "steps is '1000000'"),
        ("o=__import__('os').system('true')", "optimizer"),
        ("x" * 9000, "This link has 9,000 characters"),
    ],
)
def test_a_hostile_query_is_answered_by_a_sentence_and_the_race_is_kept(query: str, sentence: str) -> None:
    test = start("surface=beale&o=adam(lr=0.02)")
    meta, _ = send(test, query=query, turn=3, settled=True, grids=[])
    assert any(sentence in notice for notice in meta["notices"]), meta["notices"]
    assert meta["surface"]["name"] == "beale"
    assert labels(meta) == ["Adam"]
    assert meta["racers"][0]["notation"] == "adam(lr=0.02)"


def test_a_notice_stands_until_the_question_changes() -> None:
    test = start("surface=rosenbrok&steps=120")
    meta, _ = packet(test)
    notices, told = meta["notices"], meta["told"]
    assert "rosenbrok" in notices[0]
    asked = "surface=rosenbrock&start=-1.35,2.15&steps=120"
    looked, _ = send(test, query=f"{asked}&step=7&racer=1&speed=2", turn=1, settled=True, grids=[])
    assert (looked["look"]["step"], looked["notices"], looked["told"]) == (7, notices, told)
    slip, _ = send(test, query="steps=many", turn=2, settled=True, grids=[])
    assert slip["told"] == told + 1
    asked_anew, _ = send(test, query="steps=130", turn=3, settled=True, grids=[])
    assert asked_anew["notices"] == []


@pytest.mark.parametrize(
    "sent",
    [
        None,
        "surface=beale",
        [1, 2, 3],
        {"query": "surface=beale"},
        {"query": 5, "turn": 1},
        {"query": "surface=beale", "turn": math.inf},
        {"query": "surface=beale", "turn": math.nan},
        {"query": "surface=beale", "turn": -1},
        {"query": "surface=beale", "turn": 10**30},
        {"query": "surface=beale", "turn": True},
        {"query": ["surface=beale"], "turn": 1},
    ],
)
def test_what_is_no_message_changes_nothing(sent: Any) -> None:
    test = start()
    test.session_state["player"] = {"asked": sent}
    meta, _ = packet(test.run())
    assert meta["surface"]["name"] == "rosenbrock"
    assert labels(meta) == ["momentum", "RMSprop", "Adam", "Adam, uncorrected"]


def test_grids_of_a_message_may_be_anything() -> None:
    message = Message.read({"query": "", "turn": 1, "grids": [{}, None, "beale", 7, "x" * 99] * 1000})
    assert message is not None
    assert message.grids <= {"beale", "x" * 99}
    assert not message.settled
