"""Sweeps: many networks at once, to see which hyperparameters suit them."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import streamlit as st

from app.components import component, fill_window, pack, page_query
from app.faults import FAULTS, fault, say
from app.sweeps import board
from app.sweeps.request import Message, SweepRequest
from optimizers.training import cluster, sweep_jobs
from optimizers.training.data import DATASETS, available
from optimizers.training.store import default_url, open_store
from optimizers.training.sweep_store import Sweep, SweepStore

KEY = "sweeps"
REFRESH = 0.6  # seconds between two looks at a sweep under way
IDLE = 2.0  # seconds between two looks where nothing is
MOST_LINKS = 1_000  # that a page remembers
MOST_SWEEPS = 4  # that wait or train, of all learners together


@dataclass
class Session:
    """What this learner's page remembers between two runs."""

    request: SweepRequest = field(default_factory=SweepRequest)
    notices: list[str] = field(default_factory=list)
    turn: int = 0  # of the last message that was answered
    sent: str | None = None  # id of the sweep whose sides and trials the browser has
    links: deque[str] = field(default_factory=lambda: deque(maxlen=MOST_LINKS))  # taken in, or given to write

    def show(self, request: SweepRequest, notices: list[str] | None = None) -> None:
        """Keep the request; the component writes it into the address."""
        self.request, self.notices = request, notices or []
        self.links.append(request.query())


@st.cache_resource
def open_sweeps(url: str) -> SweepStore:
    return SweepStore(open_store(url))


def page() -> None:
    session: Session = st.session_state.get("sweeps_session") or Session()
    try:
        cluster.warm_up()  # first: it takes longest
        sweeps = open_sweeps(default_url())
        read_address(session, sweeps)
        sweep = shown_sweep(session, sweeps)
    except FAULTS as problem:
        say(fault(problem))
        return
    st.session_state["sweeps_session"] = session
    fill_window()
    session.sent = None  # the browser may have lost what it had
    mount = component("sweeps", js="component.js", css="sweeps.css", html="")
    active = sweep is not None and sweep.active
    st.fragment(live, run_every=REFRESH if active else IDLE)(session, sweeps, mount, active)


def live(session: Session, sweeps: SweepStore, mount: Any, was_active: bool) -> None:
    """Do what the browser asks for, and send it what is new; say so where that can't be done."""
    try:
        try:
            answer(session, sweeps)
        except FAULTS as problem:
            session.notices = [fault(problem)]
        send(session, sweeps, mount, was_active)
    except FAULTS as problem:
        session.sent = None  # without its component the browser loses all that it had
        say(fault(problem))


def send(session: Session, sweeps: SweepStore, mount: Any, was_active: bool) -> None:
    sweep = shown_sweep(session, sweeps)
    if (sweep is not None and sweep.active) != was_active:
        st.rerun()  # to look more or less often
    request = session.request
    shown = board.question(request, session.notices, sweeps.pace(request.config))
    shown |= {"sweep": None, "still": None, "recent": [board.short(one) for one in sweeps.recent()]}
    arrays = {}
    config = board.config_of(sweep) if sweep is not None else None
    if sweep is not None and config is not None:
        moving, arrays["cells"] = board.moving(config, sweeps.networks(sweep.id), sweep.summary)
        across, up = request.sides(config)
        shown["sweep"] = board.head(sweep) | moving | {"x": across, "y": up}
        if session.sent != sweep.id:
            shown["still"] = board.still(config)
            session.sent = sweep.id
    data = pack(shown | {"turn": session.turn, "address": request.query()}, **arrays)
    mount(key=KEY, data=data, height="stretch", on_asked_change=lambda: None)


def shown_sweep(session: Session, sweeps: SweepStore) -> Sweep | None:
    """Return the sweep the address names."""
    return sweeps.get(session.request.sweep) if session.request.sweep is not None else None


def read_address(session: Session, sweeps: SweepStore) -> None:
    """Take over what the address asks for, unless it is one of this page's own.

    Only a first look that asks for nothing is shown the newest sweep under way.
    """
    query = page_query()
    if session.links and (not query or query in session.links):  # a change of page drops it
        return
    if not query:
        newest = next(iter(sweeps.active()), None)
        session.show(session.request.of(newest) if newest else session.request)
        return
    session.links.append(query)
    request, notices = SweepRequest.parse(query)
    sweep = sweeps.get(request.sweep) if request.sweep is not None else None
    if sweep is not None and "o" not in st.query_params:
        request = request.of(sweep)
    elif sweep is None and request.sweep is not None:
        notices.append(f"There is no sweep {request.sweep[:60]!r} here.")
        request = replace(request, sweep=None)
    session.show(request, notices)


def answer(session: Session, sweeps: SweepStore) -> None:
    """Do what the component asks for."""
    state = st.session_state.get(KEY)
    message = Message.read(state.get("asked")) if isinstance(state, Mapping) else None
    if message is None or message.turn == session.turn:
        return
    session.turn = message.turn
    if message.press == "again":
        session.sent = None
        return
    if message.press == "stop" and session.request.sweep is not None:
        sweeps.request_stop(session.request.sweep)
        return
    shown = session.request.sweep
    request, notices = SweepRequest.parse(message.query, session.request)
    if message.press == "figure4":
        request = request.figure4()
    chosen = sweeps.get(request.sweep) if request.sweep not in (None, shown) else None
    request = request.of(chosen) if chosen else replace(request, sweep=shown)
    if message.press in ("start", "figure4") and not notices:
        notices += obstacles(request.config.base.data, sweeps)
        if not notices:
            request = replace(request, sweep=sweep_jobs.start(request.config, sweeps.store))
    session.show(request, notices)


def obstacles(data: str, sweeps: SweepStore) -> list[str]:
    """Return a sentence for each thing that keeps a sweep on this data set from being started."""
    found = []
    if not available(data):
        found.append(f"{DATASETS[data].title} is not on this machine: get it with adamscope data {data}.")
    if len(sweeps.active()) >= MOST_SWEEPS:
        found.append(f"{MOST_SWEEPS} sweeps wait or train already: stop one, or start yours when one ends.")
    return found


page()
