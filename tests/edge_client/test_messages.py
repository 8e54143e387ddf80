"""What gets past the parser and what does not."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_client.messages import MAX_PAYLOAD_BYTES, believe_clock, parse_frame, parse_zigbee
from schemas import hearthwatch_v1_pb2 as pb
from schemas.errors import BadInput
from tests.edge_client.fakes import MINUTE, START_US, air_frame, motion_frame, sound_frame

AIR = pb.SENSOR_KIND_AIR


def test_good_frames_pass():
    for frame in (air_frame(START_US), motion_frame(START_US), sound_frame(START_US)):
        assert parse_frame(frame.SerializeToString(), frame.sensor_id, frame.kind) == frame


def test_zigbee_message_keeps_what_matters_and_ignores_the_rest():
    message = parse_zigbee(b'{"contact": false, "battery": 87, "linkquality": 120, "voltage": 3000}')
    assert (message.contact, message.battery, message.occupancy) == (False, 87.0, None)


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        (b"", "zigbee payload"),
        (b"\xff\x00", "zigbee payload"),
        (b"[1]", "zigbee payload"),
        (b'{"contact": "false"}', "zigbee contact"),
        (b'{"battery": 101}', "zigbee battery"),
        (b'{"battery": "NaN"}', "zigbee battery"),
        (b'{"action": "' + b"x" * 41 + b'"}', "zigbee action"),
        (b'{"action_code": "\\ud800"}', "zigbee action_code"),
        (b'{"action": "disarm\\u0000"}', "zigbee action"),
        (b"[" * 100_000, f"limit {MAX_PAYLOAD_BYTES}"),
    ],
    ids=["empty", "bytes", "list", "text", "range", "nan", "long", "surrogate", "control", "oversize"],
)
def test_bad_zigbee_payload_is_named(payload, words):
    with pytest.raises(BadInput, match=words):
        parse_zigbee(payload)


def test_keypad_code_is_in_no_message_and_no_representation():
    with pytest.raises(BadInput) as caught:
        parse_zigbee(b'{"action": "disarm", "action_code": 123456}')
    assert "123456" not in str(caught.value)
    assert "4711" not in repr(parse_zigbee(b'{"action": "disarm", "action_code": "4711"}'))


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (air_frame(START_US, co_ppm=float("nan")), "co_ppm is nan"),
        (air_frame(START_US, temperature_c=1e6), "temperature_c is 1e"),
        (air_frame(START_US, sensor_id="other"), "topic says"),
        (
            pb.SensorFrame(sensor_id="air-kitchen", kind=pb.SENSOR_KIND_MOTION, start_us=START_US),
            "configured kind",
        ),
        (pb.SensorFrame(sensor_id="air-kitchen", kind=AIR), "configured kind"),
    ],
    ids=["nan", "range", "sensor", "kind", "empty"],
)
def test_bad_frame_is_named(frame, words):
    with pytest.raises(BadInput, match=words):
        parse_frame(frame.SerializeToString(), "air-kitchen", AIR)


@given(st.binary(max_size=200))
def test_random_bytes_are_bad_input_or_nothing_else(data):
    for parse in (parse_zigbee, lambda payload: parse_frame(payload, "air-kitchen", AIR)):
        with contextlib.suppress(BadInput):
            parse(data)


@pytest.mark.parametrize(
    ("offset_us", "changed"), [(0, False), (-MINUTE, False), (10 * MINUTE, True), (-START_US, True)]
)
def test_clock_that_cannot_be_right_is_replaced_by_the_gateways(offset_us, changed):
    frame = air_frame(START_US + offset_us)
    assert believe_clock(frame, START_US) is changed
    assert abs(frame.start_us - START_US) <= (1_000_000 if changed else MINUTE)
