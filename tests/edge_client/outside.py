"""What stands around a gateway in system tests: the home's devices on their broker, and the cloud."""

import json
import time

import grpc
import paho.mqtt.client as mqtt
from google.api_core.exceptions import DeadlineExceeded
from google.cloud import pubsub_v1
from google.pubsub_v1.services.publisher.transports.grpc import PublisherGrpcTransport
from google.pubsub_v1.services.subscriber.transports.grpc import SubscriberGrpcTransport

from schemas.topics import RICH, ZIGBEE, sensor_topic
from tests.edge_client.fakes import HOME, opened

PROJECT = "edge-tests"


class Cloud:
    """Topics and subscriptions of one test, read with the official client."""

    def __init__(self, address, suffix):
        channel = grpc.insecure_channel(address, [("grpc.max_receive_message_length", -1)])
        publisher = pubsub_v1.PublisherClient(transport=PublisherGrpcTransport(channel=channel))
        self._reader = pubsub_v1.SubscriberClient(transport=SubscriberGrpcTransport(channel=channel))
        self.topics = {lane: f"{lane}-{suffix}" for lane in ("urgent", "minutes")}
        for topic in self.topics.values():
            publisher.create_topic(name=f"projects/{PROJECT}/topics/{topic}")
            self._reader.create_subscription(
                name=f"projects/{PROJECT}/subscriptions/{topic}", topic=f"projects/{PROJECT}/topics/{topic}"
            )

    def settings(self):
        return {
            "project": PROJECT,
            "urgent_topic": self.topics["urgent"],
            "minutes_topic": self.topics["minutes"],
        }

    def read(self, lane, count, patience_s=15.0):
        """At least `count` batches of a lane: [(header, body, attributes)]."""
        out = []
        end_s = time.monotonic() + patience_s
        while len(out) < count:
            assert time.monotonic() < end_s, f"{len(out)} batches on {lane}, expected {count}"
            out += [(*opened(m.data), dict(m.attributes)) for m in self.pull(lane)]
        return out

    def pull(self, lane, wait_s=0.5):
        """The messages of a lane that are there now or come within `wait_s`."""
        name = f"projects/{PROJECT}/subscriptions/{self.topics[lane]}"
        try:
            pulled = self._reader.pull(
                subscription=name, max_messages=100, timeout=wait_s, retry=None
            ).received_messages
        except DeadlineExceeded:
            return []
        if pulled:
            self._reader.acknowledge(subscription=name, ack_ids=[m.ack_id for m in pulled])
        return [m.message for m in pulled]


class Sensors:
    """The home's devices on the broker."""

    def __init__(self, port, home_id=HOME):
        self._home_id = home_id
        self._client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def zigbee(self, sensor_id, payload):
        self._publish(ZIGBEE, sensor_id, json.dumps(payload).encode())

    def rich(self, frame):
        self._publish(RICH, frame.sensor_id, frame.SerializeToString())

    def _publish(self, channel, sensor_id, payload):
        self._client.publish(
            sensor_topic(self._home_id, channel, sensor_id), payload, qos=1
        ).wait_for_publish(5)

    def close(self):
        self._client.disconnect()
        self._client.loop_stop()


def wait(condition, patience_s=15.0):
    end_s = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < end_s, "not in time"
        time.sleep(0.005)
