"""The pages of homes: search, and what one shows; data of devices and people stay text."""

from __future__ import annotations

import pytest

from schemas.events import Code
from schemas.homes import DirectoryEntry, HomeStatus, OnTest, SensorStatus
from tests.webapp.conftest import Desk
from tests.webapp.seed import directory, make_alarm

PROBE = "<img src=x onerror=alert(1)>"


@pytest.fixture
def known(desk: Desk) -> Desk:
    """Homes with addresses; one with a sensor, alarms and a test, full of markup."""
    for entry in directory():
        desk.alarms.add_home(entry)
    desk.alarms.add_home(DirectoryEntry(home_id="home-0009", address=PROBE, place=PROBE))
    sensors = {PROBE: SensorStatus(kind=PROBE, room=PROBE, battery_percent=7)}
    desk.alarms.statuses["home-0009"] = HomeStatus(home_id="home-0009", sensors=sensors)
    now_us = desk.clock()
    desk.alarms.tests["home-0009"] = OnTest(
        home_id="home-0009", until_us=now_us + 60_000_000, since_us=now_us, by="u", reason=PROBE
    )
    desk.alarms.put(make_alarm("home-0009", Code.SMOKE, now_us, 60, headline=PROBE))
    closed = {"state": "closed", "close_out": "false_cooking", "close_note": PROBE}
    desk.alarms.put(make_alarm("home-0009", Code.PERIMETER, now_us, 90, **closed))
    return desk


def test_search_finds_by_address_and_says_when_nothing_begins_so(known: Desk) -> None:
    anna = known.browser("anna")
    assert "home-0001" in anna.get("/homes/?q=Lindenstr").text
    assert "No address and no id begins with" in anna.get("/homes/?q=Nowhere").text
    assert "Type at least 3 characters" in anna.get("/homes/?q=Li").text


def test_home_shows_sensors_alarms_and_test_and_markup_stays_text(known: Desk) -> None:
    page = known.browser("anna").get("/homes/home-0009")
    assert page.status_code == 200
    assert "<img src=x" not in page.text
    for words in ("7 %", "until 20", "open: new", "Cooking", "never"):
        assert words in page.text
    assert page.text.count("&lt;img src=x onerror=alert(1)&gt;") >= 7


def test_home_says_since_when_rules_alone_watch_it(known: Desk) -> None:
    status = known.alarms.statuses["home-0009"]
    assert "rules only" not in known.browser("anna").get("/homes/home-0009").text
    failing = {"rules_only_since_us": known.clock(), "rules_only_families": ["air", PROBE]}
    known.alarms.statuses["home-0009"] = status.model_copy(update=failing)
    page = known.browser("anna").get("/homes/home-0009").text
    assert "rules only since 20" in page
    assert "the model for air, &lt;img" in page


def test_search_does_not_run_what_is_searched_for(known: Desk) -> None:
    assert "<img src=x" not in known.browser("anna").get(f"/homes/?q={PROBE}").text


def test_unknown_home_is_not_found(known: Desk) -> None:
    assert known.browser("anna").get("/homes/home-4711").status_code == 404
