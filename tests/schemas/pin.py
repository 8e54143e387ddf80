"""What crosses a process, as plain data, and the golden files that pin it.

`python -m tests.schemas.pin` writes the files anew after a deliberate, additive change.
"""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any, Final

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding

from schemas import (
    alarms,
    archive,
    audit,
    bulk,
    compacted,
    envelope,
    events,
    homes,
    incidents,
    labels,
    owners,
    roster,
)
from schemas import hearthwatch_v1_pb2 as pb
from schemas.identity import issue_certificate, issue_fleet_ca
from schemas.readings import MINUTE_US
from tests.fakes import SENSORS, reading

GOLDEN: Final = Path(__file__).parent / "golden"
ENVELOPE: Final = GOLDEN / "envelope_v1.bin"
FLEET_CA: Final = GOLDEN / "fleet_ca_v1.der"
BULK: Final = GOLDEN / "bulk_v1.hwb"
# SHA-256 of the readings in it.
BULK_CONTENT: Final = "e6f34974580d245ba7b3a2469612b795be8a1c090626ca4cd1c06d1179bd53d8"
PACKED: Final = GOLDEN / "packed_v1.bin"
_MINUTE: Final = 1_790_000_040_000_000


def contracts() -> dict[str, Any]:
    """Name → contract as JSON-able data."""
    documents = (
        *(alarms.Alarm, alarms.Evidence, homes.HomeStatus, homes.DirectoryEntry, alarms.LaneProof),
        *(homes.SafeWord, homes.OnTest, labels.Label),
        *(audit.AuditEntry, audit.AuditHead, audit.AuditAnchor),
    )
    of_owners = (
        *(owners.Told, owners.LiveSensors, owners.Said, owners.Device, owners.Choices),
        *(owners.Watching, owners.Push),
    )
    supervised = (incidents.Incident, incidents.HomePath, incidents.HomeLosses, incidents.Supervision)
    return {
        "protobuf": {
            **{name: _fields(message) for name, message in pb.DESCRIPTOR.message_types_by_name.items()},
            **{
                name: {value.name: value.number for value in enum.values}
                for name, enum in pb.DESCRIPTOR.enum_types_by_name.items()
            },
        },
        "avro": {"archive": archive.ARCHIVE_SCHEMA, "dead_letter": archive.DEAD_LETTER_SCHEMA},
        "compacted": {
            "index": compacted.INDEX_SCHEMA,
            "manifest": compacted.Manifest.model_json_schema(),
            "tombstone": compacted.tombstone("home-1"),
        },
        "firestore": {document.__name__: document.model_json_schema() for document in documents},
        "supervision": {document.__name__: document.model_json_schema() for document in supervised},
        "owners": {document.__name__: document.model_json_schema() for document in of_owners},
        "roster": {
            **{line.__name__: line.model_json_schema() for line in (roster.RosterHeader, roster.RosterEntry)},
            "reporting_s": {category: said.within_s for category, said in roster.REPORTING.items()},
        },
        "states": {state: sorted(after) for state, after in alarms.TRANSITIONS.items()},
        "event_codes": {
            str(int(code)): [meaning.kind, meaning.category, meaning.avs_level]
            for code, meaning in sorted(events.MEANINGS.items())
        },
    }


def header() -> pb.Header:
    """A header with every field set."""
    return pb.Header(
        home_id="home-1",
        gateway_id="gw-1",
        epoch=bytes(range(16)),
        seq=42,
        lane=pb.LANE_MINUTES,
        created_us=_MINUTE + 60_000_000,
        clock_unset=True,
        oldest_unsent_seq=40,
        head_seq=42,
        gaps=[
            pb.Gap(
                epoch=bytes(range(16)),
                first_seq=7,
                last_seq=9,
                reason=pb.GAP_REASON_OUTBOX_FULL,
                first_us=_MINUTE - 600_000_000,
                last_us=_MINUTE - 420_000_000,
            )
        ],
        arming=pb.Arming(
            mode=pb.ARMING_MODE_AWAY,
            phase=pb.ARMING_PHASE_SET,
            since_us=_MINUTE - 3_600_000_000,
            bypassed_sensor_ids=["contact-3"],
        ),
        epoch_start=pb.EpochStart(
            previous_epoch=bytes(range(16, 32)), previous_head_seq=99, reason=pb.EPOCH_REASON_RESTORED_DISK
        ),
        software_version="0.1.0",
        dictionary_id=3,
        synthetic=True,
    )


