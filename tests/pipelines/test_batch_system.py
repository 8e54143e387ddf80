"""Compaction, replay and erasure against the stand-ins: object storage, BigQuery, Firestore, Pub/Sub."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import firestore
from google.pubsub_v1 import SubscriberClient

from local import credentials, emulators, install, parts, topics
from local.config import Settings, isolated
from pipelines import compact, disagreements, erase, replay
from schemas.alarms import CloseOutCode, OwnerSaid
from schemas.events import AlarmKind, Code
from schemas.labels import Label
from schemas.warehouse import LEDGER, TABLES, current_sql
from tests.archives import minute_message, write_landing
from tests.fakes import NOW_US, Fleet
from tests.pipelines.test_compact import everything
from tests.transforms.test_resend_dead_letters import write_letters
from tests.webapp.seed import make_alarm
from transforms.compacted import manifests
from transforms.home_search import HomeSearch
from transforms.warehouse_loads import bigquery_client

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

HOME, OTHER = "home-0001", "home-0002"
MINUTE_US = 60_000_000


class Cloud(NamedTuple):
    """The stand-ins, and where the archive lies in them."""

    settings: Settings
    fleet: Fleet
    ca: str
    root: str
    store: firestore.Client

    @property
    def warehouse(self) -> str:
        return f"bigquery://{self.settings.project}.{self.settings.dataset}"

    def compact(self, *more: str) -> int:
        return compact.main(
            [
                f"--archive={self.root}/archive",
                f"--output={self.root}/compacted",
                f"--fleet-ca={self.ca}",
                f"--warehouse={self.warehouse}",
                *more,
            ]
        )

    def query(self, sql: str) -> list[dict[str, Any]]:
        client = bigquery_client(self.settings.project)
        try:
            return [dict(row) for row in client.query(sql, timeout=30).result(timeout=30)]
        finally:
            client.close()

    def objects(self) -> dict[str, bytes]:
        """Name → bytes of everything in object storage, read from the stand-in's own folder."""
        folder = self.settings.data / "gcs" / ".cloudstorage" / self.settings.bucket
        files = (path for path in folder.rglob("*") if path.is_file())
        return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    settings = isolated(tmp_path_factory.mktemp("batch"))
    install.ensure_warehouse(settings, print)
    settings.run.mkdir(parents=True, exist_ok=True)
    credentials.write(settings)
    fleet = Fleet(3)
    (settings.run / "ca.pem").write_bytes(fleet.ca_pem)
    wanted = {"pubsub", "firestore", "gcs", "bigquery"}
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        for name, value in emulators.client_environment(settings).items():
            patch.setenv(name, value)
        for part in parts.stand_ins(settings):
            if part.name in wanted:
                stack.enter_context(parts.running(part, settings))
        store = firestore.Client(settings.project, credentials=AnonymousCredentials())
        stack.callback(store.close)
        root = f"gs://{settings.bucket}/monitor"
        yield Cloud(settings, fleet, str(settings.run / "ca.pem"), root, store)


def seed_documents(store: firestore.Client) -> None:
    """Two homes' documents as pipeline and console leave them, and an incident of both."""
    for home in (HOME, OTHER):
        store.document(f"homes/{home}").set({"home_id": home, "armed_mode": "away"})
        store.document(f"directory/{home}").set({"home_id": home, "address": "Somewhere 1"})
        store.document(f"alarms/fire-{home[-1]}").set({"home_id": home, "state": "closed"})
        store.document(f"alarms/fire-{home[-1]}/evidence/e{home[-1]}").set({"home_id": home})
        store.document(f"alarms/fire-{home[-1]}/history/1").set({"action": "claimed"})
        store.document(f"evidence/e{home[-1]}").set({"alarm_id": f"fire-{home[-1]}"})
        store.document(f"open/{home}~fire").set({"home_id": home, "kind": "fire"})
        store.document(f"audit/home:{home}~00000001").set({"chain": f"home:{home}", "target": home})
        label = Label(
            alarm_id=f"fire-{home[-1]}",
            home_id=home,
            kind=AlarmKind.FIRE,
            code=110,
            close_out=CloseOutCode.REAL,
            from_us=NOW_US + 3 * MINUTE_US,
            to_us=NOW_US + 4 * MINUTE_US,
            closed_us=NOW_US + 60 * MINUTE_US,
        )
        store.document(f"labels/{label.label_id}").set(label.document())
    said = OwnerSaid(kind="it_was_me", user="u-1", at_us=NOW_US + 4 * MINUTE_US)
    alarm = make_alarm(OTHER, Code.SMOKE, NOW_US + 3 * MINUTE_US, 5, state="closed", owner_said=said)
    store.document("alarms/fire-2").set({**alarm.document(), "alarm_id": "fire-2"})
    entries = [{"home_id": HOME, "at_us": 1}, {"home_id": OTHER, "at_us": 2}]
    store.document("incidents/1").set({"homes": [HOME, OTHER], "entries": entries})


