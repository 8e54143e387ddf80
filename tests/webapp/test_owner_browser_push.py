"""Pushes in Chromium: turned on, shown by the service worker, and off before the phone is signed out."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest
from playwright.sync_api import (
    BrowserContext,
    CDPSession,
    Page,
    expect,
)

from tests.webapp.browsing import accessible
from tests.webapp.owner_phone import HOME, App

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]


def test_notifications_are_turned_on_arrive_and_can_be_chosen(app: App) -> None:
    app.sign_in()
    page = app.page
    page.click("#settings-open")
    page.click("#push-toggle")
    expect(page.locator("#sheet")).to_contain_text(
        "On. Fire, carbon monoxide and break-ins always come through."
    )
    app.shot("settings")
    page.locator("#set-troubles").uncheck()
    page.fill("#set-quiet_from", "22:00")
    page.fill("#set-quiet_to", "06:30")
    page.click("#set-save")
    expect(page.locator("#sheet")).to_contain_text("Saved.")
    assert accessible(page) == []
    page.get_by_role("button", name="Close", exact=True).click()
    [chosen] = [s.to_dict() for s in app.client.collection(f"homes/{HOME}/choices").stream()]
    assert (chosen["quiet_from"], chosen["troubles"], chosen["zone"]) == ("22:00", False, "Europe/Berlin")
    assert isinstance(chosen["updated_at"], dt.datetime)
    app.raise_alarm()
    expect(app.head).to_have_attribute("data-tone", "alarm")
    page.wait_for_timeout(500)
    [(token, data)] = app.sender.sent
    assert token.startswith("local-")
    deliver(app.context, page, {"data": data})
    shown = notifications(page)
    assert [(n["title"], n["tag"]) for n in shown] == [("Smoke in the kitchen", data["tag"])]
    assert shown[0]["body"].endswith("Get out now. A dispatcher is on it.")
    assert shown[0]["interaction"] is True
    deliver(app.context, page, {"data": {**data, "title": "Fire brigade on the way"}})
    assert [n["title"] for n in notifications(page)] == ["Fire brigade on the way"], "in the same place"
    deliver(app.context, page, "not json")
    assert {n["title"] for n in notifications(page)} == {"Fire brigade on the way", "Hearthwatch"}


def deliver(context: BrowserContext, page: Page, payload: Any) -> None:
    """A push as the browser's push service hands it to the service worker."""
    session: CDPSession = context.new_cdp_session(page)
    known: list[str] = []
    session.on(
        "ServiceWorker.workerRegistrationUpdated",
        lambda event: known.extend(r["registrationId"] for r in event["registrations"]),
    )
    session.send("ServiceWorker.enable")
    page.evaluate("navigator.serviceWorker.ready.then(() => 1)")
    for _ in range(50):
        if known:
            break
        page.wait_for_timeout(50)
    origin = page.evaluate("location.origin")
    data = payload if isinstance(payload, str) else json.dumps(payload)
    asked = {"origin": origin, "registrationId": known[-1], "data": data}
    session.send("ServiceWorker.deliverPushMessage", asked)
    page.wait_for_timeout(400)
    session.detach()


def notifications(page: Page) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = page.evaluate(
        "navigator.serviceWorker.ready.then((r) => r.getNotifications()).then((all) => all.map("
        "(n) => ({title: n.title, body: n.body, tag: n.tag, interaction: n.requireInteraction})))"
    )
    return found


def test_without_a_network_a_phone_that_gets_alarms_is_not_signed_out(app: App) -> None:
    app.sign_in()
    page = app.page
    page.click("#settings-open")
    page.click("#push-toggle")
    expect(page.locator("#push-toggle")).to_have_text("Turn off")
    devices = app.client.collection(f"homes/{HOME}/devices")
    assert len(list(devices.stream())) == 1
    app.context.set_offline(True)
    page.click("#sign-out")
    expect(page.locator("#sheet [role=alert]").last).to_contain_text("would go on getting alarms")
    expect(page.locator("#sign-out")).to_be_enabled()
    app.context.set_offline(False)
    with page.expect_navigation():
        page.click("#sign-out")
    expect(page.locator("#sign")).to_be_visible()
    assert list(devices.stream()) == []
