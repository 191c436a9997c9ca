"""The lab: train a small network with several optimizers side by side, and watch."""

import secrets
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import streamlit as st

from app import exports
from app.components import component, fill_window, pack, page_query
from app.faults import FAULTS, fault, say
from app.lab import landscapes
from app.lab.board import board, listing
from app.lab.files import RunFile
from app.lab.request import ACTS, LabRequest, Message
from app.lab.within import Seen
from optimizers.training import cluster, jobs, landscape_jobs
from optimizers.training.data import available, entry
from optimizers.training.store import MOST_LISTED, Run, Store, default_url, open_store

KEY = "lab"
REFRESH = 0.5  # seconds between two looks at a run under way
IDLE = 2.0  # seconds between two looks where nothing is
MOST_LINKS = 1_000  # that a page remembers
MOST_RUNS = 8  # that wait or train, of all learners together
MOST_NAME = 80  # characters


@dataclass
class Sent:
    """What of a run this browser has."""

    run: str
    attempt: int  # a run that is resumed measures some of its points anew
    mark: tuple[int, int] = (0, 0)  # of the store
    counts: tuple[int, int] = (0, 0)  # rows: points, evaluations


@dataclass
class Session:
    """What this learner's page remembers between two runs."""

    request: LabRequest = field(default_factory=LabRequest)
    notices: list[str] = field(default_factory=list)
    turn: int = 0  # of the last message that was answered
    sent: dict[str, Sent] = field(default_factory=dict)  # by run
    seen: Seen = field(default_factory=Seen)  # of the inside of the run that is shown
    listing: bool = False  # the list of all runs is open
    export: RunFile | None = None  # the file that is being made
    key: str = field(default_factory=lambda: secrets.token_hex(8))
    landscape: str = ""  # which the browser has
    links: deque[str] = field(default_factory=lambda: deque(maxlen=MOST_LINKS))  # taken in, or given to write

    def forget(self) -> None:
        """Take it that this browser has nothing of any run."""
        self.sent, self.seen, self.landscape = {}, Seen(), ""

    def show(self, request: LabRequest, notices: list[str] | None = None) -> None:
        """Keep the request; the component writes it into the address."""
        self.request, self.notices = request, notices or []
        self.links.append(request.query())


def page() -> None:
    session: Session = st.session_state.get("lab_session") or Session()
    try:
        cluster.warm_up()  # first: it takes longest
        store = open_store(default_url())
        read_address(session, store)
        run = shown_run(session, store)
    except FAULTS as problem:
        say(fault(problem))
        return
    st.session_state["lab_session"] = session
    fill_window()
    session.forget()  # the browser may have lost what it had: send all again
    mount = component("lab", js="component.js", css="lab.css", html="")
    active = busy(session, run)
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
        session.forget()  # without its component the browser loses all that it had
        say(fault(problem))


def busy(session: Session, run: Run | None) -> bool:
    """Whether to look often: a run is under way, or a file is being made."""
    return (run is not None and run.active) or session.export is not None


def send(session: Session, store: Store, mount: Any, was_active: bool) -> None:
    """Send what is new."""
    run = shown_run(session, store)
    if busy(session, run) != was_active:
        st.rerun()  # to look more or less often
    if run is not None:
        fitting, problems = session.request.fitting(run)
        if problems:
            session.show(fitting, [*session.notices, *problems])
    chosen = [run_id for run_id in session.request.compare if run and run_id != run.id]
    beside = [found for found in map(store.get, chosen) if found]
    arrays: dict[str, bytes] = {}
    before = {shown.id: news_of(session, store, shown, arrays) for shown in [run, *beside] if shown}
    session.sent = {run_id: sent for run_id, sent in session.sent.items() if run_id in before}
    data = board(session.request, session.notices, run, store.recent(), beside)
    data |= {"turn": session.turn, "address": session.request.query()}
    data["before"] = before[run.id] if run else (0, 0)
    data["within"], within = session.seen.news(store, run, session.request.view, session.request.seed_place)
    arrays |= within
    for one in data["beside"]:
        one["before"] = before[one["id"]]
    if run is not None and session.request.view == "landscape":
        data["landscape"], ground, session.landscape = landscapes.news(
            session.request, run, session.landscape
        )
        arrays |= ground
    if session.listing:
        listed = store.recent(MOST_LISTED)
        data["runs"] = listing(listed, store.best(one.id for one in listed))
    if session.export is not None:
        data["file"], content = exports.advance(f"lab-{session.key}", session.export)
        if content is not None:
            arrays["file"] = content
    mount(key=KEY, data=pack(data, **arrays), height="stretch", on_asked_change=lambda: None)


