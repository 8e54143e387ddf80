"""The loop that sends what is due, and the truth that it writes."""

import json
import threading

import pytest

from edge_client.publisher import PublishFailed
from local.simulator.confirmed import CountingPublisher
from local.simulator.network import Network
from local.simulator.scenarios import QUIET, LosesNetwork, Script, panic, power_loss
from local.simulator.sensors import SECOND_US, SimulatedHome
from local.simulator.street import Street
from local.simulator.truth import CLOUD_S, Truth, write_sent
from schemas import hearthwatch_v1_pb2 as pb

START_US = 1_763_985_617 * SECOND_US


class SteppingClock:
    """Advances a little whenever somebody looks: time passes without waiting."""

    speed = 1e9

    def __init__(self, now_us):
        self._now_us = now_us

    def now_us(self):
        self._now_us += 5_000
        return self._now_us

    def elapsed_us(self):
        return self._now_us


class Recorder:
    """A broker that notes what was published and when."""

    def __init__(self, clock):
        self.clock, self.sent = clock, []

    def publish(self, topic, payload):
        self.sent.append((self.clock.elapsed_us(), topic, payload))


def _run(tmp_path, scripts, seconds):
    clock = SteppingClock(START_US - SECOND_US)
    sink, stopped = Recorder(clock), []
    truth = Truth(tmp_path / "truth.jsonl", clock.elapsed_us, speed=1.0)
    truth.start("demo", 7, len(scripts), dict(enumerate(scripts, 1)))
    homes = [SimulatedHome(7, number, START_US, 0, script) for number, script in enumerate(scripts, 1)]
    street = Street(homes, clock, START_US, sink, truth, stopped.append, now_us=clock.elapsed_us)
    street.run(threading.Event(), seconds)
    truth.close()
    lines = [json.loads(line) for line in (tmp_path / "truth.jsonl").read_text().splitlines()]
    return sink.sent, lines, stopped, street


def test_messages_go_out_in_time_and_none_is_forgotten(tmp_path):
    sent, _, _, street = _run(tmp_path, [QUIET, QUIET], 10)
    air = [topic for _, topic, _ in sent if "/rich/air-" in topic]
    assert len(air) == 2 * 2 * 10
    assert street.max_lag_us < 100_000
    assert all(START_US <= at <= START_US + 10 * SECOND_US + 200_000 for at, _, _ in sent)


def test_truth_tells_what_is_planned_done_and_expected(tmp_path):
    sent, lines, _, _ = _run(tmp_path, [panic(3.0), QUIET], 6)
    by_what = {}
    for line in lines:
        by_what.setdefault(line["what"], []).append(line)
    assert [line["home_id"] for line in by_what["quiet"]] == ["home-0001", "home-0002"]
    [plan], [expect] = by_what["plan"], by_what["expect"]
    assert (plan["home_id"], plan["kind"], plan["at_s"]) == ("home-0001", "panic", 3.0)
    assert (expect["home_id"], expect["kind"]) == ("home-0001", "panic")
    [pressed] = [at for at, topic, payload in sent if topic.endswith("panic-bedroom")]
    assert expect["t_us"] == pytest.approx(pressed, abs=20_000)
    assert expect["from_us"] <= expect["t_us"]
    assert expect["by_us"] == expect["t_us"] + CLOUD_S * 1e6
    [finished] = by_what["finished"]
    assert finished["by_us"] >= expect["by_us"]


def test_power_loss_stops_the_gateway_and_silences_its_home(tmp_path):
    sent, lines, stopped, _ = _run(tmp_path, [power_loss(2.0), QUIET], 96)
    assert stopped == ["home-0001"]
    assert [line["gateway_id"] for line in lines if line["what"] == "stopped"] == ["gw-0001"]
    last = {home: max(at for at, topic, _ in sent if home in topic) for home in ("home-0001", "home-0002")}
    assert last["home-0001"] <= START_US + 92.1 * SECOND_US
    assert last["home-0002"] > START_US + 95 * SECOND_US
    assert {line["kind"] for line in lines if line["what"] == "allow"} == {"path", "battery"}


def test_stop_ends_the_street_at_once(tmp_path):
    clock = SteppingClock(START_US)
    clock.speed = 1.0
    truth = Truth(tmp_path / "truth.jsonl", clock.elapsed_us, 1.0)
    home = SimulatedHome(7, 1, START_US + 3600 * SECOND_US, 0, QUIET)
    stop = threading.Event()
    street = Street([home], clock, START_US + 3600 * SECOND_US, Recorder(clock), truth, lambda _: None)
    thread = threading.Thread(target=street.run, args=(stop,))
    thread.start()
    stop.set()
    thread.join(5)
    truth.close()
    assert not thread.is_alive()


def test_a_network_that_fails_and_comes_back_cuts_only_its_home(tmp_path):
    script = Script("offline", (LosesNetwork(2.0, 3.0, "Ost"),), lasts_s=5.0)
    clock = SteppingClock(START_US - SECOND_US)
    truth = Truth(tmp_path / "truth.jsonl", clock.elapsed_us, speed=1.0)
    network, reached = Network(CountingPublisher(Refusing())), []

    class Sink(Recorder):
        def publish(self, topic, payload):
            super().publish(topic, payload)
            for home in ("home-0001", "home-0002"):
                header = pb.Header(home_id=home).SerializeToString()
                try:
                    network.publish("minutes", pb.Envelope(header=header).SerializeToString(), {}, 1.0)
                except PublishFailed:
                    continue
                except TimeoutError:
                    pass
                reached.append((home, round((clock.elapsed_us() - START_US) / SECOND_US)))

    homes = [SimulatedHome(7, 1, START_US, 0, script), SimulatedHome(7, 2, START_US, 0, QUIET)]
    street = Street(
        homes, clock, START_US, Sink(clock), truth, lambda _: None, clock.elapsed_us, network=network
    )
    street.run(threading.Event(), 8)
    truth.close()
    assert {second for home, second in reached if home == "home-0002"} >= set(range(8))
    assert {second for home, second in reached if home == "home-0001"}.isdisjoint({3, 4})
    lines = [json.loads(line) for line in (tmp_path / "truth.jsonl").read_text().splitlines()]
    told = [(line["what"], line["home_id"], line["area"]) for line in lines if "area" in line]
    assert told == [("vanished", "home-0001", "Ost"), ("back", "home-0001", "Ost")]
    assert lines[-1]["what"] == "finished"


class Refusing:
    """A Pub/Sub that confirms every second message."""

    def __init__(self):
        self.count, self.closed = 0, False

    def publish(self, *_):
        self.count += 1
        if self.count % 2 == 0:
            raise TimeoutError
        return str(self.count)

    def close(self):
        self.closed = True


def test_only_confirmed_batches_are_counted_and_a_repeated_one_once(tmp_path):
    counting = CountingPublisher(Refusing())
    for seq in (1, 2, 3, 4, 3):
        header = pb.Header(gateway_id="gw-0001", epoch=b"e" * 16, seq=seq)
        data = pb.Envelope(header=header.SerializeToString()).SerializeToString()
        try:
            counting.publish("minutes", data, {}, 1.0)
        except TimeoutError:
            assert seq in (2, 4)
    assert counting.sent() == {
        "gw-0001": [{"epoch": (b"e" * 16).hex(), "last_confirmed_seq": 3, "confirmed": 2}]
    }
    write_sent(tmp_path / "sent.json", counting.sent())
    assert json.loads((tmp_path / "sent.json").read_text()) == counting.sent()
    assert not list(tmp_path.glob("*.tmp"))
