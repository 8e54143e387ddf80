"""The operations page: what it says of each part, also of a silent one, and what engineers may see."""

from __future__ import annotations

import io
import threading
from pathlib import Path
from typing import Any

import fastavro
import pytest

from schemas.alarms import LaneProof
from schemas.archive import DEAD_LETTER_SCHEMA, partition
from schemas.events import Code
from schemas.homes import DirectoryEntry, HomeStatus, OnTest
from tests.webapp import test_watched
from tests.webapp.conftest import Desk
from tests.webapp.fakes import MemoryWarehouse
from tests.webapp.seed import make_alarm
from webapp.dead_letters import HOUR_US, MAX_OBJECTS, DeadLetters
from webapp.folders import open_folder
from webapp.operations import FAILED_S, Shared, Stores
from webapp.warehouse import ModelSeen
from webapp.watched import Watched

SECRET = "Lindenstraße 14"


def put_letters(folder: Path, name: str, *letters: tuple[str, str, int]) -> None:
    """An object as the pipeline writes it; (stage, error type, publish time) each."""
    rows = [
        {
            "stage": stage,
            "error_type": error,
            "message": f"value of {SECRET}",
            "scope": "batch",
            "publish_time": publish_us,
            "payload": b"whole",
        }
        for stage, error, publish_us in letters
    ]
    sink = io.BytesIO()
    fastavro.writer(sink, DEAD_LETTER_SCHEMA, rows)
    path = folder / partition(letters[0][2]) / f"{name}.avro"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(sink.getvalue())


@pytest.fixture
def stores(desk: Desk, tmp_path: Path) -> Stores:
    warehouse = MemoryWarehouse()
    made = Stores(DeadLetters(open_folder(str(tmp_path))), warehouse)
    desk.app.extensions["operations_stores"] = made
    return made


def state(desk: Desk, who: str = "erik") -> dict[str, Any]:
    response = desk.browser(who).get("/operations/state")
    assert response.status_code == 200
    answer: dict[str, Any] = response.get_json()
    return answer


def test_every_part_is_told_with_its_moment(desk: Desk, stores: Stores, tmp_path: Path) -> None:
    now_us = desk.clock()
    desk.alarms.path = {"urgent": LaneProof(proven_us=now_us - 5_000_000, sent_us=now_us - 5_400_000)}
    desk.watched.said = Watched([test_watched.INCIDENT], [test_watched.LOSSES], test_watched.REPORT)
    desk.alarms.statuses["home-1"] = HomeStatus(home_id="home-1")
    seen = ModelSeen("sound", "sound-1", 12, now_us)
    stores.warehouse.seen = [seen]  # type: ignore[union-attr]
    put_letters(tmp_path, "a", ("signature", "BadInput", now_us - 10), ("schema", "BadInput", now_us - 20))
    put_letters(tmp_path, "b", ("signature", "BadInput", now_us - 3 * HOUR_US))
    put_letters(tmp_path, "c", ("signature", "BadInput", now_us - 30 * HOUR_US))
    answer = state(desk)
    assert answer["path"]["as_of_us"] == now_us
    assert answer["path"]["value"]["urgent"]["sent_us"] == now_us - 5_400_000
    assert [i["homes"] for i in answer["watched"]["value"]["incidents"]] == [212]
    losses = answer["watched"]["value"]["losses"]
    assert [(one["reason"], one["batches"]) for one in losses] == [("unexplained", 2), ("outbox_full", 4)]
    found = [(r["stage"], r["hour"], r["day"]) for r in answer["letters"]["value"]["reasons"]]
    assert found == [("signature", 1, 2), ("schema", 1, 1)]
    assert answer["models"]["value"] == {"homes": 1, "seen": [seen._asdict()]}


def test_a_silent_part_is_said_to_be_silent_and_hides_no_other(desk: Desk, stores: Stores) -> None:
    desk.watched.down = True
    stores.warehouse.down = True  # type: ignore[union-attr]
    desk.alarms.statuses["home-1"] = HomeStatus(home_id="home-1")
    answer = state(desk)
    assert "told to be down" in answer["watched"]["error"]
    assert "value" not in answer["models"]
    assert answer["letters"]["value"] == {"reasons": [], "more": False}
    assert answer["path"]["value"] == {}


def test_what_is_not_configured_is_not_drawn_as_zero(desk: Desk) -> None:
    answer = state(desk)
    assert (answer["letters"]["value"], answer["models"]["value"]) == (None, None)


def test_twenty_pages_ask_the_stores_once(desk: Desk, stores: Stores) -> None:
    desk.alarms.statuses["home-1"] = HomeStatus(home_id="home-1")
    for _ in range(20):
        state(desk)
    assert stores.warehouse.asked == 1  # type: ignore[union-attr]
    desk.clock.pass_s(61)
    state(desk)
    assert stores.warehouse.asked == 2  # type: ignore[union-attr]


def test_a_silent_warehouse_is_not_asked_again_by_each_page(desk: Desk, stores: Stores) -> None:
    desk.alarms.statuses["home-1"] = HomeStatus(home_id="home-1")
    stores.warehouse.down = True  # type: ignore[union-attr]
    for _ in range(20):
        assert "error" in state(desk)["models"]
    assert stores.warehouse.asked == 1  # type: ignore[union-attr]
    desk.clock.pass_s(FAILED_S)
    stores.warehouse.down = False  # type: ignore[union-attr]
    assert state(desk)["models"]["value"]["homes"] == 1


