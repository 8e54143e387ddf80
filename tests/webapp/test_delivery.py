"""One push of the outbox: handed over at least once, again after a pause, or done with."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from schemas.alarms import Alarm
from schemas.events import Code
from schemas.owners import Choices, Device, Push, PushState, push_id
from tests.webapp.fakes import Clock
from tests.webapp.seed import SECOND, make_alarm
from webapp.delivery import Delivery
from webapp.outbox import Household
from webapp.push_sender import Fate, Outcome

ALARM = make_alarm("home-0001", Code.SMOKE, 1_790_000_000 * SECOND, 0, room="kitchen")
WRITTEN = dt.datetime(2026, 11, 26, tzinfo=dt.UTC)


class MemoryOutbox:
    """What a delivery writes, as given."""

    def __init__(self) -> None:
        self.settled: list[dict[str, Any]] = []
        self.forgotten: list[tuple[str, str]] = []
        self.came_back = False

    def settle(self, key: str, **fields: Any) -> None:
        self.settled.append({"key": key, **fields})

    def forget_device(self, home_id: str, device_id: str, token: str) -> bool:
        assert device_id == f"device-{token}"
        if not self.came_back:
            self.forgotten.append((home_id, device_id))
        return not self.came_back


class ScriptedSender:
    """Answers by token; tells what was sent."""

    def __init__(self, **answers: Outcome) -> None:
        self.answers, self.sent = answers, []  # type: ignore[var-annotated]

    def send(self, token: str, data: dict[str, str], collapse: str) -> Outcome:
        self.sent.append((token, data, collapse))
        return self.answers.get(token, Outcome(Fate.TAKEN))


def push(**fields: Any) -> Push:
    made = {
        "alarm_id": ALARM.alarm_id,
        "home_id": ALARM.home_id,
        "user": "u-1",
        "moment": "opened",
        "category": "life",
        "lease_us": 1_790_000_061 * SECOND,
        **dict.fromkeys(("created_us", "first_due_us", "due_us"), 1_790_000_000 * SECOND),
    }
    return Push.model_validate({**made, **fields})


def household(*tokens: str, user: str = "u-1", language: str = "en") -> Household:
    devices = {
        f"device-{token}": Device(
            home_id="home-0001",
            user=user,
            token=token,
            language=language,  # type: ignore[arg-type]
            consent_version=1,
            updated_at=WRITTEN,
        )
        for token in tokens
    }
    return Household(devices, {})


class Post:
    """A delivery on fakes."""

    def __init__(self, **answers: Outcome) -> None:
        self.outbox, self.sender, self.clock = MemoryOutbox(), ScriptedSender(**answers), Clock()
        self.clock.now_us = 1_790_000_001 * SECOND
        self.delivery = Delivery(self.outbox, self.sender, self.clock, lambda: 0.5)

    def deliver(self, one: Push, home: Household, alarm: Any = ALARM) -> PushState:
        return self.delivery.deliver(push_id(one.alarm_id, one.moment, one.user), one, alarm, home)


def test_a_push_goes_to_each_of_the_owners_phones_and_to_no_other() -> None:
    post = Post()
    home = household("a", "b")
    home.devices.update(household("stranger", user="u-2").devices)
    assert post.deliver(push(), home) is PushState.HANDED_OVER
    assert sorted(token for token, *_ in post.sender.sent) == ["a", "b"]
    assert post.outbox.settled[0]["handed_us"] == post.clock.now_us


def test_it_carries_all_that_the_phone_shows_and_collapses_by_alarm() -> None:
    post = Post()
    post.deliver(push(), household("a", language="de"))
    _, data, collapse = post.sender.sent[0]
    assert data["title"] == "Rauch in der Küche"
    assert data["body"].endswith("Sofort raus! Die Leitstelle handelt.")
    assert (data["tag"], data["category"], collapse) == (ALARM.alarm_id, "life", ALARM.alarm_id)
    assert all(isinstance(value, str) for value in data.values()), "FCM takes text only"


def test_times_are_in_the_owners_zone() -> None:
    post = Post()
    choices = Choices(home_id="home-0001", user="u-1", zone="Asia/Tokyo", updated_at=WRITTEN)
    post.deliver(push(), household("a")._replace(choices={"u-1": choices}))
    assert post.sender.sent[0][1]["body"].startswith("23:1")


def test_a_phone_without_the_app_is_forgotten_and_the_others_are_reached() -> None:
    post = Post(dead=Outcome(Fate.GONE))
    assert post.deliver(push(), household("dead", "a")) is PushState.HANDED_OVER
    assert post.outbox.forgotten == [("home-0001", "device-dead")]


def test_nobody_left_is_no_reason_to_try_again() -> None:
    post = Post(dead=Outcome(Fate.GONE))
    assert post.deliver(push(), household("dead")) is PushState.DROPPED
    assert post.outbox.settled[0]["reason"] == "no phone"


def test_what_failed_is_tried_again_and_who_was_reached_is_left_out() -> None:
    post = Post(busy=Outcome(Fate.LATER))
    home = household("busy", "a")
    assert post.deliver(push(), home) is PushState.WAITING
    kept = post.outbox.settled[0]
    assert kept["due_us"] == post.clock.now_us + 1 * SECOND
    assert (kept["attempts"], kept["reached"], kept["lease_us"]) == (1, ["device-a"], 0)
    post.sender.answers = {}
    again = push(attempts=1, reached=kept["reached"])
    assert post.deliver(again, home) is PushState.HANDED_OVER
    assert [token for token, *_ in post.sender.sent].count("a") == 1


def test_the_service_may_ask_for_a_longer_pause() -> None:
    post = Post(busy=Outcome(Fate.LATER, wait_s=20))
    post.deliver(push(), household("busy"))
    assert post.outbox.settled[0]["due_us"] == post.clock.now_us + 20 * SECOND


def test_after_an_hour_an_urgent_push_is_given_up() -> None:
    post = Post(busy=Outcome(Fate.LATER))
    post.clock.now_us += 3600 * SECOND
    assert (
        post.deliver(push(attempts=50, lease_us=post.clock.now_us + 1), household("busy"))
        is PushState.GIVEN_UP
    )


def test_our_own_mistake_is_not_repeated() -> None:
    post = Post(odd=Outcome(Fate.REFUSED, reason="refused: InvalidArgumentError"))
    assert post.deliver(push(), household("odd")) is PushState.DROPPED
    assert post.outbox.forgotten == []
    assert post.outbox.settled[0]["reason"] == "refused: InvalidArgumentError"


def test_a_phone_that_came_back_with_another_token_is_tried_again() -> None:
    post = Post(old=Outcome(Fate.GONE))
    post.outbox.came_back = True
    assert post.deliver(push(), household("old")) is PushState.WAITING


def test_a_push_whose_lease_ran_out_while_it_waited_is_left_to_the_next() -> None:
    post = Post()
    assert post.deliver(push(lease_us=post.clock.now_us), household("a")) is PushState.WAITING
    assert (post.sender.sent, post.outbox.settled) == ([], [])


def test_phones_that_the_lease_did_not_last_for_are_tried_again() -> None:
    post = Post()
    send = post.sender.send

    def slow(*args: Any) -> Outcome:
        post.clock.pass_s(61)
        return send(*args)

    post.sender.send = slow  # type: ignore[method-assign]
    assert post.deliver(push(), household("a", "b")) is PushState.WAITING
    assert post.outbox.settled[0]["reached"] == ["device-a"]


def test_the_first_push_of_a_fire_is_not_overtaken_by_what_its_owner_does_not_want() -> None:
    post = Post()
    later = ALARM.model_copy(update={"dispatched_us": 1_790_000_000 * SECOND, "services": ["fire_brigade"]})
    home = household("a")._replace(
        choices={"u-1": Choices(home_id="home-0001", user="u-1", handling=False, updated_at=WRITTEN)}
    )
    assert post.deliver(push(), home, later) is PushState.HANDED_OVER
    [(_, data, _)] = post.sender.sent
    assert (data["moment"], data["title"]) == ("help_sent", "Fire brigade on the way"), "what is so now"
    assert post.deliver(push(category="trouble"), home, later) is PushState.DROPPED


def test_a_push_of_an_earlier_round_is_overtaken_by_the_reopening() -> None:
    post = Post()
    again = ALARM.model_copy(update={"reopened_us": 9})
    assert post.deliver(push(moment="ended"), household("a"), again) is PushState.DROPPED
    assert post.deliver(push(moment="reopened", round_us=9), household("a"), again) is PushState.HANDED_OVER


@pytest.mark.parametrize("fields", [{"dispatched_us": 5}, {"state": "closed", "closed_us": 5}])
def test_what_is_overtaken_is_not_pushed(fields: dict[str, Any]) -> None:
    post = Post()
    later = Alarm.model_validate({**ALARM.model_dump(), **fields})
    assert post.deliver(push(), household("a"), later) is PushState.DROPPED
    assert post.sender.sent == []
