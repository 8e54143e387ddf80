"""Simulated homes, their real gateways and a real broker; only Pub/Sub is a list."""

import json
import threading
import time
from collections import Counter

import paho.mqtt.client as mqtt
import pytest
from cryptography import x509
from paho.mqtt.enums import CallbackAPIVersion

from local import parts
from local.config import HOST, isolated
from local.simulator import host
from local.simulator.enrol import enrol
from local.simulator.publisher import SensorPublisher
from local.simulator.settings import SimulationSettings
from schemas import hearthwatch_v1_pb2 as pb
from schemas.envelope import open_body, parse_envelope, verify_signature
from schemas.events import Category, meaning
from schemas.identity import read_certificate
from schemas.readings import check_reading
from tests.local.simulator.test_enrol import NOW

pytestmark = pytest.mark.system


class ListPublisher:
    """Confirms everything and keeps it."""

    def __init__(self):
        self.lock, self.messages = threading.Lock(), []

    def publish(self, topic, data, attributes, timeout_s):
        assert timeout_s > 0
        with self.lock:
            self.messages.append((topic, data, dict(attributes)))
            return str(len(self.messages))

    def close(self):
        pass


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    return isolated(tmp_path_factory.mktemp("run"))


@pytest.fixture
def broker(settings):
    mqtt_part = next(part for part in parts.stand_ins(settings) if part.name == "mqtt")
    settings.data.mkdir(parents=True, exist_ok=True)
    return lambda: parts.running(mqtt_part, settings)


def _simulate(settings, tmp_path, **choices):
    chosen = SimulationSettings(
        run_dir=tmp_path, broker_port=settings.mqtt_port, pubsub_project="demo-test", **choices
    )
    fleet = enrol(
        tmp_path,
        chosen.homes,
        chosen.seed,
        project="demo-test",
        broker_host=HOST,
        broker_port=settings.mqtt_port,
        now=NOW,
    )
    publisher = ListPublisher()
    assert host.simulate(chosen, fleet, threading.Event(), publisher) == 0
    ca = x509.load_pem_x509_certificate(fleet.ca.read_bytes())
    return publisher.messages, ca


def _opened(messages, ca):
    """(home, body, topic) of every envelope, verified; and the alarms that events open."""
    bodies, alarms = [], []
    for topic, data, attributes in messages:
        envelope, header = parse_envelope(data)
        identity = read_certificate(envelope.certificate, ca)
        verify_signature(envelope, identity.key)
        assert identity.home_id == header.home_id == attributes["home_id"]
        body = open_body(envelope, header)
        bodies.append((header.home_id, topic, body))
        for event in body.events:
            sort = meaning(event.code)
            if event.qualifier == pb.QUALIFIER_NEW and sort.category is not Category.INFORMATION:
                alarms.append((header.home_id, sort.kind))
    return bodies, alarms


def test_the_demo_provokes_what_its_truth_says_and_nothing_else(settings, broker, tmp_path):
    with broker():
        messages, ca = _simulate(
            settings, tmp_path, homes=6, scenario="demo", speed=5.0, duration_s=170, seed=7
        )
    bodies, alarms = _opened(messages, ca)
    truth = [json.loads(line) for line in (tmp_path / "truth.jsonl").read_text().splitlines()]
    expected = {(line["home_id"], line["kind"]) for line in truth if line["what"] == "expect"}
    planned = {(line["home_id"], line["kind"]) for line in truth if line["what"] == "plan"}
    allowed = {(line["home_id"], line["kind"]) for line in truth if line["what"] == "allow"}
    assert len(expected) == 5
    assert expected == planned
    assert expected <= set(alarms)
    assert set(alarms) <= expected | allowed
    assert truth[-1]["what"] == "finished"

    readings = [reading for _, topic, body in bodies if topic == "minutes" for reading in body.readings]
    for reading in readings:
        check_reading(reading)
    # Two whole minutes at least of six homes, of which one lost its power at the end.
    assert len(counts := Counter(reading.sensor_id for reading in readings)) == 10
    assert min(counts.values()) >= 2 * 6 - 1

    sent = json.loads((tmp_path / "sent.json").read_text())
    assert sum(epoch["confirmed"] for epochs in sent.values() for epoch in epochs) == len(messages)
    assert all(
        epoch["confirmed"] == epoch["last_confirmed_seq"] for epochs in sent.values() for epoch in epochs
    )


def test_a_broker_that_was_away_gets_everything_that_sensors_said_meanwhile(settings, broker):
    got = set()
    listener = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="listener", clean_session=False)
    listener.reconnect_delay_set(1, 1)
    listener.on_connect = lambda client, *_: client.subscribe("homes/#", 1)
    listener.on_message = lambda _client, _data, message: got.add(message.payload)
    sensors = SensorPublisher(HOST, settings.mqtt_port)
    try:
        with broker():
            listener.connect(HOST, settings.mqtt_port)
            listener.loop_start()
            sensors.start()
            time.sleep(0.5)
            for number in range(50):
                sensors.publish("homes/home-0001/zigbee2mqtt/mains", b"%d" % number)
        for number in range(50, 100):
            sensors.publish("homes/home-0001/zigbee2mqtt/mains", b"%d" % number)
        assert sensors.unacknowledged >= 50
        with broker():
            assert sensors.drain(20)
            deadline = time.monotonic() + 20
            while len(got) < 100 and time.monotonic() < deadline:
                time.sleep(0.05)
    finally:
        sensors.stop()
        listener.loop_stop()
    assert got == {b"%d" % number for number in range(100)}
