"""The lab: train a small network with several optimizers side by side, and watch."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode

import streamlit as st

from app.components import component, fill_window, pack
from app.faults import FAULTS, fault, say
from app.lab.board import board
from app.lab.request import LabRequest, Message
from optimizers.training import jobs
from optimizers.training.data import DATASETS, available
from optimizers.training.store import Run, Store, default_url, open_store

KEY = "lab"
REFRESH = 0.5  # seconds between two looks at a run under way
IDLE = 2.0  # seconds between two looks where nothing is
MOST_LINKS = 1_000  # that a page remembers
MOST_RUNS = 8  # that wait or train, of all learners together


@dataclass
class Sent:
    """What of a run this browser has."""

    run: str | None = None
    mark: tuple[int, int] = (0, 0)  # of the store
    counts: tuple[int, int] = (0, 0)  # rows: points, evaluations


@dataclass
class Session:
    """What this learner's page remembers between two runs."""

    request: LabRequest = field(default_factory=LabRequest)
    notices: list[str] = field(default_factory=list)
    turn: int = 0  # of the last message that was answered
    sent: Sent = field(default_factory=Sent)
    links: deque[str] = field(default_factory=lambda: deque(maxlen=MOST_LINKS))  # taken in, or given to write

    def show(self, request: LabRequest, notices: list[str] | None = None) -> None:
        """Keep the request; the component writes it into the address."""
        self.request, self.notices = request, notices or []
        self.links.append(request.query())


def page() -> None:
    session: Session = st.session_state.get("lab_session") or Session()
    try:
        store = open_store(default_url())
        read_address(session, store)
        run = shown_run(session, store)
        jobs.warm_up()
    except FAULTS as problem:
        say(fault(problem))
        return
    st.session_state["lab_session"] = session
    fill_window()
    session.sent = Sent()  # the browser may have lost what it had: send every point again
    mount = component("lab", js="lab.js", css="lab.css", html="")
    active = run is not None and run.active
    st.fragment(live, run_every=REFRESH if active else IDLE)(session, store, mount, active)


def live(session: Session, store: Store, mount: Any, was_active: bool) -> None:
    """Do what the browser asks for, and send it what is new; say so where that can't be done."""
    try:
        try:
            answer(session, store)
        except FAULTS as problem:
            session.notices = [fault(problem)]
        send(session, store, mount, was_active)
    except FAULTS as problem:
        session.sent = Sent()  # without its component the browser loses all that it had
        say(fault(problem))


def send(session: Session, store: Store, mount: Any, was_active: bool) -> None:
    """Send what is new."""
    run = shown_run(session, store)
    if (run is not None and run.active) != was_active:
        st.rerun()  # to look more or less often
    if run is None or session.sent.run != run.id:
        session.sent = Sent(run.id if run else None)
    before, arrays = session.sent, {}
    if run is not None:
        news = store.news(run.id, before.mark)
        fresh = {"points": news.points, "tests": news.evaluations}
        arrays = {name: rows.astype("<f4").tobytes() for name, rows in fresh.items()}
        counts = (before.counts[0] + len(news.points), before.counts[1] + len(news.evaluations))
        session.sent = Sent(run.id, news.mark, counts)
    shown = board(session.request, session.notices, run, store.recent())
    extra = {"before": before.counts, "turn": session.turn, "address": session.request.query()}
    data = pack(shown | extra, **arrays)
    mount(key=KEY, data=data, height="stretch", on_asked_change=lambda: None)


def shown_run(session: Session, store: Store) -> Run | None:
    """Return the run the address names."""
    return store.get(session.request.run) if session.request.run is not None else None


def read_address(session: Session, store: Store) -> None:
    """Take over what the address asks for, unless it is one of this page's own.

    Only a first look that asks for nothing is shown the newest run under way: later on it would put another
    learner's run, settings and Stop in place of one's own.
    """
    query = urlencode([(name, value) for name in st.query_params for value in st.query_params.get_all(name)])
    if session.links and (not query or query in session.links):  # a change of page drops it
        return
    if not query:
        newest = next(iter(store.active()), None)
        session.show(session.request.of(newest) if newest else session.request)
        return
    session.links.append(query)
    request, notices = LabRequest.parse(query)
    run = store.get(request.run) if request.run is not None else None
    if run is not None and "o" not in st.query_params:
        request = request.of(run)
    elif run is None and request.run is not None:
        notices.append(f"There is no run {request.run[:60]!r} here.")
        request = replace(request, run=None)
    session.show(request, notices)


def answer(session: Session, store: Store) -> None:
    """Do what the component asks for."""
    state = st.session_state.get(KEY)
    message = Message.read(state.get("asked")) if isinstance(state, Mapping) else None
    if message is None or message.turn == session.turn:
        return
    session.turn = message.turn
    if message.press == "again":
        session.sent = Sent()
        return
    if message.press == "stop" and session.request.run is not None:
        jobs.stop(session.request.run, store)
        return
    shown = session.request.run
    request, notices = LabRequest.parse(message.query, session.request)
    chosen = store.get(request.run) if request.run not in (None, shown) else None
    request = request.of(chosen) if chosen else replace(request, run=shown)
    if message.press == "start":
        notices += obstacles(request.config.data, store)
        if not notices:
            request = replace(request, run=jobs.start(request.config, store))
    session.show(request, notices)


def obstacles(data: str, store: Store) -> list[str]:
    """Return a sentence for each thing that keeps a run on this data set from being started."""
    found = []
    if not available(data):
        found.append(f"{DATASETS[data].title} is not on this machine: get it with adamscope data {data}.")
    if len(store.active()) >= MOST_RUNS:
        found.append(f"{MOST_RUNS} runs wait or train already: stop one, or start yours when one has ended.")
    return found


page()
