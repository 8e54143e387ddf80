"""What owners are told, when, and in which words."""

from __future__ import annotations

import datetime as dt
import itertools
import json
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from schemas.alarms import Alarm, AlarmState, CloseOutCode, OwnerSaid, Service
from schemas.events import MEANINGS, AlarmKind, Category, Code
from schemas.owners import LANGUAGES, Choices, Moment, Push, Told
from tests.webapp.seed import SECOND, make_alarm
from webapp import notices
from webapp.push_words import MAX_CHARS, dictionary, words_of

BERLIN = ZoneInfo("Europe/Berlin")
NOON = int(dt.datetime(2026, 11, 26, 12, 0, tzinfo=BERLIN).timestamp()) * SECOND
TOLD_CODES = [
    code
    for code, means in MEANINGS.items()
    if means.kind is not None and means.kind not in notices.NEVER_TOLD
]


def alarm(code: Code = Code.SMOKE, **fields: Any) -> Alarm:
    return make_alarm("home-0001", code, NOON, -1, **{"room": "kitchen", **fields})


def closed(code: Code = Code.SMOKE, **fields: Any) -> Alarm:
    ended = {"state": "closed", "closed_us": NOON + 60 * SECOND, "close_out": "false_cooking"}
    return alarm(code, **{**ended, **fields})


def choices(**fields: Any) -> Choices:
    made = {
        "home_id": "home-0001",
        "user": "u",
        "zone": "Europe/Berlin",
        "updated_at": dt.datetime.now(dt.UTC),
    }
    return Choices.model_validate({**made, **fields})


def at(text: str) -> int:
    hour, minute = text.split(":")
    return int(dt.datetime(2026, 11, 26, int(hour), int(minute), tzinfo=BERLIN).timestamp()) * SECOND


def test_an_owner_sees_no_dispatcher_no_note_and_no_failed_safe_word() -> None:
    told = notices.told_of(
        closed(
            claim={"user": "d", "name": "Anna", "fence": 1, "claimed_us": 1, "expires_us": 2},
            close_note="Mrs. Weber said so",
            safe_word_failures=2,
            acknowledged_us=5,
        )
    )
    assert told is not None
    assert told.seen_us == 5
    assert not {"Anna", "Weber", "failures"} & set(json.dumps(told.document()).replace('"', " ").split())
    hidden = {"claim", "fence", "close_note", "safe_word_failures", "calls", "steps_done", "headline"}
    assert not hidden & Told.model_fields.keys()


@pytest.mark.parametrize("code", [Code.PANIC, Code.DURESS])
def test_a_silent_alarm_is_never_told(code: Code) -> None:
    assert notices.told_of(alarm(code)) is None


def test_only_the_newest_moment_is_told_and_only_once() -> None:
    opened = alarm()
    assert notices.to_tell(opened) is Moment.OPENED
    sent = opened.model_copy(update={"push": notices.mark(opened, 1, NOON), "dispatched_us": NOON})
    assert notices.to_tell(sent) is Moment.HELP_SENT
    assert notices.to_tell(sent.model_copy(update={"push": notices.mark(sent, 1, NOON)})) is None
    assert notices.to_tell(closed(dispatched_us=NOON)) is Moment.ENDED  # the notifier slept meanwhile


def test_the_mark_keeps_when_the_first_was_told() -> None:
    first = alarm()
    marked = first.model_copy(update={"push": notices.mark(first, 2, NOON), "dispatched_us": NOON})
    mark = notices.mark(marked, 0, NOON + 9)
    assert (mark.first_us, mark.owners, mark.moments) == (NOON, 2, ["help_sent", "opened"])


def test_what_was_reopened_is_told_anew_whatever_was_told_before() -> None:
    ended = closed(dispatched_us=NOON)
    told = ended.model_copy(update={"push": notices.mark(ended, 1, NOON)})
    assert notices.to_tell(told) is None
    again = told.model_copy(update={"state": AlarmState.NEW, "closed_us": None, "reopened_us": NOON + 90})
    assert notices.to_tell(again) is Moment.REOPENED
    marked = again.model_copy(update={"push": notices.mark(again, 1, NOON + 91)})
    assert notices.to_tell(marked) is None
    sent = marked.model_copy(update={"dispatched_us": NOON + 95})
    assert notices.to_tell(sent) is Moment.HELP_SENT
    over = sent.model_copy(update={"state": AlarmState.CLOSED})
    assert notices.to_tell(over) is Moment.ENDED
    assert over.push is not None
    assert over.push.first_us == NOON


