"""The notifier on a Firestore emulator and a loopback recorder, with the real firebase-admin."""

from __future__ import annotations

import datetime as dt
import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from local import fcm
from schemas.alarms import Alarm
from schemas.events import Code
from schemas.owners import Device, Told
from tests.webapp import acting, emulators
from tests.webapp.seed import make_alarm
from webapp import handling
from webapp.app import firestore_client, now_us
from webapp.delivery import Delivery
from webapp.lifecycle import Actor
from webapp.notifier import Notifier
from webapp.outbox import Outbox
from webapp.push_sender import Fate, FcmSender
from webapp.repository import AlarmRepository

pytestmark = pytest.mark.system
PROJECT = "demo-notifier-tests"
HOME = "home-0001"
ANNA = Actor("u-anna", "Anna")
WITHIN_S = 10.0


@pytest.fixture(scope="module")
def recorder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[fcm.Recorder]:
    """The recorder, and credentials that make firebase-admin use it."""
    folder = tmp_path_factory.mktemp("fcm")
    server = fcm.Recorder(0, folder / "pushes.jsonl")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    key = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    document = folder / "account.json"
    document.write_text(json.dumps(fcm.credentials_document(server.server_port, key.decode())))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(document))
        yield server
    server.shutdown()


@pytest.fixture(scope="module")
def sender(recorder: fcm.Recorder) -> FcmSender:
    return FcmSender(PROJECT, f"http://127.0.0.1:{recorder.server_port}{fcm.ENDPOINT}")


class System:
    """Database, recorder and notifiers of one test."""

    def __init__(self, client: Any, recorder: fcm.Recorder, sender: FcmSender) -> None:
        self.client, self.recorder, self.sender = client, recorder, sender
        self.repository = AlarmRepository(client)
        self.running: list[Notifier] = []

    def start(self) -> Notifier:
        outbox = Outbox(self.client)
        delivery = Delivery(outbox, self.sender, now_us, lambda: 0.0)
        made = Notifier(self.repository, outbox, delivery, now_us)
        made.start()
        self.running.append(made)
        return made

    def stop(self) -> None:
        while self.running:
            self.running.pop().stop()

    def phone(self, token: str, user: str = "u-owner", home: str = HOME) -> None:
        now = dt.datetime.now(dt.UTC)
        device = Device(
            home_id=home, user=user, token=token, language="en", consent_version=1, updated_at=now
        )
        self.path(f"homes/{home}/devices/device-{token}").set(device.model_dump())

    def raise_alarm(self, code: Code = Code.SMOKE, **fields: Any) -> Alarm:
        alarm = make_alarm(fields.pop("home", HOME), code, now_us(), 0, **{"room": "kitchen", **fields})
        self.path(f"alarms/{alarm.alarm_id}").set(alarm.document())
        return alarm

    def say(self, alarm: Alarm, kind: str, note: str = "", user: str = "u-owner") -> str:
        """As the app writes it; returns where."""
        path = f"homes/{HOME}/said/{alarm.alarm_id}~{kind}~{user}"
        said = {
            **{"schema_version": 1, "home_id": HOME, "alarm_id": alarm.alarm_id, "user": user},
            **{"kind": kind, "note": note, "taken": False, "said_at": dt.datetime.now(dt.UTC)},
        }
        self.path(path).set(said)
        return path

    def path(self, path: str) -> Any:
        return self.client.document(path)

    def told(self, alarm: Alarm) -> Told | None:
        document = self.path(f"homes/{alarm.home_id}/told/{alarm.alarm_id}").get().to_dict()
        return Told.model_validate(document) if document else None

    def pushes(self, token: str, status: int = 200) -> list[dict[str, str]]:
        """What the phone got, in order."""
        lines = [line for line in list(self.recorder.pushes) if line["message"]["token"] == token]
        return [line["message"]["data"] for line in lines if line["status"] == status]

    def outbox(self) -> dict[str, dict[str, Any]]:
        return {s.id: s.to_dict() for s in self.client.collection("outbox").stream()}


@pytest.fixture
def system(firestore_host: str, recorder: fcm.Recorder, sender: FcmSender) -> Iterator[System]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FIRESTORE_EMULATOR_HOST", firestore_host)
        client = firestore_client(PROJECT)
        for collection in client.collections():
            client.recursive_delete(collection)
        recorder.pushes.clear()
        made = System(client, recorder, sender)
        yield made
        made.stop()
        client.close()  # type: ignore[no-untyped-call]


