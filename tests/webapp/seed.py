"""Realistic alarms for tests and screenshots, as the pipeline writes them.

`python -m tests.webapp.seed` fills the Firestore of FIRESTORE_EMULATOR_HOST.
"""

from __future__ import annotations

import math
import random
from typing import Any

from schemas.alarms import Alarm, Evidence, MeasurementDoc, ScoreDoc, SeriesDoc, alarm_id
from schemas.events import MEANINGS, AlarmKind, Code
from schemas.homes import DirectoryEntry

SECOND = 1_000_000
MINUTES = 10
POINTS = MINUTES * 60 // 2  # one value every two seconds

HOMES = {
    "home-0001": ("Lindenstraße 14, 3rd floor", "10969 Berlin", ["M. Weber (owner)", "S. Weber"], 2),
    "home-0002": ("Hofweg 3", "22085 Hamburg", ["J. Petersen (owner)"], 1),
    "home-0003": (
        "Am Alten Markt 27, rear building",
        "50667 Köln",
        ["A. Yılmaz (owner)", "Neighbour, 2nd floor"],
        2,
    ),
    "home-0004": ("Birkenallee 112", "04107 Leipzig", ["F. Krause (owner)"], 1),
    "home-0005": ("Schillerstraße 8", "80336 München", ["T. Huber (owner)"], 1),
}


def directory() -> list[DirectoryEntry]:
    """Made-up people; the numbers are of the ranges kept free for fiction."""
    return [
        DirectoryEntry(
            home_id=home,
            time_zone="Europe/Berlin",
            address=address,
            place=place,
            contacts=contacts,
            phones=[f"+49 30 23125 {int(home[-2:]) * 10 + i:03d}" for i in range(phones)],
        )
        for home, (address, place, contacts, phones) in HOMES.items()
    ]


def make_alarm(home: str, code: Code, now_us: int, ago_s: float, **fields: Any) -> Alarm:
    """An episode that opened `ago_s` ago."""
    means = MEANINGS[code]
    assert means.kind is not None
    opened = now_us - int(ago_s * SECOND)
    values: dict[str, Any] = {
        "alarm_id": alarm_id(home, means.kind, f"{home}-{code}-{opened}"),
        "home_id": home,
        "kind": means.kind,
        "category": means.category,
        "code": int(code),
        "title": means.title,
        "headline": means.title,
        "avs_level": means.avs_level,
        "avs_rule": "avs-1",
        "occurred_us": opened - SECOND // 2,
        "opened_us": opened,
        "updated_us": opened,
        "armed_mode": "away",
    }
    return Alarm.model_validate({**values, **fields})


def make_evidence(alarm: Alarm, number: int, after_s: float = 0.0, **fields: Any) -> Evidence:
    """One thing that supports it, `after_s` after it opened."""
    moment = alarm.occurred_us + int(after_s * SECOND)
    values: dict[str, Any] = {
        "evidence_id": f"{alarm.alarm_id}-{number}",
        "home_id": alarm.home_id,
        "gateway_id": alarm.home_id.replace("home", "gw"),
        "source": "gateway",
        "code": alarm.code,
        "qualifier": 1,
        "title": alarm.title,
        "room": alarm.room,
        "occurred_us": moment,
        "arrived_us": moment + 300_000,
        "recorded_us": moment + 400_000,
        "rule_version": "hazard-1",
    }
    return Evidence.model_validate({**values, **fields})


def scenes(now_us: int) -> list[tuple[Alarm, list[Evidence]]]:
    """A busy quarter of an hour: fire, CO, break-in, troubles."""
    return [_fire(now_us), _co(now_us), _break_in(now_us), *_troubles(now_us)]


def _fire(now_us: int) -> tuple[Alarm, list[Evidence]]:
    alarm = make_alarm(
        "home-0001",
        Code.SMOKE,
        now_us,
        21,
        room="kitchen",
        headline="Smoke alarm and rapid heat rise in the kitchen, somebody is home.",
        armed_mode="stay",
        evidence_count=2,
        avs_reasons=[
            "smoke-kitchen: smoke",
            "air kitchen: temperature rose 9.4 °C in 60 s (limit 8.3)",
            "sound kitchen: smoke_alarm 0.97 (sound-1)",
            "motion bedroom: person 0.71 (motion-1)",
        ],
    )
    smoke = make_evidence(alarm, 1, sensor_id="smoke-kitchen", series=_curves(alarm.occurred_us, "fire"))
    heat = make_evidence(
        alarm,
        2,
        after_s=9,
        code=int(Code.HEAT),
        title="Rapid heat rise",
        sensor_id="air-kitchen",
        measurements=[MeasurementDoc(name="temperature_c", value=38.6, unit="°C", limit=35.0)],
        series=_curves(alarm.occurred_us + 9 * SECOND, "fire"),
    )
    return alarm, [smoke, heat]


