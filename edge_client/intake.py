"""The gateway's ear on the home's MQTT broker: persistent session, acknowledged by hand."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, NamedTuple

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from edge_client.config import BrokerConfig
from schemas.topics import RICH, ZIGBEE, sensor_topic

_log = logging.getLogger(__name__)


class Arrival(NamedTuple):
    """A message from the broker, not acknowledged yet.

    Attributes:
        retained: From the broker's memory rather than from the device.
        qos: Of the delivery: only 1 is acknowledged.
        connection, message_id: What an acknowledgement has to name.
    """

    topic: str
    payload: bytes
    retained: bool = False
    qos: int = 1
    connection: int = 0
    message_id: int = 0


class MqttIntake:
    """One connection with one thread. Messages go to `deliver`; `acknowledge` sends the PUBACK."""

    def __init__(
        self, config: BrokerConfig, *, home_id: str, gateway_id: str, deliver: Callable[[Arrival], None]
    ) -> None:
        """
        Args:
            deliver: Called on the network thread; while it waits nothing is read.
        """
        self._config, self._deliver = config, deliver
        self._who = f"{gateway_id} of {home_id}"
        self._topics = [(sensor_topic(home_id, channel, "+"), 1) for channel in (RICH, ZIGBEE)]
        self._connection = 0
        self.connected = False
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id=gateway_id, clean_session=False, manual_ack=True
        )
        self._client.reconnect_delay_set(min_delay=1, max_delay=30)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_disconnect = self._on_disconnect
        self._client.on_message = self._on_message

    def start(self) -> None:
        """Connect in the background, and again whenever the connection is lost."""
        self._client.connect_async(self._config.host, self._config.port, keepalive=self._config.keepalive_s)
        self._client.loop_start()

    def stop(self) -> None:
        """Disconnect; what was not acknowledged is delivered again to the next session."""
        self._client.disconnect()
        self._client.loop_stop()

    def reconnect(self) -> None:
        """Have everything delivered again that was not acknowledged: only a new connection gets it."""
        self.stop()
        self.start()

    def acknowledge(self, arrival: Arrival) -> None:
        """PUBACK. Message ids belong to a connection: after a reconnect the broker delivers again,
        and an old id would acknowledge some other message."""
        if arrival.qos == 1 and arrival.connection == self._connection:
            self._client.ack(arrival.message_id, 1)

    def _on_connect(self, client: mqtt.Client, _data: Any, _flags: Any, reason: Any, _props: Any) -> None:
        if reason.is_failure:
            _log.warning("broker refused: %s", reason)
            return
        self._connection += 1
        client.subscribe(self._topics)

    def _on_subscribe(self, _client: mqtt.Client, _data: Any, _mid: int, _reasons: Any, _props: Any) -> None:
        self.connected = True
        _log.info("%s hears its sensors", self._who)

    def _on_disconnect(self, _client: mqtt.Client, _data: Any, _flags: Any, reason: Any, _props: Any) -> None:
        self.connected = False
        if reason.is_failure:
            _log.warning("broker lost: %s", reason)

    def _on_message(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:  # no sensor's; the core counts it as garbage
            topic = ""
        self._deliver(
            Arrival(
                topic,
                bytes(message.payload),
                message.retain,
                message.qos,
                self._connection,
                message.mid,
            )
        )
