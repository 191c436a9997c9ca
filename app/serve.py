"""Start the app's server in this process."""

import os
import socket
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Any

from app.compiler import Compiler

MAIN = Path(__file__).with_name("main.py")


def serve(host: str, port: int | None, browser: bool, scheduler: str | None = None) -> None:
    """Serve the app until it is interrupted.

    Args:
        host: address to listen on; 127.0.0.1 is this machine alone.
        port: TCP port; None takes 8501 or the next free one.
        browser: whether to open the app in the browser.
        scheduler: address of a Dask scheduler whose workers train; None trains on this machine.

    Raises:
        ValueError: the port is taken, or the host is none of this machine's addresses.
        RuntimeError: no scheduler answers.
    """
    port = _free_port(host, port)
    if scheduler:
        from optimizers.training import cluster

        cluster.reach(scheduler)
        os.environ[cluster.SCHEDULER] = scheduler  # for the process that hands out what pages order
    compiler = Compiler()
    Thread(target=_prepare, args=(compiler,), daemon=True).start()  # beside Streamlit's own start-up

    from streamlit import config
    from streamlit.web import bootstrap

    config._main_script_path = str(MAIN)  # where Streamlit looks for .streamlit/config.toml
    name = "localhost" if host in ("127.0.0.1", "0.0.0.0", "localhost") else host
    options: dict[str, Any] = {
        "server_address": host,
        "server_port": port,
        "server_headless": not browser,
        "browser_serverAddress": name,
    }
    if host not in ("127.0.0.1", "localhost", "::1"):  # asked to be open: by whatever name others reach it
        options["server_allowedHosts"] = ["*"]
    bootstrap.load_config_options(options)
    shown = f"[{name}]" if ":" in name else name
    print(f"Adamscope is at http://{shown}:{port} (Ctrl-C stops it).", flush=True)
    try:
        bootstrap.run(str(MAIN), False, [], options)
    finally:
        from app import background

        compiler.close()
        background.close()


def _prepare(compiler: Compiler) -> None:
    """Load the engine, whose kernels are compiled in another process from here on."""
    from app.warm import warm_all
    from optimizers import kernels

    kernels.elsewhere = compiler
    with suppress(
        BrokenPipeError
    ):  # the server is stopped before all is compiled: no page waits for it any more
        warm_all()


def _free_port(host: str, port: int | None) -> int:
    if port is not None and not 1 <= port <= 65_535:
        raise ValueError(f"--port is {port}, but takes a whole number from 1 to 65535.")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for candidate in [port] if port is not None else range(8501, 8601):
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, candidate))
            except socket.gaierror:
                raise ValueError(f"{host!r} is no address of this machine; try --host 127.0.0.1.") from None
            except OSError as problem:
                if port is not None:
                    why = problem.strerror or problem
                    raise ValueError(
                        f"Port {port} on {host} can't be used ({why}); try another --port."
                    ) from None
            else:
                return candidate
    raise ValueError("Ports 8501 to 8600 are all taken; name a free one with --port.")
