"""The two lanes: order, retries, and a message that is refused."""

import contextlib
import random
import threading
import time

import pytest

from edge_client.config import UplinkConfig
from edge_client.outbox import Change, Draft, Outbox
from edge_client.publisher import PublishFailed, PublishRefused
from edge_client.uplink import Uplink, backoff_s
from edge_client.witness import Witness
from schemas import hearthwatch_v1_pb2 as pb
from tests.edge_client.fakes import START_US, FakePublisher, Ids, make_identity, opened

URGENT, MINUTES, BULK = pb.LANE_URGENT, pb.LANE_MINUTES, pb.LANE_BULK
PATIENCE_S = 5.0


class Rig:
    """An outbox, a publisher and an uplink whose live minute begins at START_US."""

    def __init__(self, folder, **settings):
        witness = Witness(folder / "outbox.witness", b"b" * 36)
        self.outbox = Outbox(
            folder / "outbox.db",
            make_identity(),
            witness,
            max_bytes=1 << 20,
            random_bytes=Ids(),
            patience_s=60,
        )
        self.publisher = FakePublisher()
        quick = {
            "first_backoff_s": 0.05,
            "urgent_backoff_s": 0.1,
            "minutes_backoff_s": 0.1,
            "backlog_per_s": 100,
        }
        self.uplink = Uplink(
            self.outbox,
            self.publisher,
            home_id="home-1",
            gateway_id="gw-1",
            topics={URGENT: "urgent", MINUTES: "minutes", BULK: "bulk"},
            config=UplinkConfig(**{**quick, **settings}),
            fresh_since_us=lambda: START_US,
            rng=random.Random(1),
        )

    def add(self, *lanes, now_us=START_US):
        seqs = self.outbox.commit(
            Change(now_us, pb.Arming(), drafts=[Draft(lane, pb.Body()) for lane in lanes])
        )
        for lane in lanes:
            self.uplink.wake(lane)
        return seqs

    def seqs(self, topic):
        return [header.seq for header, _ in self.publisher.batches(topic)]

    def wait(self, condition):
        end_s = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < end_s, "not in time"
            time.sleep(0.005)


@pytest.fixture
def rig(tmp_path):
    rig = Rig(tmp_path)
    with contextlib.closing(rig.outbox):
        yield rig
        rig.uplink.stop(PATIENCE_S)


def test_both_lanes_are_published_with_routing_attributes_and_deleted(rig):
    rig.uplink.start()
    rig.add(URGENT, MINUTES)
    rig.wait(lambda: not rig.outbox.pending(URGENT) + rig.outbox.pending(MINUTES))
    by_topic = {topic: attributes for topic, _, attributes in rig.publisher.messages}
    assert by_topic["urgent"] == {"home_id": "home-1", "gateway_id": "gw-1", "lane": "urgent"}
    assert by_topic["minutes"]["lane"] == "minutes"
    rig.wait(lambda: rig.uplink.count(URGENT).sent == rig.uplink.count(MINUTES).sent == 1)


def test_nothing_is_deleted_before_it_is_confirmed(rig):
    rig.publisher.error = PublishFailed("outage")
    rig.uplink.start()
    rig.add(URGENT)
    rig.wait(lambda: rig.uplink.count(URGENT).failures >= 3)
    assert rig.outbox.pending(URGENT) == 1
    assert "outage" in rig.uplink.count(URGENT).last_error
    rig.publisher.error = None
    rig.wait(lambda: rig.outbox.pending(URGENT) == 0)
    assert rig.seqs("urgent") == [1]
    rig.wait(lambda: rig.uplink.count(URGENT).last_error == "")


def test_after_an_outage_the_live_minute_goes_first_then_the_backlog_in_order(rig):
    for age in (5, 4, 3):
        rig.add(MINUTES, now_us=START_US - age)
    rig.add(MINUTES, now_us=START_US + 1)
    rig.uplink.start()
    rig.wait(lambda: rig.outbox.pending(MINUTES) == 0)
    assert rig.seqs("minutes") == [4, 1, 2, 3]


def test_backlog_is_sent_at_a_limited_rate(tmp_path):
    rig = Rig(tmp_path, backlog_per_s=20)
    for age in range(6, 0, -1):
        rig.add(MINUTES, now_us=START_US - age)
    rig.uplink.start()
    rig.wait(lambda: rig.outbox.pending(MINUTES) == 0)
    rig.uplink.stop(PATIENCE_S)
    rig.outbox.close()
    times = rig.publisher.times_s
    assert times[-1] - times[0] >= 5 * 0.5 / 20


def test_urgent_does_not_wait_for_a_hanging_minute(tmp_path):
    rig = Rig(tmp_path)
    hanging = threading.Event()
    plain = rig.publisher.publish

    def publish(topic, data, attributes, timeout_s):
        if topic == "minutes":
            hanging.wait(PATIENCE_S)
        return plain(topic, data, attributes, timeout_s)

    rig.publisher.publish = publish
    rig.uplink.start()
    rig.add(MINUTES)
    rig.add(URGENT)
    rig.wait(lambda: rig.seqs("urgent") == [2])
    assert rig.seqs("minutes") == []
    hanging.set()
    rig.uplink.stop(PATIENCE_S)
    rig.outbox.close()


def test_refused_batch_stays_and_does_not_block_the_others(tmp_path):
    rig = Rig(tmp_path, retry_refused_s=1)
    plain = rig.publisher.publish
    refuse = {1}

    def publish(topic, data, attributes, timeout_s):
        if opened(data)[0].seq in refuse:
            raise PublishRefused("too strange")
        return plain(topic, data, attributes, timeout_s)

    rig.publisher.publish = publish
    rig.add(URGENT, URGENT)
    rig.uplink.start()
    rig.wait(lambda: rig.seqs("urgent") == [2])
    assert rig.outbox.pending(URGENT) == 1
    assert rig.uplink.count(URGENT).refused == 1
    refuse.clear()
    time.sleep(1.0)
    rig.add(URGENT)
    rig.wait(lambda: sorted(rig.seqs("urgent")) == [1, 2, 3])
    rig.uplink.stop(PATIENCE_S)
    rig.outbox.close()


def test_new_alarm_does_not_wait_out_a_backoff(tmp_path):
    rig = Rig(tmp_path, first_backoff_s=10, urgent_backoff_s=60)
    rig.publisher.error = PublishFailed("outage")
    rig.uplink.start()
    rig.add(URGENT)
    rig.wait(lambda: rig.uplink.count(URGENT).failures == 1)
    rig.publisher.error = None
    rig.add(URGENT)
    rig.wait(lambda: rig.seqs("urgent") == [1, 2])
    rig.uplink.stop(PATIENCE_S)
    rig.outbox.close()


def test_backoff_doubles_up_to_its_limit_and_never_below_half():
    rng = random.Random(3)
    for failures, ceiling in ((1, 1), (2, 2), (4, 8), (10, 60), (1000, 60)):
        for _ in range(20):
            assert ceiling / 2 <= backoff_s(failures, 1.0, 60.0, rng) <= ceiling


def test_a_notice_goes_to_the_bulk_topic(rig):
    rig.uplink.start()
    rig.add(BULK)
    rig.wait(lambda: not rig.outbox.pending(BULK))
    ((topic, _, attributes),) = rig.publisher.messages
    assert (topic, attributes["lane"]) == ("bulk", "bulk")
