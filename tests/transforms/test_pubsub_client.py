"""What a lease may expect of Pub/Sub: the same of the fake and of the emulator."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest
from google.cloud import pubsub_v1

from local import emulators, parts
from local.config import isolated
from local.topics import create_pair
from tests.transforms.pubsub import FakeClock, FakeSubscriber
from transforms.pubsub_client import PubSubAway, Subscriber, SubscriberClient


class Service(NamedTuple):
    """A subscription, how to publish to it, and how time passes there."""

    client: Subscriber
    subscription: str
    publish: Callable[..., None]
    sleep: Callable[[float], None]


@pytest.fixture(scope="module")
def emulated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Service]]:
    """A fresh topic and subscription on the emulator at each call."""
    settings = isolated(tmp_path_factory.mktemp("pubsub"), warehouse="off")
    pubsub = next(part for part in parts.stand_ins(settings) if part.name == "pubsub")
    names = iter(f"lane-{number}" for number in range(1_000))
    with pytest.MonkeyPatch.context() as patch, parts.running(pubsub, settings):
        for name, value in emulators.client_environment(settings).items():
            patch.setenv(name, value)
        with pubsub_v1.PublisherClient() as publisher:

            def service() -> Service:
                name = next(names)
                create_pair(settings, topic=name, subscription=f"{name}-s")
                topic = f"projects/{settings.project}/topics/{name}"
                return Service(
                    SubscriberClient(),
                    f"projects/{settings.project}/subscriptions/{name}-s",
                    lambda data, **attributes: publisher.publish(topic, data, **attributes).result(30),
                    time.sleep,
                )

            yield service


def _faked() -> Service:
    clock = FakeClock(time.time())
    fake = FakeSubscriber(clock)
    return Service(fake, fake.name, fake.publish, clock.advance)


@pytest.fixture(params=["fake", pytest.param("emulator", marks=pytest.mark.system)])
def service(request: pytest.FixtureRequest) -> Service:
    return _faked() if request.param == "fake" else request.getfixturevalue("emulated")()


def test_a_message_comes_as_it_was_published(service: Service) -> None:
    before = time.time_ns() // 1_000
    service.publish(b"\x00one", lane="urgent", home_id="h")
    [message] = service.client.pull(service.subscription, 10)
    assert message.data == b"\x00one"
    assert message.attributes == ["home_id=h", "lane=urgent"]
    assert abs(message.publish_us - before) < 2_000_000
    assert message.message_id
    assert message.ack_id


def test_a_probe_finds_what_is_there_and_says_when_there_is_nothing(service: Service) -> None:
    assert service.client.probe(service.subscription, 10) == []
    for number in range(3):
        service.publish(bytes([number]))
    found: set[bytes] = set()
    while batch := service.client.probe(service.subscription, 2):
        assert len(batch) <= 2
        found |= {message.data for message in batch}
    assert found == {b"\x00", b"\x01", b"\x02"}


def test_what_is_acknowledged_never_comes_again_and_the_rest_does(service: Service) -> None:
    service.publish(b"kept")
    service.publish(b"done")
    held = {message.data: message for message in _pull_all(service, 2)}
    service.client.acknowledge(service.subscription, [held[b"done"].ack_id])
    service.client.extend(service.subscription, [held[b"kept"].ack_id], 0)
    [again] = service.client.pull(service.subscription, 10)
    assert (again.data, again.message_id) == (b"kept", held[b"kept"].message_id)


def test_an_extended_message_is_invisible_until_its_time_is_over(service: Service) -> None:
    service.publish(b"one")
    [message] = service.client.pull(service.subscription, 10)
    service.client.extend(service.subscription, [message.ack_id], 1)
    assert service.client.probe(service.subscription, 10) == []
    service.sleep(1.5)
    assert [again.data for again in service.client.pull(service.subscription, 10)] == [b"one"]


def test_messages_of_more_than_4_mib_in_one_answer_arrive(service: Service) -> None:
    for number in range(6):
        service.publish(bytes([number]) * 1_000_000)
    assert len(_pull_all(service, 6)) == 6


def test_a_refused_call_is_one_kind_of_error(service: Service) -> None:
    with pytest.raises(PubSubAway, match="NOT_FOUND"):
        service.client.probe("projects/none/subscriptions/none", 1)


def test_calls_work_after_a_reconnect(service: Service) -> None:
    service.client.reconnect()
    service.publish(b"one")
    assert len(service.client.pull(service.subscription, 1)) == 1


def _pull_all(service: Service, count: int) -> list:
    found: list = []
    while len(found) < count:
        found += service.client.pull(service.subscription, count)
    return found
