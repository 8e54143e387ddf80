"""What benchmarks make of what they measured: ratios, hops, missing alarms. Nothing is timed here."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest

from benchmarks import latency, pipeline, stimuli
from benchmarks.latency import Seen
from benchmarks.processes import Usage, role_of
from benchmarks.stimuli import Sent
from schemas.events import AlarmKind

PASS = {"wall_s": 2.0, "cpu_s": 4.0, "peak_rss_mb": 300.0, "counts": {"messages": 10}}


def _stream(worker: float, engine: float) -> dict[str, Any]:
    cpu = {"worker": worker, "engine": engine, "emulator": 9.0}
    return {
        "cpu_s_per_raw_mb": {role: seconds / 80 for role, seconds in cpu.items()},
        "raw_mb_per_worker_cpu_s": 80 / worker,
        "raw_mb_per_pipeline_cpu_s": 80 / (worker + engine),
        "busy_share": 0.95,
    }


def test_the_last_pass_counts_and_the_earlier_are_told() -> None:
    figures = pipeline.finite_figures([PASS | {"cpu_s": 7.0}, PASS], 80.0, 10)
    assert figures["cpu_s"] == {"worker": 4.0}
    assert figures["raw_mb_per_worker_cpu_s"] == 20.0
    assert figures["cpu_s_per_raw_mb"] == {"worker": 0.05}
    assert figures["earlier_passes"] == [{"cpu_s": 7.0, "wall_s": 2.0}]


def test_the_emulator_is_not_part_of_the_ratio() -> None:
    bare = pipeline.finite_figures([PASS], 80.0, 10)
    variants = {"bare": bare, "batch": bare, "stream": _stream(5.0, 3.0), "stream_live": _stream(10.0, 6.0)}
    ratios = pipeline.ratios_of(variants)
    assert ratios["batch_to_bare"] == 1.0
    assert ratios["stream_to_bare"] == 2.0
    assert ratios["stream_live_to_bare"] == 4.0
    assert (ratios["stream_worker_to_bare"], ratios["stream_engine_to_bare"]) == (1.25, 0.75)
    targets = pipeline.targets_of({"variants": variants, "ratios": ratios})
    assert [(target.value, target.met) for target in targets] == [(2.0, False), (10.0, False), (0.95, True)]


def test_a_peer_counts_only_where_it_ran() -> None:
    bare = pipeline.finite_figures([PASS], 80.0, 10)
    peer = pipeline.finite_figures([PASS | {"cpu_s": 5.0}], 80.0, 10)
    streams = {"stream": _stream(5.0, 3.0), "stream_live": _stream(10.0, 6.0)}
    ratios = pipeline.ratios_of({"bare": bare, "batch": bare, "bytewax": peer, **streams})
    assert ratios["bytewax_to_bare"] == 1.25
    assert "pathway_to_bare" not in ratios


def test_shares_of_stages_add_up_to_one() -> None:
    stages = pipeline.stages_of({"stages_cpu_s": {"decode_verify": 1.0, "models": 3.0}}, 1_000)
    assert stages["models"] == {"msec_per_batch": 3.0, "share": 0.75}
    assert sum(stage["share"] for stage in stages.values()) == 1.0


def test_the_mean_of_two_runs_keeps_what_is_no_measurement() -> None:
    first, second = {"cpu_s": {"worker": 1.0}, "messages": 5}, {"cpu_s": {"worker": 2.0}, "messages": 5}
    assert pipeline.mean_of(first, second) == {"cpu_s": {"worker": 1.5}, "messages": 5}


def test_usage_is_told_by_role_since_an_earlier_moment() -> None:
    before = Usage(1.0, {"worker": 2.0})
    after = Usage(2.0, {"worker": 3.5, "engine": 1.0, "emulator": 8.0})
    assert after.since(before) == {"worker": 1.5, "engine": 1.0, "emulator": 8.0}
    assert after.pipeline_s() == 4.5


@pytest.mark.parametrize(
    ("command", "role"),
    [
        (["java", "org.apache.beam.runners.flink.FlinkJobServerDriver", "--job-port=1"], "engine"),
        (["java", "-jar", "cloud-pubsub-emulator-0.8.20-all.jar"], "emulator"),
        (["/bin/sh", "worker.sh"], "other"),
    ],
)
def test_a_process_is_known_by_its_command_line(command: list[str], role: str) -> None:
    assert role_of(command) == role


def _seen(home: str, sent_us: int, painted_us: int | None) -> Seen:
    alarm = Sent(home, AlarmKind.FIRE, 0)
    return Seen(alarm, sent_us + 10_000, sent_us + 30_000, sent_us + 60_000, sent_us + 100_000, painted_us)


def test_hops_add_up_and_the_first_stimulus_stands_apart() -> None:
    sent = [Sent(f"home-{n}", AlarmKind.FIRE, n * 1_000_000) for n in range(3)]
    alarms = [_seen(one.home_id, one.sent_us, one.sent_us + 150_000) for one in sent]
    lane = latency.lane_figures(sent, alarms, latency.urgent_hops)
    assert (lane["sent"], lane["missing"]) == (3, 0)
    assert lane["first_s"]["broker_to_browser"] == 0.15
    figures = {hop: figure["p50"] for hop, figure in lane["latency_s"].items()}
    assert {figure["n"] for figure in lane["latency_s"].values()} == {2}
    hops = (
        "broker_to_gateway",
        "gateway_to_pubsub",
        "pubsub_to_evidence",
        "evidence_to_firestore",
        "firestore_to_browser",
    )
    assert sum(figures[hop] for hop in hops) == pytest.approx(figures["broker_to_browser"])


def test_an_alarm_that_never_stood_in_the_browser_is_missing_and_no_target_is_met() -> None:
    sent = [Sent(f"home-{n}", AlarmKind.FIRE, n * 1_000_000) for n in range(3)]
    alarms = [_seen("home-0", 0, 150_000), _seen("home-1", 1_000_000, None)]
    lane = latency.lane_figures(sent, alarms, latency.urgent_hops)
    assert lane["missing"] == 2
    assert "broker_to_browser" not in lane["latency_s"]
    minutes = latency.lane_figures(sent, alarms, latency.minutes_hops)
    targets = latency.targets_of({"urgent": lane, "minutes": minutes})
    assert [target.met for target in targets] == [False, False]


def test_another_kind_of_alarm_in_the_home_is_not_the_one_that_was_provoked() -> None:
    sent = [Sent("home-0", AlarmKind.PANIC, 0)]
    lane = latency.lane_figures(sent, [_seen("home-0", 0, 150_000)], latency.urgent_hops)
    assert lane["missing"] == 1
    assert lane["first_s"] is None


def test_no_home_gets_the_same_hazard_twice() -> None:
    plan = stimuli.hazard_plan(4, 8, random.Random(2))
    assert len({(home, hazard.kind) for home, hazard in plan}) == 8
    with pytest.raises(ValueError, match="limit 8 with 4 homes"):
        stimuli.hazard_plan(4, 9, random.Random(2))


def test_pauses_stay_within_their_bounds() -> None:
    drawn = list(itertools.islice(stimuli.pauses(random.Random(3), 0.5, 0.7), 100))
    assert 0.5 <= min(drawn) < max(drawn) <= 0.7


def test_the_alarming_minutes_raise_what_they_are_sent_for() -> None:
    """A minute in which the models hear nothing would measure nothing."""
    minutes = stimuli.alarming_minutes()
    assert [(kind, stimuli.raised_kinds(minute)) for kind, minute in minutes] == [
        (AlarmKind.FIRE, {AlarmKind.FIRE}),
        (AlarmKind.BURGLARY, {AlarmKind.BURGLARY}),
    ]
