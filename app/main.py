"""The app's front door: navigation, and nothing else."""

from contextlib import suppress
from pathlib import Path

import streamlit as st

from app.warm import is_warm, warm

HERE = Path(__file__).parent
TRAINING = ("lab", "sweeps")  # pages that want workers


def main() -> None:
    """Run the page the address names."""
    st.set_page_config(page_title="Adamscope", page_icon=str(HERE / "icon.svg"), layout="wide")
    st.logo(str(HERE / "wordmark.svg"), size="large")
    pages = [
        st.Page(HERE / "views" / "playground.py", title="Playground", default=True),
        st.Page(HERE / "views" / "lab.py", title="Lab", url_path="lab"),
        st.Page(HERE / "views" / "sweeps.py", title="Sweeps", url_path="sweeps"),
        st.Page(HERE / "views" / "lessons.py", title="Lessons", url_path="lessons"),
    ]
    page = st.navigation(pages, position="top")
    if page.url_path in TRAINING:
        from optimizers.training import cluster

        with suppress(OSError):  # the page tries again, and says why not
            cluster.warm_up()  # before all else of the page: it takes longest
    if not is_warm():
        with st.spinner("Getting the engine ready: the first time it is compiled for this machine."):
            warm()
    page.run()


# A worker process that is spawned from a page imports this file anew; it must find nothing to run.
if __name__ == "__main__":
    main()
