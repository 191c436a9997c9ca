"""A class on one server: learners who each change something every second, without their browsers.

    python -m tests.benchmarks.classroom [part …] [--seconds 30] [--json FILE]

Parts: `class` (40 learners), `maps` (20 who look at basin maps, made anew at each change) and `hammer` (20,
and then the same 20 beside one who sends hostile messages as fast as they are answered). A learner is a
websocket that speaks Streamlit's own messages as the browser does: it sends what the player would send and
waits for the packet that answers it. The time is from the moment a change is due to the arrival of its
answer, so that a server that falls behind cannot hide it.
"""

import argparse
import asyncio
import json
import multiprocessing
import random
import struct
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import psutil
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import ClientConnection, connect

from tests.benchmarks.machine import machine
from tests.benchmarks.playground import health, quantiles
from tests.e2e.conftest import start_server

LEARNERS = 40
FEWER = 20  # with maps, or beside a hammer
GOAL_MS = 100

# What is being looked at, and which learning rates a hand moves it through.
QUESTIONS = (
    ("surface=rosenbrock&o=momentum(lr={a:.4g})&o=rmsprop(lr={b:.4g})&o=adam(lr={b:.4g})"
     "&o=adam(lr={b:.4g},bias_correction=False)&start={x:.3f},{y:.3f}&steps=400"),
    "surface=himmelblau&o=adam(lr={b:.4g})&o=gd(lr={a:.4g})&start={x:.3f},{y:.3f}&steps=400",
    "surface=saddle&o=gd(lr={a:.4g})&o=nesterov(lr={a:.4g})&o=adam(lr={b:.4g})&start={x:.3f},{y:.3f}&steps=500",
    "surface=beale&o=adagrad(lr={b:.4g})&o=rmsprop(lr={b:.4g})&start={x:.3f},{y:.3f}&steps=500",
)  # fmt: skip

# What no player sends: a component's state, as JSON.
HOSTILE = (
    "null",
    "[1, 2, 3]",
    '{"asked": NaN}',
    '{"asked": {"query": 1e308, "turn": NaN}}',
    '{"asked": {"query": "surface=beale", "turn": -1, "grids": {"a": 1}}}',
    '{"asked": {"query": "surface=beale", "turn": 1' + "0" * 4000 + "}}",
    '{"asked": {"query": "steps=-7", "turn": 7, "grids": ' + "[" * 500 + "]" * 500 + "}}",
    *(
        json.dumps({"asked": {"turn": 10**8, "settled": True, "grids": [], **given}})
        for given in (
            {"query": "x" * 1_000_000},
            {"query": "steps=-7", "grids": list(range(1_000_000))},
            {"query": "steps=-7", "have": {"basin": "x" * 1_000_000}, "make": {"format": [1e308]}},
            {"query": 'surface=formula("' + "(" * 90 + "x" * 90 + '")'},
            {"query": 'surface=formula("9**9**9**9")&o=adam(lr=1e999)&steps=-1&start=nan,1e308'},
            {"query": "o=__import__('os').system('true')"},
            {"query": "&".join("o=adam" for _ in range(1000))},
            {"query": "\ud800=\0&\u2028=%ff%00"},
        )
    ),
)
# What no browser's component can send, since it writes JSON: here Streamlit itself gives up that one session.
UNREADABLE = (
    "{not json",
    '{"asked": {"query": "surface=beale", "turn": ' + "9" * 5000 + "}}",
    '{"asked": ' + "[" * 100_000 + "]" * 100_000 + "}",
)


