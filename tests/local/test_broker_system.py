"""The homes' broker: what a connected session must get, it gets now, not at its next connection."""

import time

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from local import parts
from local.config import HOST, isolated
from local.simulator.publisher import SensorPublisher

MESSAGES = 3_000

pytestmark = pytest.mark.system


def test_a_burst_reaches_a_connected_session_whole_and_in_order(tmp_path):
    settings = isolated(tmp_path)
    settings.data.mkdir(parents=True)
    [part] = [part for part in parts.stand_ins(settings) if part.name == "mqtt"]
    got = []
    listener = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="listener", clean_session=False)
    listener.on_connect = lambda client, *_: client.subscribe("homes/#", 1)
    listener.on_message = lambda _client, _data, message: got.append(int(message.payload))
    sensors = SensorPublisher(HOST, settings.mqtt_port)
    with parts.running(part, settings):
        listener.connect(HOST, settings.mqtt_port)
        listener.loop_start()
        sensors.start()
        time.sleep(0.5)
        for number in range(MESSAGES):
            sensors.publish("homes/home-0001/zigbee2mqtt/mains", b"%d" % number)
        assert sensors.drain(60)
        deadline = time.monotonic() + 10
        while len(got) < MESSAGES and time.monotonic() < deadline:
            time.sleep(0.05)
        sensors.stop()
        listener.disconnect()
        listener.loop_stop()
    assert got == list(range(MESSAGES))
