"""The command that checks the audit trail, on a trail that somebody with full access tampers with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from schemas.events import Code
from tests.webapp import acting, emulators
from tests.webapp.seed import make_alarm
from webapp import audit, verify_audit
from webapp.app import firestore_client
from webapp.audit import Record, Trail
from webapp.lifecycle import Actor
from webapp.repository import AlarmRepository

NOW = 1_790_000_000_000_000
PROJECT = "demo-verify-audit"
ANNA = Actor("u-anna", "Anna")


def test_head_that_was_seen_before_its_entry_is_no_fault() -> None:
    record = Record("alarm:a", NOW, "u", "dispatcher", "noted", "a")
    entry = audit.link(None, record)
    looks = [Trail([], [audit.head_of(entry)], []), Trail([entry], [audit.head_of(entry)], [])]

    class Store:
        def read(self) -> Trail:
            return looks.pop(0)

    assert verify_audit.faults_of(Store()) == (Trail([entry], [audit.head_of(entry)], []), [])


@pytest.mark.parametrize("given", ["7", "x:00", "1:abc"])
def test_malformed_witness_is_said_so(given: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        verify_audit.main(["--witness", given])
    assert "is not SEQ:HASH" in capsys.readouterr().err


def test_silent_database_is_exit_status_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", f"127.0.0.1:{emulators.free_port()}")
    assert verify_audit.main(["--project-id", PROJECT]) == 2
    assert "cannot read the audit trail" in capsys.readouterr().err


@pytest.fixture
def client(firestore_host: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A database in which Anna claimed, noted and closed an alarm, with an anchor over it."""
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", firestore_host)
    client = firestore_client(PROJECT)
    for name in ("alarms", "open", "labels", "audit", "audit_heads", "audit_anchors"):
        client.recursive_delete(client.collection(name))
    repository = AlarmRepository(client)
    alarm = make_alarm("home-0001", Code.SMOKE, NOW, 5)
    client.collection("alarms").document(alarm.alarm_id).set(alarm.document())
    acting.claim(repository, alarm.alarm_id, ANNA, NOW)
    acting.close(repository, alarm.alarm_id, ANNA, 1, "test", "", NOW + 1)
    assert repository.anchor(NOW + 2)
    yield client
    client.close()  # type: ignore[no-untyped-call]


@pytest.mark.system
@pytest.mark.usefixtures("client")
def test_whole_trail_is_exit_status_0_and_names_the_last_anchor(capsys: pytest.CaptureFixture[str]) -> None:
    assert verify_audit.main(["--project-id", PROJECT]) == 0
    said = capsys.readouterr().out
    assert "2 entries in 1 chains, last anchor 1:" in said
    witness = said.split("last anchor ")[1].split(":")[1][:64]
    assert verify_audit.main(["--project-id", PROJECT, "--witness", f"1:{witness}"]) == 0
    assert verify_audit.main(["--project-id", PROJECT, "--witness", f"1:{'0' * 64}"]) == 1


@pytest.mark.system
@pytest.mark.parametrize(
    ("tamper", "says"),
    [
        (lambda entry: entry.reference.update({"user": "u-ben"}), "was edited"),
        (lambda entry: entry.reference.update({"note": "x"}), "cannot be read"),
        (lambda entry: entry.reference.delete(), "is not the one that anchor 1 saw"),
        (lambda entry: entry.reference.parent.document("extra").set(entry.to_dict()), "cannot be read"),
    ],
    ids=["edited", "field added", "removed", "copied"],
)
def test_tampering_in_the_database_is_exit_status_1(
    client: Any, tamper: Any, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    tamper(max(client.collection("audit").stream(), key=lambda s: s.id))
    assert verify_audit.main(["--project-id", PROJECT]) == 1
    assert says in capsys.readouterr().out