def news_of(session: Session, store: Store, run: Run, arrays: dict[str, bytes]) -> tuple[int, int]:
    """Add what is new of a run; return how many rows of it the browser has before that."""
    sent = session.sent.get(run.id)
    if sent is None or sent.attempt != run.attempt:
        sent = Sent(run.id, run.attempt)
    news = store.news(run.id, sent.mark)
    first = run.id == session.request.run
    for name, rows in {"points": news.points, "tests": news.evaluations}.items():
        arrays[name if first else f"{name} {run.id}"] = rows.astype("<f4").tobytes()
    counts = (sent.counts[0] + len(news.points), sent.counts[1] + len(news.evaluations))
    session.sent[run.id] = Sent(run.id, run.attempt, news.mark, counts)
    return sent.counts


def shown_run(session: Session, store: Store) -> Run | None:
    """Return the run the address names."""
    return store.get(session.request.run) if session.request.run is not None else None


def read_address(session: Session, store: Store) -> None:
    """Take over what the address asks for, unless it is one of this page's own.

    Only a first look that asks for nothing is shown the newest run under way: later on it would put another
    learner's run, settings and Stop in place of one's own.
    """
    query = page_query()
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
    session.notices = []
    if message.press == "again":
        session.forget()
        return
    if message.press in ACTS:
        act(session, store, message)
        return
    if message.press == "halt" and session.request.run is not None:
        landscape_jobs.stop(session.request.run)
        return
    shown = session.request.run
    if message.press in ("stop", "pause") and shown is not None:
        (jobs.stop if message.press == "stop" else jobs.pause)(shown, store)
        return
    if message.press == "resume" and shown is not None:
        session.notices = too_many(store)
        if not session.notices and not jobs.resume(shown, store):
            session.notices = ["This run is under way already, or it is gone."]
        return
    request, notices = LabRequest.parse(message.query, session.request)
    chosen = store.get(request.run) if request.run not in (None, shown) else None
    request = request.of(chosen) if chosen else replace(request, run=shown)
    if message.press == "start":
        notices += obstacles(request.config.data, store)
        if not notices:
            request = replace(request, run=jobs.start(landscapes.keeping(request.config), store))
    if message.press == "measure" and (measured := store.get(request.run or "")) is not None:
        landscape_jobs.start(measured.id, landscapes.order(request, measured))
    session.show(request, notices)


def act(session: Session, store: Store, message: Message) -> None:
    """Do what the list of runs asks for."""
    run = message.run or session.request.run
    match message.press:
        case "list" | "unlist":
            session.listing = message.press == "list"
        case "name" if run:
            store.change(run, name=" ".join(message.text.split())[:MOST_NAME])
        case "notes" if run:
            store.change(run, notes=message.text.strip())
        case "delete" if run:
            if not jobs.delete(run, store):
                session.notices = ["A run that waits or trains can't be deleted: stop it first."]
                return
            request = session.request
            left = replace(request, compare=tuple(one for one in request.compare if one != run))
            session.show(replace(left, run=None) if run == request.run else left)
        case "export" if run and message.text in RunFile.kinds:
            session.export = RunFile(run)
            exports.advance(f"lab-{session.key}", session.export, make={"format": message.text})
        case "saved":  # and "export" with nonsense ends what is under way
            exports.advance(f"lab-{session.key}", None, stop=True)
            session.export = None


def obstacles(data: str, store: Store) -> list[str]:
    """Return a sentence for each thing that keeps a run on this data set from being started."""
    found = []
    if not available(data):
        get = f": get it with {entry(data).command}" if entry(data).command else ""
        found.append(f"{entry(data).title} is not on this machine{get}.")
    return found + too_many(store)


def too_many(store: Store) -> list[str]:
    """Return a sentence where as many runs wait or train as may."""
    if len(store.active()) < MOST_RUNS:
        return []
    return [f"{MOST_RUNS} runs wait or train already: stop one, or start yours when one has ended."]


page()
