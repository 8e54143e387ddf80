"""A page that is cut off says so, and is right again afterwards."""

from __future__ import annotations

import psutil
import pytest
from playwright.sync_api import expect

from schemas.events import Code
from tests.webapp import acting, seed
from tests.webapp.browsing import Console
from webapp.app import now_us
from webapp.lifecycle import Actor

pytestmark = pytest.mark.system


def test_silent_server_greys_the_list_and_says_since_when(console: Console) -> None:
    page = console.page
    alarm = seed.make_alarm("home-0001", Code.SMOKE, now_us(), 5)
    seed.write(console.client, [(alarm, [])])
    expect(console.row(alarm)).to_be_visible()
    workers = psutil.Process(console.served.process.pid).children()
    for process in workers:
        process.suspend()
    try:
        expect(page.locator("#banner")).to_be_visible(timeout=20_000)
        expect(page.locator("#banner")).to_contain_text("Not live since")
        expect(console.row(alarm)).to_be_visible()
        expect(page.locator("body")).to_have_attribute("data-live", "stale")
        console.shot("10-not-live")
    finally:
        for process in workers:
            process.resume()
    later = seed.make_alarm("home-0002", Code.SMOKE, now_us(), 1)
    seed.write(console.client, [(later, [])])
    expect(console.row(later)).to_be_visible(timeout=15_000)
    expect(page.locator("body")).to_have_attribute("data-live", "live")


def test_restarted_server_is_said_and_the_page_is_right_again_by_itself(console: Console) -> None:
    page = console.page
    before, gone = (seed.make_alarm(f"home-000{i}", Code.PERIMETER, now_us(), 5) for i in (1, 2))
    seed.write(console.client, [(before, []), (gone, [])])
    expect(console.row(gone)).to_be_visible()
    console.row(before).click()
    page.keyboard.press("c")
    expect(page.locator("#claim")).to_contain_text("Yours")
    console.served.stop()
    try:
        expect(page.locator("#banner")).to_contain_text("Not live since")
        expect(console.row(gone)).to_be_visible()
        # What happens meanwhile: one ends, one begins.
        boss = Actor("u-ben", "Ben")
        acting.claim(console.repository, gone.alarm_id, boss, now_us())
        acting.close(console.repository, gone.alarm_id, boss, 1, "real", "", now_us())
        new = seed.make_alarm("home-0003", Code.SMOKE, now_us(), 1)
        seed.write(console.client, [(new, [])])
    finally:
        console.served.start()
    expect(console.row(new)).to_be_visible()
    expect(console.row(gone)).to_have_count(0)
    expect(page.locator("body")).to_have_attribute("data-live", "live")
    expect(page.locator("#banner")).to_be_hidden()
    expect(page.locator("#claim")).to_contain_text("Yours")
    ids = page.locator("[data-alarm-id]").evaluate_all("all => all.map(row => row.dataset.alarmId)")
    assert sorted(ids) == sorted([before.alarm_id, new.alarm_id]), "nothing lost, nothing doubled"
