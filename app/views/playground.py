from dataclasses import dataclass, field
from urllib.parse import urlencode

import streamlit as st

from app.player import Message, sent, show_playground
from app.request import RaceRequest

KEY = "player"

st.html(
    """<style>
    [data-testid="stMainBlockContainer"] { padding: 3.75rem 0 0; max-width: none }
    @media (min-width: 1001px) { [data-testid="stMain"] { overflow: hidden } }
    </style>"""
)


@dataclass
class Session:
    """What this learner's page remembers between two runs."""

    request: RaceRequest = field(default_factory=RaceRequest)
    notices: list[str] = field(default_factory=list)  # they stand until the question changes
    told: int = 0  # how often there were new ones: one that was dismissed stays away, until it is said anew
    turn: int = 0  # of the last message that was answered
    link: str = ""  # the address this page was last opened with

    def tell(self, notices: list[str]) -> None:
        self.notices = notices
        self.told += bool(notices)


def question(request: RaceRequest) -> str:
    """Return what is asked, however it is looked at."""
    return RaceRequest(request.surface, request.racers, request.start, request.steps).query()


@st.fragment
def instrument() -> None:
    session = st.session_state.setdefault("playground", Session())
    message = Message.read(sent(KEY))
    link = urlencode({name: st.query_params.get_all(name) for name in st.query_params}, doseq=True)
    asked = message is not None and message.turn != session.turn
    moved = not asked and link not in ("", session.link)
    session.link = link
    if message and asked:
        session.turn = message.turn
        wanted, notices = RaceRequest.parse(message.query, session.request)
        if notices or question(wanted) != question(session.request):
            session.tell(notices)
        if not notices:  # a slip of the hand costs nothing: the race stays as it was
            session.request = wanted
    elif moved:
        session.request, notices = RaceRequest.parse(link)  # it opens the same page for everyone
        session.tell(notices)
    show_playground(
        session.request,
        KEY,
        turn=session.turn,
        known=message.grids if message else frozenset(),
        moving=asked and not message.settled if message else False,
        notices=session.notices,
        told=session.told,
        moved=moved,
        # The player writes it into the address bar, once no hand is moving anything.
        address=session.request.query() if message is None or message.settled else "",
    )


instrument()
