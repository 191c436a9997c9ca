from collections import deque
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode
from uuid import uuid4

import streamlit as st

from app.components import page_query
from app.exports import advance
from app.player import Message, sent, show_playground
from app.request import RaceRequest
from app.work import Desk, answer

KEY = "player"
MOST_LINKS = 1_000  # that a page remembers

st.html(
    """<style>
    [data-testid="stMainBlockContainer"] { padding: 3.75rem 0 0; max-width: none }
    @media (min-width: 1001px) { [data-testid="stMain"] { overflow: hidden } }
    /* It fades what is being computed, and so the whole page at every race of a drag. */
    .st-key-player { opacity: 1 !important; transition: none !important }
    </style>"""
)


@dataclass
class Session:
    """What this learner's page remembers between two runs."""

    key: str = field(default_factory=lambda: uuid4().hex)
    request: RaceRequest = field(default_factory=RaceRequest)
    notices: list[str] = field(default_factory=list)  # they stand until the question changes
    told: int = 0  # how often there were new ones: one that was dismissed stays away, until it is said anew
    turn: int = 0  # of the last message that was answered
    link: str = ""  # the address as it was then
    written: deque[str] = field(
        default_factory=lambda: deque([""], MOST_LINKS)
    )  # given to the player to write there

    desk: Desk = field(default_factory=Desk)  # maps and clouds beside the race

    def tell(self, notices: list[str]) -> None:
        self.notices = notices
        self.told += bool(notices)


@st.fragment
def instrument() -> None:
    session = st.session_state.setdefault("playground", Session())
    message = Message.read(sent(KEY))
    link = page_query()
    asked = message is not None and message.turn != session.turn
    # A message may come with an address of the player's own that was written after the last one was given.
    own = link in session.written if asked else link == session.written[-1]
    moved = link not in ("", session.link) and not own
    session.link = link
    if message:
        session.turn = message.turn
    opened = bool(message and asked and message.opened)
    if moved or opened:
        query = link if moved or not message else message.query
        session.request, notices = RaceRequest.parse(query)  # it opens the same page for everyone
        session.tell(notices)
    elif message and asked:
        wanted, notices = RaceRequest.parse(message.query, session.request)
        if notices or wanted.asked != session.request.asked:
            session.tell(notices)
        if not notices:  # a slip of the hand costs nothing: the race stays as it was
            session.request = wanted
    moving = asked and not moved and message is not None and not message.settled
    address = "" if moving else session.request.query()
    if address:
        session.written.append(urlencode(parse_qsl(address)))
    work, arrays = answer(session.request, message, session.desk)
    file, content = advance(
        session.key,
        session.request,
        message.make if message and asked else None,
        bool(message and asked and message.stop),
        message.have.get("export", "") if message else "",
    )
    show_playground(
        session.request,
        KEY,
        turn=session.turn,
        known=message.grids if message else frozenset(),
        moving=moving,
        arrays=arrays | ({"export": content} if content else {}),
        work=work | ({"export": file} if file else {}),
        notices=session.notices,
        told=session.told,
        moved=moved or opened,
        address=address,  # the player writes it into the address bar, once no hand is moving anything
    )


instrument()
