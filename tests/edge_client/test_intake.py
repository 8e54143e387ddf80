"""What the broker hands over."""

import paho.mqtt.client as mqtt

from edge_client.config import BrokerConfig
from edge_client.intake import Arrival, MqttIntake


def test_topic_that_is_no_text_is_delivered_as_nobodys_and_does_not_end_the_thread():
    delivered = []
    intake = MqttIntake(BrokerConfig(), home_id="home-1", gateway_id="gw-1", deliver=delivered.append)
    message = mqtt.MQTTMessage(mid=7, topic=b"homes/home-1/rich/\xff")
    message.qos, message.payload = 1, b"x"
    intake._on_message(intake._client, None, message)
    assert delivered == [Arrival("", b"x", qos=1, message_id=7)]