def _co(now_us: int) -> tuple[Alarm, list[Evidence]]:
    alarm = make_alarm(
        "home-0003",
        Code.CARBON_MONOXIDE,
        now_us,
        74,
        room="bedroom",
        headline="Carbon monoxide in the bedroom at 138 ppm and rising, armed stay.",
        armed_mode="stay",
        avs_reasons=[
            "air bedroom: CO 138 ppm for 60 s (limit 100)",
            "motion bedroom: person 0.64 (motion-1)",
        ],
    )
    level = MeasurementDoc(name="co_ppm", value=138.0, unit="ppm", limit=100.0)
    seen = make_evidence(
        alarm, 1, sensor_id="air-bedroom", measurements=[level], series=_curves(alarm.occurred_us, "co")
    )
    return alarm, [seen]


def _break_in(now_us: int) -> tuple[Alarm, list[Evidence]]:
    alarm = make_alarm(
        "home-0002",
        Code.PERIMETER,
        now_us,
        48,
        room="kitchen",
        headline="Glass break and the kitchen window opened while all are away; then motion in the hall.",
        avs_level=2,
        evidence_count=3,
        avs_reasons=[
            "sound kitchen: glass_break 0.94 (sound-1)",
            "contact-kitchen-window: opened",
            "motion hall: person 0.88 (motion-1)",
        ],
    )
    score: dict[str, Any] = {"model_version": "sound-1", "minute_us": alarm.occurred_us}
    opened = make_evidence(
        alarm, 1, sensor_id="contact-kitchen-window", series=_curves(alarm.occurred_us, "glass")
    )
    moved = make_evidence(
        alarm,
        2,
        after_s=14,
        code=int(Code.INTERIOR),
        title="Movement inside",
        room="hall",
        sensor_id="motion-hall",
        series=_curves(alarm.occurred_us + 14 * SECOND, "glass"),
    )
    heard = make_evidence(
        alarm,
        3,
        after_s=20,
        source="fusion",
        code=int(Code.BURGLARY),
        title="Break-in",
        scores=[
            ScoreDoc(
                sensor_id="sound-kitchen",
                room="kitchen",
                family="sound",
                label="glass_break",
                score=0.94,
                **score,
            ),
            ScoreDoc(
                sensor_id="motion-hall",
                room="hall",
                family="motion",
                label="person",
                score=0.88,
                model_version="motion-1",
                minute_us=alarm.occurred_us,
            ),
        ],
    )
    return alarm, [opened, moved, heard]


def _troubles(now_us: int) -> list[tuple[Alarm, list[Evidence]]]:
    power = make_alarm(
        "home-0004",
        Code.AC_LOSS,
        now_us,
        412,
        headline="Mains power lost; the gateway runs on its battery.",
        avs_reasons=["gateway: mains lost"],
    )
    battery = make_alarm(
        "home-0005",
        Code.RF_BATTERY,
        now_us,
        5200,
        headline="Battery of the hall's motion sensor is at 12 %.",
        room="hall",
        armed_mode="disarmed",
    )
    path = make_alarm("home-0002", Code.PATH_FAILURE, now_us, 940, headline="Nothing heard for 15 minutes.")
    return [
        (power, [make_evidence(power, 1, sensor_id="mains", series=_curves(power.occurred_us, "quiet"))]),
        (battery, [make_evidence(battery, 1, sensor_id="motion-hall")]),
        (path, [make_evidence(path, 1, source="pipeline")]),
    ]


