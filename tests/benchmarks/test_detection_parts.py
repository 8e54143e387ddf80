"""What the parts of detection compute, on curves and logs whose answer is known."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest

from benchmarks.detection import fire, nuisances, occupancy, ordinary_rooms
from edge_client.hazards import AirHazards
from local.recordings import RoomMinutes
from local.signals.air import LAG_S, Activity


def _curve(seconds: int, celsius: np.ndarray | float = 21.0) -> np.ndarray:
    air = np.full((seconds, 6), np.nan, np.float32)
    air[:, 0], air[:, 1], air[:, 3] = 420.0, 0.0, celsius
    return air


def test_the_gateway_alarms_at_a_plume_and_later_through_a_sensor_that_lags() -> None:
    plume = _curve(120, 21.0 + 12.0 * (np.arange(120) >= 40))
    ideal, _ = fire.gateway_s(plume, lagged=False)
    lagged, code = fire.gateway_s(plume, lagged=True)
    assert code == "heat"
    assert ideal is not None
    assert lagged is not None
    assert 40 < ideal < lagged < 60


def test_a_room_at_rest_is_never_a_fire() -> None:
    assert fire.gateway_s(_curve(300), lagged=True) == (None, "")
    assert fire.co2_rule_s(_curve(300)) is None


def test_the_naive_rule_trips_where_co2_stands_100_ppm_higher() -> None:
    air = _curve(50)
    air[20:, 0] += 101
    assert fire.co2_rule_s(air) == 20


def test_the_naive_rule_counts_each_rise_of_a_lived_in_room_once() -> None:
    """People come in twice; the slow rise of a night is none."""
    co2 = np.concatenate([np.linspace(420, 620, 120), [800.0] * 30, [450.0] * 30, [700.0] * 30])
    minutes = [dt.datetime(2020, 1, 1) + dt.timedelta(minutes=m) for m in range(co2.size)]
    flat = np.full(co2.size, 21.0, np.float32)
    room = RoomMinutes(
        "x", minutes, co2.astype(np.float32), flat, flat, flat > 30, np.zeros(co2.size, np.int16)
    )
    assert ordinary_rooms.co2_rule_alarms(room) == 2


def test_a_lagging_sensor_has_two_thirds_of_a_step_after_its_time() -> None:
    step = _curve(100, 21.0 + 10.0 * (np.arange(100) >= 10))
    seen = fire.lag(step)[10 + int(LAG_S[3]) - 1, 3]
    assert seen == pytest.approx(21 + 10 * (1 - np.exp(-1)), abs=0.4)


def test_a_log_with_a_hole_is_two_spans_and_nothing_is_made_up_between() -> None:
    start = dt.datetime(2020, 1, 1)
    minutes = [start + dt.timedelta(minutes=m) for m in (0, 1, 2, 30, 31)]
    flat = np.full(5, 21.0, np.float32)
    room = RoomMinutes("x", minutes, flat, flat, flat, np.zeros(5, bool), np.zeros(5, np.int16))
    spans = list(ordinary_rooms.ordinary_seconds(room))
    assert [len(span) for span in spans] == [121, 61]


def test_nuisances_are_judged_by_the_gateways_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    hot = nuisances.Nuisance("hot", False, lambda _: (Activity(plume_c=40.0) for _ in range(60)))
    cold = nuisances.Nuisance("cold", False, lambda _: (Activity() for _ in range(60)))
    monkeypatch.setattr(nuisances, "NUISANCES", (hot, cold))
    monkeypatch.setattr(nuisances, "DRAWS", 2)
    assert [row["alarmed"] for row in nuisances.measure()] == [2, 0]


def test_cooking_and_its_opened_oven_trip_nothing_near_the_stove() -> None:
    (near,) = (n for n in nuisances.NUISANCES if n.near_cooking)
    assert not any(nuisances._alarms(near, np.random.default_rng(seed)) for seed in range(5))
    assert AirHazards(near_cooking=True)._rise_floor_c > AirHazards()._rise_floor_c


def _log(pir: list[int], occupied: list[int], sound: float = 0.07) -> occupancy.Log:
    n = len(pir)
    days = np.array([dt.date(2020, 1, 1)] * n)
    return occupancy.Log(
        30.0 * np.arange(n),
        days,
        np.array(pir, bool),
        np.where(occupied, 0.8, sound),
        np.array(occupied, bool),
    )


def test_pir_is_held_for_its_time_and_not_before_it_fired() -> None:
    log = _log([0, 1] + [0] * 12, [0] * 14)
    assert occupancy.held_s(log, 300.0).tolist() == [False] + [True] * 11 + [False] * 2


def test_one_pulse_of_a_pir_in_a_silent_room_is_nobody_to_the_filter() -> None:
    """It learnt that people are heard and seen again; a PIR held for five minutes is fooled."""
    learnt = _log(([1, 0] * 60 + [0] * 240), [1] * 120 + [0] * 240)
    seen = _log([0] * 100 + [1] + [0] * 100, [0] * 201)
    both = occupancy.Log(*(np.concatenate(pair) for pair in zip(learnt, seen, strict=True)))
    both = both._replace(at_s=30.0 * np.arange(len(both.pir)))
    fitted = np.arange(len(both.pir)) < len(learnt.pir)
    says = occupancy.filtered(both, fitted)
    assert says[10:110].all()
    assert occupancy.held_s(both, 300.0)[~fitted].sum() == 11
    assert says[~fitted].sum() < 4


def test_the_filter_looks_back_only() -> None:
    log = _log([1, 0] * 100, [1] * 100 + [0] * 100)
    fitted = np.arange(200) < 150
    later = log._replace(sound=np.concatenate([log.sound[:150], np.full(50, 0.8)]))
    before, after = occupancy.filtered(log, fitted), occupancy.filtered(later, fitted)
    assert (before[:150] == after[:150]).all()
    assert (before[150:] != after[150:]).any()
