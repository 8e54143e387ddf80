"""Pushes are leased only for senders that are free, and life safety has its own."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from schemas.events import Category
from schemas.owners import Moment, Push, push_id
from tests.webapp.fakes import Clock, MemoryAlarms
from tests.webapp.seed import SECOND, make_alarm
from webapp import notices
from webapp.errors import Unreachable
from webapp.outbox import Household
from webapp.senders import SENDERS, Senders


class MemoryOutbox:
    """Pushes by key, as the database keeps them."""

    def __init__(self) -> None:
        self.pushes: dict[str, Push] = {}
        self.leased: list[str] = []
        self.down = False

    def add(self, category: Category, number: int, due_us: int = 0) -> str:
        key = push_id(f"{category}-{number:03}", Moment.OPENED, "u")
        self.pushes[key] = Push(
            alarm_id=f"{category}-{number:03}",
            home_id="home-0001",
            user="u",
            moment=Moment.OPENED,
            category=category,
            created_us=0,
            first_due_us=due_us,
            due_us=due_us,
        )
        return key

    def due(self, now_us: int, categories: Iterable[Category]) -> list[tuple[str, Push]]:
        found = [(key, push) for key, push in self.pushes.items() if push.due_us <= now_us]
        return [(key, push) for key, push in found if push.category in categories]

    def lease(self, key: str, now_us: int) -> Push | None:
        if self.down:
            raise Unreachable("Firestore: silent")
        if self.pushes[key].lease_us > now_us:
            return None
        self.leased.append(key)
        self.pushes[key] = notices.leased(self.pushes[key], now_us)
        return self.pushes[key]

    def household(self, _home_id: str) -> Household:
        return Household({}, {})


class Held:
    """A delivery that does not come back until it is let go."""

    def __init__(self) -> None:
        self.go, self.begun = threading.Event(), threading.Semaphore(0)

    def deliver(self, *_: Any) -> None:
        self.begun.release()
        self.go.wait(10)

    def wait_for(self, count: int) -> None:
        for _ in range(count):
            assert self.begun.acquire(timeout=10)


class Post:
    """Senders on fakes."""

    def __init__(self) -> None:
        self.outbox, self.held, self.clock, alarms = MemoryOutbox(), Held(), Clock(), MemoryAlarms()
        for category in Category:
            for number in range(3 * SENDERS):
                alarms.put(make_alarm("home-0001", 111, 0, 0, alarm_id=f"{category}-{number:03}"))  # type: ignore[arg-type]
        self.senders = Senders(alarms, self.outbox, self.held, self.clock)  # type: ignore[arg-type]


@pytest.fixture
def post() -> Iterator[Post]:
    made = Post()
    yield made
    made.held.go.set()
    made.senders.stop()


def test_no_more_is_leased_than_there_are_senders(post: Post) -> None:
    for number in range(2 * SENDERS):
        post.outbox.add(Category.TROUBLE, number)
    post.senders.sweep()
    post.held.wait_for(SENDERS)
    post.senders.sweep()
    assert len(post.outbox.leased) == SENDERS
    waiting = [push for push in post.outbox.pushes.values() if not push.lease_us]
    assert len(waiting) == SENDERS, "any notifier may take them"


def test_a_flood_of_troubles_holds_up_no_fire(post: Post) -> None:
    for number in range(2 * SENDERS):
        post.outbox.add(Category.TROUBLE, number)
    post.senders.sweep()
    post.held.wait_for(SENDERS)
    fire = post.outbox.add(Category.LIFE, 0)
    post.senders.sweep()
    post.held.wait_for(1)
    assert post.outbox.leased[-1] == fire


def test_what_is_leased_is_not_due_until_the_lease_ends(post: Post) -> None:
    key = post.outbox.add(Category.LIFE, 0)
    post.senders.sweep()
    post.held.wait_for(1)
    assert post.outbox.due(post.clock.now_us, [Category.LIFE]) == []
    post.clock.pass_s(notices.LEASE_S)
    post.senders.sweep()
    assert post.outbox.leased == [key, key]


def test_a_sender_whose_lease_was_not_got_is_free_again(post: Post) -> None:
    post.outbox.add(Category.LIFE, 0)
    post.outbox.down = True
    for _ in range(2 * SENDERS):
        with pytest.raises(Unreachable):
            post.senders.sweep()
    post.outbox.down = False
    post.senders.sweep()
    post.held.wait_for(1)


def test_a_push_whose_lease_another_has_is_left(post: Post) -> None:
    key = post.outbox.add(Category.LIFE, 0, due_us=post.clock.now_us - SECOND)
    theirs = {"lease_us": post.clock.now_us + SECOND}
    post.outbox.pushes[key] = post.outbox.pushes[key].model_copy(update=theirs)
    post.senders.sweep()
    assert post.outbox.leased == []
