"""The real gateway between a real broker and the Pub/Sub emulator."""

import json
import signal
import subprocess
import sys
import time
from contextlib import ExitStack

import psutil
import pytest

from edge_client.clock import ScaledClock, SystemClock
from edge_client.gateway import Gateway, wait_until_idle
from edge_client.prover import Prover
from edge_client.publisher import PublishFailed, PublishRefused, PubsubPublisher
from schemas import hearthwatch_v1_pb2 as pb
from schemas.events import Code
from schemas.readings import ALL_SECONDS, check_reading
from tests.edge_client import servers
from tests.edge_client.fakes import (
    MINUTE,
    SECOND,
    START_US,
    FakePublisher,
    air_frame,
    document,
    make_config,
    make_identity,
    motion_frame,
    write_identity,
)
from tests.edge_client.outside import PROJECT, Cloud, Sensors, wait

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def emulator(tmp_path_factory):
    with servers.pubsub(tmp_path_factory.mktemp("pubsub")) as address, pytest.MonkeyPatch.context() as patch:
        patch.setenv("PUBSUB_EMULATOR_HOST", address)
        yield address


@pytest.fixture(scope="module")
def broker_port(tmp_path_factory):
    port = servers.free_port()
    with servers.broker(tmp_path_factory.mktemp("mqtt"), port):
        yield port


@pytest.fixture
def cloud(emulator, request):
    return Cloud(emulator, request.node.name.replace("[", "-").replace("]", ""))


@pytest.fixture
def rig(tmp_path, broker_port):
    """start(publisher, clock, ...) → (gateway, sensors); all stopped at the end."""
    with ExitStack() as stack:

        def start(publisher, clock, **changes):
            home_id = f"home-{tmp_path.name}"[:60]
            write_identity(tmp_path, make_identity(home_id, home_id))
            config = make_config_for(tmp_path, home_id, broker_port, **changes)
            gateway = Gateway(config, clock=clock, publisher=publisher)
            gateway.start()
            stack.callback(gateway.stop)
            wait(lambda: gateway.connected)
            sensors = Sensors(broker_port, home_id)
            stack.callback(sensors.close)
            return gateway, sensors

        yield start


def make_config_for(folder, home_id, port, **changes):
    config = make_config(folder, broker={"port": port}, home_id=home_id, gateway_id=home_id, **changes)
    write_identity(folder, make_identity(home_id, home_id))
    return config


def test_panic_reaches_pubsub_signed_and_routed(rig, cloud):
    publisher = PubsubPublisher(PROJECT)
    gateway, sensors = rig(publisher, SystemClock(), pubsub=cloud.settings())
    sensors.zigbee("panic-bedroom", {"action": "panic"})
    [(header, body, attributes)] = cloud.read("urgent", 1)
    assert body.events[0].code == Code.PANIC
    assert attributes == {"home_id": header.home_id, "gateway_id": header.gateway_id, "lane": "urgent"}
    assert wait_until_idle(gateway, 5)
    wait(lambda: gateway.sent(pb.LANE_URGENT).sent == 1)
    publisher.close()


