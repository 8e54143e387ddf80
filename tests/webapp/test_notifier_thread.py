"""The notifier's own thread: one bad alarm is left, a dead listener is replaced, and what breaks ends it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from schemas.alarms import Alarm
from schemas.events import Code
from tests.webapp.fakes import Clock, MemoryAlarms
from tests.webapp.seed import make_alarm
from webapp.errors import Unreachable
from webapp.notifier import Notifier
from webapp.outbox import Household

NOW = Clock().now_us


class MemoryOutbox:
    """What is told; `bad` homes cannot be read, and `broken` is raised where the words are asked for."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.bad: set[str] = set()
        self.broken: Exception | None = None
        self.asked = threading.Event()
        self.watches: list[Any] = []

    def household(self, home_id: str) -> Household:
        if home_id in self.bad:
            raise KeyError("nobody foresaw this")
        return Household({}, {})

    def tell(self, told: Any, *_: Any) -> bool:
        self.told.append(told.home_id)
        return True

    def alive_us(self) -> int:
        return NOW

    def opened_since(self, _from_us: int) -> list[Alarm]:
        return []

    def told_as_open(self) -> list[str]:
        return []

    def note_alive(self, _now_us: int) -> None:
        """Nobody asks."""

    def due(self, *_: Any) -> list[Any]:
        return []

    def said(self) -> list[Any]:
        self.asked.set()
        if self.broken:
            raise self.broken
        return []

    def watch_said(self, _wake: Callable[[], None]) -> Any:
        self.watches.append(_Dead())
        return self.watches[-1]


class _Dead:
    active = is_active = False
    closed = False

    def close(self) -> None:
        self.closed = True


def notifier(alarms: MemoryAlarms, outbox: MemoryOutbox) -> Notifier:
    return Notifier(alarms, outbox, object(), Clock())  # type: ignore[arg-type]


def test_whatever_is_not_an_outage_ends_the_process() -> None:
    outbox = MemoryOutbox()
    outbox.broken = ValueError("nobody foresaw this")
    with pytest.raises(ValueError, match="foresaw"):
        notifier(MemoryAlarms(), outbox).run()  # main() lets it pass: exit status 1, and it is started again


def test_an_outage_is_waited_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webapp.notifier.SWEEP_S", 0.01)
    outbox = MemoryOutbox()
    outbox.broken = Unreachable("Firestore: silent")
    running = notifier(MemoryAlarms(), outbox)
    running.start()
    for _ in range(2):
        outbox.asked.clear()
        assert outbox.asked.wait(5)
    running.stop()


def test_one_alarm_that_cannot_be_told_is_left_and_the_others_are_told() -> None:
    alarms, outbox = MemoryAlarms(), MemoryOutbox()
    outbox.bad = {"home-0001"}
    running = notifier(alarms, outbox)
    for home in ("home-0001", "home-0002"):
        running.changed(make_alarm(home, Code.SMOKE, NOW, 5)).result()
    assert outbox.told == ["home-0002"]
    running.stop()


def test_a_listener_that_died_is_closed_and_begun_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webapp.notifier.SWEEP_S", 0.01)
    alarms, outbox, watches = MemoryAlarms(), MemoryOutbox(), list[_Dead]()

    def watch(_on_change: Any) -> _Dead:
        watches.append(_Dead())
        return watches[-1]

    alarms.watch = watch  # type: ignore[assignment,method-assign]
    running = notifier(alarms, outbox)
    running.start()
    while len(watches) < 2 or len(outbox.watches) < 2:
        outbox.asked.clear()
        assert outbox.asked.wait(5)
    running.stop()
    assert all(watch.closed for watch in (*watches, *outbox.watches))
