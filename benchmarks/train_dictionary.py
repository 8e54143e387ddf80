"""`python -m benchmarks.train_dictionary --id N`: train the next dictionary of schemas/packing.py.

Samples are live minutes of simulated homes under the adaptive uplink, sealed by gateways of several
fleets. Sensors and rooms get names of many kinds, so that the dictionary learns how a minute is laid
out rather than one home's names.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import zstandard

from benchmarks.recorded import MODES, RecordedFleet, Sender, render
from edge_client.policy import LivePolicy
from local.simulator.devices import READING_DEVICES
from schemas import hearthwatch_v1_pb2 as pb
from schemas.envelope import plain_envelope
from schemas.packing import FOLDER, LIVE_DICTIONARY
from schemas.readings import MINUTE_US, reading_id

SIZE: Final = 16 << 10
_START_US: Final = 1_767_312_000_000_000  # 2026-01-02
_HOURS: Final = (0, 7, 12, 19)  # each rendered for an hour
_HOMES: Final = range(901, 907)  # none of them is ever measured
_ROOMS: Final = (
    "kitchen", "hall", "bedroom", "living room", "bathroom", "office", "garage", "cellar", "attic",
    "Küche", "Flur", "Schlafzimmer", "Wohnzimmer", "Bad", "Keller", "cuisine", "salon", "chambre",
)  # fmt: skip


def samples(seed: int) -> Iterator[bytes]:
    """Serialized envelopes as they are before packing."""
    rng = np.random.default_rng(seed)
    for home in _HOMES:
        for hour in _HOURS:
            start_us = _START_US + hour * 60 * MINUTE_US
            fleet = RecordedFleet(home + hour, start_us)
            sender = fleet.sender(int(rng.integers(1, 9_999)))
            names = _names(rng)
            policy = LivePolicy(sender.gateway_id)
            for seq, minute in enumerate(render(seed, home, 60, start_us), int(rng.integers(1, 1 << 20))):
                readings = [_renamed(r, names, sender.gateway_id) for r in minute.body.readings]
                arming = pb.Arming(mode=MODES[minute.mode])
                split = policy.split(minute.minute_us, readings, arming, payloads=False)
                for features in split.live.features:
                    features.log_mel = b""  # compressed already: a dictionary has nothing to say of it
                yield _sealed(sender, seq, minute.minute_us, minute.mode, split.live)


def _names(rng: np.random.Generator) -> dict[str, tuple[str, str]]:
    """Sensor → name and room in one home: by kind and room, or as Zigbee addresses."""
    rooms = [str(room) for room in rng.choice(_ROOMS, 4, replace=False)]
    hexadecimal = rng.random() < 0.5
    prefix = f"0x00158d00{int(rng.integers(1 << 16)):04x}"

    def name(sensor: str, room: str) -> str:
        if hexadecimal:
            return f"{prefix}{int(rng.integers(1 << 16)):04x}"
        return f"{sensor.partition('-')[0]}-{room.replace(' ', '-')}-{int(rng.integers(1, 4))}"

    found: dict[str, tuple[str, str]] = {}
    for sensor in (device.sensor_id for device in READING_DEVICES):
        room = str(rng.choice(rooms))
        found[sensor] = name(sensor, room), room
    return found


def _renamed(reading: pb.Reading, names: dict[str, tuple[str, str]], gateway_id: str) -> pb.Reading:
    made = pb.Reading()
    made.CopyFrom(reading)
    made.sensor_id, made.room = names[reading.sensor_id]
    made.reading_id = reading_id(gateway_id, made.sensor_id, made.minute_us)
    return made


def _sealed(sender: Sender, seq: int, minute_us: int, mode: str, body: pb.Body) -> bytes:
    header = pb.Header(
        home_id=sender.home_id,
        gateway_id=sender.gateway_id,
        epoch=sender.epoch,
        seq=seq,
        lane=pb.LANE_MINUTES,
        created_us=minute_us + MINUTE_US + 2_000_000,
        oldest_unsent_seq=seq,
        head_seq=seq,
        arming=pb.Arming(mode=MODES[mode], phase=pb.ARMING_PHASE_SET, since_us=minute_us - 60 * MINUTE_US),
        software_version="0.1.0",
    )
    return plain_envelope(header, body, sender.key, sender.certificate, LIVE_DICTIONARY).SerializeToString(
        deterministic=True
    )


def main(arguments: list[str] | None = None) -> int:
    """Train and write; a dictionary that exists is never changed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--id", type=int, required=True, help="number of the new dictionary")
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--out", type=Path, default=FOLDER)
    options = parser.parse_args(arguments)
    path = options.out / f"live_{options.id}.dict"
    if path.exists():
        parser.error(f"{path} exists: gateways may use it, take the next number")
    trained = zstandard.train_dictionary(SIZE, list(samples(options.seed)), dict_id=options.id, level=19)
    options.out.mkdir(parents=True, exist_ok=True)
    path.write_bytes(trained.as_bytes())
    print(f"{path}: {path.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
