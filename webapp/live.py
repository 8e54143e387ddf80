"""The live queue: one Firestore listener a process, fanned out to every browser as numbered messages.

A reader holds a cursor into one bounded ring of messages; one that fell behind the ring, or comes from
before a restart, gets a whole snapshot instead. So a slow browser costs nothing and misses nothing.

Silence of a listener looks like peace. Therefore two things are asked besides: every `probe_s` whether
Firestore answers at all, and every `compare_s` whether the list that it gives equals ours. A listener
that missed something is replaced, and until the new one has spoken the browsers are told "not live".
"""

from __future__ import annotations

import json
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, NamedTuple, Protocol

from schemas.alarms import Alarm, LaneProof, case_number
from schemas.homes import DirectoryEntry, OnTest
from webapp.errors import Unreachable
from webapp.watching import Change, Watch

log = logging.getLogger(__name__)
RING: Final = 2000
SECOND_US: Final = 1_000_000
FIRST_ANSWER_S: Final = 10  # a listener that has not spoken by then is replaced
STAMP_S: Final = 10
DIRECTORY_S: Final = 300  # addresses change rarely; missing ones are asked for at every probe


class Message(NamedTuple):
    """One server-sent event; `id` is empty for those that need no resuming."""

    event: str
    data: str
    id: str = ""

    def encode(self) -> str:
        """As it goes over the wire."""
        head = f"id: {self.id}\n" if self.id else ""
        return f"{head}event: {self.event}\ndata: {self.data}\n\n"


class Source(Protocol):
    """What the queue needs of the repository."""

    def open_alarms(self) -> list[Alarm]: ...

    def watch(self, on_change: Callable[[Change], None]) -> Watch: ...

    def directory(self, home_ids: Any) -> dict[str, DirectoryEntry]: ...

    def path_proofs(self) -> dict[str, LaneProof]: ...

    def homes_on_test(self, now_us: int) -> dict[str, OnTest]: ...


