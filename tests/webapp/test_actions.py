"""Who may do what to an alarm over HTTP, that a dismissal counts at once, and what is kept of refusals."""

from __future__ import annotations

import json
from typing import Any

import pytest

from schemas.alarms import Alarm, case_number
from schemas.events import Code
from schemas.homes import HomeStatus
from tests.webapp.conftest import Desk
from tests.webapp.seed import directory, make_alarm
from webapp import audit, safe_word
from webapp.permissions import HOLDERS, Power
from webapp.security import PUBLIC

WORD = "Bergamot Sechs"


@pytest.fixture
def alarm(desk: Desk) -> Alarm:
    """A break-in in a home whose address and safe word are known."""
    made = make_alarm("home-0001", Code.PERIMETER, desk.clock(), 20)
    desk.alarms.put(made)
    desk.alarms.add_home(directory()[0])
    desk.alarms.safe_words["home-0001"] = safe_word.make("home-0001", WORD)
    return made


def claimed(desk: Desk, alarm: Alarm, who: str = "anna") -> Any:
    browser = desk.browser(who)
    assert browser.post(f"/alarms/{alarm.alarm_id}/claim").status_code == 200
    return browser


def denials(desk: Desk) -> list[tuple[str, str, str, str]]:
    return [(e.user, e.action, e.target, e.reason) for e in desk.alarms.audit if e.outcome == "denied"]


def test_every_route_names_its_power_or_is_public(desk: Desk) -> None:
    views = desk.app.view_functions
    assert {name for name, view in views.items() if not hasattr(view, "needs")} == set(PUBLIC)
    watched = {name for name, view in views.items() if getattr(view, "needs", None) == (Power.WATCH, False)}
    assert watched == {
        *("console.page", "console.card", "console.presented"),
        *("stream.stream", "watched.watched", "homes.hour"),
    }
    open_to_engineers = {
        name for name, view in views.items() if getattr(view, "needs", (0,))[0] is Power.OPERATE
    }
    assert open_to_engineers == {"homes.search", "homes.page", "operations.page", "operations.state"}


def test_route_that_names_no_power_is_shut(desk: Desk) -> None:
    desk.app.view_functions["console.card"] = lambda alarm_id: alarm_id
    assert desk.browser("anna").get("/alarms/x").status_code == 403


def test_journey_from_claim_to_close_and_back(desk: Desk, alarm: Alarm) -> None:
    anna, path = claimed(desk, alarm), f"/alarms/{alarm.alarm_id}"
    anna.post(f"{path}/step", {"fence": 1, "step": 0, "done": True})
    anna.post(f"{path}/call", {"fence": 1, "contact": 0, "outcome": "no_answer"})
    anna.post(f"{path}/note", {"text": "neighbour saw two men"})
    assert (
        anna.post(f"{path}/dispatch", {"fence": 1, "service": "police"}).get_json()["state"] == "dispatched"
    )
    assert anna.post(f"{path}/on-scene", {"fence": 1}).get_json()["state"] == "on_scene"
    assert anna.post(f"{path}/close", {"fence": 1, "code": "real"}).get_json()["state"] == "closed"
    assert anna.post(f"{path}/reopen", {"text": "they came back"}).get_json()["state"] == "new"
    card = anna.get(path).get_json()
    assert [e["action"] for e in card["history"]] == [
        *("claimed", "ticked", "called", "noted", "dispatched", "on scene", "closed", "reopened")
    ]
    assert card["history"][3]["note"] == "neighbour saw two men"
    assert card["procedure"][0] == "Call the home: ask for the safe word"
    assert card["case"] == case_number(alarm.alarm_id, alarm.opened_us)
    assert audit.verify(desk.alarms.trail()) == []
    assert "neighbour" not in json.dumps([e.model_dump() for e in desk.alarms.audit])


def test_take_over_is_the_supervisors_alone_and_refusal_is_kept(desk: Desk, alarm: Alarm) -> None:
    anna, path = claimed(desk, alarm), f"/alarms/{alarm.alarm_id}/take-over"
    desk.app.extensions["accounts"].accounts["carl"] = (
        desk.app.extensions["accounts"].accounts["anna"]._replace(user="u-carl", name="Carl")
    )
    response = desk.browser("carl").post(path, {"text": "mine"})
    assert (response.status_code, response.get_json()) == (403, {"error": "A dispatcher may not do this."})
    assert denials(desk) == [("u-carl", "take_over", alarm.alarm_id, "role")]
    taken = desk.browser("ben").post(path, {"text": "Anna is at lunch"})
    assert taken.get_json()["claim"]["name"] == "Ben"
    stale = anna.post(f"/alarms/{alarm.alarm_id}/close", {"fence": 1, "code": "real"})
    assert stale.get_json() == {"error": "Ben has this alarm now."}


def test_refusal_by_state_is_kept_by_account_without_names(desk: Desk, alarm: Alarm) -> None:
    claimed(desk, alarm)
    assert desk.browser("ben").post(f"/alarms/{alarm.alarm_id}/claim").status_code == 409
    assert denials(desk) == [("u-ben", "claim", alarm.alarm_id, "held")]
    assert [e.chain for e in desk.alarms.audit if e.outcome == "denied"] == ["user:u-ben"]