def body() -> pb.Body:
    """A body with a reading, an event, features, a bulk reference and a command receipt."""
    return pb.Body(
        readings=[
            pb.Reading(
                reading_id=bytes(16),
                sensor_id="contact-1",
                kind=pb.SENSOR_KIND_CONTACT,
                room="hall",
                minute_us=_MINUTE,
                seconds_present=(1 << 60) - 1,
                battery_percent=87,
                contact=pb.ContactPayload(open=True, changes_ms=[1_500]),
            )
        ],
        events=[
            pb.Event(
                event_id=bytes(range(16)),
                code=events.Code.SMOKE,
                qualifier=pb.QUALIFIER_NEW,
                sensor_id="smoke-1",
                kind=pb.SENSOR_KIND_SMOKE,
                room="kitchen",
                occurred_us=_MINUTE + 1,
                measurements=[pb.Measurement(name="co_ppm", value=71.5, unit="ppm", limit=70)],
                series=[
                    pb.Series(
                        sensor_id="air-1",
                        kind=pb.SENSOR_KIND_AIR,
                        room="kitchen",
                        quantity="temperature_c",
                        unit="°C",
                        start_us=_MINUTE,
                        period_us=10_000_000,
                        values=[20.5, 21.0],
                    )
                ],
                rule_version="hazards-1",
                restores_event_id=bytes(16),
                user="u1",
            )
        ],
        features=[
            pb.Features(
                reading_id=bytes(16),
                sensor_id="s",
                kind=pb.SENSOR_KIND_SOUND,
                minute_us=_MINUTE,
                feature_version=1,
                values=[0.5],
            )
        ],
        bulk=[
            pb.BulkReference(
                object="bulk/gw-1/1",
                sha256=bytes(32),
                size=123,
                first_minute_us=_MINUTE,
                last_minute_us=_MINUTE,
                readings=600,
            )
        ],
        command_receipts=[
            pb.CommandReceipt(command_id=b"c", result=pb.COMMAND_RESULT_REFUSED, detail="expired")
        ],
    )


def live_body() -> pb.Body:
    """A body of features, as the adaptive uplink sends it."""
    return pb.Body(
        features=[
            pb.Features(
                sensor_id="motion-1",
                kind=pb.SENSOR_KIND_MOTION,
                feature_version=1,
                room="hall",
                seconds_missing=3,
                battery_percent=87,
                steps=[-1, 0, 300],
                summary=[12, 1],
            ),
            pb.Features(sensor_id="sound-1", kind=pb.SENSOR_KIND_SOUND, summary=[100, 80], log_mel=b"coarse"),
        ],
        features_minute_us=_MINUTE,
    )


def bulk_readings() -> list[pb.Reading]:
    """A reading of each kind, and one of a device that sends no waveform."""
    rng = np.random.Generator(np.random.PCG64(1))
    made = [reading(*sensor, _MINUTE // MINUTE_US * MINUTE_US, rng) for sensor in SENSORS[::3]]
    bare = pb.Reading(reading_id=bytes(16), sensor_id="z", kind=pb.SENSOR_KIND_CONTACT, room="hall")
    bare.contact.changes_ms.extend([1_500])
    return [*made, bare]


def main() -> None:
    """Write the golden files."""
    GOLDEN.mkdir(exist_ok=True)
    for name, contract in contracts().items():
        text = json.dumps(contract, indent=1, sort_keys=True, ensure_ascii=False)
        (GOLDEN / f"{name}_v1.json").write_text(text + "\n")
    if not ENVELOPE.exists():  # the bytes of version 1 are made once and never again
        ca_key = Ed25519PrivateKey.from_private_bytes(bytes(32))
        key = Ed25519PrivateKey.from_private_bytes(bytes([1]) * 32)
        span = {
            "not_before": dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
            "not_after": dt.datetime(2046, 1, 1, tzinfo=dt.UTC),
        }
        ca = issue_fleet_ca(ca_key, **span)
        certificate = issue_certificate(
            ca, ca_key, key.public_key(), home_id="home-1", gateway_id="gw-1", **span
        )
        FLEET_CA.write_bytes(ca.public_bytes(Encoding.DER))
        ENVELOPE.write_bytes(envelope.seal(header(), body(), key, certificate))
    if not BULK.exists():
        BULK.write_bytes(bulk.pack_object(bulk_readings(), "home-1", "gw-1"))
    if not PACKED.exists():
        key = Ed25519PrivateKey.from_private_bytes(bytes([1]) * 32)
        PACKED.write_bytes(envelope.seal(header(), live_body(), key, b"certificate", dictionary_id=1))


def _fields(message: Any) -> dict[str, list[Any]]:
    return {
        field.name: [
            field.number,
            field.type,
            field.is_repeated,
            field.message_type.name if field.message_type else None,
            field.enum_type.name if field.enum_type else None,
            field.containing_oneof.name if field.containing_oneof else None,
        ]
        for field in message.fields
    }


if __name__ == "__main__":
    main()
