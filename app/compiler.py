"""Kernels are compiled in a process of their own, and only loaded by the server.

Compiling holds the interpreter for a tenth of a second (a formula) to two seconds (a map's pair of rule and
surface), for every learner; and Numba never gives back the memory it takes, 4 to 5 MiB a formula. Loading
what another process has compiled takes 15 ms and a hundredth of the memory.
"""

import importlib.util
import logging
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from threading import Lock, Timer

MOST = 40  # kernels a process compiles, before a fresh one takes its place
PATIENCE = 60.0  # seconds a kernel may take
MOST_FAILURES = 3  # of processes in a row, after which the server compiles for itself


class Compiler:
    """Compiles modules of `optimizers.kernels`, one after the other; see `kernels.elsewhere`.

    What it can't compile, whoever loads it compiles himself, and says what is wrong.
    """

    def __init__(self) -> None:
        """Start nothing before the first kernel."""
        self._lock = Lock()
        self._process: subprocess.Popen[str] | None = None
        self._compiled = 0
        self._failures = 0
        self._closed = False

    def __call__(self, name: str, path: Path) -> None:
        """Compile a module, so that its result is on disk."""
        with self._lock:
            if self._closed:
                raise BrokenPipeError("The server is stopping.")
            if self._failures == MOST_FAILURES:
                return
            try:
                self._ask(f"{name}\t{path}\n")
            except OSError:
                if self._closed:
                    raise
                self._failures += 1
                logging.getLogger(__name__).exception("The process that compiles kernels stopped.")
                self._stop()
            if self._compiled >= MOST:
                self._stop()

    def _ask(self, line: str) -> None:
        process = self._process = self._process or _started()
        assert process.stdin is not None
        assert process.stdout is not None
        late = Timer(PATIENCE, process.kill)
        late.start()
        try:
            process.stdin.write(line)
            process.stdin.flush()
            if not process.stdout.readline():
                raise BrokenPipeError("It ended before it answered.")
        finally:
            late.cancel()
        self._compiled += 1
        self._failures = 0

    def close(self) -> None:
        """End at once, in the midst of a kernel as well: the server is stopping."""
        self._closed = True
        if process := self._process:
            process.kill()

    def _stop(self) -> None:
        process, self._process, self._compiled = self._process, None, 0
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            with suppress(OSError):  # what was not sent any more
                if pipe is not None:
                    pipe.close()


def _started() -> subprocess.Popen[str]:
    """Start the process. It ends with its input, so also with the server, however that ends."""
    return subprocess.Popen(
        [sys.executable, "-m", "app.compiler"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        start_new_session=True,  # Ctrl-C is for the server
    )


def main() -> None:
    """Compile the modules named on standard input: a line each, its name, a tab, its file."""
    import optimizers.kernels  # noqa: F401 - Numba, ahead of the first kernel

    for line in sys.stdin:
        name, path = line.rstrip("\n").split("\t")
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = sys.modules[name] = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
        except Exception:  # told by whoever loads it
            del sys.modules[name]
        print("done", flush=True)


if __name__ == "__main__":
    main()