def test_a_page_does_not_wait_for_what_another_has_asked(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webapp.operations.WAIT_S", 0.01)
    shared, asked, go = Shared(desk.clock), threading.Event(), threading.Event()

    def slow() -> str:
        asked.set()
        assert go.wait(10)
        return "late"

    asking = threading.Thread(target=shared.answer, args=("q", 60, slow))
    asking.start()
    assert asked.wait(10)
    assert shared.answer("q", 60, slow) == {"error": "No answer yet."}
    go.set()
    asking.join()
    assert shared.answer("q", 60, slow)["value"] == "late"


def test_an_unreadable_letter_file_is_passed_over(desk: Desk, tmp_path: Path) -> None:
    now_us = desk.clock()
    put_letters(tmp_path, "good", ("schema", "BadInput", now_us))
    (tmp_path / partition(now_us) / "bad.avro").write_bytes(b"not Avro")
    found = DeadLetters(open_folder(str(tmp_path))).rejected(now_us)
    assert [r.day for r in found.reasons] == [1]


def test_more_letters_than_can_be_read_are_said_to_be_more(desk: Desk, tmp_path: Path) -> None:
    now_us = desk.clock()
    for i in range(MAX_OBJECTS + 1):
        put_letters(tmp_path, f"{i:04d}", ("schema", "BadInput", now_us))
    found = DeadLetters(open_folder(str(tmp_path))).rejected(now_us)
    assert (found.more, found.reasons[0].day) == (True, MAX_OBJECTS)


def test_no_name_leads_out_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    (tmp_path / "outside.avro").write_bytes(b"x")
    with pytest.raises(Exception, match="no object"):
        open_folder(str(tmp_path / "inside")).read("../outside.avro")


# ---- engineers


def test_engineer_begins_at_operations_and_is_kept_from_alarms(desk: Desk) -> None:
    browser = desk.browser()
    assert browser.sign_in("erik").get_json()["page"] == "/operations/"
    assert browser.get("/sign-in").location == "/operations/"
    assert desk.browser().sign_in("anna").get_json()["page"] == "/"
    alarm = make_alarm("home-0001", Code.SMOKE, desk.clock(), 5)
    desk.alarms.put(alarm)
    for path in ("/", "/stream", "/watched", f"/alarms/{alarm.alarm_id}", "/report", "/report.csv"):
        assert browser.get(path).status_code == 403, path
    for action in ("claim", "note", "close", "cancel", "take-over", "dispatch", "reopen"):
        assert browser.post(f"/alarms/{alarm.alarm_id}/{action}").status_code == 403, action
    assert browser.post("/homes/home-0001/test", {"minutes": 30, "reason": "x"}).status_code == 403
    assert desk.alarms.alarm(alarm.alarm_id).state == "new"


def test_engineer_sees_homes_without_anything_personal(desk: Desk) -> None:
    home, now_us = "home-0001", desk.clock()
    desk.alarms.add_home(DirectoryEntry(home_id=home, address=SECRET, phones=[SECRET], contacts=[SECRET]))
    desk.alarms.statuses[home] = HomeStatus(home_id=home, software_version="1.4.2")
    desk.alarms.tests[home] = OnTest(
        home_id=home, until_us=now_us + 60_000_000, since_us=now_us, by="u", reason=SECRET
    )
    closed = {"state": "closed", "close_out": "false_cooking", "close_note": SECRET}
    desk.alarms.put(make_alarm(home, Code.SMOKE, now_us, 60, **closed))
    erik = desk.browser("erik")
    page = erik.get(f"/homes/{home}")
    assert page.status_code == 200
    assert "1.4.2" in page.text
    assert "On test" in page.text
    assert "Cooking" in page.text
    assert SECRET not in page.text
    assert home in erik.get("/homes/?q=home-").text
    assert SECRET not in erik.get("/homes/?q=home-").text
    assert f'href="/homes/{home}"' not in erik.get(f"/homes/?q={SECRET}").text
    assert SECRET in desk.browser("anna").get(f"/homes/{home}").text


def test_home_tells_its_path_its_losses_and_its_models(desk: Desk, stores: Stores) -> None:
    now_us = desk.clock()
    desk.alarms.statuses["home-1"] = HomeStatus(home_id="home-1")
    desk.watched.paths["home-1"] = test_watched.FAILING
    desk.watched.said = Watched([], [test_watched.LOSSES], None)
    stores.warehouse.seen = [ModelSeen("air", "air-3", 9, now_us)]  # type: ignore[union-attr]
    over = {"state": "closed", "close_out": "real", "restored_us": now_us}
    desk.alarms.put(make_alarm("home-1", Code.PATH_FAILURE, now_us, 600, **over))
    page = desk.browser("anna").get("/homes/home-1").text
    for words in (
        "not heard since",
        "unexplained",
        "outbox full",
        "air air-3 (9 readings)",
        "Home not heard",
    ):
        assert words in page
    stores.warehouse.down = True  # type: ignore[union-attr]
    assert "The warehouse does not answer." in desk.browser("anna").get("/homes/home-1").text


def test_every_page_has_the_way_out(desk: Desk) -> None:
    desk.alarms.statuses["home-1"] = HomeStatus(home_id="home-1")
    ben = desk.browser("ben")
    for path in ("/", "/homes/", "/homes/home-1", "/operations/", "/report"):
        assert 'id="sign-out"' in ben.get(path).text, path
