"""The browser side of the pages: where a component's files lie, and how numbers travel to it.

Streamlit finds component files by a manifest of an installed package, which it can't find for an editable
install; so the folders are registered here, when a page first asks for one.
"""

from pathlib import Path
from urllib.parse import urlencode

import streamlit as st
from streamlit.components.v2.get_bidi_component_manager import get_bidi_component_manager
from streamlit.components.v2.manifest_scanner import ComponentConfig, ComponentManifest
from streamlit.components.v2.types import ComponentRenderer

from optimizers.player import pack as pack  # what a component is fed with

_ROOT = Path(__file__).resolve().parents[1]  # holds app/ and optimizers/, wherever they are installed
_FOLDERS = {
    "player": "optimizers/player",
    "lab": "app/lab",
    "sweeps": "app/sweeps",
}  # served as …/adamscope.player/chart.js


def component(name: str, *, js: str, css: str, html: str) -> ComponentRenderer:
    """Return the function that mounts the component `name`, whose `js` and `css` files lie in its folder.

    A module imports from another folder by its served name: `import … from "../adamscope.player/chart.js"`.
    """
    manager = get_bidi_component_manager()
    if manager.get_component_asset_root(f"adamscope.{name}") is None:
        folders = [ComponentConfig(part, folder) for part, folder in _FOLDERS.items()]
        manager.register_from_manifest(ComponentManifest("adamscope", "0", folders), _ROOT)
    return st.components.v2.component(f"adamscope.{name}", html=html, js=js, css=css)


def fill_window() -> None:
    """Give the page's one component the whole window below the navigation."""
    st.html(
        """<style>
        [data-testid="stMainBlockContainer"] { padding: 3.75rem 0 0; max-width: none }
        [data-testid="stMain"] { overflow: hidden }
        </style>"""
    )


def page_query() -> str:
    """Return what the page's address asks for, as a query string."""
    return urlencode([(name, value) for name in st.query_params for value in st.query_params.get_all(name)])