def test_safe_word_cancels_and_is_neither_logged_nor_kept(
    desk: Desk, alarm: Alarm, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(0)
    anna, path = claimed(desk, alarm), f"/alarms/{alarm.alarm_id}/cancel"
    wrong = anna.post(path, {"fence": 1, "code": "false_user", "word": "Bergamot Sieben"})
    assert (wrong.status_code, wrong.get_json()) == (409, {"error": "This is not the home's safe word."})
    assert desk.alarms.alarm(alarm.alarm_id).safe_word_failures == 1
    right = anna.post(path, {"fence": 1, "code": "false_user", "word": "  bergamot  SECHS "})
    assert right.get_json()["state"] == "closed"
    kept = json.dumps([desk.alarms.alarms, desk.alarms.entries, [e.model_dump() for e in desk.alarms.audit]])
    for place in (caplog.text, kept, right.text, wrong.text):
        assert "sechs" not in place.casefold()
        assert "sieben" not in place.casefold()


def test_home_without_a_safe_word_cannot_be_cancelled_by_any(desk: Desk, alarm: Alarm) -> None:
    desk.alarms.safe_words.clear()
    anna = claimed(desk, alarm)
    body = {"fence": 1, "code": "false_user", "word": ""}
    response = anna.post(f"/alarms/{alarm.alarm_id}/cancel", body)
    assert response.get_json() == {"error": "No safe word is on file for this home."}
    assert desk.alarms.alarm(alarm.alarm_id).safe_word_failures == 0


def test_too_long_word_is_refused_without_repeating_it(desk: Desk, alarm: Alarm) -> None:
    anna = claimed(desk, alarm)
    body = {"fence": 1, "code": "false_user", "word": "secret" * 20}
    response = anna.post(f"/alarms/{alarm.alarm_id}/cancel", body)
    assert response.status_code == 400
    assert "secret" not in response.text


def test_signed_out_account_is_out_at_its_next_action(desk: Desk, alarm: Alarm) -> None:
    anna = claimed(desk, alarm)
    desk.clock.pass_s(1)
    desk.app.extensions["accounts"].signed_out_us["u-anna"] = desk.clock()
    response = anna.post(f"/alarms/{alarm.alarm_id}/close", {"fence": 1, "code": "real"})
    assert response.status_code == 401
    assert desk.alarms.alarm(alarm.alarm_id).state == "claimed"
    assert anna.get("/session/state").status_code == 401, "the session is over, too"


def test_role_taken_away_counts_at_the_next_action(desk: Desk, alarm: Alarm) -> None:
    claimed(desk, alarm)
    ben = desk.browser("ben")
    accounts = desk.app.extensions["accounts"].accounts
    accounts["ben"] = accounts["ben"]._replace(role="dispatcher")
    response = ben.post(f"/alarms/{alarm.alarm_id}/take-over", {"text": "mine"})
    assert response.status_code == 403


def test_silent_sign_in_service_stops_nobody_for_ten_minutes(desk: Desk, alarm: Alarm) -> None:
    anna, path = claimed(desk, alarm), f"/alarms/{alarm.alarm_id}/renew"
    desk.app.extensions["accounts"].down = True
    desk.clock.pass_s(600)
    assert anna.post(path, {"fence": 1}).status_code == 200
    desk.clock.pass_s(1)
    assert anna.post(path, {"fence": 1}).status_code == 503
    assert anna.post("/session/end").status_code == 200, "leaving is always possible"


def test_refusal_stands_also_if_it_cannot_be_recorded(
    desk: Desk, alarm: Alarm, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from webapp.errors import Unreachable

    def silent(*_: Any) -> None:
        raise Unreachable("Firestore: told to be down")

    claimed(desk, alarm)
    monkeypatch.setattr(desk.alarms, "deny", silent)
    assert desk.browser("ben").post(f"/alarms/{alarm.alarm_id}/claim").status_code == 409
    assert "could not be recorded" in caplog.text


@pytest.mark.parametrize(("minutes", "status"), [(4, 400), (5, 200), (480, 200), (481, 400)])
def test_home_goes_on_test_within_bounds(desk: Desk, minutes: int, status: int) -> None:
    desk.alarms.statuses["home-0001"] = HomeStatus(home_id="home-0001")
    body = {"minutes": minutes, "reason": "service"}
    assert desk.browser("anna").post("/homes/home-0001/test", body).status_code == status


@pytest.mark.usefixtures("alarm")
def test_rows_of_a_home_on_test_say_until_when_and_no_longer(desk: Desk) -> None:
    desk.alarms.statuses["home-0001"] = HomeStatus(home_id="home-0001")
    anna = desk.browser("anna")
    desk.live.tick()
    until_us = anna.post("/homes/home-0001/test", {"minutes": 5, "reason": "service"}).get_json()["until_us"]

    def said() -> Any:
        desk.live.tick()
        [row] = json.loads(next(desk.live.follow("")).data)["alarms"]
        return row["on_test_until_us"]

    assert said() == until_us
    assert desk.live.homes_on_test == {"home-0001"}
    desk.clock.pass_s(301)
    assert said() is None


@pytest.mark.parametrize("power", list(Power))
def test_every_power_has_somebody(power: Power) -> None:
    assert HOLDERS[power]


def test_safe_word_is_normalised_and_salted() -> None:
    one, other = safe_word.make("h", "Straße 7"), safe_word.make("h", "Straße 7")
    assert one.digest != other.digest
    assert safe_word.matches(one, "STRASSE  7")
    assert not safe_word.matches(one, "Straße 8")
