"""An owner's journey in Chromium at a phone's size, on real emulators, with a running notifier."""

from __future__ import annotations

import json
import re

import pytest
from playwright.sync_api import (
    expect,
)

from local.simulator import enrol
from schemas.events import Code
from tests.webapp import acting
from tests.webapp.browsing import PASSWORD, PROBE, PROJECT, accessible
from tests.webapp.owner_phone import ANNA, DESKTOP, HOME, App
from tests.webapp.seed import SECOND
from webapp import handling
from webapp.accounts import ensure_owner
from webapp.app import now_us

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]


def test_the_home_at_a_glance_in_two_languages_light_and_dark(app: App) -> None:
    app.sign_in()
    page = app.page
    expect(app.head).to_contain_text("All is well. Armed, everyone out.")
    expect(app.head).to_contain_text("Armed · all 12 sensors fine")
    expect(page.locator("#title")).to_have_text(enrol.directory_entry(7, HOME).address)
    kitchen = page.locator(".room", has=page.get_by_role("heading", name="Kitchen"))
    expect(kitchen.locator("[data-sensor=contact-kitchen-window]")).to_have_text("Windowopen")
    expect(kitchen.locator("[data-sensor=air-kitchen]")).to_contain_text("21.4 °C, air good")
    assert "home-0001" not in page.locator("body").inner_text(), "rooms, not ids"
    assert "gw-0001" not in page.content()
    app.shot("well")
    assert accessible(page) == []
    page.emulate_media(color_scheme="dark")
    app.shot("well-dark")
    assert accessible(page) == []
    page.click("#settings-open")
    page.get_by_label("Language").select_option("de")
    expect(app.head).to_contain_text("Alles in Ordnung. Scharf, niemand zu Hause.")
    expect(page.locator("html")).to_have_attribute("lang", "de")
    app.shot("well-german-dark")
    page.set_viewport_size(DESKTOP)
    app.shot("well-desktop")


def test_an_alarm_from_the_first_second_to_its_end(app: App) -> None:
    app.sign_in()
    page = app.page
    page.locator("#works").scroll_into_view_if_needed()
    expect(app.head).not_to_be_in_viewport()
    alarm = app.raise_alarm()
    expect(app.head).to_have_attribute("data-tone", "alarm")
    expect(app.head).to_be_in_viewport()
    expect(app.head).to_contain_text(re.compile(r"Smoke in the kitchen, \d\d:\d\d\."))
    expect(app.head).to_contain_text("Nobody has taken it yet.")
    app.shot("alarm-new")
    claimed = acting.claim(app.repository, alarm.alarm_id, ANNA, now_us())
    expect(app.head).to_contain_text("We are on it.")
    app.repository.apply(
        alarm.alarm_id, ANNA, lambda a: handling.dispatch(a, ANNA, claimed.fence, "fire_brigade", now_us())
    )
    expect(app.head).to_contain_text("Fire brigade on the way.")
    assert "Anna" not in page.locator("body").inner_text(), "an owner learns no dispatcher's name"
    app.shot("alarm-help-sent")
    assert accessible(page) == []
    page.click("[data-say=it_was_me]")
    expect(page.locator("#sheet")).to_contain_text("A fire alarm is still checked.")
    app.shot("it-was-me")
    page.fill("#say-note", PROBE)
    page.click("#say-yes")
    expect(page.locator("#now")).to_contain_text("“It was me” was said in the app.")
    expect(page.locator("[data-say=it_was_me]")).to_have_count(0)
    said = app.repository.alarm(alarm.alarm_id)
    assert said.owner_said is not None
    assert (said.owner_said.kind, said.owner_said.note) == ("it_was_me", PROBE)
    assert said.state == "dispatched", "what an owner says ends nothing"
    acting.close(app.repository, alarm.alarm_id, ANNA, said.fence, "false_cooking", "", now_us())
    expect(app.head).to_contain_text("All is well.")
    expect(page.locator("#past")).to_contain_text("It was cooking.")
    assert app.client.document(f"labels/{alarm.alarm_id}").get().to_dict()["owner_said"] == "it_was_me"
    assert page.evaluate("window.pwned") is None


