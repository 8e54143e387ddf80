"""Who gets in, and what is said to whoever does not."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from schemas.incidents import Supervision
from tests.webapp import seed, test_watched
from tests.webapp.browsing import ANNA, ERIK, PASSWORD, PROJECT, Console, prove_path
from transforms.supervision_store import FirestoreSupervision
from webapp.app import now_us

pytestmark = pytest.mark.system


def test_sign_out_ends_at_the_sign_in_page(console: Console) -> None:
    console.page.click("#sign-out")
    console.page.wait_for_url("**/sign-in")
    console.page.goto(console.url)
    expect(console.page.locator("#email")).to_be_visible()


def test_wrong_password_is_said_and_gives_no_session(console: Console) -> None:
    page = console.page
    page.context.clear_cookies()
    page.goto(console.url)
    page.fill("#email", ANNA)
    page.fill("#password", "wrong password")
    page.click("button[type=submit]")
    expect(page.locator("#outcome")).to_have_text("E-mail or password is wrong.")


def test_account_without_a_role_is_refused(console: Console) -> None:
    from firebase_admin import auth

    from webapp.accounts import firebase_app

    app = firebase_app(PROJECT)
    user = auth.create_user(email="owner@example.org", password=PASSWORD, app=app)
    try:
        page = console.page
        page.context.clear_cookies()
        page.goto(console.url)
        page.fill("#email", "owner@example.org")
        page.fill("#password", PASSWORD)
        page.click("button[type=submit]")
        expect(page.locator("#outcome")).to_contain_text(
            "no access to the dispatcher’s console".replace("’", "'")
        )
    finally:
        auth.delete_user(user.uid, app=app)


def test_engineer_works_at_operations_and_homes_and_sees_no_alarms(console: Console) -> None:
    page = console.page
    prove_path(console.client)
    pipeline = FirestoreSupervision(console.client)
    now = now_us()
    since = {"since_us": now - 300_000_000, "opened_us": now - 200_000_000, "updated_us": now}
    pipeline.put_incident(test_watched.INCIDENT.model_copy(update=since))
    pipeline.put_losses(test_watched.LOSSES.model_copy(update={"home_id": "home-0001"}))
    pipeline.put_report(Supervision(homes=20, silent=12, roster_us=now, as_of_us=now))
    seed.write(console.client, seed.scenes(now))
    console.client.collection("homes").document("home-0001").set({"home_id": "home-0001"})
    page.context.clear_cookies()
    page.goto(console.url)
    page.fill("#email", ERIK)
    page.fill("#password", PASSWORD)
    page.click("button[type=submit]")
    page.wait_for_url("**/operations/")
    expect(page.locator("#path")).to_contain_text("0.40 s")
    expect(page.locator("#verdict")).to_contain_text("2 batches are missing without a reason")
    expect(page.locator("#incidents")).to_contain_text("212 homes offline")
    expect(page.locator("#letters")).to_contain_text("No output folder is configured")
    console.both_themes("13-operations")
    expect(page.get_by_role("link", name="Console")).to_have_count(0)
    page.get_by_role("link", name="home-0001").first.click()
    expect(page.locator("h1")).to_have_text("home-0001")
    expect(page.locator("main")).to_contain_text("unexplained")
    assert "Lindenstr" not in page.content()
    console.both_themes("14-home-for-engineers")
    assert page.goto(console.url).status == 403  # type: ignore[union-attr]