def test_what_is_urgent_begins_for_everybody_also_if_more_has_happened_since() -> None:
    quiet = choices(handling=False)
    sent = alarm(dispatched_us=NOON)
    assert notices.news_for(sent, quiet)
    told = sent.model_copy(update={"push": notices.mark(alarm(), 1, NOON)})
    assert not notices.news_for(told, quiet)
    again = told.model_copy(update={"reopened_us": NOON + 9})
    assert notices.news_for(again, quiet)
    assert not notices.news_for(closed(Code.LOW_BATTERY), quiet)


@pytest.mark.parametrize("category", [Category.LIFE, Category.INTRUSION])
def test_an_urgent_alarm_is_pushed_whatever_was_chosen(category: Category) -> None:
    nothing = choices(troubles=False, handling=False)
    assert notices.wanted(Moment.OPENED, category, nothing)
    assert not notices.wanted(Moment.HELP_SENT, category, nothing)


def test_troubles_and_information_are_a_matter_of_choice() -> None:
    assert notices.wanted(Moment.OPENED, Category.TROUBLE, None)
    assert not notices.wanted(Moment.OPENED, Category.TROUBLE, choices(troubles=False))
    assert not notices.wanted(Moment.ENDED, Category.TROUBLE, choices(troubles=False))
    assert not notices.wanted(Moment.OPENED, Category.INFORMATION, choices())


NIGHT = {"quiet_from": "22:00", "quiet_to": "07:00"}


@pytest.mark.parametrize("moment", list(Moment))
def test_life_safety_knows_no_quiet_hours(moment: Moment) -> None:
    assert notices.due_us(moment, Category.LIFE, choices(**NIGHT), at("23:30")) == at("23:30")


def test_a_break_in_is_pushed_at_night_and_its_end_in_the_morning() -> None:
    night = choices(**NIGHT)
    assert notices.due_us(Moment.OPENED, Category.INTRUSION, night, at("03:00")) == at("03:00")
    assert notices.due_us(Moment.ENDED, Category.INTRUSION, night, at("03:00")) == at("07:00")


@pytest.mark.parametrize(
    ("now", "quiet", "due"),
    [
        ("21:59", NIGHT, "21:59"),
        ("03:00", NIGHT, "07:00"),
        ("07:00", NIGHT, "07:00"),
        ("13:00", {"quiet_from": "12:30", "quiet_to": "14:00"}, "14:00"),
        ("13:00", {"quiet_from": "", "quiet_to": "14:00"}, "13:00"),
        ("13:00", {"quiet_from": "noon", "quiet_to": "14:00"}, "13:00"),
        ("13:00", {"quiet_from": "13:00", "quiet_to": "13:00"}, "13:00"),
    ],
)
def test_a_trouble_waits_until_the_quiet_hours_end(now: str, quiet: dict[str, str], due: str) -> None:
    assert notices.due_us(Moment.OPENED, Category.TROUBLE, choices(**quiet), at(now)) == at(due)


def test_quiet_hours_end_by_the_clock_on_the_wall_when_it_is_changed() -> None:
    before = int(dt.datetime(2026, 10, 24, 23, 0, tzinfo=BERLIN).timestamp()) * SECOND
    ends = notices.quiet_until_us(choices(**NIGHT), before)
    assert ends is not None
    assert (ends - before) / SECOND == 9 * 3600  # the hour from 2 to 3 comes twice


def test_a_zone_that_nobody_knows_counts_as_utc() -> None:
    assert notices.zone_of(choices(zone="Mars/Olympus")) is dt.UTC
    assert notices.zone_of(choices(zone="../etc")) is dt.UTC