def _curves(end_us: int, story: str) -> list[SeriesDoc]:
    """The home's last minutes up to `end_us`, with a gap, as the gateway sends them."""
    chance = random.Random(story)
    start = end_us - POINTS * 2 * SECOND

    def series(sensor: str, kind: str, room: str, quantity: str, unit: str, shape: Any) -> SeriesDoc:
        values: list[float | None] = [round(shape(i / POINTS, chance), 2) for i in range(POINTS)]
        if room == "bedroom":
            values[96:128] = [None] * 32
        return SeriesDoc(
            sensor_id=sensor,
            kind=kind,
            room=room,
            quantity=quantity,
            unit=unit,
            start_us=start,
            period_us=2 * SECOND,
            values=values,
        )

    def late(share: float, height: float, since: float = 0.75) -> float:
        grown: float = height * max(0.0, (share - since) / (1 - since)) ** 2
        return grown

    def flat(level: float, noise: float, rise: float = 0.0, since: float = 0.75) -> Any:
        return lambda t, c: level + c.gauss(0, noise) + late(t, rise, since)

    def bursts(spans: list[tuple[float, float]]) -> Any:
        return lambda t, _c: float(any(a <= t < b for a, b in spans))

    hot = story == "fire"
    found = []
    for room in ("kitchen", "bedroom"):
        here = (story == "fire" and room == "kitchen") or (story == "co" and room == "bedroom")
        sensor = f"air-{room}"
        co = 138.0 if story == "co" and here else 46.0 if here else 0.0
        found += [
            series(
                sensor,
                "air",
                room,
                "co_ppm",
                "ppm",
                lambda t, c, h=co: max(0, c.gauss(1, 0.4) + late(t, h, 0.3)),
            ),
            series(sensor, "air", room, "co2_ppm", "ppm", flat(640, 6, 900 if hot and here else 30)),
            series(
                sensor, "air", room, "temperature_c", "°C", flat(21.4, 0.05, 17.2 if hot and here else 0.2)
            ),
            series(sensor, "air", room, "voc_index", "1", flat(98, 3, 310 if hot and here else 4)),
            series(sensor, "air", room, "humidity_pct", "%", flat(44, 0.3)),
            series(sensor, "air", room, "pressure_hpa", "hPa", flat(1013.2, 0.05)),
        ]
    loud = {"fire": 0.955, "glass": 0.965}.get(story, 2.0)
    for room in ("kitchen", "living room"):
        beep = _beeping(52.0 if room == "kitchen" else 22.0, loud)
        found.append(series(f"sound-{room.split()[0]}", "sound", room, "sound_dba", "dB(A)", beep))
    walking = {"fire": [(0.1, 0.14), (0.97, 1.0)], "glass": [(0.98, 1.0)]}.get(story, [(0.2, 0.24)])
    for name, room in (("hall", "hall"), ("living", "living room"), ("bedroom", "bedroom")):
        found.append(
            series(f"motion-{name}", "motion", room, "motion", "", bursts(walking if name == "hall" else []))
        )
    for name, room in (("front-door", "hall"), ("kitchen-window", "kitchen")):
        opened = [(0.975, 1.0)] if story == "glass" and name == "kitchen-window" else []
        found.append(series(f"contact-{name}", "contact", room, "open", "", bursts(opened)))
    return found


def _beeping(height: float, since: float) -> Any:
    """Room noise, and something loud on and off from a share of the time on."""
    return lambda t, c: 34 + abs(c.gauss(0, 2)) + (height if t > since and math.sin(t * 2400) > -0.4 else 0)


def storm(now_us: int, count: int) -> list[Alarm]:
    """Many power losses, as after a storm, to see how the queue holds."""
    return [
        make_alarm(f"home-{100 + i:04d}", Code.AC_LOSS, now_us, 600 + 7 * i, headline="Mains power lost.")
        for i in range(count)
    ]


def main() -> None:
    """Write it all to the emulator."""
    from webapp.app import firestore_client, now_us
    from webapp.config import WebConfig

    write(firestore_client(WebConfig().project_id), scenes(now_us()))


def write(client: Any, filled: list[tuple[Alarm, list[Evidence]]]) -> None:
    """Alarms with their evidence, slots and homes → Firestore, evidence first as the pipeline does."""
    for entry in directory():
        client.collection("directory").document(entry.home_id).set(entry.document())
    for alarm, pieces in filled:
        reference = client.collection("alarms").document(alarm.alarm_id)
        for piece in pieces:
            reference.collection("evidence").document(piece.evidence_id).set(piece.document())
        slot = client.collection("open").document(f"{alarm.home_id}~{AlarmKind(alarm.kind)}")
        slot.set({"alarm_id": alarm.alarm_id, "state": "open"})
        reference.set(alarm.document())


if __name__ == "__main__":
    main()
