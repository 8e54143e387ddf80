"""A page that is cut off says so, and is right again afterwards."""

from __future__ import annotations

import psutil
import pytest
from playwright.sync_api import expect

from schemas.events import Code
from tests.webapp import seed
from tests.webapp.browsing import Console
from webapp.app import now_us

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
