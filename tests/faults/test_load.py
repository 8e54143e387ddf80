"""The load of a fault run counts as acknowledged only what Pub/Sub confirmed."""

from __future__ import annotations

import time
from concurrent import futures

import grpc
import pytest
from google.pubsub_v1 import types as pubsub

from local.config import HOST
from tests.faults.load import Load, number_of, numbered

TOPIC = "projects/p/topics/t"


@pytest.fixture
def service():
    """A Pub/Sub that refuses every third publish. Yields its port and what it took."""
    taken: list[bytes] = []
    calls = iter(range(1, 10_000))

    def publish(request: bytes, context: grpc.ServicerContext) -> bytes:
        if next(calls) % 3 == 0:
            context.abort(grpc.StatusCode.UNAVAILABLE, "away")
        taken.extend(message.data for message in pubsub.PublishRequest.deserialize(request).messages)
        return pubsub.PublishResponse.serialize(pubsub.PublishResponse(message_ids=["1"]))

    server = grpc.server(futures.ThreadPoolExecutor(2))
    handler = grpc.unary_unary_rpc_method_handler(publish)
    server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler("google.pubsub.v1.Publisher", {"Publish": handler})]
    )
    port = server.add_insecure_port(f"{HOST}:0")
    server.start()
    yield port, taken
    server.stop(0).wait()


def test_a_refused_message_is_sent_until_it_is_confirmed(service) -> None:
    port, taken = service
    with Load(port, TOPIC, numbered(b"run", 20), per_s=100) as load:
        while len(load.acknowledged) < 5:
            time.sleep(0.01)
    assert [number_of(payload, b"run") for payload in load.acknowledged] == list(range(len(taken)))
    assert taken == load.acknowledged


def test_repeated_messages_come_again_behind_newer_ones(service) -> None:
    port, taken = service
    with Load(port, TOPIC, numbered(b"run", 20), per_s=500, repeat=0.5, seed=3) as load:
        while load.sendings < len(load.acknowledged) + 10:
            time.sleep(0.01)
    numbers = [number_of(payload, b"run") for payload in taken]
    assert numbers != sorted(numbers)
    assert len(numbers) > len(set(numbers)) == len(load.acknowledged)