class Learner:
    """One session at the server. Open it with `Learner.join`."""

    def __init__(self, line: ClientConnection) -> None:
        self._line = line
        self._state = BackMsg()
        self._turn = 0
        self._grids: list[str] = []
        self._have: dict[str, str] = {}
        self.meta: dict[str, Any] = {}  # of the last packet
        self.bytes = 0
        self.maps = 0  # how many different basin maps have come
        self.faults: list[str] = []  # what Streamlit says instead of a page

    @property
    def pending(self) -> bool:
        """Whether something is still being worked out, so that the player would ask again."""
        return any(head.get("pending") for head in self.meta.get("work", {}).values())

    @classmethod
    @asynccontextmanager
    async def join(cls, address: str, link: str = "") -> AsyncIterator[Self]:
        """Open the page at `link` and wait for its first race."""
        where = address.replace("http", "ws", 1) + "/_stcore/stream"
        async with connect(where, subprotocols=["streamlit"], max_size=None) as line:  # type: ignore[list-item]
            learner = cls(line)
            learner._state.rerun_script.query_string = link
            learner._state.rerun_script.context_info.url = address
            await learner.send()
            await learner.hear()
            yield learner

    async def ask(self, query: str, settled: bool = True) -> float:
        """Ask as the player does, and wait for the answer; return when it came, by time.perf_counter."""
        self._turn += 1
        message = {"query": query, "settled": settled, "grids": self._grids[-4:], "turn": self._turn}
        message["have"] = self._have
        await self.send(json.dumps({"asked": message}))
        arrived = await self.hear(lambda: self.meta.get("turn") == self._turn)
        await self.hear()  # the run that answered ends
        return arrived

    async def send(self, value: str | None = None) -> None:
        """Send the component's state, whatever it is; None opens the page."""
        if value is not None:
            self._state.rerun_script.widget_states.widgets[0].json_value = value
        await self._line.send(self._state.SerializeToString())

    async def hear(self, enough: Any = None, patience: float = 60) -> float:
        """Take in what arrives until `enough()`, or the end of a run; return when that arrived."""
        async with asyncio.timeout(patience):
            while True:
                frame = await self._line.recv()
                now = time.perf_counter()
                self.bytes += len(frame)
                said = ForwardMsg.FromString(frame)  # type: ignore[arg-type]
                self._take(said)
                ended = said.WhichOneof("type") == "script_finished"
                if enough() if enough else ended:
                    return now

    def _take(self, said: ForwardMsg) -> None:
        state = self._state.rerun_script
        if said.WhichOneof("type") == "navigation":
            state.page_script_hash = said.navigation.page_script_hash
        if said.delta.fragment_id:
            state.fragment_id = said.delta.fragment_id
        if said.delta.new_element.HasField("exception"):
            self.faults.append(str(said.delta.new_element.exception))
        packet = said.delta.new_element.bidi_component
        if not packet.component_name:
            return
        if not state.widget_states.widgets:
            state.widget_states.widgets.add()
        state.widget_states.widgets[0].id = packet.id
        (length,) = struct.unpack_from("<I", packet.bytes)
        self.meta = json.loads(packet.bytes[4 : 4 + length])["meta"]
        self._turn = max(self._turn, self.meta["turn"])
        grid = self.meta.get("grid")
        if grid and not grid.get("coarse"):
            self._grids.append(grid["id"])
        for kind, head in self.meta.get("work", {}).items():
            if "id" in head and self._have.get(kind) != head["id"]:
                self._have[kind] = head["id"]
                self.maps += kind == "basin"
        if self.meta["address"]:  # as address.js writes it into the address bar
            state.query_string = self.meta["address"]


async def study(
    address: str, seed: int, seconds: float, learners: int, look: str, times: list[float]
) -> Learner:
    """Change something every second; add a time in ms for each change."""
    random_ = random.Random(seed)
    question = QUESTIONS[seed % len(QUESTIONS)] + look

    def wish() -> str:
        a, b = 10 ** random_.uniform(-4, -3), 10 ** random_.uniform(-2, -0.5)
        return question.format(a=a, b=b, x=random_.uniform(-2, 2), y=random_.uniform(-2, 2))

    async with Learner.join(address) as learner:
        await learner.ask(wish())  # its surface has come
        learner.bytes = 0
        start = time.perf_counter() + 1 + seed / learners  # spread over the second, as a class is
        for tick in range(int(seconds)):
            due = start + tick
            await asyncio.sleep(max(0, due - time.perf_counter()))
            query, settled = wish(), tick % 3 == 2  # of three changes two are made by a hand that still moves
            times.append(1000 * (await learner.ask(query, settled) - due))
            assert not learner.meta["notices"], learner.meta["notices"]
            while learner.pending and time.perf_counter() < due + 0.8:
                await asyncio.sleep(0.06)  # as player.js does
                await learner.ask(query, settled)
        return learner


