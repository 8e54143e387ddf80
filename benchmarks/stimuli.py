"""What the latency benchmark does to homes: hazard messages at their broker, and minutes that tell of one."""

from __future__ import annotations

import json
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from benchmarks import recorded
from benchmarks.bare_loop import BareLoop
from benchmarks.recorded import Minute, RecordedFleet, Sender
from edge_client.publisher import Publisher
from local.simulator import devices
from local.simulator.scenarios import Script, break_in, kitchen_fire
from schemas.events import AlarmKind
from schemas.readings import MINUTE_US
from schemas.topics import ZIGBEE, sensor_topic

_SEED: Final = 20_262
_PUBLISH_TIMEOUT_S: Final = 10.0
_RENDER_AT_US: Final = 1_772_388_000_000_000  # 2026-03-01T18:00:00Z, an evening
_RENDERED_MINUTES: Final = 3


class Sent(NamedTuple):
    """One stimulus. `sent_us`: just before it was handed over, µs since 1970 UTC."""

    home_id: str
    kind: AlarmKind
    sent_us: int


class Hazard(NamedTuple):
    """A device's message that must open an alarm at once."""

    sensor_id: str
    payload: dict[str, Any]
    kind: AlarmKind


HAZARDS: Final = (
    Hazard(devices.SMOKE_ALARM, {"smoke": True}, AlarmKind.FIRE),
    Hazard(devices.PANIC_BUTTON, {"action": "panic"}, AlarmKind.PANIC),
)


def hazard_plan(homes: int, events: int, rng: random.Random) -> list[tuple[int, Hazard]]:
    """(home number, hazard) of each event: no home and hazard twice, for the second would open nothing.

    >>> plan = hazard_plan(3, 5, random.Random(1))
    >>> len(plan), len(set((home, hazard.kind) for home, hazard in plan))
    (5, 5)

    Raises:
        ValueError: More events than homes and hazards give.
    """
    if events > homes * len(HAZARDS):
        raise ValueError(f"events is {events}, limit {homes * len(HAZARDS)} with {homes} homes")
    numbers = rng.sample(range(1, homes + 1), homes)
    return [(number, hazard) for hazard in HAZARDS for number in numbers][:events]


def send_hazards(
    plan: Sequence[tuple[int, Hazard]], publish: Callable[[str, bytes], object], pauses: Iterator[float]
) -> list[Sent]:
    """Publish each at its home's broker, with pauses between them."""
    sent = []
    for number, hazard in plan:
        home_id = devices.home_id(number)
        topic = sensor_topic(home_id, ZIGBEE, hazard.sensor_id)
        sent.append(Sent(home_id, hazard.kind, time.time_ns() // 1000))
        publish(topic, json.dumps(hazard.payload).encode())
        time.sleep(next(pauses))
    return sent


def alarming_minutes() -> list[tuple[AlarmKind, Minute]]:
    """A minute of a kitchen fire and one of a break-in, as their homes' gateways would seal them.

    Raises:
        RuntimeError: The models hear no alarm in them, so that nothing could be measured.
    """
    scripts: tuple[tuple[AlarmKind, Script], ...] = (
        (AlarmKind.FIRE, kitchen_fire(15.0)),
        (AlarmKind.BURGLARY, break_in(90.0, 0.0)),
    )
    found = []
    for kind, script in scripts:
        for minute in recorded.render(_SEED, 1, _RENDERED_MINUTES, _RENDER_AT_US, script):
            armed = minute._replace(mode="away") if kind is AlarmKind.BURGLARY else minute
            if raised_kinds(armed) == {kind}:
                found.append((kind, armed))
                break
        else:
            raise RuntimeError(f"no minute of the {script.name} raises an alarm by itself")
    return found


def raised_kinds(minute: Minute) -> set[AlarmKind]:
    """A minute → the kinds of episodes that it alone opens, by the pipeline's own functions."""
    fleet = RecordedFleet(_SEED, minute.minute_us)
    sender = fleet.sender(1)
    body = recorded.owned(minute.body, sender.gateway_id, minute.minute_us)
    with tempfile.TemporaryDirectory() as folder:
        loop = BareLoop(fleet.ca_pem, Path(folder))
        loop.run([recorded.sealed_message(sender, 1, minute._replace(body=body))])
        return loop.alarm_kinds


def enrolled_sender(fleet: Path, number: int) -> Sender:
    """A gateway that is enrolled and does not run → its identity, with an epoch of its own."""
    home_id, gateway_id = devices.home_id(number), devices.gateway_id(number)
    place = fleet / gateway_id
    key = serialization.load_pem_private_key((place / "key.pem").read_bytes(), None)
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError(f"{place / 'key.pem'} holds {type(key).__name__}, limit: Ed25519")
    epoch = random.Random(number).randbytes(16)
    return Sender(home_id, gateway_id, key, (place / "certificate.der").read_bytes(), epoch)


def send_minutes(
    senders: Sequence[Sender],
    minutes: Sequence[tuple[AlarmKind, Minute]],
    publisher: Publisher,
    pauses: Iterator[float],
) -> list[Sent]:
    """Each sender publishes one alarming minute, the one that has just ended; kinds take turns."""
    sent = []
    for turn, sender in enumerate(senders):
        kind, minute = minutes[turn % len(minutes)]
        minute_us = (time.time_ns() // 1000 // MINUTE_US - 1) * MINUTE_US
        body = recorded.owned(minute.body, sender.gateway_id, minute_us)
        message = recorded.sealed_message(sender, 1, Minute(minute_us, body, minute.mode))
        attributes = dict(pair.split("=", 1) for pair in message.attributes)
        sent.append(Sent(sender.home_id, kind, time.time_ns() // 1000))
        publisher.publish(message.lane, message.payload, attributes, _PUBLISH_TIMEOUT_S)
        time.sleep(next(pauses))
    return sent


def pauses(rng: random.Random, shortest_s: float, longest_s: float) -> Iterator[float]:
    """Random spacing, so that no stimulus keeps step with anybody's poll."""
    while True:
        yield rng.uniform(shortest_s, longest_s)
