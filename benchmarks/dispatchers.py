"""Dispatchers without a screen: they follow the queue's stream as the page does, in a process of their own.

Each keeps the list that its page would show, and the moment at which each change arrived. Started with
`spawn`, so that the reading of many streams shares no interpreter with whoever writes the alarms.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import multiprocessing
import time
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection
from typing import Any, Final, NamedTuple

from benchmarks.alarm_load import Write

SILENCE_S: Final = 7.0  # as static/js/stream.js
REOPEN_S: Final = 1.0
_LIMIT: Final = 1 << 24  # a snapshot of hundreds of alarms is one line


class Heard(NamedTuple):
    """What one dispatcher was told.

    Attributes:
        shown: Alarm id → `updated_us`, as the list stands.
        arrivals: Alarm id → [(`updated_us`, moment)], in order; both µs since 1970.
        doubled: Event ids that came twice on one connection.
        snapshots, connections: How often each began anew.
        live: Whether the stream says so and is not silent. dark_us: [(from, to)], when it did not.
    """

    shown: dict[str, int]
    arrivals: dict[str, list[tuple[int, int]]]
    doubled: int
    snapshots: int
    connections: int
    live: bool
    dark_us: list[tuple[int, int]]


class _Dispatcher:
    def __init__(self, host: str, port: int, cookie: str) -> None:
        self._host, self._port, self._cookie = host, port, cookie
        self._last_id = ""
        self._shown: dict[str, int] = {}
        self._arrivals: dict[str, list[tuple[int, int]]] = {}
        self._doubled = self._snapshots = self._connections = 0
        self._live, self._dark_since = False, _now_us()
        self._dark: list[tuple[int, int]] = []

    def heard(self) -> Heard:
        dark = [*self._dark, *([] if self._live else [(self._dark_since, _now_us())])]
        return Heard(
            dict(self._shown),
            self._arrivals,
            self._doubled,
            self._snapshots,
            self._connections,
            self._live,
            dark,
        )

    async def follow(self) -> None:
        while True:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, TimeoutError, ConnectionError):
                await self._connection()
            self._say_live(False)
            await asyncio.sleep(REOPEN_S)

    async def _connection(self) -> None:
        reader, writer = await asyncio.open_connection(self._host, self._port, limit=_LIMIT)
        try:
            request = (
                f"GET /stream?after={self._last_id} HTTP/1.1\r\nHost: {self._host}:{self._port}\r\n"
                f"Cookie: hearthwatch={self._cookie}\r\nAccept: text/event-stream\r\n\r\n"
            )
            writer.write(request.encode())
            self._connections += 1
            seen: set[str] = set()
            fields: dict[str, str] = {}
            while line := await asyncio.wait_for(reader.readline(), SILENCE_S):
                name, found, value = line.decode().rstrip("\r\n").partition(": ")
                if found and name in ("id", "event", "data"):
                    fields[name] = value
                elif not name and "event" in fields:
                    self._take(fields, seen)
                    fields = {}
        finally:
            writer.close()

    def _take(self, fields: dict[str, str], seen: set[str]) -> None:
        at_us, event, data = _now_us(), fields["event"], json.loads(fields["data"])
        if number := fields.get("id"):
            self._doubled += number in seen
            seen.add(number)
            self._last_id = number
        if event == "snapshot":
            self._snapshots += 1
            self._shown = {}
            self._put(data["alarms"], at_us)
            self._say_live(data["live"])
        elif event == "delta":
            for alarm_id in data["removed"]:
                self._shown.pop(alarm_id, None)
            self._put(data["upserts"], at_us)
        elif event == "live":
            self._say_live(data["live"])

    def _put(self, rows: list[dict[str, Any]], at_us: int) -> None:
        for row in rows:
            self._shown[row["alarm_id"]] = row["updated_us"]
            self._arrivals.setdefault(row["alarm_id"], []).append((row["updated_us"], at_us))

    def _say_live(self, live: bool) -> None:
        if self._live and not live:
            self._dark_since = _now_us()
        elif live and not self._live:
            self._dark.append((self._dark_since, _now_us()))
        self._live = live


class Missed(NamedTuple):
    """What dispatchers were not shown.

    Attributes:
        lost: Lists that are not what the database says after all came to rest, and alarms that are open and
            were never shown, for each dispatcher.
        over: Alarms that were closed before a dispatcher was told of them, for each. A list that lags more
            than an alarm lasts passes over it, and so does one that begins anew: nobody has to handle it.
    """

    lost: int
    over: int


def missed_of(
    writes: Sequence[Write],
    truth: Mapping[str, int],
    heard: Sequence[Heard],
    painted: Sequence[Mapping[str, int]],
    shown: Sequence[Sequence[str]],
) -> Missed:
    """What was written, and what is open at the end → what dispatchers missed, at streams and at pages."""
    told: list[Mapping[str, Any]] = [*(one.arrivals for one in heard), *painted]
    opened = [write.alarm_id for write in writes if write.what == "opened"]
    never = [key for known in told for key in opened if key not in known]
    wrong = sum(one.shown != truth for one in heard) + sum(set(rows) != truth.keys() for rows in shown)
    lost = sum(key in truth for key in never)
    return Missed(wrong + lost, len(never) - lost)


class Dispatchers:
    """A process of them; `heard()` asks what each was told so far."""

    def __init__(self, host: str, port: int, cookies: list[str]) -> None:
        context = multiprocessing.get_context("spawn")
        self._asking, answering = context.Pipe()
        self._process = context.Process(target=_run, args=(answering, host, port, cookies), daemon=True)
        self._process.start()

    def heard(self) -> list[Heard]:
        self._asking.send("heard")
        found: list[Heard] = self._asking.recv()
        return found

    def wait_until(self, condition: Callable[[list[Heard]], bool], limit_s: float) -> float | None:
        """Seconds until it holds; None if it does not within the limit."""
        began = time.monotonic()
        while time.monotonic() - began < limit_s:
            if condition(self.heard()):
                return time.monotonic() - began
            time.sleep(0.25)
        return None

    def close(self) -> None:
        self._process.terminate()
        self._process.join(5)


def _run(answering: Connection, host: str, port: int, cookies: list[str]) -> None:
    asyncio.run(_serve(answering, [_Dispatcher(host, port, cookie) for cookie in cookies]))


async def _serve(answering: Connection, dispatchers: list[_Dispatcher]) -> None:
    following = [asyncio.create_task(one.follow()) for one in dispatchers]
    loop, asked = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(answering.fileno(), asked.set)
    while not all(task.done() for task in following):
        await asked.wait()
        asked.clear()
        # The reader calls once more than there are questions: waiting for one would stop every stream.
        while answering.poll():
            answering.recv()
            answering.send([one.heard() for one in dispatchers])


def _now_us() -> int:
    return time.time_ns() // 1000