class LiveQueue:
    """All open alarms as browsers see them. `start()` once a process, after any fork."""

    def __init__(
        self,
        source: Source,
        clock: Callable[[], int],
        boot: str,
        probe_s: float = 2.0,
        compare_s: float = 10.0,
    ) -> None:
        self._source, self._clock, self._boot = source, clock, boot
        self._probe_s, self._compare_s = probe_s, compare_s
        self._changed = threading.Condition()
        self._wake = threading.Event()
        self._stopped = False
        self._thread: threading.Thread | None = None
        self._watch: Watch | None = None
        self._watched_since_us = self._compared_us = self._directory_us = 0
        self._listened = False  # the running listener has spoken
        self._truth: dict[str, Alarm] = {}
        self._alarms: dict[str, Alarm] = {}
        self._homes: dict[str, DirectoryEntry] = {}
        self._tests: dict[str, OnTest] = {}
        self._path: dict[str, Any] = {}
        self._live, self._since_us = False, clock()
        self._stamping: dict[str, int] = {}  # alarm → when its first showing was handed on to be stamped
        self._ring: deque[tuple[int, Message]] = deque(maxlen=RING)
        self._version = 0

    # -- for browsers ------------------------------------------------------------------------

    def follow(self, last_id: str, beat_s: float = 2.0) -> Iterator[Message]:
        """Messages after `last_id`, then as they come, with a beat in between; ends when stopped.

        Beats are events, not comments: a page cannot see comments, and must notice silence itself.
        """
        cursor = self._cursor(last_id)
        while not self._stopped:
            with self._changed:
                if cursor == self._version:
                    self._changed.wait(beat_s)
                ready, cursor = self._after(cursor)
                ready = ready or [Message("beat", json.dumps({"server_us": self._clock()}))]
            yield from ready

    @property
    def live(self) -> bool:
        """Whether what browsers see is known to be true."""
        return self._live

    def open_alarms(self) -> list[Alarm]:
        """All open alarms: as the listener knows them, or asked anew while it is not to be trusted.

        Raises:
            Unreachable: Neither.
        """
        with self._changed:
            if self._live:
                return list(self._alarms.values())
        return self._source.open_alarms()

    def first_shown(self, alarm_ids: Iterable[str]) -> list[str]:
        """Of these, whichever nobody is known to have seen: each page tells of each new row; one will do.

        Each is given out once in `STAMP_S`; after that it is asked for again if it is still not stamped.
        """
        now_us = self._clock()
        with self._changed:
            fresh = now_us - STAMP_S * SECOND_US
            self._stamping = {key: at_us for key, at_us in self._stamping.items() if at_us > fresh}
            wanted = [
                key
                for key in dict.fromkeys(alarm_ids)
                if key not in self._stamping
                and ((known := self._alarms.get(key)) is None or known.presented_us is None)
            ]
            self._stamping |= dict.fromkeys(wanted, now_us)
        return wanted

    @property
    def homes_on_test(self) -> frozenset[str]:
        """As of the last probe."""
        return frozenset(self._tests)

    def _cursor(self, last_id: str) -> int | None:
        boot, _, version = last_id.rpartition("-")
        known = boot == self._boot and version.isdecimal()
        return int(version) if known else None

    def _after(self, cursor: int | None) -> tuple[list[Message], int]:
        oldest = self._ring[0][0] if self._ring else self._version + 1
        if cursor is None or cursor > self._version or cursor + 1 < oldest:
            return [self._snapshot()], self._version
        skipped = cursor + 1 - oldest  # versions in the ring are consecutive
        return [message for _, message in list(self._ring)[skipped:]], self._version

    def _snapshot(self) -> Message:
        alarms = [self._row(alarm) for alarm in self._alarms.values()]
        whole = {
            "alarms": alarms,
            "path": self._path,
            "live": self._live,
            "since_us": self._since_us,
            "server_us": self._clock(),
        }
        return Message("snapshot", json.dumps(whole), f"{self._boot}-{self._version}")

    def _row(self, alarm: Alarm) -> dict[str, Any]:
        home, test = self._homes.get(alarm.home_id), self._tests.get(alarm.home_id)
        return {
            **alarm.document(),
            "case": case_number(alarm.alarm_id, alarm.opened_us),
            "on_test_until_us": test.until_us if test else None,
            "address": home.address if home else None,
            "place": home.place if home else None,
        }

    # -- from Firestore ----------------------------------------------------------------------

    def start(self) -> None:
        """Begin to listen, on a thread of its own."""
        self._thread = threading.Thread(target=self._run, name="live-queue", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the streams and the listener."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        self._wake.set()
        if self._thread:
            self._thread.join(5)

    def _run(self) -> None:
        try:
            while not self._stopped:
                self.tick()
                self._wake.wait(self._probe_s)
                self._wake.clear()
        finally:  # also if this thread breaks: nobody may think that silence is peace
            self._say_live(False)
            self._drop_watch()

    def tick(self) -> None:
        """One probe: does Firestore answer, is the listener right, what has the path proven."""
        now_us = self._clock()
        try:
            path = {lane: proof.model_dump() for lane, proof in self._source.path_proofs().items()}
            if path != self._path:
                with self._changed:
                    self._path = path
                    self._publish("path", path)
            self._tend_watch(now_us)
            self._fill_directory(now_us)
            self._mark_tests(self._source.homes_on_test(now_us))
        except Unreachable as error:
            log.warning("queue not live: %s", error)
            self._drop_watch()
            self._say_live(False)

    def _tend_watch(self, now_us: int) -> None:
        silent = not self._listened and now_us - self._watched_since_us > FIRST_ANSWER_S * SECOND_US
        if self._watch is None or not self._watch.active or silent:
            self._replace_watch(now_us)
        elif now_us - self._compared_us >= self._compare_s * SECOND_US:
            self._compared_us = now_us
            missed = self._missed()
            if missed:
                log.warning("listener missed %d alarms, replaced", missed)
                self._replace_watch(now_us)

    def _missed(self) -> int:
        """How many alarms stand unchanged in Firestore since the last comparison and differ from ours."""
        before, self._truth = self._truth, {a.alarm_id: a for a in self._source.open_alarms()}
        with self._changed:
            settled = [a for key, a in self._truth.items() if before.get(key) == a]
            stale = [a for a in settled if self._alarms.get(a.alarm_id) != a]
            ghosts = [key for key in self._alarms if key not in before and key not in self._truth]
        return len(stale) + len(ghosts)

    def _replace_watch(self, now_us: int) -> None:
        self._drop_watch()
        self._say_live(False)
        self._listened, self._watched_since_us, self._compared_us = False, now_us, now_us
        self._truth = {}
        self._watch = self._source.watch(self._on_change)

    def _drop_watch(self) -> None:
        watch, self._watch = self._watch, None
        if watch:
            watch.close()

    def _on_change(self, change: Change) -> None:
        with self._changed:
            removed = set(change.removed)
            upserts = {a.alarm_id: a for a in change.upserts}
            if change.whole:
                self._listened = True
                removed |= self._alarms.keys() - upserts.keys()
            upserts = {key: a for key, a in upserts.items() if self._alarms.get(key) != a}
            for key in removed:
                self._alarms.pop(key, None)
            self._alarms.update(upserts)
            if upserts or removed:
                rows = [self._row(a) for a in upserts.values()]
                self._publish("delta", {"upserts": rows, "removed": sorted(removed)})
            self._say_live(True)
            # The alarm goes out first; its address follows if it was not known.
            if any(a.home_id not in self._homes for a in upserts.values()):
                self._wake.set()

    def _fill_directory(self, now_us: int) -> None:
        due = now_us - self._directory_us >= DIRECTORY_S * SECOND_US
        with self._changed:
            homes = {a.home_id for a in self._alarms.values()}
            asked = homes if due else homes - self._homes.keys()
        if due:
            self._directory_us = now_us
        found = self._source.directory(asked) if asked else {}
        with self._changed:
            fresh = {home for home, entry in found.items() if self._homes.get(home) != entry}
            self._homes = {h: e for h, e in {**self._homes, **found}.items() if h in homes}
            rows = [self._row(a) for a in self._alarms.values() if a.home_id in fresh]
            if rows:
                self._publish("delta", {"upserts": rows, "removed": []})

    def _mark_tests(self, tests: dict[str, OnTest]) -> None:
        with self._changed:
            turned = {
                home for home in tests.keys() | self._tests.keys() if tests.get(home) != self._tests.get(home)
            }
            self._tests = tests
            rows = [self._row(a) for a in self._alarms.values() if a.home_id in turned]
            if rows:
                self._publish("delta", {"upserts": rows, "removed": []})

    def _say_live(self, live: bool) -> None:
        with self._changed:
            if live != self._live:
                self._live, self._since_us = live, self._clock()
                self._publish("live", {"live": live, "since_us": self._since_us})

    def _publish(self, event: str, data: dict[str, Any]) -> None:
        """Number a message and wake the readers; the caller holds the lock."""
        self._version += 1
        body = json.dumps({**data, "server_us": self._clock()})
        self._ring.append((self._version, Message(event, body, f"{self._boot}-{self._version}")))
        self._changed.notify_all()
