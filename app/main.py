"""The app's front door: navigation, and nothing else."""

from pathlib import Path

import streamlit as st

from app.warm import is_warm, warm

HERE = Path(__file__).parent


def main() -> None:
    """Run the page the address names."""
    st.set_page_config(page_title="Adamscope", page_icon=str(HERE / "icon.svg"), layout="wide")
    st.logo(str(HERE / "wordmark.svg"), size="large")
    if not is_warm():
        with st.spinner("Getting the engine ready: the first time it is compiled for this machine."):
            warm()
    pages = [
        st.Page(HERE / "views" / "playground.py", title="Playground", default=True),
        st.Page(HERE / "views" / "lab.py", title="Lab", url_path="lab"),
        st.Page(HERE / "views" / "sweeps.py", title="Sweeps", url_path="sweeps"),
        st.Page(HERE / "views" / "lessons.py", title="Lessons", url_path="lessons"),
    ]
    st.navigation(pages, position="top").run()


# A worker process that is spawned from a page imports this file anew; it must find nothing to run.
if __name__ == "__main__":
    main()
