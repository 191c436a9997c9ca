"""The canvas player on a page: a race to look at, and the playground that asks for new ones.

Python computes and JavaScript plays. What comes back from the browser is a query string like the address's,
and is trusted as little.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import streamlit as st

from app.components import component, pack
from app.request import RaceRequest
from optimizers import OPTIMIZERS, SURFACES, Race
from optimizers.player import grid, payload, schedules

KINDS = "basin", "sweep", "tuned", "cloud", "window"  # of work beside the race
_MOST_TURNS = 10**9
_MOST_GRIDS = 16


@dataclass(frozen=True)
class Message:
    """What the player sent: the race it wants, and what it already has."""

    query: str
    turn: int  # counts its messages, so that it knows which one is answered
    settled: bool  # False while a hand still moves a slider: the address can wait
    grids: frozenset[str]  # the surfaces whose background it holds
    have: Mapping[str, str]  # what it holds of work beside the race: kind -> id
    make: Mapping[str, object] | None  # an export that is wanted: its format, and whether for a dark page
    stop: bool  # the export under way is no longer wanted
    opened: bool  # the query is a whole link, such as a scene's: what it leaves out is as usual

    @classmethod
    def read(cls, sent: object) -> Self | None:
        """Read the component's state, which may be anything at all; None if it is no message."""
        if not isinstance(sent, dict):
            return None
        query, turn, grids = sent.get("query"), sent.get("turn"), sent.get("grids")
        if not isinstance(query, str) or type(turn) is not int or not 0 < turn < _MOST_TURNS:
            return None
        known = grids[:_MOST_GRIDS] if isinstance(grids, list) else []
        names = frozenset(name for name in known if isinstance(name, str))
        have, make = sent.get("have"), sent.get("make")
        held = {
            kind: have[kind] for kind in KINDS if isinstance(have, dict) and isinstance(have.get(kind), str)
        }
        wanted = make if isinstance(make, dict) else None
        stop, opened = sent.get("stop") is True, sent.get("opened") is True
        return cls(query, turn, sent.get("settled") is True, names, held, wanted, stop, opened)


def show_race(race: Race, key: str, height: int = 420) -> None:
    """Show a race with its stage, timeline and numbers; nothing in it asks Python for more.

    Args:
        race: what to play.
        key: names this player on its page.
        height: in px.
    """
    _mount(race, key, {"layout": "compact", "height": f"{height}px"})


def show_playground(
    request: RaceRequest,
    key: str,
    turn: int,
    known: frozenset[str],
    moving: bool,
    arrays: Mapping[str, bytes] | None = None,
    **extra: Any,
) -> None:
    """Show the three columns with every control. What is asked for comes back by `sent`.

    Args:
        request: the race, and how it is looked at.
        key: names the player.
        turn: the last message this answers.
        known: the surfaces whose background the player already holds.
        moving: a hand is still on a slider, so that a coarse background will do.
        arrays: what was worked out beside the race, by name.
        extra: notices (a list of sentences), told (counts them, for one said anew); moved=True when the
            player should go to the request's step;
            address, the query the address bar should show ("" leaves it).
    """
    catalog = {
        "surfaces": [{"name": name, "title": entry.title} for name, entry in SURFACES.items()],
        "optimizers": [
            {"name": name, "title": entry.title, "purpose": entry.purpose}
            for name, entry in OPTIMIZERS.items()
        ],
        "schedules": schedules(),
    }
    page = {"layout": "page", "height": "calc(100dvh - 3.75rem)"}  # all of the window under the navigation
    names = request.names + ("",) * (len(request.racers) - len(request.names))
    meta = {**page, "turn": turn, "catalog": catalog, "look": request.look, "names": names, **extra}
    _mount(request.race(), key, meta, known, moving, arrays)


def sent(key: str) -> Any:
    """Return what the player named `key` has sent, unread; None if nothing."""
    state = st.session_state.get(key)
    return state.get("asked") if isinstance(state, dict) else None


def _mount(
    race: Race,
    key: str,
    extra: dict[str, Any],
    known: frozenset[str] = frozenset(),
    moving: bool = False,
    arrays: Mapping[str, bytes] | None = None,
) -> None:
    meta, tracks = payload(race)
    background = b""
    if str(race.surface) not in known:
        meta["grid"], background = grid(race.surface)
        if moving:
            meta["grid"], background = _coarse(meta["grid"], background)
    mount = component("player", js="component.js", css="player.css", html="")
    mount(
        key=key,
        data=pack(meta | extra, tracks=tracks, grid=background, **(arrays or {})),
        on_asked_change=lambda: None,
    )


def _coarse(head: dict[str, Any], background: bytes) -> tuple[dict[str, Any], bytes]:
    """Return every third point of a background each way: a ninth of the bytes while a surface is turned."""
    values = np.frombuffer(background, "<f4").reshape(head["ny"], head["nx"])[::3, ::3]
    x0, x1, y0, y1 = head["bounds"]
    ny, nx = values.shape
    right = x0 + (x1 - x0) * 3 * (nx - 1) / (head["nx"] - 1)
    top = y0 + (y1 - y0) * 3 * (ny - 1) / (head["ny"] - 1)
    return head | {"nx": nx, "ny": ny, "bounds": [x0, right, y0, top], "coarse": True}, values.tobytes()
