"""The lab: train a small network with several optimizers side by side, and watch."""

from typing import Any
from urllib.parse import urlencode

import streamlit as st
from sqlalchemy.exc import SQLAlchemyError

from app.components import component, fill_window, pack
from app.lab.board import board
from app.lab.request import LabRequest
from optimizers.training import jobs
from optimizers.training.data import DATASETS, available
from optimizers.training.store import Run, Store, default_url, open_store

KEY = "lab"
REFRESH = 0.5  # seconds between two looks at a run under way
IDLE = 2.0  # seconds between two looks where nothing is


def page() -> None:
    try:
        store = open_store(default_url())
        read_address(store)
        run = shown_run(store)
    except (OSError, SQLAlchemyError) as problem:
        st.error(f"The runs can't be read from {default_url()}: {getattr(problem, 'orig', None) or problem}.")
        return
    jobs.warm_up()
    fill_window()
    st.session_state.lab_sent = None  # whatever the browser had, this run of the page sends every point
    mount = component("lab", js="lab.js", css="lab.css", html="")
    active = run is not None and run.active
    st.fragment(live, run_every=REFRESH if active else IDLE)(store, mount, active)


def live(store: Store, mount: Any, was_active: bool) -> None:
    """Send the browser what is new."""
    run = shown_run(store)
    if (run is not None and run.active) != was_active:
        st.rerun()  # to look more or less often
    sent = st.session_state.lab_sent
    if run is None or sent is None or sent[0] != run.id:
        sent = (run.id if run else None, (0, 0), 0, 0)
    _, mark, points, tests = sent
    arrays = {}
    if run is not None:
        news = store.news(run.id, mark)
        arrays = {
            name: rows.astype("<f4").tobytes()
            for name, rows in (("points", news.points), ("tests", news.evaluations))
        }
        st.session_state.lab_sent = (
            run.id,
            news.mark,
            points + len(news.points),
            tests + len(news.evaluations),
        )
    shown = board(st.session_state.lab_request, st.session_state.lab_notices, run, store.recent())
    mount(
        key=KEY,
        data=pack(
            {**shown, "before": [points, tests], "turn": st.session_state.get("lab_turn", 0)}, **arrays
        ),
        on_ask_change=ask,
        on_start_change=start,
        on_stop_change=stop,
        on_again_change=again,
        height="stretch",
    )


def shown_run(store: Store) -> Run | None:
    """Return the run the address names, or the newest that is under way."""
    request: LabRequest = st.session_state.lab_request
    if request.run is not None:
        return store.get(request.run)
    run = next((run for run in store.recent() if run.active), None)
    if run is not None:
        show(request.of(run))
    return run


def read_address(store: Store) -> None:
    """Take over what the address asks for, unless this page wrote it there itself."""
    query = urlencode([(name, value) for name in st.query_params for value in st.query_params.get_all(name)])
    known: LabRequest | None = st.session_state.get("lab_request")
    if known is not None and query in ("", known.query()):
        st.query_params.from_dict(known.parts)  # a change of page has dropped them
        return
    request, notices = LabRequest.parse(query)
    run = store.get(request.run) if request.run is not None else None
    if run is not None and "o" not in st.query_params:
        request = request.of(run)
    elif run is None and request.run is not None:
        notices.append(f"There is no run {request.run[:60]!r} here.")
        request = LabRequest(request.config, request.scale)
    show(request, notices)


def show(request: LabRequest, notices: list[str] | None = None) -> None:
    """Keep the request, and write it into the address."""
    st.session_state.lab_request = request
    st.session_state.lab_notices = notices or []
    st.query_params.from_dict(request.parts)


# What the component sends. It comes from the browser, so any of it may be nonsense.


def ask() -> None:
    """Settings were changed, or another run was chosen."""
    message = st.session_state[KEY].get("ask")
    if isinstance(message, dict) and isinstance(message.get("query"), str):
        st.session_state.lab_turn = message.get("turn") if isinstance(message.get("turn"), int) else 0
        known: LabRequest = st.session_state.lab_request
        request, notices = LabRequest.parse(message["query"], known)
        run = open_store(default_url()).get(request.run) if request.run != known.run and request.run else None
        show(request.of(run) if run else request, notices)


def start() -> None:
    """Start was pressed."""
    ask_again = st.session_state[KEY].get("start")
    if not isinstance(ask_again, str):
        return
    request, notices = LabRequest.parse(ask_again, st.session_state.lab_request)
    data = request.config.data
    if not available(data):
        notices.append(f"{DATASETS[data].title} is not on this machine: get it with `adamscope data {data}`.")
    if not notices:
        request = LabRequest(request.config, request.scale, jobs.start(request.config))
    show(request, notices)


def stop() -> None:
    """Stop was pressed."""
    run_id = st.session_state.lab_request.run
    if run_id is not None:
        jobs.stop(run_id)


def again() -> None:
    """The component has lost points, and wants all of them once more."""
    st.session_state.lab_sent = None


page()