def test_compact_twice_then_replay_then_erase(cloud: Cloud, capsys: Any) -> None:
    """One story: an archive with everything bad in it, dead letters after a fix, a home that leaves."""
    first, second = cloud.fleet.gateway(1), cloud.fleet.gateway(2)
    write_landing(f"{cloud.root}/archive", everything(first, second), "0")
    seed_documents(cloud.store)
    labels = f"--labels=firestore://{cloud.settings.project}"

    # Compact: once, and once more.
    assert cloud.compact("--training", labels, "--sample=0") == 0
    before = cloud.objects()
    assert cloud.compact("--training", labels, "--sample=0") == 0
    assert cloud.objects() == before

    # The ledger is exact in the warehouse.
    shown = "home_id, expected, received, duplicate, declared, unexplained, conflicts"
    rows = cloud.query(
        f"SELECT {shown} FROM ({current_sql(cloud.settings.dataset, LEDGER)}) ORDER BY home_id"
    )
    assert [tuple(row.values()) for row in rows] == [(HOME, 8, 6, 1, 1, 1, 1), (OTHER, 3, 3, 0, 0, 0, 0)]
    training = cloud.query(
        f"SELECT home_id, COUNT(*) AS n, COUNT(DISTINCT reading_id) AS ids, COUNT(payload) AS payloads "
        f"FROM {cloud.settings.dataset}.training_readings GROUP BY home_id ORDER BY home_id"
    )
    assert [tuple(row.values()) for row in training] == [(HOME, 6, 6, 5), (OTHER, 3, 3, 3)]

    # Labels are there once, and who disagrees is told.
    assert cloud.query(f"SELECT COUNT(*) AS n FROM {cloud.settings.dataset}.labels") == [{"n": 3}]
    capsys.readouterr()
    assert disagreements.main([f"--warehouse={cloud.warehouse}"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "2026-03-01 12:03 home-0002 fire-2: dispatcher says real, owner says false_user",
        "1 disagreements",
    ]

    # Dead letters go back once.
    good = minute_message(second, 4)
    letters = cloud.settings.run / "dead_letters"
    write_letters(letters, (good, "reading", "was a mistake of ours", 0))
    send = ["dead-letters", f"--from={letters}", f"--to=pubsub://{cloud.settings.project}"]
    assert replay.main(send) == 0
    assert replay.main(send) == 0
    assert "0 messages sent, 1 were sent before" in capsys.readouterr().out
    assert [(data, lane) for data, lane in pulled(cloud)] == [(good.payload, "minutes")]

    # A home leaves.
    report = Path(cloud.settings.run / "report.json")
    options = [
        f"--home={HOME}",
        "--folders",
        f"{cloud.root}/archive",
        str(letters),
        f"--compacted={cloud.root}/compacted",
        f"--alarms=firestore://{cloud.settings.project}",
        f"--warehouse={cloud.warehouse}",
        f"--report={report}",
        "--signed-off-by=privacy@example.com",
    ]
    assert erase.main(options) == 0
    told = json.loads(report.read_text())
    assert told["proven"] is True
    assert told["kept"] == {f"firestore://{cloud.settings.project}": 1}  # the audit trail
    search = HomeSearch(HOME)
    assert [
        name for name, data in cloud.objects().items() if search.in_bytes(name.encode() + b" " + data)
    ] == []
    counts = [
        cloud.query(f"SELECT COUNT(*) AS n FROM {cloud.settings.dataset}.{table} WHERE home_id = '{HOME}'")
        for table in (LEDGER.name, TABLES["training_readings"].name)
    ]
    assert counts == [[{"n": 0}], [{"n": 0}]]
    documents = {s.reference.path: s.to_dict() for c in cloud.store.collections() for s in c.stream()}
    named = {path for path, document in documents.items() if search.in_value([path, document])}
    assert named == {f"audit/home:{HOME}~00000001"}
    assert documents["incidents/1"] == {"homes": [OTHER], "entries": [{"home_id": OTHER, "at_us": 2}]}
    assert {"homes/home-0002", "alarms/fire-2", "evidence/e2", "open/home-0002~fire"} <= set(documents)
    assert "evidence/e1" not in documents
    (manifest,) = manifests(f"{cloud.root}/compacted").values()
    assert (manifest.counts.kept, manifest.counts.erased) == (6, 7)


def pulled(cloud: Cloud) -> list[tuple[bytes, str]]:
    """Everything in the minutes lane's subscription: payload and lane attribute."""
    name = f"projects/{cloud.settings.project}/subscriptions/{topics.subscription('minutes')}"
    found = []
    with SubscriberClient() as client:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            answer = client.pull(subscription=name, max_messages=10, timeout=5)
            found += [(m.message.data, m.message.attributes["lane"]) for m in answer.received_messages]
            if found:
                break
    return found
