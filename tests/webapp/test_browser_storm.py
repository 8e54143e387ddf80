"""Forty alarms after a storm: few rows, one card for an incident, and each alarm still there."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import expect

from schemas.events import Code
from schemas.incidents import NamedCount, Supervision
from tests.webapp import seed, test_watched
from tests.webapp.browsing import Console, prove_path
from transforms.supervision_store import FirestoreSupervision
from webapp.app import now_us

pytestmark = pytest.mark.system


def stormy(console: Console) -> None:
    """Forty open alarms, an incident, losses."""
    prove_path(console.client)
    now, pipeline = now_us(), FirestoreSupervision(console.client)
    since = {"since_us": now - 300_000_000, "opened_us": now - 200_000_000, "updated_us": now}
    named = {
        "regions": [NamedCount(name="Ost", homes=190), NamedCount(name="Nord", homes=22)],
        "operators": [NamedCount(name="Kabel Ost", homes=212)],
    }
    pipeline.put_incident(test_watched.INCIDENT.model_copy(update={**since, **named, "returned": 12}))
    pipeline.put_losses(test_watched.LOSSES.model_copy(update={"home_id": "home-0001"}))
    pipeline.put_report(Supervision(homes=20, silent=12, roster_us=now, as_of_us=now))
    scenes = seed.scenes(now)
    over = {"state": "closed", "close_out": "false_cooking", "close_note": "toast"}
    earlier = seed.make_alarm("home-0001", Code.SMOKE, now, 9 * 86_400, closed_us=now, **over)
    storm: list[Any] = [(alarm, []) for alarm in seed.storm(now, 40 - len(scenes))]
    seed.write(console.client, [*scenes, *storm, (earlier, [])])
    console.client.collection("homes").document("home-0001").set({"home_id": "home-0001"})


def test_a_storm_is_one_row_with_its_count_until_it_is_unfolded(console: Console) -> None:
    page = console.page
    stormy(console)
    storm = page.locator("[data-group]")
    expect(storm).to_have_count(1)
    expect(storm).to_contain_text("Mains power lost ×35")
    expect(page.locator("[data-alarm-id]")).to_have_count(5)
    page.wait_for_function("Object.keys(hearthwatch.seen).length === 40")
    assert page.locator("#rows").evaluate("rows => rows.scrollHeight <= rows.clientHeight")
    storm.press("Enter")
    expect(page.locator("[data-alarm-id]")).to_have_count(40)
    inside = page.locator(".inside [data-alarm-id]").nth(3)
    chosen = inside.get_attribute("data-alarm-id")
    inside.click()
    expect(storm).to_contain_text("×34")
    page.keyboard.press("c")
    expect(page.locator("#claim")).to_contain_text("Yours")
    storm.click()
    expect(page.locator("[data-alarm-id]")).to_have_count(6)
    expect(page.locator(f'[data-alarm-id="{chosen}"]')).to_be_visible()
    page.locator("[data-incident-id]").click()
    expect(page.locator("#incident-words")).to_contain_text("homes are silent of 212; 12 back")
    expect(page.locator("#card-name")).to_be_hidden()
    page.keyboard.press("n")
    expect(page.locator("#incident-title")).to_be_hidden()
    expect(page.locator("#card-name")).to_be_visible()