def test_help_is_sent_once_and_only_with_a_network(app: App) -> None:
    app.sign_in()
    page = app.page
    alarm = app.raise_alarm(Code.PERIMETER)
    expect(page.locator("#now")).to_contain_text("Window or door forced in the kitchen")
    app.context.set_offline(True)
    page.click("[data-say=help]")
    page.click("#say-yes")
    expect(page.locator("#sheet")).to_contain_text("No connection: this cannot be sent. In danger call 112.")
    app.shot("help-offline")
    page.get_by_role("button", name="Back", exact=True).click()
    app.context.set_offline(False)
    expect(app.head).not_to_have_attribute("data-stale", "", timeout=40_000)
    assert app.repository.alarm(alarm.alarm_id).owner_said is None, "and it was not kept for later"
    page.click("[data-say=help]")
    page.click("#say-yes")
    expect(page.locator("#now")).to_contain_text("Help was asked for in the app.")
    assert app.repository.alarm(alarm.alarm_id).escalation == 1


def test_without_a_network_the_last_known_state_is_shown_with_its_age(app: App) -> None:
    app.sign_in()
    page = app.page
    page.evaluate("navigator.serviceWorker.ready.then(() => 1)")
    app.context.set_offline(True)
    expect(page.locator("#age")).to_have_text(re.compile(r"(No connection|Connecting)\. As of \d\d:\d\d:"))
    app.shot("offline")
    page.reload()
    expect(page.locator("#age")).to_have_text(re.compile(r"No connection\. As of \d\d:\d\d:"))
    expect(app.head).to_contain_text("All is well. Armed, everyone out.")
    expect(page.locator("#rooms")).to_contain_text("Kitchen")
    expect(page.locator("#rooms-note")).to_have_text("As last known.")
    expect(page.locator("#works")).to_contain_text("no connection since")
    app.shot("offline-reloaded")
    app.context.set_offline(False)
    app.client.document(f"homes/{HOME}").update({"armed_mode": "disarmed"})
    expect(app.head).to_contain_text("All is well. Not armed.", timeout=40_000)
    expect(page.locator("#age")).to_be_hidden()


def test_a_silent_home_is_told_honestly(app: App) -> None:
    app.sign_in()
    since = now_us() - 400 * SECOND
    app.client.document(f"homes/{HOME}").update({"path_state": "PATH_FAIL", "path_since_us": since})
    expect(app.head).to_contain_text(re.compile(r"We cannot hear your home since \d\d:\d\d\. The dispatch"))
    app.shot("unheard")
    assert accessible(app.page) == []


def test_an_account_without_a_home_sees_none(app: App) -> None:
    ensure_owner(PROJECT, "nobody@example.org", PASSWORD, [])
    app.page.goto(app.url)
    app.page.fill("#email", "nobody@example.org")
    app.page.fill("#password", "wrong")
    app.page.click("#sign-button")
    expect(app.page.locator("#sign-outcome")).to_have_text("E-mail or password is wrong.")
    app.page.fill("#password", PASSWORD)
    app.page.click("#sign-button")
    expect(app.page.locator("#sign-outcome")).to_have_text("This account has no home.")
    assert accessible(app.page) == []


def test_signing_out_leaves_nothing_on_the_phone(app: App) -> None:
    app.sign_in()
    app.page.click("#settings-open")
    with app.page.expect_navigation():
        app.page.click("#sign-out")
    expect(app.page.locator("#sign")).to_be_visible()
    kept = app.page.evaluate("JSON.stringify(localStorage)")
    assert enrol.directory_entry(7, HOME).address not in kept
    assert "last" not in json.loads(kept)


def test_everything_can_be_done_by_keyboard(app: App) -> None:
    app.sign_in()
    page = app.page
    app.raise_alarm()
    expect(page.locator("[data-say=help]")).to_be_visible()
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.dataset.say") == "it_was_me":
            break
    page.keyboard.press("Enter")
    expect(page.locator("#sheet")).to_be_visible()
    page.keyboard.press("Tab")
    page.keyboard.type("toast")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#now")).to_contain_text("“It was me” was said in the app.")


def test_large_type_still_fits_the_width(app: App) -> None:
    app.sign_in()
    app.page.evaluate("document.documentElement.style.fontSize = '200%'")
    wide = app.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 0
    app.shot("large-type")
