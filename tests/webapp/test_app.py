"""The console's server: who may do what, and what it answers."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest
from pydantic import ValidationError

from schemas.alarms import Alarm
from schemas.events import Code
from tests.webapp.conftest import Desk
from tests.webapp.fakes import Clock, MemoryAccounts, MemoryAlarms, MemorySessions, MemoryWatched
from tests.webapp.seed import directory, make_alarm, scenes
from webapp.app import create_app
from webapp.config import WebConfig
from webapp.live import LiveQueue
from webapp.security import PUBLIC


@pytest.fixture
def fire(desk: Desk) -> Alarm:
    """A fire with evidence and an address."""
    alarm, pieces = next((a, e) for a, e in scenes(desk.clock.now_us) if a.code == Code.SMOKE)
    desk.alarms.put(alarm)
    for piece in pieces:
        desk.alarms.add_evidence(alarm.alarm_id, piece)
    desk.alarms.add_home(directory()[0])
    return alarm


def routes(desk: Desk) -> list[tuple[str, str, str]]:
    """(method, path, endpoint) of every route."""
    return [
        (method, re.sub(r"<[^>]+>", "x", rule.rule), rule.endpoint)
        for rule in desk.app.url_map.iter_rules()
        for method in sorted(rule.methods - {"HEAD", "OPTIONS"})
    ]


def test_every_route_but_the_public_ones_wants_a_session(desk: Desk, fire: Alarm) -> None:
    closed = [(m, p) for m, p, endpoint in routes(desk) if endpoint not in PUBLIC]
    assert len(closed) >= 9
    for method, path in closed:
        response = desk.browser().client.open(path, method=method, json={})
        if path == "/":
            assert (response.status_code, response.location) == (302, "/sign-in")
        else:
            assert response.status_code == 401, (method, path)
            assert response.get_json() == {"error": "Please sign in."}
    assert desk.alarms.alarm(fire.alarm_id).state == "new"


@pytest.mark.parametrize("softphone", [False, True])
def test_the_page_calls_by_a_program_only_if_workstations_have_one(desk: Desk, softphone: bool) -> None:
    desk.app.extensions["web_config"] = WebConfig(softphone=softphone)
    page = html.unescape(desk.browser("anna").client.get("/").text)
    assert f'"softphone": {str(softphone).lower()}' in page


def test_every_post_wants_the_csrf_token(desk: Desk, fire: Alarm) -> None:
    browser = desk.browser("anna")
    posts = [
        path.replace("/x/", f"/{fire.alarm_id}/") for method, path, _ in routes(desk) if method == "POST"
    ]
    assert len(posts) >= 7
    for path in posts:
        for wrong in ({}, {"X-CSRF-Token": "0" * 64}):
            response = browser.client.post(path, json={}, headers=wrong)
            assert response.status_code == 403, path
            assert "out of date" in response.get_json()["error"]
    assert desk.alarms.alarm(fire.alarm_id).state == "new"


def test_request_from_another_site_is_refused_even_with_the_token(desk: Desk, fire: Alarm) -> None:
    path = f"/alarms/{fire.alarm_id}/claim"
    response = desk.browser("anna").post(path, headers={"Sec-Fetch-Site": "cross-site"})
    assert response.status_code == 403


def test_sign_in_gives_a_fresh_id_and_the_planted_one_stays_worthless(desk: Desk) -> None:
    browser = desk.browser()
    browser.get("/sign-in")
    planted = browser.token
    assert browser.sign_in("anna").get_json() == {"name": "Anna", "role": "dispatcher", "page": "/"}
    assert browser.token != planted
    thief = desk.browser()
    thief.client.set_cookie("hearthwatch", planted)
    assert thief.get("/session/state").status_code == 401


def test_refused_account_gets_no_session(desk: Desk) -> None:
    browser = desk.browser()
    assert browser.sign_in("mallory").status_code == 401
    assert desk.sessions.sessions == {}
    assert browser.get("/session/state").status_code == 401


@pytest.mark.parametrize("body", [None, [], {}, {"id_token": 7}, {"id_token": ""}, {"id_token": "x" * 9000}])
def test_sign_in_with_a_malformed_token_is_bad_input(desk: Desk, body: Any) -> None:
    browser = desk.browser()
    browser.get("/sign-in")
    assert browser.post("/session", body).status_code == 400


def test_sign_out_ends_the_session_for_every_copy_of_the_cookie(desk: Desk) -> None:
    browser = desk.browser("anna")
    copy = desk.browser()
    copy.client.set_cookie("hearthwatch", browser.token)
    assert copy.get("/session/state").status_code == 200
    assert browser.post("/session/end").status_code == 200
    assert copy.get("/session/state").status_code == 401


def test_session_ends_when_its_page_is_silent_and_lives_while_it_speaks(desk: Desk) -> None:
    browser = desk.browser("anna")
    for _ in range(40):
        desk.clock.pass_s(60)
        assert browser.get("/session/state").status_code == 200
    desk.clock.pass_s(1800)
    assert browser.get("/session/state").status_code == 401


def test_session_ends_after_a_shift_in_any_case(desk: Desk) -> None:
    browser = desk.browser("anna")
    for _ in range(12 * 6 - 1):
        desk.clock.pass_s(600)
        assert browser.get("/session/state").status_code == 200
    desk.clock.pass_s(600)
    assert browser.get("/session/state").status_code == 401


def test_cookie_is_http_only_and_strict_and_plain_on_loopback(desk: Desk) -> None:
    cookie = desk.browser().get("/sign-in").headers["Set-Cookie"]
    assert cookie.startswith("hearthwatch=")
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert "Secure" not in cookie


def test_behind_tls_the_cookie_is_host_bound_and_secure() -> None:
    clock, alarms = Clock(), MemoryAlarms()
    live = LiveQueue(alarms, clock, "boot")
    config = WebConfig(tls=True, proxies=1, host="0.0.0.0")
    app = create_app(
        config,
        alarms=alarms,
        clock=clock,
        auth=MemoryAccounts(),
        sessions=MemorySessions(),
        live=live,
        supervised=MemoryWatched(),
    )
    response = app.test_client().get("/sign-in")
    cookie = response.headers["Set-Cookie"]
    assert cookie.startswith("__Host-hearthwatch=")
    assert "Secure" in cookie
    assert "Path=/" in cookie
    assert "Domain" not in cookie
    assert "max-age" in response.headers["Strict-Transport-Security"]


def test_plain_http_beyond_loopback_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"host is 0\.0\.0\.0 without tls"):
        WebConfig(host="0.0.0.0")


def test_content_security_policy_names_a_new_nonce_each_time(desk: Desk) -> None:
    browser = desk.browser("anna")
    pages = [browser.get("/") for _ in range(2)]
    nonces = []
    for page in pages:
        policy = page.headers["Content-Security-Policy"]
        [nonce] = re.findall(r"script-src 'nonce-([\w-]{20,})';", policy)
        assert "default-src 'none'" in policy
        assert "object-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "connect-src 'self';" in policy
        assert "unsafe" not in policy
        assert set(re.findall(r'nonce="([^"]+)"', page.text)) == {nonce}
        assert page.text.count("<script") == 1
        nonces.append(nonce)
    assert nonces[0] != nonces[1]


def test_only_the_sign_in_page_may_reach_the_identity_service(desk: Desk) -> None:
    policy = desk.browser().get("/sign-in").headers["Content-Security-Policy"]
    assert "connect-src 'self' http://127.0.0.1:9099;" in policy


def test_pages_are_not_cached_and_not_sniffed(desk: Desk) -> None:
    headers = desk.browser("anna").get("/").headers
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"


def test_card_brings_evidence_curves_history_and_home(desk: Desk, fire: Alarm) -> None:
    card = desk.browser("anna").get(f"/alarms/{fire.alarm_id}").get_json()
    assert card["alarm"]["alarm_id"] == fire.alarm_id
    assert [e["title"] for e in card["evidence"]] == ["Rapid heat rise", "Smoke"]
    assert "series" not in card["evidence"][0]
    assert {s["quantity"] for s in card["series"]} >= {
        "temperature_c",
        "co_ppm",
        "sound_dba",
        "motion",
        "open",
    }
    assert card["home"]["phones"] == ["+49 30 23125 010", "+49 30 23125 011"]
    assert card["history"] == []


def test_card_brings_the_homes_other_alarms_of_the_last_month(desk: Desk, fire: Alarm) -> None:
    day_s = 86_400
    over = {"state": "closed", "close_out": "false_cooking"}
    for age_s, code in ((2 * day_s, Code.SMOKE), (29 * day_s, Code.PERIMETER), (40 * day_s, Code.SMOKE)):
        desk.alarms.put(make_alarm(fire.home_id, code, desk.clock(), age_s, **over))
    desk.alarms.put(make_alarm("home-0002", Code.SMOKE, desk.clock(), day_s))
    earlier = desk.browser("anna").get(f"/alarms/{fire.alarm_id}").get_json()["earlier"]
    assert [(a["kind"], a["close_out"]) for a in earlier] == [
        ("fire", "false_cooking"),
        ("burglary", "false_cooking"),
    ]


def test_unknown_alarm_is_not_found(desk: Desk) -> None:
    assert desk.browser("anna").get("/alarms/fire-0").status_code == 404


def test_of_two_claims_one_wins_and_the_other_is_told_who(desk: Desk, fire: Alarm) -> None:
    path = f"/alarms/{fire.alarm_id}/claim"
    won, lost = desk.browser("anna").post(path), desk.browser("ben").post(path)
    assert (won.status_code, won.get_json()["fence"]) == (200, 1)
    assert lost.status_code == 409
    assert lost.get_json() == {"error": "Anna already has this alarm."}


def test_close_before_claim_is_refused_with_the_reason(desk: Desk, fire: Alarm) -> None:
    body = {"fence": 0, "code": "real"}
    response = desk.browser("anna").post(f"/alarms/{fire.alarm_id}/close", body)
    assert (response.status_code, response.get_json()) == (409, {"error": "Claim this alarm first."})


def test_claim_and_close_end_the_alarm_and_leave_a_history(desk: Desk, fire: Alarm) -> None:
    anna = desk.browser("anna")
    fence = anna.post(f"/alarms/{fire.alarm_id}/claim").get_json()["fence"]
    body = {"fence": fence, "code": "false_cooking", "note": " toast "}
    closed = anna.post(f"/alarms/{fire.alarm_id}/close", body).get_json()
    assert (closed["state"], closed["close_note"]) == ("closed", "toast")
    history = anna.get(f"/alarms/{fire.alarm_id}").get_json()["history"]
    assert [(e["action"], e["name"]) for e in history] == [("claimed", "Anna"), ("closed", "Anna")]
    again = anna.post(f"/alarms/{fire.alarm_id}/claim")
    assert (again.status_code, again.get_json()) == (409, {"error": "This alarm is closed."})


@pytest.mark.parametrize(
    "body",
    [None, {}, {"fence": "1", "code": "real"}, {"fence": 1}, {"fence": 1, "code": "real", "state": "new"}],
    ids=["none", "empty", "fence is text", "no code", "foreign field"],
)
def test_malformed_close_is_bad_input(desk: Desk, fire: Alarm, body: Any) -> None:
    anna = desk.browser("anna")
    anna.post(f"/alarms/{fire.alarm_id}/claim")
    assert anna.post(f"/alarms/{fire.alarm_id}/close", body).status_code == 400
    assert desk.alarms.alarm(fire.alarm_id).state == "claimed"


def test_first_showing_is_stamped_and_later_ones_change_nothing(desk: Desk, fire: Alarm) -> None:
    anna, first_us = desk.browser("anna"), desk.clock()
    assert anna.post("/alarms/presented", {"alarm_ids": [fire.alarm_id, "gone"]}).status_code == 204
    desk.clock.pass_s(5)
    desk.browser("ben").post("/alarms/presented", {"alarm_ids": [fire.alarm_id]})
    assert desk.alarms.alarm(fire.alarm_id).presented_us == first_us


def test_silent_database_is_said_to_be_silent(desk: Desk, fire: Alarm) -> None:
    anna = desk.browser("anna")
    desk.alarms.down = True
    response = anna.post(f"/alarms/{fire.alarm_id}/claim")
    assert response.status_code == 503
    assert "not known whether" in response.get_json()["error"]


def test_stream_begins_with_the_queue(desk: Desk, fire: Alarm) -> None:
    desk.live.tick()
    response = desk.browser("anna").client.get("/stream", buffered=False)
    assert response.mimetype == "text/event-stream"
    parts = iter(response.response)
    assert next(parts) in (b"retry: 1000\n\n", "retry: 1000\n\n")
    first = next(parts)
    text = first.decode() if isinstance(first, bytes) else first
    assert "event: snapshot" in text
    assert fire.alarm_id in text
    response.close()


def test_markup_in_a_name_stays_text(desk: Desk) -> None:
    desk.app.extensions["accounts"].accounts["eve"] = (
        desk.app.extensions["accounts"].accounts["anna"]._replace(name="<script>alert(1)</script>")
    )
    page = desk.browser("eve").get("/").text
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_no_answer_allows_another_origin(desk: Desk) -> None:
    headers, anna = {"Origin": "https://evil.example"}, desk.browser("anna")
    for method, path, _ in routes(desk):
        answer = anna.client.open(path, method=method, headers=headers, json={}, buffered=False)
        assert "Access-Control-Allow-Origin" not in answer.headers, path
        answer.close()


def test_every_answer_has_its_security_headers(desk: Desk, fire: Alarm) -> None:
    anna = desk.browser("anna")
    paths = ("/", f"/alarms/{fire.alarm_id}", "/alarms/none", "/nowhere", "/static/js/api.js", "/health")
    for path in paths:
        headers = anna.get(path).headers
        assert headers["X-Content-Type-Options"] == "nosniff", path
        assert headers["Referrer-Policy"] == "no-referrer", path
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"], path
        assert "base-uri 'none'" in headers["Content-Security-Policy"], path
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin", path
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin", path


def test_nothing_is_changed_by_a_safe_method(desk: Desk, fire: Alarm) -> None:
    anna = desk.browser("anna")
    for method, path, endpoint in routes(desk):
        if method == "POST" and endpoint != "auth.sign_in":
            assert anna.get(path.replace("/x/", f"/{fire.alarm_id}/")).status_code in (404, 405), path
    assert desk.alarms.alarm(fire.alarm_id).state == "new"


def test_scripts_hold_no_data(desk: Desk) -> None:
    signed_in, stranger = desk.browser("anna"), desk.browser()
    for name in ("console", "card", "store"):
        path = f"/static/js/{name}.js"
        assert signed_in.get(path).data == stranger.get(path).data


def test_session_ids_are_random_and_long(desk: Desk) -> None:
    ids = {desk.browser("anna").token for _ in range(20)}
    assert len(ids) == 20
    assert min(map(len, ids)) >= 43  # 256 bits in base64


def test_sign_in_and_its_refusal_are_logged_without_the_token(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    desk.browser("anna")
    desk.browser().sign_in("forged-token")
    assert "signed in: u-anna as dispatcher" in caplog.text
    assert "sign-in refused from 127.0.0.1" in caplog.text
    assert "forged-token" not in caplog.text


def test_unexpected_error_tells_nothing_of_itself(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    def broken(alarm_id: str) -> None:
        raise RuntimeError(f"secret of {alarm_id}")

    broken.needs = desk.app.view_functions["console.card"].needs  # type: ignore[attr-defined]
    desk.app.view_functions["console.card"] = broken
    desk.app.testing = False
    answer = desk.browser("anna").get("/alarms/x")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert "secret of x" in caplog.text