def until(what: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + WITHIN_S
    while not (found := what()):
        assert time.monotonic() < deadline, f"not within {WITHIN_S} s"
        time.sleep(0.02)
    return found


def test_an_alarm_is_told_pushed_and_marked(system: System) -> None:
    system.phone("t-1")
    system.phone("t-other", home="home-0002")
    system.start()
    alarm = system.raise_alarm()
    pushed = until(lambda: system.pushes("t-1"))
    assert pushed[0]["title"] == "Smoke in the kitchen"
    assert system.pushes("t-other") == []
    told = system.told(alarm)
    assert told is not None
    assert told.code == Code.SMOKE
    until(lambda: [p for p in system.outbox().values() if p["state"] == "handed_over"])
    mark = system.repository.alarm(alarm.alarm_id).push
    assert mark is not None
    assert (mark.owners, mark.moments) == (1, ["opened"])


def test_an_owner_follows_how_it_is_handled(system: System) -> None:
    system.phone("t-1")
    system.start()
    alarm = system.raise_alarm()
    until(lambda: system.pushes("t-1"))
    claimed = acting.claim(system.repository, alarm.alarm_id, ANNA, now_us())
    until(lambda: (told := system.told(alarm)) and told.seen_us)
    system.repository.apply(
        alarm.alarm_id,
        ANNA,
        lambda a: handling.dispatch(a, ANNA, claimed.fence, "fire_brigade", now_us()),
    )
    until(lambda: len(system.pushes("t-1")) == 2)
    acting.close(system.repository, alarm.alarm_id, ANNA, claimed.fence, "real", "", now_us())
    until(lambda: len(system.pushes("t-1")) == 3)
    assert [push["moment"] for push in system.pushes("t-1")] == ["opened", "help_sent", "ended"]
    assert {push["tag"] for push in system.pushes("t-1")} == {alarm.alarm_id}
    told = system.told(alarm)
    assert told is not None
    assert told.close_out == "real"
    acting.reopen(system.repository, alarm.alarm_id, ANNA, "smoke again", now_us())
    until(lambda: len(system.pushes("t-1")) == 4)
    assert system.pushes("t-1")[-1]["title"] == "Not over: Smoke in the kitchen"
    again = acting.claim(system.repository, alarm.alarm_id, ANNA, now_us())
    acting.close(system.repository, alarm.alarm_id, ANNA, again.fence, "real", "", now_us())
    until(lambda: len(system.pushes("t-1")) == 5)


def test_two_notifiers_push_once(system: System) -> None:
    system.phone("t-1")
    system.start()
    system.start()
    alarms = [system.raise_alarm(Code.SMOKE, alarm_id=f"fire-{n}") for n in range(10)]
    until(lambda: len(system.pushes("t-1")) >= len(alarms))
    time.sleep(1.5)
    assert sorted(push["tag"] for push in system.pushes("t-1")) == sorted(a.alarm_id for a in alarms)


def test_what_was_in_the_outbox_when_a_notifier_died_is_pushed_by_the_next(system: System) -> None:
    system.phone("t-1")
    alarm = system.raise_alarm()
    died = Notifier(system.repository, Outbox(system.client), _Dies(), now_us)  # type: ignore[arg-type]
    died.changed(alarm).result()
    [(key, waiting)] = system.outbox().items()
    assert waiting["state"] == "waiting"
    system.path(f"outbox/{key}").update({"lease_us": 0, "due_us": 0})  # as if its time were over
    system.start()
    assert until(lambda: system.pushes("t-1"))


class _Dies:
    def deliver(self, *_: Any) -> None:
        """Killed before it could."""


def test_an_alarm_that_came_and_went_while_no_notifier_ran_is_told_by_its_end(system: System) -> None:
    system.phone("t-1")
    system.path("operations/notifier").set({"alive_us": now_us() - 60_000_000})
    alarm = system.raise_alarm(state="closed", closed_us=now_us(), close_out="false_cooking")
    system.start()
    assert until(lambda: system.pushes("t-1"))[0]["moment"] == "ended"
    told = system.told(alarm)
    assert told is not None
    assert told.closed_us is not None


def test_a_dead_token_is_removed_and_a_busy_service_is_tried_again(system: System) -> None:
    for token in ("gone-1", "busy-2-x", "t-1"):
        system.phone(token)
    system.start()
    system.raise_alarm()
    until(lambda: system.pushes("busy-2-x"))
    assert len(system.pushes("busy-2-x", status=429)) == 2
    assert len(system.pushes("t-1")) == 1, "who was reached is left out"
    assert not system.path(f"homes/{HOME}/devices/device-gone-1").get().exists
    assert system.path(f"homes/{HOME}/devices/device-busy-2-x").get().exists


def test_what_an_owner_says_is_in_the_alarm_at_once_and_seen_by_both(system: System) -> None:
    system.phone("t-1")
    system.start()
    alarm = system.raise_alarm()
    until(lambda: system.told(alarm))
    path = system.say(alarm, "help", "<b>upstairs</b>")
    until(lambda: (word := system.repository.alarm(alarm.alarm_id).owner_said) and word.kind == "help")
    until(lambda: (told := system.told(alarm)) and told.owner_words)
    until(lambda: system.path(path).get().to_dict()["taken"])
    [entry] = [e for e in system.repository.history(alarm.alarm_id) if e["action"] == "help"]
    assert entry["note"] == "<b>upstairs</b>"


def test_help_for_what_a_newer_alarm_has_replaced_is_said_of_that_one(system: System) -> None:
    ended = system.raise_alarm(state="closed", closed_us=now_us(), close_out="false_cooking")
    newer = system.raise_alarm(alarm_id="fire-newer")
    system.path(f"open/{HOME}~fire").set({"alarm_id": newer.alarm_id, "state": "open"})
    system.start()
    path = system.say(ended, "help")
    until(lambda: system.path(path).get().to_dict()["taken"])
    word = system.repository.alarm(newer.alarm_id).owner_said
    assert word is not None
    assert word.kind == "help"


def test_a_word_about_another_homes_alarm_is_not_taken_over(system: System) -> None:
    system.start()
    alarm = system.raise_alarm(home="home-0002")
    path = system.say(alarm, "help")
    until(lambda: system.path(path).get().to_dict()["taken"])
    assert system.repository.alarm(alarm.alarm_id).owner_said is None


class _Deaf:
    active = True

    def close(self) -> None:
        """Nothing to close."""


def test_a_listener_that_went_deaf_costs_seconds(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webapp.notifier.COMPARE_S", 1.0)
    monkeypatch.setattr(system.repository, "watch", lambda _on_change: _Deaf())
    system.phone("t-1")
    system.start()
    time.sleep(0.5)  # past the first comparison
    system.raise_alarm()
    assert until(lambda: system.pushes("t-1"))


def test_what_the_service_answers_decides_what_becomes_of_a_push(sender: FcmSender) -> None:
    fates = {token: sender.send(token, {"title": "x"}, "a").fate for token in ("t", "gone-9", "bad-9")}
    assert fates == {"t": Fate.TAKEN, "gone-9": Fate.GONE, "bad-9": Fate.REFUSED}


def test_a_service_that_asks_to_wait_does_not_hold_up_the_sender(sender: FcmSender) -> None:
    began = time.monotonic()
    for token in ("busy-99-held", "down-99-held"):
        assert sender.send(token, {"title": "x"}, "a").fate is Fate.LATER
    assert sender.send("busy-99-held", {"title": "x"}, "a").wait_s == fcm.RETRY_AFTER_S
    assert time.monotonic() - began < fcm.RETRY_AFTER_S


def test_a_phone_that_came_back_is_not_forgotten_by_a_late_answer(system: System) -> None:
    outbox = Outbox(system.client)
    system.phone("t-new")
    path = system.path(f"homes/{HOME}/devices/device-t-new")
    assert not outbox.forget_device(HOME, "device-t-new", "t-old")
    assert path.get().exists
    assert outbox.forget_device(HOME, "device-t-new", "t-new")
    assert not path.get().exists
    assert outbox.forget_device(HOME, "device-t-new", "t-new"), "and twice is once"


def test_of_several_pushes_of_an_alarm_a_phone_that_was_off_gets_the_newest(
    sender: FcmSender, recorder: fcm.Recorder
) -> None:
    sender.send("t-topic", {"title": "x"}, "alarm-1")
    sender.send("t-topic", {"title": "y"}, "alarm-1")
    messages = [line["message"] for line in recorder.pushes if line["message"]["token"] == "t-topic"]
    topics = {message["webpush"]["headers"]["Topic"] for message in messages}
    assert len(topics) == 1
    assert len(topics.pop()) == 32, "the web push protocol allows 32 characters"
    assert {message["android"]["collapse_key"] for message in messages} == {
        message["webpush"]["headers"]["Topic"] for message in messages
    }


def test_a_dead_endpoint_is_tried_later(recorder: fcm.Recorder) -> None:
    assert recorder.server_port
    port = emulators.free_port()
    broken = FcmSender(f"{PROJECT}-dead", f"http://127.0.0.1:{port}{fcm.ENDPOINT}")
    assert broken.send("t", {"title": "x"}, "a").fate is Fate.LATER
