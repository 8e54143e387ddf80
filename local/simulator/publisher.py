"""The sensors' way to the broker: one MQTT client for all homes of a process, QoS 1, nothing dropped."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any, Final

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

_LOG = logging.getLogger(__name__)
_QOS: Final = 1
_IN_FLIGHT: Final = 1_000
_RECONNECT_S: Final = (1, 5)


class SensorPublisher:
    """Publishes; keeps what the broker has not acknowledged and sends it again after a reconnect."""

    def __init__(self, host: str, port: int, client_id: str = "sensors") -> None:
        # A session that lasts: paho and broker agree after a reconnect on what was acknowledged.
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=client_id, clean_session=False)
        self._client.max_inflight_messages_set(_IN_FLIGHT)
        self._client.max_queued_messages_set(0)  # 0: no limit
        self._client.reconnect_delay_set(*_RECONNECT_S)
        self._client.on_connect = self._connected
        self._client.on_disconnect = self._disconnected
        self._client.on_publish = self._acknowledged
        self._address = (host, port)
        self._lock = threading.Lock()
        self._published = self._acked = 0
        self._idle = threading.Condition(self._lock)

    def start(self) -> None:
        """Connect in the background, now and whenever the connection is lost."""
        self._client.connect_async(*self._address, keepalive=30)
        self._client.loop_start()

    def publish(self, topic: str, payload: bytes) -> None:
        """Hand over one message; returns before it is acknowledged."""
        with self._lock:
            self._published += 1
        self._client.publish(topic, payload, qos=_QOS)

    @property
    def unacknowledged(self) -> int:
        """Messages that the broker has not confirmed yet."""
        with self._lock:
            return self._published - self._acked

    def drain(self, timeout_s: float) -> bool:
        """Wait until the broker has everything. False: it did not within the time."""
        deadline = time.monotonic() + timeout_s
        with self._idle:
            while self._published > self._acked:
                if not self._idle.wait(max(deadline - time.monotonic(), 0)):
                    return False
        return True

    def stop(self) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()

    def _connected(self, _client: Any, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            _LOG.warning("broker refused the sensors: %s", reason)

    def _disconnected(self, _client: Any, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            _LOG.warning("broker lost (%s); %d messages wait", reason, self.unacknowledged)

    def _acknowledged(self, _client: Any, _data: Any, _mid: int, _reason: Any, _properties: Any) -> None:
        with self._idle:
            self._acked += 1
            self._idle.notify_all()
