"""What a visitor reads where the store or the worker process fails."""

import html
import logging

import streamlit as st
from sqlalchemy import make_url
from sqlalchemy.exc import SQLAlchemyError

from optimizers.training.store import default_url

FAULTS = (OSError, SQLAlchemyError, ImportError)  # of the store, its driver, and the start of a process

log = logging.getLogger(__name__)


def say(text: str) -> None:
    """Show a sentence as it is: nothing in what a database answers is Markdown, a link or a picture."""
    st.html(f'<p role="alert">{html.escape(text)}</p>')


def fault(problem: Exception) -> str:
    """Return one sentence on what went wrong; visitors read it, so the store's password stays out of it."""
    log.warning("The lab's store or its worker process failed.", exc_info=problem)
    why = str(getattr(problem, "orig", None) or problem).strip().partition("\n")[0].rstrip(".")
    try:
        url = make_url(default_url())
    except (SQLAlchemyError, ValueError):
        return "The lab keeps its runs in the database in $ADAMSCOPE_STORE, whose URL can't be read."
    where = url.set(query={}).render_as_string(hide_password=True)  # a driver takes passwords there, too
    for secret in (url.password, *url.query.values()):
        why = why.replace(str(secret), "***") if secret else why
    return f"The lab keeps its runs in {where}, which can't be used: {why}."
