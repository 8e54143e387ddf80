"""The small data that the notebooks read, made anew: `python -m notebooks.make_data` (about a minute).

day.jsonl.gz       a simulated home's day, every fifth minute, as rows of the training table
corpora.jsonl.gz   simulated rooms, as rows of the training table
archive/, ca.pem   what the gateway of a simulated home signed while somebody cooked
label.jsonl        what the dispatcher found that alarm to be
"""

from __future__ import annotations

import datetime as dt
import gzip
import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from local.signals.accel import Incident, accel_minute
from local.signals.air import Activity, RoomAir
from local.signals.pir import Movement, pir_minute
from local.signals.room import Clip, minute_sound
from local.signals.sound import cooking
from local.training.corpora import air_rows
from schemas import hearthwatch_v1_pb2 as pb
from schemas.alarms import CloseOutCode
from schemas.events import AlarmKind, Code
from schemas.labels import Label
from schemas.readings import ALL_SECONDS, MINUTE_US, READING_KINDS, reading_id
from tests.archives import write_landing
from tests.fake_messages import raw_message
from tests.fakes import Fleet
from transforms.elements import AcceptedReading
from transforms.training_rows import Labels, training_row
from transforms.write_warehouse import Row

DATA = Path(__file__).parent / "data"
HOME, GATEWAY = "home-0001", "gw-0001"
DAY_US = int(dt.datetime(2026, 3, 1, tzinfo=dt.UTC).timestamp() * 1e6)
EVERY = 5
COOK_FROM_US = DAY_US + 19 * 60 * MINUTE_US
COOK_MINUTES, ALARM_AT = 10, 6


def main() -> None:
    """Write everything."""
    rng = np.random.default_rng(1)
    _write("day.jsonl.gz", day(rng))
    _write("corpora.jsonl.gz", air_rows(None, rooms=40))
    fleet = Fleet(1, now_us=DAY_US)
    gateway = fleet.gateway(1)
    messages = []
    for seq, body in enumerate(cooked(rng), 1):
        written_us = body.readings[0].minute_us + MINUTE_US
        payload = gateway.envelope(body, seq=seq, created_us=written_us)
        messages.append(raw_message(payload, publish_us=written_us + 500_000, message_id=f"m-{seq}"))
    write_landing(str(DATA / "archive"), messages, "evening")
    (DATA / "ca.pem").write_bytes(fleet.ca_pem)
    alarm_us = COOK_FROM_US + ALARM_AT * MINUTE_US
    label = Label(
        alarm_id="fire-5f0c2a",
        home_id=HOME,
        kind=AlarmKind.FIRE,
        code=Code.SMOKE,
        close_out=CloseOutCode.FALSE_COOKING,
        from_us=alarm_us,
        to_us=alarm_us + 3 * MINUTE_US,
        closed_us=alarm_us + 9 * MINUTE_US,
        room="kitchen",
    )
    (DATA / "label.jsonl").write_text(label.model_dump_json() + "\n")


def day(rng: np.random.Generator) -> Iterable[Row]:
    """Two people who get up at seven, are out from eight to five, cook at seven and sleep from eleven."""
    rooms = {"kitchen": RoomAir(rng, 30), "bedroom": RoomAir(rng, 40)}
    for number in range(0, 24 * 60, EVERY):
        hour, minute_us = number / 60, DAY_US + number * MINUTE_US
        home = not 8 <= hour < 17
        asleep = hour < 7 or hour >= 23
        where = {"kitchen": 2 if home and not asleep else 0, "bedroom": 2 if asleep else 0}
        for room, air in rooms.items():
            activity = Activity(where[room], cooking=room == "kitchen" and 19 <= hour < 19.5)
            air.settle(activity, (EVERY - 1) * 60)
            samples = air.minute(activity).astype("<f4").tobytes()
            yield _row(minute_us, f"air-{room}", pb.SENSOR_KIND_AIR, room, air=pb.AirPayload(samples=samples))
        moves = [Movement(float(rng.uniform(0, 40)), 8.0, "person")] if home and not asleep else []
        pir = pir_minute(rng, moves).astype("<i2").tobytes()
        yield _row(minute_us, "motion-hall", pb.SENSOR_KIND_MOTION, "hall", motion=pb.MotionPayload(pir=pir))
        used = any(abs(hour - leave) < 0.05 for leave in (8, 17))
        swing = [Incident(20.0, "open"), Incident(26.0, "close")] if used else []
        accel = accel_minute(rng, swing).astype("<i2").tobytes()
        contact = pb.ContactPayload(changes_ms=[20_000, 26_000] if used else [], accel=accel)
        yield _row(minute_us, "contact-front-door", pb.SENSOR_KIND_CONTACT, "hall", contact=contact)


def cooked(rng: np.random.Generator) -> Iterable[pb.Body]:
    """The kitchen's sensors while dinner burns a little."""
    air = RoomAir(rng, 30)
    air.settle(Activity(2), 1_800)
    for number in range(COOK_MINUTES):
        minute_us = COOK_FROM_US + number * MINUTE_US
        busy = number >= 2
        samples = air.minute(Activity(2, cooking=busy)).astype("<f4").tobytes()
        clips = [Clip(float(rng.uniform(0, 30)), cooking(rng, 20.0), 68.0)] if busy else []
        log_mel, levels, loudest_ms = minute_sound(rng, clips)
        sound = pb.SoundPayload(
            log_mel=log_mel.tobytes(), levels=levels.tobytes(), loudest_ms=int(loudest_ms)
        )
        pir = pir_minute(rng, [Movement(float(rng.uniform(0, 40)), 12.0, "person")]).astype("<i2").tobytes()
        air_payload = pb.AirPayload(samples=samples)
        pir_payload = pb.MotionPayload(pir=pir)
        yield pb.Body(
            readings=[
                _reading(minute_us, "air-kitchen", pb.SENSOR_KIND_AIR, "kitchen", air=air_payload),
                _reading(minute_us, "sound-kitchen", pb.SENSOR_KIND_SOUND, "kitchen", sound=sound),
                _reading(minute_us, "motion-hall", pb.SENSOR_KIND_MOTION, "hall", motion=pir_payload),
            ]
        )


def _reading(minute_us: int, sensor: str, kind: pb.SensorKind, room: str, **payload: object) -> pb.Reading:
    return pb.Reading(
        reading_id=reading_id(GATEWAY, sensor, minute_us),
        sensor_id=sensor,
        kind=kind,
        room=room,
        minute_us=minute_us,
        seconds_present=ALL_SECONDS,
        **payload,  # type: ignore[arg-type]
    )


def _row(minute_us: int, sensor: str, kind: pb.SensorKind, room: str, **payload: object) -> Row:
    reading = _reading(minute_us, sensor, kind, room, **payload)
    accepted = AcceptedReading(
        home_id=HOME,
        gateway_id=GATEWAY,
        batch_id="",
        epoch="",
        seq=0,
        reading=reading.SerializeToString(),
        family=READING_KINDS[kind],
        arming_mode="away" if 8 <= (minute_us - DAY_US) / MINUTE_US / 60 < 17 else "disarmed",
        publish_us=minute_us + MINUTE_US,
        lane="minutes",
    )
    return training_row(accepted, Labels([]), 0.0)


def _write(name: str, rows: Iterable[Row]) -> None:
    text = "".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows)
    (DATA / name).write_bytes(gzip.compress(text.encode(), mtime=0))


if __name__ == "__main__":
    main()