def test_pauses_grow_and_obey_what_the_service_asks() -> None:
    pauses = [notices.backoff_us(n, 0.5) for n in range(1, 10)]
    assert pauses == sorted(pauses)
    assert pauses[-1] == 60 * SECOND
    assert notices.backoff_us(1, 0.0, least_s=30) == 30 * SECOND


def test_an_urgent_push_is_given_up_after_an_hour_and_a_trouble_after_a_day() -> None:
    base = {"alarm_id": "a", "home_id": "h", "user": "u", "moment": "opened", "created_us": 0, "due_us": 0}
    life = Push.model_validate({**base, "category": "life", "first_due_us": 0})
    trouble = Push.model_validate({**base, "category": "trouble", "first_due_us": 8 * 3600 * SECOND})
    assert not notices.too_old(life, 3600 * SECOND)
    assert notices.too_old(life, 3601 * SECOND)
    assert not notices.too_old(trouble, 32 * 3600 * SECOND)


# -- words -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_push_says_what_and_what_next_in_less_than_90_characters(language: str) -> None:
    rooms = ["", "kitchen", "living room", "bedroom", "hall", "Gästezimmer im Dachgeschoss"]
    shown = []
    for code, room, moment in itertools.product(TOLD_CODES, rooms, Moment):
        for service, outcome in zip(itertools.cycle(Service), CloseOutCode, strict=False):
            said = closed(
                Code(code), room=room, services=[service], dispatched_us=NOON, close_out=outcome.value
            )
            words = words_of(said, moment, language, BERLIN)
            text = f"{words.title} {words.body}"
            assert len(text) < MAX_CHARS, text
            assert "{" not in text
            assert "12:0" in words.body
            assert words.body[-1] in ".!"
            shown.append(text)
    assert len(set(shown)) > 100


def test_a_push_reads_like_this() -> None:
    smoke = words_of(alarm(), Moment.OPENED, "en", BERLIN)
    assert smoke == ("Smoke in the kitchen", "12:00 · Get out now. A dispatcher is on it.")
    sent = alarm(services=["fire_brigade"], dispatched_us=NOON + 60 * SECOND)
    assert words_of(sent, Moment.HELP_SENT, "de", BERLIN) == (
        "Feuerwehr unterwegs",
        "12:01 · Draußen bleiben.",
    )
    assert words_of(closed(), Moment.ENDED, "en", BERLIN) == (
        "Smoke in the kitchen: over",
        "12:01 · It was cooking.",
    )


def test_a_room_that_is_markup_stays_text_and_a_long_one_is_cut() -> None:
    words = words_of(alarm(room="<img src=x onerror=alert(1)>"), Moment.OPENED, "en", BERLIN)
    assert words.title == "Smoke in “<img src=x …”"


def test_a_room_that_looks_like_a_pattern_is_shown_as_it_is() -> None:
    assert words_of(alarm(room="{time}"), Moment.OPENED, "en", BERLIN).title == "Smoke in “{time}”"


def test_both_languages_say_the_same_things() -> None:
    english, german = dictionary("en"), dictionary("de")
    assert english.keys() == german.keys()
    for key, text in english.items():
        assert set(_places(text)) == set(_places(german[key])), key
        assert all((text.strip(), german[key].strip())), key


def _places(text: str) -> list[str]:
    return [part.partition("}")[0] for part in text.split("{")[1:]]


@pytest.mark.parametrize("code", TOLD_CODES)
def test_every_alarm_that_is_told_has_words_of_its_own(code: int) -> None:
    kind = MEANINGS[code].kind
    for key in (f"what.{int(code)}", f"kind.{kind}", f"next.{kind}"):
        assert key in dictionary("de"), key


def test_kinds_without_words_are_those_that_are_never_told() -> None:
    worded = {key.removeprefix("kind.") for key in dictionary("en") if key.startswith("kind.")}
    assert worded == {kind.value for kind in AlarmKind if kind not in notices.NEVER_TOLD}


def test_what_was_said_is_seen_by_the_owner() -> None:
    word = OwnerSaid(kind="help", user="u", at_us=3)
    told = notices.told_of(alarm(owner_words=[word.model_dump()]))
    assert told is not None
    assert told.owner_words == [word]
    assert told.state is AlarmState.NEW
