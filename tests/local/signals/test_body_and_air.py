"""PIR, accelerometer and room air behave as the physics says."""

import numpy as np
import pytest

from local.signals.accel import Incident, accel_minute
from local.signals.air import CO2_PER_PERSON_LPS, Activity, RoomAir
from local.signals.pir import Movement, pir_minute
from schemas.features import PIR_ACTIVE_COUNTS
from schemas.readings import ACCEL_SHAPE, AIR_CHANNELS, PIR_SHAPE


def _swing(wave: np.ndarray) -> np.ndarray:
    seconds = wave.reshape(60, -1)
    return seconds.max(axis=1) - seconds.min(axis=1)


def test_an_empty_room_stays_below_the_threshold_of_activity():
    wave = pir_minute(np.random.default_rng(1), [])
    assert wave.shape == PIR_SHAPE
    assert wave.dtype == np.int16
    assert _swing(wave).max() < PIR_ACTIVE_COUNTS


def test_a_person_shows_while_moving_and_not_before():
    swing = _swing(pir_minute(np.random.default_rng(2), [Movement(20, 15)]))
    assert swing[:20].max() < PIR_ACTIVE_COUNTS
    assert (swing[21:34] > PIR_ACTIVE_COUNTS).mean() > 0.8
    assert swing[40:].max() < PIR_ACTIVE_COUNTS


def test_pets_are_on_average_quicker_and_weaker_than_people():
    rng = np.random.default_rng(3)
    people, pets = (
        [pir_minute(rng, [Movement(5, 40, who)]).astype(float) for _ in range(20)]
        for who in ("person", "pet")
    )
    hertz = np.fft.rfftfreq(PIR_SHAPE[0], 1 / 80)

    def centroid(wave):
        power = np.abs(np.fft.rfft(wave)) ** 2
        return (hertz * power).sum() / power.sum()

    assert np.mean([np.abs(w).max() for w in people]) > 1.5 * np.mean([np.abs(w).max() for w in pets])
    assert np.mean([centroid(w) for w in pets]) > 1.5 * np.mean([centroid(w) for w in people])


def test_movement_at_the_last_moment_of_a_minute_is_cut():
    assert pir_minute(np.random.default_rng(4), [Movement(59.95, 30)]).shape == PIR_SHAPE


def test_a_resting_door_reads_gravity():
    wave = accel_minute(np.random.default_rng(1), [])
    assert wave.shape == ACCEL_SHAPE
    assert np.linalg.norm(wave.mean(axis=0)) == pytest.approx(1000, abs=15)
    assert wave.std(axis=0).max() < 10


@pytest.mark.parametrize("what", ["open", "close", "knock", "forced", "wind"])
def test_every_incident_shakes_its_moment_and_fits_the_minute(what):
    early = accel_minute(np.random.default_rng(2), [Incident(10, what)]).astype(float)
    late = accel_minute(np.random.default_rng(2), [Incident(59.9, what)])
    assert late.shape == ACCEL_SHAPE
    assert np.ptp(early[250:400], axis=0).max() > 1.5 * np.ptp(early[:240], axis=0).max()


def test_forcing_is_longer_and_harder_than_knocking():
    rng = np.random.default_rng(3)
    for _ in range(10):
        forced = accel_minute(rng, [Incident(5, "forced")]).astype(float)
        knock = accel_minute(rng, [Incident(5, "knock")]).astype(float)
        assert np.abs(np.diff(forced[:, 0])).sum() > np.abs(np.diff(knock[:, 0])).sum()


def _room(seed: int = 3, **settings) -> RoomAir:
    air = RoomAir(np.random.default_rng(seed), **settings)
    air.settle(Activity(), 7200)
    return air


def test_two_people_raise_co2_by_the_mass_balance():
    air = _room(volume_m3=35.0)
    before = air.minute(Activity())[-20:, 0].mean()
    for _ in range(10):
        after = air.minute(Activity(people=2))[-20:, 0].mean()
    tight = 600 * 2 * CO2_PER_PERSON_LPS / 35_000 * 1e6  # without ventilation
    assert 0.75 * tight < after - before < 1.05 * tight


def test_airing_brings_co2_down():
    air = _room()
    air.settle(Activity(people=3), 5400)
    stuffy = air.minute(Activity())[-1, 0]
    for _ in range(15):
        fresh = air.minute(Activity(airing=True))[-1, 0]
    assert stuffy > 1000
    assert fresh < 420 + (stuffy - 420) * 0.4


def test_a_fire_grows_as_time_squared_and_stays_within_the_sensors():
    air = _room(gas_hob=False)
    air.ignite("medium")
    minutes = [air.minute(Activity()) for _ in range(8)]
    low = np.array([c.low for c in AIR_CHANNELS])
    high = np.array([c.high for c in AIR_CHANNELS])
    rise = [minute[-1, 3] - minutes[0][0, 3] for minute in minutes]
    assert all(np.isfinite(m).all() and (m >= low).all() and (m <= high).all() for m in minutes)
    assert rise[1] > 3 * rise[0]
    assert minutes[3][-1, 1] > 300
    assert rise[3] > 100


def test_smouldering_gives_co_before_heat():
    air = _room()
    before = air.minute(Activity())[-1]
    air.ignite("slow", smoulder_s=600)
    for _ in range(5):
        minute = air.minute(Activity())
    assert minute[-1, 1] > 50
    assert minute[-1, 3] - before[3] < 3


def test_a_co_leak_raises_co_and_nothing_else():
    air = _room()
    start = air.minute(Activity())[-1]
    for _ in range(10):
        end = air.minute(Activity(co_leak_lps=0.01))[-1]
    assert end[1] > 100
    assert abs(end[3] - start[3]) < 1
    assert abs(end[0] - start[0]) < 60


def test_a_recorded_fire_adds_its_rise_and_leaves_unmeasured_channels_alone():
    curve = np.full((120, 6), np.nan, np.float32)
    curve[:, 3] = np.linspace(30, 90, 120)
    air = _room()
    quiet = air.minute(Activity())[-1]
    air.play(curve)
    air.minute(Activity())
    hot = air.minute(Activity())[-1]
    assert 45 < hot[3] - quiet[3] < 62
    assert abs(hot[1] - quiet[1]) < 3


def test_the_same_seed_gives_the_same_air():
    first, again = (_room(9).minute(Activity(people=1)) for _ in range(2))
    assert np.array_equal(first, again)