def hammer(address: str, stop: Any, sent: Any) -> None:
    """Send hostile messages, each once the one before is answered, and count them: a process of its own."""

    async def strike() -> None:
        async with Learner.join(address) as learner:
            while not stop.is_set():
                await learner.send(HOSTILE[sent.value % len(HOSTILE)])
                await learner.hear()
                sent.value += 1

    asyncio.run(strike())


async def lesson(
    address: str, pid: int, learners: int, seconds: float, look: str, hostile: bool
) -> dict[str, Any]:
    """Let a class work; return its figures and what the server needed."""
    server, own = psutil.Process(pid), psutil.Process()
    processes = multiprocessing.get_context("spawn")
    stop, sent = processes.Event(), processes.Value("q", 0)
    villain = processes.Process(target=hammer, args=(address, stop, sent))
    if hostile:
        villain.start()
        while not sent.value:  # it has come
            await asyncio.sleep(0.1)
    times: list[float] = []
    used, own_used, began = _cpu(server), _cpu(own), time.perf_counter()
    done = await asyncio.gather(
        *(study(address, seed, seconds, learners, look, times) for seed in range(learners))
    )
    elapsed = time.perf_counter() - began
    stop.set()
    if hostile:
        villain.join()
    return {
        "learners": learners,
        "seconds": seconds,
        **quantiles(times),
        "slowest_ms": max(times),
        "kb_a_change": sum(learner.bytes for learner in done) / len(times) / 1000,
        "maps_a_second": sum(learner.maps for learner in done) / elapsed,
        "server_rss_mib": server.memory_info().rss / 2**20,
        "server_cores": (_cpu(server) - used) / elapsed,
        "clients_cores": (_cpu(own) - own_used) / elapsed,
        "hostile_messages": sent.value,
    }


def _cpu(process: psutil.Process) -> float:
    """Return the seconds of processor time `process` and its children have used."""
    return sum(sum(one.cpu_times()[:2]) for one in [process, *process.children(recursive=True)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", choices=["class", "maps", "hammer", []], metavar="part")
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    parts = args.parts or ["class", "maps", "hammer"]
    result: dict[str, Any] = {"machine": machine("streamlit", "numba", "websockets")}
    with tempfile.TemporaryDirectory() as folder:
        process, address = start_server(Path(folder), Path(folder) / "server.log")
        try:
            health(process, address)
            time.sleep(8)  # every rule and surface is compiled, as in a server that runs since the morning
            plan: list[tuple[str, int, str, bool]] = []
            if "class" in parts:
                plan.append(("class", LEARNERS, "", False))
            if "maps" in parts:
                plan.append(("with_maps", FEWER, "&show=basin", False))
            if "hammer" in parts:
                plan += [("beside_nobody", FEWER, "", False), ("beside_a_hammer", FEWER, "", True)]
            for name, learners, look, hostile in plan:
                found = asyncio.run(lesson(address, process.pid, learners, args.seconds, look, hostile))
                result[name] = found
                print(
                    f"{name.replace('_', ' '):16}{learners} learners  p50 {found['p50_ms']:.0f}  "
                    f"p95 {found['p95_ms']:.0f}  slowest {found['slowest_ms']:.0f} ms  "
                    f"goal p95 ≤ {GOAL_MS}   server {found['server_cores']:.2f} cores, "
                    f"{found['server_rss_mib']:.0f} MiB; clients {found['clients_cores']:.2f} cores; "
                    f"{found['maps_a_second']:.1f} maps a second; "
                    f"{found['hostile_messages']} hostile messages",
                    flush=True,
                )
        finally:
            process.terminate()
            process.wait(10)
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
