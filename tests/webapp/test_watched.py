"""What supervision found, as the page asks for it."""

from __future__ import annotations

from typing import Any

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import firestore

from schemas.incidents import HomeLosses, HomePath, Incident, Loss, PathState, Supervision
from tests.webapp.conftest import Desk
from transforms.supervision_store import FirestoreSupervision
from webapp.errors import NotFound
from webapp.watched import FirestoreWatched, Watched

NOW_US = 1_790_000_000_000_000
INCIDENT = Incident(
    incident_id="incident-1",
    region="Ost",
    operator="",
    headline="212 homes offline, Ost, one operator",
    homes=212,
    since_us=NOW_US - 300_000_000,
    opened_us=NOW_US - 100_000_000,
    updated_us=NOW_US,
)


def loss(first: int, last: int, reason: str) -> Loss:
    return Loss(
        gateway_id="gw-1",
        epoch="aa",
        first_seq=first,
        last_seq=last,
        from_us=1,
        to_us=2,
        reason=reason,
        state="open",
    )


LOSSES = HomeLosses(
    home_id="home-1",
    unexplained=1,
    batches=6,
    losses=[loss(3, 4, "unexplained"), loss(6, 9, "outbox_full")],
    updated_us=NOW_US,
)
REPORT = Supervision(homes=20, silent=1, roster_us=NOW_US, as_of_us=NOW_US)
FAILING = HomePath(path_state=PathState.PATH_FAIL, path_since_us=NOW_US - 300_000_000)


def test_the_page_learns_of_incidents_losses_and_the_path_of_the_home_it_shows(desk: Desk) -> None:
    desk.watched.said = Watched([INCIDENT], [LOSSES], REPORT)
    desk.watched.paths["home-1"] = FAILING
    browser = desk.browser("anna")
    answer: dict[str, Any] = browser.get("/watched?home=home-1").get_json()
    assert [one["headline"] for one in answer["incidents"]] == ["212 homes offline, Ost, one operator"]
    assert answer["losses"] == {"homes": 1, "batches": 2}  # what was declared is no mystery
    assert answer["supervision"]["silent"] == 1
    assert answer["path"] == {"path_state": "PATH_FAIL", "path_since_us": FAILING.path_since_us}
    assert browser.get("/watched").get_json()["path"] is None


def test_a_silent_database_is_said_and_not_taken_for_peace(desk: Desk) -> None:
    desk.watched.down = True
    response = desk.browser("anna").get("/watched")
    assert response.status_code == 503
    assert "incidents" not in response.get_json()


@pytest.mark.system
def test_what_the_pipeline_writes_is_what_the_page_reads(firestore_host: str, monkeypatch: Any) -> None:
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", firestore_host)
    client = firestore.Client("demo-watched", credentials=AnonymousCredentials())
    pipeline, page = FirestoreSupervision(client), FirestoreWatched(client)
    assert page.watched() == Watched([], [], None)
    pipeline.put_incident(INCIDENT)
    pipeline.put_incident(INCIDENT.model_copy(update={"homes": 1, "updated_us": NOW_US - 1}))
    pipeline.put_part("incident-1", "1-0", ["home-1", "home-2"])
    pipeline.put_losses(LOSSES)
    pipeline.put_report(REPORT)
    client.document("homes/home-1").set({"home_id": "home-1", "armed_mode": "away"})
    pipeline.put_paths({"home-1": FAILING, "home-2": FAILING})
    assert page.watched() == Watched([INCIDENT], [LOSSES], REPORT)
    assert page.path("home-1") == FAILING
    assert pipeline.paths(["home-1", "home-3"]) == {"home-1": FAILING}
    assert client.document("homes/home-1").get().to_dict()["armed_mode"] == "away"
    assert page.path("home-9") is None
    with pytest.raises(NotFound):
        page.path("a/b")
    over = INCIDENT.model_copy(update={"restored_us": NOW_US + 1, "updated_us": NOW_US + 1})
    pipeline.put_incident(over)
    pipeline.put_losses(LOSSES.model_copy(update={"unexplained": 0, "updated_us": NOW_US + 1}))
    assert page.watched() == Watched([], [], REPORT)
    client.close()
