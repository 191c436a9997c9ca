from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlencode

import streamlit as st

from app.player import Message, sent, show_playground
from app.request import RaceRequest

KEY = "player"

st.html(
    """<style>
    [data-testid="stMainBlockContainer"] { padding: 3.75rem 0 0; max-width: none }
    [data-testid="stMain"] { overflow: hidden }
    </style>"""
)


@dataclass
class Session:
    """What this learner's page remembers between two runs."""

    request: RaceRequest = field(default_factory=RaceRequest)
    notices: list[str] = field(default_factory=list)
    turn: int = 0  # of the last message that was answered
    address: dict[str, list[str]] = field(default_factory=dict)  # as it was last written


@st.fragment
def instrument() -> None:
    session = st.session_state.setdefault("playground", Session())
    message = Message.read(sent(KEY))
    address = {name: st.query_params.get_all(name) for name in st.query_params}
    moved = False
    if message and message.turn != session.turn:
        session.turn = message.turn
        session.request, session.notices = RaceRequest.parse(message.query, session.request)
    elif address and address != session.address:  # a link, or the browser's back button
        moved = True
        session.request, session.notices = RaceRequest.parse(urlencode(address, doseq=True), session.request)

    if moved or not message or message.settled:
        session.address = parse_qs(session.request.query())
        if address != session.address:
            st.query_params.from_dict(session.address)
    known = message.grids if message else frozenset()
    show_playground(session.request, KEY, session.turn, known, notices=session.notices, moved=moved)


instrument()
