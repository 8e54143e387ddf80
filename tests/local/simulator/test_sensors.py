"""What the sensors of a simulated home publish."""

import json
from collections import Counter

import numpy as np
import pytest

from local.simulator import devices
from local.simulator.scenarios import QUIET, Opens, Script, kitchen_fire
from local.simulator.sensors import JITTER_MS, SECOND_US, SimulatedHome
from schemas import hearthwatch_v1_pb2 as pb
from schemas.readings import AIR_CHANNELS, MINUTE_US, check_reading, pir_waveform, reading_id, sound_levels
from schemas.topics import RICH, ZIGBEE, parse_sensor_topic

START_US = 1_763_985_617 * SECOND_US  # 17 s into a minute


def _offset(hour: float) -> int:
    return round((hour * 3600 - START_US // SECOND_US % 86_400) / 60) * 60


def _messages(seed=7, number=2, hour=18.6, seconds=150, script=QUIET):
    home = SimulatedHome(seed, number, START_US, _offset(hour), script)
    return [message for second in range(seconds) for message in home.second(second)]


def _frames(messages):
    for message in messages:
        topic = parse_sensor_topic(message.topic)
        if topic.channel == RICH:
            yield message, pb.SensorFrame.FromString(message.payload)


@pytest.fixture(scope="module")
def evening():
    return _messages()


def _packed(frame, minute_us):
    reading = pb.Reading(
        reading_id=reading_id("gw-0002", frame.sensor_id, minute_us),
        sensor_id=frame.sensor_id,
        kind=frame.kind,
        minute_us=minute_us,
        battery_percent=frame.battery_percent,
    )
    which = frame.WhichOneof("payload")
    getattr(reading, which).CopyFrom(getattr(frame, which))
    return reading


def test_same_seed_sends_the_same_bytes(evening):
    assert _messages() == evening


def test_another_seed_sends_others(evening):
    assert _messages(seed=8) != evening


def test_seconds_come_in_order_only():
    home = SimulatedHome(7, 1, START_US, 0, QUIET)
    home.second(0)
    with pytest.raises(ValueError, match="second is 2, the next one is 1"):
        home.second(2)


def test_every_reading_sensor_sends_one_frame_a_minute_and_air_one_a_second(evening):
    counts = Counter(frame.sensor_id for _, frame in _frames(evening))
    minutes = [device.sensor_id for device in devices.MOTION + devices.SOUND + devices.CONTACT]
    assert {counts[sensor_id] for sensor_id in minutes} == {2}  # the begun minute and a whole one
    assert {counts[device.sensor_id] for device in devices.AIR} == {150}


def test_minute_frames_come_shortly_after_their_minute(evening):
    for message, frame in _frames(evening):
        if frame.kind == pb.SENSOR_KIND_AIR:
            assert 0 <= message.due_us - frame.start_us < SECOND_US
        else:
            assert frame.start_us % MINUTE_US == 0
            assert 0 <= message.due_us - frame.start_us - MINUTE_US <= JITTER_MS * 1000


def test_messages_of_a_second_are_due_within_it_and_in_order():
    home = SimulatedHome(7, 2, START_US, _offset(18.6), QUIET)
    for second in range(70):
        due = [message.due_us - START_US - second * SECOND_US for message in home.second(second)]
        assert due == sorted(due)
        assert all(0 <= at < SECOND_US for at in due)


def test_frames_pack_into_valid_readings(evening):
    for _, frame in _frames(evening):
        if frame.kind == pb.SENSOR_KIND_AIR:
            values = [getattr(frame.air, channel.name) for channel in AIR_CHANNELS]
            samples = np.tile(np.array(values, "<f4"), (60, 1))
            frame.Clear()  # an AirSecond is no AirPayload: the gateway gathers sixty
            reading = pb.Reading(
                reading_id=bytes(16),
                sensor_id="a",
                kind=pb.SENSOR_KIND_AIR,
                air=pb.AirPayload(samples=samples.tobytes()),
            )
        else:
            reading = _packed(frame, frame.start_us)
        check_reading(reading)


def test_zigbee_messages_are_what_zigbee2mqtt_publishes(evening):
    known = {"contact": bool, "occupancy": bool, "battery": int, "smoke": bool}
    seen = set()
    for message in evening:
        topic = parse_sensor_topic(message.topic)
        if topic.channel == ZIGBEE:
            for key, value in json.loads(message.payload).items():
                assert type(value) is known[key]
                seen.add((topic.sensor_id, key))
    # At the start every contact reports its state, as a retained message would.
    assert {(device.sensor_id, "contact") for device in devices.CONTACT} <= seen
    assert any(key == "occupancy" for _, key in seen)


def test_motion_seen_by_a_waveform_was_reported_at_once(evening):
    """A person moves the waveform by hundreds of counts; a room with nobody stays at its noise."""
    reported = {
        (parse_sensor_topic(m.topic).sensor_id, m.due_us // MINUTE_US * MINUTE_US)
        for m in evening
        if m.payload.startswith(b'{"occupancy": true')
    }
    swings = {True: [], False: []}
    for _, frame in _frames(evening):
        if frame.kind == pb.SENSOR_KIND_MOTION:
            swings[frame.motion.occupied].append(int(np.ptp(pir_waveform(frame.motion))))
            if (frame.sensor_id, frame.start_us) in reported:
                assert frame.motion.occupied
    assert min(swings[True]) > 200
    assert all(swing < 900 for swing in swings[False])


def test_open_window_shows_in_json_and_in_the_frame_of_its_minute():
    # The frame's minute began 17 s before the simulation: 30 s in is second 47 of it.
    script = Script("window", (Opens(30.0, devices.BEDROOM_WINDOW, 600.0),))
    messages = _messages(script=script, seconds=50, hour=3.0)
    payloads = [m.payload for m in messages if m.topic.endswith(f"{ZIGBEE}/{devices.BEDROOM_WINDOW}")]
    assert [json.loads(p)["contact"] for p in payloads] == [True, False]
    [frame] = [f for _, f in _frames(messages) if f.sensor_id == devices.BEDROOM_WINDOW]
    assert frame.contact.open
    assert [ms // 1000 for ms in frame.contact.changes_ms] == [47]


def test_people_at_night_breathe_and_the_sleeping_home_is_still():
    night = _messages(hour=2.0, seconds=90)
    evening = _messages(hour=18.6, seconds=90)
    moving = [sum(b'"occupancy": true' in m.payload for m in some) for some in (night, evening)]
    assert moving[0] <= moving[1]
    co2 = [f.air.co2_ppm for _, f in _frames(night) if f.sensor_id == "air-bedroom"]
    assert np.mean(co2) > 450  # people in a shut bedroom


def test_fire_is_seen_by_air_heard_by_microphones_and_ends_in_smoke_alarm():
    messages = _messages(script=kitchen_fire(10.0), seconds=110)
    smoke = [m for m in messages if m.payload.startswith(b'{"smoke": true')]
    assert len(smoke) == 1
    assert smoke[0].expect is not None
    air = [f.air for _, f in _frames(messages) if f.sensor_id == "air-kitchen"]
    assert air[-1].temperature_c > air[5].temperature_c + 30
    assert air[-1].co_ppm > air[5].co_ppm + 10
    [early, late] = [f for _, f in _frames(messages) if f.sensor_id == "sound-kitchen"]
    assert sound_levels(late.sound).max() > 80  # T3 at 85 dB(A) and more
    assert sound_levels(early.sound)[:20].max() < 75
