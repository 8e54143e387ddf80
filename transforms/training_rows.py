"""Readings and close-out codes → rows of the training table.

Join rule: the label of a closed alarm (schemas.alarms.Label) speaks of the readings of its home from five
minutes before its first evidence until its last, at least five minutes and at most thirty after the
first. A code of "unknown" labels nothing. Where several labels speak of a minute, what was real goes
before what was false, and that before a test; then the one whose evidence began nearest.
"""

from __future__ import annotations

import base64
import hashlib
import math
from collections import defaultdict
from collections.abc import Iterable
from typing import Final, NamedTuple

from schemas import hearthwatch_v1_pb2 as pb
from schemas.alarms import CloseOutCode, Label
from schemas.features import FEATURE_VERSION, model_input
from schemas.live_features import SUMMARY_NAMES, model_input_of, quantities, summary_of
from schemas.readings import MINUTE_US
from schemas.warehouse import SCHEMA_VERSION
from transforms.elements import AcceptedReading
from transforms.warehouse_loads import timestamp
from transforms.write_warehouse import Row

BEFORE_US: Final = 5 * MINUTE_US
AT_LEAST_US: Final = 5 * MINUTE_US
AT_MOST_US: Final = 30 * MINUTE_US
SAMPLE: Final = 0.001
PAYLOAD: Final = "payload"
LIVE: Final = "live"
_SAMPLE_SEED: Final = b"hearthwatch.v1.training\x00"


class Span(NamedTuple):
    """What a dispatcher found, and which minutes it speaks of: those that begin in [first_us, end_us)."""

    home_id: str
    kind: str
    close_out: str
    alarm_id: str
    from_us: int
    first_us: int
    end_us: int


def span_of(label: Label) -> Span | None:
    """A label → the minutes that it speaks of, None if it says nothing."""
    if label.close_out == CloseOutCode.UNKNOWN:
        return None
    lasted_us = min(max(label.to_us - label.from_us, AT_LEAST_US), AT_MOST_US)
    return Span(
        label.home_id,
        str(label.kind),
        str(label.close_out),
        label.alarm_id,
        label.from_us,
        (label.from_us - BEFORE_US) // MINUTE_US * MINUTE_US,
        label.from_us + lasted_us,
    )


class Labels:
    """Spans by home."""

    def __init__(self, spans: Iterable[Span]) -> None:
        self._homes: dict[str, list[Span]] = defaultdict(list)
        for span in spans:
            self._homes[span.home_id].append(span)

    def of(self, home_id: str, minute_us: int) -> Span | None:
        """What labels a home's minute."""
        speaking = [span for span in self._homes.get(home_id, ()) if span.first_us <= minute_us < span.end_us]
        return min(speaking, key=lambda span: _rank(span, minute_us), default=None)


def _rank(span: Span, minute_us: int) -> tuple[int, int, str]:
    order = {CloseOutCode.REAL: 0, CloseOutCode.TEST: 2}
    return order.get(CloseOutCode(span.close_out), 1), abs(span.from_us - minute_us), span.alarm_id


def sampled(reading_id: bytes, fraction: float) -> bool:
    """Whether a reading is in the random sample: the same wherever it is asked.

    >>> sampled(b"any", 1.0), sampled(b"any", 0.0)
    (True, False)
    """
    number = int.from_bytes(hashlib.sha256(_SAMPLE_SEED + reading_id).digest()[:8], "big")
    return number < fraction * (1 << 64)


def training_row(accepted: AcceptedReading, labels: Labels, fraction: float = SAMPLE) -> Row:
    """A valid reading → a row of `schemas.warehouse.TRAINING_READINGS`.

    A sound's features are its log-mel, which is its payload: its row has only quantities unless the
    payload is kept. A reading that came as features has no payload here.
    """
    reading: pb.Reading | pb.Features
    if accepted.features:
        reading = pb.Features.FromString(accepted.features)
        values, summary = model_input_of(reading), summary_of(reading)
    else:
        reading = pb.Reading.FromString(accepted.reading)
        values, summary = model_input(accepted.family, reading), quantities(accepted.family, reading)
    if accepted.family == "sound":
        values = None
    label = labels.of(accepted.home_id, reading.minute_us)
    selection = "labelled" if label else "sample" if sampled(reading.reading_id, fraction) else ""
    if accepted.features:
        selection = ""
    return {
        "home_id": accepted.home_id,
        "gateway_id": accepted.gateway_id,
        "publish_time": timestamp(accepted.publish_us),
        "reading_id": reading.reading_id.hex(),
        "sensor_id": reading.sensor_id,
        "room": reading.room,
        "family": accepted.family,
        "minute_time": timestamp(reading.minute_us),
        "arming_mode": accepted.arming_mode,
        "form": LIVE if accepted.features else PAYLOAD,
        "feature_version": FEATURE_VERSION,
        "features": [] if values is None else [round(float(value), 6) for value in values],
        "quantities": [
            {"name": name, "value": value if math.isfinite(value) else None}
            for name, value in zip(SUMMARY_NAMES[accepted.family], summary, strict=True)
        ],
        "alarm_kind": label.kind if label else None,
        "close_out": label.close_out if label else None,
        "alarm_id": label.alarm_id if label else None,
        "selection": selection,
        "payload": base64.b64encode(accepted.reading).decode() if selection else None,
        "schema_version": SCHEMA_VERSION,
    }


def better(new: Row, old: Row) -> Row:
    """Of two rows of one reading the one that stands: what has the payload, then what was made of it.

    >>> better({"payload": None, "form": LIVE, "n": 2}, {"payload": "x", "form": PAYLOAD, "n": 1})["n"]
    1
    """
    return old if _worth(old) > _worth(new) else new


def _worth(row: Row) -> tuple[bool, bool]:
    return row["payload"] is not None, row["form"] == PAYLOAD
