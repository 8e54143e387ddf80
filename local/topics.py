"""The Pub/Sub topics of the lanes and the pipeline's subscriptions to them, on the emulator."""

from __future__ import annotations

import contextlib
from typing import Final

import grpc
from google.api_core.exceptions import AlreadyExists
from google.pubsub_v1 import PublisherClient, SubscriberClient
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport

from local.config import Settings
from schemas import hearthwatch_v1_pb2 as pb
from schemas.topics import LANE_TOPICS

# A message whose bundle was not committed within this time is delivered again.
ACK_DEADLINE_S: Final = 60


def subscription(topic: str, *, second: bool = False) -> str:
    """
    >>> subscription("urgent"), subscription("urgent", second=True)
    ('urgent-monitor', 'urgent-monitor-second')
    """
    return f"{topic}-monitor{'-second' if second else ''}"


def create(settings: Settings) -> None:
    """Make the lanes' topics and subscriptions; those that exist stay."""
    for topic in LANE_TOPICS.values():
        create_pair(settings, topic=topic, subscription=subscription(topic))
    urgent = LANE_TOPICS[pb.LANE_URGENT]
    create_pair(settings, topic=urgent, subscription=subscription(urgent, second=True))


def create_pair(
    settings: Settings, *, topic: str, subscription: str, ack_deadline_s: int = ACK_DEADLINE_S
) -> None:
    """Make a topic and a subscription to it; what exists stays."""
    topic_name = f"projects/{settings.project}/topics/{topic}"
    name = f"projects/{settings.project}/subscriptions/{subscription}"
    with grpc.insecure_channel(settings.address(settings.pubsub_port)) as channel:
        publisher = PublisherClient(transport=PublisherGrpcTransport(channel=channel))
        subscriber = SubscriberClient(transport=SubscriberGrpcTransport(channel=channel))
        with contextlib.suppress(AlreadyExists):
            publisher.create_topic(name=topic_name, timeout=10)
        with contextlib.suppress(AlreadyExists):
            subscriber.create_subscription(
                request={"name": name, "topic": topic_name, "ack_deadline_seconds": ack_deadline_s},
                timeout=10,
            )
