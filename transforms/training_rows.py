"""Readings and labels → rows of the training table.

Join rule: the label of an alarm (schemas.labels.Label) speaks of the readings of its home from five
minutes before its first evidence until its last, at least five minutes and at most thirty after the
first; that of a test from its beginning to its end. A code of "unknown" labels nothing. Where several
labels speak of a minute, what was real goes before what was false, and that before a test; then a
dispatcher before an owner; then the one whose evidence began nearest. What a minute teaches its family's
model is another question: schemas.labels.class_of.
"""

from __future__ import annotations

import base64
import hashlib
import math
from collections import defaultdict
from collections.abc import Iterable
from typing import Final, NamedTuple

import numpy as np

from schemas import hearthwatch_v1_pb2 as pb
from schemas.alarms import CloseOutCode
from schemas.features import FEATURE_VERSION, model_input
from schemas.labels import WEIGHTS, Label, LabelSource, TaughtBy, class_of, class_of_sample
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
FLEET: Final = "fleet"
_SAMPLE_SEED: Final = b"hearthwatch.v1.training\x00"


class Span(NamedTuple):
    """What somebody said, and which minutes it speaks of: those that begin in [first_us, end_us).

    Attributes:
        kind: Of the alarm, "" for a test.
        from_us: First evidence. said_us: When it was said.
        room: Of the alarm, "" if it names none.
    """

    home_id: str
    kind: str
    close_out: str
    alarm_id: str
    from_us: int
    first_us: int
    end_us: int
    source: str
    said_us: int
    room: str


def span_of(label: Label) -> Span | None:
    """A label → the minutes that it speaks of, None if it says nothing."""
    if label.close_out == CloseOutCode.UNKNOWN:
        return None
    if label.source is LabelSource.TEST_MODE:
        before_us, lasted_us = 0, label.to_us - label.from_us
    else:
        before_us, lasted_us = BEFORE_US, min(max(label.to_us - label.from_us, AT_LEAST_US), AT_MOST_US)
    return Span(
        home_id=label.home_id,
        kind=str(label.kind or ""),
        close_out=str(label.close_out),
        alarm_id=label.alarm_id,
        from_us=label.from_us,
        first_us=(label.from_us - before_us) // MINUTE_US * MINUTE_US,
        end_us=label.from_us + lasted_us,
        source=str(label.source),
        said_us=label.closed_us,
        room=label.room,
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


def _rank(span: Span, minute_us: int) -> tuple[int, int, int, str]:
    order = {CloseOutCode.REAL: 0, CloseOutCode.TEST: 2}
    return (
        order.get(CloseOutCode(span.close_out), 1),
        int(span.source != LabelSource.DISPATCHER),
        abs(span.from_us - minute_us),
        span.alarm_id,
    )


class Taught(NamedTuple):
    """What a row teaches: a class and how much it weighs; "" and 0: nothing."""

    label: str = ""
    source: str = ""
    weight: float = 0.0
    said_us: int = 0


def taught(family: str, room: str, minute_us: int, span: Span | None, drawn: bool) -> Taught:
    """A minute of a sensor, what is said of it, whether it was drawn by chance → what it teaches."""
    if span is None:
        label = class_of_sample(family) if drawn else None
        return Taught(label, TaughtBy.SAMPLE, WEIGHTS[TaughtBy.SAMPLE], minute_us) if label else Taught()
    label = class_of(
        family,
        span.kind,
        span.close_out,
        started=minute_us + MINUTE_US > span.from_us,
        same_room=span.room in ("", room),
    )
    return Taught(label, span.source, WEIGHTS[span.source], span.said_us) if label else Taught()


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
    drawn = sampled(reading.reading_id, fraction)
    selection = "" if accepted.features else "labelled" if label else "sample" if drawn else ""
    lesson = taught(accepted.family, reading.room, reading.minute_us, label, drawn)
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
        "features": [] if values is None else [exact(value) for value in values],
        "quantities": [
            {"name": name, "value": value if math.isfinite(value) else None}
            for name, value in zip(SUMMARY_NAMES[accepted.family], summary, strict=True)
        ],
        "alarm_kind": label.kind if label else None,
        "close_out": label.close_out if label else None,
        "alarm_id": label.alarm_id if label else None,
        "selection": selection,
        "payload": base64.b64encode(accepted.reading).decode() if selection else None,
        "label": lesson.label or None,
        "label_source": lesson.source or None,
        "label_weight": lesson.weight if lesson.label else None,
        "label_time": timestamp(lesson.said_us) if lesson.label else None,
        "corpus": FLEET,
        "sensor_model": reading.model or None,
        "schema_version": SCHEMA_VERSION,
    }


def exact(value: np.float32) -> float:
    """float32 → the shortest decimal number that gives the same float32 again.

    >>> exact(np.float32(0.1))
    0.1
    """
    return float(str(np.float32(value)))


def label_row(label: Label) -> Row:
    """Label → a row of `schemas.warehouse.LABELS`."""
    return {
        "home_id": label.home_id,
        "label_id": label.label_id,
        "alarm_id": label.alarm_id or None,
        "source": str(label.source),
        "weight": WEIGHTS[label.source],
        "kind": str(label.kind) if label.kind else None,
        "close_out": str(label.close_out),
        "room": label.room or None,
        "from_time": timestamp(label.from_us),
        "to_time": timestamp(label.to_us),
        "said_time": timestamp(label.closed_us),
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
