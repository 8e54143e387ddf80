"""Too many requests are told to wait; a colleague's do not count against anybody else."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from schemas.events import Code
from tests.webapp.conftest import Desk
from tests.webapp.seed import make_alarm
from webapp import safe_word
from webapp.config import WebConfig
from webapp.limits import WORDS_PER_MINUTE
from webapp.sessions import csrf_of


def test_sign_in_is_limited_by_address_and_says_how_long_to_wait(desk: Desk) -> None:
    limit = desk.app.extensions["web_config"].sign_ins_per_minute
    browser = desk.browser()
    answers = [browser.sign_in("mallory") for _ in range(limit + 1)]
    assert {a.status_code for a in answers[:-1]} == {401}
    assert answers[-1].status_code == 429
    assert answers[-1].get_json()["error"].startswith("Too many requests. Wait ")
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 60
    other = desk.browser()
    other.get("/sign-in")
    elsewhere = other.client.post(
        "/session",
        json={"id_token": "anna"},
        headers={"X-CSRF-Token": csrf_of(other.token)},
        environ_base={"REMOTE_ADDR": "192.0.2.7"},
    )
    assert elsewhere.status_code == 200


def test_safe_words_are_limited_over_all_alarms_and_the_refusal_is_kept(desk: Desk) -> None:
    anna = desk.browser("anna")
    answers = []
    for i in range(WORDS_PER_MINUTE + 1):
        home = f"home-{i:04d}"
        alarm = make_alarm(home, Code.PERIMETER, desk.clock(), 5)
        desk.alarms.put(alarm)
        desk.alarms.safe_words[home] = safe_word.make(home, "Bergamot", b"salt")
        anna.post(f"/alarms/{alarm.alarm_id}/claim")
        body = {"fence": 1, "code": "false_user", "word": "guess"}
        answers.append(anna.post(f"/alarms/{alarm.alarm_id}/cancel", body).status_code)
    assert answers == [409] * WORDS_PER_MINUTE + [429]
    assert desk.alarms.audit[-1].reason == "rate"
    assert desk.browser("ben").get("/session/state").status_code == 200


def test_requests_are_limited_by_account(desk: Desk) -> None:
    limit = desk.app.extensions["web_config"].requests_per_minute
    anna, ben = desk.browser("anna"), desk.browser("ben")
    answers = [anna.get("/session/state").status_code for _ in range(limit + 1)]
    assert answers[-1] == 429
    assert answers.count(200) >= limit - 5
    assert ben.get("/session/state").status_code == 200


def test_sessions_that_nobody_knows_are_counted_by_address_and_then_not_looked_up(desk: Desk) -> None:
    limit = desk.app.extensions["web_config"].requests_per_minute
    anna, mallory, looked_up = desk.browser("anna"), desk.browser(), desk.sessions.load
    assert anna.get("/session/state").status_code == 200
    mallory.client.set_cookie("hearthwatch", "guessed")
    answers = [mallory.get("/session/state").status_code for _ in range(limit)]
    assert answers.count(401) >= limit - 5  # what was asked before sign-in counts, too

    def load(key: str) -> object:
        raise AssertionError(f"looked up {key}")

    desk.sessions.load = load  # type: ignore[assignment,method-assign]
    assert mallory.get("/session/state").status_code == 429
    desk.sessions.load = looked_up  # type: ignore[method-assign]
    assert anna.get("/session/state").status_code == 200, "who is at work goes on, also from this address"


def test_the_same_refusal_is_kept_once_a_minute(desk: Desk) -> None:
    erik = desk.browser("erik")
    for _ in range(5):
        assert erik.get("/report").status_code == 403
    assert erik.get("/watched").status_code == 403
    assert [entry.action for entry in desk.alarms.audit] == ["page", "watched"]


def test_a_proxy_that_ends_tls_must_be_counted() -> None:
    with pytest.raises(ValidationError, match="proxies is 0"):
        WebConfig(tls=True)