def test_accelerated_minutes_arrive_whole(rig, cloud):
    clock = ScaledClock(60, START_US)
    publisher = PubsubPublisher(PROJECT)
    gateway, sensors = rig(publisher, clock, pubsub=cloud.settings(), seal_grace_s=0.3)
    first_us = (clock.now_us() // MINUTE + 1) * MINUTE
    for minute in range(3):
        start_us = first_us + minute * MINUTE
        for second in range(60):
            while clock.now_us() < start_us + second * SECOND:
                time.sleep(0.001)
            sensors.rich(air_frame(start_us + second * SECOND))
        sensors.rich(motion_frame(start_us))
    wait(lambda: gateway.counts.readings >= 6)
    readings = {}
    for _ in range(20):
        for _, body, _ in cloud.read("minutes", 1):
            readings |= {(r.sensor_id, r.minute_us): r for r in body.readings}
        if len(readings) == 6:
            break
    assert len(readings) == 6
    for reading in readings.values():
        check_reading(reading)
        assert reading.seconds_present == ALL_SECONDS
    assert gateway.counts.acknowledged == gateway.counts.messages_in
    publisher.close()


def test_urgent_path_is_fast_from_message_to_publish_call(rig):
    publisher = FakePublisher()
    gateway, sensors = rig(publisher, SystemClock())
    took_s = []
    for count in range(1, 31):
        began_s = time.monotonic()
        sensors.zigbee("panic-bedroom", {"action": "panic"})
        wait(lambda count=count: len(publisher.times_s) == count, 5)
        took_s.append(publisher.times_s[-1] - began_s)
    took_s.sort()
    print(f"MQTT publish → publish call: p50 {took_s[15] * 1e3:.0f} ms, max {took_s[-1] * 1e3:.0f} ms")
    assert took_s[15] < 0.1
    assert gateway.counts.events == 30


def test_outage_of_pubsub_loses_nothing_and_keeps_acknowledging_the_broker(rig):
    publisher = FakePublisher()
    publisher.error = PublishFailed("outage")
    gateway, sensors = rig(publisher, SystemClock())
    for _ in range(5):
        sensors.zigbee("panic-bedroom", {"action": "panic"})
    wait(lambda: gateway.counts.acknowledged == 5)
    assert gateway.pending(pb.LANE_URGENT) == 5
    publisher.error = None
    assert wait_until_idle(gateway, 10)
    assert [header.seq for header, _ in publisher.batches("urgent")] == [1, 2, 3, 4, 5]


def test_dead_emulator_fails_within_the_time_limit():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PUBSUB_EMULATOR_HOST", f"127.0.0.1:{servers.free_port()}")
        publisher = PubsubPublisher(PROJECT)
        began_s = time.monotonic()
        with pytest.raises(PublishFailed):
            publisher.publish("urgent", b"x", {}, timeout_s=1.0)
        assert time.monotonic() - began_s < 3
        publisher.close()


def test_missing_topic_may_pass_and_an_oversize_message_will_not(emulator, cloud):
    publisher = PubsubPublisher(PROJECT)
    with pytest.raises(PublishFailed, match="NOT_FOUND"):
        publisher.publish("nowhere", b"x", {}, timeout_s=5)
    with pytest.raises(PublishRefused):
        publisher.publish(cloud.topics["urgent"], b"", {}, timeout_s=5)
    assert emulator
    publisher.close()


def test_broker_that_restarts_is_found_again_and_delivers_what_it_kept(tmp_path):
    publisher, port = FakePublisher(), servers.free_port()
    config = make_config(tmp_path, broker={"port": port, "keepalive_s": 5})
    gateway = Gateway(config, clock=SystemClock(), publisher=publisher)
    try:
        with servers.broker(tmp_path / "mqtt", port):
            gateway.start()
            wait(lambda: gateway.connected)
            sensors = Sensors(port)
            sensors.zigbee("panic-bedroom", {"action": "panic"})
            wait(lambda: len(publisher.events()) == 1)
            sensors.close()
        wait(lambda: not gateway.connected)
        with servers.broker(tmp_path / "mqtt", port):
            wait(lambda: gateway.connected)
            sensors = Sensors(port)
            sensors.zigbee("panic-bedroom", {"action": "panic"})
            wait(lambda: len(publisher.events()) == 2)
            sensors.close()
    finally:
        gateway.stop()


def start_process(folder):
    log = (folder / "gateway.log").open("ab")
    command = [sys.executable, "-m", "edge_client.main", "--config", str(folder / "gateway.json")]
    return subprocess.Popen(command, stdout=log, stderr=log)


def test_process_survives_kill_nine_and_ends_cleanly_on_sigterm(tmp_path, cloud, broker_port):
    write_identity(tmp_path, make_identity("home-kill", "gw-kill"))
    config = document(
        tmp_path,
        home_id="home-kill",
        gateway_id="gw-kill",
        broker={"port": broker_port},
        pubsub=cloud.settings(),
    )
    (tmp_path / "gateway.json").write_text(json.dumps(config))
    sensors, process = Sensors(broker_port, "home-kill"), start_process(tmp_path)
    try:
        # Until the session exists the broker keeps nothing: knock until the gateway answers.
        end_s, seen = time.monotonic() + 30, []
        while not seen:
            assert time.monotonic() < end_s, (tmp_path / "gateway.log").read_text()
            sensors.zigbee("panic-bedroom", {"action": "panic"})
            try:
                seen = cloud.read("urgent", 1, patience_s=0.5)
            except AssertionError:
                continue
        sent = 0
        for round_number in range(3):
            for _ in range(10):
                sensors.zigbee("mains", {"mains": sent % 2 == 1})
                sent += 1
            time.sleep(0.05 * round_number)
            process.send_signal(signal.SIGKILL)
            process.wait()
            sensors.zigbee("mains", {"mains": sent % 2 == 1})  # while nobody is there
            sent += 1
            process = start_process(tmp_path)
        wait(lambda: psutil.Process(process.pid).num_threads() >= 4)
        headers, told, end_s = [h for h, _, _ in seen], [], time.monotonic() + 30
        while len(told) < sent:
            assert time.monotonic() < end_s, (
                f"{len(told)} of {sent}: {(tmp_path / 'gateway.log').read_text()}"
            )
            try:
                batches = cloud.read("urgent", 1, patience_s=1.0)
            except AssertionError:
                continue
            headers += [h for h, _, _ in batches]
            told += [e for _, b, _ in batches for e in b.events if e.code == Code.AC_LOSS]
        assert len({header.epoch for header in headers}) == 1
        seqs = {header.seq for header in headers}
        assert seqs >= set(range(min(seqs), min(seqs) + sent)), "no hole"
        memory_mb = psutil.Process(process.pid).memory_info().rss / 1e6
        print(f"gateway process: {memory_mb:.0f} MB, {psutil.Process(process.pid).num_threads()} threads")
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=15) == 0
        assert "Traceback" not in (tmp_path / "gateway.log").read_text()
    finally:
        sensors.close()
        process.kill()
        process.wait()


def test_prover_tests_both_lanes_at_once_and_every_period(tmp_path, cloud):
    write_identity(tmp_path, make_identity("synthetic", "path-prover"))
    config = make_config(
        tmp_path, home_id="synthetic", gateway_id="path-prover", synthetic=True, pubsub=cloud.settings()
    )
    write_identity(tmp_path, make_identity("synthetic", "path-prover"))
    publisher = PubsubPublisher(PROJECT)
    prover = Prover(config, clock=ScaledClock(60, START_US), publisher=publisher)
    prover.start()
    try:
        for lane in ("urgent", "minutes"):
            for header, body, attributes in cloud.read(lane, 2):
                assert header.synthetic
                assert (header.home_id, header.gateway_id) == ("synthetic", "path-prover")
                assert [event.code for event in body.events] == [Code.PERIODIC_TEST]
                assert attributes["lane"] == lane
    finally:
        prover.stop()
        publisher.close()
